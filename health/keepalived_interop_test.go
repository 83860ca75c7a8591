//go:build interop

package health

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// peer is a keepalived that runs our checks.
type peer struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    string
	checks int
}

// startKeepalived runs keepalived's checkers on checks, one virtual server each.
// The real server of checks[i] is called 127.0.0.1 port i+1 in its log; where
// the check goes is said by connect_port. A small library stands in for IPVS.
func startKeepalived(t *testing.T, checks []model.Check) *peer {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "k.conf")
	if err := os.WriteFile(file, []byte(keepalivedConf(checks)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := labtest.KeepalivedCheckers(t, file)
	// keepalived logs to its terminal's error output and ends its children.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, cmd: cmd, log: log.Name(), checks: len(checks)}
	t.Cleanup(p.stop)
	return p
}

// stop ends keepalived. It may be called again.
func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if p.t.Failed() {
		p.t.Logf("keepalived said:\n%s", p.text())
	}
}

func (p *peer) text() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// turns reads from the log what became of each server so far: a line of
// letters, u for up and d for down, from a start as alpha says.
func (p *peer) turns() []string {
	out := make([]string, p.checks)
	pattern := regexp.MustCompile(`(Adding|Removing) service \[127\.0\.0\.1\]:(?:tcp|udp):(\d+) `)
	for line := range strings.Lines(p.text()) {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if n, err := strconv.Atoi(m[2]); err == nil && n >= 1 && n <= len(out) {
			out[n-1] += map[string]string{"Adding": "u", "Removing": "d"}[m[1]]
		}
	}
	return out
}

// await waits until done says so, and gives up after a minute and a half, so
// that what is missing shows in what the test compares.
func await(done func() bool) {
	for end := time.Now().Add(90 * time.Second); !done() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
}

func keepalivedConf(checks []model.Check) string {
	var b strings.Builder
	b.WriteString("global_defs {\n script_user root\n}\n")
	for _, c := range checks {
		if c.HTTP != nil && c.HTTP.TLS != nil {
			fmt.Fprintf(&b, "SSL {\n ca %s\n}\n", c.HTTP.TLS.CA)
		}
	}
	for i, c := range checks {
		protocol := "TCP"
		if c.Kind == model.UDPCheck || c.Kind == model.DNSCheck {
			protocol = "UDP"
		}
		fmt.Fprintf(&b, "virtual_server 192.0.2.1 %d {\n lb_algo rr\n lb_kind NAT\n protocol %s\n real_server 127.0.0.1 %d {\n  weight 1\n%s }\n}\n",
			i+1, protocol, i+1, checkConf(c))
	}
	return b.String()
}

// checkConf writes a check as keepalived reads it.
func checkConf(c model.Check) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "   "+format+"\n", args...) }
	line("%s {", c.Kind)
	if c.Misc == nil {
		line("connect_port %d", c.ConnectTo.Port())
		line("connect_timeout %g", c.ConnectTimeout.Seconds())
	}
	line("retry %d", c.Retry)
	line("delay_before_retry %g", c.DelayBeforeRetry.Seconds())
	line("delay_loop %g", c.DelayLoop.Seconds())
	line("warmup %g", c.Warmup.Seconds())
	line("alpha %v", c.Alpha)
	switch {
	case c.HTTP != nil:
		if c.HTTP.FastRecovery {
			line("fast_recovery")
		}
		if c.HTTP.EnableSNI {
			line("enable_sni")
		}
		if c.HTTP.Protocol != "" {
			line("http_protocol %s", c.HTTP.Protocol)
		}
		for _, u := range c.HTTP.URLs {
			urlConf(line, u)
		}
	case c.DNS != nil && c.DNS.Name != "":
		line("type %s", c.DNS.Type)
		line("name %s", c.DNS.Name)
	case c.UDP != nil:
		udpConf(line, *c.UDP)
	case c.Misc != nil:
		line("misc_path %q", c.Misc.Script.Argv[0])
		if c.Misc.Dynamic {
			line("misc_dynamic")
		}
	}
	line("}")
	return b.String()
}

func urlConf(line func(string, ...any), u model.URL) {
	line("url {")
	line("path %s", u.Path)
	if u.VirtualHost != "" {
		line("virtualhost %s", u.VirtualHost)
	}
	if u.Digest != "" {
		line("digest %s", u.Digest)
	}
	if len(u.StatusCodes) > 0 {
		line("status_code %s", codesText(u.StatusCodes))
	}
	if r := u.Regex; r != nil {
		line("regex \"%s\"", r.Pattern)
		if len(r.Options) > 0 {
			line("regex_options %s", strings.Join(r.Options, " "))
		}
		if r.NoMatch {
			line("regex_no_match")
		}
		if r.MinOffset > 0 {
			line("regex_min_offset %d", r.MinOffset)
		}
		if r.MaxOffset != nil {
			line("regex_max_offset %d", *r.MaxOffset)
		}
	}
	line("}")
}

func udpConf(line func(string, ...any), u model.UDPSpec) {
	if len(u.Payload) > 0 {
		line("payload %s", hex.EncodeToString(u.Payload))
	}
	if u.RequireReply {
		line("require_reply %s", hex.EncodeToString(u.Reply))
	}
	line("min_reply_length %d", u.MinReply)
	line("max_reply_length %d", u.MaxReply)
}
