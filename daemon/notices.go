package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// noticesWait bounds the notices that wait while a notifier takes another's
// place.
const noticesWait = 1000

// notices tells the world outside as the running configuration says. Its
// methods may be called from any goroutine and do not block, but for close.
//
// FIFOs belong to one notifier at a time, so with other settings the old one
// ends first; what is to be told meanwhile waits.
type notices struct {
	log    *slog.Logger
	before func() error // see notify.RunnerOptions
	// running are the notifiers that run.
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	settings noticeSettings
	// current is nil while nobody can be told, and closed when it shall be so.
	current *notifying
	closed  bool
	waiting []func(*notify.Notifier)
	errs    []error
}

// noticeSettings is what a notifier is made of.
type noticeSettings struct {
	routerID string
	scripts  model.ScriptSettings
	fifos    model.FIFOs
	mail     *model.Mail
}

// notifying is a notifier that runs.
type notifying struct {
	*notify.Notifier
	stop  context.CancelFunc
	ended chan struct{}
}

func noticeSettingsOf(g model.Global) noticeSettings {
	s := noticeSettings{routerID: g.RouterID, scripts: g.Scripts, fifos: g.FIFOs, mail: g.Mail}
	s.scripts.Pos = model.Position{}
	for _, f := range []**model.FIFO{&s.fifos.All, &s.fifos.VRRP, &s.fifos.LVS} {
		if *f != nil {
			without := **f
			without.Pos = model.Position{}
			if without.Script != nil {
				script := *without.Script
				script.Pos = model.Position{}
				without.Script = &script
			}
			*f = &without
		}
	}
	if s.mail != nil {
		without := *s.mail
		without.Pos = model.Position{}
		s.mail = &without
	}
	return s
}

// newNotices returns notices that tell as g says.
func newNotices(g model.Global, before func() error, log *slog.Logger) *notices {
	n := &notices{log: log, before: before, settings: noticeSettingsOf(g)}
	n.start()
	return n
}

// configure puts other settings in force.
func (n *notices) configure(g model.Global) {
	settings := noticeSettingsOf(g)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || reflect.DeepEqual(settings, n.settings) {
		return
	}
	n.settings = settings
	old := n.current
	if old == nil {
		return // the one that is about to start takes them
	}
	n.current = nil
	n.running.Go(func() {
		old.stop()
		<-old.ended
		n.mu.Lock()
		defer n.mu.Unlock()
		n.start()
	})
}

// start starts a notifier. It needs n.mu, or nobody else who knows n.
func (n *notices) start() {
	runner, err := n.settings.runner(n.before, n.log)
	if err != nil {
		n.log.Error("notify scripts without a user run as nobody", "error", err)
		// Those with a user of their own can; nothing runs as root instead.
		nobody := notify.Account{UID: 65534, GID: 65534, Name: "nobody", Home: "/", Shell: "/bin/false"}
		runner = notify.NewRunner(notify.RunnerOptions{DefaultUser: nobody, DiscardOutput: true, Before: n.before, Log: n.log})
	}
	out, err := notify.New(notify.Options{Runner: runner, FIFOs: n.settings.list(n.log), Mail: n.settings.mailer(n.log), Log: n.log})
	if err != nil {
		n.log.Error("notify fifo left out", "error", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	now := &notifying{out, stop, make(chan struct{})}
	n.running.Go(func() {
		defer close(now.ended)
		err := errors.Join(out.Run(ctx), runner.Close())
		n.mu.Lock()
		defer n.mu.Unlock()
		n.errs = append(n.errs, err)
	})
	n.current = now
	for _, tell := range n.waiting {
		tell(out)
	}
	n.waiting = nil
	if n.closed {
		stop()
	}
}

// runner returns who runs notify scripts: not the one of checks, and one that
// discards output.
func (s noticeSettings) runner(before func() error, log *slog.Logger) (*notify.Runner, error) {
	account, err := scriptAccount(notify.SystemAccounts{}, s.scripts)
	if err != nil {
		return nil, err
	}
	return notify.NewRunner(notify.RunnerOptions{
		DefaultUser:         account,
		SupplementaryGroups: s.scripts.SupplementaryGroups,
		Security:            s.scripts.Security,
		KeepSymlinks:        s.scripts.KeepSymlinks,
		DiscardOutput:       true,
		Before:              before,
		Log:                 log,
	}), nil
}

// list returns the FIFOs. One whose owner does not exist is left out.
func (s noticeSettings) list(log *slog.Logger) (list []notify.FIFO) {
	for _, f := range []struct {
		*model.FIFO
		audience notify.Audience
	}{{s.fifos.All, notify.Everything}, {s.fifos.VRRP, notify.OnlyVRRP}, {s.fifos.LVS, notify.OnlyLVS}} {
		if f.FIFO == nil {
			continue
		}
		out := notify.FIFO{Path: f.Path, Audience: f.audience, Script: f.Script}
		if f.User != "" {
			owner, err := notify.LookupAccount(notify.SystemAccounts{}, f.User, f.Group, false)
			if err != nil {
				log.Error("notify fifo left out", "error", fmt.Errorf("find the owner of %s: %w", f.Path, err))
				continue
			}
			out.Owner = &owner
		}
		list = append(list, out)
	}
	return list
}

func (s noticeSettings) mailer(log *slog.Logger) *notify.Mailer {
	if s.mail == nil {
		return nil
	}
	return notify.NewMailer(notify.MailOptions{
		Server: s.mail.Server, RouterID: s.routerID, From: s.mail.From, To: s.mail.To,
		HELO: s.mail.HELO, Timeout: s.mail.Timeout, Log: log,
	})
}

// Transition implements failover.Notifier.
func (n *notices) Transition(t notify.Transition, s notify.Scripts, mail bool) {
	n.tell(func(out *notify.Notifier) { out.Transition(t, s, mail) })
}

// Service tells of a service's quorum.
func (n *notices) Service(c notify.ServiceChange, script *model.Script, mail bool) {
	n.tell(func(out *notify.Notifier) { out.Service(c, script, mail) })
}

// Server tells of a real server.
func (n *notices) Server(c notify.ServerChange, script *model.Script, mail bool) {
	n.tell(func(out *notify.Notifier) { out.Server(c, script, mail) })
}

func (n *notices) tell(tell func(*notify.Notifier)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.current != nil:
		tell(n.current.Notifier)
	case len(n.waiting) < noticesWait:
		n.waiting = append(n.waiting, tell)
	default:
		n.log.Error("notice lost")
	}
}

// close tells what is left to tell, for a bounded time.
func (n *notices) close() error {
	n.mu.Lock()
	n.closed = true
	if n.current != nil {
		n.current.stop()
	}
	n.mu.Unlock()
	n.running.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.errs...)
}
