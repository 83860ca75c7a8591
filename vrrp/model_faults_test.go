package vrrp

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// disturb does one random thing.
func (s *sim) disturb() {
	n, l := s.rng.IntN(len(s.nodes)), s.rng.IntN(len(s.links))
	node, link := s.nodes[n], &s.links[l]
	s.disturbed = s.now
	switch s.rng.IntN(10) {
	case 0:
		s.partition()
	case 1:
		s.unite()
	case 2:
		s.crash(n)
	case 3:
		if !node.up {
			s.boot(n)
		}
	case 4:
		s.logf("node %d pauses", n)
		node.paused = node.up
	case 5:
		s.resume(n)
	case 6:
		s.loss = []float64{0, 0.1, 0.5}[s.rng.IntN(3)]
		s.delay = []time.Duration{calmDelay, calmDelay, modelBase * 3}[s.rng.IntN(3)]
		s.logf("loss %v, delay %s", s.loss, s.delay)
	case 7:
		to := s.rng.IntN(len(s.nodes))
		link.deaf[n][to] = !link.deaf[n][to]
		s.logf("link %d: %d to %d deaf: %v", l, n, to, link.deaf[n][to])
	case 8:
		s.setLink(n, l, []TrackStatus{Up, Down}[s.rng.IntN(2)])
	case 9:
		if node.up && !node.paused {
			s.logf("node %d stops", n)
			s.carryOut(n, node.group.StopAll(s.now, Stop{}, nil))
			node.up, node.wasOwner = false, false
		}
	}
}

// partition splits all links the same way, or one alone.
func (s *sim) partition() {
	var side [3]int
	for n := range side {
		side[n] = s.rng.IntN(2)
	}
	s.logf("partition %v", side)
	if s.chance(0.3) {
		s.links[s.rng.IntN(len(s.links))].side = side
		return
	}
	for l := range s.links {
		s.links[l].side = side
	}
}

func (s *sim) unite() {
	s.logf("no partition")
	for l := range s.links {
		s.links[l].side, s.links[l].deaf = [3]int{}, [3][3]bool{}
	}
}

func (s *sim) crash(n int) {
	node := s.nodes[n]
	if !node.up {
		return
	}
	s.logf("node %d crashes", n)
	node.up, node.paused = false, false
	node.crashed, node.wasOwner = s.now, node.group.State() == Master
}

// resume lets a paused process run: what has arrived is read first.
func (s *sim) resume(n int) {
	node := s.nodes[n]
	if !node.paused {
		return
	}
	node.paused = false
	s.logf("node %d runs again, %d adverts waiting", n, len(node.inbox))
	if s.chance(0.3) {
		node.inbox = nil // the whole machine was paused
	}
	for _, d := range node.inbox {
		s.give(n, d.link, d.heard)
	}
	node.inbox = nil
}

func (s *sim) setLink(n, l int, status TrackStatus) {
	if node := s.nodes[n]; node.up && !node.paused {
		s.logf("node %d link %d %s", n, l, status)
		s.give(n, l, Tracked{Kind: TrackInterface, Name: "eth", Status: status})
	}
}

func (s *sim) chaos() {
	s.delay = calmDelay
	for range chaosOps {
		s.disturb()
		pause := time.Duration(s.rng.ExpFloat64() * float64(s.longest))
		if s.chance(0.1) {
			pause += 6 * s.longest
		}
		s.run(s.now.Add(pause))
	}
}

// heal repairs everything.
func (s *sim) heal() {
	s.logf("heal")
	s.unite()
	s.loss, s.delay = 0, calmDelay
	for n, node := range s.nodes {
		s.resume(n)
		if !node.up {
			s.boot(n)
		}
		for l := range s.links {
			s.setLink(n, l, Up)
		}
	}
	s.disturbed = s.now
}

