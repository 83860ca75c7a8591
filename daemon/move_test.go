package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/model"
)

// A move is what a reload would do that says so, and the next reload undoes it.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(virtual(vip, rs1), inIPVS(other, rs2))
		r.run(t)
		r.machine.SetFlows([]model.Flow{{Protocol: model.TCP, Virtual: netip.MustParseAddrPort(vip), State: "ESTABLISHED"}})
		r.take()
		move := func(service, to string) api.Move {
			t.Helper()
			m, err := r.source().Move(t.Context(), api.MoveRequest{Service: service, Datapath: to})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		want := api.Move{Service: key1, From: "xdp", To: "ipvs", Flows: 1, Arrived: 1, UntilReload: true}
		if diff := cmp.Diff(want, move(vip, "ipvs")); diff != "" {
			t.Errorf("to IPVS (-want +got):\n%s", diff)
		}
		add := []string{"add service " + key1 + " rr", "add server " + key1 + " " + rs1 + " DR weight 1"}
		steps := []string{
			"configure mode auto interfaces [] for [192.0.2.1]", "ipvs " + add[0], "ipvs " + add[1],
			"release " + key1, "ipvs import 1 flows", "delete service " + key1, "configure mode auto interfaces [] for []",
		}
		if diff := cmp.Diff(steps, moves(r.take())); diff != "" {
			t.Errorf("to IPVS (-want +got):\n%s", diff)
		}
		want = api.Move{Service: key1, From: "ipvs", To: "ipvs"}
		if diff := cmp.Diff(want, move(key1, "ipvs")); diff != "" || len(moves(r.take())) > 0 {
			t.Errorf("once more (-want +got):\n%s", diff)
		}

		r.machine.SetFlows(nil)
		r.reloadTo(t, virtual(vip, rs1), inIPVS(other, rs2))
		if got := strings.Join(moves(r.take()), "\n"); !strings.Contains(got, "\n"+add[0]) || !strings.Contains(got, "ipvs delete service "+key1) {
			t.Errorf("the reload did\n%s", got)
		}
		r.stop(t)
	})
}

// What cannot be moved stays, with a reason.
func TestMoveRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(virtual(vip, rs1)) // without IPVS
		r.run(t)
		r.take()
		for _, tt := range []struct{ service, to, want string }{
			{"192.0.2.9:80", "ipvs", "there is no service 192.0.2.9:80"},
			{vip, "nowhere", "\"nowhere\" is not xdp or ipvs"},
			{vip, "ipvs", "which this kernel does not have"},
		} {
			m, err := r.source().Move(t.Context(), api.MoveRequest{Service: tt.service, Datapath: tt.to})
			if err != nil || !strings.Contains(m.Refused, tt.want) || m.UntilReload {
				t.Errorf("move %s to %s = %+v, %v; want %q", tt.service, tt.to, m, err, tt.want)
			}
		}
		r.stop(t)

		r = ipvsRig(inIPVS(vip, rs1))
		r.run(t)
		r.take()
		m, err := r.source().Move(t.Context(), api.MoveRequest{Service: vip, Datapath: "xdp"})
		if err != nil || !strings.Contains(m.Refused, "cannot run in XDP (scheduler lblcr)") {
			t.Errorf("a service with lblcr to XDP = %+v, %v", m, err)
		}
		if got := moves(r.take()); len(got) > 0 {
			t.Errorf("it did %q", got)
		}
		r.stop(t)
	})
}
