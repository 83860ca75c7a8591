package failover

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

func TestDiff(t *testing.T) {
	base := func() model.VRRP {
		return model.VRRP{
			Instances: []model.VRRPInstance{instance("a", 1), instance("b", 2)},
			Groups:    []model.SyncGroup{{Name: "g", Members: []string{"a", "b"}}},
			Scripts:   []model.TrackScript{{Name: "s", Script: model.Script{Command: "/bin/true"}}},
		}
	}
	for _, tc := range []struct {
		what   string
		change func(*model.VRRP)
		want   []string
	}{
		{"nothing", func(*model.VRRP) {}, nil},
		{"other lines", func(v *model.VRRP) {
			v.Instances[0].Pos.Line, v.Groups[0].Pos.Line, v.Scripts[0].Pos.Line, v.Scripts[0].Script.Pos.Line = 7, 8, 9, 10
		}, nil},
		{"another order", func(v *model.VRRP) { v.Instances[0], v.Instances[1] = v.Instances[1], v.Instances[0] }, nil},
		{"a priority", func(v *model.VRRP) { v.Instances[1].Priority = 7 }, []string{"change vrrp_instance b: priority 100 to 7"}},
		// As in a reload, an instance is known by its router, not by its name.
		{"another name", func(v *model.VRRP) { v.Instances[1].Name, v.Groups[0].Members[1] = "c", "c" },
			[]string{"change vrrp_instance c: name b to c", "change vrrp_sync_group g: members: - b; members: + c"}},
		{"another VRID", func(v *model.VRRP) { v.Instances[1].VRID = 9 },
			[]string{"stop vrrp_instance b: says goodbye and gives up its addresses", "start vrrp_instance b: virtual_router_id 9 on eth0, priority 100"}},
		{"no group", func(v *model.VRRP) { v.Groups = nil }, []string{"stop vrrp_sync_group g:"}},
		{"another script", func(v *model.VRRP) { v.Scripts[0].Script.Command = "/bin/false" }, []string{"change vrrp_script s: script /bin/true to /bin/false"}},
		{"a setting", func(v *model.VRRP) { v.Global.LogUnknownVRIDs = true }, []string{"change global_defs: log_unknown_vrids false to true"}},
	} {
		to := base()
		tc.change(&to)
		var got []string
		for _, s := range Diff(base(), to) {
			got = append(got, strings.TrimSpace(s.Action+" "+s.Object+": "+s.Detail))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
}
