package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/config"
)

// snapshotOf is a file with services on so many ports.
func snapshotOf(name string, services int) config.Snapshot {
	text := ""
	for n := range services {
		text += fmt.Sprintf("virtual_server 192.0.2.1 %d {\n  lvs_sched rr\n  lvs_method DR\n  protocol TCP\n  real_server 10.0.0.1 %[1]d {\n  }\n}\n", 80+n)
	}
	return config.Snapshot{Path: name, Files: map[string]config.SnapshotFile{name: {Mode: 0o600, Real: name, Data: []byte(text)}}}
}

func loaded(t *testing.T, name string, services int) *config.Config {
	t.Helper()
	cfg, err := config.LoadSnapshot(snapshotOf(name, services), config.Options{})
	if err != nil || cfg.HasErrors() || len(cfg.Services) != services {
		t.Fatalf("%s: %v, %+v", name, err, cfg)
	}
	return cfg
}

// store is a Store in memory.
type store struct {
	snapshot config.Snapshot
	err      error

	mu        sync.Mutex // guards the rest
	kept      []string   // paths
	forgotten int
}

func (s *store) Keep(found config.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, found.Path)
	return nil
}

func (s *store) Kept() (config.Snapshot, error) { return s.snapshot, s.err }

func (s *store) Forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten++
	return nil
}

// seen returns the paths that were kept, and how often all was forgotten.
func (s *store) seen() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept), s.forgotten
}

// TestWhatRanWellIsKept: a configuration is kept when it has run for a while, and
// one that was replaced before is not.
func TestWhatRanWellIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, kept := newRig(), &store{}
		r.opts.LastGood = kept
		r.file.set(loaded(t, "first", 1), nil)
		r.run(t)
		reload := func(cfg *config.Config, err error) {
			t.Helper()
			r.file.set(cfg, err)
			r.signals <- syscall.SIGHUP
			synctest.Wait()
		}
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got, forgotten := kept.seen(); !slices.Equal(got, want) || forgotten != 0 {
				t.Errorf("kept %q, want %q; forgotten %d times", got, want, forgotten)
			}
		}
		after(ranWell - 1)
		after(1, "first")
		reload(loaded(t, "second", 2), nil)
		after(ranWell-1, "first")
		reload(loaded(t, "third", 3), nil)
		after(ranWell/2, "first")
		reload(nil, errors.New("broken"))
		after(ranWell/2, "first", "third")
		r.stop(t)
		if _, forgotten := kept.seen(); forgotten != 1 {
			t.Errorf("forgotten %d times at the end, want once", forgotten)
		}
	})
}

// TestFallBack: after the death of others the daemon begins with what last ran
// well, says so, and goes back to the file at a reload.
func TestFallBack(t *testing.T) {
	const why = "5 workers died"
	broken := errors.New("broken")
	for _, tt := range []struct {
		name     string
		why      string
		store    *store
		file     error
		services int // 0: it does not start
		lastGood string
	}{
		{"kept", why, &store{snapshot: snapshotOf("kept", 2)}, broken, 2, why},
		{"kept, and a file that is well", why, &store{snapshot: snapshotOf("kept", 2)}, nil, 2, why},
		{"no reason", "", &store{snapshot: snapshotOf("kept", 2)}, nil, 1, ""},
		{"nothing kept", why, &store{err: errors.New("no such file")}, nil, 1, ""},
		{"kept, but damaged", why, &store{snapshot: config.Snapshot{Path: "kept"}}, nil, 1, ""},
		{"nothing at all", why, &store{err: errors.New("no such file")}, broken, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.opts.LastGood, r.opts.FallBack = tt.store, tt.why
				r.file.set(loaded(t, "file", 1), tt.file)
				r.run(t)
				if tt.services == 0 {
					err := <-r.ran
					if got, ok := errors.AsType[*StartError](err); !ok || got.Kind != BadConfig {
						t.Errorf("Run = %v, want a bad configuration", err)
					}
					return
				}
				got := r.status(t).Running
				if got.LastGood != tt.lastGood || got.Services != tt.services || got.Cause != "start" || !got.OK {
					t.Errorf("running: %+v", got)
				}
				r.file.set(loaded(t, "mended", 3), nil)
				r.signals <- syscall.SIGHUP
				synctest.Wait()
				if got := r.status(t).Running; got.LastGood != "" || got.Services != 3 {
					t.Errorf("after a reload: %+v", got)
				}
				r.stop(t)
			})
		})
	}
}

func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	s := FileStore(filepath.Join(dir, "sock.lastgood"))
	if _, err := s.Kept(); err == nil {
		t.Error("something is kept at first")
	}
	for n := range 2 {
		want := snapshotOf("file", n+1)
		if err := s.Keep(want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Kept(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("kept %+v, %v, want %+v", got, err, want)
		}
	}
	info, err := os.Stat(string(s))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", info, err)
	}
	for range 2 {
		if err := s.Forget(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := FileStore(filepath.Join(dir, "none", "x")).Keep(snapshotOf("file", 1)); err == nil {
		t.Error("kept in a folder that does not exist")
	}
}
