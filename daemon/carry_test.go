package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

// A reload that moves a service takes its flows along: the program stays on its
// interfaces until they are in IPVS, and IPVS keeps the service until they are in
// XDP.
func TestReloadCarriesFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := virtual(vip, rs1)
		there.Datapath = model.DatapathIPVS
		r := ipvsRig(virtual(vip, rs1))
		r.run(t)
		flow := model.Flow{Protocol: model.TCP, Virtual: netip.MustParseAddrPort(vip), State: "ESTABLISHED"}
		r.machine.SetFlows([]model.Flow{flow})
		r.take()

		r.reloadTo(t, there)
		add := []string{"add service " + key1 + " rr", "add server " + key1 + " " + rs1 + " DR weight 1"}
		want := []string{
			"configure mode auto interfaces [] for [192.0.2.1]", "ipvs " + add[0], "ipvs " + add[1],
			"release " + key1, "ipvs import 1 flows", "delete service " + key1, "configure mode auto interfaces [] for []",
		}
		if diff := cmp.Diff(want, moves(r.take())); diff != "" {
			t.Errorf("to IPVS (-want +got):\n%s", diff)
		}

		r.machine.SetFlows(nil)
		r.machine.ipvs.SetFlows([]model.Flow{flow, {Protocol: model.TCP, State: "of another service"}})
		r.reloadTo(t, virtual(vip, rs1))
		want = []string{"configure mode auto interfaces [] for [192.0.2.1]", add[0], add[1], "import 1 flows", "ipvs delete service " + key1}
		if diff := cmp.Diff(want, moves(r.take())); diff != "" {
			t.Errorf("back to XDP (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}

// moves are the lines about a move.
func moves(lines []string) []string {
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "notify") || strings.Contains(l, "time-out")
	})
}

func (r *rig) reloadTo(t *testing.T, services ...model.VirtualServer) {
	t.Helper()
	r.file.set(&config.Config{Services: services}, nil)
	if load, err := r.source().Reload(t.Context(), "test"); err != nil || !load.OK {
		t.Fatalf("reload = %+v, %v", load, err)
	}
}
