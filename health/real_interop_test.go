//go:build interop

package health

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// realVerdict is a check of a real server and whether it passes.
type realVerdict struct {
	name  string
	check model.Check
	up    bool
}

// program starts a server on free ports and ends it with the test. args gives
// its arguments for the ports; where another process was faster to take one of
// them, other ports are tried.
func program(t *testing.T, name string, ports int, args func(on []netip.AddrPort) []string) []netip.AddrPort {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not here", name)
	}
	var said string
	for range 5 {
		on := make([]netip.AddrPort, ports)
		for i := range on {
			on[i] = refusedPort(t)
		}
		cmd := exec.Command(path, args(on)...)
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		stop := func() { _ = cmd.Process.Signal(syscall.SIGTERM); <-ended }
		if listens(on, ended) {
			t.Cleanup(stop)
			return on
		}
		stop()
		text, _ := os.ReadFile(out.Name())
		said = string(text)
	}
	t.Fatalf("%s does not listen: %s", name, said)
	return nil
}

// listens waits until all ports accept, or the process has ended.
func listens(on []netip.AddrPort, ended <-chan struct{}) bool {
	accepting := 0
	await(func() bool {
		select {
		case <-ended:
			accepting = -1
			return true
		default:
		}
		for ; accepting < len(on); accepting++ {
			conn, err := net.Dial("tcp", on[accepting].String())
			if err != nil {
				return false
			}
			_ = conn.Close()
		}
		return true
	})
	return accepting == len(on)
}

