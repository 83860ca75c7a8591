package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// examination looks at the network and at what a configuration asks of it.
type examination struct {
	network Network
	cfg     *config.Config // nil for none
	ours    owned
	// probe asks for the kernel's IPVS.
	probe func() (string, error)

	findings []Finding
}

func (e *examination) run() []Finding {
	links, err := e.network.Links()
	if err != nil {
		e.add("interfaces", Failure, err.Error(), "run with access to netlink")
		return e.findings
	}
	if e.cfg == nil {
		e.everyLink(links)
		return e.findings
	}
	e.services()
	e.wantedLinks(links)
	e.instances(links)
	e.forwarding()
	return e.findings
}

func (e *examination) add(subject string, level Level, found, fix string) {
	e.findings = append(e.findings, Finding{Subject: subject, Level: level, Found: found, Fix: fix})
}

// everyLink looks at all Ethernet interfaces, since nobody said which.
func (e *examination) everyLink(links []netif.Link) {
	found := false
	for _, l := range links {
		if l.Ethernet {
			found = true
			e.link(l, Warning, nil)
		}
	}
	if !found {
		e.add("interfaces", Failure, "no Ethernet interface", "add one; XDP needs Ethernet frames")
	}
}

// services says which services will not run.
func (e *examination) services() {
	caps := director.ThisVersion()
	caps.LocalAddress = func(addr netip.Addr) bool {
		local, err := e.network.IsLocal(addr)
		return err == nil && local
	}
	if len(e.cfg.Services) == 0 {
		return
	}
	caps.NoKernelIPVS = e.ipvs(slices.ContainsFunc(e.cfg.Services, func(vs model.VirtualServer) bool {
		return director.Choose(vs, caps).Datapath == model.DatapathIPVS
	}))
	for _, vs := range e.cfg.Services {
		if p := director.Choose(vs, caps); !p.Runs() {
			e.add("service", Warning, fmt.Sprintf("%s %s", vs.Key, p), "change it, or leave it to keepalived: "+vs.Pos.String())
		}
	}
}

// ipvs looks for the kernel's IPVS, on which services run that XDP does not. It
// reports whether there is none.
func (e *examination) ipvs(needed bool) (missing bool) {
	found, err := e.probe()
	switch {
	case err == nil:
		e.add("ipvs", OK, found, "")
	case needed:
		e.add("ipvs", Warning, err.Error(), "boot a kernel with CONFIG_IP_VS, or change the services so that XDP runs them")
	default:
		e.add("ipvs", OK, err.Error()+"; no service needs it", "")
	}
	return err != nil
}

// wantedLinks looks at the interfaces that the configuration leads to.
func (e *examination) wantedLinks(links []netif.Link) {
	if names := e.cfg.Global.XDPInterfaces; len(names) > 0 {
		e.namedLinks(links, names)
		return
	}
	vips, servers := e.addresses()
	if len(vips) == 0 {
		return
	}
	choices, err := e.network.ChooseXDP(vips, servers)
	if err != nil {
		e.add("interfaces", Failure, err.Error(), "name them with `@evenkeel xdp_interface`")
		return
	}
	usable := false
	for _, c := range choices {
		if c.Problem != "" {
			e.add("interface "+c.Link.Name, Warning, c.Problem, "put it in order, or name others with `@evenkeel xdp_interface`")
			continue
		}
		usable = true
		e.link(e.placed(links, c.Link), Failure, c.Reasons)
	}
	if !usable {
		e.add("interfaces", Failure, fmt.Sprintf("none leads to the virtual address %s", vips[0]), "add its address or a route, or name one with `@evenkeel xdp_interface`")
	}
}

// placed returns where the program belongs for a link's traffic, and says where VLAN tags
// may not be seen.
func (e *examination) placed(links []netif.Link, l netif.Link) netif.Link {
	name := netif.Place(links, []string{l.Name}, e.cfg.Global.XDPMode)[0]
	if i := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == name }); i >= 0 {
		l = links[i]
	}
	if problem, fix := netif.TagProblem(links, l); problem != "" {
		e.add("interface "+l.Name, Warning, problem, fix)
	}
	return l
}

