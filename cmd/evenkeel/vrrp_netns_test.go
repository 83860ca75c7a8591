//go:build netns

package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestPairOfDaemons: two daemons with nothing but VRRP elect a master; the other
// one takes over when it is killed, and when it stops.
func TestPairOfDaemons(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	first := a.start(instance(150))
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

	// Without the instance nothing is left of it.
	a.write("global_defs {\n}\n")
	d.Signal(syscall.SIGHUP)
	labtest.Until(t, "the instance is gone", func() bool { return len(a.vrrp().Instances) == 0 })
}
