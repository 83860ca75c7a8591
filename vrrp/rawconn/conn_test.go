package rawconn

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/evenkeel/evenkeel/vrrp"
)

var (
	group4 = vrrp.MulticastGroup(false)
	group6 = vrrp.MulticastGroup(true)
	src4   = netip.MustParseAddr("10.90.0.1")
	src6   = netip.MustParseAddr("fe80::ff:fe00:5a01")
)

// mute returns a socket without a kernel, and members on it.
func mute(configs ...Config) (*socket, []*Conn) {
	h := NewHub(Options{})
	s := newSocket(h, socketKey{device: "eth0", protocol: vrrp.ProtocolVRRP})
	var members []*Conn
	for _, cfg := range configs {
		members = append(members, &Conn{hub: h, cfg: cfg, queue: newQueue(4), closed: make(chan struct{})})
	}
	s.members.Store(newMembers(members))
	return s, members
}

func packetFor(vrid uint8, dst netip.Addr) vrrp.Packet {
	return vrrp.Packet{Src: src4, Dst: dst, TTL: 255, Protocol: vrrp.ProtocolVRRP, Payload: []byte{0x31, vrid, 100, 0}}
}

func TestDeliver(t *testing.T) {
	otherGroup := netip.MustParseAddr("224.0.0.99")
	local, other := netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("10.90.0.7")
	configs := []Config{
		{VRID: 51, Multicast: group4},
		{VRID: 52, Multicast: group4},
		{VRID: 51, Multicast: otherGroup},
		{VRID: 51, Local: local},
		{VRID: 53, Local: local},
	}
	tests := []struct {
		name string
		p    vrrp.Packet
		want []int // members that get it
	}{
		{"by group", packetFor(51, group4), []int{0}},
		{"by another group", packetFor(51, otherGroup), []int{2}},
		{"by VRID", packetFor(52, group4), []int{1}},
		{"by address", packetFor(51, local), []int{3}},
		{"nobody waits for the destination", packetFor(51, other), []int{0, 2, 3}},
		{"unicast to a multicast instance", packetFor(52, local), []int{1}},
		{"multicast to a unicast instance", packetFor(53, group4), []int{4}},
		{"unknown router", packetFor(99, group4), nil},
		{"too short to tell", vrrp.Packet{Dst: group4, Protocol: vrrp.ProtocolVRRP, Payload: []byte{0x31}}, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, members := mute(configs...)
			s.deliver(tt.p, nil)
			var got []int
			for i, m := range members {
				if p, ok := m.queue.take(); ok {
					got = append(got, i)
					if p.Dst != tt.p.Dst || !bytes.Equal(p.Payload, tt.p.Payload) {
						t.Errorf("member %d got %+v", i, p)
					}
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("members %v got it, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("members %v got it, want %v", got, tt.want)
				}
			}
			stats := s.hub.Stats()
			if (stats.Unknown > 0) != (tt.want == nil) {
				t.Errorf("unknown = %d", stats.Unknown)
			}
			if (stats.Short > 0) != (len(tt.p.Payload) < 2) {
				t.Errorf("short = %d", stats.Short)
			}
		})
	}
}

// TestDeliverCopies: what is received next overwrites the bytes.
func TestDeliverCopies(t *testing.T) {
	s, members := mute(Config{VRID: 51, Multicast: group4}, Config{VRID: 51, Multicast: group4})
	p := packetFor(51, group4)
	s.deliver(p, nil)
	p.Payload[2] = 1
	for i, m := range members {
		if got, _ := m.queue.take(); got.Payload[2] != 100 {
			t.Errorf("member %d: payload changed after delivery", i)
		} else {
			got.Payload[2] = 2
		}
	}
}

