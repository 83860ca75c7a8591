//go:build bpf

package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/sched"
)

// sctpStateNames are in the order of IPVS's numbers.
const sctpStateNames = "sNO sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL"

// sctpTables are IPVS's: next state by direction, event and state.
var sctpTables = map[string]map[string]string{
	"input": {
		"DATA":              "sES sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"INIT":              "sI1 sIN sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sIN sIN",
		"INIT_ACK":          "sCW sCW sCW sCS sCR sCO sCO sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ECHO":       "sCR sIN sIN sCR sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ACK":        "sES sI1 sIN sCS sCR sCW sCO sES sES sSS sSR sSA sRJ sCL",
		"SHUTDOWN":          "sSR sI1 sIN sCS sCR sCW sCO sCE sSR sSS sSR sSA sRJ sCL",
		"SHUTDOWN_ACK":      "sCL sIN sIN sCS sCR sCW sCO sCE sES sCL sSR sCL sRJ sCL",
		"SHUTDOWN_COMPLETE": "sCL sCL sCL sCS sCR sCW sCO sCE sES sSS sSR sCL sRJ sCL",
		"ERROR":             "sCL sI1 sIN sCS sCR sCW sCO sCL sES sSS sSR sSA sRJ sCL",
		"ABORT":             "sCL sCL sCL sCL sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL",
	},
	"output": {
		"DATA":              "sES sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"INIT":              "sCW sCW sCW sCW sCW sCW sCW sCW sES sCW sCW sCW sCW sCW",
		"INIT_ACK":          "sCS sCS sCS sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ECHO":       "sCE sCE sCE sCE sCE sCE sCE sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ACK":        "sES sES sES sES sES sES sES sES sES sSS sSR sSA sRJ sCL",
		"SHUTDOWN":          "sSS sSS sSS sSS sSS sSS sSS sSS sSS sSS sSR sSA sRJ sCL",
		"SHUTDOWN_ACK":      "sSA sSA sSA sSA sSA sCW sCO sCE sES sSA sSA sSA sRJ sCL",
		"SHUTDOWN_COMPLETE": "sCL sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"ERROR":             "sCL sCL sCL sCL sCL sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"ABORT":             "sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL sCL",
	},
	"input only": {
		"DATA":              "sES sI1 sIN sCS sCR sES sCO sCE sES sSS sSR sSA sRJ sCL",
		"INIT":              "sI1 sIN sIN sIN sIN sIN sCO sCE sES sSS sSR sSA sIN sIN",
		"INIT_ACK":          "sCE sCE sCE sCE sCE sCE sCO sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ECHO":       "sES sES sES sES sES sES sCO sCE sES sSS sSR sSA sRJ sCL",
		"COOKIE_ACK":        "sES sI1 sIN sES sES sCW sES sES sES sSS sSR sSA sRJ sCL",
		"SHUTDOWN":          "sSR sI1 sIN sCS sCR sCW sCO sCE sSR sSS sSR sSA sRJ sCL",
		"SHUTDOWN_ACK":      "sCL sIN sIN sCS sCR sCW sCO sCE sCL sCL sSR sCL sRJ sCL",
		"SHUTDOWN_COMPLETE": "sCL sCL sCL sCL sCL sCW sCO sCE sES sSS sCL sCL sRJ sCL",
		"ERROR":             "sCL sI1 sIN sCS sCR sCW sCO sCE sES sSS sSR sSA sRJ sCL",
		"ABORT":             "sCL sCL sCL sCL sCL sRJ sCL sCL sCL sCL sCL sCL sCL sCL",
	},
}

// chunkTypes are the chunks of the tests by name (RFC 9260, 3.2), those of extensions
// too. The flags of TCP stand for chunks where a test sends all protocols the same.
var chunkTypes = map[string]byte{
	"A": 0, "PA": 0, "S": 1, "SA": 2, "R": 6, "SR": 6, "FA": 7,
	"DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6,
	"SHUTDOWN": 7, "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "ECNE": 12, "CWR": 13,
	"SHUTDOWN_COMPLETE": 14, "AUTH": 15, "PAD": 132, "ASCONF": 193,
}

// sctpEvent is what counts of the chunks of a packet.
func sctpEvent(chunks string) string {
	first, second, _ := strings.Cut(chunks, " ")
	for name := range sctpTables["input"] {
		if chunkTypes[name] == chunkTypes[first] {
			first = name
		}
	}
	if strings.HasPrefix(second, "ABORT") && (first == "COOKIE_ECHO" || first == "COOKIE_ACK") {
		return "ABORT"
	}
	if _, ok := sctpTables["input"][first]; !ok {
		return "DATA"
	}
	return first
}

func sctpNext(table, chunks, state string) string {
	return strings.Fields(sctpTables[table][sctpEvent(chunks)])[sctpNumber(state)]
}

