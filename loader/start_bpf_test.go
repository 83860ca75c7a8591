//go:build bpf

package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/sched"
)

func TestStartPinsEverything(t *testing.T) {
	r := newRig(t)
	want := []string{"links", "maps", "progs", "progs/ek_edit", "progs/ek_import", "progs/ek_publish", "progs/ek_sweep", "progs/ek_sweep6", "progs/ek_sweep_tmpl", "progs/ek_sweep_tmpl6", "progs/ek_xdp"}
	for name := range r.maps.ByName() {
		want = append(want, "maps/"+name)
	}
	for i := range lbmaps.Shards {
		want = append(want, "maps/"+lbmaps.ShardName(i))
	}
	slices.Sort(want)
	var got []string
	check(t, filepath.WalkDir(r.o.Dir, func(path string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		if mode := info.Mode().Perm(); d.IsDir() && mode != 0o750 || !d.IsDir() && mode != 0o640 {
			t.Errorf("%s has mode %o", path, mode)
		}
		if path != r.o.Dir {
			got = append(got, strings.TrimPrefix(path, r.o.Dir+"/"))
		}
		return nil
	}))
	if !slices.Equal(got, want) {
		t.Errorf("pinned:\n%q, want\n%q", got, want)
	}
	s, err := r.Status()
	check(t, err)
	if s.Adopted {
		t.Error("a fresh datapath says that it was adopted")
	}
	if want := (lbmaps.Limits{Services: 8, Servers: 64, Flows: 1024, Replies: 1024}); s.Limits != want {
		t.Errorf("limits are %+v, want %+v", s.Limits, want)
	}
}

