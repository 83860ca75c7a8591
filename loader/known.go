package loader

import (
	"net/netip"

	"github.com/evenkeel/evenkeel/lbmaps"
)

// know sets the byte by which the program knows the end of a service or a server. It
// comes before what makes packets find them.
func (x *XDP) know(end netip.AddrPort) error { return x.putKnown(lbmaps.KnownEnd(end), 1) }

// putKnown writes a byte if it changes.
func (x *XDP) putKnown(end uint32, known byte) error {
	if known == x.known[end] {
		return nil
	}
	if err := x.tables.PutKnown(end, known); err != nil {
		return err
	}
	x.known[end] = known
	return nil
}

// wanted are the ends that have to be known, and all says whether those are all: a
// service that is gone is known for as long as its servers' slots are kept, since
// flows may still remember it.
func (x *XDP) wanted() (k *lbmaps.Known, all bool) {
	k, all = &lbmaps.Known{}, true
	running := map[uint32]bool{}
	for _, s := range x.state.Services() {
		k.Add(s.Service.Key.Addr)
		running[s.ID] = true
	}
	for _, s := range x.slots {
		k.Add(s.Addr)
		all = all && running[s.Service]
	}
	return k, all
}

// learn adds what ought to be known to what is.
func (x *XDP) learn() error {
	want, _ := x.wanted()
	for end, known := range want {
		if err := x.putKnown(uint32(end), x.known[end]|known); err != nil {
			return err
		}
	}
	x.stale = true
	return nil
}

// unlearn clears the bytes of what is gone for good. Nothing waits for it: one too
// many costs some packets time.
func (x *XDP) unlearn() error {
	if !x.stale {
		return nil
	}
	want, all := x.wanted()
	if !all {
		return nil
	}
	for end, known := range want {
		if err := x.putKnown(uint32(end), known); err != nil {
			return err
		}
	}
	x.stale = false
	return nil
}
