package ipvs

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/model"
)

// plain removes the blanks that make a hex text readable.
func plain(s string) string { return strings.Join(strings.Fields(s), "") }

// Requests byte for byte, on a little-endian machine: length and type of each
// attribute, then its content.
func TestRequests(t *testing.T) {
	if netlinkIsBigEndian() {
		t.Skip("skipped: the bytes are those of a little-endian machine")
	}
	vip := model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("198.51.100.34:80")}
	const v4Key = `0600 0100 0200 0000  0600 0200 0600 0000
		1400 0300 c6336422 00000000 00000000 00000000  0600 0400 0050 0000`
	tests := []struct {
		name    string
		service func(*netlink.AttributeEncoder)
		server  func(*netlink.AttributeEncoder)
		want    string
	}{
		{
			name: "key", service: func(e *netlink.AttributeEncoder) { encodeKey(e, vip) },
			want: "3000 0180" + v4Key,
		},
		{
			name: "firewall mark", service: func(e *netlink.AttributeEncoder) { encodeKey(e, model.ServiceKey{FWMark: 7}) },
			want: "1400 0180  0600 0100 0200 0000  0800 0500 07000000",
		},
		{
			name: "persistent service of a /24",
			service: func(e *netlink.AttributeEncoder) {
				encodeService(e, model.Service{Key: vip, Scheduler: "sh", SchedFlags: 0x10, Persistence: 5 * time.Minute, PersistencePrefix: 24})
			},
			want: "5400 0180" + v4Key + `0700 0600 736800 00  0c00 0700 11000000 3d000000
				0800 0800 2c010000  0800 0900 ffffff00`,
		},
		{
			name: "persistence engine",
			service: func(e *netlink.AttributeEncoder) {
				encodeService(e, model.Service{Key: vip, Scheduler: "sh", Persistence: 5 * time.Minute, PersistenceEngine: "sip"})
			},
			want: "5c00 0180" + v4Key + `0700 0600 736800 00  0c00 0700 01000000 3d000000
				0800 0800 2c010000  0800 0900 ffffffff  0800 0b00 73697000`,
		},
		{
			name: "IPv6 server in an IPv4 service", service: func(e *netlink.AttributeEncoder) { encodeKey(e, vip) },
			server: func(e *netlink.AttributeEncoder) {
				encodeServer(e, model.Server{
					Addr: netip.MustParseAddrPort("[2001:db8::5]:8080"), Forward: model.TUN, Weight: 70000, Upper: 9, Lower: 3,
				})
			},
			want: "3000 0180" + v4Key + `4800 0280  0600 0b00 0a00 0000
				1400 0100 20010db8 00000000 00000000 00000005  0600 0200 1f90 0000
				0800 0300 02000000  0800 0400 70110100  0800 0500 09000000  0800 0600 03000000`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := request(tt.service, tt.server)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain(tt.want), hex.EncodeToString(got)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func netlinkIsBigEndian() bool {
	e := netlink.NewAttributeEncoder()
	e.Uint16(1, 1)
	b, err := e.Encode()
	return err != nil || b[0] == 0
}

// address draws an address of a family.
func address(t *rapid.T, label string, v6 bool) netip.Addr {
	n := 4
	if v6 {
		n = 16
	}
	a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label))
	if a.Is4In6() {
		return netip.IPv6LinkLocalAllNodes()
	}
	return a
}

func port(t *rapid.T) uint16 { return rapid.Uint16().Draw(t, "port") }

// What is written is read back, whatever the families.
func TestServiceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "IPv6")
		want := model.ServiceEntry{Service: model.Service{
			Key: model.ServiceKey{
				Protocol: rapid.SampledFrom([]model.Protocol{model.TCP, model.UDP, model.SCTP}).Draw(t, "protocol"),
				Addr:     netip.AddrPortFrom(address(t, "address", v6), port(t)),
			},
			Scheduler:         rapid.StringMatching(`[a-z]{1,15}`).Draw(t, "scheduler"),
			SchedFlags:        rapid.Uint32Range(0, 7).Draw(t, "flags") << 3,
			Persistence:       time.Duration(rapid.IntRange(0, 100000).Draw(t, "persistence")) * time.Second,
			PersistencePrefix: uint8(rapid.IntRange(0, 31).Draw(t, "prefix")),
			PersistenceEngine: rapid.SampledFrom([]string{"", "sip"}).Draw(t, "engine"),
			OnePacket:         rapid.Bool().Draw(t, "one packet"),
		}}
		if rapid.Bool().Draw(t, "marked") {
			want.Key = model.ServiceKey{FWMark: rapid.Uint32Range(1, 1<<32-1).Draw(t, "mark")}
		}
		data, err := request(func(e *netlink.AttributeEncoder) { encodeService(e, want.Service) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeService(data)
		if err != nil {
			t.Fatal(err)
		}
		if got.Service != want.Service {
			t.Errorf("service is %+v, want %+v", got.Service, want.Service)
		}
	})
}

func TestServerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := model.Server{
			Addr:    netip.AddrPortFrom(address(t, "address", rapid.Bool().Draw(t, "IPv6")), port(t)),
			Forward: rapid.SampledFrom([]model.Forward{model.NAT, model.Local, model.TUN, model.DR}).Draw(t, "forward"),
			Weight:  rapid.Int32Range(0, 1<<31-1).Draw(t, "weight"),
			Upper:   rapid.Uint32().Draw(t, "upper"),
			Lower:   rapid.Uint32().Draw(t, "lower"),
		}
		data, err := request(
			func(e *netlink.AttributeEncoder) {},
			func(e *netlink.AttributeEncoder) { encodeServer(e, want) },
		)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeServer(data, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Server != want {
			t.Errorf("server is %+v, want %+v", got.Server, want)
		}
	})
}

// Answers that are cut or lack something are errors, not empty tables.
func TestTornAnswers(t *testing.T) {
	whole, err := request(
		func(e *netlink.AttributeEncoder) {
			encodeService(e, model.Service{Key: model.ServiceKey{Protocol: model.TCP, Addr: netip.MustParseAddrPort("192.0.2.1:80")}, Scheduler: "rr"})
		},
		func(e *netlink.AttributeEncoder) { encodeServerKey(e, netip.MustParseAddrPort("10.0.0.1:80")) },
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeService(whole); err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) - 45 {
		if _, err := decodeServer(whole[:cut], 0); err == nil {
			t.Errorf("read a server from %d bytes", cut)
		}
	}
	for _, data := range [][]byte{nil, whole[:60]} {
		if _, err := decodeService(data); err == nil {
			t.Errorf("read a service from %d bytes", len(data))
		}
	}
}
