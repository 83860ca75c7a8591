package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// TestDumpSettings: where files go that signals and reloads make.
func TestDumpSettings(t *testing.T) {
	const text = "global_defs {\nstate_dump_file /run/ek/\nstats_dump_file /run/ek/stats\njson_dump_file /run/ek/vrrp.json\njson_version 2\nreload_check_config /run/ek/reload.log\n}\n"
	cfg := mustLoad(t, text)
	want := model.Dumps{State: "/run/ek/", Stats: "/run/ek/stats", JSON: "/run/ek/vrrp.json", JSONVersion: 2}
	if diff := cmp.Diff(want, cfg.Global.Dumps); diff != "" {
		t.Errorf("dumps (-want +got):\n%s", diff)
	}
	if cfg.Global.ReloadLog != "/run/ek/reload.log" {
		t.Errorf("reload log = %q", cfg.Global.ReloadLog)
	}
	if cfg.HasErrors() {
		t.Errorf("complaints: %v", cfg.Diagnostics)
	}
	if bad := mustLoad(t, "global_defs {\njson_version 3\nreload_check_config\n}\n"); bad.Global.Dumps.JSONVersion != 0 || !bad.HasErrors() {
		t.Errorf("json_version 3 gives %d, complaints %v", bad.Global.Dumps.JSONVersion, bad.Diagnostics)
	}
}
