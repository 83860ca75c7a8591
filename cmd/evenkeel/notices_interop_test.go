//go:build interop

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// namespaceFirst runs a program in a network namespace with an interface, and with a bpf
// file system on the directory that is named first.
const namespaceFirst = `
mount -t bpf bpf "$1" || exit 1
shift
ip link set lo up
ip link add eth0 type veth peer name peer0
ip link set eth0 up
ip link set peer0 up
ip addr add 192.0.2.254/24 dev eth0
for n in 1 2 3; do ip neigh add 192.0.2.1$n lladdr 02:00:00:00:00:1$n dev eth0; done
exec "$@"
`

// balancer is a balancer whose notify scripts write down what they are told.
type balancer struct {
	t         *testing.T
	name      string
	conf, out string
	cmd       *exec.Cmd
	read      int // lines of out
	// last is what was told last of each server and service.
	last map[string]string
}

// TestServiceScripts runs the same services here and in keepalived, and compares
// what their scripts are told.
func TestServiceScripts(t *testing.T) {
	keepalived := labtest.Keepalived(t, "")
	ours, err := exec.LookPath("evenkeel")
	if err != nil {
		t.Fatal(err)
	}
	dir, library := t.TempDir(), labtest.NoIPVS(t)
	all := []int{1, 2, 3}
	for _, n := range all {
		touch(t, dir, n)
	}
	both := []*balancer{
		newBalancer(t, dir, "keepalived", "/usr/bin/env", "LD_PRELOAD="+library, keepalived, "-C", "-n", "-l", "-D", "-f", "CONF", "-p", "DIR/pid", "-c", "DIR/checkers"),
		newBalancer(t, dir, "evenkeel", ours, "run", "-f", "CONF", "--socket", "DIR/socket", "--pin-dir", "DIR/bpf/ek"),
	}
	configure := func(servers []int, services ...string) {
		for _, l := range both {
			l.configure(servers, services...)
			if l.cmd.Process != nil {
				l.signal(syscall.SIGHUP)
			}
		}
	}
	configure(all, "plain", "omega", "alpha", "group")
	for _, l := range both {
		l.start()
	}
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"start", func() {}, []string{"group up", "plain up", "omega up", "alpha 1 up", "alpha 2 up", "alpha 3 up", "alpha up"}},
		{"a server fails", func() { remove(t, dir, 1) }, []string{"group 1 down", "plain 1 down", "omega 1 down", "alpha 1 down"}},
		{"another fails", func() { remove(t, dir, 2) },
			[]string{"group 2 down", "plain 2 down", "omega 2 down", "alpha 2 down", "group down", "plain down", "omega down", "alpha down"}},
		{"one is back", func() { touch(t, dir, 2) }, []string{"group 2 up", "plain 2 up", "omega 2 up", "alpha 2 up", "group up", "plain up", "omega up", "alpha up"}},
		{"reload without a live server", func() { configure([]int{1, 2}, "plain", "omega", "alpha", "group") },
			[]string{"group 3 down", "plain 3 down", "omega 3 down", "alpha 3 down", "group down", "plain down", "omega down", "alpha down"}},
		{"reload without a service", func() { configure([]int{1, 2}, "omega") }, []string{"group 2 down", "plain 2 down", "alpha 2 down"}},
		{"stop", func() {
			for _, l := range both {
				l.signal(syscall.SIGTERM)
			}
		}, []string{"omega 2 down"}},
	}
	for _, step := range steps {
		step.do()
		for _, l := range both {
			l.want(step.name, step.want)
		}
	}
}

