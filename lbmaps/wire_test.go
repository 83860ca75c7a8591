package lbmaps

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/model"
)

// The generators make what the maps can hold.
func ipv4(t *rapid.T) netip.Addr {
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4")))
}

func addr(t *rapid.T) netip.Addr {
	if rapid.Bool().Draw(t, "is IPv4") {
		return ipv4(t)
	}
	b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6"))
	b[0] |= 0x20 // neither v4-mapped nor unspecified
	return netip.AddrFrom16(b)
}

func addrPort(t *rapid.T) netip.AddrPort {
	return netip.AddrPortFrom(addr(t), rapid.Uint16().Draw(t, "port"))
}

func mac(t *rapid.T) [6]byte { return [6]byte(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "MAC")) }

func serviceKey(t *rapid.T) model.ServiceKey {
	return model.ServiceKey{Protocol: model.Protocol(rapid.Uint8().Draw(t, "protocol")), Addr: addrPort(t)}
}

func server(t *rapid.T) Server {
	return Server{
		Server: model.Server{
			Addr:    addrPort(t),
			Forward: model.Forward(rapid.Uint8().Draw(t, "forward")),
			Weight:  rapid.Int32().Draw(t, "weight"),
			Upper:   rapid.Uint32().Draw(t, "upper"),
			Lower:   rapid.Uint32().Draw(t, "lower"),
		},
		Service: rapid.Uint32().Draw(t, "service"),
		Deleted: rapid.Bool().Draw(t, "deleted"),
		Way: Way{
			Resolved:    rapid.Bool().Draw(t, "resolved"),
			Ifindex:     rapid.Uint32().Draw(t, "ifindex"),
			VLAN:        rapid.Uint16().Draw(t, "vlan"),
			Source:      mac(t),
			Destination: mac(t),
			MTU:         rapid.Uint16().Draw(t, "mtu"),
			Local:       rapid.Bool().Draw(t, "local"),
		},
	}
}

func settings(t *rapid.T) Settings {
	s := Settings{LayoutVersion: rapid.Uint32().Draw(t, "version"), ICMPPerSecond: rapid.Uint32().Draw(t, "icmp")}
	for i := range s.Timeouts {
		s.Timeouts[i] = time.Duration(rapid.Uint32().Draw(t, "seconds")) * time.Second
	}
	return s
}

func cursor(t *rapid.T) Cursor {
	return Cursor{Position: rapid.Uint32().Draw(t, "position"), Generation: rapid.Uint32().Draw(t, "generation")}
}

// same fails unless a value came back as it went.
func same[T comparable](t interface{ Fatalf(string, ...any) }, got, want T) {
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestRoundTrips(t *testing.T) {
	for name, check := range map[string]func(*rapid.T){
		"key":      func(t *rapid.T) { v := serviceKey(t); same(t, hostKey(wireKey(v)), v) },
		"server":   func(t *rapid.T) { v := server(t); same(t, hostServer(wireServer(v)), v) },
		"settings": func(t *rapid.T) { v := settings(t); same(t, hostSettings(wireSettings(v)), v) },
		"cursor":   func(t *rapid.T) { v := cursor(t); same(t, hostCursor(wireCursor(v)), v) },
		"IPv4":     func(t *rapid.T) { v := ipv4(t); same(t, hostIPv4(wireIPv4(v)), v) },
		"port": func(t *rapid.T) {
			v := Port{
				MAC: mac(t), Enabled: rapid.Bool().Draw(t, "enabled"), VLAN: rapid.Uint16().Draw(t, "vlan"),
				Device: rapid.Uint32().Draw(t, "device"), Ifindex: rapid.Uint32().Draw(t, "ifindex"),
			}
			same(t, hostPortEntry(wirePortEntry(v)), v)
		},
		"flow word": func(t *rapid.T) {
			v := rapid.Uint64().Draw(t, "word")
			same(t, wireFlowWord(hostFlowWord(v)), v)
		},
	} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, check) })
	}
}

// memory returns the bytes of a value as the kernel sees them.
func memory[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

func TestNetworkOrder(t *testing.T) {
	key := wireKey(model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:258")})
	want := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 1, 2, 6, 0}
	if got := memory(&key); string(got) != string(want) {
		t.Errorf("key in memory is %v, want %v", got, want)
	}
	four := wireIPv4(netip.MustParseAddr("::ffff:192.0.2.1"))
	if got := memory(&four); string(got) != "\xc0\x00\x02\x01" {
		t.Errorf("address in memory is %v", got)
	}
	if free := hostServer(bpf.EkServer{}); free.Used() || free.Addr.IsValid() {
		t.Errorf("free slot reads as %+v", free)
	}
	if w := wireServer(Server{}); w != (bpf.EkServer{}) {
		t.Errorf("free slot is written as %+v", w)
	}
}

// A server has the outer source where the fast way may wrap packets of IPv4 by it alone.
func TestPlainTunnels(t *testing.T) {
	for _, forward := range []model.Forward{model.DR, model.NAT, model.TUN} {
		for _, server := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
			for _, by := range []model.TunnelType{model.IPIP, model.GUE, model.GRE} {
				for _, source := range []string{"192.0.2.254", "2001:db8::fe", ""} {
					var s Server
					s.Addr, s.Forward, s.Tunnel = netip.MustParseAddrPort(server), forward, model.Tunnel{Type: by}
					s.Way.Tunnel, _ = netip.ParseAddr(source)
					var want uint32
					if forward == model.TUN && by == model.IPIP && s.Addr.Addr().Is4() && s.Way.Tunnel.Is4() {
						want = wireIPv4(s.Way.Tunnel)
					}
					if got := wireServer(s); got.Outer != want {
						t.Errorf("%v by %v from %q to %s: outer source %#x, want %#x", forward, by, source, server, got.Outer, want)
					}
				}
			}
		}
	}
}

