//go:build interop

package conformance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// router is a program under test.
type router interface {
	name() string
	version() string
	// start runs a configuration on a host. What the program has no option for
	// ends the item.
	start(p *probe, h *host, c conf) daemon
	// complaints returns what the program's check of a configuration says.
	complaints(p *probe, c conf) string
}

// daemon is a router at work. It ends with the item at the latest.
type daemon interface {
	// stop asks it to end and waits for that; kill leaves it no time.
	stop()
	kill()
	reload(c conf)
	// pause stops it for a while.
	pause(on bool)
	log() string
	ended() bool
	// states are those that an instance has entered: MASTER, BACKUP, FAULT.
	states(name string) []string
	// count returns a counter by evenkeel's name; false if the program tells
	// nobody.
	count(name, counter string) (uint64, bool)
}

// program is a daemon that is one process.
type program struct {
	p       *probe
	host    *host
	process *labtest.Process
	// entered finds an instance's name and its state in the log.
	entered *regexp.Regexp
}

func (d *program) log() string { return d.process.Log() }
func (d *program) ended() bool { return d.process.Ended() }

func (d *program) stop() {
	d.p.Helper()
	if !d.process.Ended() {
		d.process.Signal(syscall.SIGTERM)
	}
	d.p.until("the daemon ends", d.process.Ended)
}

func (d *program) states(name string) (list []string) {
	for _, m := range d.entered.FindAllStringSubmatch(d.log(), -1) {
		if m[1] == name {
			list = append(list, m[2])
		}
	}
	return list
}

func (d *program) count(string, string) (uint64, bool) { return 0, false }

// signalGroup signals the process and its children.
func (d *program) signalAll(sig syscall.Signal) {
	for _, pid := range append(children(d.process.PID()), d.process.PID()) {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

// children returns the processes under one.
func children(pid int) (list []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// Behind the name: state, parent.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 1 && atoi(fields[1]) == pid {
			child := atoi(filepath.Base(filepath.Dir(f)))
			list = append(append(list, children(child)...), child)
		}
	}
	return list
}

// kill stops the parent first, so that no child gets a word from it, and then
// kills all.
func (d *program) kill() {
	_ = syscall.Kill(d.process.PID(), syscall.SIGSTOP)
	d.signalAll(syscall.SIGKILL)
	d.p.until("the daemon is gone", d.process.Ended)
}

func (d *program) pause(on bool) {
	if on {
		d.signalAll(syscall.SIGSTOP)
		return
	}
	d.signalAll(syscall.SIGCONT)
}

// keepalived is the program of that name.
type keepalived struct{}

type keepalivedDaemon struct {
	program
	conf string
}

func (keepalived) name() string { return "keepalived" }

func (keepalived) version() string {
	out, _ := exec.Command("keepalived", "--version").CombinedOutput() // the text says it
	return regexp.MustCompile(`v\d+\.\d+\.\d+`).FindString(string(out))
}

func (keepalived) start(p *probe, h *host, c conf) daemon {
	p.Helper()
	dir := p.TempDir()
	d := &keepalivedDaemon{conf: filepath.Join(dir, "keepalived.conf")}
	p.check(os.WriteFile(d.conf, []byte(c.keepalived()), 0o644))
	cmd := exec.Command("keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "-f", d.conf,
		"-p", filepath.Join(dir, "pid"), "-r", filepath.Join(dir, "vrrp.pid"))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	d.program = program{
		p: p, host: h, process: labtest.Start(p, h.node, cmd),
		entered: regexp.MustCompile(`\((\S+)\) Entering (MASTER|BACKUP|FAULT) STATE`),
	}
	p.Cleanup(func() {
		if !d.ended() {
			d.kill()
		}
	})
	// An item must not fail for what the program does not know.
	if unknown := unknownKeyword(d.process); unknown != "" {
		p.lacks("%s", unknown)
	}
	return d
}

// unknownKeyword waits until the configuration was read.
func unknownKeyword(process *labtest.Process) string {
	soon(func() bool {
		return process.Ended() || strings.Contains(process.Log(), "Entering") || strings.Contains(process.Log(), "Startup complete")
	})
	if m := regexp.MustCompile(`Unknown keyword '([^']+)'`).FindStringSubmatch(process.Log()); m != nil {
		return "no " + m[1]
	}
	return ""
}

func (d *keepalivedDaemon) reload(c conf) {
	d.p.Helper()
	d.p.check(os.WriteFile(d.conf, []byte(c.keepalived()), 0o644))
	d.process.Signal(syscall.SIGHUP)
}

func (keepalived) complaints(p *probe, c conf) string {
	p.Helper()
	file := filepath.Join(p.TempDir(), "keepalived.conf")
	p.check(os.WriteFile(file, []byte(c.keepalived()), 0o644))
	// Interfaces must exist for its check.
	s := newSite(p, 1)
	cmd := exec.Command("keepalived", "--config-test", "--vrrp", "-f", file)
	out := labtest.Run(p, s.hosts[0].node, cmd)
	return out.Stdout + out.Stderr
}

// settle is long enough for what was sent to be worked on where nothing tells
// that it was.
const settle = 300 * time.Millisecond
