//go:build netns

package acceptance

import (
	"fmt"
	"net/netip"
	"strings"
)

// conf is a configuration to be written.
type conf struct {
	global   []string // lines of global_defs
	services []serviceConf
}

type serviceConf struct {
	at       netip.AddrPort
	protocol string // empty is TCP
	kind     string // DR or NAT
	lines    []string
	servers  []serverConf
}

type serverConf struct {
	at    netip.AddrPort
	lines []string
}

// The terms of the check that checked writes, in seconds.
const (
	delayLoop      = 1
	connectTimeout = 1
	retries        = 1
	retryDelay     = 1
)

// checked is a check as quick as keepalived's language allows. A port other
// than 0 is checked instead of the server's own.
func checked(port uint16) string {
	elsewhere := ""
	if port != 0 {
		elsewhere = fmt.Sprintf("connect_port %d", port)
	}
	return fmt.Sprintf("TCP_CHECK {\n connect_timeout %d\n retry %d\n delay_before_retry %d\n warmup 0\n %s\n }",
		connectTimeout, retries, retryDelay, elsewhere)
}

func (c conf) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n  %s\n}\n", strings.Join(c.global, "\n  "))
	for _, s := range c.services {
		s.write(&b)
	}
	return b.String()
}

func (s serviceConf) write(b *strings.Builder) {
	protocol := s.protocol
	if protocol == "" {
		protocol = "TCP"
	}
	fmt.Fprintf(b, "virtual_server %s %d {\n  protocol %s\n  lb_algo rr\n  lb_kind %s\n  delay_loop %d\n",
		s.at.Addr(), s.at.Port(), protocol, s.kind, delayLoop)
	for _, line := range s.lines {
		fmt.Fprintf(b, "  %s\n", line)
	}
	for _, r := range s.servers {
		fmt.Fprintf(b, "  real_server %s %d {\n    %s\n  }\n", r.at.Addr(), r.at.Port(), strings.Join(r.lines, "\n    "))
	}
	b.WriteString("}\n")
}
