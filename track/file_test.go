package track

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// fileWorld is a folder with a tracked file in it.
type fileWorld struct {
	t       *testing.T
	dir     string
	tracker *Tracker
}

func (w *fileWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *fileWorld) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// await reads changes until one is as wanted. Steps in between, such as a file
// that is gone for a moment, are left out by a reader that lags, or not.
func (w *fileWorld) await(name string, state State, value int) Status {
	w.t.Helper()
	for {
		s := <-w.tracker.Changes()
		if s.Name == name && s.State == state && s.Value == value {
			return s
		}
	}
}

// newFileWorld runs a tracker for files of a temporary folder. Nobody else reads
// its changes.
func newFileWorld(t *testing.T, list func(w *fileWorld) []model.TrackFile) *fileWorld {
	t.Helper()
	w := &fileWorld{t: t, dir: filepath.Join(t.TempDir(), "folder")}
	w.check(os.Mkdir(w.dir, 0o700))
	w.tracker = New(Options{Definitions: Definitions{Files: list(w)}})
	w.tracker.folderRetry = time.Millisecond
	running := make(chan error, 1)
	ctx := t.Context()
	go func() { running <- w.tracker.Run(ctx) }()
	t.Cleanup(func() {
		if err := <-running; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return w
}

// TestFileChanges changes a file in all ways that files are changed.
func TestFileChanges(t *testing.T) {
	w := newFileWorld(t, func(w *fileWorld) []model.TrackFile {
		return []model.TrackFile{{Name: "f", Path: w.path("f")}, {Name: "g", Path: w.path("g")}}
	})
	first := []Status{<-w.tracker.Changes(), <-w.tracker.Changes()}
	for i, s := range first {
		if s.Kind != File || s.Name != []string{"f", "g"}[i] || s.State != Down || s.Value != 0 || s.Since.IsZero() ||
			s.Reason != "no such file or directory: counts 0" {
			t.Errorf("missing file: %+v", s)
		}
	}
	steps := []struct {
		name  string
		do    func() error
		state State
		value int
	}{
		{"create", func() error { return os.WriteFile(w.path("f"), []byte("5\n"), 0o600) }, Up, 5},
		{"write over", func() error { return os.WriteFile(w.path("f"), []byte("-6\n"), 0o600) }, Up, -6},
		{"rename over", func() error {
			w.check(os.WriteFile(w.path("new"), []byte("7"), 0o600))
			return os.Rename(w.path("new"), w.path("f"))
		}, Up, 7},
		{"no number", func() error { return os.WriteFile(w.path("f"), []byte("x"), 0o600) }, Down, 0},
		{"number again", func() error { return os.WriteFile(w.path("f"), []byte("8"), 0o600) }, Up, 8},
		{"rename away", func() error { return os.Rename(w.path("f"), w.path("old")) }, Down, 0},
		{"rename back", func() error { return os.Rename(w.path("old"), w.path("f")) }, Up, 8},
		{"hard link", func() error {
			w.check(os.WriteFile(w.path("other"), []byte("9"), 0o600))
			w.check(os.Remove(w.path("f")))
			return os.Link(w.path("other"), w.path("f"))
		}, Up, 9},
		{"symbolic link", func() error {
			w.check(os.WriteFile(w.path("other2"), []byte("10"), 0o600))
			w.check(os.Remove(w.path("f")))
			return os.Symlink("other2", w.path("f"))
		}, Up, 10},
		{"remove", func() error { return os.Remove(w.path("f")) }, Down, 0},
	}
	for _, step := range steps {
		w.check(step.do())
		w.await("f", step.state, step.value)
	}
	if s := w.tracker.Snapshot(); len(s) != 2 || s[1].State != Down || s[1].Since != first[1].Since {
		t.Errorf("the other file changed: %+v", s)
	}
}

// TestFileFolderComesBack removes the folder and makes it again. The tracker
// looks for it again and again.
func TestFileFolderComesBack(t *testing.T) {
	w := newFileWorld(t, func(w *fileWorld) []model.TrackFile {
		return []model.TrackFile{{Name: "f", Path: w.path("f"), Init: model.InitFileCreate, InitValue: 3}}
	})
	if s := w.await("f", Up, 3); s.Reason != "number 3" {
		t.Errorf("reason %q", s.Reason)
	}
	// The folder is watched under this name no more, although it exists.
	w.check(os.Rename(w.dir, w.dir+".old"))
	w.await("f", Down, 0)
	w.check(os.Mkdir(w.dir, 0o700))
	w.check(os.WriteFile(w.path("f"), []byte("4"), 0o600))
	w.await("f", Up, 4)
	w.check(os.RemoveAll(w.dir))
	w.await("f", Down, 0)
	w.check(os.Mkdir(w.dir, 0o700))
	w.check(os.WriteFile(w.path("f"), []byte("5"), 0o600))
	w.await("f", Up, 5)
}

// TestUpdateFiles adds a file: the old one keeps its status, and is not
// initialised again.
func TestUpdateFiles(t *testing.T) {
	list := func(w *fileWorld) []model.TrackFile {
		return []model.TrackFile{{Name: "f", Path: w.path("f"), Init: model.InitFileOverwrite, InitValue: 3}}
	}
	w := newFileWorld(t, list)
	w.await("f", Up, 3)
	w.check(os.WriteFile(w.path("f"), []byte("4"), 0o600))
	since := w.await("f", Up, 4).Since
	g := model.TrackFile{Name: "g", Path: w.path("g"), Init: model.InitFileOverwrite, InitValue: 9}
	w.tracker.Update(Definitions{Files: append(list(w), g)})
	// The new file may have been read by now, or not.
	if s := w.tracker.Snapshot(); len(s) != 2 || s[0].State != Up || s[0].Value != 4 || s[1].Name != "g" {
		t.Errorf("after the update: %+v", s)
	}
	if s := <-w.tracker.Changes(); s.Name != "g" || s.Value != 9 {
		t.Errorf("first change after the update: %+v, want g", s)
	}
	if s := w.tracker.Snapshot(); s[0].Value != 4 || s[0].Since != since {
		t.Errorf("the old file changed: %+v", s)
	}
	// Another path is another file.
	h := model.TrackFile{Name: "f", Path: w.path("g")}
	w.tracker.Update(Definitions{Files: []model.TrackFile{h}})
	w.await("f", Up, 9)
}

func TestParseFolderEvents(t *testing.T) {
	event := func(watch int32, mask uint32, name string) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(watch))
		b = binary.NativeEndian.AppendUint32(b, mask)
		b = binary.NativeEndian.AppendUint32(b, 0)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
		return append(b, name...)
	}
	var all []byte
	for _, b := range [][]byte{
		event(1, unix.IN_CLOSE_WRITE, "file\x00\x00\x00\x00"),
		event(2, unix.IN_IGNORED, ""),
		event(3, unix.IN_MOVE_SELF, ""),
		event(-1, unix.IN_Q_OVERFLOW, ""),
	} {
		all = append(all, b...)
	}
	want := []folderEvent{{watch: 1, name: "file"}, {watch: 2, ended: true}, {watch: 3, ended: true}, {watch: -1}}
	if diff := cmp.Diff(want, parseFolderEvents(all), cmp.AllowUnexported(folderEvent{})); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for n := range all {
		if got := parseFolderEvents(all[:n]); len(got) > 3 {
			t.Errorf("of %d bytes: %+v", n, got)
		}
	}
}

// TestFileOverflow tells the tracker that events were lost.
func TestFileOverflow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	d := model.TrackFile{Name: "f", Path: path}
	tr := New(Options{Definitions: Definitions{Files: []model.TrackFile{d}}})
	f := &files{
		tracker: tr, list: []model.TrackFile{d}, entries: []*entry{tr.board.find(key{File, "f"})},
		watches: map[string]int{dir: 1},
	}
	for _, tt := range []struct {
		event folderEvent
		want  int
	}{
		{folderEvent{watch: 1, name: "f"}, 1},
		{folderEvent{watch: 1, name: "g"}, 1},
		{folderEvent{watch: 2, name: "f"}, 1},
		{folderEvent{watch: -1}, 4},
		{folderEvent{watch: 1}, 5},
	} {
		next := tr.Snapshot()[0].Value + 1
		if tt.event.watch < 0 || tt.event.name == "" {
			next = tt.want
		}
		if err := os.WriteFile(path, []byte{byte('0' + next)}, 0o600); err != nil {
			t.Fatal(err)
		}
		f.handle([]folderEvent{tt.event})
		if got := tr.Snapshot()[0].Value; got != tt.want {
			t.Errorf("after %+v the value is %d, want %d", tt.event, got, tt.want)
		}
	}
}
