//go:build interop

package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// forgedSeed starts the random changes.
const forgedSeed = 0x5eed

// TestForged: a running master and a running backup hear thousands of adverts
// that are damaged, forged, or repeated from captures. State, owner of the
// address, master and interval stay; counters move, and the daemon goes on.
func TestForged(t *testing.T) {
	t.Logf("seed %#x", forgedSeed)
	for _, tt := range []struct {
		name    string
		inst    inst
		good    forge
		capture string
	}{
		{"v2 PASS", inst{version: 2, lines: passLines("s3cretpw")}, forge{version: 2, authType: 1, auth: "s3cretpw"}, "v2pass"},
		{"v2 AH", inst{version: 2, lines: " authentication {\n  auth_type AH\n  auth_pass s3cretpw\n }\n"},
			forge{version: 2, authType: 2, ah: "s3cretpw", seq: 1 << 31}, "v2ah"},
		{"v3 IPv4", inst{interval: time.Second}, forge{interval: 100}, "v3ipv4"},
		{"v3 IPv6", inst{ipv6: true, interval: time.Second}, forge{ipv6: true, interval: 100}, "v3ipv6"},
	} {
		tt.inst.priority = 254 // nobody in the captures is better
		for _, role := range []string{"MASTER", "BACKUP"} {
			t.Run(tt.name+" "+role, func(t *testing.T) {
				t.Parallel()
				must(t, func(p *probe) { holdsOut(newSite(p, 1), tt.inst, tt.good, role, tt.capture) })
			})
		}
	}
}

// holdsOut throws adverts at a router in one role.
func holdsOut(s *site, i inst, good forge, role, capture string) {
	s.Helper()
	good.priority = 255
	every := i.withDefaults().interval / 5
	if role == "BACKUP" {
		if good.ah == "" {
			s.reign(good, every)
		} else {
			s.reignAH(good, every)
		}
	}
	d := s.start(0, one(i)).(*evenkeelDaemon)
	s.become(d, role)
	vip := vip4
	if i.ipv6 {
		vip = vip6
	}
	if role == "MASTER" {
		s.until("it has the address", func() bool { return s.hosts[0].has(vip) })
	} else {
		s.until("it follows the master", func() bool { n, _ := d.count("VI", "advert_rcvd"); return n > 3 })
	}
	states, before := len(d.states("VI")), d.view()
	thrown := s.throw(good, capture)
	s.until("the counters move", func() bool { return refusedIn(d.view()) > refusedIn(before) })
	s.until("adverts go on", s.goesOn(d, i, role))
	after := d.view()
	s.TB.Logf("%d thrown, %d counted as refused", thrown, refusedIn(after)-refusedIn(before))
	s.want("the daemon has ended", d.ended(), false)
	s.want("changes of state", len(d.states("VI")), states)
	s.want("the host has the address", s.hosts[0].has(vip), role == "MASTER")
	for _, v := range []struct {
		what      string
		got, want any
	}{
		{"state", after.State, role},
		{"since", after.Since, before.Since},
		{"reason", after.Reason, before.Reason},
		{"priority", after.Priority, before.Priority},
		{"master", after.Master, before.Master},
		{"master's priority", after.MasterPriority, before.MasterPriority},
		{"master's interval", after.MasterIntervalSeconds, before.MasterIntervalSeconds},
	} {
		s.want(v.what, v.got, v.want)
	}
}

