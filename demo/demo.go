package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Options say what to run. The zero value of an optional field is its default.
type Options struct {
	// Stdin and Stdout are the terminal of the interactive demo. A scripted one
	// writes to Stdout only.
	Stdin, Stdout *os.File
	// Name is what everything is called after, default DefaultName. Demos
	// of different names do not meet. It begins with DefaultName, so that
	// nothing else is ever taken for a demo's.
	Name string
	// Script plays the story unattended. It is also played when Stdout or
	// Stdin is no terminal.
	Script bool
	// Peer is the program of the second director, default PeerEvenkeel.
	Peer Peer
	// JSON plays the story and writes its Report to Stdout, and nothing else.
	JSON bool
}

// ErrNotHeld is returned for a story in which a claim did not hold; the report
// has said which.
var ErrNotHeld = errors.New("not every claim of the demo held")

// errInterrupted is the cause when a signal ended the demo.
var errInterrupted = errors.New("interrupted")

// Run runs a demo and removes everything that it made, however it ends, except by
// SIGKILL; the next demo, or Clean, does that then. The error is an
// *UnfitError where the machine lacks something, a *LiveError when a demo of
// that name runs, and ErrNotHeld when a claim of the story did not hold.
func Run(ctx context.Context, o Options) error {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := checkName(o.Name); err != nil {
		return err
	}
	if o.Peer == "" {
		o.Peer = PeerEvenkeel
	}
	if err := checkPeer(o.Peer); err != nil {
		return err
	}
	if err := checkPrivileges(); err != nil {
		return err
	}
	lock, err := lockRun(o.Name)
	if err != nil {
		return err
	}
	ctx, stop := catchSignals(ctx)
	defer stop()
	err = runLocked(ctx, o, lock)
	return errors.Join(err, lock.remove())
}

// catchSignals ends the returned context at a signal, so that everything is
// removed before the program ends. A write to a broken pipe becomes an error.
func catchSignals(ctx context.Context) (context.Context, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, unix.SIGPIPE)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		signal.Stop(signals)
		signal.Stop(pipes)
	}
}

func runLocked(ctx context.Context, o Options, lock *runLock) error {
	removed, err := clean(o.Name)
	if err != nil {
		return fmt.Errorf("remove what an earlier demo left: %w", err)
	}
	if err := lock.own(); err != nil {
		return err
	}
	d := &demo{opts: o, plan: newPlan(o.Name, pinRoot(o.Name), o.Peer), out: io.Discard, started: time.Now()}
	if !o.JSON {
		d.out = o.Stdout
	}
	if len(removed) > 0 {
		d.say("An earlier demo left something behind; removed: " + strings.Join(removed, ", ") + ".")
	}
	if o.Script || o.JSON || !isTerminal(o.Stdin) || !isTerminal(o.Stdout) {
		return d.script(ctx)
	}
	return d.interactive(ctx)
}

// demo is one run.
type demo struct {
	opts    Options
	plan    plan
	out     io.Writer // the transcript
	started time.Time
	// broken is the first error of writing the transcript.
	broken error
}

// say writes one line of the transcript.
func (d *demo) say(line string) {
	if _, err := fmt.Fprintln(d.out, line); err != nil && d.broken == nil {
		d.broken = fmt.Errorf("write transcript: %w", err)
	}
}

// open builds the network and starts the directors, showing both. What it made
// ends with shut, also after an error.
func (d *demo) open(ctx context.Context) (*live, error) {
	p := d.plan
	d.say("\nEvenkeel demo: a client, two directors and three servers in network namespaces.\n")
	s, err := newLive(p)
	if err != nil {
		return nil, err
	}
	found, err := checkMachine(p.pins)
	for _, line := range found {
		d.say("  " + line)
	}
	if err != nil {
		return s, err
	}
	if err := s.build(); err != nil {
		return s, err
	}
	d.say("\n" + p.drawing(p.priorities()))
	d.say("The directors' " + p.config() + ":\n")
	d.say(indent(p.configText(p.evenWeights())))
	for i, director := range p.directors {
		d.say(fmt.Sprintf("%s: ip netns exec %s %s", director.name, p.namespace(directorName(i)), strings.Join(p.command(director), " ")))
	}
	if p.peer() == PeerKeepalived {
		d.say("\n" + keepalivedNote)
	}
	d.say("")
	if err := ctx.Err(); err != nil {
		return s, context.Cause(ctx)
	}
	return s, s.start(ctx)
}

// keepalivedNote says what keepalived can show here.
const keepalivedNote = `keepalived runs the second director's elections only (--vrrp): it balances with the kernel's IPVS, which the demo
does not use. While it is master, its addresses answer pings, and requests are refused.`

// shut stops and removes everything and says what was left that should not be.
func (d *demo) shut(s *live) (left []string, err error) {
	if s != nil {
		err = s.close()
	}
	left, cleanErr := clean(d.plan.name)
	return left, errors.Join(err, cleanErr)
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
