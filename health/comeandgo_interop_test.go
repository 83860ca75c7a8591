//go:build interop

package health

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// steered is a real server whose process the test steers, and a check of it.
type steered struct {
	name    string
	check   model.Check
	process *os.Process
	// deaf is set for a check that a stopped process passes: the kernel accepts
	// connections for it.
	deaf bool
}

// steeredServers starts one server of each kind.
func steeredServers(t *testing.T) []steered {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=self", "-days", "1", "-keyout", key, "-out", cert)
	if out, err := selfSigned.CombinedOutput(); err != nil {
		t.Skipf("skipped: needs openssl: %v\n%s", err, out)
	}
	get := func(kind model.CheckKind) model.Check {
		return model.Check{Kind: kind, HTTP: &model.HTTPSpec{URLs: []model.URL{{Path: "/"}}}}
	}
	web := func(on []netip.AddrPort) []string {
		conf := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;\nevents {}\nhttp {\n access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; "+
			"fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;\n server { listen %[2]s; location / { return 200 ok; } }\n}\n", t.TempDir(), on[0])
		return []string{"-p", dir, "-c", textFile(t, conf)}
	}
	proxy := func(on []netip.AddrPort) []string {
		return []string{"-db", "-f", textFile(t, fmt.Sprintf("defaults\n mode http\n timeout client 20s\n timeout server 20s\n timeout connect 5s\nfrontend f\n bind %s\n http-request return status 200\n", on[0]))}
	}
	tls := func(on []netip.AddrPort) []string {
		return []string{"s_server", "-quiet", "-www", "-accept", on[0].String(), "-cert", cert, "-key", key}
	}
	mail := func(on []netip.AddrPort) []string { return []string{"-m", "aiosmtpd", "-n", "-l", on[0].String()} }
	dns := func(on []netip.AddrPort) []string {
		return []string{
			"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
			"--bind-interfaces", "--except-interface=none0", "--listen-address=127.0.0.1", fmt.Sprintf("--port=%d", on[0].Port()), "--address=/example.org/192.0.2.1",
		}
	}
	var list []steered
	for _, s := range []struct {
		name, program string
		args          func([]netip.AddrPort) []string
		check         model.Check
		deaf          bool
	}{
		{"nginx", "nginx", web, get(model.HTTPGet), false},
		{"nginx by TCP", "nginx", web, model.Check{Kind: model.TCPCheck}, true},
		{"haproxy", "haproxy", proxy, get(model.HTTPGet), false},
		{"openssl, self-signed", "openssl", tls, get(model.SSLGet), false},
		{"a mail server", "/usr/bin/python3", mail, model.Check{Kind: model.SMTPCheck, SMTP: &model.SMTPSpec{HeloName: model.DefaultHeloName}}, false},
		{"a DNS server", "dnsmasq", dns, model.Check{Kind: model.DNSCheck, DNS: &model.DNSSpec{Type: "A", Name: "example.org"}}, false},
	} {
		on, process := programs(t, s.program, 1, s.args)
		t.Cleanup(func() { _ = process.Signal(syscall.SIGCONT) }) // a stopped one would not end
		c := s.check
		c.ConnectTo, c.ConnectTimeout, c.Alpha, c.DelayLoop, c.DelayBeforeRetry = on[0], 3*time.Second, true, 3*time.Second, time.Second
		list = append(list, steered{s.name, c, process, s.deaf})
	}
	return list
}

// turnsOf runs the checks and notes the verdicts as peer.turns does.
func turnsOf(t *testing.T, list []steered) func() []string {
	t.Helper()
	var targets []Target
	for i, s := range list {
		targets = append(targets, Target{
			Service: model.ServiceKey{Protocol: syscall.IPPROTO_TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
			Server:  netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(i+1)), Checks: []model.Check{s.check},
		})
	}
	r := New(targets, Options{Prober: NewCheckers(CheckersOptions{})})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	var mu sync.Mutex // guards turns
	turns := make([]string, len(list))
	running.Go(func() { _ = r.Run(ctx) })
	running.Go(func() {
		for {
			select {
			case v := <-r.Verdicts():
				mu.Lock()
				turns[v.Server.Port()-1] += map[bool]string{true: "u", false: "d"}[v.Up]
				mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), turns...)
	}
}

// TestRealServersComeAndGo: real servers that stop answering while their kernel
// still accepts (half open), that go on, and that die, get the same verdicts in
// the same order from us and from keepalived.
func TestRealServersComeAndGo(t *testing.T) {
	list := steeredServers(t)
	var checks []model.Check
	for _, s := range list {
		checks = append(checks, s.check)
	}
	theirs, ours := startKeepalived(t, checks).turns, turnsOf(t, list)
	send := func(sig syscall.Signal) func() {
		return func() {
			for _, s := range list {
				if err := s.process.Signal(sig); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		}
	}
	want := make([]string, len(list))
	for _, step := range []struct {
		name, turn string
		do         func()
	}{
		{"they run", "u", func() {}},
		{"they are stopped", "d", send(syscall.SIGSTOP)},
		{"they go on", "u", send(syscall.SIGCONT)},
		{"they die", "d", send(syscall.SIGKILL)},
	} {
		step.do()
		for i, s := range list {
			// A stopped server that is only connected to changes nothing.
			unseen := s.deaf && step.name == "they are stopped"
			if !unseen && !strings.HasSuffix(want[i], step.turn) {
				want[i] += step.turn
			}
		}
		await(func() bool {
			return strings.Join(ours(), " ") == strings.Join(want, " ") && strings.Join(theirs(), " ") == strings.Join(want, " ")
		})
		us, them := ours(), theirs()
		for i, s := range list {
			if us[i] != want[i] || them[i] != want[i] {
				t.Fatalf("%s: of %s we say %q and keepalived %q, want %q", step.name, s.name, us[i], them[i], want[i])
			}
		}
	}
}
