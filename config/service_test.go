package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

func TestDefaults(t *testing.T) {
	c := mustLoad(t, `virtual_server 192.0.2.1 80 {
	protocol TCP
	lb_algo rr
	lb_kind NAT
	real_server 198.51.100.1 8080 {
		TCP_CHECK { }
	}
}`)
	want := []model.VirtualServer{{
		Service: model.Service{
			Key:       model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")},
			Scheduler: "rr",
		},
		Pos:      model.Position{File: "main.conf", Line: 1, Column: 1},
		Datapath: model.DatapathAuto,
		Quorum:   1,
		Servers: []model.RealServer{{
			Server: model.Server{Addr: netip.MustParseAddrPort("198.51.100.1:8080"), Forward: model.NAT, Weight: 1},
			Pos:    model.Position{File: "main.conf", Line: 5, Column: 2},
			Mail:   true,
			Checks: []model.Check{{
				Kind:             model.TCPCheck,
				Pos:              model.Position{File: "main.conf", Line: 6, Column: 3},
				ConnectTo:        netip.MustParseAddrPort("198.51.100.1:8080"),
				ConnectTimeout:   5 * time.Second,
				DelayLoop:        time.Minute,
				Retry:            1,
				DelayBeforeRetry: time.Second,
				Warmup:           time.Minute,
			}},
		}},
	}}
	if diff := cmp.Diff(want, c.Services, cmp.Comparer(sameAddr)); diff != "" {
		t.Errorf("services differ (-want +got):\n%s", diff)
	}
	if len(c.Diagnostics) > 0 {
		t.Errorf("complaints = %s, want none", complaints(c.Diagnostics))
	}
	if c.Global.Datapath != model.DatapathAuto || c.Global.XDPMode != model.XDPAuto {
		t.Errorf("global = %+v, want datapath auto and xdp_mode auto", c.Global)
	}
}

func sameAddr(a, b netip.AddrPort) bool { return a == b }

