//go:build netns

package acceptance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestBadPackets sends frames that nobody should send, while transfers run. Each
// must be counted under its reason, none may reach a server but those whose
// checksum only the server judges, and the transfers must not suffer.
func TestBadPackets(t *testing.T) {
	for _, tt := range []struct {
		kind, mode string
		build      builder
		port       uint16 // of the servers
	}{
		{"DR", "native", lab.DR, 80},
		{"NAT", "generic", lab.NAT, 9000},
	} {
		t.Run(tt.kind+" "+tt.mode, func(t *testing.T) {
			s := newSite(t, tt.build, 2)
			at := netip.AddrPortFrom(s.top.VIP, 80)
			f := newFleet(t)
			for _, node := range s.top.Servers {
				f.serve(node, fmt.Sprintf(":%d", tt.port))
			}
			s.write(conf{
				global: []string{"@evenkeel xdp_mode " + tt.mode},
				services: []serviceConf{
					{at: at, kind: tt.kind, servers: s.servers(0, 2, tt.port)},
					{at: netip.AddrPortFrom(s.top.VIP, 53), protocol: "UDP", kind: tt.kind, servers: s.servers(0, 2, 53)},
				},
			}.String())
			s.start()
			s.alive(at, 2)
			for range 4 {
				f.open(s.top.Client, at)
			}
			f.advance("before the bad packets")

			strays := s.listen()
			client := labtest.OpenWire(t, s.top.ClientIf, nil)
			before := s.reasons()
			want := map[string]uint64{}
			for _, c := range newForger(s, tt.kind).cases() {
				if c.arrives {
					strays.expect(c.frames)
				}
				for _, frame := range c.frames {
					client.Send(frame)
				}
				want[c.reason] += uint64(len(c.frames))
				labtest.Until(t, c.name+" are counted as "+c.reason, func() bool {
					return s.reasons()[c.reason]-before[c.reason] >= want[c.reason]
				})
			}
			f.advance("after the bad packets")
			f.finish()
			labtest.Until(t, "the bad checksums arrive", strays.complete)
			strays.report(t)
			s.accounted(before, want)
			if tt.mode == "native" {
				s.allCounted()
			}
		})
	}
}

// reasons returns the packets that ended in each reason, by name.
func (s *site) reasons() map[string]uint64 {
	s.t.Helper()
	counted := map[string]uint64{}
	for _, r := range s.status().Reasons {
		counted[r.Name] = r.Packets
	}
	return counted
}

// accounted wants the bad frames under their reasons and nothing else there,
// but what good traffic makes.
func (s *site) accounted(before, want map[string]uint64) {
	s.t.Helper()
	got := map[string]uint64{}
	for name, n := range s.reasons() {
		if d := n - before[name]; d > 0 && !strings.HasPrefix(name, "forwarded_") && name != "not_ip" {
			got[name] = d
		}
	}
	delete(want, "forwarded_dr")
	delete(want, "forwarded_nat")
	delete(want, "not_ip")
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("packets by reason (-sent +counted):\n%s", diff)
	}
}

// allCounted wants a reason for every frame that the driver handed to XDP since
// the director attached. Both count from there: a difference of two looks at
// each would miss what came between the looks.
func (s *site) allCounted() {
	s.t.Helper()
	var counted, handed uint64
	s.t.Cleanup(func() { s.t.Logf("%d frames handed to XDP, %d with a reason", handed, counted) })
	labtest.Until(s.t, "as many reasons as frames", func() bool {
		counted = 0
		for _, n := range s.reasons() {
			counted += n
		}
		handed = s.driverPackets()
		return counted == handed
	})
}

// driverPackets returns how many frames veth handed to XDP on the director's
// client side, or 0 where it does not count.
func (s *site) driverPackets() uint64 {
	s.t.Helper()
	out := labtest.Run(s.t, s.top.Director, exec.Command("ethtool", "-S", s.top.ClientSide.Name)).Stdout
	var sum uint64
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(name, "rx_queue_") && strings.HasSuffix(name, "_xdp_packets") {
			n, err := strconv.ParseUint(value, 10, 64)
			s.must(err)
			sum += n
		}
	}
	return sum
}

