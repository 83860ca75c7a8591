package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// serviceDraft is a virtual_server block before inheritance and rules; nil
// is not set.
type serviceDraft struct {
	timing
	st       *statement
	addr     netip.AddrPort
	fwmark   uint32
	group    *group
	ipFamily *statement
	// v6 is the family of the packets, once it is settled.
	v6       bool
	protocol model.Protocol // 0 is not set
	datapath model.DatapathChoice

	scheduler   string
	flags       uint32
	flagLines   []*statement // sh-port and the like
	forward     *method
	persistence *time.Duration
	granularity uint8
	engine      *statement
	ops         *statement

	weight     *uint32
	inhibit    *bool
	quorum     *uint32
	quorumAt   *statement
	hysteresis *uint32
	hystAt     *statement
	omega      bool
	haSuspend  *statement

	quorumUp, quorumDown *model.Script
	mail                 *bool

	sorry        *statement
	sorryForward *method
	sorryInhibit bool

	virtualHost string

	newFlowRate, newFlowBurst *uint32

	servers []*serverDraft
	leftOut bool // a complaint said so already
}

// virtualServer reads one virtual_server block and adds it to the services,
// if it can run.
func (b *builder) virtualServer(st *statement) {
	d := &serviceDraft{st: st}
	if !b.serviceKey(d) {
		return
	}
	for _, s := range st.block.statements {
		if !s.skip {
			b.serviceSetting(d, s)
		}
		d.leftOut = d.leftOut || s.spoils
	}
	if !d.leftOut {
		b.finish(d)
	}
}

// serviceKey reads what selects the traffic: an address and a port, or a
// firewall mark.
func (b *builder) serviceKey(d *serviceDraft) bool {
	s := d.st
	switch s.arg(0) {
	case "group":
		return b.serviceGroup(d)
	case "fwmark":
		n, err := parseUint(s.arg(1), 1, math.MaxUint32)
		if err != nil {
			b.bad(s, 1, err, serviceLeftOut, "write virtual_server fwmark and a mark from 1 to 4294967295")
			return false
		}
		d.fwmark = uint32(n)
		return true
	}
	var ok bool
	d.addr, ok = b.addrPort(s, serviceLeftOut)
	return ok
}

// serviceGroup finds the group of a block.
func (b *builder) serviceGroup(d *serviceDraft) bool {
	s := d.st
	name := s.arg(1)
	d.group = b.groups[name]
	switch {
	case name == "":
		b.add(ends(Error), s.at(), s.keyword(), "virtual_server group without the group's name; "+serviceLeftOut, "write virtual_server group and the name of a virtual_server_group")
	case d.group == nil:
		b.add(silent(Error), s.args()[1].at, s.keyword(), fmt.Sprintf("there is no virtual_server_group %s; %s", name, serviceLeftOut), fmt.Sprintf("write virtual_server_group %s { ... } outside", name))
	case d.group.broken: // a complaint said so
	default:
		return true
	}
	return false
}