// TestHeaderConstants compares with what the program was compiled from.
func TestHeaderConstants(t *testing.T) {
	contract := read(t, "../bpf/include/contract.h")
	for name, want := range map[string]uint64{
		"LAYOUT_VERSION":  LayoutVersion,
		"MAX_ORDER":       MaxOrder,
		"FLOW_SHARDS":     FlowShards,
		"SWEEP_KEYS":      SweepKeys,
		"KNOWN_BITS":      knownBits,
		"SERVER_DELETED":  serverDeleted,
		"SERVER_RESOLVED": serverResolved,
		"SERVER_LOCAL":    serverLocal,
	} {
		match := regexp.MustCompile(`#define ` + name + ` (\w+)`).FindStringSubmatch(contract)
		if match == nil {
			t.Errorf("contract.h has no %s", name)
			continue
		}
		if got, err := strconv.ParseUint(match[1], 0, 64); err != nil || got != want {
			t.Errorf("%s is %s in contract.h, here %d", name, match[1], want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStatesAreThoseOfTheProgram(t *testing.T) {
	contract := read(t, "../bpf/include/contract.h")
	constants := strings.NewReplacer("C-", "COOKIE_", "S-", "SHUTDOWN_", "-", "_")
	for s := range States {
		if !s.known() {
			continue
		}
		name := s.String()
		if s.protocol() == model.SCTP {
			name = "SCTP_" + constants.Replace(name)
		}
		line := fmt.Sprintf("FLOW_%s = %d,", name, uint8(s))
		if !regexp.MustCompile(regexp.QuoteMeta(line)).MatchString(contract) {
			t.Errorf("contract.h has no %q", line)
		}
	}
	same(t, uint8(States), uint8(bpf.EkFlowStateFLOW_STATES))
	same(t, State(13).String(), "state 13")
	same(t, State(33).String(), "state 33")
	same(t, uint8(SCTPNone), uint8(bpf.EkFlowStateFLOW_SCTP_NONE))
}

func TestFractionsOfASecondAreRoundedUp(t *testing.T) {
	w := wireSettings(Settings{Timeouts: Timeouts{None: 1, UDP: 1001 * time.Millisecond}})
	same(t, w.Timeout[None], 1)
	same(t, w.Timeout[UDP], 2)
	same(t, w.Timeout[Close], 0)
}

func TestHostFlow(t *testing.T) {
	key := bpf.EkFlowKey{
		Caddr: wireIPv4(netip.MustParseAddr("192.0.2.9")), Cport: wirePort(4711),
		Vaddr: wireIPv4(netip.MustParseAddr("198.51.100.1")), Vport: wirePort(80), Proto: 6,
	}
	value := func(state State, expires uint64) (v bpf.EkFlow) {
		v.Now.Word, v.Expires = wireFlowWord(flowWord{server: 3, generation: 9, state: state, flags: 4}), expires
		return v
	}
	from, to := netip.MustParseAddrPort("192.0.2.9:4711"), netip.MustParseAddrPort("198.51.100.1:80")
	same(t, hostTuple(key), tuple{model.TCP, from, to})
	from6, to6 := netip.MustParseAddrPort("[2001:db8::9]:4711"), netip.MustParseAddrPort("[2001:db8::1]:80")
	same(t, hostTuple6(bpf.EkFlow6Key{
		Caddr: from6.Addr().As16(), Cport: wirePort(4711), Vaddr: to6.Addr().As16(), Vport: wirePort(80), Proto: 17,
	}), tuple{model.UDP, from6, to6})
	got, lives := hostFlow(value(FinWait, 7e9), 2e9)
	want := Flow{Slot: 3, Flow: model.Flow{State: "FIN_WAIT", Expires: 5 * time.Second}}
	if !lives || got != want {
		t.Errorf("flow is %+v, %t, want %+v", got, lives, want)
	}
	for name, v := range map[string]bpf.EkFlow{
		"expired": value(Established, 2e9),
		"dead":    value(State(bpf.EkFlowStateFLOW_DEAD), 7e9),
		"owned":   value(State(bpf.EkFlowStateFLOW_OWNED), 7e9),
	} {
		if _, lives := hostFlow(v, 2e9); lives {
			t.Errorf("%s flow lives", name)
		}
	}
}

func TestInactiveNeverWraps(t *testing.T) {
	same(t, Conns{Active: 2, Total: 5}.Inactive(), 3)
	same(t, Conns{Active: 5, Total: 2}.Inactive(), 0) // between two atomic adds
}
