//go:build bpf

package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bpf/reasons"
)

// VLAN devices of the tests: clients are in the VLAN of the first, servers may be in that
// of the second. Both are on the interface that test packets come in by.
const (
	clientDevice, clientVLAN = 12, 100
	serverDevice, serverVLAN = 13, 200
)

// vlans tells the program of the VLAN devices.
func (r *rig) vlans() {
	r.tb.Helper()
	for device, id := range map[uint32]uint16{clientDevice: clientVLAN, serverDevice: serverVLAN} {
		r.put(r.o.EkPorts, device, EkPort{Mac: ownMAC, Enabled: 1, Device: device, Ifindex: inside, Vlan: id})
		r.put(r.o.EkVlans, EkVlanKey{Ifindex: inside, Vlan: id}, device)
	}
}

// withTag puts a tag of 802.1Q into a frame; 0 is none.
func withTag(frame []byte, tci uint16) []byte {
	if tci == 0 {
		return frame
	}
	return slices.Insert(slices.Clone(frame), 12, 0x81, 0, byte(tci>>8), byte(tci))
}

// outTag has frames to a server leave by an interface with a tag.
func outTag(ifindex uint32, id uint16) func(*EkServer) {
	return func(s *EkServer) { s.Ifindex, s.Vlan = ifindex, id }
}

// method is a way to send to a server, for the tests that go through all.
type method struct {
	name    string
	forward EkForward
}

func forwards() []method {
	return []method{{"DR", EkForwardFORWARD_DR}, {"NAT", EkForwardFORWARD_NAT}, {"TUN", EkForwardFORWARD_TUN}}
}

// methodRig is a rig with one service of a method.
func methodRig(t *testing.T, six family, m method, change ...func(*EkServer)) *rig {
	t.Helper()
	if m.forward == EkForwardFORWARD_TUN {
		return newTunnel(t, six, six, change...)
	}
	return newServiceOf(t, six, m.forward, change...)
}

// TestTagsOfRequests compares, for each method and family, and for each pair of ways in and
// out, the frames that leave with those of a program that sees no tag at all.
func TestTagsOfRequests(t *testing.T) {
	ways := []struct {
		in, out uint16 // tags
		other   bool   // out by another interface
	}{
		{0, serverVLAN, false},
		{clientVLAN, 0, false}, {clientVLAN, clientVLAN, false}, {clientVLAN, serverVLAN, false},
		{clientVLAN, 0, true}, {clientVLAN, serverVLAN, true}, {0, serverVLAN, true},
	}
	for _, m := range forwards() {
		t.Run(m.name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, six family) {
				plain, tagged := methodRig(t, six, m), methodRig(t, six, m)
				tagged.vlans()
				for i, way := range ways {
					ifindex, verdict := uint32(inside), uint32(xdpTX)
					if way.other {
						ifindex, verdict = outside, xdpRedirect
					}
					for slot := range uint32(2) {
						tagged.changeServer(slot, outTag(ifindex, way.out))
					}
					for _, f := range tagFrames(six, uint16(1000+i)) {
						sent := f.bytes(t)
						got, want := plain.run(sent)
						reason := plain.reason()
						if got != xdpTX {
							t.Fatalf("without a tag: verdict %d, %s", got, reason)
						}
						out := tagged.send(withTag(sent, way.in), verdict, reason)
						if !bytes.Equal(out, withTag(want, way.out)) {
							t.Fatalf("tag %d in, %d out:\n% x\nwant\n% x", way.in, way.out, out, withTag(want, way.out))
						}
					}
				}
			})
		})
	}
}

// tagFrames are the packets of a TCP flow and of a UDP flow of a client's port, some with
// Ethernet's padding or none.
func tagFrames(six family, port uint16) []frame {
	frames := []frame{
		six.syn(), six.syn().flag("A"), six.syn().flag("A").with(func(f *frame) { f.payload = strings.Repeat("x", 1000) }),
		six.datagram("hello"), six.datagram(""), six.datagram(strings.Repeat("y", 1400)),
		six.datagram("sum").with(func(f *frame) { f.noSum = true }),
	}
	for i := range frames {
		frames[i] = frames[i].fromPort(port)
	}
	return frames
}

