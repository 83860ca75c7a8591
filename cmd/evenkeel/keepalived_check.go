package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// The exit codes of keepalived's configuration test.
const (
	testOK        = 0
	testEnded     = 2 // a keyword has no argument
	testNoFile    = 4
	testBad       = 5 // errors and warnings
	testInsecured = 6 // scripts run as root without enable_script_security
)

// configTest does what keepalived -t does: it writes what is wrong, one line
// each, and returns the exit code. Like keepalived it looks for the interfaces
// of instances on this machine.
func (e *env) configTest(l readOptions) int {
	out := e.stderr
	if name := l.last("config-test", ""); name != "" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			fmt.Fprintf(e.stderr, "Unable to open config-test log file %s: %v\n", name, errors.Unwrap(err))
			return testBad
		}
		defer file.Close()
		out = file
	}
	name := l.last("use-file", defaultFile)
	cfg, err := config.Load(name, config.Options{ConfigID: l.last("config-id", "")})
	if err != nil {
		return e.unparsableTest(out, name, l.has("all-config"), err)
	}
	worst := testOK
	for _, d := range cfg.Diagnostics {
		if d.Keepalived == config.Silent {
			continue
		}
		fmt.Fprintln(out, keepalivedComplaint(d))
		if d.Keepalived == config.Ends {
			return testEnded
		}
		worst = testBad
	}
	if l.has("check") && !l.has("vrrp") {
		cfg.VRRP = model.VRRP{}
	}
	if missingInterfaces(out, cfg.VRRP) {
		return testBad
	}
	if unusableScripts(out, cfg) {
		worst = testBad
	}
	if insecure(cfg) {
		fmt.Fprintln(out, "SECURITY VIOLATION - scripts are being executed but script_security not enabled.")
		worst = testInsecured
	}
	return worst
}

// unparsableTest says why a configuration cannot be used as a whole. keepalived
// passes a file that is missing or empty, since it starts without one.
func (e *env) unparsableTest(out io.Writer, name string, mustExist bool, err error) int {
	bad, ok := errors.AsType[*config.UnparsableError](err)
	if !ok {
		fmt.Fprintln(out, oneLine(err))
		return testNoFile
	}
	info, statErr := os.Stat(name)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		fmt.Fprintf(out, "Config files missing '%s'.\n", name)
		if mustExist {
			return testNoFile
		}
		return testOK
	case statErr == nil && info.Mode().IsRegular() && info.Size() == 0:
		fmt.Fprintf(out, "Configuration file '%s' is empty\n", name)
		return testOK
	case errors.Is(bad.Cause, fs.ErrPermission):
		fmt.Fprintln(out, keepalivedComplaint(bad.Fatal))
		return testNoFile
	}
	for _, d := range bad.Diagnostics {
		if d.Keepalived != config.Silent {
			fmt.Fprintln(out, keepalivedComplaint(d))
		}
	}
	return testBad
}

// keepalivedComplaint writes a complaint in the shape of keepalived's log.
func keepalivedComplaint(d config.Diagnostic) string {
	text := d.Message
	if d.Keepalived == config.ComplainsOfKeyword {
		text = fmt.Sprintf("Unknown keyword '%s'", d.Keyword)
	}
	if d.Hint != "" {
		text += "; " + d.Hint
	}
	switch {
	case d.Line > 0:
		return fmt.Sprintf("(%s: Line %d) %s", d.File, d.Line, text)
	case d.File != "":
		return fmt.Sprintf("(%s) %s", d.File, text)
	}
	return text
}

// missingInterfaces names the interfaces of instances that this machine does not
// have.
func missingInterfaces(out io.Writer, v model.VRRP) bool {
	missing := false
	for _, i := range v.Instances {
		if i.Interface == "" || v.Global.DynamicInterfaces {
			continue
		}
		if _, err := net.InterfaceByName(i.Interface); err != nil {
			fmt.Fprintf(out, "(%s: Line %d) WARNING - interface %s for vrrp_instance %s doesn't exist\n", i.Pos.File, i.Pos.Line, i.Interface, i.Name)
			missing = true
		}
	}
	if missing {
		fmt.Fprintln(out, "Non-existent interface specified in configuration")
	}
	return missing
}

// unusableScripts complains of an account that does not exist, and of
// vrrp_scripts that cannot be run: those of keepalived are disabled.
func unusableScripts(out io.Writer, cfg *config.Config) bool {
	bad := false
	if s := cfg.Global.Scripts; s.User != "" {
		if _, err := notify.LookupAccount(notify.SystemAccounts{}, s.User, s.Group, false); err != nil {
			fmt.Fprintf(out, "(%s: Line %d) Error setting global script uid/gid: %v\n", s.Pos.File, s.Pos.Line, err)
			bad = true
		}
	}
	for _, s := range cfg.VRRP.Scripts {
		if !runnable(s.Script) {
			fmt.Fprintf(out, "Disabling track script %s since not found/accessible\n", s.Name)
			bad = true
		}
	}
	return bad
}

// runnable reports whether a script's program is there and can be run.
func runnable(s model.Script) bool {
	words := s.Argv
	if len(words) == 0 {
		words = strings.Fields(s.Command)
	}
	if len(words) == 0 {
		return false
	}
	_, err := exec.LookPath(words[0])
	return err == nil
}

// insecure reports whether a script runs as root that others may change
// unnoticed, since nothing asks for a look at it.
func insecure(cfg *config.Config) bool {
	if cfg.Global.Scripts.Security {
		return false
	}
	user := cfg.Global.Scripts.User
	if user == "" {
		user = "root"
		if _, err := notify.LookupAccount(notify.SystemAccounts{}, notify.DefaultScriptUser, "", false); err == nil {
			user = notify.DefaultScriptUser
		}
	}
	isRoot := func(u string) bool { return u == "root" || u == "0" }
	for _, s := range scriptsOf(cfg) {
		if runnable(s) && (isRoot(s.User) || s.User == "" && isRoot(user)) {
			return true
		}
	}
	return false
}

// scriptsOf returns every script of a configuration.
func scriptsOf(cfg *config.Config) []model.Script {
	var list []model.Script
	some := func(scripts ...*model.Script) {
		for _, s := range scripts {
			if s != nil {
				list = append(list, *s)
			}
		}
	}
	add := func(n model.NotifyScripts) {
		some(n.Master, n.Backup, n.Fault, n.Stop, n.Deleted, n.MasterRxLowerPri, n.Generic)
	}
	for _, s := range cfg.VRRP.Scripts {
		list = append(list, s.Script)
	}
	for _, i := range cfg.VRRP.Instances {
		add(i.Scripts)
	}
	for _, g := range cfg.VRRP.Groups {
		add(g.Scripts)
	}
	for _, vs := range cfg.Services {
		some(vs.QuorumUp, vs.QuorumDown)
		for _, rs := range vs.Servers {
			some(rs.NotifyUp, rs.NotifyDown)
			for _, c := range rs.Checks {
				if c.Misc != nil {
					list = append(list, c.Misc.Script)
				}
			}
		}
	}
	return list
}
