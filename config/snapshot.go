package config

import (
	"bytes"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// Snapshot is what Load found in the file system: enough to read the same
// configuration again when the files are others. It is made to be stored. It
// holds the files' secrets.
type Snapshot struct {
	// Path is the file that Load was called with.
	Path string `json:"path"`
	// Files are those that were looked at, by the name they were asked by. One
	// that is not here does not exist.
	Files map[string]SnapshotFile `json:"files"`
	// Globs are the patterns that were looked up, and the names that matched.
	Globs map[string][]string `json:"globs,omitempty"`
}

// SnapshotFile is one file of a Snapshot.
type SnapshotFile struct {
	Mode fs.FileMode `json:"mode"`
	// Real is the one name for all paths to the file, if it was asked for.
	Real string `json:"real,omitempty"`
	// Data is what was read of it.
	Data []byte `json:"data,omitempty"`
}

// Snapshot returns what Load or LoadSnapshot found. It is not to be changed.
func (c *Config) Snapshot() Snapshot { return c.found }

// LoadSnapshot reads a configuration from a snapshot as Load does from files.
// The environment and the host name are those of now.
func LoadSnapshot(s Snapshot, opts Options) (*Config, error) {
	return load(snapshotFiles{s}, s.Path, opts)
}

// recorder notes what it hands out of another file system.
type recorder struct {
	fileSystem
	found Snapshot
}

func record(fsys fileSystem, path string) *recorder {
	return &recorder{fsys, Snapshot{Path: path, Files: make(map[string]SnapshotFile), Globs: make(map[string][]string)}}
}

// readAll reads at most limit bytes; more reports whether there are more. What it
// returns is kept and not to be changed.
func (r *recorder) readAll(name string, limit int64) (data []byte, more bool, err error) {
	data, more, err = readAll(r.fileSystem, name, limit)
	if err == nil {
		kept := r.found.Files[name]
		kept.Data = data
		r.found.Files[name] = kept
	}
	return data, more, err
}

func (r *recorder) Stat(name string) (fs.FileInfo, error) {
	info, err := r.fileSystem.Stat(name)
	if err == nil {
		kept := r.found.Files[name]
		kept.Mode = info.Mode()
		r.found.Files[name] = kept
	}
	return info, err
}

func (r *recorder) Glob(pattern string) ([]string, error) {
	names, err := r.fileSystem.Glob(pattern)
	if err == nil {
		r.found.Globs[pattern] = slices.Clone(names)
	}
	return names, err
}

func (r *recorder) Real(name string) (string, error) {
	real, err := r.fileSystem.Real(name)
	if err == nil {
		kept := r.found.Files[name]
		kept.Real = real
		r.found.Files[name] = kept
	}
	return real, err
}

// snapshotFiles is a Snapshot as a file system.
type snapshotFiles struct{ Snapshot }

func (s snapshotFiles) find(op, name string) (SnapshotFile, error) {
	f, ok := s.Files[name]
	if !ok {
		return f, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

func (s snapshotFiles) Open(name string) (fs.File, error) {
	f, err := s.find("open", name)
	if err != nil {
		return nil, err
	}
	return snapshotHandle{bytes.NewReader(f.Data), snapshotInfo{name, f}}, nil
}

func (s snapshotFiles) Stat(name string) (fs.FileInfo, error) {
	f, err := s.find("stat", name)
	if err != nil {
		return nil, err
	}
	return snapshotInfo{name, f}, nil
}

func (s snapshotFiles) Glob(pattern string) ([]string, error) {
	return slices.Clone(s.Globs[pattern]), nil
}

func (s snapshotFiles) Real(name string) (string, error) {
	f, err := s.find("resolve", name)
	return f.Real, err
}

type snapshotHandle struct {
	io.Reader
	info snapshotInfo
}

func (h snapshotHandle) Stat() (fs.FileInfo, error) { return h.info, nil }
func (h snapshotHandle) Close() error               { return nil }

type snapshotInfo struct {
	name string
	file SnapshotFile
}

func (i snapshotInfo) Name() string       { return filepath.Base(i.name) }
func (i snapshotInfo) Size() int64        { return int64(len(i.file.Data)) }
func (i snapshotInfo) Mode() fs.FileMode  { return i.file.Mode }
func (i snapshotInfo) ModTime() time.Time { return time.Time{} }
func (i snapshotInfo) IsDir() bool        { return i.file.Mode.IsDir() }
func (i snapshotInfo) Sys() any           { return nil }