// sctpNumber is IPVS's number of a state.
func sctpNumber(state string) int { return strings.Index(sctpStateNames, state) / 4 }

// chunks are those that flags name, the last with the payload.
func (f frame) chunks(tb testing.TB) []byte {
	var out []byte
	names := strings.Fields(f.flags)
	for i, name := range names {
		typ, ok := chunkTypes[name]
		if !ok {
			tb.Fatalf("no chunk %q", name)
		}
		content := []byte("bundled") // and a byte of padding
		if i == len(names)-1 {
			content = []byte(f.payload)
		}
		out = append(out, typ, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(4+len(content)))
		out = append(out, content...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// association is a client's packet of SCTP.
func association(chunks string) frame {
	return frame{from: clientMAC, to: ownMAC, src: client, dst: vip, proto: 132, flags: chunks, payload: "abcde"}
}

// newSCTP is a rig with one service of SCTP, and one server.
func newSCTP(t *testing.T, six family, forward EkForward) *rig {
	r := newRig(t, 1024, sched.Profile{})
	r.service(0, 132, six.of(vip))
	r.server(0, 0, six.of(real1), forward)
	r.tunnel(0, six)
	r.order(0, nil, entry{0, 1})
	return r
}

// Every state and every chunk, alone and bundled, in each direction: next state,
// counters and time of death. An INIT on a closed flow is left to the test of reuse.
func TestSCTPStates(t *testing.T) {
	for direction, forward := range map[string]EkForward{
		"input": EkForwardFORWARD_NAT, "output": EkForwardFORWARD_NAT, "input only": EkForwardFORWARD_DR,
	} {
		r := newSCTP(t, false, forward)
		r.send(association("INIT").bytes(t), xdpTX, forwardReason(direction, true))
		_, shard, err := r.flow(association("INIT").tuple())
		if err != nil {
			t.Fatal(err)
		}
		kinds := []string{"COOKIE_ECHO DATA", "COOKIE_ECHO ABORT", "COOKIE_ACK ABORT", "DATA ABORT", "ERROR ABORT"}
		for kind := range chunkTypes {
			kinds = append(kinds, kind)
		}
		for from := range strings.FieldsSeq(sctpStateNames) {
			for _, kind := range kinds {
				if from == "sCL" && chunkTypes[kind] == 1 && direction != "output" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", direction, from, kind), func(t *testing.T) {
					r.tb = t
					var f EkFlow
					if err := shard.Lookup(association("").tuple(), &f); err != nil {
						t.Fatal(err)
					}
					w := unpack(f.Now.Word)
					w.state, w.flags = EkFlowState(16+sctpNumber(from)), w.flags|1
					counted := EkServerConns{Total: 1}
					if from == "sES" {
						w.flags, counted.Active = w.flags&^1, 1
					}
					f.Now.Word, f.Expires = w.pack(), uint64(r.now+time.Hour)
					r.put(shard, association("").tuple(), f)
					r.put(r.o.EkServerConns, uint32(0), counted)

					packet := association(kind)
					if direction == "output" {
						packet.from, packet.src, packet.dst = serverMAC, real1, client
					}
					r.send(packet.bytes(t), xdpTX, forwardReason(direction, direction != "output"))
					if err := shard.Lookup(association("").tuple(), &f); err != nil {
						t.Fatal(err)
					}
					want := sctpNext(direction, kind, from)
					if got := unpack(f.Now.Word).state; int(got) != 16+sctpNumber(want) {
						t.Errorf("state %d, want %s", got-16, want)
					}
					if life := time.Duration(f.Expires) - r.now; life != lifetime(want) {
						t.Errorf("lives %v, want %v", life, lifetime(want))
					}
					active := uint32(0)
					if want == "sES" {
						active = 1
					}
					r.wantConns(0, active, 1)
				})
			}
		}
	}
}

// Only an INIT opens a flow; one on a closed association begins another.
func TestSCTPOpens(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newSCTP(t, six, EkForwardFORWARD_DR)
		for kind := range chunkTypes {
			if chunkTypes[kind] != 1 {
				r.send(six.frame(association(kind)).bytes(t), xdpPass, reasons.NoFlow)
			}
		}
		r.wantConns(0, 0, 0)
		for _, step := range []struct {
			chunks        string
			active, total uint32
			conns         uint64
		}{
			{"INIT", 0, 1, 1}, {"COOKIE_ECHO DATA", 1, 1, 1}, {"INIT", 1, 1, 1}, {"ABORT", 0, 1, 1},
			{"DATA", 0, 1, 1}, {"INIT", 0, 1, 2}, {"COOKIE_ECHO", 1, 1, 2},
		} {
			r.send(six.frame(association(step.chunks)).bytes(t), xdpTX, reasons.ForwardedDR)
			r.wantConns(0, step.active, step.total)
			if got := r.stats(r.o.EkServerStats, 0).Conns; got != step.conns {
				t.Errorf("%d flows after %s, want %d", got, step.chunks, step.conns)
			}
		}
	})
}

