package notify

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTree maps paths to inodes; links holds the targets of symbolic links.
type fakeTree struct {
	nodes map[string]Inode
	links map[string]string
}

func (f fakeTree) Lstat(path string) (Inode, error) {
	if _, ok := f.links[path]; ok {
		return Inode{Mode: fs.ModeSymlink | 0o777, UID: f.nodes[path].UID}, nil
	}
	n, ok := f.nodes[path]
	if !ok {
		return Inode{}, &fs.PathError{Op: "lstat", Path: path, Err: fs.ErrNotExist}
	}
	return n, nil
}

func (f fakeTree) Readlink(path string) (string, error) { return f.links[path], nil }

const (
	dir755    = fs.ModeDir | 0o755
	dirSticky = fs.ModeDir | fs.ModeSticky | 0o777
)

// machine is a small file system with something wrong in most corners.
func machine() fakeTree {
	return fakeTree{
		nodes: map[string]Inode{
			"/":             {Mode: dir755},
			"/bin":          {Mode: dir755},
			"/bin/good":     {Mode: 0o755},
			"/bin/plain":    {Mode: 0o644},
			"/bin/fifo":     {Mode: fs.ModeNamedPipe | 0o755},
			"/bin/any":      {Mode: 0o757},
			"/bin/group":    {Mode: 0o775, GID: 50},
			"/bin/root":     {Mode: 0o775},
			"/bin/alices":   {Mode: 0o755, UID: 1000},
			"/bin/stickily": {Mode: fs.ModeSticky | 0o757},
			"/tmp":          {Mode: dirSticky},
			"/tmp/good":     {Mode: 0o755},
			"/tmp/alices":   {UID: 1000},
			"/open":         {Mode: fs.ModeDir | 0o777},
			"/open/good":    {Mode: 0o755},
			"/home":         {Mode: dir755},
			"/home/al":      {Mode: dir755, UID: 1000},
			"/home/al/x":    {Mode: 0o755},
			"/home/al/sub":  {Mode: dir755},
			"/bin/sub":      {Mode: dir755},
		},
		links: map[string]string{
			"/bin/link":    "good",
			"/bin/up":      "../bin/sub/../good",
			"/bin/abs":     "/bin/link",
			"/bin/loop":    "loop",
			"/bin/gone":    "nothing",
			"/sbin":        "bin",
			"/home/al/out": "/bin/good",
			"/tmp/alices":  "/bin/good",
		},
	}
}

func TestFindProgram(t *testing.T) {
	tests := []struct {
		name, path string
		insecure   string // of the resolved path
		linked     string // with symbolic links kept
	}{
		{"/bin/good", "/bin/good", "", ""},
		{"//bin/./good", "/bin/good", "", ""},
		{"/bin/sub/../good", "/bin/good", "", ""},
		{"/../bin/good", "/bin/good", "", ""},
		{"/bin/link", "/bin/good", "", ""},
		{"/bin/up", "/bin/good", "", ""},
		{"/bin/abs", "/bin/good", "", ""},
		{"/sbin/abs", "/bin/good", "", ""},
		{"/bin/any", "/bin/any", "/bin/any is writable by everybody", "/bin/any is writable by everybody"},
		{"/bin/group", "/bin/group", "/bin/group is writable by group 50", "/bin/group is writable by group 50"},
		{"/bin/root", "/bin/root", "", ""},
		{"/bin/alices", "/bin/alices", "/bin/alices is owned by user 1000", "/bin/alices is owned by user 1000"},
		{"/bin/stickily", "/bin/stickily", "/bin/stickily is writable by everybody", "/bin/stickily is writable by everybody"},
		{"/tmp/good", "/tmp/good", "", ""},
		{"/open/good", "/open/good", "/open is writable by everybody", "/open is writable by everybody"},
		{"/home/al/x", "/home/al/x", "/home/al is owned by user 1000", "/home/al is owned by user 1000"},
		// A link that others can change leads elsewhere tomorrow; what it
		// leads to today is safe.
		{"/home/al/out", "/bin/good", "", "/home/al is owned by user 1000"},
		{"/home/al/../../bin/good", "/bin/good", "", "/home/al is owned by user 1000"},
		{"/tmp/alices", "/bin/good", "", "/tmp/alices is owned by user 1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FindProgram(machine(), tt.name, nil, false)
			if want := (Program{Path: tt.path, Insecure: tt.insecure}); got != want || err != nil {
				t.Errorf("FindProgram = %+v, %v, want %+v", got, err, want)
			}
			got, err = FindProgram(machine(), tt.name, nil, true)
			if want := (Program{Path: filepath.Clean(tt.name), Insecure: tt.linked}); got != want || err != nil {
				t.Errorf("FindProgram with links = %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestFindProgramErrors(t *testing.T) {
	tests := []struct{ name, want string }{
		{"/bin/nothing", "find /bin/nothing: file does not exist"},
		{"/bin/gone", "find /bin/gone: file does not exist"},
		{"/bin/good/x", "find /bin/good/x: /bin/good is not a directory"},
		{"/bin/loop", "find /bin/loop: too many symbolic links"},
		{"/bin/plain", "find /bin/plain: it is not executable"},
		{"/bin/fifo", "find /bin/fifo: it is not a regular file"},
		{"/bin", "find /bin: it is a directory"},
		{"./good", "find ./good: it is not an absolute path"},
		{"absent", "find absent: not in /open:/bin"},
		{"plain", "find plain: not in /open:/bin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FindProgram(machine(), tt.name, []string{"/open", "/bin"}, false)
			if err == nil || err.Error() != tt.want || got != (Program{}) {
				t.Errorf("FindProgram = %+v, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestFindProgramSearches(t *testing.T) {
	got, err := FindProgram(machine(), "good", []string{"/home/al/sub", "/bin", "/open"}, false)
	if want := (Program{Path: "/bin/good", Searched: true}); got != want || err != nil {
		t.Errorf("FindProgram = %+v, %v, want %+v", got, err, want)
	}
}

// TestSystemTree compares the real file system with what the test put there.
func TestSystemTree(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(script, nil, 0o600), os.Symlink("script", link)); err != nil {
		t.Fatal(err)
	}
	_, err = FindProgram(SystemTree{}, link, nil, false)
	if err == nil || !strings.HasSuffix(err.Error(), "it is not executable") {
		t.Errorf("FindProgram before chmod = %v, want not executable", err)
	}
	if err := os.Chmod(script, 0o777); err != nil {
		t.Fatal(err)
	}
	got, err := FindProgram(SystemTree{}, link, nil, false)
	if err != nil || got.Path != script || got.Insecure == "" {
		t.Errorf("FindProgram = %+v, %v, want %s, insecure", got, err, script)
	}
	if _, err := FindProgram(SystemTree{}, filepath.Join(dir, "absent"), nil, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("FindProgram of a missing file = %v, want not exist", err)
	}
}