// reignAH is reign with a sequence number that goes on.
func (s *site) reignAH(f forge, every time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	f.seq += 1 << 20 // beyond what is thrown
	go func() {
		defer close(done)
		for tick := time.NewTicker(every); ctx.Err() == nil; f.seq++ {
			s.wire.Send(f.frame())
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	s.Cleanup(func() { stop(); <-done })
}

// goesOn returns what is true when some more adverts were sent, or heard.
func (s *site) goesOn(d *evenkeelDaemon, i inst, role string) func() bool {
	count := func() int {
		if role == "MASTER" {
			return s.countFrom(0, i)
		}
		n, _ := d.count("VI", "advert_rcvd")
		return int(n)
	}
	had := count()
	return func() bool { return count() > had+3 }
}

// view returns the instance as the daemon shows it.
func (d *evenkeelDaemon) view() api.VRRPInstance {
	d.p.Helper()
	v, err := d.client.VRRP(context.Background())
	d.p.check(err)
	return v.Instances[0]
}

func refusedIn(v api.VRRPInstance) (n uint64) {
	for _, c := range v.Refused {
		n += c
	}
	return n
}

// throw sends forged adverts, each a hundred times, changed ones, and those of a
// capture as they are and changed. It returns how many.
func (s *site) throw(good forge, capture string) (thrown int) {
	s.Helper()
	random := rand.New(rand.NewPCG(forgedSeed, 0))
	send := func(frame []byte) {
		s.wire.Send(frame)
		if thrown++; thrown%50 == 0 {
			time.Sleep(2 * time.Millisecond) // the queue of the socket is finite
		}
	}
	for range 100 {
		for _, f := range forgeries(good) {
			send(f.frame())
		}
	}
	for range 1500 {
		send(spoiled(random, good.frame()))
	}
	frames := s.recorded(capture)
	for range 3 {
		for _, frame := range frames {
			send(frame)
		}
	}
	for range 1500 {
		send(spoiled(random, frames[random.IntN(len(frames))]))
	}
	return thrown
}

// forgeries are adverts of the highest priority with one thing wrong.
func forgeries(good forge) []forge {
	var list []forge
	add := func(change func(*forge)) {
		f := good
		change(&f)
		list = append(list, f)
	}
	add(func(f *forge) { f.ttl = 254 })
	add(func(f *forge) { f.vrid = 52 })
	add(func(f *forge) { f.xor = 0x1234 })
	add(func(f *forge) { f.kind = 2 })
	add(func(f *forge) { f.count = 9 })
	add(func(f *forge) { f.tail = 4 })
	add(func(f *forge) { f.cut = 7 })
	add(func(f *forge) { f.interval = -1 })
	add(func(f *forge) {
		f.src = mine4
		if f.ipv6 {
			f.src = netip.MustParseAddr("fe80::ff:fe00:5a01")
		}
	})
	switch {
	case good.ah != "":
		add(func(f *forge) { f.ah = "s3cretpx" })
		add(func(f *forge) { f.ah = "" })
		add(func(f *forge) { f.spi = mine4 })
	case good.authType != 0:
		add(func(f *forge) { f.auth = "s3cretpx" })
		add(func(f *forge) { f.authType = 0 })
	}
	if good.version == 2 {
		add(func(f *forge) { f.version, f.authType, f.auth, f.ah = 3, 0, "", "" })
		// RFC 3768 takes another list from an owner only.
		add(func(f *forge) { f.priority, f.vips = 254, []string{"10.90.0.99"} })
	} else {
		add(func(f *forge) { f.vips = []string{} })
	}
	return list
}

// recorded returns the adverts of a capture but for the goodbyes: whoever hears
// one has to act on it, unless it is authenticated.
func (s *site) recorded(name string) (frames [][]byte) {
	s.Helper()
	b, err := os.ReadFile(filepath.Join("../../vrrp/testdata", name+".pcap"))
	s.check(err)
	t := &tap{}
	for b = b[24:]; len(b) >= 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		t.frames = append(t.frames, heard{data: b[16 : 16+n]})
		b = b[16+n:]
	}
	for _, a := range t.adverts() {
		if a.priority() > 0 {
			frames = append(frames, a.data)
		}
	}
	if len(frames) == 0 {
		s.Fatalf("no advert in %s", name)
	}
	return frames
}

// spoiled returns a copy of an advert with some bytes of its message changed, or
// cut, so that no way to sum it comes out right.
func spoiled(random *rand.Rand, good []byte) []byte {
	a, ok := heard{data: good}.ip()
	if !ok {
		panic(fmt.Sprintf("no packet: %x", good))
	}
	at := 14 + len(a.header)
	for {
		b := bytes.Clone(good[:at+len(a.payload)])
		for range 1 + random.IntN(4) {
			b[at+random.IntN(len(b)-at)] ^= byte(1 + random.IntN(255))
		}
		if random.IntN(3) == 0 {
			b = b[:at+random.IntN(len(b)-at)]
			fixLength(b, a.src.Is6())
		}
		q, ok := heard{data: b}.ip()
		msg := q.payload
		if ok && q.proto == protoAH && len(msg) > 24 {
			return b // its integrity check value is wrong
		}
		if ok && sum(msg) != 0 && sum(pseudo(q.src, q.dst, len(msg), protoVRRP), msg) != 0 {
			return b
		}
	}
}
