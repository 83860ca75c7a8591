package dump

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif/keep"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// instance returns an instance after events.
func instance(t *testing.T, cfg model.VRRPInstance, events ...vrrp.Event) vrrp.Instance {
	t.Helper()
	c := vrrp.Config{
		Name: cfg.Name, VRID: cfg.VRID, Version: vrrp.Version(cfg.Version), Priority: cfg.Priority, Interval: cfg.Interval,
		Source: netip.MustParseAddr("10.9.0.1"), Multicast: cfg.Multicast, DownTimerAdverts: cfg.DownAdverts,
		Addresses: []netip.Addr{cfg.Addresses[0].Prefix.Addr()},
	}
	i, err := vrrp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 12, 20, 53, 504_797_000, time.UTC)
	for _, ev := range events {
		i, _ = i.Step(at, ev, nil)
		if next, ok := i.Next(); ok {
			at = next
		}
	}
	return i
}

// someState has a master with all that can be printed, and a plain backup.
func someState(t *testing.T) State {
	script := func(command string) *model.Script { return &model.Script{Command: command} }
	one := model.VRRPInstance{
		Name: "VI_1", VRID: 51, Version: 3, Interface: "e0", Priority: 100, Interval: 500 * time.Millisecond, DownAdverts: 3,
		Multicast: vrrp.MulticastGroup(false), PreemptDelay: 3 * time.Second, Mail: true,
		Addresses: []model.Address{
			{Prefix: netip.MustParsePrefix("10.9.0.100/24"), Interface: "e0"},
			{Prefix: netip.MustParsePrefix("10.9.0.101/32"), Interface: "e0", Label: "e0:1"},
		},
		Excluded: []model.Address{{Prefix: netip.MustParsePrefix("fd00::100/64"), Interface: "e0"}, {Prefix: netip.MustParsePrefix("10.9.0.102/32"), Interface: "e7"}},
		Announce: model.VRRPAnnounce{Delay: time.Second, Repeat: 5, LowerPrioDelay: 5 * time.Second, LowerPrioRepeat: 5, RefreshRepeat: 1},
		Routes:   []model.Route{{Line: "10.55.0.0/24 via 10.9.0.7 dev e0"}},
		Rules:    []model.Rule{{Line: "from 10.1.0.0/16 table 5"}},
		Tracks: []model.Track{
			{Kind: model.TrackingInterface, Name: "e0", Implied: true}, {Kind: model.TrackingInterface, Name: "e1", Weight: 5},
			{Kind: model.TrackingScript, Name: "chk", Weight: 10, Reverse: true},
			{Kind: model.TrackingFile, Name: "tf", Weight: 2}, {Kind: model.TrackingProcess, Name: "sl", Weight: 3},
		},
		Scripts: model.NotifyScripts{Master: script("/bin/true m"), Generic: script("/bin/true 'x'"), DeletedEvent: true},
	}
	two := model.VRRPInstance{
		Name: "VI_2", VRID: 52, Version: 2, Interface: "e0", Priority: 90, Interval: time.Second, DownAdverts: 3, NoPreempt: true, NoAccept: true,
		Multicast: vrrp.MulticastGroup(false), Auth: model.VRRPAuth{Type: model.AuthPass, Secret: "12345678"},
		Addresses: []model.Address{{Prefix: netip.MustParsePrefix("10.9.0.110/24"), Interface: "e0"}}, VMAC: &model.VMAC{},
	}
	heard := vrrp.Heard{Priority: 150, Interval: time.Second, Source: netip.MustParseAddr("10.9.0.2")}
	return State{
		Global: model.Global{RouterID: "T", Scripts: model.ScriptSettings{Security: true}},
		VRRP: model.VRRP{
			Instances: []model.VRRPInstance{one, two},
			Groups:    []model.SyncGroup{{Name: "G", Members: []string{"VI_2"}}},
			Scripts:   []model.TrackScript{{Name: "chk", Script: model.Script{Command: "/bin/true"}, Interval: time.Second, Weight: 10, Rise: 1, Fall: 1}},
			Files:     []model.TrackFile{{Name: "tf", Path: "/tf", Weight: 2}},
			Processes: []model.TrackProcess{{Name: "sl", Process: "sleep", Quorum: 1, QuorumMax: -1, Weight: 3}},
		},
		Instances: []failover.Status{
			{
				Config: one, Interface: "e0", Instance: instance(t, one, vrrp.Start{}, vrrp.Tick{}, vrrp.Tick{}),
				Addresses: keep.Status{Placed: 3, Missing: []keep.Missing{{Item: "address 10.9.0.102/32 dev e7", Error: "no such device"}}},
			},
			{Group: "G", Config: two, Interface: "vrrp.52", Instance: instance(t, two, vrrp.Start{}, heard)},
		},
		Tracked: []track.Status{
			{Kind: track.Script, Name: "chk", State: track.Up}, {Kind: track.File, Name: "tf", State: track.Up, Value: 4},
			{Kind: track.Process, Name: "sl", State: track.Down},
		},
	}
}

