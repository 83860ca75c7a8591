package sched

import "slices"

// numbers hands out the lowest free number, so that the maps stay dense.
type numbers struct {
	used []bool
}

// take returns the lowest free number and holds it.
func (n *numbers) take() uint32 {
	at := slices.Index(n.used, false)
	if at < 0 {
		at = len(n.used)
		n.used = append(n.used, false)
	}
	n.used[at] = true
	return uint32(at)
}

// hold marks a number as taken; it may be taken already.
func (n *numbers) hold(number uint32) {
	if grow := int(number) + 1 - len(n.used); grow > 0 {
		n.used = append(n.used, make([]bool, grow)...)
	}
	n.used[number] = true
}

// drop frees a number.
func (n *numbers) drop(number uint32) {
	n.used[number] = false
}
