package api

import (
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// VRRP is the election: every instance, what they depend on, and what is
// counted for all together.
type VRRP struct {
	// Instances are in the order of the file, members of a sync group together.
	Instances []VRRPInstance `json:"instances"`
	// Tracked are the scripts, files and processes of the file.
	Tracked []VRRPTracked `json:"tracked"`
	Totals  VRRPTotals    `json:"totals"`
}

// VRRPInstance is one vrrp_instance.
type VRRPInstance struct {
	VRRPSummary
	// Interface is where adverts come and go.
	Interface string `json:"interface,omitempty"`
	VRID      uint8  `json:"virtual_router_id"`
	Version   uint8  `json:"version"`
	// Family is inet or inet6.
	Family string `json:"family"`
	// Wants is the state that the instance is heading for: in a sync group it
	// may wait for the others.
	Wants string `json:"wants"`
	// Why is Reason in its parts.
	Why VRRPReason `json:"why"`
	// BasePriority is that of the file, Contributions what is added to it.
	BasePriority  uint8              `json:"base_priority"`
	Contributions []VRRPContribution `json:"contributions"`
	// Faults are what holds the instance in FAULT, one line each.
	Faults []string `json:"faults"`
	// Source is the address that adverts come from; absent while there is
	// none.
	Source string `json:"source,omitempty"`
	// IntervalSeconds is the configured interval, MasterIntervalSeconds the one
	// that the timers run on.
	IntervalSeconds       float64 `json:"interval_seconds"`
	MasterIntervalSeconds float64 `json:"master_interval_seconds"`
	// PreemptAt is when preempt_delay is over; absent while it does not run.
	PreemptAt *time.Time `json:"preempt_at,omitempty"`
	// LastAdvert is when the instance last sent one; absent before the first.
	LastAdvert *time.Time `json:"last_advert,omitempty"`
	// Addresses are those of the file, with the excluded ones behind.
	Addresses []string `json:"addresses"`
	// Placed objects (addresses, routes, rules) are in place, Missing ones
	// should be.
	Placed  int           `json:"placed"`
	Missing []VRRPMissing `json:"missing"`
	// Counters have keepalived's names where it has one; Refused are the
	// packets that no election saw, by reason, without those of zero.
	Counters map[string]uint64 `json:"counters"`
	Refused  map[string]uint64 `json:"refused"`
	// Overflowed adverts arrived faster than they were dealt with.
	Overflowed uint64 `json:"overflowed"`
}

// VRRPSummary is an instance in a few words.
type VRRPSummary struct {
	Name string `json:"name"`
	// Group is the sync group, if there is one.
	Group string `json:"group,omitempty"`
	// State is INIT, BACKUP, MASTER or FAULT, Reason why.
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Priority is the effective one.
	Priority uint8 `json:"priority"`
	// Master is who is master as far as known, with its priority; ourselves
	// while we are.
	Master         string `json:"master,omitempty"`
	MasterPriority uint8  `json:"master_priority"`
	// Serving says that the router gave up and goes on serving until another
	// one has taken over.
	Serving bool `json:"serving,omitempty"`
}

// VRRPReason is why an instance is in its state: the packet, timer, script or
// interface that decided. What the code does not use is absent.
type VRRPReason struct {
	Code string `json:"code"`
	// Peer sent the advert that decided, or was the master that fell silent.
	Peer         string `json:"peer,omitempty"`
	PeerPriority uint8  `json:"peer_priority,omitempty"`
	// Priority is ours at that time.
	Priority uint8 `json:"priority,omitempty"`
	// SilenceSeconds is how long nothing was heard.
	SilenceSeconds float64 `json:"silence_seconds,omitempty"`
	// Kind and Object name what failed, recovered, or left the group.
	Kind   string `json:"kind,omitempty"`
	Object string `json:"object,omitempty"`
}

// VRRPContribution is what one tracked thing does to an instance.
type VRRPContribution struct {
	// Kind is interface, script, file, process or bfd.
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Weight int    `json:"weight"`
	// Adds is added to the priority now.
	Adds int `json:"adds"`
	// Fault holds the instance in FAULT.
	Fault bool `json:"fault,omitempty"`
}

// VRRPMissing is an object that is not in place, and why.
type VRRPMissing struct {
	Object string `json:"object"`
	Error  string `json:"error"`
}

// VRRPTracked is one script, file or process that is tracked.
type VRRPTracked struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	// Value is the number in a file, or how many processes there are.
	Value int `json:"value"`
	// Since is absent before the first result.
	Since *time.Time `json:"since,omitempty"`
	// Runs, Failed and Skipped are of a script.
	Runs    uint64 `json:"runs"`
	Failed  uint64 `json:"failed"`
	Skipped uint64 `json:"skipped"`
}

