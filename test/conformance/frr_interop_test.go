//go:build interop

package conformance

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// frr is zebra and vrrpd of FRRouting.
type frr struct{}

const frrDir = "/usr/lib/frr/"

func (frr) name() string { return "frr" }

func (frr) version() string {
	out, _ := exec.Command(frrDir+"vrrpd", "--version").Output() // the text says it
	return regexp.MustCompile(`\d+\.\d+(\.\d+)?`).FindString(string(out))
}

type frrDaemon struct {
	program
	zebra *labtest.Process
	names map[string]string // of instances, by [VRID n] [family]
}

func (frr) start(p *probe, h *host, c conf) daemon {
	p.Helper()
	text, missing := c.frr()
	if missing != "" {
		p.lacks("%s", missing)
	}
	dir := frrOwned(p)
	names := make(map[string]string)
	for _, i := range c.instances {
		i = i.withDefaults()
		family := "IPv4"
		if i.ipv6 {
			family = "IPv6"
		}
		names[fmt.Sprintf("[VRID %d] [%s]", i.vrid, family)] = i.name
		h.macvlan(i)
	}
	run := func(program, text string) *labtest.Process {
		conf := filepath.Join(dir, program+".conf")
		p.check(os.WriteFile(conf, []byte(text), 0o644))
		cmd := exec.Command(frrDir+program, "-f", conf, "-i", filepath.Join(dir, program+".pid"),
			"-z", filepath.Join(dir, "zserv"), "--vty_socket", dir, "-P", "0", "--log", "stdout")
		return startBoth(p, h, cmd)
	}
	zebra := run("zebra", "hostname frr\nlog stdout\n")
	p.until("zebra is there", func() bool {
		_, err := os.Stat(filepath.Join(dir, "zserv"))
		return err == nil || zebra.Ended()
	})
	d := &frrDaemon{zebra: zebra, names: names}
	d.program = program{
		p: p, host: h, process: run("vrrpd", text),
		entered: regexp.MustCompile(`(\[VRID \d+\] \[IPv\d\]) \w+ -> (\w+)`),
	}
	p.Cleanup(func() {
		d.signalAll(syscall.SIGKILL)
		_ = syscall.Kill(zebra.PID(), syscall.SIGKILL)
	})
	return d
}

// startBoth starts a command whose log is what it writes to either.
func startBoth(p *probe, h *host, cmd *exec.Cmd) *labtest.Process {
	p.Helper()
	return labtest.Start(p, h.node, exec.Command("sh", append([]string{"-c", `exec "$0" "$@" 1>&2`, cmd.Path}, cmd.Args[1:]...)...))
}

// frrOwned returns a directory of the user that FRR becomes.
func frrOwned(p *probe) string {
	p.Helper()
	dir, err := os.MkdirTemp("", "frr")
	p.check(err)
	p.Cleanup(func() { os.RemoveAll(dir) })
	u, err := user.Lookup("frr")
	p.check(err)
	uid, err := strconv.Atoi(u.Uid)
	p.check(err)
	p.check(os.Chown(dir, uid, -1))
	p.check(os.Chmod(dir, 0o755))
	return dir
}

// macvlan makes the interface that FRR expects, with the addresses on it.
func (h *host) macvlan(i inst) {
	h.p.Helper()
	nl := h.node.Netlink()
	parent, err := nl.LinkByName(i.link)
	h.p.check(err)
	family := byte(1)
	name := fmt.Sprintf("vrrp4-%d-%d", parent.Attrs().Index, i.vrid)
	if i.ipv6 {
		family, name = 2, fmt.Sprintf("vrrp6-%d-%d", parent.Attrs().Index, i.vrid)
	}
	link := &netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE, LinkAttrs: netlink.LinkAttrs{
		Name: name, ParentIndex: parent.Attrs().Index,
		HardwareAddr: net.HardwareAddr{0, 0, 0x5e, 0, family, byte(i.vrid)},
	}}
	h.p.check(nl.LinkAdd(link))
	for _, v := range i.vips {
		h.p.check(h.node.AddAddr(name, netip.MustParsePrefix(v)))
	}
	if i.ipv6 {
		// It sends from a link-local address that is not the virtual router's.
		own := netip.MustParsePrefix(fmt.Sprintf("fe80::aaaa:%d/64", i.vrid))
		h.p.check(h.node.AddAddr(name, own))
		h.sources = append(h.sources, own.Addr())
	}
	h.ip("link", "set", name, "up")
}

func (d *frrDaemon) states(name string) (list []string) {
	words := map[string]string{"Master": "MASTER", "Backup": "BACKUP", "Initialize": "FAULT"}
	for _, m := range d.entered.FindAllStringSubmatch(d.log(), -1) {
		if d.names[m[1]] == name {
			list = append(list, words[m[2]])
		}
	}
	return list
}

func (d *frrDaemon) reload(conf) { d.p.lacks("no SIGHUP in this test") }

func (frr) complaints(p *probe, _ conf) string {
	p.lacks("no check of this kind of configuration")
	return ""
}
