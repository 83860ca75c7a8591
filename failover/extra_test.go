package failover

import (
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// TestExtraLinks: garp_extra_if is about interfaces that adverts do not leave by.
func TestExtraLinks(t *testing.T) {
	eth1 := model.Address{Prefix: prefix("10.91.0.1/24"), Interface: "eth1"}
	again := model.Address{Prefix: prefix("10.91.0.2/24"), Interface: "eth1"}
	eth2 := model.Address{Prefix: prefix("10.92.0.1/24"), Interface: "eth2", UseVMAC: true}
	own := model.Address{Prefix: prefix("10.90.0.9/24"), Interface: "eth0", UseVMAC: true}
	for _, tt := range []struct {
		name     string
		vmac     *model.VMAC
		excluded []model.Address
		all      bool
		want     []string
	}{
		{name: "all addresses with the adverts"},
		{name: "the same, all", all: true},
		{name: "another interface", excluded: []model.Address{eth1}},
		{name: "another interface, all", excluded: []model.Address{eth1, again}, all: true, want: []string{"eth1"}},
		{name: "a virtual MAC elsewhere", excluded: []model.Address{eth1, eth2}, want: []string{"vrrp.51"}},
		{name: "a virtual MAC on the own interface", excluded: []model.Address{own}, want: []string{"vrrp.51"}},
		{name: "use_vmac", vmac: &model.VMAC{}, excluded: []model.Address{eth1}},
		{name: "use_vmac and elsewhere", vmac: &model.VMAC{}, excluded: []model.Address{eth2}, want: []string{"vrrp.51.1"}},
		{name: "vmac_xmit_base alone", vmac: &model.VMAC{TransmitBase: true}},
		{name: "vmac_xmit_base and elsewhere", vmac: &model.VMAC{TransmitBase: true}, excluded: []model.Address{eth2}, want: []string{"vrrp.51", "vrrp.51.1"}},
	} {
		i := instance("A", 51)
		i.VMAC, i.Excluded = tt.vmac, tt.excluded
		i.Announce.Extra, i.Announce.ExtraAll = time.Minute, tt.all
		m := mustPlan(t, model.VRRP{Global: model.VRRPGlobal{VMACPrefix: "vrrp"}, Instances: []model.VRRPInstance{i}}).units[0].members[0]
		if slices.Sort(m.extra); !slices.Equal(m.extra, tt.want) {
			t.Errorf("%s: announces on %q, want %q", tt.name, m.extra, tt.want)
		}
		if ticks := m.election.Announce.Extra > 0; ticks != (len(tt.want) > 0) {
			t.Errorf("%s: the election's timer runs: %v", tt.name, ticks)
		}
	}
}
