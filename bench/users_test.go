package bench

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// Who goes past the balancer shares no address and port with the real servers: there
// the balancer's clients leave connections behind that refuse theirs.
func TestUsersTargets(t *testing.T) {
	address := func(s string) *lab.Iface {
		return &lab.Iface{Addrs: []netip.Prefix{netip.MustParsePrefix(s)}}
	}
	s := &usersSite{shared: netip.MustParseAddr("203.0.113.1"), top: &lab.Topology{
		VIP: netip.MustParseAddr("192.0.2.100"), Servers: make([]*lab.Node, 2),
		ServerIfs: []*lab.Iface{address("198.51.100.11/24"), address("198.51.100.12/24")},
	}}
	conf := s.conf(1)
	configured := func(keyword string, to netip.AddrPort) bool {
		return strings.Contains(conf, strings.ReplaceAll(keyword+" "+to.String()+" {", ":", " "))
	}
	for _, to := range append(s.udp(true), s.web(true)) {
		if !configured("virtual_server", to) {
			t.Errorf("balanced: %v, want a service of\n%s", to, conf)
		}
	}
	direct := s.udp(false)
	if len(direct) != 2 || direct[0].Addr() == direct[1].Addr() {
		t.Errorf("UDP past the balancer: %v, want both servers", direct)
	}
	for _, to := range append(direct, s.web(false)) {
		if configured("real_server", to) || configured("virtual_server", to) {
			t.Errorf("past the balancer: %v, which is in\n%s", to, conf)
		}
	}
}

func TestParseWrk(t *testing.T) {
	const head = "Running 3s test @ http://10.77.1.100/\n  1 threads and 32 connections\n" +
		"  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   635.91us    0.89ms  12.92ms   93.69%\n" +
		"  Latency Distribution\n     50%  500.00us\n     75%  700.00us\n     90%    1.10ms\n"
	const tail = "  100 requests in 3.00s, 1.5MB read\n"
	for _, tt := range []struct {
		name, text string
		want       wrkResult
		bad        bool
	}{
		{"no errors", head + "     99%    3.04ms\n" + tail + "Requests/sec:  5678.90\n", wrkResult{5678.9, 3040, 0}, false},
		{"microseconds", head + "     99%  304.00us\n" + tail + "Requests/sec:  1.00\n", wrkResult{1, 304, 0}, false},
		{"seconds", head + "     99%    1.20s\n" + tail + "Requests/sec:  1.00\n", wrkResult{1, 1.2e6, 0}, false},
		{"errors", head + "     99%    3.00ms\n" + tail + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec:  7.00\n",
			wrkResult{7, 3000, 15}, false},
		{"nothing", "unable to connect to 10.77.1.100:80 Connection refused\n", wrkResult{}, true},
	} {
		got, err := parseWrk(tt.text)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestUsersFigures(t *testing.T) {
	m := newUsersFigures()
	for i, way := range ways() {
		m.add(way, map[string]float64{requests: float64(100 - 10*i), udpRoundTrips: 5})
	}
	for _, f := range m.all() {
		switch f.Name {
		case usersName(requests, ways()[0]):
			if f.Yardstick != nil || f.Values[0] != 100 {
				t.Errorf("%+v", f)
			}
		case usersName(requests, ways()[2]):
			if r := f.Ratio(); r.Median != 0.8 {
				t.Errorf("%+v, ratio %+v", f, r)
			}
		}
	}
}
