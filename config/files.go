package config

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fileSystem is what the reader needs of the file system. Tests and fuzzing
// use one in memory.
type fileSystem interface {
	// Open opens a file for reading.
	Open(name string) (fs.File, error)
	Stat(name string) (fs.FileInfo, error)
	// Glob returns the names that match the pattern, in order.
	Glob(pattern string) ([]string, error)
	// Real returns one name for all paths to a file.
	Real(name string) (string, error)
}

// osFiles is the machine's file system.
type osFiles struct{}

func (osFiles) Open(name string) (fs.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_CLOEXEC, 0)
}

func (osFiles) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (osFiles) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

func (osFiles) Real(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// readAll reads at most limit bytes; more reports whether there are more.
func readAll(fsys fileSystem, name string, limit int64) (data []byte, more bool, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		// ReadFrom wants room at the end to see that it is there.
		b.Grow(int(min(info.Size(), limit)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, false, err
	}
	return b.Bytes(), int64(b.Len()) > limit, nil
}
