//go:build netns

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestPairOfDaemons: two daemons with nothing but VRRP elect a master; the other
// one takes over when it is killed, and when it stops.
func TestPairOfDaemons(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	first := a.start(instance(150), alone)
	a.await("MASTER")
	b.start(instance(100))
	p.awaitOwner(a)
	labtest.Until(t, "the backup hears the master", func() bool { return b.instance().Master == "10.91.0.1" })
	got := b.instance()
	if got.State != "BACKUP" || got.Reason != "started" || got.MasterPriority != 150 || b.has() {
		t.Errorf("backup: %+v", got)
	}
	if got := a.instance(); got.Why.Code != "silence" || got.Placed != 1 || got.Priority != 150 || got.Counters["become_master"] != 1 {
		t.Errorf("master: %+v", got)
	}
	for _, args := range [][]string{{"vrrp"}, {"status"}} {
		if got := a.call(args...); got.Code != 0 || !strings.Contains(got.Stdout, "MASTER") || !strings.Contains(got.Stdout, "no master heard for") {
			t.Errorf("evenkeel %v: exit code %d\n%s%s", args, got.Code, got.Stdout, got.Stderr)
		}
	}

	first.End(syscall.SIGKILL)
	b.await("MASTER")
	p.awaitOwner(b)
	if got := b.instance().Why; got.Code != "silence" || got.Peer != "10.91.0.1" {
		t.Errorf("after the kill: %+v", got)
	}
	second := a.start(instance(150))
	a.await("MASTER")
	b.await("BACKUP")
	b.awaitAddr(false)
	p.awaitOwner(a)

	if code := second.End(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, second.Log())
	}
	if a.has() {
		t.Error("the stop left the address behind")
	}
	b.await("MASTER")
	p.awaitOwner(b)
	if got := b.instance(); got.Why.Code != "master_resigned" || got.Counters["pri_zero_rcvd"] == 0 {
		t.Errorf("after the stop: %+v", got)
	}
}

// TestReloadOfVRRP: SIGHUP changes what differs and nothing else.
func TestReloadOfVRRP(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	d := a.start(instance(150))
	a.await("MASTER")
	b.start(instance(100))
	p.awaitOwner(a)
	since := a.instance().Since

	a.write(instance(120))
	d.Signal(syscall.SIGHUP)
	labtest.Until(t, "the new priority", func() bool { return a.instance().Priority == 120 })
	if got := a.instance(); got.State != "MASTER" || !got.Since.Equal(since) {
		t.Errorf("the reload disturbed the master: %+v", got)
	}
	a.write(instance(90))
	d.Signal(syscall.SIGHUP)
	b.await("MASTER")
	a.await("BACKUP")
	p.awaitOwner(b)

	// Another virtual router in its place: nothing is left of the first.
	a.write(strings.Replace(strings.Replace(instance(90), "router_id 51", "router_id 52", 1), routerVIP, "10.91.0.101", 1))
	d.Signal(syscall.SIGHUP)
	labtest.Until(t, "the other instance is there", func() bool {
		all := a.vrrp().Instances // none while one is replaced
		return len(all) == 1 && all[0].VRID == 52
	})
	a.await("MASTER")
	if a.has() {
		t.Error("the address of the first is still there")
	}
}

// patient lets a backup wait, so that only a word of the master makes it move.
const patient = "down_timer_adverts 50"

// TestReloadOfDamagedFiles: whatever is wrong with the file, the state and the
// single owner stay. The rows are those that were measured with keepalived
// 2.2.7, of which four ended in two owners and two in a handover.
func TestReloadOfDamagedFiles(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	good := instance(150, patient)
	with := func(old, changed string) string { return strings.Replace(good, old, changed, 1) }
	d := a.start(good)
	a.await("MASTER")
	b.start(instance(100, patient))
	p.awaitOwner(a)
	labtest.Until(t, "the backup hears the master", func() bool { return b.instance().Master == "10.91.0.1" })
	master, backup := a.instance(), b.instance()

	for _, tt := range []struct {
		name, text string // no text: the file is deleted
		refused    bool
		says       string
	}{
		{"interface does not exist", with("interface eth0", "interface eth9"), true, "eth9 does not exist"},
		{"VRID 0", with("router_id 51", "router_id 0"), true, "virtual_router_id"},
		{"the same VRID twice", good + strings.Replace(good, "vrrp_instance VI", "vrrp_instance VI_2", 1), true, "VI"},
		{"VIP out of range", with(routerVIP, "10.91.0.999"), true, "10.91.0.999"},
		{"empty", "\n", true, ""},
		{"deleted", "", true, "no such file"},
		{"only global_defs", "global_defs {\n}\n", true, "neither a service nor a VRRP instance"},
		{"priority abc", with("priority 150", "priority abc"), true, "priority"},
		{"unknown keyword", with("priority 150", "priority 150\n  prioritee 7"), false, ""},
		{"missing closing brace", strings.TrimSuffix(strings.TrimSpace(good), "}"), true, ""},
		{"missing include", good + "include /nothing/of/this/name.conf\n", true, "/nothing/of/this/name.conf"},
		{"cut in the middle", good[:len(good)/2], true, ""},
		{"noise", "\x00\x01\xff{{{", true, ""},
		{"unchanged", good, false, ""},
	} {
		before := a.status()
		if tt.text == "" {
			p.check(os.Remove(a.file))
		} else {
			a.write(tt.text)
		}
		d.Signal(syscall.SIGHUP)
		var load *api.Load
		labtest.Until(t, tt.name+" is dealt with", func() bool {
			load = a.status().LastReload
			return load != nil && (before.LastReload == nil || load.At.After(before.LastReload.At))
		})
		if load.OK == tt.refused || !strings.Contains(load.Error, tt.says) {
			t.Errorf("%s: refused %t, want %t: %q", tt.name, !load.OK, tt.refused, load.Error)
		}
		if got := a.instance(); got.State != "MASTER" || !got.Since.Equal(master.Since) || got.Priority != 150 || !a.has() {
			t.Errorf("%s: the master is %+v", tt.name, got)
		}
		if !p.answers() || p.owner() != a.node.Name() {
			t.Errorf("%s: the address is with %q", tt.name, p.owner())
		}
	}
	got := b.instance()
	if !got.Since.Equal(backup.Since) || got.Counters["pri_zero_rcvd"] != 0 || got.Counters["become_master"] != 0 || b.has() {
		t.Errorf("the backup noticed: %+v", got)
	}
}

// TestRestartTakesOver: a kill leaves the address in place, and the next daemon
// is master where the first one was.
func TestRestartTakesOver(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	first := a.start(instance(150, patient), alone)
	a.await("MASTER")
	b.start(instance(100, patient))
	p.awaitOwner(a)
	watch := labtest.WatchAddresses(t, a.node)

	first.End(syscall.SIGKILL)
	if !a.has() || !p.answers() {
		t.Error("the kill took the address away")
	}
	a.start(instance(150, patient))
	if got := a.instance(); got.State != "MASTER" || got.Why.Code != "adopted" {
		t.Errorf("after the restart: %+v", got)
	}
	p.awaitOwner(a)
	if strings.Contains(watch.Log(), "Deleted") {
		t.Errorf("addresses went:\n%s", watch.Log())
	}
	if got := b.instance(); got.State != "BACKUP" || got.Counters["become_master"] != 0 {
		t.Errorf("the backup noticed: %+v", got)
	}
}
