//go:build netns

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// routerVIP is the address that the routers of a pair share.
const routerVIP = "10.91.0.100"

// pair is a network of routers on which evenkeel runs, and a client.
type pair struct {
	*testing.T
	lan     *lab.LAN
	routers []*router
	client  *lab.Node
}

// router is one host that runs evenkeel with VRRP.
type router struct {
	*testing.T
	node             *lab.Node
	iface            *lab.Iface
	file, sock, pins string
	dumps            string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	l := labtest.New(t)
	p := &pair{T: t}
	lan, err := l.AddLAN("lan")
	p.check(err)
	p.lan = lan
	for n := 1; n <= 2; n++ {
		dir := t.TempDir()
		r := &router{T: t, file: filepath.Join(dir, "keepalived.conf"), sock: filepath.Join(dir, "ek.sock"), dumps: t.TempDir()}
		r.node, r.iface = p.host(l, fmt.Sprintf("router%d", n), n)
		r.pins = filepath.Join(labtest.BPFFS(t), "evenkeel")
		p.routers = append(p.routers, r)
	}
	p.client, _ = p.host(l, "client", 9)
	p.check(p.client.SetSysctl("net/ipv4/neigh/eth0/locktime", "0"))
	return p
}

func (p *pair) host(l *lab.Lab, name string, number int) (*lab.Node, *lab.Iface) {
	p.Helper()
	node, err := l.AddNode(name)
	p.check(err)
	iface, err := p.lan.Join(node, lab.Port{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.91.0.%d/24", number))}})
	p.check(err)
	return node, iface
}

func (p *pair) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// instance returns a vrrp_instance of the shared address with more lines.
func instance(priority int, lines ...string) string {
	return fmt.Sprintf(`vrrp_instance VI {
  version 3
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 0.2
  virtual_ipaddress {
    %s/24
  }
  %s
}
`, priority, routerVIP, strings.Join(lines, "\n  "))
}

func (r *router) write(text string) {
	r.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *router) command(args ...string) *exec.Cmd {
	args = append(args, "--socket", r.sock)
	if args[0] == "run" || args[0] == "stop" || args[0] == "status" {
		args = append(args, "--pin-dir", r.pins)
	}
	return exec.Command("evenkeel", args...)
}

func (r *router) call(args ...string) labtest.Outcome {
	r.Helper()
	return labtest.Run(r.T, r.node, r.command(args...))
}

// start starts a daemon with a configuration and more flags, and waits until it
// answers.
func (r *router) start(text string, flags ...string) *labtest.Process {
	r.Helper()
	r.write(text)
	args := append([]string{"run", "-f", r.file, "--log-level", "debug", "--dump-dir", r.dumps}, flags...)
	p := labtest.Start(r.T, r.node, r.command(args...))
	labtest.Until(r.T, "the daemon answers", func() bool {
		if p.Ended() {
			r.Fatalf("the daemon ended:\n%s", p.Log())
		}
		return r.call("vrrp").Code == 0
	})
	return p
}

// vrrp returns what evenkeel vrrp --json says.
func (r *router) vrrp() (v api.VRRP) {
	r.Helper()
	got := r.call("vrrp", "--json")
	if got.Code != 0 {
		r.Fatalf("evenkeel vrrp: exit code %d: %s", got.Code, got.Stderr)
	}
	if err := json.Unmarshal([]byte(got.Stdout), &v); err != nil {
		r.Fatal(err)
	}
	return v
}

// status returns what evenkeel status --json says.
func (r *router) status() (s api.Status) {
	r.Helper()
	got := r.call("status", "--json")
	if got.Code != 0 {
		r.Fatalf("evenkeel status: exit code %d: %s", got.Code, got.Stderr)
	}
	if err := json.Unmarshal([]byte(got.Stdout), &s); err != nil {
		r.Fatal(err)
	}
	return s
}

// instance returns the only instance.
func (r *router) instance() api.VRRPInstance {
	r.Helper()
	v := r.vrrp()
	if len(v.Instances) != 1 {
		r.Fatalf("%d instances: %+v", len(v.Instances), v)
	}
	return v.Instances[0]
}

func (r *router) await(state string) {
	r.Helper()
	labtest.Until(r.T, r.node.Name()+" becomes "+state, func() bool { return r.instance().State == state })
}

// has says whether the shared address is on the router.
func (r *router) has() bool {
	r.Helper()
	out := labtest.Run(r.T, r.node, exec.Command("ip", "-o", "addr", "show", "to", routerVIP))
	return strings.Contains(out.Stdout, routerVIP)
}

func (r *router) awaitAddr(there bool) {
	r.Helper()
	labtest.Until(r.T, fmt.Sprintf("%s has the address: %t", r.node.Name(), there), func() bool { return r.has() == there })
}

// answers says whether the client reaches the shared address: a refused
// connection is an answer.
func (p *pair) answers() bool {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_, err := p.client.Dial(ctx, "tcp", routerVIP+":9")
	return errors.Is(err, unix.ECONNREFUSED)
}

// owner returns which router the client reaches under the shared address.
func (p *pair) owner() string {
	p.Helper()
	if !p.answers() {
		return ""
	}
	out := labtest.Run(p.T, p.client, exec.Command("ip", "neigh", "show", "to", routerVIP))
	at := slices.IndexFunc(p.routers, func(r *router) bool { return strings.Contains(out.Stdout, r.iface.MAC.String()) })
	if at < 0 {
		return ""
	}
	return p.routers[at].node.Name()
}

func (p *pair) awaitOwner(r *router) {
	p.Helper()
	labtest.Until(p.T, "the client reaches "+r.node.Name(), func() bool { return p.owner() == r.node.Name() })
}
