package daemon

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// syncLines leaves what was asked of the sync daemons.
func syncLines(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "ipvs sync daemon") })
}

// The sync daemon follows its instance, is tried again when it cannot start, and
// ends with the daemon.
func TestSyncDaemonFollowsItsInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(inIPVS(vip, rs1))
		r.file.cfg.VRRP = instances("one", "two")
		r.file.cfg.Global.Sync = &model.SyncDaemon{Interface: "eth1", Instance: "one", ID: 51}
		r.run(t)
		becomes := func(name string, state notify.State, want ...string) {
			t.Helper()
			told := r.machine.routers.opt.Notifier
			told.Transition(notify.Transition{Object: notify.Instance, Name: name, State: state}, notify.Scripts{}, false)
			synctest.Wait()
			if diff := cmp.Diff(want, syncLines(r.take())); diff != "" {
				t.Errorf("%s is %s (-want +got):\n%s", name, state, diff)
			}
		}
		const master, backup = "ipvs sync daemon master on eth1, id 51", "ipvs sync daemon backup on eth1, id 51"
		if diff := cmp.Diff([]string{backup}, syncLines(r.take())); diff != "" {
			t.Errorf("start (-want +got):\n%s", diff)
		}
		becomes("one", notify.Master, master)
		becomes("two", notify.Backup, master)
		becomes("one", notify.MasterPriority)
		if got := r.status(t).Datapath.IPVS.SyncDaemon; got != "master on eth1, id 51" {
			t.Errorf("status says %q", got)
		}
		becomes("one", notify.Fault, backup)

		r.machine.ipvs.syncFails.Store(true)
		becomes("one", notify.Master, master)
		if got := r.status(t).Datapath.IPVS.SyncDaemon; got != "not started: no such device" {
			t.Errorf("status says %q", got)
		}
		r.machine.ipvs.syncFails.Store(false)
		time.Sleep(syncAgain)
		synctest.Wait()
		if got := r.status(t).Datapath.IPVS.SyncDaemon; got != "master on eth1, id 51" {
			t.Errorf("after another try status says %q", got)
		}
		r.take()
		r.stop(t)
		if diff := cmp.Diff([]string{"ipvs sync daemon "}, syncLines(r.take())); diff != "" {
			t.Errorf("stop (-want +got):\n%s", diff)
		}
	})
}

// Without an instance it does both; without IPVS the status says so, and the
// services run.
func TestSyncDaemonWithoutInstanceOrIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ipvsRig(inIPVS(vip, rs1))
		r.file.cfg.Global.Sync = &model.SyncDaemon{Interface: "eth1", ID: 7}
		r.run(t)
		want := []string{"ipvs sync daemon master on eth1, id 7; backup on eth1, id 7"}
		if diff := cmp.Diff(want, syncLines(r.take())); diff != "" {
			t.Errorf("start (-want +got):\n%s", diff)
		}
		r.stop(t)

		r = newRig(virtual(vip, rs1))
		r.file.cfg.Global.Sync = &model.SyncDaemon{Interface: "eth1"}
		r.run(t)
		if got := r.status(t).Datapath.IPVS.SyncDaemon; got != "not started: there is no IPVS" {
			t.Errorf("status says %q", got)
		}
		r.stop(t)
	})
}