// TestFullQueueLosesOldest: a flood to one instance takes no room of another,
// and what it reads last is the newest.
func TestFullQueueLosesOldest(t *testing.T) {
	s, members := mute(Config{VRID: 51, Multicast: group4}, Config{VRID: 52, Multicast: group4})
	s.deliver(packetFor(52, group4), nil)
	for i := range 10 {
		p := packetFor(51, group4)
		p.Payload[2] = byte(i)
		s.deliver(p, nil)
	}
	for want := byte(6); want < 10; want++ {
		p, ok := members[0].queue.take()
		if !ok || p.Payload[2] != want {
			t.Fatalf("took %v, %t; want number %d", p.Payload, ok, want)
		}
	}
	if got := members[0].Overflowed(); got != 6 {
		t.Errorf("Overflowed = %d, want 6", got)
	}
	if _, ok := members[1].queue.take(); !ok || members[1].Overflowed() != 0 {
		t.Error("the flood reached the other instance")
	}
}

func TestRecvWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, members := mute(Config{VRID: 51, Multicast: group4})
		got := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		recv := func() { _, err := members[0].Recv(ctx); got <- err }

		go recv()
		synctest.Wait()
		s.deliver(packetFor(51, group4), nil)
		s.deliver(packetFor(51, group4), nil)
		if err := <-got; err != nil {
			t.Errorf("Recv = %v", err)
		}
		go recv() // the second, though there was one token for both
		if err := <-got; err != nil {
			t.Errorf("second Recv = %v", err)
		}
		go recv()
		synctest.Wait()
		stop()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("Recv after its context = %v", err)
		}
		close(members[0].closed)
		if _, err := members[0].Recv(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Recv after Close = %v", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		cfg        Config
	}{
		{"no VRID", "router id 0", Config{Interface: "eth0", Multicast: group4}},
		{"multicast nowhere", "needs an interface", Config{VRID: 1, Multicast: group4}},
		{"no group", "no multicast group", Config{VRID: 1, Interface: "eth0", Multicast: src4}},
		{"other family", "no multicast group", Config{VRID: 1, Interface: "eth0", Multicast: group4, IPv6: true}},
		{"IPv6 with authentication header", "needs IPv4", Config{VRID: 1, Interface: "eth0", Multicast: group6, IPv6: true, AuthHeader: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewHub(Options{}).Open(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestFrame compares with frames that keepalived sent from its virtual MAC.
func TestFrame(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	header := unhex("45c0002000010000ff7071a4 0a5a0001 e0000012")
	tests := []struct {
		name string
		mac  MAC
		p    vrrp.Packet
		want string
	}{
		{
			"IPv4", MAC{0, 0, 0x5e, 0, 1, 0x33},
			vrrp.Packet{Src: src4, Dst: group4, TTL: 255, Protocol: vrrp.ProtocolVRRP, Header: header, Payload: unhex("3133c801006410bf0a5a0064")},
			"01005e000012 00005e000133 0800" + hex.EncodeToString(header) + "3133c801006410bf0a5a0064",
		},
		{
			"IPv6", MAC{0, 0, 0x5e, 0, 2, 0x33},
			vrrp.Packet{Src: src6, Dst: group6, TTL: 255, Protocol: vrrp.ProtocolVRRP, Payload: unhex("3133c8010064")},
			"333300000012 00005e000233 86dd 6c000000 0006 70 ff fe80000000000000 000000fffe005a01 ff020000000000000000000000000012 3133c8010064",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o outbox
			if got, want := o.frame(tt.mac, tt.p), unhex(tt.want); !bytes.Equal(got, want) {
				t.Errorf("frame\n %x, want\n %x", got, want)
			}
		})
	}
}

func TestGroupMAC(t *testing.T) {
	for group, want := range map[string]MAC{
		"224.0.0.18":      {0x01, 0x00, 0x5e, 0x00, 0x00, 0x12},
		"239.255.1.2":     {0x01, 0x00, 0x5e, 0x7f, 0x01, 0x02},
		"ff02::12":        {0x33, 0x33, 0x00, 0x00, 0x00, 0x12},
		"ff02::1:ff5a:64": {0x33, 0x33, 0xff, 0x5a, 0x00, 0x64},
	} {
		if got := groupMAC(netip.MustParseAddr(group)); got != want {
			t.Errorf("groupMAC(%s) = %x, want %x", group, got, want)
		}
	}
}
