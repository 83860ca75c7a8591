package config

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// loadChecks returns the checks of the one real server of a text, without
// their positions, and fails on a complaint.
func loadChecks(t *testing.T, service, server, checks string) []model.Check {
	t.Helper()
	c := mustLoad(t, fmt.Sprintf(`SSL {
	ca /etc/ca.pem
	certificate /etc/own.pem
	key /etc/own.key
	password secret
}
virtual_server 192.0.2.1 80 {
	protocol TCP
	lb_algo rr
	lb_kind NAT
	%s
	real_server 198.51.100.1 8080 {
		%s
		%s
	}
}`, service, server, checks))
	if len(c.Diagnostics) > 0 {
		t.Fatalf("complaints:\n%s", complaints(c.Diagnostics))
	}
	list := c.Services[0].Servers[0].Checks
	for i := range list {
		list[i].Pos = model.Position{}
		if list[i].Misc != nil {
			list[i].Misc.Script.Pos = model.Position{}
		}
	}
	return list
}

// plain is a check of one kind with keepalived's defaults.
func plain(kind model.CheckKind) model.Check {
	return model.Check{
		Kind: kind, ConnectTo: netip.MustParseAddrPort("198.51.100.1:8080"), ConnectTimeout: 5 * time.Second,
		DelayLoop: time.Minute, Retry: 1, DelayBeforeRetry: time.Second, Warmup: time.Minute,
	}
}

