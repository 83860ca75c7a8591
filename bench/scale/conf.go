package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// size is that of a configuration.
type size struct {
	services, servers int
	// loop is the delay_loop of the checks.
	loop time.Duration
}

// reported is the largest configuration that was reported for keepalived.
const (
	reportedServices = 2277
	reportedServers  = 37205
)

// server returns the address of a real server, counted from 0.
func server(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(128 + n>>16), byte(n >> 8), byte(n)})
}

// number returns which real server has an address.
func number(a netip.Addr) int {
	b := a.Unmap().As4()
	return int(b[1]-128)<<16 | int(b[2])<<8 | int(b[3])
}

// warmup is the time over which the first checks are spread.
const warmup = 5 * time.Second

// conf writes the configuration. The middle server has the weight given.
func conf(s size, weight int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n\tscript_user root\n}\n")
	n := 0
	for v := range s.services {
		fmt.Fprintf(&b, "virtual_server 10.100.%d.%d 80 {\n\tdelay_loop %g\n\twarmup %g\n\tlb_algo rr\n\tlb_kind NAT\n\tprotocol TCP\n",
			v>>8, v&0xff, s.loop.Seconds(), warmup.Seconds())
		for end := s.servers * (v + 1) / s.services; n < end; n++ {
			w := 1
			if n == s.servers/2 {
				w = weight
			}
			fmt.Fprintf(&b, "\treal_server %s 80 {\n\t\tweight %d\n\t\tTCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t}\n\t}\n", server(n), w)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
