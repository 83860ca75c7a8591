package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
)

// The checks of a service with ha_suspend rest while its address is not here,
// over reloads too. Those of others go on.
func TestHASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "192.0.2.9:80"
		suspended := virtual(vip, rs1)
		suspended.HASuspend = true
		r := newRig(suspended, virtual(other, rs2))
		r.prober.set(rs1, true)
		r.prober.set(rs2, true)
		r.run(t)
		r.take()
		states := func() (states []bool) {
			all, err := r.source().Checks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all.Servers {
				states = append(states, s.Suspended)
			}
			return states
		}
		long := func() {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
		}
		// Both servers fail, and one of them is looked at.
		long()
		if diff := cmp.Diff([]string{"delete server [192.0.2.9]:tcp:80 " + rs2}, ops(r.take())); diff != "" {
			t.Errorf("while the address is elsewhere (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]bool{true, false}, states()); diff != "" {
			t.Errorf("suspended (-want +got):\n%s", diff)
		}
		r.machine.move("192.0.2.1")
		long()
		if diff := cmp.Diff([]string{"delete server " + key1 + " " + rs1}, ops(r.take())); diff != "" {
			t.Errorf("after the address has come (-want +got):\n%s", diff)
		}
		r.machine.move()
		synctest.Wait()
		r.prober.set(rs1, false)
		long()
		if got := ops(r.take()); len(got) > 0 {
			t.Errorf("after the address has gone: %v", got)
		}
		// A group rests while none of its addresses is here.
		group := virtual(vip, rs1)
		group.HASuspend, group.GroupBlock = true, model.ServiceKey{Protocol: model.TCP, Group: "g"}
		second := group
		second.Key = virtual("192.0.2.2:80", rs1).Key
		r.file.set(&config.Config{Services: []model.VirtualServer{group, second}}, nil)
		r.signals <- hangup
		synctest.Wait()
		r.take()
		r.machine.move("192.0.2.2")
		synctest.Wait()
		if diff := cmp.Diff([]bool{false}, states()); diff != "" {
			t.Errorf("group whose second address is here (-want +got):\n%s", diff)
		}
		r.machine.move("192.0.2.3")
		synctest.Wait()
		if diff := cmp.Diff([]bool{true}, states()); diff != "" {
			t.Errorf("group none of whose addresses is here (-want +got):\n%s", diff)
		}
		r.stop(t)
	})
}
