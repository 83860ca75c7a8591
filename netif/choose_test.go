package netif

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tables is a chooseSurface of plain data.
type tables struct {
	links    []Link
	routes   map[string]Route
	defaults []int
	err      error
}

func (s tables) Links() ([]Link, error)       { return s.links, s.err }
func (s tables) DefaultLinks() ([]int, error) { return s.defaults, nil }

func (s tables) Route(dst netip.Addr) (Route, error) { return s.routes[dst.String()], nil }

func TestChooseXDP(t *testing.T) {
	lo := Link{Index: 1, Name: "lo", Loopback: true, Up: true, Addrs: prefixes("127.0.0.1/8", "10.77.1.101/32")}
	eth0 := Link{Index: 2, Name: "eth0", Ethernet: true, Up: true, Carrier: true, Addrs: prefixes("10.77.1.1/24", "10.77.1.100/32")}
	eth1 := Link{Index: 3, Name: "eth1", Ethernet: true, Up: true, Addrs: prefixes("10.77.2.1/24")}
	tun := Link{Index: 4, Name: "tun0", Up: true, Carrier: true}
	down := Link{Index: 5, Name: "eth2", Ethernet: true}
	all := tables{
		links: []Link{lo, eth0, eth1, tun, down},
		routes: map[string]Route{
			"10.77.1.100": {Kind: RouteLocal, IfIndex: 1},
			"10.77.1.101": {Kind: RouteLocal, IfIndex: 1},
			"10.77.1.200": {Kind: RouteUnicast, IfIndex: 2},
			"10.77.1.11":  {Kind: RouteUnicast, IfIndex: 2},
			"10.77.2.11":  {Kind: RouteUnicast, IfIndex: 3},
			"10.77.2.12":  {Kind: RouteUnicast, IfIndex: 3},
			"10.77.3.11":  {Kind: RouteUnicast, IfIndex: 4},
			"10.77.4.11":  {Kind: RouteUnicast, IfIndex: 5},
		},
		defaults: []int{2, 3},
	}
	tests := []struct {
		name          string
		vips, servers []string
		want          map[string][]string // interface: problem, then reasons
	}{
		{"one LAN", []string{"10.77.1.100"}, []string{"10.77.1.11"}, map[string][]string{
			"eth0": {"", "has the virtual address 10.77.1.100", "leads to the real server 10.77.1.11"}}},
		{"two LANs, no carrier yet", []string{"10.77.1.100"}, []string{"10.77.2.11", "10.77.2.12", "10.77.2.11"}, map[string][]string{
			"eth0": {"", "has the virtual address 10.77.1.100"},
			"eth1": {"", "leads to the real server 10.77.2.11", "leads to the real server 10.77.2.12"}}},
		{"VIP comes later", []string{"10.77.1.200"}, nil, map[string][]string{
			"eth0": {"", "leads to the network of the virtual address 10.77.1.200"}}},
		{"VIP on lo", []string{"10.77.1.101"}, nil, map[string][]string{
			"eth0": {"", "has the default route, for the virtual address 10.77.1.101"},
			"eth1": {"", "has the default route, for the virtual address 10.77.1.101"}}},
		{"VIP mapped", []string{"::ffff:10.77.1.100"}, nil, map[string][]string{
			"eth0": {"", "has the virtual address 10.77.1.100"}}},
		{"not Ethernet", nil, []string{"10.77.3.11"}, map[string][]string{
			"tun0": {"interface tun0 is not Ethernet", "leads to the real server 10.77.3.11"}}},
		{"down", nil, []string{"10.77.4.11"}, map[string][]string{
			"eth2": {"interface eth2 is down", "leads to the real server 10.77.4.11"}}},
		{"server without a route", nil, []string{"10.9.9.9"}, map[string][]string{}},
		{"server is the host", nil, []string{"10.77.1.100"}, map[string][]string{}},
		{"nothing", nil, nil, map[string][]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			choices, err := chooseXDP(all, addrs(tt.vips), addrs(tt.servers))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]string{}
			for _, c := range choices {
				got[c.Link.Name] = append([]string{c.Problem}, c.Reasons...)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("choices (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := chooseXDP(tables{err: errFake}, nil, nil); !errors.Is(err, errFake) {
		t.Errorf("error = %v, want the kernel's", err)
	}
}

// TestChooseXDPOfMany: of thousands of servers, no more are looked up than it
// takes to choose every interface, and a few are reasons.
func TestChooseXDPOfMany(t *testing.T) {
	counted := &countingTables{tables: tables{links: []Link{{Index: 1, Name: "lo", Loopback: true}, {Index: 2, Name: "eth0", Ethernet: true, Up: true}, {Index: 3, Name: "eth1", Ethernet: true, Up: true}}}}
	var servers []netip.Addr
	for n := range 40_000 {
		servers = append(servers, netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))
	}
	choices, err := chooseXDP(counted, nil, servers)
	if err != nil || len(choices) != 2 {
		t.Fatalf("choices = %+v, %v", choices, err)
	}
	if counted.asked > 30_001 {
		t.Errorf("%d routes were looked up, want 30001 at most", counted.asked)
	}
	if len(choices[0].Reasons) != mostReasons || len(choices[1].Reasons) != 1 {
		t.Errorf("%d and %d reasons, want %d and 1", len(choices[0].Reasons), len(choices[1].Reasons), mostReasons)
	}
}

// countingTables leads the first 30,000 addresses asked for to one interface
// and the others to another.
type countingTables struct {
	tables
	asked int
}

func (c *countingTables) Route(netip.Addr) (Route, error) {
	c.asked++
	if c.asked <= 30_000 {
		return Route{Kind: RouteUnicast, IfIndex: 2}, nil
	}
	return Route{Kind: RouteUnicast, IfIndex: 3}, nil
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrs(texts []string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}
