package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evenkeel/evenkeel/model"
)

func TestSyncDaemon(t *testing.T) {
	router := "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n"
	group := netip.MustParseAddr("239.1.2.3")
	tests := []struct {
		line string
		want *model.SyncDaemon
		says string
	}{
		{"eth1", &model.SyncDaemon{Interface: "eth1"}, ""},
		{"eth1 VI_1", &model.SyncDaemon{Interface: "eth1", Instance: "VI_1", ID: 51}, ""},
		{"eth1 inst VI_1 id 0", &model.SyncDaemon{Interface: "eth1", Instance: "VI_1"}, ""},
		{"eth1 VI_1 7", &model.SyncDaemon{Interface: "eth1", Instance: "VI_1", ID: 7}, ""},
		{
			"eth1 VI_1 id 9 maxlen 1400 port 8900 ttl 3 group 239.1.2.3",
			&model.SyncDaemon{Interface: "eth1", Instance: "VI_1", ID: 9, MaxLen: 1400, Port: 8900, TTL: 3, Group: group},
			"",
		},
		{"eth1 VI_2", nil, "no vrrp_instance VI_2 that runs"},
		{"", nil, "needs an argument"},
		{"eth1 id 256", nil, "256"},
		{"eth1 group 10.0.0.1", nil, "no multicast address"},
		{"eth1 VI_1 id", nil, "lacks an argument"},
		{"eth1 VI_1 7 8", nil, "not inst, id, maxlen"},
		{"eth1\nlvs_sync_daemon eth2", &model.SyncDaemon{Interface: "eth1"}, "is there already"},
	}
	for _, tt := range tests {
		c, err := loadText("global_defs {\nlvs_sync_daemon " + tt.line + "\n}\n" + router)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff(tt.want, c.Global.Sync, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
		said := ""
		for _, d := range c.Diagnostics {
			if strings.Contains(d.String(), "lvs_sync_daemon") {
				said += d.String() + "\n"
			}
		}
		if !strings.Contains(said, tt.says) || (tt.says == "") != (said == "") {
			t.Errorf("%q: the reader says %q, want %q", tt.line, said, tt.says)
		}
	}
}
