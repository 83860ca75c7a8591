package track

import "fmt"

const (
	// maxWeight is the greatest weight of all but files and processes, and the
	// most that a file adds.
	maxWeight = 253
	// fileFault is the product of number and weight at which a file is a fault.
	fileFault = -254
	// owner is the priority that nothing changes.
	owner = 255
)

// Use is one line of a track block: what an instance makes of a tracked thing.
type Use struct {
	Kind Kind
	Name string
	// Weight and Reverse are those of the line, or of the tracked thing where
	// the line has none.
	Weight  int
	Reverse bool
}

// InGroup returns the use as it counts for a member of a sync group without
// sync_group_tracking_weight, and whether it counts at all: weights of
// interfaces and files become 0, scripts with a weight are left out, and
// processes and BFD sessions keep theirs.
func (u Use) InGroup() (Use, bool) {
	switch u.Kind {
	case Interface, File:
		u.Weight = 0
	case Script:
		return u, u.Weight == 0
	case Process, BFD:
	}
	return u, true
}

// Contribution is what a tracked thing does to an instance now.
type Contribution struct {
	Use    Use
	Status Status
	// Adds is added to the priority.
	Adds int
	// Fault keeps the instance in FAULT.
	Fault bool
	// Reason says all of it: script chk_http failed: -20.
	Reason string
}

// Contribution returns what a status does by this use.
//
// A weight above 0 is added while the thing is up, one below 0 while it is
// down. With weight 0, down is a fault, and so is a thing without a result yet.
// Reverse turns the sign of what is added; with weight 0 it makes up the fault.
//
// Of a file the number times the weight is added, at most 253; -254 or less is
// a fault. With weight 0 any number but 0 is a fault, reversed 0 is.
func (u Use) Contribution(s Status) Contribution {
	c := Contribution{Use: u, Status: s}
	if u.Kind == File {
		c.Adds, c.Fault = u.fileAdds(s)
	} else {
		c.Adds, c.Fault = u.adds(s.State)
	}
	effect := fmt.Sprintf("%+d", c.Adds)
	if c.Fault {
		effect = "FAULT"
	}
	c.Reason = fmt.Sprintf("%s %s %s: %s", u.Kind, u.Name, s.words(), effect)
	return c
}

func (u Use) adds(s State) (adds int, fault bool) {
	if s == Disabled {
		return 0, false
	}
	if u.Weight == 0 {
		return 0, s == Unknown || (s == Down) != u.Reverse
	}
	weight := min(max(u.Weight, -maxWeight), maxWeight)
	if s == Unknown || (s == Up) != (weight > 0) {
		return 0, false
	}
	if u.Reverse {
		weight = -weight
	}
	return weight, false
}

func (u Use) fileAdds(s Status) (adds int, fault bool) {
	if u.Weight == 0 {
		return 0, (s.Value != 0) != u.Reverse
	}
	// A product of two numbers of 32 bits does not wrap around.
	product := int64(s.Value) * int64(u.Weight)
	if u.Reverse {
		product = -product
	}
	if product <= fileFault {
		return 0, true
	}
	return int(min(product, maxWeight)), false
}

// words says what the thing does, after its name.
func (s Status) words() string {
	switch {
	case s.State == Disabled:
		return "is disabled"
	case s.Kind == File:
		return fmt.Sprintf("is %d", s.Value)
	case s.State == Unknown:
		return "has no result yet"
	case s.Kind == Script && s.State == Up:
		return "succeeded"
	case s.Kind == Script:
		return "failed"
	case s.Kind == Process && s.State == Up:
		return "has its quorum"
	case s.Kind == Process:
		return "lacks its quorum"
	}
	return "is " + s.State.String()
}

// Priority is the effective priority of an instance and what makes it.
type Priority struct {
	// Effective is what is advertised.
	Effective uint8
	// Total is the sum before it was brought into 1 to 254.
	Total int
	// Fault is set if any contribution is one.
	Fault         bool
	Contributions []Contribution
}

// Effective returns base with all contributions. The sum is brought into 1 to
// 254; a base of 255, the owner's, never changes.
func Effective(base uint8, list []Contribution) Priority {
	p := Priority{Total: int(base), Contributions: list}
	for _, c := range list {
		p.Fault = p.Fault || c.Fault
		if base != owner {
			p.Total += c.Adds
		}
	}
	p.Effective = base
	if base != owner {
		p.Effective = uint8(min(max(p.Total, 1), owner-1))
	}
	return p
}
