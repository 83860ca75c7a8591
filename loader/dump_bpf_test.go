//go:build bpf

package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Every map is dumped with the names and numbers that bpftool prints, and with
// addresses.
func TestDumpMap(t *testing.T) {
	resolver := newFakeResolver()
	r := newRig(t, func(o *Options) { o.Resolver = resolver })
	svc := service(vip)
	svc.Scheduler = "wrr"
	r.apply(op(sched.AddService, svc))
	for n := range 3 {
		s := realServer(n, 2)
		s.Forward = model.NAT
		resolver.set(nil, s.Addr.Addr(), resolved(serverMAC))
		r.apply(op(sched.AddServer, svc, s))
	}
	r.chosen(1000)
	view, err := Open(string(r.pins))
	check(t, err)
	defer view.Close()

	lines := map[string]string{}
	for _, name := range lbmaps.Names() {
		var all []lbmaps.Entry
		check(t, view.DumpMap(name, false, func(e lbmaps.Entry) bool { all = append(all, e); return true }))
		text, err := json.Marshal(all)
		check(t, err)
		lines[name] = string(text)
	}
	for name, want := range map[string][]string{
		"ek_services":     {`"addr":"198.51.100.1","port":53,"proto":17`, `"scheduler":"SCHED_WRR"`},
		"ek_servers":      {`"addr":"10.0.0.2","port":53,"forward":"FORWARD_NAT","flags":2,"weight":2`, `"dmac":"02:00:00:00:00:51"`},
		"ek_server_conns": {`"total":1`},
		"ek_flows":        {`"caddr":"192.0.2.9","vaddr":"198.51.100.1","cport":1000,"vport":53,"proto":17`, `"state":"FLOW_UDP"`},
		"ek_replies":      {`"caddr":"192.0.2.9"`, `"vaddr":"198.51.100.1","vport":53`},
		"ek_reasons":      {`{"number":51,"name":"forwarded_nat"}`},
		"ek_ports":        {`{"key":1,"value":{"enabled":1,"mac":"02:00:00:00:00:01","device":1,"ifindex":1,"vlan":0}}`},
		"ek_cursors":      {`"position":1,"generation":4`},
		"ek_tables":       {`{"place":0,"key":0,"value":`},
		"ek_settings":     {`"timeout":[2,900,120`},
		"ek_known":        {fmt.Sprintf(`"%d":1`, lbmaps.KnownEnd(vip))},
	} {
		for _, part := range want {
			if !strings.Contains(lines[name], part) {
				t.Errorf("%s has no %s:\n%s", name, part, lines[name])
			}
		}
	}
	if err := view.DumpMap("ek_nothing", false, nil); !errors.Is(err, lbmaps.ErrNoMap) {
		t.Errorf("a map that does not exist: %v", err)
	}
	for _, name := range []string{"ek_services", "ek_servers", "ek_flows", "ek_replies", "ek_cursors", "ek_ports", "ek_orders"} {
		r.compareBPFTool(name, lines[name])
	}
	shapes, err := view.MapShapes()
	check(t, err)
	if len(shapes) != len(lbmaps.Names()) {
		t.Errorf("%d maps are listed, there are %d", len(shapes), len(lbmaps.Names()))
	}
}

// compareBPFTool looks for each of our field names in what bpftool prints.
func (r *rig) compareBPFTool(name, dumped string) {
	r.t.Helper()
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		r.t.Skip("bpftool is not installed")
	}
	pin := name
	if name == "ek_flows" {
		pin = lbmaps.ShardName(r.shardInUse())
	}
	raw, err := exec.Command(tool, "map", "dump", "pinned", filepath.Join(r.pins.maps(), pin)).Output()
	check(r.t, err)
	var entries []any
	check(r.t, json.Unmarshal([]byte(dumped), &entries))
	for field := range fieldNames(entries) {
		if !strings.Contains(string(raw), `"`+field+`"`) {
			r.t.Errorf("%s: bpftool prints no field %s:\n%.2000s", name, field, raw)
		}
	}
}

// shardInUse returns the shard of the only flow.
func (r *rig) shardInUse() int {
	r.t.Helper()
	for i := range lbmaps.FlowShards {
		var key []byte
		if r.maps.Shard(i).NextKey(nil, &key) == nil {
			return i
		}
	}
	r.t.Fatal("no flow")
	return 0
}

// fieldNames are the names of all members in decoded JSON.
func fieldNames(v any) map[string]bool {
	names := map[string]bool{}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			for n := range fieldNames(e) {
				names[n] = true
			}
		}
	case map[string]any:
		for n, e := range v {
			if n != "place" {
				names[n] = true
			}
			for inner := range fieldNames(e) {
				names[inner] = true
			}
		}
	}
	return names
}
