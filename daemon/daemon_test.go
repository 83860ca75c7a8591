package daemon

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

const (
	vip  = "192.0.2.1:80"
	rs1  = "10.0.0.1:80"
	rs2  = "10.0.0.2:80"
	key1 = "[192.0.2.1]:tcp:80"
)

func TestOrderOfStartAndStop(t *testing.T) {
	tests := []struct {
		name string
		stop func(*rig, *testing.T)
		want []string
	}{
		{"SIGTERM", func(r *rig, _ *testing.T) { r.signals <- syscall.SIGTERM }, []string{"remove"}},
		{"SIGINT", func(r *rig, _ *testing.T) { r.signals <- os.Interrupt }, []string{"remove"}},
		{"SIGTERM twice", func(r *rig, _ *testing.T) {
			r.signals <- syscall.SIGTERM
			r.signals <- syscall.SIGTERM
		}, []string{"remove"}},
		{"context", func(r *rig, _ *testing.T) { r.end() }, []string{"remove"}},
		{"socket", func(r *rig, t *testing.T) {
			got, err := r.source().Stop(t.Context(), false, "test")
			if err != nil || !got.Removed {
				t.Errorf("stop = %+v, %v", got, err)
			}
		}, []string{"remove"}},
		{"socket, keep", func(r *rig, t *testing.T) {
			got, err := r.source().Stop(t.Context(), true, "test")
			if err != nil || got.Removed {
				t.Errorf("stop = %+v, %v", got, err)
			}
		}, []string{"close"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(virtual(vip, rs1, rs2))
				r.run(t)
				want := []string{
					"take socket",
					"start mode auto interfaces []",
					"add service " + key1 + " rr",
					"add server " + key1 + " " + rs1 + " DR weight 1",
					"add server " + key1 + " " + rs2 + " DR weight 1",
					"notify READY=1",
				}
				// When the datapath's own goroutine gets to run is not ours
				// to say.
				got := slices.DeleteFunc(r.take(), func(l string) bool { return l == "datapath runs" })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("start (-want +got):\n%s", diff)
				}

				tt.stop(r, t)
				if err := <-r.ran; err != nil {
					t.Errorf("Run = %v", err)
				}
				want = append(append([]string{"notify STOPPING=1", "datapath rests"}, tt.want...), "close socket")
				if diff := cmp.Diff(want, r.take()); diff != "" {
					t.Errorf("stop (-want +got):\n%s", diff)
				}
				if _, err := r.source().Status(t.Context()); !errors.Is(err, errStopping) {
					t.Errorf("status after the stop: %v", err)
				}
				if _, err := r.source().Stop(t.Context(), false, "test"); !errors.Is(err, errStopping) {
					t.Errorf("stop after the stop: %v", err)
				}
			})
		})
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	unparsable := &config.UnparsableError{Fatal: config.Diagnostic{Severity: config.Error, File: "/etc/ek.conf", Message: "no such file"}, Cause: fs.ErrNotExist}
	tests := []struct {
		name    string
		arrange func(*rig)
		want    Kind
		journal []string
	}{
		{"file", func(r *rig) { r.file.set(nil, unparsable) }, BadConfig, nil},
		{"socket in use", func(r *rig) {
			r.opts.Listen = func(p string) (net.Listener, error) { return nil, &api.InUseError{Path: p, PID: 7} }
		}, AlreadyRunning, nil},
		{"socket", func(r *rig) {
			r.opts.Listen = func(string) (net.Listener, error) { return nil, errors.New("disk full") }
		}, BadSocket, nil},
		{"socket of others", func(r *rig) {
			r.opts.Listen = func(string) (net.Listener, error) { return nil, fs.ErrPermission }
		}, NoPrivilege, nil},
		{"machine, of a kind", func(r *rig) {
			r.machine.startErr = &StartError{Kind: NoPrivilege, Err: errors.New("needs CAP_BPF")}
		}, NoPrivilege, []string{"take socket", "close socket"}},
		{"machine, of none", func(r *rig) { r.machine.startErr = errors.New("boom") }, Failed, []string{"take socket", "close socket"}},
		{"datapath that cannot be read", func(r *rig) { r.machine.Datapath.Close() }, Failed,
			[]string{"take socket", "start mode auto interfaces []", "close", "close socket"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(virtual(vip, rs1))
			tt.arrange(r)
			err := New(r.opts).Run(t.Context())
			got, ok := errors.AsType[*StartError](err)
			if !ok || got.Kind != tt.want {
				t.Errorf("Run = %v (%+v), want kind %d", err, got, tt.want)
			}
			if diff := cmp.Diff(tt.journal, r.take()); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerdictsBecomeOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1, rs2))
		r.prober.set(rs1, true)
		r.run(t)
		r.take()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"delete server " + key1 + " " + rs1}, ops(r.take())); diff != "" {
			t.Errorf("down (-want +got):\n%s", diff)
		}
		s := r.status(t)
		want := []api.Summary{{Service: key1, Scheduler: "rr", Datapath: "xdp", QuorumUp: true, Quorum: 1, AliveWeight: 1, ServersAlive: 1, Servers: 2, Unresolved: 1}}
		if diff := cmp.Diff(want, s.Services); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if want := (api.Packets{XDP: 9, Passed: 3, Forwarded: 5, Dropped: 4}); s.Packets != want {
			t.Errorf("packets = %+v, want %+v", s.Packets, want)
		}
		r.prober.set(rs1, false)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"add server " + key1 + " " + rs1 + " DR weight 1"}, ops(r.take())); diff != "" {
			t.Errorf("up (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

func TestDatapathThatRunsIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1, rs2))
		stays := virtual(vip, rs1).Service
		r.machine.SetTables(model.Tables{Services: []model.ServiceEntry{
			{Service: stays, Servers: []model.ServerEntry{{Server: model.Server{Addr: netip.MustParseAddrPort(rs1), Forward: model.DR, Weight: 1}}}},
			{Service: virtual("192.0.2.9:80").Service},
		}})
		r.run(t)
		// rs2 was not in the table: it is dead until a check says otherwise.
		if diff := cmp.Diff([]string{"delete service [192.0.2.9]:tcp:80"}, ops(r.take())); diff != "" {
			t.Errorf("start (-want +got):\n%s", diff)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"add server " + key1 + " " + rs2 + " DR weight 1"}, ops(r.take())); diff != "" {
			t.Errorf("after the first checks (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

func TestServiceThatXDPCannotRunIsLeftOutWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lblc := virtual("192.0.2.2:80", rs1)
		lblc.Scheduler = "lblc"
		local := virtual("192.0.2.3:80", "10.0.0.254:80")
		local.Servers[0].Forward = model.NAT
		ipvs := virtual("192.0.2.4:80", rs1)
		ipvs.Datapath = model.DatapathIPVS
		r := newRig(lblc, virtual(vip, rs1), local, ipvs)
		r.run(t)
		want := []string{"add service " + key1 + " rr", "add server " + key1 + " " + rs1 + " DR weight 1"}
		if diff := cmp.Diff(want, ops(r.take())); diff != "" {
			t.Errorf("operations (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("192.0.2.1")}, r.machine.settings.Virtual, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("virtual addresses (-want +got):\n%s", diff)
		}
		services, err := r.source().Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range services.Services {
			got = append(got, s.Datapath+" "+s.Reason)
		}
		wantReasons := []string{
			"none needs IPVS (scheduler lblc), which this kernel does not have",
			"xdp ",
			"none needs IPVS (server 10.0.0.254:80 is this machine), which this kernel does not have",
			"none needs IPVS (the file asks for IPVS), which this kernel does not have",
		}
		if diff := cmp.Diff(wantReasons, got); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

func TestDatapathThatRefusesIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1, rs2))
		r.run(t)
		r.take()
		full := errors.New("map is full")
		r.machine.SetFail(func(sched.Op) error { return full })
		r.prober.set(rs1, true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := r.status(t); s.Datapath.LastError == "" || s.Datapath.LastErrorAt == nil {
			t.Errorf("the status hides the error: %+v", s.Datapath)
		}
		r.take()
		r.machine.SetFail(nil)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"delete server " + key1 + " " + rs1}, ops(r.take())); diff != "" {
			t.Errorf("repair (-want +got):\n%s", diff)
		}
		if s := r.status(t); s.Datapath.LastError != "" {
			t.Errorf("the status still shows %q", s.Datapath.LastError)
		}
		r.stop(t)
	})
}

