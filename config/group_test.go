package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// servicesOf writes the services of a configuration, with their servers.
func servicesOf(c *Config) []string {
	var lines []string
	for _, vs := range c.Services {
		line := vs.Key.String()
		if vs.Key.FWMark != 0 && vs.Key.Addr.IsValid() {
			line += " inet6"
		}
		for _, rs := range vs.Servers {
			line += " " + spell(rs.Addr)
			if rs.Named.IsValid() {
				line += " named " + spell(rs.Named)
			}
		}
		if vs.Sorry != nil {
			line += " sorry " + spell(vs.Sorry.Addr)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestGroups: the services that keepalived 2.2.7 makes of a group, and which
// ports their servers have (TestGroupsOfKeepalived asks it).
func TestGroups(t *testing.T) {
	const rs = "real_server 198.51.100.1 80 {\n}\n"
	for _, tc := range []struct {
		what, group, block string
		want               []string
	}{
		{"addresses and ports", "192.0.2.1 80\n192.0.2.2 81", "lb_kind DR\n" + rs, []string{
			"[192.0.2.1]:tcp:80 198.51.100.1 80",
			"[192.0.2.2]:tcp:81 198.51.100.1 81 named 198.51.100.1 80",
		}},
		{"NAT keeps a server's port", "192.0.2.1 80\n192.0.2.2 81", rs + "real_server 198.51.100.2 {\n}\n", []string{
			"[192.0.2.1]:tcp:80 198.51.100.1 80 198.51.100.2 80 named 198.51.100.2",
			"[192.0.2.2]:tcp:81 198.51.100.1 80 198.51.100.2 81 named 198.51.100.2",
		}},
		{"ranges", "192.0.2.254-192.0.3.1 80\n192.0.2.1-3 80\n192.0.2.8/31 80\n2001:db8::9-a 80\n2001:db8::10-2001:db8::11 80", "lb_kind TUN\n" + rs, []string{
			"[192.0.2.254]:tcp:80 198.51.100.1 80", "[192.0.2.255]:tcp:80 198.51.100.1 80", "[192.0.3.0]:tcp:80 198.51.100.1 80", "[192.0.3.1]:tcp:80 198.51.100.1 80",
			"[192.0.2.1]:tcp:80 198.51.100.1 80", "[192.0.2.2]:tcp:80 198.51.100.1 80", "[192.0.2.3]:tcp:80 198.51.100.1 80",
			"[192.0.2.8]:tcp:80 198.51.100.1 80", "[192.0.2.9]:tcp:80 198.51.100.1 80",
			"[2001:db8::9]:tcp:80 198.51.100.1 80", "[2001:db8::a]:tcp:80 198.51.100.1 80",
			"[2001:db8::10]:tcp:80 198.51.100.1 80", "[2001:db8::11]:tcp:80 198.51.100.1 80",
		}},
		{"marks", "fwmark 1 inet\nfwmark 2 inet\nfwmark 3 inet6", "lb_kind TUN\n" + rs, []string{
			"FWM 1 198.51.100.1 named 198.51.100.1 80", "FWM 2 198.51.100.1 named 198.51.100.1 80", "FWM 3 inet6 198.51.100.1 named 198.51.100.1 80",
		}},
		{"a mark has the family of the servers", "fwmark 1", "lb_kind NAT\nreal_server 2001:db8::1 80 {\n}\n", []string{"FWM 1 inet6 2001:db8::1 80"}},
		{"a mark has the family of the group", "fwmark 1\n2001:db8::1 80", "lb_kind TUN\n" + rs, []string{
			"FWM 1 inet6 198.51.100.1 named 198.51.100.1 80", "[2001:db8::1]:tcp:80 198.51.100.1 80",
		}},
		{"marks and addresses, NAT", "fwmark 1\n192.0.2.1 80", "sorry_server 198.51.100.9 81\n" + rs, []string{
			"FWM 1 198.51.100.1 80 sorry 198.51.100.9 81", "[192.0.2.1]:tcp:80 198.51.100.1 80 sorry 198.51.100.9 81",
		}},
		{"a server that has an address of the group", "192.0.2.1-2 80", "lb_kind DR\n" + rs + "real_server 192.0.2.2 80 {\n}\n", []string{
			"[192.0.2.1]:tcp:80 198.51.100.1 80 192.0.2.2 80", "[192.0.2.2]:tcp:80 198.51.100.1 80",
		}},
		{"the same address twice", "192.0.2.1-2 80\n192.0.2.2-3 80", "lb_kind DR\n" + rs, []string{
			"[192.0.2.1]:tcp:80 198.51.100.1 80", "[192.0.2.2]:tcp:80 198.51.100.1 80", "[192.0.2.3]:tcp:80 198.51.100.1 80",
		}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			// The group may stand behind its users.
			c := mustLoad(t, fmt.Sprintf("virtual_server group g {\nlb_algo rr\nprotocol TCP\n%s}\nvirtual_server_group g {\n%s\n}\n", tc.block, tc.group))
			got := servicesOf(c)
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("services:\n%s\nwant:\n%s\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"), complaints(c.Diagnostics))
			}
			for _, vs := range c.Services {
				if got := vs.Block().String(); got != "[g]:0" {
					t.Errorf("%s belongs to %s, want [g]:0", vs.Key, got)
				}
			}
			checkConfig(t, c)
		})
	}
}

