package config

import (
	"strings"
	"testing"
	"time"
)

// TestVMACAddresses: use_vmac_addr is about other interfaces and the other
// family, as keepalived's manual says.
func TestVMACAddresses(t *testing.T) {
	const text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\n%s\nvirtual_ipaddress {\n192.0.2.1/24\n192.0.2.2/24 dev eth0\n192.0.3.1/24 dev eth1\n}\n" +
		"virtual_ipaddress_excluded {\n192.0.4.1/24 dev eth1\n2001:db8::1/64\n}\n}"
	for words, want := range map[string]string{
		"":                        "",
		"use_vmac_addr":           "192.0.3.1 192.0.4.1 2001:db8::1",
		"use_vmac\nuse_vmac_addr": "192.0.3.1 192.0.4.1 2001:db8::1",
	} {
		i := one(t, strings.Replace(text, "%s", words, 1))
		var got []string
		for _, a := range append(i.Addresses, i.Excluded...) {
			if a.UseVMAC {
				got = append(got, a.Prefix.Addr().String())
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%q puts on virtual MACs %q, want %q", words, got, want)
		}
	}
}

func TestExtraInterfaces(t *testing.T) {
	const text = "global_defs {\n%g\n}\nvrrp_instance A {\ninterface eth0\nvirtual_router_id 51\n%i\nvirtual_ipaddress {\n192.0.2.1/24\n}\n}"
	for _, tt := range []struct {
		global, instance string
		period           time.Duration
		all              bool
		says             string
	}{
		{period: 0},
		{global: "vrrp_garp_extra_if 100", period: 100 * time.Second},
		{global: "vrrp_garp_extra_if all 100", period: 100 * time.Second, all: true},
		{global: "vrrp_garp_extra_if all 100", instance: "garp_extra_if 7", period: 7 * time.Second},
		{global: "vrrp_garp_extra_if 100", instance: "garp_extra_if 7 all", period: 7 * time.Second, all: true},
		{global: "vrrp_garp_extra_if all 100", instance: "garp_extra_if 0"},
		{global: "vrrp_garp_extra_if 0", says: `vrrp_garp_extra_if "0" is not a whole number from 1 to 86400`},
		{instance: "garp_extra_if all", says: "lacks the seconds"},
		{instance: "garp_extra_if 1.5", says: `garp_extra_if "1.5" is not a whole number from 0 to 86400`},
	} {
		c := mustLoad(t, strings.NewReplacer("%g", tt.global, "%i", tt.instance).Replace(text))
		a := c.VRRP.Instances[0].Announce
		if a.Extra != tt.period || a.ExtraAll != tt.all {
			t.Errorf("%q, %q: every %v, all %v, want %v, %v", tt.global, tt.instance, a.Extra, a.ExtraAll, tt.period, tt.all)
		}
		if said := complaints(c.Diagnostics); !strings.Contains(said, tt.says) || tt.says == "" && said != "" {
			t.Errorf("%q, %q: the reader says %q, want %q", tt.global, tt.instance, said, tt.says)
		}
	}
}
