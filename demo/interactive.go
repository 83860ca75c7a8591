package demo

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// How often the interactive demo looks at the daemon and draws.
const (
	watchPause  = 100 * time.Millisecond
	redrawPause = 250 * time.Millisecond
)

// interactive shows the demo on a screen until somebody quits.
func (d *demo) interactive(ctx context.Context) error {
	s, err := d.open(ctx)
	if err == nil {
		err = d.show(ctx, s)
	}
	d.say("\nStopping the daemon and removing the namespaces.")
	left, shutErr := d.shut(s)
	if len(left) > 0 {
		d.say("Removed what was left: " + strings.Join(left, ", ") + ".")
	}
	if errors.Is(err, errInterrupted) {
		err = nil // Ctrl-C is a way to quit
	}
	return errors.Join(err, shutErr, d.broken)
}

// show runs the screen and then tells what happened.
func (d *demo) show(ctx context.Context, s *live) error {
	term, err := openTerminal(d.opts.Stdin, d.opts.Stdout)
	if err != nil {
		return err
	}
	b := &board{
		watcher: newWatcher(d.plan), stage: s, term: term,
		screen: screen{plan: d.plan, program: programName()},
		start:  time.Now(), done: make(chan error, 1),
	}
	if d.plan.peer() == PeerKeepalived {
		b.watcher.event(b.start, directorName(second)+" runs keepalived: while it is master, pings are answered and requests refused")
	}
	watched, cancel := s.watch(ctx)
	err = b.run(watched)
	cancel()
	err = errors.Join(err, term.close())
	d.say(b.watcher.summary() + packetsText(b.screen.status))
	return err
}

func packetsText(s api.Status) string {
	var b strings.Builder
	writePackets(&b, s.Packets, s.Reasons)
	return b.String()
}

// programName is how a reader calls this program.
func programName() string {
	path, err := os.Executable()
	if err != nil {
		return "evenkeel"
	}
	return path
}

// look is what was seen at a moment.
type look struct {
	at      time.Time
	holding holding
	// known is set when the master's daemon answered; table and status are
	// what it said.
	known  bool
	table  table
	status api.Status
	err    error
}

// board is the interactive demo while its screen is up.
type board struct {
	watcher *watcher
	stage   stage
	term    *terminal
	screen  screen
	start   time.Time
	// work are the goroutines. done gets the end of what a key began at a
	// director; busy is set meanwhile.
	work sync.WaitGroup
	done chan error
	busy bool
}

// run sends requests, watches the directors and obeys keys until q or the end of
// ctx, whose cause it then returns.
func (b *board) run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	outcomes, looks, keys := make(chan outcome), make(chan look), make(chan byte)
	t := probes(b.stage.Request, len(b.watcher.plan.services))
	defer b.work.Wait()
	defer cancel()
	b.work.Go(func() {
		t.run(inner, 0, nil, func(o outcome) {
			select {
			case outcomes <- o:
			case <-inner.Done():
			}
		})
	})
	b.work.Go(func() { watch(inner, b.stage, looks) })
	b.work.Go(func() { b.term.readKeys(inner, keys) })
	return b.loop(ctx, outcomes, looks, keys)
}

func (b *board) loop(ctx context.Context, outcomes <-chan outcome, looks <-chan look, keys <-chan byte) error {
	redraw := time.NewTicker(redrawPause)
	defer redraw.Stop()
	for {
		select {
		case o := <-outcomes:
			b.watcher.asked(o)
		case l := <-looks:
			if l.err != nil {
				return because(ctx, l.err)
			}
			b.watcher.looked(l)
			if l.known {
				b.screen.status = l.status
			}
		case err := <-b.done:
			b.busy = false
			if err != nil {
				return because(ctx, err)
			}
		case key, open := <-keys:
			quit, err := b.key(ctx, key)
			if quit || !open || err != nil {
				return err
			}
			if err := b.draw(); err != nil {
				return err
			}
		case <-redraw.C:
			if err := b.draw(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// key obeys a key and reports whether it quits.
func (b *board) key(ctx context.Context, key byte) (quit bool, err error) {
	switch key {
	case 'q', 'Q':
		return true, nil
	case 'c':
		b.toggle(panelCommands)
	case 'f':
		_, height := b.term.size()
		b.screen.turnFile(height)
	case 'd':
		b.switchDirector(ctx, off)
	case 'g':
		b.switchDirector(ctx, stopped)
	case 'n':
		b.screen.panel = panelNetwork
	default:
		if i := int(key) - '1'; i >= 0 && i < len(b.watcher.up) {
			return false, b.flip(i)
		}
	}
	return false, nil
}

func (b *board) toggle(p panel) {
	if b.screen.panel == p {
		p = panelNetwork
	}
	b.screen.panel = p
}

// flip stops a server that runs and starts one that does not.
func (b *board) flip(server int) error {
	up := !b.watcher.up[server]
	b.watcher.switched(time.Now(), server, up)
	if up {
		return b.stage.StartServer(server)
	}
	return b.stage.StopServer(server)
}

// switchDirector starts a director that does not run, or else ends the master
// in the given way. It goes on beside the screen.
func (b *board) switchDirector(ctx context.Context, how state) {
	if b.busy {
		b.watcher.event(time.Now(), "wait until the last change of a director is done")
		return
	}
	i, to := b.watcher.nextSwitch(how)
	if i < 0 {
		b.watcher.event(time.Now(), "no director is master yet")
		return
	}
	b.busy = true
	b.watcher.directed(time.Now(), i, to)
	b.work.Go(func() {
		switch to {
		case off:
			b.done <- b.stage.CutPower(i)
		case stopped:
			b.done <- b.stage.StopDirector(ctx, i)
		case running:
			b.done <- b.stage.StartDirector(ctx, i)
		}
	})
}

func (b *board) draw() error {
	now := time.Now()
	b.screen.running = now.Sub(b.start)
	b.screen.rate = b.watcher.rate(now)
	b.screen.up, b.screen.total = b.watcher.up, b.watcher.total
	b.screen.words = b.watcher.words()
	b.screen.table, b.screen.events = b.watcher.table, b.watcher.events
	return b.term.draw(b.screen.render(b.term.size()))
}

// watch looks again and again until ctx ends or an answer is an error. A daemon
// that does not answer is none: it may be on its way out or in.
func watch(ctx context.Context, s stage, looks chan<- look) {
	pace := time.NewTicker(watchPause)
	defer pace.Stop()
	for {
		l := lookAt(ctx, s)
		select {
		case looks <- l:
		case <-ctx.Done():
			return
		}
		if l.err != nil {
			return
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
	}
}

func lookAt(ctx context.Context, s stage) look {
	l := look{}
	l.holding, l.err = s.Holding(ctx)
	l.at = time.Now()
	master := l.holding.master()
	if l.err != nil || master < 0 {
		return l
	}
	var err error
	if l.table, err = s.Table(ctx, master); err != nil {
		return l
	}
	l.status, err = s.Status(ctx, master)
	l.known = err == nil
	return l
}