// instances looks at the interfaces that VRRP instances are on, each once.
func (e *examination) instances(links []netif.Link) {
	on := make(map[string][]string)
	var order []string
	for _, i := range e.cfg.VRRP.Instances {
		if i.Interface == "" {
			continue
		}
		if on[i.Interface] == nil {
			order = append(order, i.Interface)
		}
		on[i.Interface] = append(on[i.Interface], i.Name)
	}
	for _, name := range order {
		subject, who := "vrrp on "+name, on[name][0]
		if more := len(on[name]) - 1; more > 0 {
			who += fmt.Sprintf(" and %d more", more)
		}
		at := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == name })
		switch {
		case at < 0 && e.cfg.VRRP.Global.DynamicInterfaces:
			e.add(subject, Warning, "the interface does not exist, so "+who+" would wait for it in FAULT", "add it, or correct the line interface")
		case at < 0:
			e.add(subject, Failure, "the interface of "+who+" does not exist", "add it, or correct the line interface")
		case !links[at].Up || !links[at].Carrier:
			e.add(subject, Warning, "the interface is down, so "+who+" would be in FAULT", "ip link set dev "+name+" up")
		default:
			e.add(subject, OK, "the interface is up, for "+who, "")
		}
	}
}

func (e *examination) namedLinks(links []netif.Link, names []string) {
	for _, name := range names {
		i := slices.IndexFunc(links, func(l netif.Link) bool { return l.Name == name })
		if i < 0 {
			have := make([]string, 0, len(links))
			for _, l := range links {
				have = append(have, l.Name)
			}
			err := &netif.NoLinkError{Name: name, Have: have}
			e.add("interface "+name, Failure, err.Error(), "correct the line `@evenkeel xdp_interface`")
			continue
		}
		e.link(links[i], Failure, []string{"named in the configuration"})
	}
}

// link looks at one interface. busy is how bad another program on it is.
func (e *examination) link(l netif.Link, busy Level, reasons []string) {
	subject := "interface " + l.Name
	why := ""
	if len(reasons) > 0 {
		why = ", " + reasons[0]
		if len(reasons) > 1 {
			why += fmt.Sprintf(" and %d more", len(reasons)-1)
		}
	}
	ours, held := e.ours.by[l.Name]
	switch {
	case held:
		e.add(subject, OK, ours+why, "")
	case l.XDPMode != netif.XDPNone && e.ours.unsure:
		e.add(subject, Warning, fmt.Sprintf("runs an XDP program (id %d, %s) that may be Evenkeel's", l.XDPProgram, l.XDPMode), "run doctor as root")
	case l.XDPMode != netif.XDPNone:
		e.add(subject, busy, fmt.Sprintf("runs another XDP program (id %d, %s)", l.XDPProgram, l.XDPMode),
			"detach it (bpftool net and bpftool link show whose it is), or leave the interface out with `@evenkeel xdp_interface`")
	case !l.Ethernet:
		e.add(subject, Failure, "is not Ethernet", "name an Ethernet interface")
	case !l.Up || !l.Carrier:
		e.add(subject, Warning, "is down"+why, "ip link set dev "+l.Name+" up")
	case l.Kind == "veth" && (e.cfg == nil || e.cfg.Global.XDPMode != model.XDPGeneric):
		e.add(subject, Warning, "free for XDP"+why+"; but frames that native XDP sends on a veth are lost unless the other end has GRO or an XDP program",
			"ethtool -K PEER gro on at the other end, or `@evenkeel xdp_mode generic`")
	default:
		e.add(subject, OK, "free for XDP"+why, "")
	}
}

// addresses returns those of the services that XDP runs, and of their servers.
func (e *examination) addresses() (vips, servers []netip.Addr) {
	for _, vs := range e.cfg.Services {
		if director.Choose(vs, director.ThisVersion()).Datapath != model.DatapathXDP {
			continue
		}
		vips = append(vips, vs.Key.Addr.Addr())
		for _, rs := range vs.Servers {
			servers = append(servers, rs.Addr.Addr())
		}
	}
	return vips, servers
}

// forwarding looks at the switch that NAT needs where the kernel takes over:
// fragments, IP options and ICMP.
func (e *examination) forwarding() {
	nat := slices.ContainsFunc(e.cfg.Services, func(vs model.VirtualServer) bool {
		return slices.ContainsFunc(vs.Servers, func(rs model.RealServer) bool { return rs.Forward == model.NAT })
	})
	if !nat {
		return
	}
	on, err := e.network.Forwarding()
	switch {
	case err != nil:
		e.add("ip_forward", Warning, err.Error(), "read net.ipv4.ip_forward by hand")
	case on:
		e.add("ip_forward", OK, "on, as services with lvs_method NAT need it", "")
	default:
		e.add("ip_forward", Failure, "off, so what XDP passes to the kernel for lvs_method NAT (fragments, ICMP) is lost",
			"sysctl -w net.ipv4.ip_forward=1")
	}
}
