//go:build interop

package failover

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/vrrp"
)

// keepalived runs keepalived on the router with one instance.
func (r *router) keepalived(instance string) *labtest.Process {
	r.Helper()
	path, err := exec.LookPath("keepalived")
	if err != nil {
		r.Skip("skipped: needs keepalived")
	}
	dir := r.TempDir()
	conf := filepath.Join(dir, "keepalived.conf")
	text := "global_defs {\n router_id T\n}\nvrrp_instance VI {\n interface eth0\n virtual_router_id 1\n" + instance + "}\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
	return labtest.Start(r.TB, r.node, exec.Command(path, "--dont-fork", "--log-console", "--log-detail", "--vrrp",
		"-f", conf, "-p", filepath.Join(dir, "pid"), "-r", filepath.Join(dir, "vrrp.pid")))
}

// TestPairsWithKeepalived: one master in each mixed pair; each side takes over
// from the other when that stops, and yields when a better one comes.
func TestPairsWithKeepalived(t *testing.T) {
	unicast := func(i *model.VRRPInstance) {
		i.Multicast, i.Peers = netip.Addr{}, []model.VRRPPeer{{Addr: ip("10.90.0.2")}}
	}
	for _, tt := range []struct {
		name   string
		conf   string // of keepalived
		change func(*model.VRRPInstance)
		vip    string
	}{
		{"v2 PASS", "version 2\nadvert_int 1\nauthentication {\n auth_type PASS\n auth_pass s3cretpw\n}\n",
			func(i *model.VRRPInstance) {
				i.Version, i.Interval = 2, time.Second
				i.Auth = model.VRRPAuth{Type: model.AuthPass, Secret: "s3cretpw"}
			}, vip4},
		{"v2 AH", "version 2\nadvert_int 1\nauthentication {\n auth_type AH\n auth_pass s3cretpw\n}\n",
			func(i *model.VRRPInstance) {
				i.Version, i.Interval = 2, time.Second
				i.Auth = model.VRRPAuth{Type: model.AuthAH, Secret: "s3cretpw"}
			}, vip4},
		{"v3 IPv4", "version 3\nadvert_int 0.1\n", func(*model.VRRPInstance) {}, vip4},
		{"v3 IPv4 unicast", "version 3\nadvert_int 0.1\nunicast_peer {\n 10.90.0.1\n}\n", unicast, vip4},
		{"v3 IPv4 virtual MAC", "version 3\nadvert_int 0.1\nuse_vmac\n",
			func(i *model.VRRPInstance) { i.VMAC = &model.VMAC{} }, vip4},
		{"v3 IPv4 virtual MAC, sent from below", "version 3\nadvert_int 0.1\nuse_vmac\nvmac_xmit_base\n",
			func(i *model.VRRPInstance) { i.VMAC = &model.VMAC{TransmitBase: true} }, vip4},
		{"v3 IPv6", "version 3\nadvert_int 0.1\n", six, vip6},
		{"v3 IPv6 virtual MAC", "version 3\nadvert_int 0.1\nuse_vmac\n",
			func(i *model.VRRPInstance) { six(i); i.VMAC = &model.VMAC{} }, vip6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			ours, theirs := s.routers[0], s.routers[1]
			i := instance("VI", 1)
			i.Interval = 100 * time.Millisecond
			tt.change(&i)
			conf := func(priority int) string {
				return fmt.Sprintf("priority %d\n%svirtual_ipaddress {\n%s}\n", priority, tt.conf, vipLines(i))
			}
			with := func(priority uint8) model.VRRP {
				i.Priority = priority
				return config(i)
			}

			ours.start(with(200))
			ours.await("VI", vrrp.Master)
			keepalived := theirs.keepalived(conf(100))
			labtest.Until(t, "keepalived is backup", func() bool { return strings.Contains(keepalived.Log(), "Entering BACKUP STATE") })
			ours.crash()
			theirs.awaitAddr(tt.vip, true)
			labtest.Until(t, "the client reaches keepalived", func() bool { return s.answers(tt.vip) })

			ours.start(with(200)) // back: it preempts
			ours.await("VI", vrrp.Master)
			theirs.awaitAddr(tt.vip, false)
			labtest.Until(t, "the client reaches us", func() bool { return s.answers(tt.vip) })
			ours.end() // with a goodbye
			theirs.awaitAddr(tt.vip, true)

			ours.start(with(50)) // less than keepalived
			labtest.Until(t, "we hear keepalived", func() bool {
				st, ok := ours.find("VI")
				return ok && st.Instance.Count(vrrp.AdvertsReceived) > 2
			})
			if ours.state("VI") != vrrp.Backup || ours.has(tt.vip) {
				t.Errorf("state %s beside a better master", ours.state("VI"))
			}
			keepalived.Signal(syscall.SIGTERM)
			ours.await("VI", vrrp.Master)
			ours.awaitAddr(tt.vip, true)
			labtest.Until(t, "the client reaches us again", func() bool { return s.answers(tt.vip) })
			if got := ours.status("VI").Instance.Reason().Code; got != vrrp.ReasonResigned {
				t.Errorf("reason %s, want the goodbye", got)
			}
		})
	}
}

const vip4, vip6 = "10.90.0.101", "fd5a::101"

func six(i *model.VRRPInstance) {
	i.IPv6, i.Multicast = true, vrrp.MulticastGroup(true)
	i.Addresses = []model.Address{
		{Prefix: prefix("fe80::5a:101/64"), Interface: "eth0"}, {Prefix: prefix(vip6 + "/64"), Interface: "eth0"},
	}
}

func vipLines(i model.VRRPInstance) (lines string) {
	for _, a := range i.Addresses {
		lines += " " + a.Prefix.String() + "\n"
	}
	return lines
}
