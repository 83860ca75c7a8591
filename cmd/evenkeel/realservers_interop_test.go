//go:build interop

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// The ports of the real servers.
const (
	webPort, selfSignedPort, expiredPort = 8001, 8002, 8003
	proxyPort, tlsPort, mailPort         = 8010, 8020, 8025
	dnsPort                              = 53
)

// realServers are programs on one node, all steered together.
type realServers struct {
	t    *testing.T
	node *lab.Node
	addr netip.Addr
	dir  string
	all  []*labtest.Process
	dns  *labtest.Process
}

// mailHandler answers HELO as the file says whose path it is made with.
const mailHandler = `import os
class Handler:
    def __init__(self, right):
        self.right = right
    @classmethod
    def from_cli(cls, parser, *args):
        return cls(args[0])
    async def handle_HELO(self, server, session, envelope, hostname):
        if not os.path.exists(self.right):
            return '554 not today'
        session.host_name = hostname
        return '250 mail.test'
`

// webConf is nginx's configuration: directory, then the ports. /health is there
// while the file right is.
const webConf = `daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
 access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
 root %[1]s;
 server { listen %[2]d; location = /health { try_files /right =503; } }
 server { listen %[3]d ssl; ssl_certificate %[1]s/self.pem; ssl_certificate_key %[1]s/key.pem; location = /health { try_files /right =503; } }
 server { listen %[4]d ssl; ssl_certificate %[1]s/expired.pem; ssl_certificate_key %[1]s/key.pem; location = /health { try_files /right =503; } }
}
`

const proxyConf = `defaults
 mode http
 timeout connect 20s
 timeout client 20s
 timeout server 20s
listen proxy
 bind :%d
 server web 127.0.0.1:%d
`

// startRealServers starts nginx, haproxy before it, openssl with an expired
// certificate, a mail server and dnsmasq.
func startRealServers(t *testing.T, node *lab.Node, addr netip.Addr) *realServers {
	t.Helper()
	r := &realServers{t: t, node: node, addr: addr, dir: t.TempDir()}
	key, self, expired := filepath.Join(r.dir, "key.pem"), filepath.Join(r.dir, "self.pem"), filepath.Join(r.dir, "expired.pem")
	r.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
	r.openssl("req", "-x509", "-key", key, "-subj", "/CN=self", "-days", "1", "-out", self)
	r.openssl("req", "-new", "-key", key, "-subj", "/CN=expired", "-out", filepath.Join(r.dir, "csr"))
	r.openssl("x509", "-req", "-in", filepath.Join(r.dir, "csr"), "-signkey", key, "-days", "-1", "-out", expired)
	r.write("handler.py", mailHandler)
	r.write("web.conf", fmt.Sprintf(webConf, r.dir, webPort, selfSignedPort, expiredPort))
	r.write("proxy.conf", fmt.Sprintf(proxyConf, proxyPort, webPort))
	r.setRight(true)

	r.start("nginx", "-p", r.dir, "-c", filepath.Join(r.dir, "web.conf"))
	r.start("haproxy", "-db", "-f", filepath.Join(r.dir, "proxy.conf"))
	r.start("openssl", "s_server", "-quiet", "-www", "-accept", fmt.Sprint(tlsPort), "-cert", expired, "-key", key)
	mail := exec.Command("/usr/bin/python3", "-m", "aiosmtpd", "-n", "-l", fmt.Sprintf("0.0.0.0:%d", mailPort), "-c", "handler.Handler", filepath.Join(r.dir, "right"))
	mail.Env = append(os.Environ(), "PYTHONPATH="+r.dir)
	r.startCommand(mail)
	r.dns = r.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
		fmt.Sprintf("--port=%d", dnsPort), "--addn-hosts="+filepath.Join(r.dir, "hosts"))
	return r
}

func (r *realServers) openssl(args ...string) {
	r.t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		r.t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
}

func (r *realServers) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *realServers) start(name string, args ...string) *labtest.Process {
	r.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		r.t.Skipf("skipped: needs %s", name)
	}
	return r.startCommand(exec.Command(name, args...))
}

func (r *realServers) startCommand(cmd *exec.Cmd) *labtest.Process {
	r.t.Helper()
	p := labtest.Start(r.t, r.node, cmd)
	r.all = append(r.all, p)
	return p
}

// setRight says whether the servers answer as they should, or wrong: 503 of
// nginx, 554 of the mail server, REFUSED of dnsmasq.
func (r *realServers) setRight(right bool) {
	r.t.Helper()
	if right {
		r.write("hosts", r.addr.String()+" up.test\n")
		r.write("right", "ok\n")
	} else {
		r.write("hosts", "")
		if err := os.Remove(filepath.Join(r.dir, "right")); err != nil {
			r.t.Fatal(err)
		}
	}
	if r.dns != nil {
		r.dns.Signal(syscall.SIGHUP)
	}
}

// signal sends a signal to all; for the kernel, which answers pings, echo says
// what becomes of those.
func (r *realServers) signal(sig syscall.Signal, echo bool) {
	r.t.Helper()
	for _, p := range r.all {
		p.Signal(sig)
	}
	ignore := "1"
	if echo {
		ignore = "0"
	}
	if err := r.node.SetSysctl("net/ipv4/icmp_echo_ignore_all", ignore); err != nil {
		r.t.Fatal(err)
	}
}
