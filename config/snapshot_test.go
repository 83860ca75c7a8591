package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// stored returns a snapshot as it comes back from where it was stored.
func stored(t *testing.T, s Snapshot) (back Snapshot) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// same compares all but what the file system gave.
func same(t *testing.T, got, want *Config) {
	t.Helper()
	a, b := *got, *want
	a.found, b.found = Snapshot{}, Snapshot{}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the snapshot is another configuration:\n%+v\nwant\n%+v", a, b)
	}
}

// TestSnapshotOutlivesFiles: a configuration of several files is read as it was,
// whatever became of them.
func TestSnapshotOutlivesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("main.conf", "global_defs {\n}\ninclude *.inc\ninclude one.part\nunknown_word\n")
	write("one.part", "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n  192.0.2.1\n }\n}\n")
	write("a.inc", "vrrp_instance B {\n interface eth0\n virtual_router_id 2\n virtual_ipaddress {\n  192.0.2.2\n }\n}\n")
	write("b.inc", "vrrp_instance C {\n interface eth0\n virtual_router_id 3\n virtual_ipaddress {\n  192.0.2.3\n }\n}\n")
	path := filepath.Join(dir, "main.conf")
	first, err := Load(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if len(first.VRRP.Instances) != 3 || len(first.Diagnostics) == 0 {
		t.Fatalf("%d instances, diagnostics %v", len(first.VRRP.Instances), first.Diagnostics)
	}
	kept := stored(t, first.Snapshot())
	write("a.inc", "broken {\n")
	write("c.inc", "also broken {\n")
	for _, name := range []string{"one.part", "b.inc"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(path, testOptions()); err == nil {
		t.Error("the broken files are read")
	}
	for range 2 { // the second is a snapshot of the first
		again, err := LoadSnapshot(kept, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		same(t, again, first)
		kept = stored(t, again.Snapshot())
	}
	if _, err := LoadSnapshot(Snapshot{Path: path}, testOptions()); err == nil {
		t.Error("an empty snapshot is a configuration")
	}
}
