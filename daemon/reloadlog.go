package daemon

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon/dump"
)

// writeReloadLog writes what is wrong with a file that a reload has read into
// the file that the running configuration names (reload_check_config), which is
// replaced. Whether the reload is refused does not depend on it: every reload
// checks first.
func (c *core) writeReloadLog(cfg *config.Config, readErr error) {
	name := c.conf.Global.ReloadLog
	if name == "" {
		return
	}
	dir, base := filepath.Split(name)
	if err := dump.Write(dir, base, []byte(reloadLog(cfg, readErr))); err != nil {
		c.log.Error("reload_check_config: complaints not written", "error", err)
	}
}

// reloadLog returns the complaints, one line each; none of a file without a
// fault.
func reloadLog(cfg *config.Config, readErr error) string {
	var diagnostics []config.Diagnostic
	unparsable, ok := errors.AsType[*config.UnparsableError](readErr)
	switch {
	case ok:
		diagnostics = unparsable.Diagnostics
	case readErr != nil:
		return oneLine(readErr) + "\n"
	default:
		diagnostics = cfg.Diagnostics
	}
	var b strings.Builder
	for _, d := range diagnostics {
		fmt.Fprintln(&b, d.Error())
	}
	return b.String()
}
