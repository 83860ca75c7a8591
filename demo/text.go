package demo

import (
	"fmt"
	"net/netip"
	"strings"
)

// advertInterval is advert_int, in seconds. It is short enough to wait for in a
// demo, and long enough that a busy machine does not miss three adverts.
const advertInterval = "0.5"

// configText writes the keepalived.conf of both directors.
func (p plan) configText(weights []int32) string {
	var b strings.Builder
	fmt.Fprintln(&b, "# keepalived reads this file too.")
	b.WriteString(p.vrrpText())
	for _, s := range p.services {
		fmt.Fprintf(&b, "virtual_server %s %d {\n", s.vip, httpPort)
		fmt.Fprint(&b, "    protocol TCP\n    lb_algo rr\n")
		fmt.Fprintf(&b, "    lb_kind %s\n", s.forward)
		fmt.Fprint(&b, "    delay_loop 1\n    connect_timeout 1\n")
		for i, addr := range p.servers {
			b.WriteString(serverText(addr, weights[i]))
		}
		fmt.Fprint(&b, "}\n")
	}
	return b.String()
}

// vrrpText writes who is master: an instance for each network, and both
// together.
func (p plan) vrrpText() string {
	var b strings.Builder
	fmt.Fprint(&b, "global_defs { vrrp_version 3 }\n")
	fmt.Fprint(&b, "vrrp_sync_group both { group { outside inside } }\n")
	outside, inside := p.virtual()
	for i, side := range []struct {
		name, link string
		addrs      []netip.Addr
	}{{"outside", "eth0", outside}, {"inside", "eth1", inside}} {
		fmt.Fprintf(&b, "vrrp_instance %s {\n    interface %s\n    virtual_router_id %d\n", side.name, side.link, i+1)
		for _, d := range p.directors {
			fmt.Fprintf(&b, "    @%s priority %d\n", d.name, d.priority)
		}
		fmt.Fprintf(&b, "    advert_int %s\n", advertInterval)
		b.WriteString(addressText(side.addrs))
		fmt.Fprint(&b, "}\n")
	}
	return b.String()
}

// addressText writes virtual_ipaddress, in one line for one address: each line
// holds only one.
func addressText(addrs []netip.Addr) string {
	if len(addrs) == 1 {
		return fmt.Sprintf("    virtual_ipaddress { %s }\n", addrs[0])
	}
	text := "    virtual_ipaddress {\n"
	for _, a := range addrs {
		text += fmt.Sprintf("        %s\n", a)
	}
	return text + "    }\n"
}

// serverText writes a real server, in one line while its weight is the default.
func serverText(addr netip.Addr, weight int32) string {
	if weight == 1 {
		return fmt.Sprintf("    real_server %s %d { TCP_CHECK { } }\n", addr, httpPort)
	}
	return fmt.Sprintf("    real_server %s %d {\n        weight %d\n        TCP_CHECK { }\n    }\n", addr, httpPort, weight)
}

// drawing draws the network with a word about each director. Each line is at
// most 72 columns wide.
func (p plan) drawing(words [directorCount]string) string {
	dr, nat := p.services[0], p.services[1]
	left, right := p.directors[first], p.directors[second]
	vip := func(s service) string { return fmt.Sprintf("VIP %s (%s)", s.vip, s.name) }
	return strings.Join([]string{
		fmt.Sprintf("  client   eth0 %-28s eth1 %s", clientOutside, clientInside),
		"             |                               |",
		"  outside  --+--+-----------------+--        |   10.77.1.0/24",
		fmt.Sprintf("                |%-17s|%-10s |   %s", lastPart(left.outside), lastPart(right.outside), vip(nat)),
		fmt.Sprintf("             %-17s %-13s |", left.name, right.name),
		fmt.Sprintf("             %-17s %-13s |", words[first], words[second]),
		fmt.Sprintf("                |%-17s|%-10s |   %s", lastPart(left.inside), lastPart(right.inside), vip(dr)),
		"  inside   -----+---+-------+-----+-+--------+-- 10.77.2.0/24",
		fmt.Sprintf("                    |       |       |            gateway %s", gateway),
		fmt.Sprintf("               %s %s %s", serverName(0), serverName(1), serverName(2)),
		fmt.Sprintf("                 %-7s %-7s %s", lastPart(p.servers[0]), lastPart(p.servers[1]), lastPart(p.servers[2])),
		"",
	}, "\n")
}

// lastPart is an address as .11
func lastPart(addr netip.Addr) string { return fmt.Sprintf(".%d", addr.As4()[3]) }

// priorities are the words about directors before any runs.
func (p plan) priorities() (words [directorCount]string) {
	for i, d := range p.directors {
		words[i] = fmt.Sprintf("priority %d", d.priority)
	}
	return words
}