func TestEverySetting(t *testing.T) {
	c := mustLoad(t, `global_defs {
	router_id lb1
	checker_log_all_failures on
	lvs_timeouts tcp 60 tcpfin 30 udp 20
	@evenkeel datapath ipvs
	@evenkeel xdp_interface eth0 eth1
	@evenkeel xdp_interface eth1 eth2
	@evenkeel xdp_mode generic
}
instance blue
virtual_server 2001:db8::1 443 {
	delay_loop 7
	lvs_sched sh
	lvs_method DR
	protocol udp
	sh-port
	sh-fallback
	flag-3
	ops
	persistence_timeout
	persistence_granularity 64
	quorum 3
	hysteresis 1
	alpha
	omega
	inhibit_on_failure
	weight 4
	retry 2
	delay_before_retry 1.5
	warmup 0
	connect_timeout 0.25
	sorry_server 2001:db8::99
	sorry_server_inhibit
	@evenkeel datapath xdp
	real_server 2001:db8::2 443 {
		weight 0
		lvs_method TUN
		inhibit_on_failure off
		uthreshold 100
		lthreshold 50
		delay_loop 8
		alpha off
		TCP_CHECK {
			connect_ip 192.0.2.77
			connect_port 8443
			bindto 192.0.2.78
			bind_port 999
			bind_if eth7
			connect_timeout 2
			fwmark 5
			retry 0
			delay_before_retry 3
			warmup 4
			delay_loop 9
			alpha
			log_all_failures no
		}
		TCP_CHECK { }
	}
	real_server 2001:db8::3 { }
}`)
	if len(c.Diagnostics) > 0 {
		t.Errorf("complaints = %s, want none", complaints(c.Diagnostics))
	}
	global := model.Global{
		RouterID: "lb1", Instance: "blue", CheckerLogAllFailures: true,
		TimeoutTCP: time.Minute, TimeoutTCPFin: 30 * time.Second, TimeoutUDP: 20 * time.Second,
		Datapath: model.DatapathIPVS, XDPInterfaces: []string{"eth0", "eth1", "eth2"}, XDPMode: model.XDPGeneric,
	}
	if diff := cmp.Diff(global, c.Global); diff != "" {
		t.Errorf("global differs (-want +got):\n%s", diff)
	}
	server := netip.MustParseAddrPort("[2001:db8::2]:443")
	want := []model.VirtualServer{{
		Service: model.Service{
			Key:               model.ServiceKey{Protocol: model.UDP, Addr: netip.MustParseAddrPort("[2001:db8::1]:443")},
			Scheduler:         "sh",
			SchedFlags:        0x38,
			Persistence:       6 * time.Minute,
			PersistencePrefix: 64,
			OnePacket:         true,
		},
		Pos:          model.Position{File: "main.conf", Line: 11, Column: 1},
		Datapath:     model.DatapathXDP,
		Quorum:       3,
		Hysteresis:   1,
		Alpha:        true,
		Omega:        true,
		SorryInhibit: true,
		Sorry: &model.RealServer{
			Server: model.Server{Addr: netip.MustParseAddrPort("[2001:db8::99]:443"), Forward: model.DR, Weight: 1},
			Pos:    model.Position{File: "main.conf", Line: 32, Column: 2},
		},
		Servers: []model.RealServer{{
			Server: model.Server{Addr: server, Forward: model.TUN, Upper: 100, Lower: 50},
			Pos:    model.Position{File: "main.conf", Line: 35, Column: 2},
			Mail:   true,
			Checks: []model.Check{{
				Kind: model.TCPCheck, Pos: model.Position{File: "main.conf", Line: 43, Column: 3},
				ConnectTo: netip.MustParseAddrPort("192.0.2.77:8443"), BindTo: netip.MustParseAddrPort("192.0.2.78:999"),
				BindInterface: "eth7", FWMark: 5, ConnectTimeout: 2 * time.Second, DelayLoop: 9 * time.Second,
				DelayBeforeRetry: 3 * time.Second, Warmup: 4 * time.Second, Alpha: true,
			}, {
				// Own settings none: delay_loop and alpha from the real server,
				// the rest from the virtual server and global_defs.
				Kind: model.TCPCheck, Pos: model.Position{File: "main.conf", Line: 58, Column: 3},
				ConnectTo: server, ConnectTimeout: 250 * time.Millisecond, DelayLoop: 8 * time.Second,
				Retry: 2, DelayBeforeRetry: 1500 * time.Millisecond, LogAllFailures: true,
			}},
		}, {
			Server:           model.Server{Addr: netip.MustParseAddrPort("[2001:db8::3]:443"), Forward: model.DR, Weight: 4},
			Pos:              model.Position{File: "main.conf", Line: 60, Column: 2},
			InhibitOnFailure: true,
			Alpha:            true,
			Mail:             true,
		}},
	}}
	if diff := cmp.Diff(want, c.Services, cmp.Comparer(sameAddr)); diff != "" {
		t.Errorf("services differ (-want +got):\n%s", diff)
	}
}

// TestOrder: settings after the real servers count for them, too, and so does
// global_defs after the services.
func TestOrder(t *testing.T) {
	c := mustLoad(t, `virtual_server 192.0.2.1 80 {
	real_server 198.51.100.1 80 { TCP_CHECK { } }
	protocol TCP
	lb_algo rr
	weight 7
	lb_kind DR
	inhibit_on_failure
	delay_loop 3
}
global_defs { @evenkeel datapath xdp
	checker_log_all_failures
}`)
	vs := c.Services[0]
	s := vs.Servers[0]
	if vs.Datapath != model.DatapathXDP || s.Weight != 7 || s.Forward != model.DR || !s.InhibitOnFailure ||
		s.Checks[0].DelayLoop != 3*time.Second || !s.Checks[0].LogAllFailures {
		t.Errorf("service = %+v, want what stands below the server, too", vs)
	}
}