// changeServer changes the entry of a slot.
func (r *rig) changeServer(slot uint32, change func(*EkServer)) {
	r.tb.Helper()
	var s EkServer
	if err := r.o.EkServers.Lookup(slot, &s); err != nil {
		r.tb.Fatal(err)
	}
	change(&s)
	r.put(r.o.EkServers, slot, s)
}

// TestTagsOfReplies sends a NAT server's answers, with each pair of tags. No route is found
// in the test's namespace, so they take the way that the request came by.
func TestTagsOfReplies(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.vlans()
		for i, way := range [][2]uint16{{0, serverVLAN}, {clientVLAN, 0}, {clientVLAN, clientVLAN}, {clientVLAN, serverVLAN}} {
			r.changeServer(0, outTag(inside, way[1]))
			ask := six.syn().fromPort(uint16(2000 + i))
			r.send(withTag(ask.bytes(t), way[0]), xdpTX, reasons.ForwardedNAT)
			back := six.frame(frame{from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "SA", payload: "pong"})
			back.dst = netip.AddrPortFrom(back.dst.Addr(), uint16(2000+i))
			want := back.with(func(f *frame) { f.from, f.to, f.src, f.ttl = ownMAC, clientMAC, six.of(vip), 63 }).bytes(t)
			for range 2 { // by the route that is looked up, and by the one that is kept
				out := r.send(withTag(back.bytes(t), way[1]), xdpTX, reasons.ForwardedReply)
				if !bytes.Equal(out, withTag(want, way[0])) {
					t.Errorf("request by tag %d, server by %d:\n% x\nwant\n% x", way[0], way[1], out, withTag(want, way[0]))
				}
				r.send(withTag(ask.flag("A").bytes(t), way[0]), xdpTX, reasons.ForwardedNAT) // no longer half-open
			}
		}
	})
}

// TestTagsOfAnswers has the program itself answer: with the tag that the packet came with,
// whatever tag its server is behind.
func TestTagsOfAnswers(t *testing.T) {
	for _, m := range forwards() {
		t.Run(m.name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, six family) {
				small := func(s *EkServer) { s.Mtu = 1400 }
				plain, tagged := methodRig(t, six, m, small), methodRig(t, six, m, small, outTag(outside, serverVLAN))
				tagged.vlans()
				used := six.syn().with(func(f *frame) { f.ttl = 1 })
				for want, f := range map[reasons.Reason]frame{
					reasons.TimeExceeded: used, reasons.FragNeeded: six.datagram(strings.Repeat("x", 1401)),
				} {
					wantAnswer(t, plain, tagged, f.bytes(t), want)
				}
				for _, r := range []*rig{plain, tagged} {
					r.order(0, nil)
				}
				wantAnswer(t, plain, tagged, six.syn().fromPort(7).bytes(t), reasons.PortUnreachable)
			})
		})
	}
}

// wantAnswer sends a frame without a tag to one program and with one to another, and wants
// answers that differ in the tag alone.
func wantAnswer(t *testing.T, plain, tagged *rig, sent []byte, reason reasons.Reason) {
	t.Helper()
	want := plain.send(sent, xdpTX, reason)
	out := tagged.send(withTag(sent, 0xe000|clientVLAN), xdpTX, reason)
	if !bytes.Equal(out, withTag(want, clientVLAN)) {
		t.Errorf("%s:\n% x\nwant\n% x", reason, out, withTag(want, clientVLAN))
	}
}

// TestTagsOfTooBigReplies answers a server whose packet does not fit on its way to the
// client, with the server's tag.
func TestTagsOfTooBigReplies(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT, outTag(inside, serverVLAN))
		r.vlans()
		r.send(withTag(six.syn().bytes(t), clientVLAN), xdpTX, reasons.ForwardedNAT)
		back := six.frame(frame{
			from: serverMAC, to: ownMAC, src: real2, dst: client, proto: 6, flags: "A", payload: strings.Repeat("x", 1000),
		}).bytes(t)
		r.send(withTag(back, serverVLAN), xdpTX, reasons.ForwardedReply) // the route is looked up
		r.setReplyMTU(six, 900)
		plain := newServiceOf(t, six, EkForwardFORWARD_NAT)
		plain.send(six.syn().bytes(t), xdpTX, reasons.ForwardedNAT)
		plain.send(back, xdpTX, reasons.ForwardedReply)
		plain.setReplyMTU(six, 900)
		want := withTag(plain.send(back, xdpTX, reasons.FragNeeded), serverVLAN)
		if out := r.send(withTag(back, serverVLAN), xdpTX, reasons.FragNeeded); !bytes.Equal(out, want) {
			t.Errorf("% x\nwant\n% x", out, want)
		}
	})
}

