//go:build netns

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// A transfer sends a piece each pause in both directions: 128 kB in a second.
const (
	piece      = 16 << 10
	piecePause = piece * time.Second / 128_000
)

// fleet is a number of long connections. On each both ends send random bytes at
// the same time, and at the end the digest of what they sent.
type fleet struct {
	t         *testing.T
	transfers []*transfer
	stop      chan struct{}
	work      sync.WaitGroup // of the clients

	mu      sync.Mutex // guards what follows
	conns   []net.Conn // both ends
	errs    []error
	stopped bool // no longer sends
	aborted bool // what breaks now is the test's own doing
}

// transfer is one connection of a fleet.
type transfer struct {
	client, virtual netip.AddrPort
	began           time.Time
	// up counts the bytes that reached the server, down those that reached
	// the client.
	up, down atomic.Uint64
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, stop: make(chan struct{})}
	t.Cleanup(f.abort)
	return f
}

// serve accepts transfers on an address of a node.
func (f *fleet) serve(n *lab.Node, addr string) {
	f.t.Helper()
	l, err := n.Listen("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { f.answer(c) })
		}
	})
	f.t.Cleanup(func() {
		l.Close()
		f.abort()
		work.Wait()
	})
}

// open opens a transfer from a node. The fleet's transfers are opened one
// after another.
func (f *fleet) open(n *lab.Node, virtual netip.AddrPort) {
	f.t.Helper()
	c, err := n.Dial(f.t.Context(), "tcp", virtual.String())
	if err != nil {
		f.t.Fatalf("open transfer %d: %v", len(f.transfers), err)
	}
	client, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	number := uint32(len(f.transfers))
	x := &transfer{client: client, virtual: virtual, began: time.Now()}
	f.own(c)
	f.mu.Lock()
	f.transfers = append(f.transfers, x)
	f.mu.Unlock()
	f.work.Go(func() {
		defer c.Close()
		if _, err := c.Write(binary.BigEndian.AppendUint32(nil, number)); err != nil {
			f.broken(x, "client", err)
			return
		}
		got := make(chan error, 1)
		go func() { got <- receive(c, &x.down) }()
		f.broken(x, "client", errors.Join(transmit(c, f.stop), <-got))
	})
}

// answer is the server's end of a transfer: it sends until the client has
// ended. A connection that says nothing is a check.
func (f *fleet) answer(c net.Conn) {
	defer c.Close()
	f.own(c)
	var number [4]byte
	if _, err := io.ReadFull(c, number[:]); err != nil {
		return
	}
	f.mu.Lock()
	x := f.transfers[binary.BigEndian.Uint32(number[:])]
	f.mu.Unlock()
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() { sent <- transmit(c, stop) }()
	err := receive(c, &x.up)
	close(stop)
	f.broken(x, "server", errors.Join(err, <-sent))
}

// transmit sends random pieces until stop is closed, and then their digest.
// Before each piece stands its length; a length of 0 ends them.
func transmit(w io.Writer, stop <-chan struct{}) error {
	var seed [32]byte
	binary.NativeEndian.PutUint64(seed[:], rand.Uint64())
	random, digest := rand.NewChaCha8(seed), sha256.New()
	pace := time.NewTicker(piecePause)
	defer pace.Stop()
	buf := make([]byte, 4+piece)
	for {
		binary.BigEndian.PutUint32(buf, piece)
		_, _ = random.Read(buf[4:]) // never fails
		_, _ = digest.Write(buf[4:])
		if _, err := w.Write(buf); err != nil {
			return err
		}
		select {
		case <-pace.C:
		case <-stop:
			_, err := w.Write(digest.Sum(make([]byte, 4)))
			return err
		}
	}
}

// receive reads what transmit sends, counts it and compares the digests.
func receive(r io.Reader, count *atomic.Uint64) error {
	digest := sha256.New()
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("after %d bytes: %w", count.Load(), err)
		}
		size := int64(binary.BigEndian.Uint32(head[:]))
		if size == 0 {
			break
		}
		if _, err := io.CopyN(io.MultiWriter(digest, (*counter)(count)), r, size); err != nil {
			return fmt.Errorf("after %d bytes: %w", count.Load(), err)
		}
	}
	sum := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r, sum); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if !bytes.Equal(sum, digest.Sum(nil)) {
		return fmt.Errorf("%d bytes arrived that are not those that were sent", count.Load())
	}
	return nil
}

// counter counts what is written to it.
type counter atomic.Uint64

func (c *counter) Write(p []byte) (int, error) {
	(*atomic.Uint64)(c).Add(uint64(len(p)))
	return len(p), nil
}

// own has abort close a connection.
func (f *fleet) own(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, c)
	if f.aborted {
		c.Close()
	}
}

// broken notes how one end of a transfer ended.
func (f *fleet) broken(x *transfer, end string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && !f.aborted {
		f.errs = append(f.errs, fmt.Errorf("transfer %s to %s broke at its %s: %w", x.client, x.virtual, end, err))
	}
}

// whole fails the test when a transfer broke.
func (f *fleet) whole() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		f.t.Fatalf("%d ends of transfers broke, the first: %v", len(f.errs), f.errs[0])
	}
}

// advance waits until every transfer has moved on in both directions by
// several pieces.
func (f *fleet) advance(when string) {
	f.t.Helper()
	const far = 5 * piece
	type mark struct{ up, down uint64 }
	marks := make([]mark, len(f.transfers))
	for i, x := range f.transfers {
		marks[i] = mark{x.up.Load(), x.down.Load()}
	}
	moved := func() int {
		n := 0
		for i, x := range f.transfers {
			if x.up.Load() >= marks[i].up+far && x.down.Load() >= marks[i].down+far {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(labtest.Patience); moved() < len(f.transfers); time.Sleep(20 * time.Millisecond) {
		f.whole()
		if time.Now().After(end) {
			f.t.Fatalf("%s: %d of %d transfers go on", when, moved(), len(f.transfers))
		}
	}
	f.whole()
}

// finish ends all transfers and fails the test unless every byte of each
// arrived.
func (f *fleet) finish() {
	f.t.Helper()
	f.end()
	done := make(chan struct{})
	go func() { f.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(labtest.Patience):
		f.t.Error("transfers do not end")
	}
	f.whole()
	slowest, total := math.Inf(1), uint64(0)
	for _, x := range f.transfers {
		up, down := x.up.Load(), x.down.Load()
		slowest = min(slowest, float64(min(up, down))/time.Since(x.began).Seconds())
		total += up + down
	}
	f.t.Logf("%d transfers moved %d MB, the slowest direction of one %.0f kB/s", len(f.transfers), total/1e6, slowest/1e3)
}

// end tells the clients to end.
func (f *fleet) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.stopped = true
		close(f.stop)
	}
}

// abort ends what a failed test has left.
func (f *fleet) abort() {
	f.end()
	f.mu.Lock()
	f.aborted = true
	for _, c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
}
