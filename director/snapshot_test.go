package director_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		conf := withSorry(vs(inhibit(rs(1, 3)), rs(2, 1), alpha(rs(3, 1))))
		conf.Quorum = 2
		lblc := with(vs(rs(1, 1)), func(v *model.VirtualServer) {
			v.Key.Addr = nextNet(vip)
			v.Scheduler, v.Datapath = "lblc", model.DatapathXDP
		})
		d, _ := director.New([]model.VirtualServer{conf, conf, lblc}, director.ThisVersion())
		d.Verdict(up(2))
		time.Sleep(time.Minute)
		d.Verdict(down(1))
		snap := d.Snapshot()

		at := start.Add(time.Minute)
		want := director.ServiceStatus{
			Key: conf.Key, Block: conf.Key, Service: "[192.0.2.1]:tcp:80", Scheduler: "rr", Datapath: "xdp", ReasonWord: "none",
			QuorumSince: at, Quorum: 2, AliveWeight: 1,
			Servers: []director.ServerStatus{
				{Server: rs(1, 1).Addr, Name: rs(1, 1).Addr, Forward: "NAT", Weight: 3, InTable: true, Reason: "connection refused", Since: at},
				{Server: rs(2, 1).Addr, Name: rs(2, 1).Addr, Forward: "NAT", Weight: 1, Alive: true, Reason: "answered; held back while quorum is lost", Since: start},
				{Server: rs(3, 1).Addr, Name: rs(3, 1).Addr, Forward: "NAT", Weight: 1, Reason: "alpha: down until its first check succeeds", Since: start},
			},
			Sorry: &director.ServerStatus{
				Server: rs(99, 1).Addr, Name: rs(99, 1).Addr, Forward: "NAT", Weight: 1, InTable: true, TableWeight: 1, Alive: true,
				Reason: "stands in while quorum is lost", Since: at,
			},
		}
		equal := cmp.Comparer(func(a, b model.ServiceKey) bool { return a == b })
		addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		if diff := cmp.Diff(want, snap.Services[0], equal, addr); diff != "" {
			t.Errorf("first service (-want +got):\n%s", diff)
		}
		if got, want := snap.Services[1].Reason, "does not run: "+director.ReasonDuplicate.String(); got != want || snap.Services[1].Datapath != "none" {
			t.Errorf("second service runs in %s because %q, want none and %q", snap.Services[1].Datapath, got, want)
		}
		if got := snap.Services[2]; got.ReasonWord != "scheduler" || got.Servers[0].Reason != "the service does not run" {
			t.Errorf("third service = %+v, want reason scheduler", got)
		}
		if _, err := json.Marshal(snap); err != nil {
			t.Error(err)
		}
	})
}
