package failover

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/netif/announce"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/vrrp"
	"github.com/evenkeel/evenkeel/vrrp/rawconn"
)

// member is an instance at work. Its Runner tells it what to do, the Keeper
// what is done.
type member struct {
	service *Service
	plan    memberPlan
	// owner names the member to Keeper and Announcer. It is never used again,
	// so that what one of the same name leaves behind disturbs no other.
	owner  string
	socket *rawconn.Conn
	conn   *advertising

	mu sync.Mutex // guards the fields below
	// placed is the epoch whose addresses are in place, and targets are those
	// by link; waiting is how many rounds they are announced once they are.
	// Before that, targets are those of the member that this one follows.
	placed  uint64
	targets map[string][]netip.Addr
	waiting int
	source  netip.Addr
	// left says that this process found the addresses of a master that died, too
	// late to go on as master.
	left bool
	// linger is set while a router that gave up goes on serving.
	linger *linger
}

// linger is the time from giving up mastership until the successor serves.
type linger struct {
	timer *time.Timer
	over  chan struct{} // closed at its end
}

func (m *member) name() string { return m.plan.instance.Name }

// take puts the addresses in place.
func (m *member) take(epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endLinger()
	m.service.keeper.Hold(m.owner, epoch, m.plan.set)
}

// release takes the addresses away, at once or when another router has had the
// time to take over.
func (m *member) release(a vrrp.Action) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets = nil
	held := m.placed != 0 && m.placed == a.Epoch || m.left
	m.placed, m.waiting, m.left = 0, 0, false
	m.conn.note.clear()
	m.service.announcer.Cancel(m.owner, a.Epoch)
	m.service.announcer.Cancel(m.sourceOwner(), a.Epoch)
	if d, awaits := m.lingers(a); held && d > 0 {
		m.startLinger(d, awaits)
		return
	}
	m.drop()
}

func (m *member) drop() { m.service.keeper.Drop(m.owner, m.plan.set) }

// lingers returns how long a router goes on serving for clients' sake, and
// whether that ends when another router has taken over. Who gave up though its
// links are well serves until then, and so does who comes back too late to go on,
// since nobody may have taken over yet; who yields to a better master serves the
// clients that this one has not told yet. What the kernel answers meanwhile to
// who asks for an address, the master puts right when it announces once more.
func (m *member) lingers(a vrrp.Action) (d time.Duration, awaits bool) {
	switch a.Reason.Code {
	case vrrp.ReasonStop:
		return m.patience(), true
	case vrrp.ReasonStart:
		return vrrp.ResumeWithin(m.plan.election) + m.patience(), true
	case vrrp.ReasonFault:
		if k := a.Reason.Cause.Kind; k == vrrp.TrackScript || k == vrrp.TrackFile || k == vrrp.TrackProcess {
			return m.patience(), true
		}
	case vrrp.ReasonHigherPriority, vrrp.ReasonHigherAddress:
		return vrrp.YieldGrace, false
	default:
	}
	return 0, false
}

// little is added to what the protocol's arithmetic gives.
const little = 250 * time.Millisecond

// patience is how long a router that gave up waits for its successor: as long
// as a backup waits after a goodbye, and a little.
func (m *member) patience() time.Duration {
	i := m.plan.instance
	return vrrp.SkewTime(vrrp.Version(i.Version), 1, i.Interval) + little
}

// startLinger needs m.mu.
func (m *member) startLinger(d time.Duration, awaits bool) {
	l := &linger{over: make(chan struct{})}
	l.timer = time.AfterFunc(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.linger == l {
			m.drop() // first, for who waits for the end
			m.endLinger()
		}
	})
	m.linger = l
	if awaits {
		m.conn.await(func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.linger == l {
				l.timer.Reset(vrrp.YieldGrace)
			}
		})
	}
}

// endLinger needs m.mu. The caller decides what becomes of the addresses.
func (m *member) endLinger() {
	if m.linger == nil {
		return
	}
	m.linger.timer.Stop()
	m.conn.await(nil)
	close(m.linger.over)
	m.linger = nil
}