// TestRules is keepalived.md 1.15, "Rules"; the words after -> are what must
// come out: service key, scheduler, persistence, quorum, servers.
func TestRules(t *testing.T) {
	for _, tc := range []struct{ name, service, settings, servers, want string }{
		{"NAT keeps the port", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind NAT", "198.51.100.1 8080", "[192.0.2.1]:tcp:80 rr 0s 1 198.51.100.1:8080/NAT"},
		{"DR forces the port", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind DR", "198.51.100.1 8080", "[192.0.2.1]:tcp:80 rr 0s 1 198.51.100.1:80/DR"},
		{"TUN forces the port", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind TUN", "198.51.100.1 8080", "[192.0.2.1]:tcp:80 rr 0s 1 198.51.100.1:80/TUN"},
		{"no port is the service's", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind NAT", "198.51.100.1", "[192.0.2.1]:tcp:80 rr 0s 1 198.51.100.1:80/NAT"},
		{"port 0 is persistent", "192.0.2.1", "protocol TCP\nlb_algo rr\nlb_kind DR", "198.51.100.1", "[192.0.2.1]:tcp:0 rr 6m0s 1 198.51.100.1:0/DR"},
		{"port 0 keeps its persistence", "192.0.2.1 0", "protocol TCP\nlb_algo rr\nlb_kind DR\npersistence_timeout 5", "198.51.100.1", "[192.0.2.1]:tcp:0 rr 5s 1 198.51.100.1:0/DR"},
		{"no protocol", "192.0.2.1 53", "lb_algo rr\nlb_kind DR", "198.51.100.1 53", "[192.0.2.1]:udp:53 rr 0s 1 198.51.100.1:53/DR"},
		{"no scheduler and method", "192.0.2.1 53", "protocol SCTP", "198.51.100.1 53", "[192.0.2.1]:sctp:53 wlc 0s 1 198.51.100.1:53/NAT"},
		{"firewall mark", "fwmark 7", "lb_algo rr\nlb_kind DR", "198.51.100.1 80", "FWM 7 rr 0s 1 198.51.100.1:0/DR"},
		{"firewall mark with both families", "fwmark 7", "lb_algo rr\nlb_kind TUN", "198.51.100.1;2001:db8::1", "FWM 7 rr 0s 1 198.51.100.1:0/TUN [2001:db8::1]:0/TUN"},
		{"quorum too high", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind DR\nquorum 9", "198.51.100.1 80;198.51.100.2 80", "[192.0.2.1]:tcp:80 rr 0s 2 198.51.100.1:80/DR 198.51.100.2:80/DR"},
		{"quorum within reach", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind DR\nweight 5\nquorum 9", "198.51.100.1 80;198.51.100.2 80", "[192.0.2.1]:tcp:80 rr 0s 9 198.51.100.1:80/DR 198.51.100.2:80/DR"},
		{"IPv6 server through a tunnel", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind TUN", "2001:db8::1 80", "[192.0.2.1]:tcp:80 rr 0s 1 [2001:db8::1]:80/TUN"},
		{"IPv6 server of an IPv4 service", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind DR", "2001:db8::1 80", ""},
		{"netmask", "192.0.2.1 80", "protocol TCP\nlb_algo rr\nlb_kind DR\npersistence_granularity 255.255.255.255", "198.51.100.1 80", "[192.0.2.1]:tcp:80 rr 0s 1 198.51.100.1:80/DR"},
		{"no servers", "192.0.2.1 80", "protocol TCP", "", ""},
		{"group", "group web", "protocol TCP", "198.51.100.1 80", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := "virtual_server " + tc.service + " {\n" + tc.settings + "\n"
			for s := range strings.SplitSeq(tc.servers, ";") {
				if s != "" {
					in += "real_server " + s + " {\n}\n"
				}
			}
			var got []string
			for _, vs := range mustLoad(t, in+"}\n").Services {
				got = append(got, vs.Key.String(), vs.Scheduler, vs.Persistence.String(), seconds(time.Duration(vs.Quorum)*time.Second))
				for _, s := range vs.Servers {
					got = append(got, s.Addr.String()+"/"+s.Forward.String())
				}
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("got %s, want %s", s, tc.want)
			}
		})
	}
}

// TestVitalLines: a service does not run with a default where the user's own
// value could not be used, and a server neither.
func TestVitalLines(t *testing.T) {
	const head = "virtual_server 192.0.2.1 80 {\nreal_server 198.51.100.1 80 {\n"
	for _, line := range []string{"protocol", "protocol XTP", "lb_algo", "lb_algo foo", "lb_kind", "lb_kind FNAT", "lvs_method TUN type vxlan", "@evenkeel datapath", "@evenkeel datapath moon"} {
		c := mustLoad(t, head+"}\n"+line+"\n}\n")
		if len(c.Services) != 0 {
			t.Errorf("%s: the service runs: %+v", line, c.Services)
		}
	}
	for _, line := range []string{"weight", "weight -1", "lvs_method", "lvs_method X", "lvs_method TUN type gue", "lvs_method TUN type gue port 0", "lvs_method TUN port", "lvs_method TUN type"} {
		c := mustLoad(t, head+line+"\n}\nreal_server 198.51.100.2 80 { }\n}\n")
		if len(c.Services) != 1 || len(c.Services[0].Servers) != 1 {
			t.Errorf("%s: the server runs, or the other does not: %+v", line, c.Services)
		}
	}
}

func TestFlowTable(t *testing.T) {
	if c := mustLoad(t, "global_defs {\n@evenkeel flow_table 1048576\n}"); c.Global.FlowTable != 1048576 || len(c.Diagnostics) > 0 {
		t.Errorf("FlowTable = %d, complaints %s", c.Global.FlowTable, complaints(c.Diagnostics))
	}
}

// TestTunnels: lvs_method TUN with keepalived's options.
func TestTunnels(t *testing.T) {
	for line, want := range map[string]model.Tunnel{
		"TUN":                            {},
		"TUN type ipip nocsum":           {},
		"TUN type ipip csum":             {},
		"TUN type gue port 6080":         {Type: model.GUE, Port: 6080},
		"TUN type gue port 6080 nocsum":  {Type: model.GUE, Port: 6080},
		"TUN type gue port 6080 csum":    {Type: model.GUE, Port: 6080, Checksum: model.OuterChecksum},
		"TUN type gue port 6080 remcsum": {Type: model.GUE, Port: 6080, Checksum: model.RemoteChecksum},
		"TUN type gre":                   {Type: model.GRE},
		"TUN type gre csum":              {Type: model.GRE, Checksum: model.OuterChecksum},
	} {
		c := mustLoad(t, "virtual_server 192.0.2.1 80 {\nlvs_method "+line+"\nreal_server 198.51.100.1 80 { }\nsorry_server 198.51.100.2 80\n}\n")
		if len(c.Services) != 1 || len(c.Services[0].Servers) != 1 {
			t.Errorf("%s: services %+v", line, c.Services)
			continue
		}
		for _, s := range []model.Server{c.Services[0].Servers[0].Server, c.Services[0].Sorry.Server} {
			if s.Forward != model.TUN || s.Tunnel != want {
				t.Errorf("%s: server %+v, want %+v", line, s, want)
			}
		}
	}
}

func TestHasErrors(t *testing.T) {
	for in, want := range map[string]bool{
		"global_defs { }":                              false,
		"glob { }":                                     false,
		"vrrp_instance A { }":                          true,
		instanceWith(""):                               false,
		"virtual_server 192.0.2.1 80 { }":              false,
		"virtual_server 192.0.2.1 80 { lb_algo x\n}":   true,
		"global_defs { lvs_timeouts tcp x\n}":          true,
		"global_defs { @evenkeel flow_table 1023\n}":   true,
		"virtual_server group a { real_server x { } }": true,
	} {
		c := mustLoad(t, in)
		if got := c.HasErrors(); got != want {
			t.Errorf("%s: HasErrors = %v, want %v:\n%s", in, got, want, complaints(c.Diagnostics))
		}
	}
}

func TestRouterIDIsTheHostName(t *testing.T) {
	if got := mustLoad(t, "global_defs { }").Global.RouterID; got == "" {
		t.Error("router_id is empty, want the host name")
	}
}

func TestParseSeconds(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1": time.Second, "0.5": 500 * time.Millisecond, ".5": 500 * time.Millisecond, "1.": time.Second,
		"0.000001": time.Microsecond, "1.0000019": time.Second + time.Microsecond, "4294.967295": most,
		"0": -1, "0.0000009": -1, "4294.967296": -1, "-1": -1, "+1": -1, "1e3": -1, "1_0": -1, "0x1": -1, "": -1, ".": -1,
		"1.+5": -1, "1.5s": -1, "1,5": -1, "18446744073709551616": -1, "1.1234567890123456789": -1,
	} {
		got, err := parseSeconds(in, tick, most)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseSeconds(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for _, tc := range []struct {
		in   string
		v6   bool
		want int
	}{
		{"255.255.255.0", false, 24}, {"255.255.255.255", false, 32}, {"24", false, 24}, {"128.0.0.0", false, 1},
		{"0.0.0.0", false, -1}, {"255.0.255.0", false, -1}, {"33", false, -1}, {"0", false, -1}, {"255.255.255.192x", false, -1},
		{"64", true, 64}, {"128", true, 128}, {"129", true, -1}, {"ffff::", true, -1}, {"255.255.255.0", true, -1},
	} {
		got, err := parsePrefix(tc.in, tc.v6)
		if n := int(got); n != tc.want && (err == nil || tc.want != -1) {
			t.Errorf("parsePrefix(%q, %v) = %d, %v, want %d", tc.in, tc.v6, n, err, tc.want)
		}
	}
}

func TestServiceNotices(t *testing.T) {
	c := mustLoad(t, `global_defs {
	lvs_notify_fifo /run/lvs.fifo
	lvs_notify_fifo_script "/bin/reader -v" nobody
	smtp_alert_checker off
	smtp_alert
}
virtual_server 192.0.2.1 80 {
	protocol TCP
	quorum_up "/bin/up all" daemon
	quorum_down /bin/down
	smtp_alert
	real_server 198.51.100.1 80 {
		notify_up "/bin/rs up"
		notify_down "/bin/rs down" daemon daemon
	}
	real_server 198.51.100.2 80 {
		smtp_alert no
	}
}
virtual_server 192.0.2.2 80 {
	protocol TCP
	real_server 198.51.100.1 80 {
	}
}`)
	one, two := c.Services[0], c.Services[1]
	if f := c.Global.FIFOs.LVS; f == nil || f.Path != "/run/lvs.fifo" || f.Script == nil || f.Script.Command != "/bin/reader -v" || f.Script.User != "nobody" {
		t.Errorf("lvs_notify_fifo = %+v", f)
	}
	scripts := []*model.Script{one.QuorumUp, one.QuorumDown, one.Servers[0].NotifyUp, one.Servers[0].NotifyDown, one.Servers[1].NotifyUp, two.QuorumUp}
	want := []string{"/bin/up all daemon:", "/bin/down :", "/bin/rs up :", "/bin/rs down daemon:daemon", "", ""}
	for i, s := range scripts {
		got := ""
		if s != nil {
			got = s.Command + " " + s.User + ":" + s.Group
		}
		if got != want[i] {
			t.Errorf("script %d = %q, want %q", i, got, want[i])
		}
	}
	mail := []bool{one.Mail, one.Servers[0].Mail, one.Servers[1].Mail, two.Mail, two.Servers[0].Mail}
	if want := []bool{true, true, false, false, false}; !slices.Equal(mail, want) {
		t.Errorf("mail = %v, want %v", mail, want)
	}
}
