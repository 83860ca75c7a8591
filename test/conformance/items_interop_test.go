//go:build interop

package conformance

import "slices"

// items returns the checklist, as far as it is run on the wire.
func items() []item {
	return slices.Concat(sending(), receiving(), timing(), states(), linking())
}
