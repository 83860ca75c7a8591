package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLanesMeet: nobody measures before all are ready, nobody takes down before
// all have measured, and a lane that fails holds nobody back.
func TestLanesMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes = 4
		m := newMeeting(lanes)
		var ready, measured atomic.Int32
		done := make(chan struct{}, lanes)
		for n := range lanes {
			go func() {
				s := &seat{meeting: m}
				defer func() { done <- struct{}{} }()
				defer s.leave()
				time.Sleep(time.Duration(n) * time.Second)
				ready.Add(1)
				if n == 1 {
					measured.Add(1)
					return // failed to set up
				}
				s.reach(isReady)
				if ready.Load() != lanes {
					t.Errorf("lane %d measures while %d are ready", n, ready.Load())
				}
				time.Sleep(time.Duration(lanes-n) * time.Second)
				measured.Add(1)
				s.reach(isMeasured)
				s.reach(isMeasured)
				if measured.Load() != lanes {
					t.Errorf("lane %d takes down while %d have measured", n, measured.Load())
				}
			}()
		}
		for range lanes {
			<-done
		}
	})
	var alone *seat
	alone.reach(isReady)
	alone.leave()
}

// TestShare: lanes take turns, and each run of each program is made once.
func TestShare(t *testing.T) {
	for _, runs := range []int{1, 3, 20} {
		for _, lanes := range []int{1, 3, 4} {
			made := make(map[job]int)
			rounds := share(runs, 2, lanes)
			for r, round := range rounds {
				if len(round) > lanes {
					t.Errorf("%d jobs for %d lanes", len(round), lanes)
				}
				for l, j := range round {
					made[j]++
					if j.subject != (l+r)%2 && runs == 20 && r < len(rounds)-2 {
						t.Errorf("%d lanes: lane %d has program %d in round %d", lanes, l, j.subject, r)
					}
				}
			}
			for j, n := range made {
				if n != 1 {
					t.Errorf("%+v made %d times", j, n)
				}
			}
			if len(made) != 2*runs {
				t.Errorf("%d runs with %d lanes: %d of %d made", runs, lanes, len(made), 2*runs)
			}
		}
	}
}
