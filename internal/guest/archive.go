package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The file types of a mode word (linux/stat.h).
const (
	typeCharDevice = 0o020000
	typeDir        = 0o040000
	typeFile       = 0o100000
	typeLink       = 0o120000
)

// archive writes the cpio format, newc, that the kernel unpacks as its first
// root file system. A name that is there already is left as it is, and missing
// parent directories are added.
type archive struct {
	buf    bytes.Buffer
	inodes int
	done   map[string]bool
}

func newArchive() *archive {
	return &archive{done: map[string]bool{"/": true}}
}

// entry adds one entry; name is absolute.
func (a *archive) entry(name string, mode uint32, data []byte, major, minor uint32) {
	if a.done[name] {
		return
	}
	a.dir(path.Dir(name))
	a.done[name] = true
	a.write(strings.TrimPrefix(name, "/"), mode, data, major, minor)
}

func (a *archive) write(name string, mode uint32, data []byte, major, minor uint32) {
	a.inodes++
	fields := []uint32{
		uint32(a.inodes), mode, 0, 0, 1, 0, uint32(len(data)),
		0, 0, major, minor, uint32(len(name) + 1), 0,
	}
	a.buf.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&a.buf, "%08x", f)
	}
	a.buf.WriteString(name)
	a.buf.WriteByte(0)
	a.align()
	a.buf.Write(data)
	a.align()
}

func (a *archive) align() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

func (a *archive) dir(name string) {
	if !a.done[name] {
		a.entry(name, typeDir|0o755, nil, 0, 0)
	}
}

func (a *archive) link(name, to string) {
	a.entry(name, typeLink|0o777, []byte(to), 0, 0)
}

func (a *archive) device(name string, major, minor uint32) {
	a.entry(name, typeCharDevice|0o600, nil, major, minor)
}

func (a *archive) data(name string, data []byte, perm uint32) {
	a.entry(name, typeFile|perm, data, 0, 0)
}

// file adds a file of the host.
func (a *archive) file(name, host string, perm uint32) error {
	data, err := os.ReadFile(host)
	if err != nil {
		return err
	}
	a.data(name, data, perm)
	return nil
}

// tree adds a directory of the host with the regular files in it.
func (a *archive) tree(name, host string) error {
	return filepath.WalkDir(host, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, p)
		if err != nil {
			return err
		}
		inside := path.Join(name, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			a.dir(inside)
			return nil
		case d.Type().IsRegular():
			return a.file(inside, p, 0o644)
		}
		return nil
	})
}

// program adds a program of the host with its interpreter and the shared
// libraries that it names.
func (a *archive) program(name, host string) error {
	if err := a.file(name, host, 0o755); err != nil {
		return err
	}
	f, err := elf.Open(host)
	if err != nil {
		return nil // a script: its interpreter must be asked for
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		if err != nil {
			return fmt.Errorf("read interpreter of %s: %w", host, err)
		}
		interpreter := strings.TrimRight(string(text), "\x00")
		if err := a.file(interpreter, interpreter, 0o755); err != nil {
			return err
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read libraries of %s: %w", host, err)
	}
	for _, lib := range libraries {
		if err := a.library(lib); err != nil {
			return fmt.Errorf("pack %s: %w", host, err)
		}
	}
	return nil
}

// library adds a shared library, and those that it names, where the loader
// looks first.
func (a *archive) library(name string) error {
	const inside = "/usr/lib/x86_64-linux-gnu"
	if a.done[path.Join(inside, name)] {
		return nil
	}
	a.link("/lib/x86_64-linux-gnu", inside)
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"} {
		host := filepath.Join(dir, name)
		if _, err := os.Stat(host); err == nil {
			return a.program(path.Join(inside, name), host)
		}
	}
	return fmt.Errorf("library %s: %w", name, fs.ErrNotExist)
}

// bytes ends the archive and returns it.
func (a *archive) bytes() []byte {
	a.write("TRAILER!!!", 0, nil, 0, 0)
	return a.buf.Bytes()
}
