package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// setup is what both directors run.
type setup struct {
	interval  time.Duration
	instances int // virtual routers 1 to this
	addresses int // virtual addresses of each
}

// The first director is the better one.
const (
	firstPriority  = 200
	secondPriority = 100
)

// inAdvert is how many addresses an advert has room for; the others are
// excluded from it.
const inAdvert = 255

// vip returns address n of a virtual router, both counted from 0. Those of many
// routers have one address each.
func (s setup) vip(router, n int) netip.Addr {
	n += router
	return netip.AddrFrom4([4]byte{10, 90, byte(16 + n/250), byte(1 + n%250)})
}

// lan is the network of directors, client and virtual addresses.
const lanBits = 16

// conf writes the file of one director.
func (s setup) conf(priority int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n    router_id bench\n    vrrp_version 3\n}\n")
	for router := range s.instances {
		fmt.Fprintf(&b, "\nvrrp_instance VI_%d {\n    state BACKUP\n    interface eth0\n    virtual_router_id %d\n"+
			"    priority %d\n    advert_int %s\n", router+1, router+1, priority, seconds(s.interval))
		b.WriteString("    virtual_ipaddress {\n")
		for n := range s.addresses {
			if n == inAdvert {
				b.WriteString("    }\n    virtual_ipaddress_excluded {\n")
			}
			fmt.Fprintf(&b, "        %s/%d\n", s.vip(router, n), lanBits)
		}
		b.WriteString("    }\n}\n")
	}
	return b.String()
}

// seconds writes a duration as keepalived.conf wants it.
func seconds(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", d.Seconds()), "0"), ".")
}
