package notify

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

const (
	// DefaultQueue bounds the scripts, and the lines of each FIFO, that wait.
	DefaultQueue = 1000
	// DefaultGrace is how long scripts and FIFOs may take at the stop, about
	// as long as keepalived's.
	DefaultGrace = time.Second
)

// Options configure a Notifier.
type Options struct {
	// Runner runs notify scripts and the readers of FIFOs. It is required, is
	// not the one that runs checks, since what hangs here must not delay those,
	// and discards output: see the package comment.
	Runner *Runner
	// FIFOs are created by New; optional, default none.
	FIFOs []FIFO
	// Mail sends mail; optional, default none is sent.
	Mail *Mailer
	// Queue bounds the scripts, and the lines of each FIFO, that wait;
	// optional, default DefaultQueue.
	Queue int
	// Grace bounds what scripts and FIFOs take after the end of Run's context;
	// optional, default DefaultGrace.
	Grace time.Duration
	// Log gets a line for each script that fails and for each time of want;
	// optional, default discards.
	Log *slog.Logger
}

// Notifier tells events to scripts, FIFOs and mail, in this order and each in
// the order of the events. Its methods may be called from any goroutine and
// never block. What they are told is carried out by Run.
type Notifier struct {
	opts     Options
	launcher *launcher
	fifos    []*fifo
}

// New returns a notifier with its FIFOs opened. It leaves out FIFOs that
// cannot be used and returns why beside the notifier, which works without them.
func New(o Options) (*Notifier, error) {
	return newNotifier(o, func(ctx context.Context, s model.Script) (process, error) {
		p, err := o.Runner.Start(ctx, s)
		if err != nil {
			return nil, err
		}
		return p, nil
	})
}

func newNotifier(o Options, start startFunc) (*Notifier, error) {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := &Notifier{opts: o}
	n.launcher = &launcher{start: start, queue: newQueue[job](o.Queue, o.Log.With("queue", "scripts")), log: o.Log}
	var errs []error
	var opened []FIFO
	for _, f := range o.FIFOs {
		w, err := openFIFO(f, o.Queue, o.Log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n.fifos = append(n.fifos, w)
		opened = append(opened, f)
	}
	n.opts.FIFOs = opened
	return n, errors.Join(errs...)
}

// Run carries out what the notifier is told until ctx ends, and then what it
// was told before, as far as that is done within Grace. It removes the FIFOs
// that New created. It is called once.
func (n *Notifier) Run(ctx context.Context) error {
	for _, f := range n.opts.FIFOs {
		if f.Script != nil {
			n.launcher.queue.put(job{withArgs(*f.Script, f.Path), "fifo " + f.Path})
		}
	}
	var all sync.WaitGroup
	errs := make([]error, len(n.fifos)+1)
	all.Go(func() { n.launcher.run(ctx, n.opts.Grace) })
	for i, f := range n.fifos {
		all.Go(func() { errs[i] = f.run(ctx, n.opts.Grace) })
	}
	if n.opts.Mail != nil {
		all.Go(func() { errs[len(n.fifos)] = n.opts.Mail.Run(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Transition tells of a change of an instance or group, with its scripts. Mail
// says whether the configuration wants mail of it (smtp_alert).
func (n *Notifier) Transition(t Transition, s Scripts, mail bool) {
	t = s.Adjust(t)
	event := strings.TrimSuffix(t.Line(), "\n")
	for _, script := range s.For(t) {
		n.launcher.queue.put(job{script, event})
	}
	n.line(t.Line(), OnlyVRRP)
	if mail {
		n.mail(t.Subject(), t.body())
	}
}

// Service tells of a virtual service's quorum. Script is quorum_up or
// quorum_down, or nil.
func (n *Notifier) Service(c ServiceChange, script *model.Script, mail bool) {
	n.change(c.Line(), script)
	if mail {
		n.mail(c.Subject(), changeBody("Virtual server "+c.Service, c.Up, c.Reason))
	}
}

// Server tells of a real server. Script is notify_up or notify_down, or nil.
func (n *Notifier) Server(c ServerChange, script *model.Script, mail bool) {
	n.change(c.Line(), script)
	if mail {
		n.mail(c.Subject(), changeBody("Real server "+c.Server+" of virtual server "+c.Service, c.Up, c.Reason))
	}
}

func (n *Notifier) change(line string, script *model.Script) {
	if script != nil {
		n.launcher.queue.put(job{*script, strings.TrimRight(line, "\n\x00")})
	}
	n.line(line, OnlyLVS)
}

// line queues a line for the FIFOs of an audience.
func (n *Notifier) line(line string, a Audience) {
	for i, f := range n.fifos {
		if wants := n.opts.FIFOs[i].Audience; wants == Everything || wants == a {
			f.queue.put(line)
		}
	}
}

func (n *Notifier) mail(subject, body string) {
	if n.opts.Mail != nil && subject != "" {
		n.opts.Mail.Post(Message{Subject: subject, Body: body})
	}
}

// Stats is what a notifier has done so far.
type Stats struct {
	Scripts ScriptStats
	FIFOs   []FIFOStats
	Mail    MailStats
}

// FIFOStats counts the lines of one FIFO.
type FIFOStats struct {
	Path string
	// Written lines are in the FIFO; Lost ones found their queue full or could
	// not be written.
	Written, Lost uint64
}

// Stats returns the counters.
func (n *Notifier) Stats() Stats {
	s := Stats{Scripts: n.launcher.snapshot()}
	for _, f := range n.fifos {
		written, lost := f.stats()
		s.FIFOs = append(s.FIFOs, FIFOStats{f.path, written, lost})
	}
	if n.opts.Mail != nil {
		s.Mail = n.opts.Mail.Stats()
	}
	return s
}
