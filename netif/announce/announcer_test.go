package announce

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// sent is one frame of a fake link.
type sent struct {
	at   time.Duration // since the start of the test
	link string
	addr netip.Addr
}

// fakeLinks remembers what is sent.
type fakeLinks struct {
	start time.Time

	mu      sync.Mutex // guards the rest
	frames  []sent
	open    int
	missing bool
	fail    []error // of the next calls of Send
	onSend  func(n int)
}

func (f *fakeLinks) Open(name string) (Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.missing {
		return nil, errors.New("no such link")
	}
	f.open++
	return &fakeLink{f, name}, nil
}

type fakeLink struct {
	*fakeLinks
	name string
}

func (f *fakeLink) MAC() MAC { return MAC{2, 0, 0, 0, 0, 1} }

func (f *fakeLink) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	return nil
}

func (f *fakeLink) Send(frame []byte) error {
	f.mu.Lock()
	if len(f.fail) > 0 {
		err := f.fail[0]
		f.fail = f.fail[1:]
		if err != nil {
			f.mu.Unlock()
			return err
		}
	}
	addr, _ := netip.AddrFromSlice(frame[28:32]) // ARP: sender
	if frame[12] == 0x86 {
		addr, _ = netip.AddrFromSlice(frame[62:78]) // NA: target
	}
	f.frames = append(f.frames, sent{time.Since(f.start), f.name, addr})
	n, hook := len(f.frames), f.onSend
	f.mu.Unlock()
	if hook != nil {
		hook(n)
	}
	return nil
}

func (f *fakeLinks) all() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.frames)
}

// play runs an Announcer in a bubble.
func play(t *testing.T, opt Options, f func(*testing.T, *Announcer, *fakeLinks)) {
	synctest.Test(t, func(t *testing.T) {
		links := &fakeLinks{start: time.Now()}
		opt.Links = links
		a := New(opt)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		f(t, a, links)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if links.open != 0 {
			t.Errorf("%d links left open", links.open)
		}
	})
}

// after lets virtual time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// vips returns n IPv4 addresses.
func vips(n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	return list
}

func TestRoundsOfAllAddresses(t *testing.T) {
	play(t, Options{}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		v6 := netip.MustParseAddr("fd5a::100")
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: append(vips(2), v6), Rounds: 5})
		after(time.Second)
		count := make(map[netip.Addr]int)
		for _, s := range links.all() {
			count[s.addr]++
			if s.at != 0 || s.link != "eth0" {
				t.Errorf("sent %+v, want it at once on eth0", s)
			}
		}
		if len(count) != 3 || count[v6] != 5 || count[vips(1)[0]] != 5 {
			t.Errorf("announced %v", count)
		}
		if got := a.Stats(); got != (Stats{ARP: 10, NA: 5}) {
			t.Errorf("Stats = %+v", got)
		}
	})
}

// TestManyAddressesInBatches: 1000 addresses, each announced once within 50 ms
// and before any second time.
func TestManyAddressesInBatches(t *testing.T) {
	play(t, Options{}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		const n = 1000
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(n), Rounds: 5})
		after(time.Second)
		frames := links.all()
		if len(frames) != 5*n {
			t.Fatalf("%d frames, want %d", len(frames), 5*n)
		}
		if last := frames[n-1].at; last > 50*time.Millisecond {
			t.Errorf("first round took %v", last)
		}
		first := make(map[netip.Addr]bool)
		for _, s := range frames[:n] {
			first[s.addr] = true
		}
		if len(first) != n {
			t.Errorf("first %d frames are of %d addresses", n, len(first))
		}
		for i := perTick; i < len(frames); i++ {
			if frames[i].at-frames[i-perTick].at < tick {
				t.Fatalf("more than %d frames in %v", perTick, tick)
			}
		}
	})
}

// TestFirstRoundsFirst: the first round of a late burst comes before the
// second of an early one.
func TestFirstRoundsFirst(t *testing.T) {
	play(t, Options{Pace: Pace{ARPInterval: time.Millisecond}}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		list := vips(4)
		for i, addr := range list {
			a.Announce(Burst{Owner: fmt.Sprint(i), Epoch: 1, Link: "eth0", Addrs: []netip.Addr{addr}, Rounds: 2})
		}
		after(time.Second)
		frames := links.all()
		if len(frames) != 8 {
			t.Fatalf("%d frames", len(frames))
		}
		for i, s := range frames {
			if s.addr != list[i%4] {
				t.Errorf("frame %d is of %s, want %s", i, s.addr, list[i%4])
			}
		}
	})
}

