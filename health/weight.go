package health

import "math"

// WeightChange is what checks do to the weight of a server. The zero value
// leaves it alone. Values are compared with ==.
type WeightChange struct {
	// Add is added to the configured weight.
	Add int64
	// Stated counts the sources that state the weight themselves, as
	// misc_dynamic does. Each adds the difference between what it states, which
	// is part of Add, and the configured weight.
	Stated int
}

// Apply returns the weight that a server of the configured weight shall have,
// between 0 and the largest that there is.
func (w WeightChange) Apply(configured int32) int32 {
	weight := w.Add + int64(configured)*int64(1-w.Stated)
	return int32(min(max(weight, 0), math.MaxInt32))
}

// plus joins the changes of two checks.
func (w WeightChange) plus(o WeightChange) WeightChange {
	return WeightChange{Add: w.Add + o.Add, Stated: w.Stated + o.Stated}
}
