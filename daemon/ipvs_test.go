package daemon

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

const (
	rs3      = "10.0.0.3:80"
	other    = "192.0.2.2:80"
	otherKey = "[192.0.2.2]:tcp:80"
)

// inIPVS is a service that XDP does not run.
func inIPVS(vip string, servers ...string) model.VirtualServer {
	vs := virtual(vip, servers...)
	vs.Scheduler = "lblcr"
	return vs
}

func ipvsRig(services ...model.VirtualServer) *rig {
	r := newRig(services...)
	r.machine.ipvs = &kernel{journal: r.journal}
	return r
}

// entry is a service as a datapath runs it.
func entry(vs model.VirtualServer, weight int32) model.ServiceEntry {
	e := model.ServiceEntry{Service: vs.Service}
	for _, s := range vs.Servers {
		s.Weight = weight
		e.Servers = append(e.Servers, model.ServerEntry{Server: s.Server})
	}
	return e
}

// Each service runs where it can, what runs comes from both, and a stop deletes
// the services in IPVS.
func TestServicesInBothDatapaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(virtual(vip, rs1), inIPVS(other, rs2))
		r.run(t)
		want := []string{
			"add service " + key1 + " rr", "add server " + key1 + " " + rs1 + " DR weight 1",
			"ipvs add service " + otherKey + " lblcr", "ipvs add server " + otherKey + " " + rs2 + " DR weight 1",
		}
		if diff := cmp.Diff(want, ops(r.take())); diff != "" {
			t.Errorf("operations (-want +got):\n%s", diff)
		}
		r.machine.SetFlows([]model.Flow{{State: "ESTABLISHED"}})
		r.machine.ipvs.SetFlows([]model.Flow{{State: "UDP"}})
		if diff := cmp.Diff([]string{"ESTABLISHED", "UDP"}, flowStates(t, r)); diff != "" {
			t.Errorf("flows (-want +got):\n%s", diff)
		}
		s := r.status(t)
		if got := s.Services[1]; got.Datapath != "ipvs" || got.Reason != "runs in IPVS (scheduler lblcr)" || got.ServersAlive != 1 {
			t.Errorf("status of the second service = %+v", got)
		}
		if !s.Datapath.IPVS.Running {
			t.Errorf("status of IPVS = %+v", s.Datapath.IPVS)
		}
		r.take()
		r.stop(t)
		lines := r.take()
		if !slices.Contains(lines, "ipvs delete service "+otherKey) || !slices.Contains(lines, "ipvs close") || slices.Contains(lines, "ipvs flush") {
			t.Errorf("stop did %q", lines)
		}
	})
}

func flowStates(t *testing.T, r *rig) []string {
	t.Helper()
	var states []string
	if err := r.source().Flows(t.Context(), func(f api.Flow) bool {
		states = append(states, f.State)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return states
}

// Without IPVS in the kernel a file that asks for it does not start, and one
// that does not runs what XDP can and says why there is no more.
func TestKernelWithoutIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1))
		r.file.cfg.Global.Datapath = model.DatapathIPVS
		r.file.cfg.Services[0].Datapath = model.DatapathIPVS
		err := New(r.opts).Run(t.Context())
		failed, ok := errors.AsType[*StartError](err)
		if !ok || failed.Kind != NoIPVS || !errors.Is(err, ipvs.ErrNoIPVS) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Run = %v, want one line of kind NoIPVS", err)
		}
		if lines := r.take(); slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "start") }) {
			t.Errorf("a start without IPVS did %q", lines)
		}

		r = newRig(virtual(vip, rs1), inIPVS(other, rs1))
		r.run(t)
		s := r.status(t)
		if got := s.Services[1].Reason; got != "needs IPVS (scheduler lblcr), which this kernel does not have" {
			t.Errorf("reason %q", got)
		}
		if s.Datapath.IPVS.Running || !strings.Contains(s.Datapath.IPVS.Detail, "module ip_vs") {
			t.Errorf("status of IPVS = %+v", s.Datapath.IPVS)
		}
		// A reload must not ask for what the kernel lacks.
		cfg := &config.Config{Services: []model.VirtualServer{virtual(vip, rs1)}}
		cfg.Global.Datapath, cfg.Services[0].Datapath = model.DatapathIPVS, model.DatapathIPVS
		r.file.set(cfg, nil)
		if load, err := r.source().Reload(t.Context(), "test"); err != nil || load.OK || !strings.Contains(load.Error, "module ip_vs") {
			t.Errorf("reload = %+v, %v", load, err)
		}
		r.stop(t)
	})
}