// TestIntervals: garp_interval and gna_interval hold for each link by itself, or
// for the links of a group together.
func TestIntervals(t *testing.T) {
	opt := Options{
		Pace: Pace{ARPInterval: 10 * time.Millisecond, NAInterval: 20 * time.Millisecond},
		Groups: []Group{
			{Links: []string{"eth1"}, Pace: Pace{ARPInterval: 50 * time.Millisecond}},
			{Links: []string{"eth2", "eth3"}, Pace: Pace{ARPInterval: 30 * time.Millisecond, NAInterval: 40 * time.Millisecond}},
		},
	}
	play(t, opt, func(t *testing.T, a *Announcer, links *fakeLinks) {
		v6 := netip.MustParseAddr("fd5a::100")
		for _, owner := range []string{"A", "B"} {
			for _, link := range []string{"eth0", "eth1", "eth2", "eth3"} {
				a.Announce(Burst{Owner: owner, Epoch: 1, Link: link, Addrs: append(vips(1), v6), Rounds: 3})
			}
		}
		after(time.Minute)
		times := make(map[string][]time.Duration)
		for _, s := range links.all() {
			link := s.link
			if link == "eth3" {
				link = "eth2"
			}
			key := fmt.Sprint(link, s.addr.Is4())
			times[key] = append(times[key], s.at)
		}
		for _, tt := range []struct {
			key    string
			frames int
			gap    time.Duration
		}{
			{"eth0true", 6, 10 * time.Millisecond},
			{"eth0false", 6, 20 * time.Millisecond},
			{"eth1true", 6, 50 * time.Millisecond},
			{"eth1false", 6, 20 * time.Millisecond},
			{"eth2true", 12, 30 * time.Millisecond},
			{"eth2false", 12, 40 * time.Millisecond},
		} {
			at := times[tt.key]
			if len(at) != tt.frames {
				t.Errorf("%s: %d frames, want %d", tt.key, len(at), tt.frames)
			}
			for i := 1; i < len(at); i++ {
				if got := at[i] - at[i-1]; got != tt.gap {
					t.Errorf("%s: gap %v, want %v", tt.key, got, tt.gap)
				}
			}
		}
	})
}

func TestCancel(t *testing.T) {
	play(t, Options{Pace: Pace{ARPInterval: 10 * time.Millisecond}}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		list := vips(2)
		a.Announce(Burst{Owner: "A", Epoch: 3, Link: "eth0", Addrs: list[:1], Rounds: 100})
		a.Announce(Burst{Owner: "B", Epoch: 1, Link: "eth0", Addrs: list[1:], Rounds: 4})
		after(35 * time.Millisecond) // two of each
		a.Cancel("A", 2)             // an earlier mastership: nothing to end
		after(20 * time.Millisecond)
		if n := len(links.all()); n != 6 {
			t.Fatalf("%d frames before Cancel, want 6", n)
		}
		a.Cancel("A", 3)
		a.Announce(Burst{Owner: "A", Epoch: 3, Link: "eth0", Addrs: list[:1], Rounds: 5}) // too late
		after(time.Second)
		var after []netip.Addr
		for _, s := range links.all()[6:] {
			after = append(after, s.addr)
		}
		if !slices.Equal(after, []netip.Addr{list[1]}) {
			t.Errorf("after Cancel announced %v, want the last of B", after)
		}
		if got := a.Stats().Cancelled; got != 97 {
			t.Errorf("Cancelled = %d, want 97", got)
		}
		a.Announce(Burst{Owner: "A", Epoch: 4, Link: "eth0", Addrs: list[:1], Rounds: 1})
		synctest.Wait()
		if n := len(links.all()); n != 8 {
			t.Errorf("%d frames, want 8: the next mastership announces", n)
		}
	})
}

// TestCancelIsHeardInsideABatch: not 64 frames later.
func TestCancelIsHeardInsideABatch(t *testing.T) {
	play(t, Options{}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		links.onSend = func(n int) {
			if n == 3 {
				a.Cancel("VI", 1)
			}
		}
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(50), Rounds: 1})
		after(time.Second)
		if n := len(links.all()); n != 3 {
			t.Errorf("%d frames left, want 3", n)
		}
	})
}

// TestOneBurstPerOwner: a new burst takes over; no queue grows.
func TestOneBurstPerOwner(t *testing.T) {
	play(t, Options{Pace: Pace{ARPInterval: time.Millisecond}}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		for range 1000 {
			a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(1), Rounds: 2})
		}
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(1), Rounds: 5})
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(1), Rounds: 1})
		after(time.Minute)
		if n := len(links.all()); n < 5 || n > 6 {
			t.Errorf("%d frames, want 5: the rounds left of the longest", n)
		}
	})
}

func TestLinkErrors(t *testing.T) {
	busy := func(err error, n int) []error { return slices.Repeat([]error{err}, n) }
	tests := []struct {
		name      string
		missing   bool
		fail      []error
		wantSent  int
		wantError uint64
	}{
		{"queue full for a while", false, busy(unix.ENOBUFS, 7), 10, 0},
		{"no room for a while", false, busy(fmt.Errorf("send: %w", unix.EAGAIN), 3), 10, 0},
		{"down", false, []error{nil, nil, unix.ENETDOWN}, 2, 8},
		{"missing", true, nil, 0, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Options{}, func(t *testing.T, a *Announcer, links *fakeLinks) {
				links.missing, links.fail = tt.missing, tt.fail
				a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(2), Rounds: 5})
				after(time.Second)
				if n := len(links.all()); n != tt.wantSent {
					t.Errorf("%d frames, want %d", n, tt.wantSent)
				}
				if got := a.Stats().Errors; got != tt.wantError {
					t.Errorf("Errors = %d, want %d", got, tt.wantError)
				}
			})
		})
	}
}

func TestNothingToAnnounce(t *testing.T) {
	play(t, Options{}, func(t *testing.T, a *Announcer, links *fakeLinks) {
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Rounds: 5})
		a.Announce(Burst{Owner: "VI", Epoch: 1, Link: "eth0", Addrs: vips(1)})
		after(time.Second)
		if n := len(links.all()); n != 0 {
			t.Errorf("%d frames, want none", n)
		}
	})
}
