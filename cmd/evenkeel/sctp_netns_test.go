//go:build netns

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/loader"
)

// What explain says of a packet of SCTP is what then becomes of it, whether it opens a
// flow, is of one, or is an answer; and explaining opens none. Raw sockets take the place of the
// kernel's SCTP, which is not everywhere.
func TestExplainSCTP(t *testing.T) {
	for _, kind := range []string{"DR", "NAT", "TUN"} {
		t.Run(kind, func(t *testing.T) {
			build := lab.DR
			if kind == "NAT" {
				build = lab.NAT
			}
			s := newSite(t, build)
			if kind == "TUN" {
				for _, node := range s.top.Servers {
					if _, err := node.Decapsulate(); err != nil {
						t.Fatal(err)
					}
				}
			}
			s.configure(kind)
			s.write(strings.Replace(s.text(), "protocol TCP", "protocol SCTP", 1))
			a := s.associate()
			s.start()
			s.ready(3)
			for port := uint16(4001); port <= 4004; port++ {
				told := s.explainSCTP(a.client, port, "S")
				again := s.explainSCTP(a.client, port, "S")
				if told.Kind != loader.KindNew || told.Server == nil || again.Kind != told.Kind || again.Server.Server != told.Server.Server ||
					told.Server.Forward != kind || told.Reason.Name != "forwarded_"+strings.ToLower(kind) {
					t.Fatalf("a new flow is explained as %+v, server %+v; and then as %+v", told, told.Server, again)
				}
				if got := a.send(port, 1); got != told.Server.Server {
					t.Errorf("the INIT from port %d went to %s, explained was %s", port, got, told.Server.Server)
				}
				held := a.settle(s, port)
				told = s.explainSCTP(a.client, port, "A")
				if told.Kind != loader.KindFlow || told.Server == nil || told.Server.Server != held || told.Server.ChosenBy != "flow" {
					t.Fatalf("data of the flow to %s is explained as %+v, server %+v", held, told, told.Server)
				}
				if got := a.send(port, 0); got != held {
					t.Errorf("data from port %d went to %s, explained was %s", port, got, held)
				}
			}
			s.want(0, "stop")
		})
	}
}

// By NAT to another port XDP would have to compute SCTP's CRC32c: the service is in
// IPVS, or nowhere, and both status and explain say so.
func TestExplainSCTPToAnotherPort(t *testing.T) {
	s := newSite(t, lab.NAT)
	s.configure("NAT")
	web := s.text()
	text := web[strings.Index(web, "virtual_server"):]
	text = strings.Replace(text, "protocol TCP", "protocol SCTP", 1)
	s.write(web + strings.ReplaceAll(text, fmt.Sprintf("real_server %s 80", s.top.ServerAddr(1)), fmt.Sprintf("real_server %s 8080", s.top.ServerAddr(1))))
	s.start()
	reason := "lvs_method NAT, which keeps port 80 in XDP"
	if checked := s.call("check", "-f", s.file).Stdout; !strings.Contains(checked, reason) {
		t.Errorf("check does not say %q:\n%s", reason, checked)
	}
	sctp := s.status().Services[1]
	if sctp.Datapath == "xdp" || !strings.Contains(sctp.Reason, reason) {
		t.Errorf("status has %+v, want the reason %q", sctp, reason)
	}
	told := s.explainSCTP(s.top.ClientIf.Addrs[0].Addr(), 4001, "S")
	if told.Kind != loader.KindNone || told.Server != nil || told.Reason.Name != "no_service" || told.Reason.Verdict != "pass" {
		t.Errorf("explain says %+v", told)
	}
	s.want(0, "stop")
}

// explainSCTP asks about a packet of a client to the VIP.
func (s *site) explainSCTP(client netip.Addr, port uint16, flags string) loader.Explanation {
	s.t.Helper()
	got := s.want(0, "explain", "sctp", netip.AddrPortFrom(client, port).String(), s.top.VIP.String()+":80",
		"--flags", flags, "--interface", s.top.ClientSide.Name, "--json")
	var told loader.Explanation
	if err := json.Unmarshal([]byte(got.Stdout), &told); err != nil {
		s.t.Fatal(err)
	}
	return told
}

// associations are raw sockets of SCTP: a client's, and one of each server, which tells
// what it got.
type associations struct {
	t      *testing.T
	client netip.Addr
	to     *net.IPAddr
	conn   net.PacketConn
	got    chan heard
}

type heard struct {
	server string
	port   uint16
	chunk  byte
}

func (s *site) associate() *associations {
	s.t.Helper()
	conn, err := s.top.Client.ListenPacket("ip4:132", s.top.ClientIf.Addrs[0].Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	a := &associations{
		t: s.t, client: s.top.ClientIf.Addrs[0].Addr(), to: &net.IPAddr{IP: s.top.VIP.AsSlice()}, conn: conn, got: make(chan heard, 100),
	}
	for i, node := range s.top.Servers {
		in, err := node.ListenPacket("ip4:132", "0.0.0.0")
		if err != nil {
			s.t.Fatal(err)
		}
		done := make(chan struct{})
		s.t.Cleanup(func() {
			in.Close()
			<-done
		})
		go func() {
			defer close(done)
			a.hear(in, netip.AddrPortFrom(s.top.ServerAddr(i), 80).String())
		}()
	}
	return a
}

// hear tells what a server gets.
func (a *associations) hear(in net.PacketConn, server string) {
	packet := make([]byte, 2048)
	for {
		n, _, err := in.ReadFrom(packet)
		if err != nil {
			return // it was closed
		}
		if n < 13 || crc(packet[:n]) != binary.LittleEndian.Uint32(packet[8:]) {
			a.t.Errorf("%s got % x, whose sum is wrong", server, packet[:n])
			continue
		}
		a.got <- heard{server, binary.BigEndian.Uint16(packet), packet[12]}
	}
}

// send sends a packet with a chunk of this kind, and returns the server that got it.
func (a *associations) send(port uint16, chunk byte) string {
	a.t.Helper()
	packet := make([]byte, 12+20)
	binary.BigEndian.PutUint16(packet, port)
	binary.BigEndian.PutUint16(packet[2:], 80)
	packet[12], packet[15] = chunk, 20
	binary.LittleEndian.PutUint32(packet[8:], crc(packet))
	if _, err := a.conn.WriteTo(packet, a.to); err != nil {
		a.t.Fatal(err)
	}
	select {
	case got := <-a.got:
		if got.port != port || got.chunk != chunk {
			a.t.Fatalf("sent chunk %d from port %d, and %+v came", chunk, port, got)
		}
		return got.server
	case <-time.After(time.Minute):
		a.t.Fatalf("no server got chunk %d from port %d", chunk, port)
	}
	return ""
}

// settle sends INITs until the flow is in a state that lasts longer than the four
// seconds after the first one, and returns its server.
func (a *associations) settle(s *site, port uint16) (server string) {
	a.t.Helper()
	labtest.UntilFor(a.t, 2*time.Minute, "an INIT has followed another in time", func() bool {
		a.send(port, 1)
		server = a.send(port, 1)
		flow := s.explainSCTP(a.client, port, "S").Flow
		return flow != nil && flow.State == "INIT"
	})
	return server
}

// crc is SCTP's sum of a packet (RFC 9260, appendix A), its own field left out.
func crc(packet []byte) uint32 {
	whole := append([]byte(nil), packet...)
	clear(whole[8:12])
	return crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli))
}
