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
		start:  time.Now(),
	}
	watched, cancel := s.daemon.watch(ctx)
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

// look is what the daemon said at a moment.
type look struct {
	at     time.Time
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
}

// run sends requests, watches the daemon and obeys keys until q or the end of
// ctx, whose cause it then returns.
func (b *board) run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	outcomes, looks, keys := make(chan outcome), make(chan look), make(chan byte)
	t := traffic{stage: b.stage, services: len(b.watcher.plan.services), every: requestPause, atOnce: requestsAtOnce}
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() {
		t.run(inner, 0, nil, func(o outcome) {
			select {
			case outcomes <- o:
			case <-inner.Done():
			}
		})
	})
	work.Go(func() { watch(inner, b.stage, looks) })
	work.Go(func() { b.term.readKeys(inner, keys) })
	return b.loop(ctx, outcomes, looks, keys)
}

func (b *board) loop(ctx context.Context, outcomes <-chan outcome, looks <-chan look, keys <-chan byte) error {
	redraw := time.NewTicker(redrawPause)
	defer redraw.Stop()
	for {
		select {
		case o := <-outcomes:
			b.watcher.total.add(o)
		case l := <-looks:
			if l.err != nil {
				return because(ctx, l.err)
			}
			b.watcher.saw(l.at, l.table)
			b.screen.status = l.status
		case key, open := <-keys:
			quit, err := b.key(key)
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
func (b *board) key(key byte) (quit bool, err error) {
	switch key {
	case 'q', 'Q':
		return true, nil
	case 'c':
		b.toggle(panelCommands)
	case 'f':
		b.toggle(panelFile)
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

func (b *board) draw() error {
	now := time.Now()
	b.screen.running = now.Sub(b.start)
	b.screen.rate = b.watcher.rate(now)
	b.screen.up, b.screen.total = b.watcher.up, b.watcher.total
	b.screen.table, b.screen.events = b.watcher.table, b.watcher.events
	return b.term.draw(b.screen.render(b.term.size()))
}

// watch asks the daemon again and again until ctx ends or an answer is an
// error.
func watch(ctx context.Context, s stage, looks chan<- look) {
	pace := time.NewTicker(watchPause)
	defer pace.Stop()
	for {
		var l look
		l.table, l.err = s.Table(ctx)
		l.at = time.Now()
		if l.err == nil {
			l.status, l.err = s.Status(ctx)
		}
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
