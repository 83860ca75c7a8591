package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// machine is one director of the live stage.
type machine struct {
	director
	api *api.Client
	// node is nil without power, program while none runs.
	node    *lab.Node
	program *process
}

func newMachine(d director) *machine { return &machine{director: d, api: api.NewClient(d.socket())} }

// errOff is the answer of a director that cannot be asked.
var errOff = errors.New("the director is off")

// StartDirector implements stage.
func (s *live) StartDirector(ctx context.Context, i int) error {
	m := s.directors[i]
	s.mu.Lock()
	node, program := m.node, m.program
	s.mu.Unlock()
	if program != nil {
		return nil
	}
	if node == nil {
		var err error
		if node, err = s.net.addDirector(m.director); err != nil {
			return err
		}
	}
	program, err := startProgram(node, s.plan, m.director)
	s.mu.Lock()
	m.node, m.program = node, program
	s.mu.Unlock()
	if err != nil {
		return err
	}
	go func() {
		if err := program.awaitDeath(context.Background()); err != nil {
			select {
			case s.died <- err:
			default: // one is enough
			}
		}
	}()
	if m.director.program != PeerEvenkeel {
		return nil
	}
	return s.awaitAnswer(ctx, i)
}

// awaitAnswer waits until a daemon answers on its socket. ctx ends when the
// daemon does.
func (s *live) awaitAnswer(ctx context.Context, i int) error {
	var last error
	ok, err := until(ctx, lookPause, startTimeout, func(ctx context.Context) (bool, error) {
		_, last = s.Status(ctx, i)
		return last == nil, nil
	})
	if err == nil && !ok {
		err = fmt.Errorf("wait for %s: %w", directorName(i), last)
	}
	return err
}

// StopDirector implements stage.
func (s *live) StopDirector(_ context.Context, i int) error { return s.stopProgram(i) }

func (s *live) stopProgram(i int) error {
	s.mu.Lock()
	program := s.directors[i].program
	s.mu.Unlock()
	if program == nil {
		return nil
	}
	err := program.stop()
	s.mu.Lock()
	s.directors[i].program = nil
	s.mu.Unlock()
	return err
}

// CutPower implements stage. It kills the program with all that it started, so
// that nothing can say goodbye, takes the links away at once, since the XDP
// program would serve on, and then forgets everything that a machine does not
// keep.
func (s *live) CutPower(i int) error {
	m := s.directors[i]
	s.mu.Lock()
	node, program := m.node, m.program
	m.node, m.program = nil, nil
	s.mu.Unlock()
	var errs []error
	if program != nil {
		errs = append(errs, program.kill())
	}
	if node != nil {
		errs = append(errs, node.Remove())
	}
	if program != nil {
		<-program.ended
	}
	return errors.Join(append(errs, m.forget())...)
}

// forget removes what was in memory: pins, socket, and what the daemon keeps in
// /run. The log stays.
func (d director) forget() error {
	errs := []error{os.RemoveAll(d.pins)}
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, f := range files {
		if path := filepath.Join(d.dir, f.Name()); path != d.log() {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// Holding implements stage.
func (s *live) Holding(context.Context) (holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // no node goes while it is asked
	outside, inside := s.plan.virtual()
	want := slices.Concat(outside, inside)
	h := holding{of: len(want)}
	for i, m := range s.directors {
		if m.node == nil {
			continue
		}
		addrs, err := m.node.Addrs()
		if err != nil {
			return h, err
		}
		for _, addr := range want {
			if slices.Contains(addrs, addr) {
				h.has[i]++
			}
		}
	}
	return h, nil
}

// daemon returns who answers for a director.
func (s *live) daemon(i int) (*machine, *process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.directors[i]
	if m.program == nil || m.director.program != PeerEvenkeel {
		return nil, nil, errOff
	}
	return m, m.program, nil
}

// Reload implements stage. keepalived has nothing in the file that changes.
func (s *live) Reload(ctx context.Context, weights []int32) error {
	if err := s.writeConfig(weights); err != nil {
		return err
	}
	for i := range s.directors {
		if err := s.reload(ctx, i); err != nil && !errors.Is(err, errOff) {
			return err
		}
	}
	return nil
}

func (s *live) reload(ctx context.Context, i int) error {
	_, program, err := s.daemon(i)
	if err != nil {
		return err
	}
	before, err := s.Status(ctx, i)
	if err != nil {
		return err
	}
	if err := program.reload(); err != nil {
		return err
	}
	ok, err := until(ctx, lookPause, reloadTimeout, func(ctx context.Context) (bool, error) {
		now, err := s.Status(ctx, i)
		if err != nil {
			return false, err
		}
		last := now.LastReload
		if last == nil || before.LastReload != nil && !last.At.After(before.LastReload.At) {
			return false, nil
		}
		if !last.OK {
			return false, fmt.Errorf("reload: refused: %s", last.Error)
		}
		return true, nil
	})
	if err == nil && !ok {
		err = fmt.Errorf("reload: not taken in %s", reloadTimeout)
	}
	return err
}

// Table implements stage.
func (s *live) Table(ctx context.Context, i int) (table, error) {
	m, _, err := s.daemon(i)
	if err != nil {
		return table{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := m.api.Services(ctx)
	if err != nil {
		return table{}, err
	}
	return tableOf(s.plan, answer), nil
}

// Status implements stage.
func (s *live) Status(ctx context.Context, i int) (api.Status, error) {
	m, _, err := s.daemon(i)
	if err != nil {
		return api.Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return m.api.Status(ctx)
}