// strays are frames of the stranger that servers received, and answers to him.
type strays struct {
	mu       sync.Mutex // guards the fields below
	expected map[string]int
	missing  int
	wrong    []string
}

// stranger is who sends the bad packets.
func stranger() netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 1, 66}) }

// listen watches the interfaces of all servers. Frames that are neither ARP nor
// whole and of a known address are strays.
func (s *site) listen() *strays {
	s.t.Helper()
	x := &strays{expected: map[string]int{}}
	known := []netip.Addr{s.top.ClientIf.Addr(), s.top.ClientSide.Addr(), s.top.ServerSide.Addr()}
	for i := range s.top.Servers {
		known = append(known, s.top.ServerAddr(i))
	}
	for _, i := range s.top.ServerIfs {
		labtest.OpenWire(s.t, i, func(f labtest.Frame) { x.hear(i, f, known) })
	}
	return x
}

func (x *strays) hear(at *lab.Iface, f labtest.Frame, known []netip.Addr) {
	etherType := binary.BigEndian.Uint16(f.Data[12:])
	if etherType == 0x0806 {
		return
	}
	whole := etherType == 0x0800 && len(f.Data) >= l4At && f.Data[ipAt] == 0x45 &&
		len(f.Data) >= ipAt+int(binary.BigEndian.Uint16(f.Data[ipAt+2:]))
	var from, to netip.Addr
	if whole {
		from, to = netip.AddrFrom4([4]byte(f.Data[ipAt+12:])), netip.AddrFrom4([4]byte(f.Data[ipAt+16:]))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case f.Sent && to == stranger():
		x.wrong = append(x.wrong, fmt.Sprintf("%s answered the stranger: %x", at.Node.Name(), f.Data))
	case f.Sent || whole && slices.Contains(known, from):
	case whole && x.expected[fingerprint(f.Data)] > 0:
		x.expected[fingerprint(f.Data)]--
		x.missing--
		if soundChecksums(f.Data) {
			x.wrong = append(x.wrong, fmt.Sprintf("%s got a frame with its checksum repaired: %x", at.Node.Name(), f.Data))
		}
	default:
		x.wrong = append(x.wrong, fmt.Sprintf("%s got %x", at.Node.Name(), f.Data))
	}
}

// fingerprint is what no balancer changes of a TCP or UDP packet: source, client
// port and what follows the ports, without checksums.
func fingerprint(frame []byte) string {
	p := bytes.Clone(frame)
	sum := l4At + 16
	if p[ipAt+9] == 17 {
		sum = l4At + 6
	}
	p[sum], p[sum+1] = 0, 0
	return string(p[ipAt+12:ipAt+16]) + string(p[l4At:l4At+2]) + string(p[l4At+4:])
}

// soundChecksums reports whether the kernel would take the packet for good.
func soundChecksums(frame []byte) bool {
	ip := frame[ipAt : ipAt+int(binary.BigEndian.Uint16(frame[ipAt+2:]))]
	pseudo := append(bytes.Clone(ip[12:20]), 0, ip[9], 0, 0)
	binary.BigEndian.PutUint16(pseudo[10:], uint16(len(ip)-ipLen))
	return sum16(ip[:ipLen]) == 0xffff && sum16(append(pseudo, ip[ipLen:]...)) == 0xffff
}

// sum16 is the one's complement sum of RFC 1071: 0xffff over bytes that hold
// their own checksum.
func sum16(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func (x *strays) expect(frames [][]byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range frames {
		x.expected[fingerprint(f)]++
		x.missing++
	}
}

func (x *strays) complete() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.missing == 0
}

func (x *strays) report(t *testing.T) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range x.wrong {
		t.Error(w)
	}
}
