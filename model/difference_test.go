package model

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDifferences(t *testing.T) {
	base := func() VRRPInstance {
		return VRRPInstance{
			Name: "a", VRID: 7, Priority: 100, Interval: time.Second, Pos: Position{File: "x", Line: 3},
			Addresses: []Address{{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Interface: "eth0", Pos: Position{Line: 5}}},
			Auth:      VRRPAuth{Type: AuthPass, Secret: "one"},
			Scripts:   NotifyScripts{Master: &Script{Command: "/one", Pos: Position{Line: 9}}},
		}
	}
	for _, tc := range []struct {
		what   string
		change func(*VRRPInstance)
		want   string
	}{
		{"nothing", func(*VRRPInstance) {}, ""},
		{"another place", func(i *VRRPInstance) {
			i.Pos.Line, i.Addresses[0].Pos.Line, i.Scripts.Master.Pos.Line = 4, 6, 10
		}, ""},
		{"a number", func(i *VRRPInstance) { i.Priority = 150 }, "priority 100 to 150"},
		{"a time", func(i *VRRPInstance) { i.Interval = time.Minute }, "interval 1s to 1m0s"},
		{"a name with capitals", func(i *VRRPInstance) { i.NoPreempt, i.IPv6, i.VRID = true, true, 8 }, "vrid 7 to 8, ipv6 false to true, no_preempt false to true"},
		{"a secret", func(i *VRRPInstance) { i.Auth.Secret = "two" }, "auth secret changed"},
		{"an address more", func(i *VRRPInstance) {
			i.Addresses = append(i.Addresses, Address{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Interface: "eth1"})
		}, "addresses: + 192.0.2.2 dev eth1 scope global"},
		{"an address less", func(i *VRRPInstance) { i.Addresses = nil }, "addresses: - 192.0.2.1/24 dev eth0 scope global"},
		{"what the text of an address leaves out", func(i *VRRPInstance) { i.Addresses[0].NoTrack = true }, "addresses changed"},
		{"another script", func(i *VRRPInstance) { i.Scripts.Master = &Script{Command: "/two"} }, "scripts master /one to /two"},
		{"no script", func(i *VRRPInstance) { i.Scripts.Master = nil }, "scripts master /one to none"},
		{"a MAC", func(i *VRRPInstance) { i.VMAC = &VMAC{Name: "vrrp.7"} }, "vmac none to name vrrp.7"},
	} {
		to := base()
		tc.change(&to)
		if got := strings.Join(Differences(base(), to), ", "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.what, got, tc.want)
		}
	}
	to := base()
	to.Name, to.Priority = "b", 1
	if got := Differences(base(), to, "Name", "Priority"); len(got) > 0 {
		t.Errorf("left out, and still %v", got)
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"VRID": "vrid", "NoPreempt": "no_preempt", "HASuspend": "ha_suspend", "IPv6": "ipv6", "LogUnknownVRIDs": "log_unknown_vrids", "SMTPHelo": "smtp_helo", "A": "a",
	} {
		if got := snake(in); got != want {
			t.Errorf("snake(%s) = %s, want %s", in, got, want)
		}
	}
}
