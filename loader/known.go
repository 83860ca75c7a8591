package loader

import (
	"net/netip"

	"github.com/evenkeel/evenkeel/lbmaps"
)

// know sets the bit by which the program knows the end of a service or a server. It
// comes before what makes packets find them.
func (x *XDP) know(end netip.AddrPort) error {
	word, mask := lbmaps.KnownBit(end)
	return x.putKnown(word, x.known[word]|mask)
}

// putKnown writes a word if it changes.
func (x *XDP) putKnown(word uint32, bits uint64) error {
	if bits == x.known[word] {
		return nil
	}
	if err := x.tables.PutKnown(word, bits); err != nil {
		return err
	}
	x.known[word] = bits
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
	for word, bits := range want {
		if err := x.putKnown(uint32(word), x.known[word]|bits); err != nil {
			return err
		}
	}
	x.stale = true
	return nil
}

// unlearn clears the bits of what is gone for good. Nothing waits for it: a bit too
// many costs some packets time.
func (x *XDP) unlearn() error {
	if !x.stale {
		return nil
	}
	want, all := x.wanted()
	if !all {
		return nil
	}
	for word, bits := range want {
		if err := x.putKnown(uint32(word), bits); err != nil {
			return err
		}
	}
	x.stale = false
	return nil
}