// NAT changes addresses alone, which SCTP's checksum does not cover; what answers
// comes back in the service's name. No byte of SCTP changes by TUN either.
func TestSCTPIsForwardedUnchanged(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		f := six.frame(association("INIT"))
		nat := newSCTP(t, six, EkForwardFORWARD_NAT)
		want := f
		want.from, want.to, want.dst, want.ttl = ownMAC, serverMAC, six.of(real1), 63
		wantFrame(t, nat.send(f.bytes(t), xdpTX, reasons.ForwardedNAT), want.bytes(t))
		back := six.frame(association("INIT_ACK"))
		back.from, back.src, back.dst = serverMAC, six.of(real1), f.src
		want = back
		want.from, want.to, want.src, want.ttl = ownMAC, clientMAC, six.of(vip), 63
		wantFrame(t, nat.send(back.bytes(t), xdpTX, reasons.ForwardedReply), want.bytes(t))

		tun := newSCTP(t, six, EkForwardFORWARD_TUN)
		got := tun.send(f.bytes(t), xdpTX, reasons.ForwardedTUN)
		inner := f.with(func(f *frame) { f.ttl = 63 }).bytes(t)[14:]
		if tail := got[len(got)-len(inner):]; string(tail) != string(inner) {
			t.Errorf("the tunnel carries\n% x\nwant\n% x", tail, inner)
		}
	})
}

// Without a whole chunk nothing says what the packet is.
func TestSCTPCutShort(t *testing.T) {
	eachFamily(t, func(t *testing.T, six family) {
		r := newSCTP(t, six, EkForwardFORWARD_DR)
		whole := six.frame(association("INIT").with(func(f *frame) {
			f.ip = func(ip *layers.IPv4) { ip.Id = 1 }
		})).bytes(t)[:14+six.header()+16]
		for n := range 16 {
			cut := append([]byte(nil), whole[:14+six.header()+n]...)
			if six {
				binary.BigEndian.PutUint16(cut[18:], uint16(n))
			} else {
				binary.BigEndian.PutUint16(cut[16:], uint16(20+n))
			}
			r.send(cut, xdpPass, reasons.BadHeader)
			r.send(whole[:14+six.header()+n], xdpPass, reasons.Truncated)
		}
	})
}

// A cookie may be as long as a packet, and say that it is longer.
func TestSCTPCookieBeyondThePacket(t *testing.T) {
	r := newSCTP(t, false, EkForwardFORWARD_DR)
	r.send(association("INIT").bytes(t), xdpTX, reasons.ForwardedDR)
	for _, length := range []uint16{0, 3, 4, 11, 12, 200, 0x7ffc, 0x8000, 0xffff} {
		f := association("COOKIE_ECHO ABORT").bytes(t)
		binary.BigEndian.PutUint16(f[14+20+12+2:], length)
		r.send(f, xdpTX, reasons.ForwardedDR)
		got, _, err := r.flow(association("").tuple())
		if err != nil {
			t.Fatal(err)
		}
		want := EkFlowStateFLOW_SCTP_ESTABLISHED
		if length == 11 || length == 12 {
			want = EkFlowStateFLOW_SCTP_CLOSED
		}
		if state := unpack(got.Now.Word).state; state != want {
			t.Errorf("length %d: state %d, want %d", length, state, want)
		}
		if want == EkFlowStateFLOW_SCTP_CLOSED {
			r.send(association("INIT").bytes(t), xdpTX, reasons.ForwardedDR)
		}
	}
}

// An association that was only asked for makes room; one that is up stays.
func TestSCTPMakesRoom(t *testing.T) {
	r := newRig(t, 1024, sched.Profile{})
	r.service(0, 132, vip)
	r.server(0, 0, real1, EkForwardFORWARD_DR)
	r.order(0, nil, entry{0, 1})
	up := association("INIT").fromPort(1)
	r.send(up.bytes(t), xdpTX, reasons.ForwardedDR)
	r.send(up.flag("COOKIE_ECHO").bytes(t), xdpTX, reasons.ForwardedDR)
	const flood = 3000
	for n := range flood {
		r.send(association("INIT").by(attacker(n)).bytes(t), xdpTX, reasons.ForwardedDR)
	}
	r.send(up.flag("DATA").bytes(t), xdpTX, reasons.ForwardedDR)
	if got := r.overload(0); got.Evicted < flood-1024 {
		t.Errorf("%d were evicted", got.Evicted)
	}
}
