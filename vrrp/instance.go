package vrrp

import (
	"net/netip"
	"time"
)

// Instance is one virtual router as a value: its state, its timers and why it
// is what it is. Step makes the next one. It holds no goroutine and touches
// nothing outside.
type Instance struct {
	cfg *Config // never changed, only replaced

	state  State
	since  time.Time
	reason Reason
	epoch  uint64

	base     uint8 // as configured or set at run time
	priority uint8 // effective
	source   netip.Addr
	tracks   []tracked // never changed in place
	// groupFault is the member of the sync group that is in fault, or empty.
	groupFault string
	grouped    bool
	// wants says that the down timer has expired and the group has not
	// decided yet.
	wants      bool
	wantReason Reason

	// masterInterval is Master_Adver_Interval; learned says that an advert
	// taught it.
	masterInterval time.Duration
	learned        bool
	master         netip.Addr
	masterPriority uint8
	// armed is when the down timer was started; goodbye says that it runs for
	// the skew only.
	armed   time.Time
	goodbye bool
	// preemptAt is when a master of lower priority may be preempted; zero
	// while none was heard.
	preemptAt time.Time
	// lesser is the master of lower priority that is about to be preempted.
	lesser         netip.Addr
	lesserPriority uint8
	// listening says that a late timer is giving others a last chance.
	listening bool
	lateBy    time.Duration

	deadline      [timers]time.Time
	holding       bool // the addresses may be in place
	lastSent      time.Time
	lastAnnounced time.Time
	againCause    AnnounceCause
	rival         netip.Addr
	known         [knownSenders]netip.Addr
	knownNext     uint8

	counts  [counters]uint64
	dropped [drops]uint64
}

// knownSenders bounds the routers that an instance remembers as neighbours.
const knownSenders = 8

// New returns an instance that waits for Start. The error is Validate's.
func New(cfg Config) (Instance, error) {
	if err := cfg.Validate(); err != nil {
		return Instance{}, err
	}
	cfg = cfg.withDefaults()
	i := Instance{cfg: &cfg, base: cfg.Priority, source: cfg.Source, masterInterval: cfg.Interval}
	i.setTracks(cfg.Tracks)
	i.priority = i.effective()
	return i, nil
}

// Config returns the configuration with its defaults filled in.
func (i Instance) Config() Config { return *i.cfg }

// State returns the state and since when it holds.
func (i Instance) State() (State, time.Time) { return i.state, i.since }

// Reason returns why the instance is in its state.
func (i Instance) Reason() Reason { return i.reason }

// Priority returns the effective priority.
func (i Instance) Priority() uint8 { return i.priority }

// Step returns what the instance becomes when ev happens at now, and out with
// the actions to carry out appended in order. It has no effect of its own: the
// same call gives the same result. now must not run backwards.
func (i Instance) Step(now time.Time, ev Event, out []Action) (Instance, []Action) {
	s := step{i, now, out}
	switch ev := ev.(type) {
	case Tick:
		s.tick()
	case Heard:
		s.heard(ev)
	case Start:
		s.start(ev)
	case Stop:
		s.stop(ev)
	case Tracked:
		s.tracked(ev)
	case SourceChanged:
		s.sourceChanged(ev)
	case PrioritySet:
		s.setBase(ev.Priority)
	case Reconfigured:
		s.reconfigure(ev.Config)
	case AddressesRestored:
		s.announceIfMaster(CauseRestored)
	case Refused:
		s.dropped[ev.Drop]++
	case SendFailed:
		s.counts[SendErrors]++
	case groupMaster:
		s.groupMaster()
	case groupBackup:
		s.groupBackup(ev.member)
	case groupFault:
		s.setGroupFault(ev.member)
	case groupAnnounce:
		s.announceIfMaster(CauseLowerPriority)
	}
	return s.Instance, s.out
}

// step is an Instance in the middle of Step.
type step struct {
	Instance
	now time.Time
	out []Action
}

func (s *step) do(a Action) { s.out = append(s.out, a) }

func (s *step) warn(w Warning, peer netip.Addr) { s.do(Action{Kind: Warn, Warning: w, Peer: peer}) }

func (s *step) notice(n Notice) {
	s.do(Action{Kind: Notify, Notice: n, State: s.state, Priority: s.priority, Reason: s.reason})
}

