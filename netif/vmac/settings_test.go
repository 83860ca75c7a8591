package vmac

import (
	"maps"
	"testing"
)

func TestShared(t *testing.T) {
	four := Interface{Name: "vrrp.51", Parent: "eth0"}
	six := Interface{Name: "vrrp6.51", Parent: "eth0", IPv6: true}
	tests := []struct {
		name     string
		made     []Interface
		rpFilter map[string]int
		want     settings
	}{
		{"none", nil, map[string]int{"all": 1, "eth0": 0}, settings{}},
		{"IPv6 asks for nothing", []Interface{six}, map[string]int{"all": 1, "eth0": 0}, settings{}},
		{"no filter", []Interface{four}, map[string]int{"all": 0, "eth0": 1}, settings{
			"ipv4/conf/eth0/arp_ignore": "1", "ipv4/conf/eth0/arp_filter": "1",
		}},
		{"filter moves to the links", []Interface{four},
			map[string]int{"all": 2, "default": 0, "eth0": 0, "eth1": 1, "eth2": 2, "vrrp.51": 0}, settings{
				"ipv4/conf/eth0/arp_ignore": "1", "ipv4/conf/eth0/arp_filter": "1",
				"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "2",
				"ipv4/conf/eth0/rp_filter": "2", "ipv4/conf/eth1/rp_filter": "2",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			made := make(map[string]Interface)
			for _, i := range tt.made {
				made[i.Name] = i
			}
			if got := shared(made, tt.rpFilter); !maps.Equal(got, tt.want) {
				t.Errorf("shared = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestUnchanged: what was changed already counts as it was, or it would be put
// back the next time.
func TestUnchanged(t *testing.T) {
	got := unchanged(map[string]int{"all": 0, "eth0": 1, "eth1": 1},
		map[string]string{"ipv4/conf/all/rp_filter": "1", "ipv4/conf/eth0/rp_filter": "0", "ipv4/conf/eth0/arp_ignore": "0"})
	if want := map[string]int{"all": 1, "eth0": 0, "eth1": 1}; !maps.Equal(got, want) {
		t.Errorf("unchanged = %v, want %v", got, want)
	}
}

func TestRouter(t *testing.T) {
	if got := Router(0x33, false); got != (MAC{0, 0, 0x5e, 0, 1, 0x33}) {
		t.Errorf("IPv4: %x", got)
	}
	if got := Router(255, true); got != (MAC{0, 0, 0x5e, 0, 2, 255}) {
		t.Errorf("IPv6: %x", got)
	}
}