// addrPort reads IP [PORT] from the arguments. A missing port is 0.
func (b *builder) addrPort(s *statement, consequence string) (netip.AddrPort, bool) {
	addr, err := parseAddr(s.arg(0))
	if err != nil {
		hint := "write an IPv4 or IPv6 address, a blank and the port"
		if ap, e := netip.ParseAddrPort(s.arg(0)); e == nil {
			hint = fmt.Sprintf("write %s %s %d", s.keyword(), ap.Addr(), ap.Port())
		}
		b.bad(s, 0, err, consequence, hint)
		return netip.AddrPort{}, false
	}
	if len(s.args()) < 2 {
		return netip.AddrPortFrom(addr, 0), true
	}
	port, err := parseUint(s.arg(1), 0, 65535)
	if err != nil {
		b.bad(s, 1, fmt.Errorf("not a port from 0 to 65535"), consequence, fmt.Sprintf("write %s %s and a port from 1 to 65535", s.keyword(), addr))
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}

// serviceSetting takes one line of a virtual_server block.
func (b *builder) serviceSetting(d *serviceDraft, s *statement) {
	if b.timing(&d.timing, s, 1) {
		return
	}
	switch s.keyword() {
	case "real_server":
		b.realServer(d, s)
	case "lb_algo", "lvs_sched":
		b.scheduler(d, s)
	case "lb_kind", "lvs_method":
		d.leftOut = !b.forward(s, &d.forward, serviceLeftOut) || d.leftOut
	case "protocol":
		b.protocol(d, s)
	case "datapath":
		d.leftOut = !b.datapath(s, &d.datapath, serviceLeftOut) || d.leftOut
	case "virtualhost":
		b.hostName(s, &d.virtualHost)
	case "weight":
		b.number(s, &d.weight, 1, math.MaxInt32)
	case "inhibit_on_failure":
		b.boolean(s, &d.inhibit)
	case "quorum":
		b.number(s, &d.quorum, 1, math.MaxUint32)
		d.quorumAt = s
	case "hysteresis":
		b.number(s, &d.hysteresis, 0, math.MaxUint32)
		d.hystAt = s
	case "omega":
		d.omega = b.flag(s)
	case "ha_suspend":
		if b.flag(s) {
			d.haSuspend = s
		}
	case "quorum_up":
		d.quorumUp = b.script(s)
	case "quorum_down":
		d.quorumDown = b.script(s)
	case "smtp_alert":
		b.boolean(s, &d.mail)
	case "sorry_server":
		d.sorry = s
	case "sorry_server_inhibit":
		d.sorryInhibit = b.flag(s)
	case "sorry_server_lvs_method":
		b.forward(s, &d.sorryForward, lineIgnored)
	default:
		b.ipvsSetting(d, s)
	}
}

// newFlowRate reads how many flows a second may bring, and how many may come at
// once; without the second number as many as in a second.
func (b *builder) newFlowRate(d *serviceDraft, s *statement) {
	b.number(s, &d.newFlowRate, 1, maxFlowRate)
	if d.newFlowRate == nil || s.arg(1) == "" {
		return
	}
	n, err := parseUint(s.arg(1), 1, maxFlowRate)
	if err != nil {
		b.bad(s, 1, err, lineIgnored, "write the rate and the burst, such as new_flow_rate 1000 200")
		d.newFlowRate = nil
		return
	}
	d.newFlowBurst = new(uint32(n))
}

// maxFlowRate keeps an interval of the program's clock above nothing.
const maxFlowRate = 100_000_000

// ipvsSetting takes the lines that only IPVS and XDP care about.
func (b *builder) ipvsSetting(d *serviceDraft, s *statement) {
	switch s.keyword() {
	case "persistence_timeout":
		b.persistence(d, s)
	case "persistence_granularity":
		n, err := parsePrefix(s.arg(0), d.onlyV6())
		if err != nil {
			b.bad(s, 0, err, lineIgnored, "write a netmask such as 255.255.255.0, or for IPv6 a prefix length")
			return
		}
		d.granularity = n
	case "persistence_engine":
		b.engine(d, s)
	case "new_flow_rate":
		b.newFlowRate(d, s)
	case "ip_family":
		b.family(d, s)
	case "ops":
		if b.flag(s) {
			d.ops = s
		}
	default:
		if flag := schedulerFlag(s.keyword()); flag != 0 && b.flag(s) {
			d.flags |= flag
			if !strings.HasPrefix(s.keyword(), "flag-") {
				d.flagLines = append(d.flagLines, s)
			}
		}
	}
}

// schedulerFlag returns IPVS's flag for a keyword, or 0.
func schedulerFlag(keyword string) uint32 {
	switch keyword {
	case "flag-1", "sh-fallback", "mh-fallback":
		return 0x08
	case "flag-2", "sh-port", "mh-port":
		return 0x10
	case "flag-3":
		return 0x20
	}
	return 0
}

// persistence reads seconds; a bare keyword means 360.
func (b *builder) persistence(d *serviceDraft, s *statement) {
	if s.arg(0) == "" {
		d.persistence = new(6 * time.Minute)
		return
	}
	if s.arg(0) == "0" {
		b.add(Warning, s.args()[0].at, s.keyword(), "persistence_timeout 0 is not from 1 to 2678400; persistence stays off, as in keepalived", "leave the line out")
		return
	}
	b.seconds(s, &d.persistence, time.Second, month)
}

// engine reads persistence_engine. The kernel refuses a service with one that it
// does not have, whole.
func (b *builder) engine(d *serviceDraft, s *statement) {
	if s.arg(0) != "sip" {
		b.add(silent(Error), s.args()[0].at, s.keyword(), fmt.Sprintf("persistence_engine %q is none of IPVS; %s", s.arg(0), serviceLeftOut), "write persistence_engine sip, or leave the line out")
		d.leftOut = true
		return
	}
	d.engine = s
}

// schedulers are those of the Linux kernel.
func schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"}
}

// scheduler reads lb_algo. Capitals are taken as meant, since keepalived
// would run wlc instead.
func (b *builder) scheduler(d *serviceDraft, s *statement) {
	name := strings.ToLower(s.arg(0))
	list := schedulers()
	for _, known := range list {
		if name == known {
			b.capitals(s, name)
			d.scheduler = name
			return
		}
	}
	hint := "write one of " + strings.Join(list, ", ")
	if near := suggest(name, list); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	b.bad(s, 0, fmt.Errorf("no scheduler of IPVS"), serviceLeftOut, hint)
	d.leftOut = true
}

// capitals warns when the first argument is not written as keepalived wants.
func (b *builder) capitals(s *statement, want string) {
	if s.arg(0) != want {
		b.add(Warning, s.args()[0].at, s.keyword(), fmt.Sprintf("%s %q is taken for %s, but keepalived ignores it", s.keyword(), s.arg(0), want), "write "+want)
	}
}

// joined writes words as a line.
func joined(list []word) string {
	var parts []string
	for _, w := range list {
		parts = append(parts, w.s)
	}
	return strings.Join(parts, " ")
}

func (b *builder) protocol(d *serviceDraft, s *statement) {
	p, ok := map[string]model.Protocol{"TCP": model.TCP, "UDP": model.UDP, "SCTP": model.SCTP}[strings.ToUpper(s.arg(0))]
	if !ok {
		b.bad(s, 0, fmt.Errorf("not TCP, UDP or SCTP"), serviceLeftOut, "write protocol TCP, UDP or SCTP")
		d.leftOut = true
		return
	}
	d.protocol = p
}