func TestFailureOfAPartKeepsTheDatapath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.run(t)
		r.take()
		boom := errors.New("boom")
		r.machine.runErr <- boom
		if err := <-r.ran; !errors.Is(err, boom) {
			t.Errorf("Run = %v, want %v", err, boom)
		}
		want := []string{"datapath rests", "notify STOPPING=1", "close", "close socket"}
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
	})
}

func TestStopCutsReadersShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.machine.flowsStarted = make(chan struct{})
		r.run(t)
		read := make(chan error, 1)
		go func() { read <- r.source().Flows(t.Context(), func(api.Flow) bool { return true }) }()
		<-r.machine.flowsStarted
		r.take()
		r.stop(t)
		if err := <-read; !errors.Is(err, errStopping) {
			t.Errorf("flows = %v, want %v", err, errStopping)
		}
		want := []string{"notify STOPPING=1", "datapath rests", "flows read", "remove", "close socket"}
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
	})
}

func TestWatchdogIsFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.opts.Watchdog = 10 * time.Second
		r.run(t)
		r.take()
		time.Sleep(21 * time.Second)
		synctest.Wait()
		want := []string{"notify WATCHDOG=1", "notify WATCHDOG=1", "notify WATCHDOG=1", "notify WATCHDOG=1"}
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}
