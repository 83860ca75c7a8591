package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// scripts runs the scripts of MISC_CHECK as the running configuration says. Its
// methods may be called from any goroutine.
type scripts struct {
	log    *slog.Logger
	before func() error // see notify.RunnerOptions

	mu sync.Mutex // guards what follows
	// settings are those of the runner in use.
	settings model.ScriptSettings
	runner   *notify.Runner
	// retired are runners of earlier configurations, whose scripts may still
	// run.
	retired []*notify.Runner
	refusal string
}

// newScripts returns scripts with the settings of a configuration.
func newScripts(settings model.ScriptSettings, before func() error, log *slog.Logger) *scripts {
	s := &scripts{log: log, before: before}
	s.use(settings)
	return s
}

// configure puts the settings of a configuration in force. What runs goes on.
func (s *scripts) configure(settings model.ScriptSettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings.Pos, s.settings.Pos = model.Position{}, model.Position{}
	if settings != s.settings {
		s.use(settings)
	}
}

func (s *scripts) use(settings model.ScriptSettings) {
	if s.runner != nil {
		s.retired = append(s.retired, s.runner)
	}
	s.settings, s.runner, s.refusal = settings, nil, ""
	account, err := scriptAccount(notify.SystemAccounts{}, settings)
	if err != nil {
		s.refusal = err.Error()
		s.log.Error("scripts of checks cannot be run", "error", err)
		return
	}
	s.runner = notify.NewRunner(notify.RunnerOptions{
		DefaultUser:         account,
		SupplementaryGroups: settings.SupplementaryGroups,
		Security:            settings.Security,
		KeepSymlinks:        settings.KeepSymlinks,
		Before:              s.before,
		Log:                 s.log,
	})
}

// scriptAccount returns who runs the scripts that name no user: script_user,
// else keepalived_script if there is one, else root, as in keepalived.
func scriptAccount(db notify.Accounts, settings model.ScriptSettings) (notify.Account, error) {
	if settings.User != "" {
		a, err := notify.LookupAccount(db, settings.User, settings.Group, settings.SupplementaryGroups)
		if err != nil {
			return a, fmt.Errorf("script_user: %w", err)
		}
		return a, nil
	}
	if a, err := notify.LookupAccount(db, notify.DefaultScriptUser, "", settings.SupplementaryGroups); err == nil {
		return a, nil
	}
	return notify.LookupAccount(db, "root", "", settings.SupplementaryGroups)
}

// Run implements health.Scripts.
func (s *scripts) Run(ctx context.Context, script model.Script, outcome func(model.ScriptResult)) {
	s.mu.Lock()
	runner, refusal := s.runner, s.refusal
	s.mu.Unlock()
	if runner == nil {
		outcome(model.ScriptResult{Refused: refusal})
		return
	}
	runner.Run(ctx, script, outcome)
}

// Close lets go of what scripts left behind. It is called when none runs.
func (s *scripts) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, r := range append(s.retired, s.runner) {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	s.retired, s.runner, s.refusal = nil, nil, "the daemon is stopping"
	return errors.Join(errs...)
}
