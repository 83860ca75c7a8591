package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// InstanceReport is one vrrp_instance that can run.
type InstanceReport struct {
	Name     string         `json:"name"`
	Position model.Position `json:"position"`
	// Group is its sync group or empty.
	Group     string `json:"group,omitempty"`
	Interface string `json:"interface,omitempty"`
	VRID      uint8  `json:"virtual_router_id"`
	Version   uint8  `json:"version"`
	// Family is inet or inet6.
	Family   string `json:"family"`
	Priority uint8  `json:"priority"`
	// IntervalSeconds is advert_int.
	IntervalSeconds float64 `json:"interval_seconds"`
	// Peers are those of a unicast instance; a multicast one has none.
	Peers []string `json:"peers"`
	// Addresses are as ip prints them, with the excluded ones behind.
	Addresses []string `json:"addresses"`
	// Tracks are what the instance depends on: script chk.
	Tracks []string `json:"tracks"`
}

func instanceReports(v model.VRRP) []InstanceReport {
	list := []InstanceReport{}
	for _, i := range v.Instances {
		r := InstanceReport{
			Name: i.Name, Position: i.Pos, Interface: i.Interface, VRID: i.VRID, Version: i.Version, Family: "inet",
			Priority: i.Priority, IntervalSeconds: i.Interval.Seconds(),
			Peers: []string{}, Addresses: []string{}, Tracks: []string{},
		}
		if i.IPv6 {
			r.Family = "inet6"
		}
		tracks := slices.Clone(i.Tracks)
		for _, g := range v.Groups {
			if slices.Contains(g.Members, i.Name) {
				r.Group = g.Name
				tracks = append(tracks, g.Tracks...)
			}
		}
		for _, p := range i.Peers {
			r.Peers = append(r.Peers, p.Addr.String())
		}
		for _, a := range slices.Concat(i.Addresses, i.Excluded) {
			r.Addresses = append(r.Addresses, a.String())
		}
		for _, t := range tracks {
			r.Tracks = append(r.Tracks, t.Kind.String()+" "+t.Name)
		}
		list = append(list, r)
	}
	return list
}

func (r Report) writeInstances(b *strings.Builder) {
	for _, i := range r.Instances {
		fmt.Fprintf(b, "%s: vrrp_instance %s, virtual router %d, version %d, %s", i.Position, i.Name, i.VRID, i.Version, i.Family)
		if i.Interface != "" {
			fmt.Fprintf(b, " on %s", i.Interface)
		}
		fmt.Fprintf(b, ", priority %d, adverts every %g s\n", i.Priority, i.IntervalSeconds)
		if i.Group != "" {
			fmt.Fprintf(b, "  in sync group %s\n", i.Group)
		}
		if len(i.Peers) > 0 {
			fmt.Fprintf(b, "  unicast to %s\n", strings.Join(i.Peers, ", "))
		}
		for _, a := range i.Addresses {
			fmt.Fprintf(b, "  %s\n", a)
		}
		if len(i.Tracks) > 0 {
			fmt.Fprintf(b, "  depends on %s\n", strings.Join(i.Tracks, ", "))
		}
	}
}