// TestGroupSharesChecks: the checks are those of the block, whatever the port
// of a service.
func TestGroupSharesChecks(t *testing.T) {
	c := mustLoad(t, `virtual_server_group g {
	192.0.2.1 80
	192.0.2.2 81
}
virtual_server_group one {
	192.0.2.3-4 82
}
virtual_server group g {
	protocol TCP
	lb_kind DR
	real_server 198.51.100.1 8080 {
		TCP_CHECK {
		}
	}
	real_server 198.51.100.2 {
		TCP_CHECK {
			connect_port 99
		}
	}
}
virtual_server group g {
	protocol UDP
	real_server 198.51.100.1 80 {
	}
}
virtual_server group one {
	protocol TCP
	real_server 198.51.100.1 {
		TCP_CHECK {
		}
	}
}
`)
	if c.HasErrors() || len(c.Services) != 6 {
		t.Fatalf("%d services, want 6\n%s", len(c.Services), complaints(c.Diagnostics))
	}
	wantTo := []string{"198.51.100.1:8080 198.51.100.2:99", "198.51.100.1:8080 198.51.100.2:99", "", "", "198.51.100.1:82", "198.51.100.1:82"}
	wantBlock := []string{"[g]:0", "[g]:0", "[g]:1", "[g]:1", "[one]:0", "[one]:0"}
	for i, vs := range c.Services {
		var to []string
		for _, rs := range vs.Servers {
			for _, check := range rs.Checks {
				to = append(to, check.ConnectTo.String())
			}
		}
		if got := strings.Join(to, " "); got != wantTo[i] || vs.Block().String() != wantBlock[i] {
			t.Errorf("%s of %s checks %q, want %s with %q", vs.Key, vs.Block(), got, wantBlock[i], wantTo[i])
		}
	}
}

// TestGroupLimit: a range that is too large makes an error, and no services.
func TestGroupLimit(t *testing.T) {
	opts := testOptions()
	opts.Limits.GroupServices = 300
	for in, want := range map[string]int{
		"192.0.2.0/24 80":                    256,
		"192.0.2.0/24 80\n192.0.3.0/26 80":   0,
		"10.0.0.0/8 80":                      0,
		"1.0.0.0-254.0.0.0 80":               0,
		"2001:db8::/64 80":                   0,
		"::1-ffff::1 80":                     0,
		"2001:db8::1-2001:db8::1:0 80":       0,
		"192.0.2.255-192.0.3.1 80\nfwmark 1": 4,
	} {
		family := "198.51.100.1"
		if strings.Contains(in, ":") {
			family = "2001:db8:1::1"
		}
		text := fmt.Sprintf("virtual_server_group g {\n%s\n}\nvirtual_server group g {\nprotocol TCP\nreal_server %s 80 {\n}\n}\n", in, family)
		c, err := load(files(map[string]string{"main.conf": text}), "main.conf", opts)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Services) != want || c.HasErrors() != (want == 0) {
			t.Errorf("%q: %d services, want %d\n%s", in, len(c.Services), want, complaints(c.Diagnostics))
		}
	}
}

func TestRangeSize(t *testing.T) {
	for _, tc := range []struct {
		first, last string
		want        uint64
	}{
		{"192.0.2.1", "192.0.2.1", 1}, {"192.0.2.255", "192.0.3.0", 2}, {"0.0.0.1", "255.255.255.254", 1<<32 - 2},
		{"::1", "::2", 2}, {"::1", "::1:0:0", 1<<32 - 1}, {"::1", "ffff::", 1<<32 - 1},
	} {
		e := groupEntry{first: netip.MustParseAddr(tc.first), last: netip.MustParseAddr(tc.last)}
		if got := e.size(); got != tc.want {
			t.Errorf("from %s to %s are %d, want %d", tc.first, tc.last, got, tc.want)
		}
	}
}
