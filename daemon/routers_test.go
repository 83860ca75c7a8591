package daemon

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/track"
)

// instances returns a configuration of VRRP.
func instances(names ...string) (v model.VRRP) {
	for n, name := range names {
		v.Instances = append(v.Instances, model.VRRPInstance{Name: name, VRID: uint8(n + 1)})
	}
	return v
}

// vrrpLines leaves what VRRP and the datapath did, in order.
func vrrpLines(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return !strings.HasPrefix(l, "vrrp") && l != "remove" && l != "close" && !strings.HasPrefix(l, "start")
	})
}

func TestElectionOutlivesTheDatapath(t *testing.T) {
	tests := []struct {
		name string
		stop func(*rig, *testing.T)
		want []string
	}{
		{"SIGTERM", func(r *rig, _ *testing.T) { r.signals <- syscall.SIGTERM }, []string{"vrrp says goodbye", "vrrp ends", "remove"}},
		{"keep", func(r *rig, t *testing.T) {
			if _, err := r.source().Stop(t.Context(), true, "test"); err != nil {
				t.Error(err)
			}
		}, []string{"vrrp leaves", "close"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.file.cfg.VRRP = instances("one", "two")
				r.run(t)
				got := r.take()
				if !slices.Contains(got, "vrrp begins") {
					t.Errorf("start: %q", got)
				}
				if got := r.machine.routers.opt.Memory; got != "/run/evenkeel/evenkeel.sock.masters" {
					t.Errorf("memory %q", got)
				}
				tt.stop(r, t)
				if err := <-r.ran; err != nil {
					t.Errorf("Run = %v", err)
				}
				if diff := cmp.Diff(tt.want, vrrpLines(r.take())); diff != "" {
					t.Errorf("stop (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestElectionThatFailsEndsTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.file.cfg.VRRP = instances("one")
		r.run(t)
		r.take()
		r.machine.routers.ended <- errors.New("netlink is gone")
		if err := <-r.ran; err == nil || !strings.Contains(err.Error(), "vrrp ended: netlink is gone") {
			t.Errorf("Run = %v", err)
		}
		if diff := cmp.Diff([]string{"close"}, vrrpLines(r.take())); diff != "" {
			t.Errorf("end (-want +got):\n%s", diff)
		}
	})
}

func TestElectionThatCannotBegin(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Kind
	}{{fs.ErrPermission, NoPrivilege}, {errors.New("boom"), Failed}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.machine.routersErr = tt.err
			r.run(t)
			failed, ok := errors.AsType[*StartError](<-r.ran)
			if !ok || failed.Kind != tt.want {
				t.Errorf("%v: Run = %+v, want kind %d", tt.err, failed, tt.want)
			}
			if diff := cmp.Diff([]string{"take socket", "close socket"}, r.take()); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOrderOfTheElection: a master of before begins first, others when they can
// serve.
func TestOrderOfTheElection(t *testing.T) {
	for _, tt := range []struct {
		name       string
		wasMaster  bool
		startErr   error
		first, end string // of what VRRP and the datapath do
	}{
		{"fresh", false, nil, "start mode auto interfaces []", "vrrp begins"},
		{"master before", true, nil, "vrrp begins", "start mode auto interfaces []"},
		{"fresh, no datapath", false, errors.New("boom"), "vrrp never ran", "vrrp never ran"},
		{"master before, no datapath", true, errors.New("boom"), "vrrp says goodbye", "vrrp ends"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(virtual(vip, rs1))
				r.file.cfg.VRRP = instances("one")
				r.opts.WasMaster = func(string) bool { return tt.wasMaster }
				r.machine.startErr = tt.startErr
				r.machine.routersBegin = make(chan struct{}, 1)
				if tt.wasMaster && tt.startErr == nil {
					r.machine.beforeStart = func() { <-r.machine.routersBegin }
				}
				r.run(t)
				time.Sleep(2 * time.Second)
				got := slices.DeleteFunc(vrrpLines(r.take()), func(l string) bool { return tt.startErr != nil && l == "vrrp begins" })
				if len(got) == 0 || got[0] != tt.first || got[len(got)-1] != tt.end {
					t.Errorf("journal %q, want %q to %q", got, tt.first, tt.end)
				}
				if tt.startErr == nil {
					r.stop(t)
				} else if err := <-r.ran; err == nil {
					t.Error("it started")
				}
			})
		})
	}
}

func TestFileChecksFollowTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := virtual(vip, rs1)
		svc.Servers[0].Checks = []model.Check{{Kind: model.FileCheck, DelayLoop: time.Hour, File: &model.FileSpec{TrackFile: "f"}}}
		r := newRig(svc)
		r.opts.Prober = nil
		r.machine.tracked = []track.Status{{Kind: track.File, Name: "f", State: track.Up}}
		r.run(t)
		if s := r.status(t); s.Services[0].ServersAlive != 1 {
			t.Errorf("services = %+v", s.Services)
		}
		r.machine.routers.set(track.Status{Kind: track.File, Name: "f", State: track.Up, Value: 1})
		synctest.Wait()
		if s := r.status(t); s.Services[0].ServersAlive != 0 {
			t.Errorf("after the change: %+v", s.Services)
		}
		r.stop(t)
	})
}

func TestOnlyVRRPNeedsNoDatapath(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   Kind
		starts bool
	}{{"no BPF", NoBPF, true}, {"no privilege", NoPrivilege, true}, {"another daemon", AlreadyRunning, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.file.cfg.VRRP = instances("one")
				r.machine.startErr = &StartError{Kind: tt.kind, Err: errors.New("no datapath here")}
				r.run(t)
				if !tt.starts {
					if err := <-r.ran; err == nil {
						t.Error("it started")
					}
					return
				}
				if s := r.status(t); s.Datapath.Running || s.Datapath.Detail != "no datapath here" || s.Running.Instances != 1 {
					t.Errorf("status = %+v", s)
				}
				r.file.set(&config.Config{VRRP: instances("one"), Services: []model.VirtualServer{virtual(vip, rs1)}}, nil)
				load, err := r.source().Reload(t.Context(), "api")
				if err != nil || load.OK || !strings.Contains(load.Error, "no datapath here") {
					t.Errorf("reload = %+v, %v", load, err)
				}
				r.stop(t)
			})
		})
	}
}

func TestReloadOfTheElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.file.cfg.VRRP = instances("one")
		r.run(t)
		r.take()
		bad := config.Diagnostic{Severity: config.Error, Message: "bad"}
		r.file.set(&config.Config{VRRP: instances(), Diagnostics: []config.Diagnostic{bad}}, nil)
		r.signals <- hangup
		synctest.Wait()
		if got := vrrpLines(r.take()); len(got) != 0 {
			t.Errorf("a refused reload: %q", got)
		}
		next := instances("one", "two")
		next.Global.GARPInterval = time.Millisecond
		r.file.set(&config.Config{VRRP: next}, nil)
		load, err := r.source().Reload(t.Context(), "api")
		if err != nil || !load.OK || load.Instances != 2 || !slices.Equal(load.RestartNeeded, []string{"vrrp_garp_interval"}) {
			t.Errorf("reload = %+v, %v", load, err)
		}
		if diff := cmp.Diff([]string{"vrrp reloads 2"}, vrrpLines(r.take())); diff != "" {
			t.Errorf("reload (-want +got):\n%s", diff)
		}
		if s := r.status(t); len(s.Running.RestartNeeded) != 1 || s.LastReload == nil || len(s.LastReload.RestartNeeded) != 1 {
			t.Errorf("status = %+v", s)
		}
		r.stop(t)
	})
}
