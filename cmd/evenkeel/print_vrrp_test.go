package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// someVRRP has all that a block can show.
func someVRRP() api.VRRP {
	at := time.Date(2026, 11, 21, 12, 4, 14, 0, time.UTC)
	master := api.VRRPInstance{
		VRRPSummary: api.VRRPSummary{
			Name: "VI_1", Group: "G", State: "MASTER", Since: at, Reason: "no advert from 10.0.0.2 for 3.6s",
			Priority: 110, Master: "10.0.0.1", MasterPriority: 110,
		},
		Interface: "eth0", VRID: 51, Version: 3, Family: "inet", Wants: "MASTER", BasePriority: 100, Source: "10.0.0.1",
		IntervalSeconds: 1, MasterIntervalSeconds: 1,
		Contributions: []api.VRRPContribution{
			{Kind: "script", Name: "chk", Status: "up", Weight: 20, Adds: 20},
			{Kind: "file", Name: "load", Status: "up", Weight: -1, Adds: -10},
			{Kind: "interface", Name: "eth0", Status: "up"},
		},
		Addresses: []string{"192.0.2.10/24 dev eth0 scope global", "192.0.2.11/24 dev eth1 scope global"}, Placed: 1,
		Missing:  []api.VRRPMissing{{Object: "192.0.2.11/24 dev eth1", Error: "no such device"}},
		Counters: map[string]uint64{"advert_sent": 12, "advert_rcvd": 340, "become_master": 1, "release_master": 0},
		Refused:  map[string]uint64{"checksum_err": 2},
	}
	fault := api.VRRPInstance{
		VRRPSummary: api.VRRPSummary{Name: "VI_2", State: "FAULT", Since: at, Reason: "script chk failed", Priority: 100, Serving: true},
		VRID:        52, Version: 2, Family: "inet", Wants: "FAULT", BasePriority: 100, IntervalSeconds: 1, MasterIntervalSeconds: 1,
		Contributions: []api.VRRPContribution{{Kind: "script", Name: "chk", Status: "down", Fault: true}},
		Faults:        []string{"script chk failed"},
	}
	waits := api.VRRPInstance{
		VRRPSummary: api.VRRPSummary{Name: "VI_3", State: "BACKUP", Since: at, Reason: "started", Priority: 254, Master: "fe80::2"},
		Interface:   "vrrp6.53", VRID: 53, Version: 3, Family: "inet6", Wants: "MASTER", BasePriority: 254,
		IntervalSeconds: 0.1, MasterIntervalSeconds: 0.2, PreemptAt: &at,
	}
	return api.VRRP{
		Instances: []api.VRRPInstance{master, fault, waits},
		Tracked: []api.VRRPTracked{
			{Kind: "script", Name: "chk", State: "down", Reason: "exit status 1", Since: &at, Runs: 7, Failed: 1},
			{Kind: "file", Name: "load", State: "unknown"},
		},
		Totals: api.VRRPTotals{UnknownVRID: 3, GratuitousARP: 10, ObjectsAdded: 2, ObjectsRestored: 1, ObjectErrors: 1},
	}
}

func TestPrintVRRP(t *testing.T) {
	var out bytes.Buffer
	printVRRP(&out, someVRRP())
	golden(t, "vrrp.txt", out.Bytes())
	out.Reset()
	printVRRP(&out, api.VRRP{})
	golden(t, "vrrp-none.txt", out.Bytes())
}
