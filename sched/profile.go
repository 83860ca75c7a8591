package sched

// Profile says which generation of IPVS to follow where kernels differ. The
// zero value is the newest behaviour with the kernel's default table sizes.
type Profile struct {
	// OldOverhead counts 256·active + inactive in lc and wlc, as kernels before
	// 6.1.183 and 6.12.104 do; later ones count 256·active + total.
	OldOverhead bool
	// OldThresholds sets and clears the overload mark as those kernels do.
	OldThresholds bool
	// SHBits is CONFIG_IP_VS_SH_TAB_BITS, 4 to 20; 0 is the default 8.
	SHBits uint8
	// MHIndex is CONFIG_IP_VS_MH_TAB_INDEX, 8 to 17; 0 is the default 12.
	MHIndex uint8
}

// Load is what a decision knows of a server's flows.
type Load struct {
	// Active flows, and Total with the inactive ones.
	Active, Total uint32
	// Overloaded is IPVS's mark of a server that reached its upper threshold.
	Overloaded bool
}

// overhead is the cost that lc and wlc compare.
func (p Profile) overhead(l Load) uint64 {
	if p.OldOverhead {
		return uint64(l.Active)<<8 + uint64(l.Total-l.Active)
	}
	return uint64(l.Active)<<8 + uint64(l.Total)
}

// Bound returns the load of a server after one more flow was bound to it.
func (p Profile) Bound(l Load, upper, lower uint32) Load {
	l.Total++
	if upper == 0 {
		return l
	}
	if p.OldThresholds {
		if l.Total >= upper {
			l.Overloaded = true
		}
		return l
	}
	if l.Total == upper && l.Total >= release(upper, lower) {
		l.Overloaded = true
	}
	return l
}

// Unbound returns the load of a server after an inactive flow has gone.
func (p Profile) Unbound(l Load, upper, lower uint32) Load {
	l.Total--
	if !p.OldThresholds {
		if l.Total == release(upper, lower)-1 && l.Total < upper {
			l.Overloaded = false
		}
		return l
	}
	switch {
	case lower != 0:
		l.Overloaded = l.Overloaded && l.Total >= lower
	case upper != 0:
		l.Overloaded = l.Overloaded && uint64(l.Total)*4 >= uint64(upper)*3
	default:
		l.Overloaded = false
	}
	return l
}

// Edited returns the load of a server whose thresholds were changed.
func (p Profile) Edited(l Load, oldUpper, oldLower, upper, lower uint32) Load {
	if p.OldThresholds {
		if upper == 0 || upper > oldUpper {
			l.Overloaded = false
		}
		return l
	}
	switch {
	case upper == oldUpper && lower == oldLower:
	case upper == 0:
		l.Overloaded = false
	case l.Total >= upper:
		l.Overloaded = true
	case l.Total < release(upper, lower):
		l.Overloaded = false
	}
	return l
}

// release is the number of flows below which an overloaded server takes new
// flows again.
func release(upper, lower uint32) uint32 {
	if lower != 0 {
		return lower
	}
	return upper - upper>>2
}
