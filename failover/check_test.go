package failover

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

func TestMissingInterfaces(t *testing.T) {
	links := []netif.Link{{Name: "lo"}, {Name: "eth0"}}
	track := func(name string, weight int) model.Track {
		return model.Track{Kind: model.TrackingInterface, Name: name, Weight: weight}
	}
	for _, tt := range []struct {
		name     string
		instance model.VRRPInstance
		known    string
		want     string // part of the error; empty for none
	}{
		{"there", model.VRRPInstance{Interface: "eth0", Tracks: []model.Track{track("lo", 0)}}, "", ""},
		{"none named", model.VRRPInstance{}, "", ""},
		{"own", model.VRRPInstance{Interface: "eth9", Tracks: []model.Track{track("eth9", 0)}}, "", "interface eth9 does not exist (have: lo, eth0)"},
		{"tracked", model.VRRPInstance{Interface: "eth0", Tracks: []model.Track{track("eth9", 0)}}, "", "interface eth9"},
		{"tracked with a weight", model.VRRPInstance{Interface: "eth0", Tracks: []model.Track{track("eth9", -5)}}, "", ""},
		{"a script of the name", model.VRRPInstance{Interface: "eth0", Tracks: []model.Track{{Kind: model.TrackingScript, Name: "eth9"}}}, "", ""},
		{"gone since", model.VRRPInstance{Interface: "eth9"}, "eth9", ""},
	} {
		err := missingInterfaces(model.VRRP{Instances: []model.VRRPInstance{tt.instance}}, links, map[string]bool{tt.known: true})
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: said twice: %v", tt.name, err)
		}
	}
}
