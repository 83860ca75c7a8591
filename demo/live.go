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
	"time"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// live is the real stage: namespaces, HTTP servers and the daemon.
type live struct {
	plan   plan
	lab    *lab.Lab
	net    *network
	daemon *process
	api    *api.Client
	http   *http.Client
}

// How long the daemon may take to answer for the first time, to fill its
// tables, and to carry out a reload.
const (
	startTimeout  = 15 * time.Second
	fillTimeout   = 10 * time.Second
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
	s := &live{plan: p, lab: l, api: api.NewClient(p.socket())}
	return s, mountPinRoot(l, p.name, p.root)
}

// build builds the network, starts its servers and writes the director's file.
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
	return s.writeConfig(s.plan.evenWeights())
}

// start starts the daemon and waits until every server is in its tables.
func (s *live) start(ctx context.Context) error {
	var err error
	s.daemon, err = startDaemon(s.net.director, s.plan)
	if err != nil {
		return err
	}
	ctx, cancel := s.daemon.watch(ctx)
	defer cancel()
	if err := s.awaitAnswer(ctx); err != nil {
		return err
	}
	ok, err := lookFor(ctx, s, table.allIn, fillTimeout)
	if err == nil && !ok {
		var t table
		if t, err = s.Table(ctx); err == nil {
			err = fmt.Errorf("wait for the servers: after %s, %s", fillTimeout, t.missing(s.plan))
		}
	}
	return because(ctx, err)
}

// awaitAnswer waits until the daemon answers on its socket. ctx ends when the
// daemon does.
func (s *live) awaitAnswer(ctx context.Context) error {
	pace := time.NewTicker(lookPause)
	defer pace.Stop()
	deadline := time.After(startTimeout)
	for {
		_, err := s.Status(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-pace.C:
		case <-deadline:
			return fmt.Errorf("wait for the daemon: %w%s", err, s.daemon.lastWords())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// because returns why ctx ended in place of an error that came of it.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// close stops the daemon and removes the network.
func (s *live) close() error {
	var errs []error
	if s.daemon != nil {
		errs = append(errs, s.daemon.stop())
	}
	return errors.Join(append(errs, s.lab.Close())...)
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

// loadTerms reads the terms of the checks from the file, as the daemon does.
func loadTerms(path string) (terms, error) {
	c, err := config.Load(path, config.Options{})
	if err != nil {
		return terms{}, fmt.Errorf("read the demo's configuration: %w", err)
	}
	for _, d := range c.Diagnostics {
		if d.Severity != config.Note {
			return terms{}, fmt.Errorf("read the demo's configuration: %s: %s", d.Position(), d.Message)
		}
	}
	t := termsOf(c.Services)
	if t.down == 0 {
		return terms{}, errors.New("read the demo's configuration: it has no checks")
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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

// StopServer implements stage.
func (s *live) StopServer(i int) error { return s.net.stopServer(i) }

// StartServer implements stage.
func (s *live) StartServer(i int) error { return s.net.startServer(i) }

// Reload implements stage.
func (s *live) Reload(ctx context.Context, weights []int32) error {
	before, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if err := s.writeConfig(weights); err != nil {
		return err
	}
	if err := s.daemon.reload(); err != nil {
		return err
	}
	pace := time.NewTicker(lookPause)
	defer pace.Stop()
	deadline := time.After(reloadTimeout)
	for {
		now, err := s.Status(ctx)
		if err != nil {
			return err
		}
		if last := now.LastReload; last != nil && (before.LastReload == nil || last.At.After(before.LastReload.At)) {
			if !last.OK {
				return fmt.Errorf("reload: refused: %s", last.Error)
			}
			return nil
		}
		select {
		case <-pace.C:
		case <-deadline:
			return fmt.Errorf("reload: not taken in %s", reloadTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Table implements stage.
func (s *live) Table(ctx context.Context) (table, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := s.api.Services(ctx)
	if err != nil {
		return table{}, err
	}
	return tableOf(s.plan, answer), nil
}

// Status implements stage.
func (s *live) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return s.api.Status(ctx)
}