func TestChecks(t *testing.T) {
	http := func(kind model.CheckKind, spec model.HTTPSpec) model.Check {
		c := plain(kind)
		c.DelayBeforeRetry, c.HTTP = 3*time.Second, &spec
		return c
	}
	smtp := func(name string, change func(*model.Check)) model.Check {
		c := plain(model.SMTPCheck)
		c.SMTP = &model.SMTPSpec{HeloName: name}
		change(&c)
		return c
	}
	dns := func(spec model.DNSSpec) model.Check {
		c := plain(model.DNSCheck)
		c.Retry, c.DelayBeforeRetry, c.DNS = 3, time.Minute, &spec
		return c
	}
	udp := func(spec model.UDPSpec) model.Check {
		c := plain(model.UDPCheck)
		c.UDP = &spec
		return c
	}
	misc := func(spec model.MiscSpec) model.Check {
		c := plain(model.MiscCheck)
		c.Retry, c.ConnectTo, c.Misc = 0, netip.AddrPort{}, &spec
		return c
	}
	for _, test := range []struct {
		name, text string
		want       model.Check
	}{
		{"http", "HTTP_GET {\nurl { path / }\n}", http(model.HTTPGet, model.HTTPSpec{Protocol: model.HTTP10, URLs: []model.URL{{Path: "/"}}})},
		{
			"urls",
			`HTTP_GET {
				retry 4
				delay_before_retry 2
				http_protocol 1.1
				fast_recovery
				virtualhost all.example
				url {
					path "/a?b=c"
					digest 640205b7b0fc66c1ea91c463fac6334D
					status_code 200 301-302
				}
				url {
					path /b
					virtualhost own.example
					regex_options caseless multiline
					regex_min_offset 3
					regex_max_offset 90
					regex_no_match
					regex "up \"and\" \\d+"
				}
			}`,
			func() model.Check {
				c := http(model.HTTPGet, model.HTTPSpec{
					Protocol: model.HTTP11, FastRecovery: true,
					URLs: []model.URL{
						{
							Path: "/a?b=c", VirtualHost: "all.example", Digest: "640205b7b0fc66c1ea91c463fac6334D",
							StatusCodes: []model.CodeRange{{First: 200, Last: 200}, {First: 301, Last: 302}},
						},
						{
							Path: "/b", VirtualHost: "own.example",
							Regex: &model.Regex{Pattern: `up "and" \d+`, Options: []string{"caseless", "multiline"}, NoMatch: true, MinOffset: 3, MaxOffset: new(uint32(90))},
						},
					},
				})
				c.Retry, c.DelayBeforeRetry = 4, 2*time.Second
				return c
			}(),
		},
		{
			"https", "SSL_GET {\nsni_name s.example\ntls_compliant\nurl {\npath /\n}\nurl {\npath /b\ntls_compliant no\n}\n}",
			http(model.SSLGet, model.HTTPSpec{
				Protocol: model.HTTP10, EnableSNI: true, SNIName: "s.example",
				URLs: []model.URL{{Path: "/", TLSCompliant: true}, {Path: "/b"}},
				TLS:  &model.ClientTLS{Certificate: "/etc/own.pem", Key: "/etc/own.key", CA: "/etc/ca.pem", Password: "secret"},
			}),
		},
		{"smtp", "SMTP_CHECK { }", smtp(model.DefaultHeloName, func(*model.Check) {})},
		{"smtp host", "SMTP_CHECK {\nhelo_name lb.example\nconnect_port 25\nfwmark 3\nhost {\nconnect_ip 198.51.100.9\nconnect_timeout 2\n}\n}", smtp("lb.example", func(c *model.Check) {
			c.ConnectTo, c.FWMark, c.ConnectTimeout = netip.MustParseAddrPort("198.51.100.9:25"), 3, 2*time.Second
		})},
		{"dns", "DNS_CHECK { }", dns(model.DNSSpec{Type: "SOA", Name: "."})},
		{"dns name", "DNS_CHECK {\ntype aaaa\nname example.org.\n}", dns(model.DNSSpec{Type: "AAAA", Name: "example.org."})},
		{"udp", "UDP_CHECK { }", udp(model.UDPSpec{MaxReply: 255})},
		{"udp reply", "UDP_CHECK {\npayload \"00 ff\"\nrequire_reply 1XX2fF\nmin_reply_length 3\nmax_reply_length 9\n}", udp(model.UDPSpec{
			Payload: []byte{0, 0xff}, RequireReply: true, Reply: []byte{0x10, 0x02, 0xff}, ReplyIgnore: []byte{0x0f, 0xf0, 0}, MinReply: 3, MaxReply: 9,
		})},
		{"udp any reply", "UDP_CHECK {\nrequire_reply\n}", udp(model.UDPSpec{RequireReply: true, MaxReply: 255})},
		{"ping", "PING_CHECK { }", plain(model.PingCheck)},
		{"misc", "MISC_CHECK {\nmisc_path \"/bin/check 'a b' c\"\n}", misc(model.MiscSpec{Script: model.Script{Command: "/bin/check 'a b' c", Timeout: time.Minute}})},
		{"misc words", "MISC_CHECK {\nmisc_path /bin/check \"a b\"\nmisc_timeout 7\nmisc_dynamic\nuser nobody nogroup\n}", misc(model.MiscSpec{
			Script:  model.Script{Command: "/bin/check a b", Argv: []string{"/bin/check", "a b"}, User: "nobody", Group: "nogroup", Timeout: 7 * time.Second},
			Dynamic: true,
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := loadChecks(t, "", "", test.text)
			if diff := cmp.Diff([]model.Check{test.want}, got, cmp.Comparer(sameAddr)); diff != "" {
				t.Errorf("checks differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckInheritance: settings flow from virtual_server to real_server to
// the check, except that misc_timeout takes the virtual server's delay_loop.
func TestCheckInheritance(t *testing.T) {
	for _, test := range []struct {
		name, service, server, check string
		see                          func(model.Check) any
		want                         any
	}{
		{"retry of the service", "retry 5", "", "MISC_CHECK {\nmisc_path /x\n}", func(c model.Check) any { return c.Retry }, uint32(5)},
		{"retry of the server", "retry 5", "retry 6", "DNS_CHECK { }", func(c model.Check) any { return c.Retry }, uint32(6)},
		{"retry of the check", "retry 5", "retry 6", "DNS_CHECK {\nretry 0\n}", func(c model.Check) any { return c.Retry }, uint32(0)},
		{"pause of DNS", "delay_loop 5", "delay_loop 4", "DNS_CHECK { }", func(c model.Check) any { return c.DelayBeforeRetry }, 4 * time.Second},
		{"time-out of scripts", "delay_loop 5", "delay_loop 4", "MISC_CHECK {\nmisc_path /x\ndelay_loop 3\n}", func(c model.Check) any { return c.Misc.Script.Timeout }, 5 * time.Second},
		{"virtualhost of the service", "virtualhost v.example", "", "HTTP_GET {\nurl { path / }\n}", func(c model.Check) any { return c.HTTP.URLs[0].VirtualHost }, "v.example"},
		{"virtualhost of the server", "virtualhost v.example", "virtualhost r.example", "HTTP_GET {\nurl { path / }\n}", func(c model.Check) any { return c.HTTP.URLs[0].VirtualHost }, "r.example"},
		{"virtualhost of the check", "virtualhost v.example", "virtualhost r.example", "HTTP_GET {\nvirtualhost c.example\nurl { path / }\n}", func(c model.Check) any { return c.HTTP.URLs[0].VirtualHost }, "c.example"},
		{"no SSL block for HTTP_GET", "", "", "HTTP_GET {\nurl { path / }\n}", func(c model.Check) any { return c.HTTP.TLS == nil }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := loadChecks(t, test.service, test.server, test.check)
			if got := test.see(list[0]); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestHosts: each host block of SMTP_CHECK is a check.
func TestHosts(t *testing.T) {
	list := loadChecks(t, "", "", "SMTP_CHECK {\nhost {\nconnect_port 25\n}\nhost {\nconnect_port 587\n}\n}")
	if len(list) != 2 || list[0].ConnectTo.Port() != 25 || list[1].ConnectTo.Port() != 587 {
		t.Errorf("checks = %+v, want ports 25 and 587", list)
	}
}