// TestTagsOfErrors passes the ICMP errors of others on, in both directions.
func TestTagsOfErrors(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		for _, m := range forwards() {
			plain, tagged := methodRig(t, six, m), methodRig(t, six, m, outTag(inside, serverVLAN))
			tagged.vlans()
			for _, f := range opened(t, plain, six) {
				tagged.sendTagged(f, clientVLAN)
				kind := errorKinds(six)[0]
				wantRelated(t, plain, tagged, aboutAnswer(t, six, f, kind, -1), clientVLAN, serverVLAN)
				switch {
				case m.forward == EkForwardFORWARD_NAT:
					wantRelated(t, plain, tagged, aboutRequest(t, six, f, real2, kind, -1), serverVLAN, clientVLAN)
				case m.forward == EkForwardFORWARD_TUN && !bool(six):
					kind.from, kind.to, kind.src, kind.dst = serverMAC, ownMAC, router.Addr(), outerSource.Addr()
					kind.quote = tunnelled(t, toServer(f, vip), false, real1, 0)[14:]
					wantRelated(t, plain, tagged, kind, serverVLAN, clientVLAN)
				}
			}
			plain.release()
			tagged.release()
		}
	})
}

// sendTagged runs a frame with a tag, which must be forwarded.
func (r *rig) sendTagged(f frame, tci uint16) {
	r.tb.Helper()
	r.run(withTag(f.bytes(r.tb), tci))
	if why := r.reason(); why.Verdict() != reasons.Forward {
		r.tb.Fatalf("a frame with tag %d: %s", tci, why)
	}
}

func wantRelated(t *testing.T, plain, tagged *rig, n notice, in, out uint16) {
	t.Helper()
	sent := n.bytes(t)
	verdict, want := plain.run(sent)
	reason := plain.reason()
	if verdict != xdpTX {
		t.Fatalf("without a tag: verdict %d, %s", verdict, reason)
	}
	if got := tagged.send(withTag(sent, in), xdpTX, reason); !bytes.Equal(got, withTag(want, out)) {
		t.Errorf("%s:\n% x\nwant\n% x", reason, got, withTag(want, out))
	}
}

// TestTagsOfWhatTheKernelGets wants every byte back, with the priority in the tag.
func TestTagsOfWhatTheKernelGets(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_DR)
		r.vlans()
		in := six.syn().bytes(t)
		short := withTag(in, clientVLAN)
		for name, c := range map[string]struct {
			frame []byte
			want  reasons.Reason
		}{
			"no service":       {withTag(six.syn().fromPort(9).with(func(f *frame) { f.dst = six.of(real3) }).bytes(t), 0xf000|clientVLAN), reasons.NoService},
			"nobody's":         {withTag(six.syn().with(func(f *frame) { f.dst = six.of(netip.MustParseAddrPort("192.0.2.99:99")) }).bytes(t), 0xf000|clientVLAN), reasons.NoService},
			"no flow":          {withTag(six.syn().flag("A").bytes(t), 0x3000|clientVLAN), reasons.NoFlow},
			"another's":        {withTag(six.syn().with(func(f *frame) { f.to = serverMAC }).bytes(t), clientVLAN), reasons.NotOurMAC},
			"unknown VLAN":     {withTag(in, 300), reasons.VLANTag},
			"two tags":         {withTag(withTag(in, clientVLAN), serverVLAN), reasons.DoubleTag},
			"802.1ad":          {serviceTag(withTag(in, clientVLAN)), reasons.DoubleTag},
			"802.1ad within":   {withTag(serviceTag(withTag(in, clientVLAN)), serverVLAN), reasons.DoubleTag},
			"ARP":              {arp(short), reasons.NotIP},
			"cut behind tag":   {short[:18+10], reasons.Truncated},
			"cut in the tag":   {short[:16], reasons.Truncated},
			"priority, no use": {withTag(six.syn().flag("A").bytes(t), 0xe000), reasons.NoFlow},
		} {
			if out := r.send(c.frame, xdpPass, c.want); !bytes.Equal(out, c.frame) {
				t.Errorf("%s: % x came out as\n% x", name, c.frame, out)
			}
		}
		r.put(r.o.EkPorts, uint32(clientDevice), EkPort{Mac: ownMAC, Device: clientDevice, Ifindex: inside, Vlan: clientVLAN})
		r.send(short, xdpPass, reasons.NotOurMAC)
		r.wantConns(0, 0, 0)
	})
}

