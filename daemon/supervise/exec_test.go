package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asWorker makes the test binary a worker that ends as signals say.
const asWorker = "be-a-worker"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asWorker {
		os.Exit(work())
	}
	os.Exit(m.Run())
}

func work() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2)
	parent, err := Join()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 90
	}
	comm, _ := os.ReadFile("/proc/self/comm") // empty shows in the test
	for _, state := range []string{Listening, "READY=1\nSTATUS=" + strings.TrimSpace(string(comm)) + " " + os.Getenv("NOTIFY_SOCKET") + os.Getenv(lastGoodVariable) + parent.LastGood()} {
		if err := parent.Tell(state); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 91
		}
	}
	select {
	case sig := <-signals:
		switch sig {
		case syscall.SIGUSR1:
			_ = unix.Kill(os.Getpid(), unix.SIGKILL) // it cannot fail
		case syscall.SIGUSR2:
			return 5
		}
		return 0
	case <-parent.Lost():
		return 92
	}
}

// TestExec: real workers are heard, get signals, and end as they do.
func TestExec(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@nobody")
	t.Setenv(lastGoodVariable, "of somebody else")
	const why = "because"
	for _, tt := range []struct {
		sig  syscall.Signal
		want End
	}{
		{syscall.SIGTERM, End{}},
		{syscall.SIGUSR1, End{Signal: syscall.SIGKILL}},
		{syscall.SIGUSR2, End{Code: 5}},
	} {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		w, err := Exec([]string{exe[:strings.LastIndex(exe, "/")+1] + "steady", asWorker})(why)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-w.Told(); got != Listening {
			t.Errorf("first it says %q, want %q", got, Listening)
		}
		if got, want := <-w.Told(), "READY=1\nSTATUS=steady "+why; got != want {
			t.Errorf("then it says %q, want %q", got, want)
		}
		if err := w.Signal(tt.sig); err != nil {
			t.Error(err)
		}
		if got := <-w.Ended(); got != tt.want {
			t.Errorf("after %s: %v, want %v", tt.sig, got, tt.want)
		}
		for range w.Told() {
			t.Error("it says something after its end")
		}
		if err := w.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("a signal after the end: %v", err)
		}
	}
}

// TestLost: the worker sees the end of its parent, and misses no more than words
// while the parent does not listen.
func TestLost(t *testing.T) {
	ours, theirs, err := line()
	if err != nil {
		t.Fatal(err)
	}
	p := newParent(theirs)
	for {
		if err = p.Tell("WATCHDOG=1"); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("to a parent that does not listen: %v, want EAGAIN", err)
	}
	select {
	case <-p.Lost():
		t.Fatal("lost while the parent lives")
	default:
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.Lost()
	if err := p.Tell("WATCHDOG=1"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("to a dead parent: %v, want EPIPE", err)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"A=1", "NOTIFY_SOCKET=/run/x", "WATCHDOG_PID=3", "WATCHDOG_USEC=4", lastGoodVariable + "=x"}, "")
	if want := []string{"A=1", "WATCHDOG_USEC=4"}; !slices.Equal(got, want) {
		t.Errorf("environment = %q, want %q", got, want)
	}
}

// TestJoinWithoutParent: who is no worker has no line. Number 3 of this process
// is whatever the runtime made of it, and no such socket.
func TestJoinWithoutParent(t *testing.T) {
	if _, err := Join(); err == nil {
		t.Error("Join found a parent")
	}
}
