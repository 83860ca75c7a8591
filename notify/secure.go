package notify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// Inode is what the check of a path has to know about one file.
type Inode struct {
	// Mode has the permission bits, the sticky bit and the type.
	Mode     fs.FileMode
	UID, GID uint32
}

// Tree looks at files without following the last symbolic link. The real one
// is SystemTree. Errors wrap fs.ErrNotExist for a missing file.
type Tree interface {
	Lstat(path string) (Inode, error)
	Readlink(path string) (string, error)
}

// SystemTree is the machine's file system.
type SystemTree struct{}

// Lstat reads the inode of path itself.
func (SystemTree) Lstat(path string) (Inode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Inode{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Inode{}, fmt.Errorf("lstat %s: no owner known", path)
	}
	return Inode{Mode: info.Mode(), UID: st.Uid, GID: st.Gid}, nil
}

// Readlink returns where the symbolic link path leads.
func (SystemTree) Readlink(path string) (string, error) { return os.Readlink(path) }

// Program is a program that was found.
type Program struct {
	// Path is absolute and free of symbolic links, unless those were to be
	// kept.
	Path string
	// Searched is set when the name had no slash and was found among the
	// search directories, of which keepalived warns.
	Searched bool
	// Insecure says which part of the path others than root could change, and
	// how; it is empty for a path that only root can change.
	Insecure string
}

// FindProgram finds the program of a command, resolves its path and looks at
// each part of it. A name without a slash is searched in dirs. With
// keepSymlinks (use_symlink_paths) the path is used as it is, and what its
// symbolic links can be changed by counts as well. The error says why the
// program cannot be run: it does not exist, is no regular file, or has no
// execute bit.
func FindProgram(t Tree, name string, dirs []string, keepSymlinks bool) (Program, error) {
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			return Program{}, fmt.Errorf("find %s: it is not an absolute path", name)
		}
		return examine(t, name, keepSymlinks)
	}
	for _, dir := range dirs {
		p, err := examine(t, path.Join(dir, name), keepSymlinks)
		if err == nil {
			p.Searched = true
			return p, nil
		}
	}
	return Program{}, fmt.Errorf("find %s: not in %s", name, strings.Join(dirs, ":"))
}

// examine resolves the path of one program and judges it.
func examine(t Tree, name string, keepSymlinks bool) (Program, error) {
	w := walk{tree: t}
	if err := w.resolve(name); err != nil {
		return Program{}, err
	}
	switch node := w.node; {
	case node.Mode.IsDir():
		return Program{}, fmt.Errorf("find %s: it is a directory", name)
	case !node.Mode.IsRegular():
		return Program{}, fmt.Errorf("find %s: it is not a regular file", name)
	case node.Mode.Perm()&0o111 == 0:
		// Whether this very user may execute it, access lists decide too. That
		// is left to the run.
		return Program{}, fmt.Errorf("find %s: it is not executable", name)
	}
	if keepSymlinks {
		return Program{Path: path.Clean(name), Insecure: w.insecure}, nil
	}
	// Links that lead here do not matter for a path without them.
	resolved := walk{tree: t}
	if err := resolved.resolve(w.at); err != nil {
		return Program{}, err
	}
	return Program{Path: w.at, Insecure: resolved.insecure}, nil
}

// maxLinks is the kernel's bound on symbolic links in one path.
const maxLinks = 40

var errLinks = errors.New("too many symbolic links")

// walk goes along a path from the root.
type walk struct {
	tree Tree
	// at is the path so far, without symbolic links, and node its inode.
	at    string
	node  Inode
	links int
	// insecure is the first weakness on the way.
	insecure string
}

// resolve walks to name, which is absolute.
func (w *walk) resolve(name string) error {
	if err := w.enter("/"); err != nil {
		return fmt.Errorf("find %s: %w", name, cause(err))
	}
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if err := w.enter(path.Dir(w.at)); err != nil {
				return fmt.Errorf("find %s: %w", name, cause(err))
			}
			continue
		}
		target, err := w.step(path.Join(w.at, part))
		if err != nil {
			return fmt.Errorf("find %s: %w", name, cause(err))
		}
		if target == "" {
			continue
		}
		if path.IsAbs(target) {
			if err := w.enter("/"); err != nil {
				return fmt.Errorf("find %s: %w", name, cause(err))
			}
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// cause leaves out the path that an error names: the message has one already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// step goes to a neighbour of the current directory. Of a symbolic link it
// returns the target and stays.
func (w *walk) step(next string) (target string, err error) {
	if !w.node.Mode.IsDir() {
		return "", fmt.Errorf("%s is not a directory", w.at)
	}
	node, err := w.tree.Lstat(next)
	if err != nil {
		return "", err
	}
	if node.Mode&fs.ModeSymlink == 0 {
		w.take(next, node)
		return "", nil
	}
	if w.links++; w.links > maxLinks {
		return "", errLinks
	}
	if node.UID != 0 {
		w.weak("%s is owned by user %d", next, node.UID)
	}
	return w.tree.Readlink(next)
}

// enter goes to a directory that was seen before, or to the root.
func (w *walk) enter(dir string) error {
	node, err := w.tree.Lstat(dir)
	if err != nil {
		return err
	}
	w.take(dir, node)
	return nil
}

// take makes a file the current one and looks for weaknesses. A sticky
// directory keeps others from replacing what is not theirs. Members of group
// root count as root.
func (w *walk) take(at string, node Inode) {
	w.at, w.node = at, node
	sticky := node.Mode.IsDir() && node.Mode&fs.ModeSticky != 0
	switch {
	case node.UID != 0:
		w.weak("%s is owned by user %d", at, node.UID)
	case sticky:
	case node.Mode.Perm()&0o002 != 0:
		w.weak("%s is writable by everybody", at)
	case node.Mode.Perm()&0o020 != 0 && node.GID != 0:
		w.weak("%s is writable by group %d", at, node.GID)
	}
}

func (w *walk) weak(format string, args ...any) {
	if w.insecure == "" {
		w.insecure = fmt.Sprintf(format, args...)
	}
}

// searchPath splits the PATH of env.
func searchPath(env []string) []string {
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			return filepath.SplitList(list)
		}
	}
	return nil
}
