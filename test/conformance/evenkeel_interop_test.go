//go:build interop

package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// evenkeel is the program that this repository builds.
type evenkeel struct{}

func (evenkeel) name() string    { return "evenkeel" }
func (evenkeel) version() string { return "" }

// buildDir is where built puts it; TestMain removes it.
var buildDir string

// built is the program, built once for all items.
var built = sync.OnceValues(func() (string, error) {
	var err error
	if buildDir, err = os.MkdirTemp("", "conformance"); err != nil {
		return "", err
	}
	path := filepath.Join(buildDir, "evenkeel")
	cmd := exec.Command("go", "build", "-o", path, "../../cmd/evenkeel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build evenkeel: %w\n%s", err, out)
	}
	return path, nil
})

// evenkeelDaemon is one that runs.
type evenkeelDaemon struct {
	program
	conf   string
	client *api.Client
}

func (evenkeel) complaints(p *probe, c conf) string {
	p.Helper()
	path, err := built()
	p.check(err)
	file := filepath.Join(p.TempDir(), "keepalived.conf")
	p.check(os.WriteFile(file, []byte(c.keepalived()), 0o644))
	out, _ := exec.Command(path, "check", "-f", file).CombinedOutput() // the text says it
	return string(out)
}

func (evenkeel) start(p *probe, h *host, c conf) daemon {
	p.Helper()
	path, err := built()
	p.check(err)
	dir := p.TempDir()
	socket := filepath.Join(dir, "ek.sock")
	d := &evenkeelDaemon{conf: filepath.Join(dir, "keepalived.conf"), client: api.NewClient(socket)}
	p.check(os.WriteFile(d.conf, []byte(c.keepalived()), 0o644))
	// No service needs the datapath, and to load it takes a busy machine long. A
	// directory that is no bpffs makes the daemon go on without.
	pins := dir
	if c.datapath {
		pins = labtest.BPFFS(p)
	}
	cmd := exec.Command(path, "run", "-f", d.conf, "--socket", socket, "--pin-dir", filepath.Join(pins, "ek"))
	d.program = program{
		p: p, host: h, process: labtest.Start(p, h.node, cmd),
		entered: regexp.MustCompile(`instance=(\S+) state=(MASTER|BACKUP|FAULT)`),
	}
	return d
}

func (d *evenkeelDaemon) reload(c conf) {
	d.p.Helper()
	d.p.check(os.WriteFile(d.conf, []byte(c.keepalived()), 0o644))
	d.process.Signal(syscall.SIGHUP)
}

func (d *evenkeelDaemon) count(name, counter string) (uint64, bool) {
	d.p.Helper()
	v, err := d.client.VRRP(context.Background())
	d.p.check(err)
	for _, i := range v.Instances {
		if i.Name == name {
			return i.Counters[counter] + i.Refused[counter], true
		}
	}
	d.p.Fatalf("no instance %s", name)
	return 0, true
}

// words says whether a text has all of some words, in either case.
func words(text string, all ...string) bool {
	for _, w := range all {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			return false
		}
	}
	return true
}
