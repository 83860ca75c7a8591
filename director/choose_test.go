package director_test

import (
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

var v6 = netip.MustParseAddrPort("[2001:db8::1]:80")

type (
	vsChange  = func(*model.VirtualServer)
	capChange = func(*director.Capabilities)
)

func addr(s string) vsChange {
	return func(v *model.VirtualServer) { v.Servers[0].Addr = netip.MustParseAddrPort(s) }
}

func forward(f model.Forward) vsChange {
	return func(v *model.VirtualServer) { v.Servers[0].Forward = f }
}

var chooseTests = []struct {
	name   string
	change vsChange
	caps   capChange
	want   director.Reason
	line   string
}{
	{
		name: "what XDP runs", want: director.ReasonNone, line: "runs in XDP",
	},
	{
		name: "UDP and DR", want: director.ReasonNone, line: "runs in XDP",
		change: func(v *model.VirtualServer) { v.Key.Protocol = model.UDP; v.Servers[0].Forward = model.DR },
	},
	{
		name: "the file wants IPVS", want: director.ReasonWantsIPVS,
		line:   "runs in IPVS (the file asks for IPVS)",
		change: func(v *model.VirtualServer) { v.Datapath = model.DatapathIPVS },
	},
	{
		name: "a version without IPVS", want: director.ReasonWantsIPVS,
		line:   "needs IPVS (the file asks for IPVS), which this version does not drive yet",
		change: func(v *model.VirtualServer) { v.Datapath = model.DatapathIPVS },
		caps:   func(c *director.Capabilities) { c.DrivesIPVS = false },
	},
	{
		name: "the file wants XDP", want: director.ReasonScheduler,
		line:   "cannot run in XDP (scheduler lblc), and the file asks for XDP only",
		change: func(v *model.VirtualServer) { v.Datapath = model.DatapathXDP; v.Scheduler = "lblc" },
	},
	{
		name: "scheduler", want: director.ReasonScheduler,
		line:   "runs in IPVS (scheduler lblc)",
		change: func(v *model.VirtualServer) { v.Scheduler = "lblc" },
	},
	{
		name: "no IPVS in the kernel", want: director.ReasonScheduler,
		line:   "needs IPVS (scheduler lblc), which this kernel does not have",
		change: func(v *model.VirtualServer) { v.Scheduler = "lblc" },
		caps:   func(c *director.Capabilities) { c.NoKernelIPVS = true },
	},
	{
		name: "IPv6 service", want: director.ReasonIPv6,
		line:   "runs in IPVS (IPv6 address 2001:db8::1)",
		change: func(v *model.VirtualServer) { v.Key.Addr = v6; v.Servers[0].Addr = v6 },
		caps:   func(c *director.Capabilities) { c.XDP.IPv6 = false },
	},
	{
		name: "IPv6 server of an IPv4 service", want: director.ReasonMixedFamilies,
		line:   "runs in IPVS (server 2001:db8::2 for 192.0.2.1)",
		change: addr("[2001:db8::2]:80"),
	},
	{
		name: "IPv6 server of a mark service", want: director.ReasonIPv6,
		line: "runs in IPVS (IPv6 server 2001:db8::2)",
		change: func(v *model.VirtualServer) {
			v.Key = model.ServiceKey{FWMark: 7}
			addr("[2001:db8::2]:80")(v)
		},
		caps: func(c *director.Capabilities) { c.XDP.FWMark, c.XDP.IPv6 = true, false },
	},
	{
		name: "SCTP", want: director.ReasonSCTP,
		line:   "runs in IPVS (protocol SCTP)",
		change: func(v *model.VirtualServer) { v.Key.Protocol = model.SCTP },
		caps:   func(c *director.Capabilities) { c.XDP.Protocols = []model.Protocol{model.TCP, model.UDP} },
	},
	{
		name: "SCTP by NAT to another port", want: director.ReasonSCTPPort,
		line: "runs in IPVS (server 10.0.0.1:8080 of SCTP with lvs_method NAT, which keeps port 80 in XDP)",
		change: func(v *model.VirtualServer) {
			v.Key.Protocol = model.SCTP
			addr("10.0.0.1:8080")(v)
			forward(model.NAT)(v)
		},
	},
	{
		name: "no protocol", want: director.ReasonProtocol,
		line:   "runs in IPVS (protocol proto 0)",
		change: func(v *model.VirtualServer) { v.Key.Protocol = 0 },
	},
	{
		name: "TUN", want: director.ReasonTUN,
		line:   "runs in IPVS (lvs_method TUN of server 10.0.0.1:80)",
		change: forward(model.TUN),
		caps:   func(c *director.Capabilities) { c.XDP.Forwards = []model.Forward{model.NAT, model.DR} },
	},
	{
		name: "checksum of a tunnel", want: director.ReasonTUN,
		line: "runs in IPVS (lvs_method TUN type gue port 6080 csum of server 10.0.0.1:80)",
		change: func(v *model.VirtualServer) {
			forward(model.TUN)(v)
			v.Servers[0].Tunnel = model.Tunnel{Type: model.GUE, Port: 6080, Checksum: model.OuterChecksum}
		},
	},
	{
		name: "unknown method", want: director.ReasonForward,
		line:   "runs in IPVS (lvs_method forward 9 of server 10.0.0.1:80)",
		change: forward(9),
	},
	{
		name: "firewall mark", want: director.ReasonFWMark,
		line:   "runs in IPVS (fwmark 7)",
		change: func(v *model.VirtualServer) { v.Key = model.ServiceKey{FWMark: 7} },
	},
	{
		name: "persistence", want: director.ReasonPersistence,
		line:   "runs in IPVS (persistence_timeout 360)",
		change: func(v *model.VirtualServer) { v.Persistence = 6 * time.Minute },
		caps:   func(c *director.Capabilities) { c.XDP.Persistence = false },
	},
	{
		name: "persistence engine", want: director.ReasonPersistenceEngine,
		line: "runs in IPVS (persistence_engine sip)",
		change: func(v *model.VirtualServer) {
			v.Key.Protocol, v.Persistence, v.PersistenceEngine = model.UDP, time.Minute, "sip"
		},
	},
	{
		name: "one packet", want: director.ReasonOnePacket,
		line:   "runs in IPVS (ops with persistence, or of TCP)",
		change: func(v *model.VirtualServer) { v.OnePacket = true },
	},
	{
		name: "thresholds", want: director.ReasonThresholds,
		line:   "runs in IPVS (uthreshold 10, lthreshold 0 of server 10.0.0.1:80)",
		change: func(v *model.VirtualServer) { v.Servers[0].Upper = 10 },
		caps:   func(c *director.Capabilities) { c.XDP.Thresholds = false },
	},
	{
		name: "weights without a common divisor", want: director.ReasonWeights,
		line: "runs in IPVS (the weights over their common divisor sum to 4097, XDP holds 4096)",
		change: func(v *model.VirtualServer) {
			v.Scheduler = "wrr"
			v.Servers = []model.RealServer{rs(1, 4096), rs(2, 1)}
		},
	},
	{
		name: "weights with a common divisor", want: director.ReasonNone, line: "runs in XDP",
		change: func(v *model.VirtualServer) {
			v.Scheduler = "wrr"
			v.Servers = []model.RealServer{rs(1, 40000), rs(2, 20000)}
		},
	},
	{
		name: "256 servers and a sorry server", want: director.ReasonTooManyServers,
		line: "runs in IPVS (257 servers with the sorry server, XDP holds 256)",
		change: func(v *model.VirtualServer) {
			*v = withSorry(*v)
			for n := range 255 {
				v.Servers = append(v.Servers, rs(n, 1))
			}
		},
	},
	{
		name: "port 0", want: director.ReasonAnyPort,
		line:   "runs in IPVS (port 0, which is every port)",
		change: func(v *model.VirtualServer) { v.Key.Addr = netip.AddrPortFrom(vip.Addr(), 0) },
	},
	{
		name: "local server by NAT", want: director.ReasonLocalServer,
		line:   "runs in IPVS (server 10.0.0.1:80 is this machine)",
		change: forward(model.NAT),
		caps: func(c *director.Capabilities) {
			c.LocalAddress = func(a netip.Addr) bool { return a == rs(1, 1).Addr.Addr() }
		},
	},
	{
		name: "local server by DR", want: director.ReasonNone, line: "runs in XDP",
		change: forward(model.DR),
		caps: func(c *director.Capabilities) {
			c.LocalAddress = func(a netip.Addr) bool { return a == rs(1, 1).Addr.Addr() }
		},
	},
	{
		name: "IPv6 server of an IPv4 service by TUN", want: director.ReasonNone, line: "runs in XDP",
		change: func(v *model.VirtualServer) {
			v.Servers[0].Addr, v.Servers[0].Forward = netip.MustParseAddrPort("[2001:db8::2]:80"), model.TUN
		},
	},
	{
		name: "server is the VIP", want: director.ReasonServerIsVIP,
		line:   "runs in IPVS (server 192.0.2.1:80 is the virtual address)",
		change: addr("192.0.2.1:80"),
	},
	{
		name: "the sorry server counts too", want: director.ReasonServerIsVIP,
		line: "runs in IPVS (server 192.0.2.1:8080 is the virtual address)",
		change: func(v *model.VirtualServer) {
			*v = withSorry(*v)
			v.Sorry.Addr = netip.MustParseAddrPort("192.0.2.1:8080")
		},
	},
	{
		name: "DR with another port", want: director.ReasonPortDiffers,
		line:   "runs in IPVS (server 10.0.0.1:8080 with lvs_method DR, which keeps port 80)",
		change: func(v *model.VirtualServer) { addr("10.0.0.1:8080")(v); forward(model.DR)(v) },
	},
	{
		name: "NAT with another port", want: director.ReasonNone, line: "runs in XDP",
		change: addr("10.0.0.1:8080"),
	},
	{
		name: "no interface", want: director.ReasonNoInterface,
		line: "runs in IPVS (no interface runs the XDP program)",
		caps: func(c *director.Capabilities) { c.NoXDP = director.ReasonNoInterface },
	},
	{
		name: "program refused", want: director.ReasonProgramRefused,
		line: "runs in IPVS (load ek_xdp: permission denied)",
		caps: func(c *director.Capabilities) {
			c.NoXDP, c.NoXDPDetail = director.ReasonProgramRefused, "load ek_xdp: permission denied"
		},
	},
	{
		name: "the file before the machine", want: director.ReasonScheduler,
		line:   "runs in IPVS (scheduler lblcr)",
		change: func(v *model.VirtualServer) { v.Scheduler = "lblcr" },
		caps:   func(c *director.Capabilities) { c.NoXDP = director.ReasonNoInterface },
	},
}

func TestChoose(t *testing.T) {
	seen := map[director.Reason]bool{
		// Set by the director for the second of two, see TestSnapshot.
		director.ReasonDuplicate: true,
	}
	for _, tt := range chooseTests {
		t.Run(tt.name, func(t *testing.T) {
			conf, caps := vs(rs(1, 1)), director.ThisVersion()
			if tt.change != nil {
				tt.change(&conf)
			}
			if tt.caps != nil {
				tt.caps(&caps)
			}
			p := director.Choose(conf, caps)
			if p.Reason != tt.want || p.String() != tt.line {
				t.Errorf("Choose = %d %q, want %d %q", p.Reason, p, tt.want, tt.line)
			}
			seen[p.Reason], seen[p.NoFallback] = true, true
		})
	}
	for _, r := range director.Reasons() {
		if !seen[r] {
			t.Errorf("no test gives reason %d (%s)", r, r)
		}
	}
}

func TestReasonsHaveTextsAndLabels(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	words := make(map[string]bool)
	for _, r := range director.Reasons() {
		if !label.MatchString(r.Word()) || words[r.Word()] || r.String() == "" {
			t.Errorf("reason %d has word %q and text %q, want a new label and a line", r, r.Word(), r)
		}
		words[r.Word()] = true
	}
	if got := director.Reason(9999).String(); got != "reason 9999" {
		t.Errorf("unknown reason = %q", got)
	}
}