func TestForms(t *testing.T) {
	s := someState(t)
	golden(t, DataFile, s.Data())
	golden(t, StatsFile, s.Stats(nil))
	got, err := s.JSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, JSONFile, got)
	if got, err := (State{}).JSON(nil); err != nil || string(got) != "[]\n" {
		t.Errorf("nothing: %s, %v", got, err)
	}
}

// TestJSONVersion2: the array of version 1, and the processes.
func TestJSONVersion2(t *testing.T) {
	s := someState(t)
	s.VRRP.Processes = append(s.VRRP.Processes, model.TrackProcess{
		Name: "two", Process: "/bin/two", Params: []string{"a", "b"}, Match: model.MatchPartial, Quorum: 2, QuorumMax: 5, Weight: 4, Reverse: true,
		ForkDelay: 500 * time.Millisecond, FullCommand: true,
	})
	one, err := s.JSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Global.Dumps.JSONVersion = 2
	two, err := s.JSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		VRRP      json.RawMessage  `json:"vrrp"`
		Processes []map[string]any `json:"track_process"`
	}
	if err := json.Unmarshal(two, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(one), string(got.VRRP)+"\n"); diff != "" {
		t.Errorf("vrrp (-version 1 +version 2):\n%s", diff)
	}
	want := []map[string]any{
		{
			"process": "sleep", "param_match": "none", "min_processes": 1.0, "current_processes": 0.0, "have_quorum": false, "weight": 3.0,
			"terminate_delay": 0.0, "fork_delay": 0.0, "full_command": false,
		},
		{
			"process": "/bin/two", "parameters": "a b", "param_match": "partial", "min_processes": 2.0, "max_processes": 5.0, "current_processes": 0.0, "have_quorum": false,
			"weight": -4.0, "terminate_delay": 0.0, "fork_delay": 0.5, "full_command": true,
		},
	}
	if diff := cmp.Diff(want, got.Processes); diff != "" {
		t.Errorf("track_process (-want +got):\n%s", diff)
	}
}

func TestPlace(t *testing.T) {
	for asked, want := range map[string]string{
		"": "/tmp/k.json", "/run/x.json": "/run/x.json", "/run/ek/": "/run/ek/k.json", "x.json": "/tmp/x.json", "ek/": "/tmp/ek/k.json",
	} {
		dir, name := Place("/tmp", "k.json", asked)
		if got := filepath.Join(dir, name); got != want {
			t.Errorf("%q gives %s, want %s", asked, got, want)
		}
	}
}

func TestClear(t *testing.T) {
	s := someState(t)
	if s.Clear()["VI_1"].AdvertsSent == 0 {
		t.Fatal("the master sent nothing")
	}
	cleared := s.Clear()
	if got := cleared.since(s.Instances[0].Instance); got != (Counters{}) {
		t.Errorf("after the clearing: %+v", got)
	}
	again, _ := s.Instances[0].Instance.Step(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), vrrp.Stop{}, nil)
	if got := cleared.since(again); got.AdvertsSent != 1 || got.PriorityZeroSent != 1 || got.ReleasedMaster != 1 || got.BecameMaster != 0 {
		t.Errorf("after a goodbye: %+v", got)
	}
	cleared["VI_1"] = Counters{AdvertsSent: 1000, BecameMaster: 1000}
	if got := cleared.since(again); got.BecameMaster != 1 {
		t.Errorf("an instance that began anew: %+v", got)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	victim, target := filepath.Join(dir, "victim"), filepath.Join(dir, JSONFile)
	if err := os.WriteFile(victim, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, target); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := Write(dir, JSONFile, []byte(text)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(target)
		if err != nil || info.Mode() != fileMode {
			t.Fatalf("%v, %v", info, err)
		}
		if got, err := os.ReadFile(target); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "mine" {
		t.Errorf("the link was followed: %q, %v", got, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	if err := Write(filepath.Join(dir, "none"), JSONFile, nil); err == nil {
		t.Error("no error without a directory")
	}
}

// TestJSONAsReadersDecodeIt: one common exporter takes the delays as integers.
func TestJSONAsReadersDecodeIt(t *testing.T) {
	got, err := someState(t).JSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Data struct {
			IName          string   `json:"iname"`
			State          int      `json:"state"`
			WantState      int      `json:"wantstate"`
			Intf           string   `json:"ifp_ifname"`
			LastTransition float64  `json:"last_transition"`
			GArpDelay      int      `json:"garp_delay"`
			VRID           int      `json:"vrid"`
			VIPs           []string `json:"vips"`
		} `json:"data"`
		Stats struct {
			AdvertSent int `json:"advert_sent"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(got, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Data.State != 2 || list[1].Data.State != 1 || list[0].Data.GArpDelay != 1 || list[0].Stats.AdvertSent == 0 {
		t.Errorf("%+v", list)
	}
}
