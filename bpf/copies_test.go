//go:build bpf

package bpf

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf/reasons"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/sched"
)

// shooting is plain packets of the same flows from several threads.
type shooting struct {
	r      *rig
	frames [][]byte
	right  func(out []byte) bool // what else is asked of a packet that was sent, if not nil
	over   atomic.Bool           // what they are to see has been done
	work   sync.WaitGroup
	wrong  atomic.Uint32
}

// How many packets a thread sends after it.
const packetsAfter = 25

// shoot starts the threads. A packet that is sent once over is set must have the
// verdict want.
func (s *shooting) shoot(threads int, want uint32, random *rand.Rand) {
	for range threads {
		random := rand.New(rand.NewPCG(random.Uint64(), 0))
		s.work.Go(func() {
			out := make([]byte, 256)
			for after := 0; after < packetsAfter; {
				over := s.over.Load()
				frame := s.frames[random.IntN(len(s.frames))]
				run := ebpf.RunOptions{
					Data: frame, DataOut: out,
					Context: xdpContext{DataEnd: uint32(len(frame)), Ingress: inside},
				}
				verdict, err := s.r.o.EkXdp.Run(&run)
				if err != nil {
					s.r.tb.Error(err)
					return
				}
				if !over {
					continue
				}
				after++
				if verdict != want || s.right != nil && !s.right(run.DataOut) {
					s.wrong.Add(1)
				}
			}
		})
	}
}

// around has the threads send before, while and after something is done, after which no packet may go
// by a copy.
func (s *shooting) around(t *testing.T, want uint32, random *rand.Rand, name string, do func()) {
	t.Helper()
	s.shoot(2, want, random)
	do()
	s.over.Store(true)
	s.work.Wait()
	if got := s.wrong.Load(); got > 0 {
		t.Fatalf("%d packets went by a copy after %s", got, name)
	}
}

// pausing puts many microseconds between the steps of the program that tests have others come between, such
// as a copy's last look at its flow and the copy's end.
func pausing(tb testing.TB) func(*ebpf.CollectionSpec) {
	return func(spec *ebpf.CollectionSpec) {
		if err := spec.Variables["test_pause"].Set(uint32(1000)); err != nil {
			tb.Fatal(err)
		}
	}
}

// While two CPUs send packets of flows that have copies, or get them just then, the flows
// end, or their server goes. Once who did it is done, no packet goes by a copy.
func TestCopiesUnderFire(t *testing.T) {
	const flows, rounds = 16, 40 // twice as many flows as copies
	random := rand.New(rand.NewPCG(labtest.Seed(t), 7))
	for _, six := range []family{false, true} {
		t.Run(six.String(), func(t *testing.T) {
			r := newRig(t, 1024, sched.Profile{}, small, pausing(t))
			r.serve(six, EkForwardFORWARD_DR)
			var server EkServer
			if err := r.o.EkServers.Lookup(uint32(0), &server); err != nil {
				t.Fatal(err)
			}
			deleted := server
			deleted.Flags |= serverDeleted
			ends := []struct {
				name string
				want uint32
				do   func(round int)
			}{
				{"its service leaves", xdpPass, func(int) { r.sweepFlows(1) }},
				{"its server is deleted", xdpDrop, func(int) { r.put(r.o.EkServers, uint32(0), deleted) }},
				{"RST", xdpTX, func(round int) {
					for n := range flows {
						r.run(six.syn().fromPort(firePort(round, n)).flag("R").bytes(t))
					}
				}},
			}
			for round := range rounds {
				s := shooting{r: r}
				for n := range flows {
					f := six.syn().fromPort(firePort(round, n))
					r.run(f.bytes(t))
					r.run(f.flag("A").bytes(t))
					s.frames = append(s.frames, f.flag("A").bytes(t))
				}
				r.wantConns(0, flows, flows)
				r.advance(20 * time.Millisecond)
				end := ends[round%len(ends)]
				s.around(t, end.want, random, end.name, func() { end.do(round) })
				if got := r.copies(); end.want != xdpDrop && len(got) > 0 {
					t.Fatalf("round %d: copies %x are left after %s", round, got, end.name)
				}
				r.put(r.o.EkServers, uint32(0), server)
				r.sweepFlows(1)
				r.wantConns(0, 0, 0)
				r.sweep()
				if got, sent := r.stats(r.o.EkServerStats, 0).InPkts, r.reasons()[reasons.ForwardedDR]; got != sent {
					t.Fatalf("round %d: the server counts %d packets, the program sent %d", round, got, sent)
				}
			}
		})
	}
}

func firePort(round, n int) uint16 { return uint16(1000 + 16*round + n) }