// settled checks that one master is left, the right one, and stays.
func (s *sim) settled() {
	c := s.nodes[0].cfg.Members[0]
	s.run(s.now.Add(2*s.noneBound() + 2*s.dualBound() + 2*c.PreemptDelay))
	master := s.master()
	var epochs uint64
	for _, n := range s.nodes {
		epochs += n.group.members[0].epoch
	}
	s.run(s.now.Add(20 * s.longest))
	for _, n := range s.nodes {
		epochs -= n.group.members[0].epoch
	}
	if now := s.master(); now != master || now < 0 || epochs != 0 {
		s.fail("master is %d, later %d, with %d elections", master, now, -int64(epochs))
		return
	}
	if best := s.best(); !c.NoPreempt && master != best {
		s.fail("master is %d, the best is %d", master, best)
	}
}

func (s *sim) master() int {
	found := -1
	for n, node := range s.nodes {
		if node.group.State() == Master {
			if found >= 0 {
				return -2
			}
			found = n
		}
	}
	return found
}

// best returns the node of the highest priority. Those of equal priority
// leave each other alone, so it is one of them that is master.
func (s *sim) best() int {
	best := s.master()
	for n, node := range s.nodes {
		if best < 0 || node.cfg.Members[0].Priority > s.nodes[best].cfg.Members[0].Priority {
			best = n
		}
	}
	return best
}

func (s *sim) play() string {
	s.chaos()
	if s.failure == "" {
		s.heal()
		s.settled()
	}
	return s.failure
}

// modelSeeds returns the seeds to play.
func modelSeeds(t *testing.T, count uint64) (first, last uint64, trace bool) {
	text := os.Getenv("EVENKEEL_VRRP_SEED")
	if text == "" {
		return 1, count, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("EVENKEEL_VRRP_SEED: %v", err)
	}
	return seed, seed, true
}

func TestModel(t *testing.T) {
	first, last, trace := modelSeeds(t, schedules)
	failed, elections := 0, uint64(0)
	for seed := first; seed <= last && failed < 3; seed++ {
		s := newSim(seed)
		if trace {
			s.trace = &strings.Builder{}
		}
		if failure := s.play(); failure != "" {
			t.Errorf("seed %d: %s", seed, failure)
			failed++
		}
		if trace {
			t.Log("\n" + s.trace.String())
		}
		for _, n := range s.nodes {
			elections += n.group.members[0].epoch
		}
	}
	if !trace && elections < schedules {
		t.Errorf("%d elections in %d schedules: the model plays nothing", elections, schedules)
	}
}

// TestModelHeal (G8, G9, VC133): partitions at random phases of two or three
// nodes, nothing else. After the heal one master is left within an interval,
// and the client knows it within an interval and 50 ms.
func TestModelHeal(t *testing.T) {
	first, last, trace := modelSeeds(t, schedules/3)
	for seed := first; seed <= last; seed++ {
		s := newSim(seed)
		s.delay = calmDelay
		s.links = s.links[:1]
		for n, node := range s.nodes {
			node.cfg.Name = ""
			m := &node.cfg.Members[0]
			m.HigherPrioNoAdvert, m.Interval = false, time.Second
			node.cfg.Members = node.cfg.Members[:1]
			s.boot(n)
		}
		s.longest = time.Second
		if trace {
			s.trace = &strings.Builder{}
		}
		s.playHeal()
		if s.failure != "" {
			t.Errorf("seed %d: %s", seed, s.failure)
		}
		if trace {
			t.Log("\n" + s.trace.String())
		}
	}
}

func (s *sim) playHeal() {
	s.run(s.now.Add(20 * time.Second))
	for range 3 {
		s.partition()
		s.disturbed = s.now
		s.run(s.now.Add(10*time.Second + time.Duration(s.rng.Int64N(int64(time.Second)))))
		s.unite()
		s.disturbed = s.now
		s.run(s.now.Add(time.Second + 50*time.Millisecond))
		if master := s.master(); master < 0 || s.links[0].client != master {
			s.fail("1.05 s after the heal the master is %d and the client sends to %d", master, s.links[0].client)
		}
		s.run(s.now.Add(time.Duration(s.rng.Int64N(int64(time.Second)))))
	}
}
