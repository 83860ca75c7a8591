package loader

import (
	"maps"
	"testing"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// What the program knows follows from where it runs and which links there are.
func TestPortTable(t *testing.T) {
	links := []netif.Link{
		{Index: 2, Name: "eth0", Up: true},
		{Index: 3, Name: "eth1", Up: true},
		{Index: 4, Name: "bond0", Kind: "bond", Up: true},
		{Index: 5, Name: "eth2", Master: 4, Up: true},
		{Index: 10, Name: "vlan100", MAC: [6]byte{10}, Lower: 2, VLAN: 100, Up: true},
		{Index: 11, Name: "vlan200", MAC: [6]byte{11}, Lower: 2, VLAN: 200},            // down
		{Index: 12, Name: "eth1.100", MAC: [6]byte{12}, Lower: 3, VLAN: 100, Up: true}, // the program is not below
		{Index: 13, Name: "bond0.7", MAC: [6]byte{13}, Lower: 4, VLAN: 7, Up: true},
		{Index: 14, Name: "direct", MAC: [6]byte{14}, Lower: 2, VLAN: 300, Up: true}, // it runs on it
	}
	runs := map[string]*port{
		"eth0":   {name: "eth0", index: 2, mac: [6]byte{2}, mode: model.XDPNative},
		"bond0":  {name: "bond0", index: 4, mac: [6]byte{4}, mode: model.XDPNative},
		"direct": {name: "direct", index: 14, mac: [6]byte{14}, mode: model.XDPGeneric},
		"refuse": {name: "refuse", index: 3, mac: [6]byte{3}}, // not attached
	}
	got := portTable(runs, links)
	entries := map[uint32]lbmaps.Port{
		2:  {MAC: [6]byte{2}, Enabled: true, Device: 2, Ifindex: 2},
		4:  {MAC: [6]byte{4}, Enabled: true, Device: 4, Ifindex: 4},
		5:  {MAC: [6]byte{4}, Enabled: true, Device: 4, Ifindex: 4},
		10: {MAC: [6]byte{10}, Enabled: true, Device: 10, Ifindex: 2, VLAN: 100},
		11: {MAC: [6]byte{11}, Device: 11, Ifindex: 2, VLAN: 200},
		12: {MAC: [6]byte{12}, Device: 12, Ifindex: 3, VLAN: 100},
		13: {MAC: [6]byte{13}, Enabled: true, Device: 13, Ifindex: 4, VLAN: 7},
		14: {MAC: [6]byte{14}, Enabled: true, Device: 14, Ifindex: 14},
	}
	if !maps.Equal(got.entries, entries) {
		t.Errorf("ports are\n%v\nwant\n%v", got.entries, entries)
	}
	vlans := map[lbmaps.Tag]uint32{{Ifindex: 2, VLAN: 100}: 10, {Ifindex: 4, VLAN: 7}: 13, {Ifindex: 5, VLAN: 7}: 13}
	if !maps.Equal(got.vlans, vlans) {
		t.Errorf("VLANs are %v, want %v", got.vlans, vlans)
	}
}