func touch(t *testing.T, dir string, server int) {
	t.Helper()
	if err := os.WriteFile(upFile(dir, server), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir string, server int) {
	t.Helper()
	if err := os.Remove(upFile(dir, server)); err != nil {
		t.Fatal(err)
	}
}

func upFile(dir string, server int) string { return filepath.Join(dir, fmt.Sprint("up", server)) }

// newBalancer prepares a balancer. In its command line CONF stands for its
// configuration and DIR for its directory.
func newBalancer(t *testing.T, parent, name string, command ...string) *balancer {
	t.Helper()
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(filepath.Join(dir, "bpf"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := &balancer{t: t, name: name, last: make(map[string]string), conf: filepath.Join(dir, "conf"), out: filepath.Join(dir, "out")}
	tell := filepath.Join(dir, "tell")
	if err := os.WriteFile(tell, []byte("#!/bin/sh\necho \"$*\" >> "+l.out+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.out, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--net", "--mount", "sh", "-c", namespaceFirst, "sh", filepath.Join(dir, "bpf")}
	for _, word := range command {
		args = append(args, strings.NewReplacer("CONF", l.conf, "DIR", dir).Replace(word))
	}
	l.cmd = exec.Command("/usr/bin/unshare", args...)
	return l
}

func (l *balancer) start() {
	l.t.Helper()
	log, err := os.Create(l.conf + ".log")
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	l.cmd.Stdout, l.cmd.Stderr = log, log
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = l.cmd.Process.Signal(syscall.SIGTERM)
		_ = l.cmd.Wait()
		for _, file := range []string{log.Name(), l.out} {
			if text, err := os.ReadFile(file); err == nil && l.t.Failed() {
				l.t.Logf("%s of %s:\n%s", filepath.Base(file), l.name, text)
			}
		}
	})
}

func (l *balancer) signal(sig syscall.Signal) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(sig); err != nil {
		l.t.Fatal(err)
	}
}

// configure writes a configuration with these servers in each service. The
// quorum asks for all but one of three.
func (l *balancer) configure(servers []int, services ...string) {
	l.t.Helper()
	dir := filepath.Dir(l.conf)
	var b strings.Builder
	b.WriteString("global_defs {\n script_user root\n enable_script_security\n @evenkeel xdp_interface eth0\n}\n")
	addresses := map[string]int{"plain": 1, "omega": 2, "alpha": 3}
	b.WriteString("virtual_server_group two {\n 192.0.2.4-5 80\n}\n")
	for _, name := range services {
		what := fmt.Sprintf("192.0.2.%d 80", addresses[name])
		option := strings.TrimPrefix(name, "plain")
		if name == "group" {
			what, option = "group two", ""
		}
		fmt.Fprintf(&b, "virtual_server %s {\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n quorum 2\n %s\n", what, option)
		for _, up := range []string{"up", "down"} {
			fmt.Fprintf(&b, " quorum_%s \"%s/tell %s %[1]s\"\n", up, dir, name)
		}
		for _, n := range servers {
			fmt.Fprintf(&b, " real_server 192.0.2.1%d 80 {\n", n)
			for _, up := range []string{"up", "down"} {
				fmt.Fprintf(&b, "  notify_%s \"%s/tell %s %d %[1]s\"\n", up, dir, name, n)
			}
			fmt.Fprintf(&b, "  MISC_CHECK {\n   misc_path \"/usr/bin/test -e %s\"\n  }\n }\n", upFile(filepath.Dir(dir), n))
		}
		b.WriteString("}\n")
	}
	if err := os.WriteFile(l.conf, []byte(b.String()), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// want waits for what the scripts are told next. Their order is nobody's
// promise, since they run beside each other.
func (l *balancer) want(step string, want []string) {
	l.t.Helper()
	var got []string
	labtest.Until(l.t, fmt.Sprintf("%s, %s: %d scripts", l.name, step, len(want)), func() bool {
		got = append(got, l.news()...)
		return len(got) >= len(want)
	})
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Fatalf("%s, %s (-want +got):\n%s", l.name, step, diff)
	}
}

// news returns what was told since the last call. What was told before of the
// same server or service is none: keepalived tells a quorum that a reload loses
// twice.
func (l *balancer) news() (news []string) {
	l.t.Helper()
	text, err := os.ReadFile(l.out)
	if err != nil {
		l.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for _, line := range lines[l.read : len(lines)-1] {
		line = strings.TrimSpace(line)
		of := line[:strings.LastIndex(line, " ")]
		if l.last[of] != line {
			news = append(news, line)
		}
		l.last[of] = line
	}
	l.read = len(lines) - 1
	return news
}
