package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// live is the real stage: namespaces, HTTP servers and the directors' programs.
type live struct {
	plan plan
	lab  *lab.Lab
	net  *network
	http *http.Client
	// died gets the death of a program that nobody told to end.
	died chan error

	mu        sync.Mutex // guards directors
	directors [directorCount]*machine
}

// How long the daemon may take to answer for the first time, to fill its
// tables, to have elected a master, and to carry out a reload.
const (
	startTimeout  = 15 * time.Second
	fillTimeout   = 10 * time.Second
	electTimeout  = 15 * time.Second
	reloadTimeout = 10 * time.Second
	askTimeout    = 5 * time.Second
)

// newLive opens the lab and the place for pins. What it and build make ends
// with close, also after an error.
func newLive(p plan) (*live, error) {
	l, err := lab.New(p.name)
	if err != nil {
		return nil, err
	}
	s := &live{plan: p, lab: l, died: make(chan error, 1)}
	for i, d := range p.directors {
		s.directors[i] = newMachine(d)
	}
	return s, mountPinRoot(l, p.name, p.root)
}

// build builds the network, starts its servers and writes the directors' file.
func (s *live) build() error {
	var err error
	if s.net, err = buildNetwork(s.lab, s.plan); err != nil {
		return err
	}
	s.http = &http.Client{Transport: &http.Transport{DialContext: newDialer(s.net.client).dial, DisableKeepAlives: true}}
	for i := range s.plan.servers {
		if err := s.StartServer(i); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.plan.pins, 0o700); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	return s.writeConfig(s.plan.evenWeights())
}

// start starts the directors and waits until every server is in the tables of
// their daemons and the first one is master.
func (s *live) start(ctx context.Context) error {
	ctx, cancel := s.watch(ctx)
	defer cancel()
	for i := range s.directors {
		if err := s.StartDirector(ctx, i); err != nil {
			return because(ctx, err)
		}
	}
	for i, d := range s.plan.directors {
		if d.program != PeerEvenkeel {
			continue
		}
		if err := s.awaitTable(ctx, i); err != nil {
			return because(ctx, err)
		}
	}
	var h holding
	ok, err := until(ctx, lookPause, electTimeout, func(ctx context.Context) (bool, error) {
		var err error
		h, err = s.Holding(ctx)
		return h.only(first), err
	})
	if err == nil && !ok {
		err = fmt.Errorf("wait for the election: after %s, %s has %d and %s %d of %d virtual addresses", electTimeout,
			directorName(first), h.has[first], directorName(second), h.has[second], h.of)
	}
	return because(ctx, err)
}

// awaitTable waits until a daemon has every server in its tables.
func (s *live) awaitTable(ctx context.Context, i int) error {
	ok, err := lookFor(ctx, s, i, table.allIn, fillTimeout)
	if err == nil && !ok {
		var t table
		if t, err = s.Table(ctx, i); err == nil {
			err = fmt.Errorf("wait for the servers in %s: after %s, %s", directorName(i), fillTimeout, t.missing(s.plan))
		}
	}
	return err
}

// watch returns a context that ends when a program does that was not told to,
// with that as its cause.
func (s *live) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-s.died:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// because returns why ctx ended in place of an error that came of it.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// close stops the directors and removes the network.
func (s *live) close() error {
	errs := make([]error, len(s.directors))
	var stopping sync.WaitGroup
	for i := range s.directors {
		stopping.Go(func() { errs[i] = s.stopProgram(i) })
	}
	stopping.Wait()
	errs = append(errs, s.lab.Close())
	// A daemon that ended well has left nothing in it.
	if err := os.Remove(s.plan.pins); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove pins: %w", err))
	}
	return errors.Join(errs...)
}

// writeConfig replaces the director's file.
func (s *live) writeConfig(weights []int32) error {
	fresh := s.plan.config() + ".new"
	err := os.WriteFile(fresh, []byte(s.plan.configText(weights)), 0o644)
	if err == nil {
		err = os.Rename(fresh, s.plan.config())
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// loadTerms reads the terms of checks and elections from the file, as the
// daemons do.
func loadTerms(p plan) (terms, error) {
	var t terms
	for i, d := range p.directors {
		c, err := config.Load(p.config(), config.Options{ConfigID: d.name})
		if err != nil {
			return terms{}, fmt.Errorf("read the demo's configuration: %w", err)
		}
		for _, d := range c.Diagnostics {
			if d.Severity != config.Note {
				return terms{}, fmt.Errorf("read the demo's configuration: %s: %s", d.Position(), d.Message)
			}
		}
		t.addChecks(c.Services)
		t.silence[i], t.goodbye[i] = electionTerms(c.VRRP.Instances)
	}
	if t.down == 0 || t.goodbye[second] == 0 {
		return terms{}, errors.New("read the demo's configuration: it has no checks or no elections")
	}
	return t, nil
}

// Request implements stage.
func (s *live) Request(ctx context.Context, service int) (string, error) {
	body, err := s.get(ctx, s.plan.services[service].url())
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 1024))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}

func (s *live) get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(forRequest(ctx), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New("answer " + resp.Status)
	}
	return resp.Body, nil
}

// Download implements stage.
func (s *live) Download(ctx context.Context, service int, last time.Duration, opened func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, last+requestTimeout)
	defer cancel()
	body, err := s.get(ctx, fmt.Sprintf("http://%s%s?time=%s", s.plan.services[service].vip, downloadPath, last))
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	line := ""
	for first := true; lines.Scan(); first = false {
		line = lines.Text()
		if first {
			opened(line)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if line != downloadEnd {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// Ping implements stage.
func (s *live) Ping(ctx context.Context, service int) error {
	return ping(ctx, s.net.client, s.plan.services[service].vip)
}

// StopServer implements stage.
func (s *live) StopServer(i int) error { return s.net.stopServer(i) }

// StartServer implements stage.
func (s *live) StartServer(i int) error { return s.net.startServer(i) }
