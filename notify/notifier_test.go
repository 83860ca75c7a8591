package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// fakeScripts starts scripts that end as their first word says: ok, bad, or
// hang until they are ended. One called refused does not start, and after full
// ones none starts.
type fakeScripts struct {
	full int

	mu      sync.Mutex // guards started
	started []string
}

type fakeProcess struct {
	ctx  context.Context
	name string
}

func (f *fakeScripts) start(ctx context.Context, s model.Script) (process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := s.Argv[0]
	if name == "refused" {
		return nil, refused(errors.New("not there"))
	}
	if f.full > 0 && len(f.started) >= f.full {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, ctx.Err()
	}
	f.started = append(f.started, strings.Join(s.Argv, " "))
	return fakeProcess{ctx, name}, nil
}

func (p fakeProcess) Wait(outcome func(model.ScriptResult)) {
	switch p.name {
	case "ok":
		outcome(model.ScriptResult{Took: time.Second})
	case "bad":
		outcome(model.ScriptResult{Exit: 2, Output: "why", Took: time.Second})
	default:
		<-p.ctx.Done()
	}
}

// startNotifier runs a notifier with fake scripts until the returned function
// is called, which says how long stopping took.
func startNotifier(t *testing.T, o Options, f *fakeScripts) (n *Notifier, stop func() time.Duration) {
	t.Helper()
	n, err := newNotifier(o, f.start)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return n, func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		return time.Since(began)
	}
}

func script(words ...string) *model.Script { return &model.Script{Argv: words} }

func instance(state State) Transition {
	return Transition{Object: Instance, Name: "V", State: state, Priority: 100}
}

// TestScriptsKeepOrder starts scripts in the order of the events although all
// of them hang, and ends them when they have had their grace.
func TestScriptsKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeScripts{}
		n, stop := startNotifier(t, Options{}, f)
		all := Scripts{Master: script("hang", "m"), Backup: script("hang", "b"), Generic: script("hang", "g")}
		n.Transition(instance(Backup), all, true)
		n.Transition(instance(Master), all, true)
		n.Transition(instance(MasterPriority), all, true)
		n.Service(ServiceChange{Service: "s", Up: true}, script("hang", "quorum_up"), true)
		n.Server(ServerChange{Server: "r", Service: "s"}, script("hang", "notify_down"), true)
		n.Server(ServerChange{Server: "r", Service: "s"}, nil, true)
		synctest.Wait()
		want := []string{
			"hang b", "hang g INSTANCE V BACKUP 100", "hang m", "hang g INSTANCE V MASTER 100",
			"hang quorum_up", "hang notify_down",
		}
		if diff := cmp.Diff(want, f.started); diff != "" {
			t.Errorf("scripts (-want +got):\n%s", diff)
		}
		if got, want := n.Stats().Scripts, (ScriptStats{Started: 6, Running: 6}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		if took := stop(); took != DefaultGrace {
			t.Errorf("stopping took %v, want %v", took, DefaultGrace)
		}
		if got, want := n.Stats().Scripts, (ScriptStats{Started: 6, Failed: 6}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

// TestStopRunsWhatIsQueued tells events before Run and stops at once.
func TestStopRunsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeScripts{}
		n, err := newNotifier(Options{}, f.start)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			n.Transition(Transition{Object: Instance, Name: fmt.Sprint(i), State: Stop}, Scripts{Stop: script("ok")}, false)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := n.Run(ctx); err != nil || time.Since(began) != 0 {
			t.Errorf("Run = %v after %v, want nil at once", err, time.Since(began))
		}
		if len(f.started) != 50 {
			t.Errorf("%d scripts started, want 50", len(f.started))
		}
	})
}

// TestScriptsNeverBlock fills the runner and then the queue.
func TestScriptsNeverBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeScripts{full: 2}
		var log bytes.Buffer
		n, stop := startNotifier(t, Options{
			Queue: 3, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: dropTime})),
		}, f)
		began := time.Now()
		for range 10 {
			n.Transition(instance(Master), Scripts{Master: script("hang")}, false)
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("telling took %v", took)
		}
		// Two run, one waits for its turn, three are queued.
		if got, want := n.Stats().Scripts, (ScriptStats{Started: 2, Running: 2, Dropped: 4}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		if got := strings.Count(log.String(), "queue is full"); got != 1 {
			t.Errorf("the log says %d times that the queue is full, want once:\n%s", got, &log)
		}
		if took := stop(); took != DefaultGrace {
			t.Errorf("stopping took %v, want %v", took, DefaultGrace)
		}
	})
}

func TestScriptLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n, stop := startNotifier(t, Options{
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: dropTime})),
		}, &fakeScripts{})
		for _, name := range []string{"ok", "refused", "bad"} {
			n.Transition(instance(Master), Scripts{Master: script(name)}, false)
			synctest.Wait()
		}
		stop()
		const want = `level=ERROR msg="notify script not started" event="INSTANCE \"V\" MASTER 100" script=refused error="not there"
level=WARN msg="notify script failed" event="INSTANCE \"V\" MASTER 100" script=bad result="exit status 2" took=1s output=why
`
		if log.String() != want {
			t.Errorf("log:\n%swant:\n%s", &log, want)
		}
		if got, want := n.Stats().Scripts, (ScriptStats{Started: 2, Failed: 2}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

// TestNotifierMail sends mail only where it is wanted and has a subject.
func TestNotifierMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mailServer{}
		n, stop := startNotifier(t, Options{Mail: NewMailer(mailOptions(s))}, &fakeScripts{})
		fault := instance(Deleted)
		fault.Reason = "removed by a reload"
		for _, tell := range []func(){
			func() { n.Transition(fault, Scripts{}, true) },
			func() { n.Transition(Transition{Object: Group, Name: "G", State: Master}, Scripts{}, true) },
			func() { n.Transition(instance(Master), Scripts{}, false) },
			func() { n.Transition(instance(MasterPriority), Scripts{}, true) },
			func() { n.Service(ServiceChange{Service: "vs", Reason: "quorum lost"}, nil, true) },
			func() { n.Service(ServiceChange{Service: "vs"}, nil, false) },
			func() { n.Server(ServerChange{Server: "rs", Service: "vs", Up: true}, nil, true) },
			func() { n.Server(ServerChange{Server: "rs", Service: "vs"}, nil, false) },
		} {
			tell()
			synctest.Wait()
		}
		stop()
		s.conns.Wait()
		var got []string
		for _, text := range s.heard {
			if _, after, ok := strings.Cut(text, "Subject: "); ok {
				subject, _, _ := strings.Cut(after, "\r\n")
				_, body, _ := strings.Cut(after, "\r\n\r\n")
				got = append(got, subject, strings.ReplaceAll(body, "\r\n", "|"))
			}
		}
		want := []string{
			"[ROUTER1] VRRP Instance V - Entering FAULT state", "VRRP instance V: FAULT, priority 100|Reason: removed by a reload|",
			"[ROUTER1] VRRP Group G - Entering MASTER state", "VRRP sync group G: MASTER|",
			"[ROUTER1] Virtualserver vs - DOWN", "Virtual server vs is DOWN|Reason: quorum lost|",
			"[ROUTER1] Realserver rs of virtual server vs - UP", "Real server rs of virtual server vs is UP|",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mails (-want +got):\n%s", diff)
		}
		if got := n.Stats().Mail; got != (MailStats{Sent: 4}) {
			t.Errorf("stats = %+v, want 4 sent", got)
		}
	})
}

// TestNotifierFIFOs runs real FIFOs with real scripts that read them.
func TestNotifierFIFOs(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	fifo := func(name string, a Audience) FIFO {
		if err := unix.Mkfifo(path(name)+".ready", 0o600); err != nil {
			t.Fatal(err)
		}
		// The path of the FIFO comes as the last argument.
		reader := script(shell, "-c", `exec 3<"$1"; echo >"$1.ready"; exec cat <&3 >"$1.read"`, "reader")
		return FIFO{Path: path(name), Audience: a, Script: reader}
	}
	file := path("file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runner := newRunner(t, RunnerOptions{DiscardOutput: true})
	n, err := New(Options{
		Runner: runner, Grace: time.Minute,
		FIFOs: []FIFO{fifo("all", Everything), {Path: file}, fifo("vrrp", OnlyVRRP), fifo("lvs", OnlyLVS)},
	})
	if err == nil || err.Error() != "open fifo "+file+": it is not a FIFO" {
		t.Errorf("New = %v, want an error about the file", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.Transition(instance(Master), Scripts{}, false)
	n.Service(ServiceChange{Service: "vs", Up: true}, nil, false)
	n.Transition(instance(MasterRxLowerPri), Scripts{}, false)
	n.Server(ServerChange{Server: "rs", Service: "vs"}, nil, false)
	// The readers open the FIFO by its name, which is gone after the end.
	for _, name := range []string{"all", "vrrp", "lvs"} {
		if _, err := os.ReadFile(path(name) + ".ready"); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	const master, lower = "INSTANCE \"V\" MASTER 100\n", "INSTANCE \"V\" MASTER_RX_LOWER_PRI 100\n"
	const vs, rs = "VS vs UP\n\x00", "RS rs vs DOWN\n\x00"
	for name, want := range map[string]string{"all": master + vs + lower + rs, "vrrp": master + lower, "lvs": vs + rs} {
		text, err := os.ReadFile(path(name) + ".read")
		if string(text) != want || err != nil {
			t.Errorf("the reader of %s got %q, %v, want %q", name, text, err, want)
		}
	}
	want := []FIFOStats{{path("all"), 4, 0}, {path("vrrp"), 2, 0}, {path("lvs"), 2, 0}}
	if diff := cmp.Diff(want, n.Stats().FIFOs); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}
