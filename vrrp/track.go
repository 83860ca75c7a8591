package vrrp

import (
	"fmt"
	"slices"
)

// TrackKind says what kind of thing is tracked or failed.
type TrackKind uint8

// The kinds. A Track is of one of the first five.
const (
	TrackInterface TrackKind = iota + 1
	TrackScript
	TrackFile
	TrackProcess
	TrackBFD
	// FaultSource: there is no source address.
	FaultSource
	// FaultGroup: a member of the sync group is in fault.
	FaultGroup
)

// String returns the kind as it is printed before a name.
func (k TrackKind) String() string {
	switch k {
	case TrackInterface:
		return "interface"
	case TrackScript:
		return "script"
	case TrackFile:
		return "file"
	case TrackProcess:
		return "process"
	case TrackBFD:
		return "bfd"
	case FaultSource:
		return "source address"
	case FaultGroup:
		return "sync group member"
	}
	return fmt.Sprintf("track %d", uint8(k))
}

// object returns kind and name.
func (k TrackKind) object(name string) string {
	if name == "" {
		return k.String()
	}
	return k.String() + " " + name
}

// TrackStatus is what is known of a tracked thing.
type TrackStatus uint8

// The statuses.
const (
	// Unknown: no result yet. With weight 0 it keeps the instance in fault,
	// with a weight it counts nothing.
	Unknown TrackStatus = iota
	Up
	Down
)

// String returns the status.
func (s TrackStatus) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Track is one thing that an instance depends on.
type Track struct {
	Kind TrackKind
	Name string
	// Weight is added to the priority while the thing is up if positive, and
	// while it is down if negative. Zero: down is a fault. A file's number is
	// multiplied with it, or with zero is a fault unless it is zero itself.
	Weight int
	// Reverse turns the sign of what is added. With weight 0 it makes up the
	// fault, and of a file the number 0.
	Reverse bool
}

// Cause is a fault.
type Cause struct {
	Kind TrackKind
	Name string
	// Status is Unknown while the thing has given no result yet.
	Status TrackStatus
}

// String says what is wrong.
func (c Cause) String() string {
	switch {
	case c.Kind == 0:
		return "none"
	case c.Kind == FaultSource:
		return "no source address"
	case c.Kind == FaultGroup:
		return c.Kind.object(c.Name) + " is in fault"
	case c.Status == Unknown:
		return c.Kind.object(c.Name) + " has no result yet"
	case c.Kind == TrackScript || c.Kind == TrackFile:
		return c.Kind.object(c.Name) + " failed"
	}
	return c.Kind.object(c.Name) + " is down"
}

// Contribution is what one track adds to the priority now.
type Contribution struct {
	Kind   TrackKind
	Name   string
	Status TrackStatus
	Weight int
	// Adds is zero while the track has no say.
	Adds int
	// Fault says that it holds the instance in FAULT.
	Fault bool
}

// tracked is a Track with its latest news.
type tracked struct {
	Track
	status TrackStatus
	value  int
}

const (
	// fileFault is the product of value and weight at which a file is a fault,
	// as in keepalived.
	fileFault = -254
	// weightMost is the most that anything adds.
	weightMost = 253
	// fileBound keeps a product from wrapping around.
	fileBound = 1 << 20
)

// contribution returns what the track says.
func (t tracked) contribution() Contribution {
	c := Contribution{Kind: t.Kind, Name: t.Name, Status: t.status, Weight: t.Weight}
	if t.Kind == TrackFile {
		c.Adds, c.Fault = t.fileSays()
		return c
	}
	if t.Weight == 0 {
		c.Fault = t.status == Unknown || (t.status == Down) != t.Reverse
		return c
	}
	if t.status == Up && t.Weight > 0 || t.status == Down && t.Weight < 0 {
		c.Adds = min(max(t.Weight, -weightMost), weightMost)
	}
	if t.Reverse {
		c.Adds = -c.Adds
	}
	return c
}

// fileSays treats a missing or unreadable file as the number 0.
func (t tracked) fileSays() (adds int, fault bool) {
	value := t.value
	if t.status != Up {
		value = 0
	}
	if t.Weight == 0 {
		return 0, (value != 0) != t.Reverse
	}
	weight := t.Weight
	if t.Reverse {
		weight = -weight
	}
	product := min(max(value, -fileBound), fileBound) * weight
	if product <= fileFault {
		return 0, true
	}
	return min(product, weightMost), false
}

// Contributions returns what each track adds to the priority, in the order of
// the configuration.
func (i Instance) Contributions() []Contribution {
	list := make([]Contribution, len(i.tracks))
	for n, t := range i.tracks {
		list[n] = t.contribution()
	}
	return list
}

// Faults returns what holds the instance in FAULT, or would.
func (i Instance) Faults() []Cause {
	faults := i.ownFaults()
	if i.groupFault != "" {
		faults = append(faults, Cause{Kind: FaultGroup, Name: i.groupFault, Status: Down})
	}
	return faults
}

// ownFaults leaves the faults of other members of the group out.
func (i *Instance) ownFaults() []Cause {
	var faults []Cause
	if !i.source.IsValid() {
		faults = append(faults, Cause{Kind: FaultSource, Status: Down})
	}
	for _, t := range i.tracks {
		if t.contribution().Fault {
			faults = append(faults, Cause{Kind: t.Kind, Name: t.Name, Status: t.status})
		}
	}
	return faults
}

// setTracks takes the tracks of a new configuration and keeps what is known.
func (i *Instance) setTracks(list []Track) {
	old := i.tracks
	i.tracks = make([]tracked, len(list))
	for n, t := range list {
		i.tracks[n] = tracked{Track: t}
		if at := findTrack(old, t.Kind, t.Name); at >= 0 {
			i.tracks[n].status, i.tracks[n].value = old[at].status, old[at].value
		}
	}
}

func findTrack(list []tracked, kind TrackKind, name string) int {
	return slices.IndexFunc(list, func(t tracked) bool { return t.Kind == kind && t.Name == name })
}

// effective returns the priority with all contributions, within 1 to 254. An
// owner's never changes.
func (i *Instance) effective() uint8 {
	if i.cfg.owner() {
		return PriorityOwner
	}
	sum := int(i.base)
	for _, t := range i.tracks {
		sum += t.contribution().Adds
	}
	return uint8(min(max(sum, 1), PriorityOwner-1))
}