// Where XDP does not start, the services that may run in IPVS do.
func TestIPVSStandsInForXDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only := virtual(other, rs1)
		only.Datapath = model.DatapathXDP
		r := ipvsRig(virtual(vip, rs1), only)
		r.machine.startErr = startError(NoBPF, errors.New("the verifier says no"))
		r.run(t)
		want := []string{"ipvs add service " + key1 + " rr", "ipvs add server " + key1 + " " + rs1 + " DR weight 1"}
		if diff := cmp.Diff(want, ops(r.take())); diff != "" {
			t.Errorf("operations (-want +got):\n%s", diff)
		}
		s := r.status(t)
		if got, want := s.Services[0].Reason, "runs in IPVS (the verifier says no)"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
		if s.Services[1].Datapath != "none" {
			t.Errorf("the service for XDP only runs in %s", s.Services[1].Datapath)
		}
		r.stop(t)

		r = newRig(virtual(vip, rs1))
		r.machine.startErr = startError(NoBPF, errors.New("the verifier says no"))
		if err := New(r.opts).Run(t.Context()); err == nil {
			t.Error("it runs with neither XDP nor IPVS")
		}
	})
}

// What is in IPVS already is compared, and only the difference is applied; a
// service that XDP runs now comes to XDP first.
func TestAdoptionOfIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, moves := inIPVS(other, rs1, rs2), virtual(vip, rs1)
		r := ipvsRig(moves, here)
		r.machine.ipvs.SetTables(model.Tables{Services: []model.ServiceEntry{
			entry(moves, 1), entry(inIPVS(other, rs2, rs3), 1),
		}})
		r.run(t)
		want := []string{
			"add service " + key1 + " rr", "add server " + key1 + " " + rs1 + " DR weight 1",
			"ipvs delete service " + key1,
			"ipvs delete server " + otherKey + " " + rs3,
		}
		got := ops(r.take())
		// rs1 was not there, so it comes in with its first check.
		got = slices.DeleteFunc(got, func(l string) bool { return l == "ipvs add server "+otherKey+" "+rs1+" DR weight 1" })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("operations (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

// A service whose new datapath does not take it stays where it is until it does.
func TestMoveThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(virtual(vip, rs1))
		r.run(t)
		r.machine.ipvs.SetFail(func(sched.Op) error { return errors.New("no such scheduler") })
		moved := inIPVS(vip, rs1)
		r.file.set(&config.Config{Services: []model.VirtualServer{moved}}, nil)
		if load, err := r.source().Reload(t.Context(), "test"); err != nil || !load.OK {
			t.Fatalf("reload = %+v, %v", load, err)
		}
		if w := r.machine.Weights(moved.Key); len(w) != 1 {
			t.Errorf("XDP has %v, though IPVS did not take the service", w)
		}
		r.machine.ipvs.SetFail(nil)
		time.Sleep(repairMost)
		synctest.Wait()
		if w := r.machine.Weights(moved.Key); w != nil {
			t.Errorf("XDP still has %v", w)
		}
		if w := r.machine.ipvs.Weights(moved.Key); w[netip.MustParseAddrPort(rs1)] != 1 {
			t.Errorf("IPVS has %v", w)
		}
		r.stop(t)
	})
}

// lvs_flush empties IPVS before the first service, lvs_flush_on_stop after the
// last.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(inIPVS(vip, rs1))
		r.file.cfg.Global.FlushAtStart, r.file.cfg.Global.FlushAtStop = true, model.FlushAll
		r.machine.ipvs.SetTables(model.Tables{Services: []model.ServiceEntry{entry(inIPVS(vip, rs1), 1)}})
		r.run(t)
		lines := r.take()
		flush, add := slices.Index(lines, "ipvs flush"), slices.Index(lines, "ipvs add service "+key1+" lblcr")
		if flush < 0 || add < flush {
			t.Errorf("start did %q", lines)
		}
		r.stop(t)
		if lines := r.take(); !slices.Contains(lines, "ipvs flush") {
			t.Errorf("stop did %q", lines)
		}
	})
}
