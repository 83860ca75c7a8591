//go:build netns

package acceptance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// The connections of TestFloodLosesNoConnection: those that are there before
// the flood, those that come while it lasts, how many of these may fail and come
// at once, and the flows that the table has room for.
const (
	keptConns   = 1000
	newConns    = 1000
	mayFail     = newConns / 100
	atOnceConns = 20
	tableFlows  = 1 << 18
)

// TestFloodLosesNoConnection fills the flow table with half-open flows from
// random sources, as fast as the director takes them, to the service that good
// clients use. No established connection may be lost, and of the new ones 99
// of 100 must come about. The table has room for what is sent in about two seconds,
// so that handshakes survive the loss of a packet.
func TestFloodLosesNoConnection(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		build builder
		port  uint16 // of the servers
	}{
		{"DR", lab.DR, 80},
		{"NAT", lab.NAT, 9000},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			s := newSite(t, tt.build, 2)
			at := netip.AddrPortFrom(s.top.VIP, 80)
			for _, node := range s.top.Servers {
				_, err := node.ServeTCPEcho(fmt.Sprintf(":%d", tt.port))
				s.must(err)
			}
			s.write(conf{
				global:   []string{fmt.Sprintf("@evenkeel flow_table %d", tableFlows)},
				services: []serviceConf{{at: at, kind: tt.kind, servers: s.servers(0, 2, tt.port)}},
			}.String())
			s.start()
			s.alive(at, 2)
			var kept []net.Conn
			for range keptConns {
				kept = append(kept, s.echoing(at))
			}

			f := s.flood(tt.kind)
			labtest.UntilFor(t, 10*labtest.Patience, "the flood has filled the table", func() bool { return s.service(at).Overload.Evicted > 0 })
			before := s.service(at).Overload.Evicted
			failed := s.connectAll(at)
			s.must(useAll(kept))
			if now := s.service(at).Overload.Evicted; now == before {
				t.Error("the flood evicted no flow while the connections came")
			}
			f.end(t)
			if len(failed) > mayFail {
				t.Errorf("%d of %d new connections failed, the first: %v", len(failed), newConns, failed[0])
			}
			s.must(useAll(kept))
			t.Logf("%d of %d new connections failed, %d half-open flows made room", len(failed), newConns, s.service(at).Overload.Evicted)
		})
	}
}

// connectAll opens, uses and closes newConns connections, atOnceConns at a time, and
// returns why some failed.
func (s *site) connectAll(at netip.AddrPort) (failed []error) {
	var (
		work errgroup.Group
		mu   sync.Mutex // guards failed
	)
	work.SetLimit(atOnceConns)
	for range newConns {
		work.Go(func() error {
			if err := s.connectOnce(at); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = work.Wait() // always nil
	return failed
}

func (s *site) connectOnce(at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), labtest.Patience)
	defer cancel()
	c, err := s.top.Client.Dial(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	return echoesWithin(c, labtest.Patience)
}

// useAll wants an echo on every connection.
func useAll(conns []net.Conn) error {
	var work errgroup.Group
	work.SetLimit(atOnceConns)
	for i, c := range conns {
		work.Go(func() error {
			if err := echoesWithin(c, labtest.Patience); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			return nil
		})
	}
	return work.Wait()
}

// flood is a stream of SYNs from random sources.
type flood struct {
	conn  int // a packet socket on the client
	began time.Time
	stop  atomic.Bool
	sent  atomic.Uint64
	done  chan struct{}
	err   error // of done
}

// flood starts one to the service at port 80. It lasts until end, or the test
// does. A queue before the link makes the sender wait while the director is
// busy (Linux 6.16), so that the flood is as fast as the director takes it:
// else most of it, and of the good clients' packets, is lost in the link's ring
// before the director has seen it, and the test judges that loss.
func (s *site) flood(kind string) *flood {
	s.t.Helper()
	s.must(s.top.Client.Netlink().QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: s.top.ClientIf.Index, Parent: netlink.HANDLE_ROOT},
		QdiscType:  "pfifo",
	}))
	f := &flood{began: time.Now(), done: make(chan struct{})}
	s.must(s.top.Client.Do(func() (err error) {
		f.conn, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	to := &unix.SockaddrLinklayer{Ifindex: s.top.ClientIf.Index}
	if err := unix.Bind(f.conn, to); err != nil {
		unix.Close(f.conn)
		s.t.Fatal(err)
	}
	seed := labtest.Seed(s.t)
	frame := newForger(s, kind).frame(64, layers.IPProtocolTCP, &layers.TCP{SrcPort: 1, DstPort: 80, SYN: true, Window: 1000})
	go func() { defer close(f.done); f.err = f.run(frame, rand.New(rand.NewPCG(seed, 0))) }()
	s.t.Cleanup(func() {
		f.stop.Store(true)
		<-f.done
		unix.Close(f.conn)
	})
	return f
}

// run sends the frame with another source each time.
func (f *flood) run(frame []byte, random *rand.Rand) error {
	for !f.stop.Load() {
		from(frame, 100<<24|64<<16|random.Uint32N(1<<22), uint16(1024+random.Uint32N(60000)))
		_, err := unix.Write(f.conn, frame)
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // the queue is full
			return err
		}
		f.sent.Add(1)
	}
	return nil
}

// end ends the flood and tells how fast it was.
func (f *flood) end(t *testing.T) {
	t.Helper()
	f.stop.Store(true)
	<-f.done
	if f.err != nil {
		t.Errorf("the flood: %v", f.err)
	}
	t.Logf("%.0f SYNs a second", float64(f.sent.Load())/time.Since(f.began).Seconds())
}

// from writes another source into a frame of TCP over IPv4, with its checksums.
func from(frame []byte, addr uint32, port uint16) {
	ip, tcp := frame[ipAt:], frame[l4At:]
	binary.BigEndian.PutUint32(ip[12:], addr)
	binary.BigEndian.PutUint16(tcp, port)
	clear(ip[10:12])
	binary.BigEndian.PutUint16(ip[10:], ^sum16(ip[:ipLen]))
	clear(tcp[16:18])
	pseudo := uint32(sum16(ip[12:20])) + uint32(sum16(tcp)) + 6 + uint32(len(tcp))
	for pseudo > 0xffff {
		pseudo = pseudo&0xffff + pseudo>>16
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(pseudo))
}
