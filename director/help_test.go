package director_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/director/directortest"
	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

var _ director.Datapath = (*directortest.Datapath)(nil)

var vip = netip.MustParseAddrPort("192.0.2.1:80")

func key(addr netip.AddrPort) model.ServiceKey {
	return model.ServiceKey{Protocol: model.TCP, Addr: addr}
}

// rs returns the server 10.0.0.n:80 with one check.
func rs(n int, weight int32) model.RealServer {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80)
	return model.RealServer{
		Server: model.Server{Addr: addr, Forward: model.NAT, Weight: weight},
		Checks: []model.Check{{Kind: model.TCPCheck, ConnectTo: addr, DelayLoop: time.Minute}},
	}
}

func alpha(s model.RealServer) model.RealServer {
	s.Alpha, s.Checks[0].Alpha = true, true
	return s
}

func inhibit(s model.RealServer) model.RealServer {
	s.InhibitOnFailure = true
	return s
}

func unchecked(s model.RealServer) model.RealServer {
	s.Checks = nil
	return s
}

func vs(servers ...model.RealServer) model.VirtualServer {
	return model.VirtualServer{
		Service: model.Service{Key: key(vip), Scheduler: "rr"},
		Servers: servers,
		Quorum:  1,
	}
}

func with(v model.VirtualServer, change func(*model.VirtualServer)) model.VirtualServer {
	change(&v)
	return v
}

func withSorry(v model.VirtualServer) model.VirtualServer {
	sorry := unchecked(rs(99, 1))
	v.Sorry = &sorry
	return v
}

func up(n int) health.Verdict   { return verdict(n, true, "answered") }
func down(n int) health.Verdict { return verdict(n, false, "connection refused") }

func verdict(n int, up bool, reason string) health.Verdict {
	return health.Verdict{Service: key(vip), Server: rs(n, 1).Addr, Up: up, Reason: reason}
}

// short prints operations as +1 (add 10.0.0.1), ~1=0 (edit to weight 0),
// -1 (delete), and services as +S, ~S, -S.
func short(c director.Change) string {
	var words []string
	for _, op := range c.Ops() {
		n := op.Server.Addr.Addr()
		last := ""
		if n.IsValid() {
			last = fmt.Sprint(n.As4()[3])
		}
		words = append(words, map[string]string{
			"add service":    "+S",
			"edit service":   "~S",
			"delete service": "-S",
			"add server":     fmt.Sprintf("+%s", last),
			"edit server":    fmt.Sprintf("~%s=%d", last, op.Server.Weight),
			"delete server":  "-" + last,
		}[op.Kind.String()])
	}
	return strings.Join(words, " ")
}

func eventsOf(c director.Change) string {
	var words []string
	for _, e := range c.Events {
		words = append(words, e.Kind.String())
	}
	return strings.Join(words, ", ")
}

func wantOps(t *testing.T, what string, c director.Change, want string) {
	t.Helper()
	if got := short(c); got != want {
		t.Errorf("%s: operations %q, want %q", what, got, want)
	}
}
