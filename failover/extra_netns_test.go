//go:build netns

package failover

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/vrrp"
)

// TestExtraAnnouncements: an address on a virtual MAC that no advert leaves by
// (use_vmac_addr) is announced again and again with garp_extra_if.
func TestExtraAnnouncements(t *testing.T) {
	s := newSite(t, 1)
	a := s.routers[0]
	i := quick(instance("VI", 1), 200)
	i.Addresses[0].UseVMAC = true
	i.Announce = model.VRRPAnnounce{Repeat: 1, Extra: 200 * time.Millisecond}
	a.start(config(i))
	a.await("VI", vrrp.Master)
	labtest.Until(t, "an answer from the virtual MAC", func() bool {
		return s.answers(vip) && s.neighbour(vip) == "00:00:5e:00:01:01"
	})
	announced := a.service.Stats().Announced.ARP
	labtest.Until(t, "five more announcements", func() bool { return a.service.Stats().Announced.ARP >= announced+5 })
	a.end()
}
