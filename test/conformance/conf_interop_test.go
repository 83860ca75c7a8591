//go:build interop

package conformance

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// conf is a configuration of a router, in the words that all three share, and
// in keepalived's for the rest.
type conf struct {
	global    string // lines of global_defs
	blocks    string // whole blocks, such as sync groups
	instances []inst
	raw       string // the whole text for keepalived and evenkeel, if set
	datapath  bool   // evenkeel runs its datapath too
}

// inst is one vrrp_instance, or one vrrp of an interface of FRR.
type inst struct {
	name      string // default VI
	link      string // default eth0
	version   int    // default 3
	ipv6      bool
	vrid      int           // default 51
	priority  int           // default 100
	interval  time.Duration // default 100 ms, in version 2 1 s
	vips      []string      // default 10.90.0.100/24, or the two of IPv6
	vmac      bool
	nopreempt bool
	lines     string // more, which FRR has not
}

const (
	vip4    = "10.90.0.100"
	vip6    = "fd5a::100"
	vip6loc = "fe80::5a:100"
	vrid    = 51
)

func (i inst) withDefaults() inst {
	i.name = cmp.Or(i.name, "VI")
	i.link = cmp.Or(i.link, "eth0")
	i.version = cmp.Or(i.version, 3)
	i.vrid = cmp.Or(i.vrid, vrid)
	i.priority = cmp.Or(i.priority, 100)
	if i.interval == 0 {
		i.interval = 100 * time.Millisecond
		if i.version == 2 {
			i.interval = time.Second
		}
	}
	switch {
	case i.vips != nil:
	case i.ipv6:
		i.vips = []string{vip6loc + "/64", vip6 + "/64"}
	default:
		i.vips = []string{vip4 + "/24"}
	}
	return i
}

func one(i inst) conf { return conf{instances: []inst{i}} }

// keepalived returns the configuration as keepalived.conf.
func (c conf) keepalived() string {
	if c.raw != "" {
		return c.raw
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id T\n%s}\n%s", c.global, c.blocks)
	for _, i := range c.instances {
		i = i.withDefaults()
		fmt.Fprintf(&b, "vrrp_instance %s {\n interface %s\n virtual_router_id %d\n priority %d\n version %d\n",
			i.name, i.link, i.vrid, i.priority, i.version)
		if !strings.Contains(i.lines, "advert_int") {
			fmt.Fprintf(&b, " advert_int %s\n", strconv.FormatFloat(i.interval.Seconds(), 'f', -1, 64))
		}
		if i.priority == 255 {
			b.WriteString(" state MASTER\n")
		}
		if i.vmac {
			b.WriteString(" use_vmac\n")
		}
		if i.nopreempt {
			b.WriteString(" nopreempt\n")
		}
		b.WriteString(i.lines)
		if len(i.vips) > 0 {
			b.WriteString(" virtual_ipaddress {\n")
			for _, v := range i.vips {
				fmt.Fprintf(&b, "  %s\n", v)
			}
			b.WriteString(" }\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// frr returns the configuration as vrrpd's, or what FRR has no option for.
func (c conf) frr() (text, missing string) {
	var b strings.Builder
	b.WriteString("hostname frr\nlog stdout\ndebug vrrp zebra\n")
	if c.global+c.blocks != "" {
		return "", "no " + firstWord(c.global+c.blocks)
	}
	for _, i := range c.instances {
		i = i.withDefaults()
		if i.lines != "" {
			return "", "no " + firstWord(i.lines)
		}
		if i.interval > 40950*time.Millisecond {
			return "", "no interval above 40.95 s"
		}
		fmt.Fprintf(&b, "interface %s\n vrrp %d version %d\n vrrp %d priority %d\n vrrp %d advertisement-interval %d\n",
			i.link, i.vrid, i.version, i.vrid, i.priority, i.vrid, i.interval.Milliseconds())
		if i.nopreempt {
			fmt.Fprintf(&b, " no vrrp %d preempt\n", i.vrid)
		}
		for _, v := range i.vips {
			addr, _, _ := strings.Cut(v, "/")
			family := "ip"
			if strings.Contains(addr, ":") {
				family = "ipv6"
			}
			fmt.Fprintf(&b, " vrrp %d %s %s\n", i.vrid, family, addr)
		}
	}
	return b.String(), ""
}

func firstWord(s string) string {
	return strings.Fields(s)[0]
}