// serviceTag makes the outer tag one of 802.1ad.
func serviceTag(frame []byte) []byte {
	b := slices.Clone(frame)
	binary.BigEndian.PutUint16(b[12:], 0x88a8)
	return b
}

func arp(frame []byte) []byte {
	b := slices.Clone(frame)
	binary.BigEndian.PutUint16(b[16:], 0x0806)
	return b
}

// TestTagWithAPriorityOnly is a frame of the interface itself.
func TestTagWithAPriorityOnly(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		out := r.send(withTag(six.syn().bytes(t), 0xa000), xdpTX, reasons.ForwardedNAT)
		wantFrame(t, out, toServer(six.syn(), six.of(real2)).bytes(t))
	})
}

// TestTagsOfABond has frames come in by a member of a bond, with a tag and without: they go
// out by the bond, which for the kernel is back by where they came.
func TestTagsOfABond(t *testing.T) {
	const bond = 14
	r := newService(t, EkForwardFORWARD_DR, func(s *EkServer) { s.Ifindex = bond })
	r.put(r.o.EkPorts, uint32(inside), EkPort{Mac: ownMAC, Enabled: 1, Device: bond, Ifindex: bond})
	r.put(r.o.EkPorts, uint32(clientDevice), EkPort{Mac: ownMAC, Enabled: 1, Device: clientDevice, Ifindex: bond, Vlan: clientVLAN})
	r.put(r.o.EkVlans, EkVlanKey{Ifindex: inside, Vlan: clientVLAN}, uint32(clientDevice))
	want := toServer(syn(), vip).bytes(t)
	wantFrame(t, r.send(syn().bytes(t), xdpTX, reasons.ForwardedDR), want)
	wantFrame(t, r.send(withTag(syn().bytes(t), clientVLAN), xdpTX, reasons.ForwardedDR), want)
	r.changeServer(0, outTag(bond, clientVLAN))
	wantFrame(t, r.send(withTag(syn().bytes(t), clientVLAN), xdpTX, reasons.ForwardedDR), withTag(want, clientVLAN))
}

// TestTagsAreExplained compares the program without effect with the one that forwards.
func TestTagsAreExplained(t *testing.T) {
	w := newTwin(t, 1024)
	w.vlans()
	w.service(0, 17, vip)
	w.server(0, 0, real1, EkForwardFORWARD_DR, outTag(outside, serverVLAN))
	w.order(0, nil, entry{0, 1})
	sent := withTag(datagram("hello").bytes(t), clientVLAN)
	told, verdict, dry := w.explain(sent)
	got, out := w.run(sent)
	if verdict != got || !bytes.Equal(dry, out) {
		t.Errorf("explained as verdict %d\n% x\nbut it is %d\n% x", verdict, dry, got, out)
	}
	if told.Out.Ifindex != outside || told.OutVlan != serverVLAN || told.Reason != uint32(reasons.ForwardedDR) {
		t.Errorf("explained as %+v", told)
	}
	if !bytes.Equal(out, withTag(toServer(datagram("hello"), vip).with(func(f *frame) { f.from = ownMAC }).bytes(t), serverVLAN)) {
		t.Errorf("frame % x", out)
	}
}

// TestTagsCutAtEveryLength runs frames that end anywhere, which must come out as they were
// or whole.
func TestTagsCutAtEveryLength(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newServiceOf(t, six, EkForwardFORWARD_NAT)
		r.vlans()
		whole := withTag(six.datagram("payload").bytes(t), clientVLAN)
		for n := 14; n < 18+six.header()+8+len("payload"); n++ {
			r.goesUp(whole[:n], reasons.Truncated)
		}
	})
}