// send sends an advert of the given priority.
func (s *step) send(priority uint8) {
	s.counts[AdvertsSent]++
	if priority == PriorityStop {
		s.counts[PriorityZeroSent]++
	}
	s.lastSent = s.now
	s.do(Action{Kind: SendAdvert, Priority: priority})
}

// become changes the state; the notice follows once the consequences are out.
func (s *step) become(state State, r Reason) {
	if s.state == Master {
		s.counts[ReleasedMaster]++
		s.cancel(timerAdvert, timerAgain, timerHeal, timerRefresh, timerExtra)
	}
	r.Priority = s.priority
	s.state, s.since, s.reason = state, s.now, r
}

// release gives the addresses away if they may be in place.
func (s *step) release() {
	if s.holding {
		s.holding = false
		s.do(Action{Kind: ReleaseAddresses, Epoch: s.epoch, State: s.state, Reason: s.reason})
	}
}

func (s *step) start(ev Start) {
	if s.state != Init || !s.deadline[timerHold].IsZero() {
		return
	}
	s.holding = true // an earlier process may have left them
	if ev.Hold > 0 && !ev.Adopt {
		s.become(Init, Reason{Code: ReasonHold})
		s.after(timerHold, ev.Hold)
		return
	}
	s.begin(ev.Adopt)
}

// begin leaves INIT.
func (s *step) begin(adopt bool) {
	faults := s.Faults()
	switch {
	case len(faults) > 0:
		s.toFault(faults[0])
	case adopt:
		s.promote(Reason{Code: ReasonAdopted})
	case s.cfg.owner() && !s.cfg.StartBackup:
		s.promote(Reason{Code: ReasonOwner})
	default:
		s.toBackup(Reason{Code: ReasonStart})
		s.notice(NoticeState)
	}
}

// stop says goodbye before anything else.
func (s *step) stop(ev Stop) {
	if s.reason.Code == ReasonNone || s.reason.Code == ReasonStop {
		return
	}
	if s.state == Master {
		s.send(PriorityStop)
	}
	s.deadline = [timers]time.Time{}
	s.wants = false
	s.become(Init, Reason{Code: ReasonStop})
	s.release()
	if ev.Deleted {
		s.notice(NoticeDeleted)
	} else {
		s.notice(NoticeStop)
	}
}

func (s *step) tick() {
	if _, ok := s.due(timerHold); ok && s.state == Init {
		s.begin(false)
	}
	switch s.state {
	case Master:
		s.tickMaster()
	case Backup:
		s.tickBackup()
	default:
	}
}

// heard takes an advert that passed the Codec. In INIT and FAULT it only
// counts.
func (s *step) heard(h Heard) {
	s.counts[AdvertsReceived]++
	if h.Priority == PriorityStop {
		s.counts[PriorityZeroReceived]++
	}
	if h.OtherAddresses {
		s.counts[OtherAddresses]++
		s.warn(WarnAddresses, h.Source)
	}
	if h.Interval != s.cfg.Interval {
		s.counts[OtherInterval]++
		s.warn(WarnInterval, h.Source)
	}
	if h.Priority == s.priority && s.state != Init {
		s.warnSame(h)
	}
	switch s.state {
	case Master:
		s.heardMaster(h)
	case Backup:
		s.heardBackup(h)
	default:
	}
	s.remember(h.Source)
}

func (s *step) warnSame(h Heard) {
	switch {
	case h.Source == s.source:
		s.warn(WarnSameAddress, h.Source)
	case h.Priority == PriorityOwner:
		s.warn(WarnTwoOwners, h.Source)
	default:
		s.warn(WarnSamePriority, h.Source)
	}
}

// remember keeps the last few senders, to tell a stranger.
func (s *step) remember(addr netip.Addr) {
	for _, k := range s.known {
		if k == addr {
			return
		}
	}
	s.known[s.knownNext%knownSenders] = addr
	s.knownNext++
}

func (i *Instance) stranger(addr netip.Addr) bool {
	for _, k := range i.known {
		if k == addr {
			return false
		}
	}
	for _, p := range i.cfg.Peers {
		if p.Addr == addr {
			return false
		}
	}
	return true
}
