package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

func TestReloadAppliesTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.prober.set(rs2, true)
		r.run(t)
		r.take()
		r.file.set(&config.Config{Services: []model.VirtualServer{virtual(vip, rs1, rs2)}}, nil)
		r.signals <- hangup
		synctest.Wait()
		want := []string{"notify RELOADING=1", "configure mode auto interfaces [] for [192.0.2.1]", "add server " + key1 + " " + rs2 + " DR weight 1", "notify READY=1"}
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("reload (-want +got):\n%s", diff)
		}
		s := r.status(t)
		if s.LastReload == nil || !s.LastReload.OK || s.LastReload.Cause != "SIGHUP" || s.Running.Cause != "SIGHUP" || s.LastRefusal != nil {
			t.Errorf("status = %+v", s)
		}
		// The checks follow.
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"delete server " + key1 + " " + rs2}, ops(r.take())); diff != "" {
			t.Errorf("check of the new server (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

func TestRefusedReloadChangesNothing(t *testing.T) {
	bad := config.Diagnostic{Severity: config.Error, File: "/etc/ek.conf", Line: 3, Column: 1, Message: "no such thing"}
	unparsable := &config.UnparsableError{Fatal: bad, Diagnostics: []config.Diagnostic{bad}}
	mode := &config.Config{Global: model.Global{XDPInterfaces: []string{"eth9"}}, Services: []model.VirtualServer{virtual(vip, rs1)}}
	router := &config.Config{VRRP: model.VRRP{Instances: []model.VRRPInstance{{Interface: "eth9"}}}, Services: mode.Services}
	tests := []struct {
		name         string
		cfg          *config.Config
		err          error
		configureErr error
		want         string
	}{
		{"unparsable", nil, unparsable, nil, bad.Error()},
		{"other error", nil, errors.New("disk on fire"), nil, "disk on fire"},
		{"errors", &config.Config{Diagnostics: []config.Diagnostic{{Severity: config.Warning}, bad, bad}}, nil, nil, bad.Error() + " (and 1 more)"},
		{"interface", mode, nil, errors.New("interface eth9 does not exist"), "interface eth9 does not exist"},
		{"interface of an instance", router, nil, nil, "interface eth9 does not exist"},
		{"nothing left", &config.Config{Global: model.Global{RouterID: "x"}}, nil, nil, errNothingLeft.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(virtual(vip, rs1))
				r.run(t)
				r.take()
				r.machine.configureErr = tt.configureErr
				good, _ := r.file.load("")
				r.file.set(tt.cfg, tt.err)
				load, err := r.source().Reload(t.Context(), "api")
				if err != nil || load.OK || load.Error != tt.want {
					t.Errorf("reload = %+v, %v, want error %q", load, err, tt.want)
				}
				synctest.Wait()
				if diff := cmp.Diff([]string{"notify RELOADING=1", "notify READY=1"}, r.take()); diff != "" {
					t.Errorf("journal (-want +got):\n%s", diff)
				}
				s := r.status(t)
				if len(s.Services) != 1 || s.Running.Cause != "start" {
					t.Errorf("running = %+v with %d services", s.Running, len(s.Services))
				}
				if s.LastRefusal == nil || s.LastRefusal.Error != tt.want {
					t.Errorf("last refusal = %+v", s.LastRefusal)
				}

				// A good file heals it, and the refusal stays on record.
				r.machine.configureErr = nil
				r.file.set(good, nil)
				if load, err := r.source().Reload(t.Context(), "api"); err != nil || !load.OK {
					t.Errorf("second reload = %+v, %v", load, err)
				}
				if s := r.status(t); s.LastRefusal == nil || !s.LastReload.OK {
					t.Errorf("status = %+v", s)
				}
				r.stop(t)
			})
		})
	}
}

// TestReloadsAreDebounced: of many signals while a reload is under way one counts,
// and that one reads the file as it is after the last of them.
func TestReloadsAreDebounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.run(t)
		before := r.file.loads
		r.file.hold = make(chan struct{})
		for range 100 {
			r.signals <- hangup
			synctest.Wait()
		}
		r.file.set(&config.Config{Services: []model.VirtualServer{virtual(vip, rs1, rs2)}}, nil)
		close(r.file.hold)
		synctest.Wait()
		if got := r.file.loads - before; got != 2 {
			t.Errorf("the file was read %d times, want 2", got)
		}
		if s := r.status(t); s.LastReload == nil || !s.LastReload.OK || s.Running.Services != 1 {
			t.Errorf("status = %+v", s)
		}
		r.stop(t)
	})
}

// TestReloadLog: what is wrong with a file that is read again goes into the file
// that the running configuration names, and no complaint when all is well.
func TestReloadLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "reload.log")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.run(t)
		logs := &config.Config{Global: model.Global{ReloadLog: name}, Services: []model.VirtualServer{virtual(vip, rs1)}}
		bad := config.Diagnostic{Severity: config.Error, File: "/etc/ek.conf", Line: 3, Column: 1, Message: "no such thing"}
		for _, step := range []struct {
			cfg  *config.Config
			err  error
			want string
		}{
			// The configuration that runs until then names no file.
			{cfg: logs, want: "none"},
			{err: &config.UnparsableError{Fatal: bad, Diagnostics: []config.Diagnostic{bad}}, want: bad.Error() + "\n"},
			{cfg: &config.Config{Diagnostics: []config.Diagnostic{bad}, Services: logs.Services}, want: bad.Error() + "\n"},
			{err: errors.New("disk on fire"), want: "disk on fire\n"},
			{cfg: logs, want: ""},
		} {
			r.file.set(step.cfg, step.err)
			if _, err := r.source().Reload(t.Context(), "api"); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(name)
			if errors.Is(err, os.ErrNotExist) {
				got = []byte("none")
			}
			if string(got) != step.want {
				t.Errorf("the log has %q, want %q", got, step.want)
			}
		}
		r.stop(t)
	})
}

func TestReloadConfiguresTheDatapath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.run(t)
		r.take()
		cfg := &config.Config{
			Global:   model.Global{XDPMode: model.XDPGeneric, XDPInterfaces: []string{"eth1"}, TimeoutTCP: time.Minute},
			Services: []model.VirtualServer{virtual(vip, rs1)},
		}
		r.file.set(cfg, nil)
		if load, err := r.source().Reload(t.Context(), "api"); err != nil || !load.OK {
			t.Errorf("reload = %+v, %v", load, err)
		}
		synctest.Wait()
		var configured []string
		for _, l := range r.take() {
			if strings.HasPrefix(l, "configure") {
				configured = append(configured, l)
			}
		}
		if diff := cmp.Diff([]string{"configure mode generic interfaces [eth1] for [192.0.2.1]"}, configured); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
		if r.machine.settings.TimeoutTCP != time.Minute {
			t.Errorf("settings = %+v", r.machine.settings)
		}
		r.stop(t)
	})
}

func TestReportOnRefusedFileIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.run(t)
		bad := config.Diagnostic{Severity: config.Error, Message: "bad"}
		r.file.set(&config.Config{Diagnostics: []config.Diagnostic{bad}}, nil)
		if _, err := r.source().Reload(t.Context(), "api"); err != nil {
			t.Error(err)
		}
		got, err := r.source().Config(t.Context())
		if err != nil || got.Refused == nil || got.Running.Cause != "start" {
			t.Errorf("config = %+v, %v", got, err)
		}
		r.stop(t)
	})
}