func TestRestartReplacesProgramAndKeepsMaps(t *testing.T) {
	r := newRig(t)
	svc := service(vip)
	r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
	if slot := r.chosen(1000); slot != 0 {
		t.Fatalf("flow is on slot %d, want 0", slot)
	}
	before, id := r.tables(), r.loadedID()
	r.o.Flows = 2048 // the running size counts
	r.restart()
	s, err := r.Status()
	check(t, err)
	if !s.Adopted || s.ProgramID == id || s.ProgramID != r.loadedID() || s.Limits.Flows != 1024 {
		t.Errorf("after a restart the status is %+v; the program was %d, pinned is %d", s, id, r.loadedID())
	}
	wantSame(t, r.tables(), before)
	if slot := r.chosen(1000); slot != 0 {
		t.Errorf("flow is on slot %d after the restart, want 0", slot)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	r := newRig(t)
	for name, f := range map[string]func() error{
		"start":  func() error { _, err := Start(r.o); return err },
		"remove": func() error { return Remove(r.o.Dir) },
	} {
		err := f()
		running, ok := errors.AsType[*RunningError](err)
		if !ok || !errors.Is(err, ErrRunning) || running.PID != os.Getpid() {
			t.Errorf("%s beside a daemon: %v, want ErrRunning naming process %d", name, err, os.Getpid())
		}
	}
	if r.loadedID() == 0 {
		t.Error("the datapath is gone")
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	r := newRig(t)
	check(t, r.XDP.Remove())
	if !gone(t, r.o.Dir) {
		t.Error("the pin directory is still there")
	}
	if err := r.Apply(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("applying after the removal: %v, want ErrClosed", err)
	}
	if _, err := r.Status(); !errors.Is(err, ErrClosed) {
		t.Errorf("status after the removal: %v, want ErrClosed", err)
	}
	if err := Remove(r.o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing nothing: %v, want fs.ErrNotExist", err)
	}
	if _, err := Open(r.o.Dir); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("opening nothing: %v, want ErrNotLoaded", err)
	}
	r.start()
	check(t, r.Close())
	check(t, Remove(r.o.Dir))
	if !gone(t, r.o.Dir) {
		t.Error("the pin directory is still there after Remove without a daemon")
	}
	r.start() // for the cleanup
}

// TestOtherLayoutIsRefused changes what is pinned, as another version would
// have, and wants a start to say so, to touch nothing, and to work after a stop.
func TestOtherLayoutIsRefused(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"layout": func(r *rig) {
			s, err := r.maps.Settings()
			check(t, err)
			s.LayoutVersion++
			check(t, r.maps.PutSettings(s))
		},
		"missing map": func(r *rig) { check(t, os.Remove(filepath.Join(r.pins.maps(), bpf.EkMapEkServers))) },
		"another map": func(r *rig) {
			path := filepath.Join(r.pins.maps(), bpf.EkMapEkCursors)
			check(t, os.Remove(path))
			check(t, r.maps.ByName()[bpf.EkMapEkServers].Pin(path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			change(r)
			id := r.loadedID()
			check(t, r.Close())
			_, err := Start(r.o)
			if _, ok := errors.AsType[*IncompatibleError](err); !ok || !strings.Contains(err.Error(), "evenkeel stop") {
				t.Fatalf("start: %v, want an *IncompatibleError with the way out", err)
			}
			if got := r.loadedID(); got != id {
				t.Errorf("program is %d, was %d", got, id)
			}
			if _, err := Open(r.o.Dir); err == nil {
				t.Error("a view of other maps opened")
			}
			check(t, Remove(r.o.Dir))
			r.start()
		})
	}
}

// TestKilledStarts leaves what a start leaves that is killed at different
// moments.
func TestKilledStarts(t *testing.T) {
	for name, leave := range map[string]func(*rig){
		"before the maps were renamed": func(r *rig) {
			check(t, r.pins.remove())
			check(t, os.MkdirAll(r.pins.newMaps(), dirMode))
			check(t, r.maps.ByName()[bpf.EkMapEkServers].Pin(filepath.Join(r.pins.newMaps(), bpf.EkMapEkServers)))
		},
		"before the programs were pinned": func(r *rig) {
			check(t, removePins(r.pins.progs()))
			check(t, removePins(r.pins.links()))
		},
		"before a program was renamed": func(r *rig) {
			check(t, r.progs.sweep.Pin(r.pins.newProg(bpf.EkProgEkSweep)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			leave(r)
			r.restart()
			svc := service(vip)
			r.apply(op(sched.AddService, svc), op(sched.AddServer, svc, realServer(1, 1)))
			if slot := r.chosen(1000); slot != 0 {
				t.Errorf("flow is on slot %d, want 0", slot)
			}
			if !gone(t, r.pins.newMaps()) || !gone(t, r.pins.newProg(bpf.EkProgEkSweep)) {
				t.Error("leftovers of the killed start are still there")
			}
			check(t, r.XDP.Remove())
			if !gone(t, r.o.Dir) {
				t.Error("the pin directory is still there")
			}
		})
	}
}

func TestRefusedProgramCarriesTheLog(t *testing.T) {
	r := newRig(t)
	spec, err := sized(r.maps.Limits())
	check(t, err)
	spec.Programs[bpf.EkProgEkSweep].Instructions = asm.Instructions{asm.Mov.Reg(asm.R0, asm.R5), asm.Return()}
	_, err = loadPrograms(spec, r.maps, false)
	refused, ok := errors.AsType[*ProgramError](err)
	if !ok || !slices.ContainsFunc(refused.Log, func(line string) bool { return strings.Contains(line, "R5") }) {
		t.Fatalf("loading an impossible program: %+v", err)
	}
	if text := err.Error(); !strings.Contains(text, bpf.EkProgEkSweep) || strings.ContainsRune(text, '\n') {
		t.Errorf("error is %q, want one line that names the program", text)
	}
}

func TestUnfitPlaces(t *testing.T) {
	r := newRig(t)
	foreign := filepath.Join(filepath.Dir(r.o.Dir), "foreign")
	check(t, os.Mkdir(foreign, dirMode))
	check(t, os.Chown(foreign, 4711, 4711))
	for dir, want := range map[string]string{
		filepath.Join(t.TempDir(), "ek"):     "mount -t bpf bpf",
		filepath.Join(r.o.Dir, "none", "ek"): "no such file",
		foreign:                              "belongs to user 4711",
	} {
		o := r.o
		o.Dir = dir
		_, err := Start(o)
		if _, ok := errors.AsType[*UnfitError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("start in %s: %v, want an *UnfitError with %q", dir, err, want)
		}
	}
}
