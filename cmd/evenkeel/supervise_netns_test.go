//go:build netns

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// workerOf waits for a worker of a supervising process that is not the one
// given, and returns its number.
func workerOf(t *testing.T, d *labtest.Process, not int) (pid int) {
	t.Helper()
	labtest.Until(t, "there is a worker", func() bool {
		if d.Ended() {
			t.Fatalf("the supervising process ended:\n%s", d.Log())
		}
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range lists {
			text, _ := os.ReadFile(list) // a thread may have ended
			for _, field := range strings.Fields(string(text)) {
				if n, err := strconv.Atoi(field); err == nil && n != not {
					pid = n
					return true
				}
			}
		}
		return false
	})
	return pid
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

// dialog sends packets to an echo service, one after the other, and counts those
// that do not come back.
type dialog struct {
	stop       chan struct{}
	done       sync.WaitGroup
	sent, lost int
}

func startDialog(t *testing.T, from *lab.Node, to string) *dialog {
	t.Helper()
	c, err := from.Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialog{stop: make(chan struct{})}
	d.done.Go(func() {
		defer c.Close()
		for {
			select {
			case <-d.stop:
				return
			case <-time.After(time.Millisecond):
			}
			d.sent++
			if !echoed(c, fmt.Sprint("packet ", d.sent)) {
				d.lost++
			}
		}
	})
	return d
}

func echoed(c net.Conn, text string) bool {
	back := make([]byte, 100)
	if _, err := c.Write([]byte(text)); err != nil {
		return false
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	n, err := c.Read(back)
	return err == nil && string(back[:n]) == text
}

// end returns how many packets were sent and lost.
func (d *dialog) end() (sent, lost int) {
	close(d.stop)
	d.done.Wait()
	return d.sent, d.lost
}

// TestKilledWorker: a worker that is killed is started again and goes on as
// master; neither clients nor the backup notice. Signals to the supervising
// process reach each worker.
func TestKilledWorker(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	pidFile := filepath.Join(t.TempDir(), "evenkeel.pid")
	d := a.start(instance(150, patient), "--pid", pidFile)
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != fmt.Sprintf("%d\n", d.PID()) {
		t.Errorf("the pid file holds %q, %v, want %d", text, err, d.PID())
	}
	a.await("MASTER")
	b.start(instance(100, patient))
	p.awaitOwner(a)
	echo, err := a.node.ServeUDPEcho(routerVIP + ":7")
	p.check(err)
	defer echo.Close()
	watch := labtest.WatchAddresses(t, a.node)
	traffic := startDialog(t, p.client, routerVIP+":7")

	worker := workerOf(t, d, 0)
	a.dumped(d, syscall.SIGUSR1, "keepalived.data")
	for n := 1; n <= 3; n++ {
		kill(t, worker)
		worker = workerOf(t, d, worker)
		labtest.Until(t, "the new worker answers", func() bool { return a.call("vrrp").Code == 0 })
		if got := a.instance(); got.State != "MASTER" || got.Why.Code != "adopted" {
			t.Errorf("after kill %d: %+v", n, got)
		}
	}
	p.awaitOwner(a)
	sent, lost := traffic.end()
	if sent == 0 || lost != 0 {
		t.Errorf("%d of %d packets were lost", lost, sent)
	}
	if strings.Contains(watch.Log(), "Deleted") {
		t.Errorf("addresses went:\n%s", watch.Log())
	}
	if got := b.instance(); got.State != "BACKUP" || got.Counters["become_master"] != 0 {
		t.Errorf("the backup noticed: %+v", got)
	}
	if log := d.Log(); strings.Count(log, `cause="killed by signal 9 (killed)"`) != 3 || !strings.Contains(log, "next_start_in=0s") {
		t.Errorf("the log does not say what happened:\n%s", log)
	}

	// The last worker gets signals as the first one did.
	a.dumped(d, syscall.SIGUSR2, "keepalived.stats")
	a.dumped(d, signalJSON, "keepalived.json")
	a.write(instance(160, patient))
	d.Signal(syscall.SIGHUP)
	labtest.Until(t, "the reload", func() bool { return a.instance().Priority == 160 })
	if code := d.End(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, d.Log())
	}
	if a.has() {
		t.Error("the stop left the address behind")
	}
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("the stop left the pid file behind: %v", err)
	}
}

