package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

const (
	// DefaultMaxRunning bounds the scripts of one Runner that run at a time.
	DefaultMaxRunning = 100
	// DefaultKillAfter is the time from TERM to KILL, as keepalived's.
	DefaultKillAfter = 2 * time.Second
)

// DefaultEnv returns the environment of scripts besides what depends on their
// user.
func DefaultEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

// RunnerOptions configure a Runner.
type RunnerOptions struct {
	// DefaultUser runs the scripts that name no user. It is required.
	DefaultUser Account
	// SupplementaryGroups gives scripts all groups of their user
	// (set_supplementary_groups); optional, default only the one.
	SupplementaryGroups bool
	// Security refuses scripts of root that others could change
	// (enable_script_security); optional, default only warns of them.
	Security bool
	// KeepSymlinks runs scripts under the path of the configuration
	// (use_symlink_paths); optional, default the path without symbolic links.
	KeepSymlinks bool
	// NoNewPrivileges keeps scripts from gaining rights by set-user-ID
	// programs such as sudo; optional, default off.
	NoNewPrivileges bool
	// Before is called on the thread that is about to start a script, which
	// inherits from it what belongs to a thread, such as its priority. The
	// thread ends with it. Optional.
	Before func() error
	// DiscardOutput gives scripts /dev/null to write to; optional, default
	// keeps the last lines.
	DiscardOutput bool
	// Env is the environment; optional, default DefaultEnv. A program without
	// a slash is searched in its PATH.
	Env []string
	// MaxRunning bounds the scripts that run at a time; further ones wait.
	// Optional, default DefaultMaxRunning.
	MaxRunning int
	// KillAfter is the time from TERM to KILL; optional, default
	// DefaultKillAfter.
	KillAfter time.Duration
	// Accounts and Tree are where users and programs are looked up; optional,
	// default the machine's.
	Accounts Accounts
	Tree     Tree
	// Log gets a line for each program that is searched or insecure; optional,
	// default discards.
	Log *slog.Logger
}

// Runner runs scripts. Its methods may be called from any goroutine.
type Runner struct {
	opts  RunnerOptions
	slots chan struct{}
	// readers are the goroutines that read output.
	readers sync.WaitGroup

	mu     sync.Mutex // guards what follows, which is plain data
	warned map[string]bool
	// lingering are ends of pipes that scripts left open in the background.
	lingering map[*os.File]bool
	closed    bool
}

// NewRunner returns a runner.
func NewRunner(o RunnerOptions) *Runner {
	if o.Env == nil {
		o.Env = DefaultEnv()
	}
	if o.MaxRunning <= 0 {
		o.MaxRunning = DefaultMaxRunning
	}
	if o.KillAfter <= 0 {
		o.KillAfter = DefaultKillAfter
	}
	if o.Accounts == nil {
		o.Accounts = SystemAccounts{}
	}
	if o.Tree == nil {
		o.Tree = SystemTree{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{
		opts:      o,
		slots:     make(chan struct{}, o.MaxRunning),
		warned:    make(map[string]bool),
		lingering: make(map[*os.File]bool),
	}
}

// ErrRefused marks errors of Start that will not go away by trying again.
var ErrRefused = errors.New("script refused")

// Run runs s and returns when no process of it is left to end, which is later
// than the outcome for a run that was timed out. It calls outcome once, as soon
// as the outcome is known, and not at all if ctx ends before: then the run is
// ended. It waits while too many scripts run; that does not count against the
// script's time-out.
func (r *Runner) Run(ctx context.Context, s model.Script, outcome func(model.ScriptResult)) {
	p, err := r.Start(ctx, s)
	switch {
	case err == nil:
		p.Wait(outcome)
	case ctx.Err() != nil:
	case errors.Is(err, ErrRefused):
		outcome(model.ScriptResult{Refused: err.Error()})
	default:
		outcome(model.ScriptResult{Unmade: err.Error()})
	}
}

// Check says whether s could be run, without running it. The error is that of
// Start.
func (r *Runner) Check(s model.Script) error {
	_, err := r.plan(s)
	return err
}

// Start starts s and returns when it runs. The caller calls Wait. An error that
// wraps ErrRefused says what is wrong with the script; other errors say that
// the machine could not run one now, or that ctx ended.
func (r *Runner) Start(ctx context.Context, s model.Script) (*Run, error) {
	plan, err := r.plan(s)
	if err != nil {
		return nil, err
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, err := r.spawn(ctx, plan)
	if err != nil {
		<-r.slots
		return nil, startError(plan, err)
	}
	return p, nil
}

// Close stops reading from what scripts left running in the background; it
// gets an error or SIGPIPE when it writes again. Close is called when no Run
// is left.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closed = true
	var errs []error
	for f := range r.lingering {
		errs = append(errs, f.Close())
	}
	r.mu.Unlock()
	r.readers.Wait()
	return errors.Join(errs...)
}

// plan is all that is needed to start a script.
type plan struct {
	path    string
	argv    []string
	account Account
	timeout time.Duration
}

// plan looks up user and program.
func (r *Runner) plan(s model.Script) (plan, error) {
	argv := s.Argv
	if len(argv) == 0 {
		var err error
		if argv, err = ParseCommand(s.Command); err != nil {
			return plan{}, refused(err)
		}
	}
	account := r.opts.DefaultUser
	if s.User != "" {
		var err error
		if account, err = LookupAccount(r.opts.Accounts, s.User, s.Group, r.opts.SupplementaryGroups); err != nil {
			return plan{}, refused(err)
		}
	}
	program, err := FindProgram(r.opts.Tree, argv[0], searchPath(r.opts.Env), r.opts.KeepSymlinks)
	if err != nil {
		return plan{}, refused(err)
	}
	if program.Searched {
		r.warn("script without a path was searched", program.Path, "")
	}
	if program.Insecure != "" && account.UID == 0 {
		if r.opts.Security {
			return plan{}, refused(fmt.Errorf("run %s as root: %s", program.Path, program.Insecure))
		}
		r.warn("script of root can be changed by others", program.Path, program.Insecure)
	}
	return plan{path: program.Path, argv: argv, account: account, timeout: s.Timeout}, nil
}

// warn logs once for each program.
func (r *Runner) warn(msg, path, reason string) {
	r.mu.Lock()
	key := msg + path
	known := r.warned[key]
	r.warned[key] = true
	r.mu.Unlock()
	if known {
		return
	}
	attrs := []slog.Attr{slog.String("path", path)}
	if reason != "" {
		attrs = append(attrs, slog.String("reason", reason))
	}
	//nolint:sloglint // The message is one of two constants of plan.
	r.opts.Log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
}

// refusal is an error that wraps ErrRefused and reads as its cause.
type refusal struct{ error }

func refused(err error) error { return refusal{err} }

// Unwrap lets errors.Is find the cause and ErrRefused.
func (e refusal) Unwrap() []error { return []error{e.error, ErrRefused} }

// startError tells a script that cannot be run from a machine that cannot run
// one now.
func startError(p plan, err error) error {
	reason := err
	if e, ok := errors.AsType[*os.PathError](err); ok {
		reason = e.Err
	}
	wrapped := fmt.Errorf("run %s as %v: %w", p.path, p.account, reason)
	for _, passing := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY} {
		if errors.Is(err, passing) {
			return wrapped
		}
	}
	return refused(wrapped)
}