// lingering returns a channel that is closed when the router serves no more, or
// nil if it does not.
func (m *member) lingering() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.linger == nil {
		return nil
	}
	return m.linger.over
}

// rounds says how often addresses are announced for a cause.
func (m *member) rounds(c vrrp.AnnounceCause) int {
	a := m.plan.instance.Announce
	switch c {
	case vrrp.CauseLowerPriority, vrrp.CauseLowerPriorityAgain:
		return a.LowerPrioRepeat
	case vrrp.CauseRefresh:
		return a.RefreshRepeat
	case vrrp.CauseHeal:
		// Neighbours that were misled must hear it whatever is configured.
		return max(a.LowerPrioRepeat, 1)
	default:
		return a.Repeat
	}
}

// announce announces the addresses, now or once they are in place.
func (m *member) announce(epoch uint64, rounds int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.placed != epoch {
		m.waiting = max(m.waiting, rounds)
		return
	}
	m.send(epoch, m.targets, rounds)
}

// send needs m.mu.
func (m *member) send(epoch uint64, targets map[string][]netip.Addr, rounds int) {
	for link, addrs := range targets {
		m.service.announcer.Announce(announce.Burst{
			Owner: m.owner, Epoch: epoch, Link: link, Addrs: addrs, Rounds: rounds,
		})
	}
}

// announceExtra announces one address on each interface that garp_extra_if is
// about. Where the addresses are not in place yet, the burst that is about to come
// says more.
func (m *member) announceExtra(epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.placed != epoch {
		return
	}
	for _, link := range m.plan.extra {
		if addrs := m.targets[link]; len(addrs) > 0 {
			m.send(epoch, map[string][]netip.Addr{link: addrs[:1]}, 1)
		}
	}
}

// inPlace is the Keeper's news.
func (m *member) inPlace(p keep.Placed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !p.First && p.Epoch != m.placed {
		return
	}
	targets, fresh := make(map[string][]netip.Addr), make(map[string][]netip.Addr)
	if !p.First {
		for link, addrs := range m.targets {
			targets[link] = slices.Clone(addrs)
		}
	}
	for _, a := range p.Addresses {
		if !p.First || !slices.Contains(m.targets[a.Link], a.Addr) {
			fresh[a.Link] = append(fresh[a.Link], a.Addr)
		}
		if !slices.Contains(targets[a.Link], a.Addr) {
			targets[a.Link] = append(targets[a.Link], a.Addr)
		}
	}
	m.targets, m.placed = targets, p.Epoch
	if m.waiting > 0 {
		m.send(p.Epoch, targets, m.waiting)
		m.waiting = 0
		return
	}
	m.send(p.Epoch, fresh, m.rounds(vrrp.CauseRestored))
}

// sourceOwner tells bursts for the source address from those for the others.
func (m *member) sourceOwner() string { return m.owner + " source" }

// announceSource tells unicast peers where the source address is.
func (m *member) announceSource(epoch uint64) {
	m.mu.Lock()
	source := m.source
	m.mu.Unlock()
	if m.plan.instance.Interface == "" || !source.IsValid() {
		return
	}
	// The epoch after, since that of a backup has ended already.
	m.service.announcer.Announce(announce.Burst{
		Owner: m.sourceOwner(), Epoch: epoch + 1, Link: m.plan.instance.Interface,
		Addrs: []netip.Addr{source}, Rounds: m.plan.instance.Announce.Repeat,
	})
}

// follow takes over what an earlier member of the same virtual router knows, so
// that this one goes on under another configuration.
func (m *member) follow(old *member) {
	old.mu.Lock()
	defer old.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.source = old.source
	m.targets = old.targets
}

// forget ends what a member left behind that another one follows.
func (m *member) forget() {
	m.service.keeper.Drop(m.owner, keep.Set{})
	m.forgetBursts()
}

func (m *member) forgetBursts() {
	for _, owner := range []string{m.owner, m.sourceOwner()} {
		m.service.announcer.Cancel(owner, math.MaxUint64)
		m.service.announcer.Forget(owner)
	}
}

// setSource notes the source and says whether it is another one.
func (m *member) setSource(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.source != a
	m.source = a
	return changed
}