// TestKilledSupervisor: without its parent the worker hands over and ends, and
// the next start finds nothing in its way.
func TestKilledSupervisor(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	d := a.start(instance(150, patient))
	a.await("MASTER")
	b.start(instance(100, patient))
	p.awaitOwner(a)
	kill(t, d.PID())
	b.await("MASTER")
	if got := b.instance(); got.Why.Code != "master_resigned" {
		t.Errorf("the new master: %+v", got)
	}
	a.awaitAddr(false)
	labtest.Until(t, "the worker has ended", func() bool { return a.call("vrrp").Code == 3 })
	a.start(instance(150, patient))
	a.await("MASTER")
}

// TestCrashLoop: a worker that dies again and again is started again after a
// pause, and a stop does not wait for its end.
func TestCrashLoop(t *testing.T) {
	p := newPair(t)
	a := p.routers[0]
	d := a.start(instance(150))
	a.await("MASTER")
	worker := 0
	labtest.Until(t, "restarts are slower", func() bool {
		worker = workerOf(t, d, worker)
		kill(t, worker)
		return strings.Contains(d.Log(), "next_start_in=400ms")
	})
	if code := d.End(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, d.Log())
	}
	if a.has() {
		t.Error("the stop left the address behind")
	}
}

// TestLastGoodConfiguration: a worker that is killed after its file was broken is
// followed by one with the configuration that had run well. A reload of a file
// that is mended ends that.
func TestLastGoodConfiguration(t *testing.T) {
	p := newPair(t)
	a := p.routers[0]
	d := a.start(instance(150))
	a.await("MASTER")
	kept := string(lastGoodFile(a.sock))
	labtest.Until(t, "the configuration has run well", func() bool {
		_, err := os.Stat(kept)
		return err == nil
	})
	a.write("vrrp_instance VI {\n")
	worker := workerOf(t, d, 0)
	kill(t, worker)
	workerOf(t, d, worker) // the killed one answers no more
	var got api.Load
	labtest.Until(t, "a worker runs the last good configuration", func() bool {
		if a.call("vrrp").Code != 0 {
			return false
		}
		got = a.status().Running
		return got.LastGood != ""
	})
	if got.LastGood != "a worker could not start: exit code 4" || got.Instances != 1 {
		t.Errorf("it runs %+v", got)
	}
	a.await("MASTER")
	if out := a.call("status"); !strings.Contains(out.Stdout, "NOT the file: what last ran well, because a worker could not start") {
		t.Errorf("the status does not say so:\n%s", out.Stdout)
	}
	if log := d.Log(); !strings.Contains(log, "the configuration that last ran well runs, not that of the file") {
		t.Errorf("the log does not say so:\n%s", log)
	}

	a.write(instance(140))
	d.Signal(syscall.SIGHUP)
	labtest.Until(t, "the reload", func() bool { return a.status().Running.LastGood == "" })
	if got := a.instance(); got.Priority != 140 {
		t.Errorf("priority %d, want 140", got.Priority)
	}
	if code := d.End(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, d.Log())
	}
	if _, err := os.Stat(kept); !os.IsNotExist(err) {
		t.Errorf("the stop left %s behind: %v", kept, err)
	}
}

// TestKilledWorkerBalances: connections and new requests go through XDP while
// the worker is killed and the next one takes over.
func TestKilledWorkerBalances(t *testing.T) {
	s := newSite(t, lab.DR)
	s.configure("DR")
	d := s.start()
	s.ready(3)
	s.balanced(2)
	started := s.status().Started
	kill(t, workerOf(t, d, 0))
	s.balanced(2)
	s.until("another worker answers", func() bool {
		return s.call("status").Code == 0 && !s.status().Started.Equal(started)
	})
	if !s.status().Datapath.Adopted {
		t.Error("the second worker made a new datapath")
	}
	s.ready(3)
	s.balanced(2)
	if code := d.End(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, d.Log())
	}
	if s.pinned() {
		t.Error("the stop left pins behind")
	}
}