// nginx starts nginx with a plain and a TLS port.
func nginx(t *testing.T, cert, key string) (plain, secured netip.AddrPort) {
	t.Helper()
	on := program(t, "nginx", 2, func(on []netip.AddrPort) []string {
		dir := t.TempDir()
		conf := fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    listen %[2]s default_server; listen %[3]s ssl default_server; ssl_certificate %[4]s; ssl_certificate_key %[5]s;
    location / { return 200 "hello\n"; }
    location /moved { return 301 /; }
    location /broken { return 503; }
    location /reset { return 444; }
  }
  server { listen %[2]s; server_name www.example.org; location / { return 404; } }
}
`, dir, on[0], on[1], cert, key)
		return []string{"-p", dir, "-c", textFile(t, conf)}
	})
	return on[0], on[1]
}

// haproxy starts haproxy with three front ends: one before nginx, one whose
// server is down, one that passes on TCP to nobody.
func haproxy(t *testing.T, nginx netip.AddrPort) (before, empty, tcp netip.AddrPort) {
	t.Helper()
	nobody := refusedPort(t)
	on := program(t, "haproxy", 3, func(on []netip.AddrPort) []string {
		return []string{"-db", "-f", textFile(t, fmt.Sprintf(`
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen before
  bind %s
  server a %s
listen empty
  bind %s
  server a %s disabled
listen tcp
  mode tcp
  bind %s
  server a %[4]s
`, on[0], nginx, on[1], nobody, on[2]))}
	})
	return on[0], on[1], on[2]
}

// dnsmasq starts a DNS server that knows one name and refuses all others.
func dnsmasq(t *testing.T) netip.AddrPort {
	t.Helper()
	return program(t, "dnsmasq", 1, func(on []netip.AddrPort) []string {
		return []string{
			"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
			"--bind-interfaces", "--except-interface=none0", "--listen-address=127.0.0.1", fmt.Sprintf("--port=%d", on[0].Port()), "--address=/example.org/192.0.2.1",
		}
	})[0]
}

func textFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// realVerdicts starts nginx and openssl's servers and returns checks of them.
func realVerdicts(t *testing.T) []realVerdict {
	ca := newAuthority(t)
	good, expired := ca.issue(time.Hour), ca.issue(-time.Hour)
	cert, key := write(t, "cert.pem", certBlock(good.Certificate[0])), write(t, "key.pem", keyBlock(t, good))
	oldCert, oldKey := write(t, "old.pem", certBlock(expired.Certificate[0])), write(t, "oldkey.pem", keyBlock(t, expired))
	plain, secured := nginx(t, cert, key)
	get := func(kind model.CheckKind, to netip.AddrPort, url model.URL) model.Check {
		return model.Check{Kind: kind, ConnectTo: to, HTTP: &model.HTTPSpec{URLs: []model.URL{url}}}
	}
	with := func(c model.Check, p model.HTTPProtocol) model.Check {
		c.HTTP.Protocol = p
		return c
	}
	list := []realVerdict{
		{"nginx", get(model.HTTPGet, plain, model.URL{Path: "/"}), true},
		{"nginx by HTTP 1.1", with(get(model.HTTPGet, plain, model.URL{Path: "/", VirtualHost: "x", Digest: sumOf("hello\n")}), model.HTTP11), true},
		{"nginx by HTTP 1.0C", with(get(model.HTTPGet, plain, model.URL{Path: "/"}), model.HTTP10C), true},
		{"nginx digest", get(model.HTTPGet, plain, model.URL{Path: "/", Digest: sumOf("hello\n")}), true},
		{"nginx another digest", get(model.HTTPGet, plain, model.URL{Path: "/", Digest: sumOf("hello")}), false},
		{"nginx regex", get(model.HTTPGet, plain, model.URL{Path: "/", Regex: &model.Regex{Pattern: "hel+o"}}), true},
		{"nginx virtualhost", get(model.HTTPGet, plain, model.URL{Path: "/", VirtualHost: "www.example.org"}), false},
		{"nginx virtualhost with its code", get(model.HTTPGet, plain, model.URL{Path: "/", VirtualHost: "www.example.org", StatusCodes: []model.CodeRange{{First: 404, Last: 404}}}), true},
		{"nginx redirect", get(model.HTTPGet, plain, model.URL{Path: "/moved"}), false},
		{"nginx redirect that is wanted", get(model.HTTPGet, plain, model.URL{Path: "/moved", StatusCodes: []model.CodeRange{{First: 300, Last: 399}}}), true},
		{"nginx broken", get(model.HTTPGet, plain, model.URL{Path: "/broken"}), false},
		{"nginx closes", get(model.HTTPGet, plain, model.URL{Path: "/reset"}), false},
		{"nginx with TLS", get(model.SSLGet, secured, model.URL{Path: "/", Digest: sumOf("hello\n")}), true},
		{"nginx with TLS, compliant", get(model.SSLGet, secured, model.URL{Path: "/", TLSCompliant: true}), true},
		{"nginx with TLS, broken", get(model.SSLGet, secured, model.URL{Path: "/broken"}), false},
		{"nginx without TLS", get(model.SSLGet, plain, model.URL{Path: "/"}), false},
		{"nginx with TLS, asked without", get(model.HTTPGet, secured, model.URL{Path: "/"}), false},
		{"nginx is no mail server", model.Check{Kind: model.SMTPCheck, ConnectTo: plain}, false},
		{"nginx by TCP", model.Check{Kind: model.TCPCheck, ConnectTo: plain}, true},
	}
	for _, s := range []struct {
		name string
		args []string
	}{
		{"openssl", []string{"-cert", cert, "-key", key}},
		{"openssl with an expired certificate", []string{"-cert", oldCert, "-key", oldKey}},
		{"openssl by TLS 1.2", []string{"-cert", cert, "-key", key, "-tls1_2"}},
		{"openssl by TLS 1.3", []string{"-cert", cert, "-key", key, "-tls1_3"}},
	} {
		to := program(t, "openssl", 1, func(on []netip.AddrPort) []string {
			return append([]string{"s_server", "-quiet", "-www", "-accept", on[0].String()}, s.args...)
		})[0]
		list = append(list, realVerdict{s.name, get(model.SSLGet, to, model.URL{Path: "/"}), true})
	}
	return append(list, otherVerdicts(t, plain)...)
}

// otherVerdicts starts haproxy, a mail server and a DNS server.
func otherVerdicts(t *testing.T, nginx netip.AddrPort) []realVerdict {
	get := func(to netip.AddrPort, path string, codes ...model.CodeRange) model.Check {
		url := model.URL{Path: path, StatusCodes: codes}
		return model.Check{Kind: model.HTTPGet, ConnectTo: to, HTTP: &model.HTTPSpec{URLs: []model.URL{url}}}
	}
	ask := func(to netip.AddrPort, kind, name string) model.Check {
		return model.Check{Kind: model.DNSCheck, ConnectTo: to, DNS: &model.DNSSpec{Type: kind, Name: name}}
	}
	before, empty, tcp := haproxy(t, nginx)
	mail := program(t, "/usr/bin/python3", 1, func(on []netip.AddrPort) []string {
		return []string{"-m", "aiosmtpd", "-n", "-l", on[0].String()}
	})[0]
	dns := dnsmasq(t)
	return []realVerdict{
		{"haproxy", get(before, "/"), true},
		{"haproxy, its server fails", get(before, "/broken"), false},
		{"haproxy without servers", get(empty, "/"), false},
		{"haproxy without servers, as wanted", get(empty, "/", model.CodeRange{First: 503, Last: 503}), true},
		{"haproxy passes on to nobody", get(tcp, "/"), false},
		{"haproxy by TCP, without servers", model.Check{Kind: model.TCPCheck, ConnectTo: empty}, true},
		{"a mail server", model.Check{Kind: model.SMTPCheck, ConnectTo: mail}, true},
		{"a mail server is no web server", get(mail, "/"), false},
		{"a DNS server", ask(dns, "A", "example.org"), true},
		{"a DNS server refuses", ask(dns, "A", "example.net"), false},
		{"a DNS server by TCP", model.Check{Kind: model.TCPCheck, ConnectTo: dns}, true},
	}
}

// Real servers get the verdicts that they should have, from us and from
// keepalived.
func TestRealServers(t *testing.T) {
	list := realVerdicts(t)
	var checks []model.Check
	ours := NewCheckers(CheckersOptions{})
	for _, v := range list {
		c := v.check
		c.ConnectTimeout, c.Alpha, c.DelayLoop, c.DelayBeforeRetry = 10*time.Second, true, 3*time.Second, 3*time.Second
		if c.Kind == model.SMTPCheck && !v.up {
			// The server waits for us to speak.
			c.ConnectTimeout = time.Second
		}
		a := ours.Examine(t.Context(), c)
		if (a.Err == nil) != v.up {
			t.Errorf("%s: we say %v (received %q), want up = %v", v.name, a.Err, a.Received, v.up)
		}
		checks = append(checks, c)
	}
	k := startKeepalived(t, checks)
	<-time.After(6 * time.Second)
	var got []string
	await(func() bool {
		got = k.turns()
		for i, v := range list {
			if v.up && got[i] != "u" {
				return false
			}
		}
		return true
	})
	for i, v := range list {
		if (got[i] == "u") != v.up {
			t.Errorf("%s: keepalived says %q, want up = %v", v.name, got[i], v.up)
		}
	}
}
