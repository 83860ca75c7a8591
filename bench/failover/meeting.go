package main

import "sync"

// meeting lets the runs of all lanes begin together and end together: what one
// lane does to set up and to take down would disturb what another measures.
type meeting struct {
	lanes int

	mu     sync.Mutex // guards the fields below
	phases []phase
}

// phase is one point that all lanes reach before any goes on.
type phase struct {
	arrived int
	all     chan struct{} // closed when all have arrived
}

// meetings is how often the lanes of a round meet: when all are ready, and when
// all have measured.
const meetings = 2

func newMeeting(lanes int) *meeting {
	m := &meeting{lanes: lanes, phases: make([]phase, meetings)}
	for n := range m.phases {
		m.phases[n].all = make(chan struct{})
	}
	return m
}

// arrive counts a lane that has reached a phase, and returns what is closed
// when all have.
func (m *meeting) arrive(n int) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &m.phases[n]
	if p.arrived++; p.arrived == m.lanes {
		close(p.all)
	}
	return p.all
}

// seat is the place of one lane in a meeting. The nil seat is that of a lane
// that is alone.
type seat struct {
	meeting *meeting
	next    int // phase
}

// reach waits in a phase until all lanes have reached it. A lane reaches each
// once; again is no error.
func (s *seat) reach(n int) {
	if s == nil {
		return
	}
	for s.next <= n {
		all := s.meeting.arrive(s.next)
		if s.next++; s.next > n {
			<-all
		}
	}
}

// leave says that the lane is done, without waiting for the others.
func (s *seat) leave() {
	for s != nil && s.next < meetings {
		s.meeting.arrive(s.next)
		s.next++
	}
}

const (
	isReady    = 0
	isMeasured = 1
)