// VRRPTotals are counted for all instances together.
type VRRPTotals struct {
	// UnknownVRID packets are for routers that this host is no part of; Short
	// ones name none.
	UnknownVRID uint64 `json:"unknown_vrid"`
	Short       uint64 `json:"short"`
	// GratuitousARP and UnsolicitedNA were sent.
	GratuitousARP  uint64 `json:"gratuitous_arp"`
	UnsolicitedNA  uint64 `json:"unsolicited_na"`
	AnnounceErrors uint64 `json:"announce_errors"`
	// Objects are addresses, routes and rules. Restored ones had been removed
	// by somebody else.
	ObjectsAdded    uint64 `json:"objects_added"`
	ObjectsRemoved  uint64 `json:"objects_removed"`
	ObjectsRestored uint64 `json:"objects_restored"`
	ObjectErrors    uint64 `json:"object_errors"`
}

// FromVRRP returns the election as it stands in JSON.
func FromVRRP(instances []failover.Status, tracked []track.Status, stats failover.Stats) VRRP {
	out := VRRP{
		Instances: make([]VRRPInstance, 0, len(instances)),
		Tracked:   make([]VRRPTracked, 0, len(tracked)),
		Totals: VRRPTotals{
			UnknownVRID:     stats.Adverts.Unknown,
			Short:           stats.Adverts.Short,
			GratuitousARP:   stats.Announced.ARP,
			UnsolicitedNA:   stats.Announced.NA,
			AnnounceErrors:  stats.Announced.Errors,
			ObjectsAdded:    stats.Objects.Added,
			ObjectsRemoved:  stats.Objects.Removed,
			ObjectsRestored: stats.Objects.Restored,
			ObjectErrors:    stats.Objects.Failed,
		},
	}
	for _, s := range instances {
		out.Instances = append(out.Instances, fromInstance(s))
	}
	for _, s := range tracked {
		out.Tracked = append(out.Tracked, VRRPTracked{
			Kind: string(s.Kind), Name: s.Name, State: s.State.String(), Reason: s.Reason, Value: s.Value,
			Since: moment(s.Since), Runs: s.Runs.Made, Failed: s.Runs.Failed, Skipped: s.Runs.Skipped,
		})
	}
	return out
}

// SummarizeVRRP returns each instance in a few words.
func SummarizeVRRP(instances []failover.Status) []VRRPSummary {
	out := make([]VRRPSummary, 0, len(instances))
	for _, s := range instances {
		out = append(out, summarizeInstance(s))
	}
	return out
}

func summarizeInstance(s failover.Status) VRRPSummary {
	i := s.Instance
	state, since := i.State()
	master, priority := i.Master()
	return VRRPSummary{
		Name: i.Name(), Group: s.Group, State: state.String(), Since: since, Reason: i.Reason().String(),
		Priority: i.Priority(), Master: word(master), MasterPriority: priority, Serving: s.Serving,
	}
}

func fromInstance(s failover.Status) VRRPInstance {
	i := s.Instance
	cfg := i.Config()
	out := VRRPInstance{
		VRRPSummary:           summarizeInstance(s),
		Interface:             s.Interface,
		VRID:                  cfg.VRID,
		Version:               uint8(cfg.Version),
		Family:                "inet",
		Wants:                 i.Wants().String(),
		Why:                   fromReason(i.Reason()),
		BasePriority:          i.BasePriority(),
		Contributions:         []VRRPContribution{},
		Faults:                []string{},
		Source:                word(i.Source()),
		IntervalSeconds:       cfg.Interval.Seconds(),
		MasterIntervalSeconds: i.MasterInterval().Seconds(),
		PreemptAt:             moment(i.PreemptAt()),
		LastAdvert:            moment(i.LastAdvert()),
		Addresses:             []string{},
		Placed:                s.Addresses.Placed,
		Missing:               missing(s.Addresses.Missing),
		Counters:              make(map[string]uint64),
		Refused:               make(map[string]uint64),
		Overflowed:            s.Lost,
	}
	if cfg.IPv6 {
		out.Family = "inet6"
	}
	for _, c := range i.Contributions() {
		out.Contributions = append(out.Contributions, VRRPContribution{
			Kind: c.Kind.String(), Name: c.Name, Status: c.Status.String(), Weight: c.Weight, Adds: c.Adds, Fault: c.Fault,
		})
	}
	for _, f := range i.Faults() {
		out.Faults = append(out.Faults, f.String())
	}
	for _, a := range slices.Concat(s.Config.Addresses, s.Config.Excluded) {
		out.Addresses = append(out.Addresses, a.String())
	}
	for _, c := range vrrp.Counters() {
		out.Counters[c.String()] = i.Count(c)
	}
	for _, d := range vrrp.Drops() {
		if n := i.Dropped(d); n > 0 {
			out.Refused[d.String()] = n
		}
	}
	return out
}

func fromReason(r vrrp.Reason) VRRPReason {
	out := VRRPReason{
		Code: r.Code.String(), Peer: word(r.Peer), PeerPriority: r.PeerPriority, Priority: r.Priority,
		SilenceSeconds: r.Silence.Seconds(),
	}
	if r.Cause.Kind != 0 {
		out.Kind, out.Object = r.Cause.Kind.String(), r.Cause.Name
	}
	return out
}

func missing(list []keep.Missing) []VRRPMissing {
	out := make([]VRRPMissing, 0, len(list))
	for _, m := range list {
		out = append(out, VRRPMissing{Object: m.Item, Error: m.Error})
	}
	return out
}

// word prints an address, or nothing for none.
func word(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// moment returns nil for no time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
