package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evenkeel/evenkeel/model"
)

// compareVRRP leaves places out of a comparison.
func compareVRRP() cmp.Options {
	return cmp.Options{
		cmpopts.IgnoreTypes(model.Position{}),
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

// one returns the only instance of a text.
func one(t *testing.T, text string) model.VRRPInstance {
	t.Helper()
	c := mustLoad(t, text)
	if len(c.VRRP.Instances) != 1 {
		t.Fatalf("%d instances, want 1:\n%s", len(c.VRRP.Instances), complaints(c.Diagnostics))
	}
	return c.VRRP.Instances[0]
}

func TestInstanceDefaults(t *testing.T) {
	got := one(t, "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n192.0.2.1/24\n}\n}")
	want := model.VRRPInstance{
		Name: "A", VRID: 51, Version: 2, Interface: "eth0", Priority: 100, Interval: time.Second,
		Addresses:   []model.Address{{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Interface: "eth0"}},
		Multicast:   netip.MustParseAddr("224.0.0.18"),
		UnicastTTL:  255,
		DownAdverts: 3,
		Announce:    model.VRRPAnnounce{Delay: 5 * time.Second, Repeat: 5, LowerPrioDelay: 5 * time.Second, LowerPrioRepeat: 5, RefreshRepeat: 1},
		Tracks:      []model.Track{{Kind: model.TrackingInterface, Name: "eth0", Implied: true}},
	}
	if diff := cmp.Diff(want, got, compareVRRP()); diff != "" {
		t.Errorf("instance differs (-want +got):\n%s", diff)
	}
	if want := (model.Position{File: "main.conf", Line: 1, Column: 1}); got.Pos != want {
		t.Errorf("position = %v, want %v", got.Pos, want)
	}
	if want := (model.Position{File: "main.conf", Line: 5, Column: 1}); got.Addresses[0].Pos != want {
		t.Errorf("position of the address = %v, want %v", got.Addresses[0].Pos, want)
	}
}

func TestIPv6InstanceDefaults(t *testing.T) {
	got := one(t, "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\nfe80::51/64\n2001:db8::1\n}\n}")
	if got.Version != 3 || !got.IPv6 || got.Multicast != netip.MustParseAddr("ff02::12") {
		t.Errorf("version %d, IPv6 %v, group %v, want version 3 with ff02::12", got.Version, got.IPv6, got.Multicast)
	}
	if got.Addresses[0].Deprecated || !got.Addresses[1].Deprecated {
		t.Errorf("deprecated = %v, %v, want only the /128", got.Addresses[0].Deprecated, got.Addresses[1].Deprecated)
	}
}

func TestEveryInstanceSetting(t *testing.T) {
	c := mustLoad(t, `vrrp_script chk {
	script "/bin/chk -a 'b c'"
	interval 0.5
	timeout 2
	weight -20 reverse
	rise 3
	fall 2
	user nobody nogroup
	init_fail
}
track_file f {
	file /run/f
	init_file overwrite 7
}
vrrp_track_process p {
	process nginx -g x
	param_match initial
	weight 9
	quorum 2
	quorum_max 5
	delay 3
	terminate_delay 0.5
	full_command
}
vrrp_instance A {
	state MASTER
	interface eth0
	virtual_router_id 7
	priority 200
	advert_int 2
	authentication {
		auth_type AH
		auth_pass secret
	}
	unicast_src_ip 192.0.2.8
	unicast_peer {
		192.0.2.9
		192.0.2.10 min_ttl 254
	}
	unicast_ttl 64
	track_src_ip
	old_unicast_checksum never
	v3_checksum_as_v2
	use_vmac v7 00:00:5e:00:01
	garp_master_delay 0
	garp_master_repeat 2
	garp_master_refresh 60
	garp_master_refresh_repeat 3
	garp_lower_prio_delay 4
	garp_lower_prio_repeat 0
	down_timer_adverts 4
	lower_prio_no_advert
	higher_prio_send_advert no
	owner_ignore_adverts
	skip_check_adv_addr
	promote_secondaries
	no_accept
	smtp_alert
	notify_priority_changes
	notify_master "/bin/m 1" root
	notify_backup /bin/b
	notify_fault /bin/f
	notify_stop /bin/s
	notify_deleted
	notify_master_rx_lower_pri /bin/l
	notify /bin/n nobody :nogroup
	virtual_ipaddress {
		192.0.2.1/24 brd + dev eth1 label eth1:v scope link home -nodad
		192.0.2.2 peer 192.0.2.99/30 dev eth2 no_track use_vmac
	}
	virtual_ipaddress_excluded {
		2001:db8::1/64 preferred_lft 30 mngtmpaddr noprefixroute autojoin
	}
	virtual_routes {
		default via 192.0.2.254 dev eth3
	}
	virtual_rules {
		from 192.0.2.0/24 table 100 priority 5
	}
	track_interface {
		eth4 weight -10
	}
	track_script {
		chk
	}
	track_file {
		f weight 0
	}
	track_process {
		p weight 4 reverse
	}
}
vrrp_sync_group G {
	group {
		A
	}
	sync_group_tracking_weight
	track_interface {
		eth5 weight 3
	}
	notify_master /bin/gm
	smtp_alert
	notify_priority_changes
}`)
	script := func(command string, account ...string) *model.Script {
		account = append(account, "", "")
		return &model.Script{Command: command, User: account[0], Group: account[1]}
	}
	iface := func(name string) model.Track {
		return model.Track{Kind: model.TrackingInterface, Name: name, Implied: true}
	}
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	want := model.VRRP{
		Global: model.VRRPGlobal{VMACPrefix: "vrrp"},
		Scripts: []model.TrackScript{{
			Name: "chk", Script: model.Script{Command: "/bin/chk -a 'b c'", User: "nobody", Group: "nogroup", Timeout: 2 * time.Second},
			Interval: 500 * time.Millisecond, Rise: 3, Fall: 2, InitFail: true, Weight: -20, Reverse: true,
		}},
		Files: []model.TrackFile{{Name: "f", Path: "/run/f", Init: model.InitFileOverwrite, InitValue: 7, Weight: 1}},
		Processes: []model.TrackProcess{{
			Name: "p", Process: "nginx", Params: []string{"-g", "x"}, Match: model.MatchInitial, FullCommand: true,
			Quorum: 2, QuorumMax: 5, ForkDelay: 3 * time.Second, TerminateDelay: 500 * time.Millisecond, Weight: 9,
		}},
		Instances: []model.VRRPInstance{{
			Name: "A", VRID: 7, Version: 2, Interface: "eth0", Priority: 200, Interval: 2 * time.Second,
			Addresses: []model.Address{
				{Prefix: prefix("192.0.2.1/24"), Broadcast: addr("192.0.2.255"), Interface: "eth1", Label: "eth1:v", Scope: 253, Home: true, DAD: true},
				{Prefix: prefix("192.0.2.2/32"), Peer: prefix("192.0.2.99/30"), Interface: "eth2", NoTrack: true, UseVMAC: true},
			},
			Excluded: []model.Address{{
				Prefix: prefix("2001:db8::1/64"), Interface: "eth0", PreferredLifetime: 30 * time.Second,
				ManageTemporary: true, NoPrefixRoute: true, AutoJoin: true,
			}},
			Routes: []model.Route{{
				Line: "default via 192.0.2.254 dev eth3", Type: 1, Dst: prefix("0.0.0.0/0"), Via: addr("192.0.2.254"), Interface: "eth3", Table: 254, Protocol: 18,
			}},
			Rules: []model.Rule{{
				Line: "from 192.0.2.0/24 table 100 priority 5", Priority: 5, From: prefix("192.0.2.0/24"), Action: 1, Table: 100, Protocol: 18,
			}},
			Source: addr("192.0.2.8"), TrackSource: true,
			Peers:      []model.VRRPPeer{{Addr: addr("192.0.2.9")}, {Addr: addr("192.0.2.10"), MinTTL: 254, MaxTTL: 255}},
			UnicastTTL: 64, CheckUnicastSource: true,
			Auth:         model.VRRPAuth{Type: model.AuthAH, Secret: "secret"},
			ChecksumAsV2: true, NeverOldChecksum: true, SkipCheckAddresses: true, NoAccept: true,
			DownAdverts: 4, LowerPrioNoAdvert: true, HigherPrioNoAdvert: true, OwnerIgnoreAdverts: true,
			Announce: model.VRRPAnnounce{
				Delay: 0, Repeat: 2, Refresh: time.Minute, RefreshRepeat: 3, LowerPrioDelay: 4 * time.Second, LowerPrioRepeat: 0,
			},
			VMAC:               &model.VMAC{Name: "v7", MAC: [6]byte{0, 0, 0x5e, 0, 1, 7}, TransmitBase: true},
			PromoteSecondaries: true,
			Tracks: []model.Track{
				iface("eth0"), iface("eth1"), iface("eth3"),
				{Kind: model.TrackingInterface, Name: "eth4", Weight: -10},
				{Kind: model.TrackingScript, Name: "chk", Weight: -20, Reverse: true},
				{Kind: model.TrackingFile, Name: "f"},
				{Kind: model.TrackingProcess, Name: "p", Weight: 4, Reverse: true},
			},
			Scripts: model.NotifyScripts{
				Master: script("/bin/m 1", "root"), Backup: script("/bin/b"), Fault: script("/bin/f"), Stop: script("/bin/s"),
				MasterRxLowerPri: script("/bin/l"), Generic: script("/bin/n", "nobody", "nogroup"), DeletedEvent: true,
			},
			PriorityEvents: true, Mail: true,
		}},
		Groups: []model.SyncGroup{{
			Name: "G", Members: []string{"A"}, TrackingWeight: true,
			Tracks:         []model.Track{{Kind: model.TrackingInterface, Name: "eth5", Weight: 3}},
			Scripts:        model.NotifyScripts{Master: script("/bin/gm")},
			PriorityEvents: true, Mail: true,
		}},
	}
	if diff := cmp.Diff(want, c.VRRP, compareVRRP()); diff != "" {
		t.Errorf("VRRP differs (-want +got):\n%s", diff)
	}
	if c.HasErrors() {
		t.Errorf("complaints:\n%s", complaints(c.Diagnostics))
	}
}

func TestGlobalVRRP(t *testing.T) {
	c := mustLoad(t, `global_defs {
	router_id lb1
	notification_email {
		a@example.org
		"B C <b@example.org>" root
	}
	notification_email_from "LB <lb@example.org>"
	smtp_server mail.example.org 2525
	smtp_connect_timeout 7
	smtp_helo_name lb1.example.org
	smtp_alert
	no_email_faults
	script_user nobody:nogroup
	enable_script_security
	use_symlink_paths
	set_supplementary_groups yes
	notify_fifo /run/all root
	notify_fifo_script "/bin/all x"
	vrrp_notify_fifo /run/vrrp
	vrrp_notify_fifo_script /bin/vrrp nobody
	vrrp_garp_interval 0.001
	vrrp_gna_interval 0
	vrrp_startup_delay 5.5
	vrrp_delay_after_boot 60
	log_unknown_vrids
	vmac_prefix vm
	dynamic_interfaces allow_if_changes
	fifo_write_vrrp_states_on_reload
}
garp_group {
	garp_interval 0.002
	gna_interval 0.003
	interface eth0
	interfaces {
		eth1 eth2
	}
}
static_ipaddress {
	192.0.2.1/24 dev eth0
}`)
	wantGlobal := model.VRRPGlobal{
		GARPInterval: time.Millisecond, StartupDelay: 5500 * time.Millisecond, AfterBoot: time.Minute, LogUnknownVRIDs: true,
		VMACPrefix: "vm", DynamicInterfaces: true, AllowInterfaceChange: true, StatesOnReload: true,
	}
	if diff := cmp.Diff(wantGlobal, c.VRRP.Global); diff != "" {
		t.Errorf("global differs (-want +got):\n%s", diff)
	}
	wantScripts := model.ScriptSettings{User: "nobody", Group: "nogroup", Security: true, SupplementaryGroups: true, KeepSymlinks: true}
	if diff := cmp.Diff(wantScripts, c.Global.Scripts, compareVRRP()); diff != "" {
		t.Errorf("scripts differ (-want +got):\n%s", diff)
	}
	wantFIFOs := model.FIFOs{
		All:  &model.FIFO{Path: "/run/all", User: "root", Script: &model.Script{Command: "/bin/all x"}},
		VRRP: &model.FIFO{Path: "/run/vrrp", Script: &model.Script{Command: "/bin/vrrp", User: "nobody"}},
	}
	if diff := cmp.Diff(wantFIFOs, c.Global.FIFOs, compareVRRP()); diff != "" {
		t.Errorf("FIFOs differ (-want +got):\n%s", diff)
	}
	wantMail := &model.Mail{
		Server: "mail.example.org:2525", From: "LB <lb@example.org>", To: []string{"a@example.org", "B C <b@example.org>", "root"},
		HELO: "lb1.example.org", Timeout: 7 * time.Second, NoFaults: true,
	}
	if diff := cmp.Diff(wantMail, c.Global.Mail, compareVRRP()); diff != "" {
		t.Errorf("mail differs (-want +got):\n%s", diff)
	}
	wantGroups := []model.GARPGroup{{GARPInterval: 2 * time.Millisecond, GNAInterval: 3 * time.Millisecond, Interfaces: []string{"eth0", "eth1", "eth2"}}}
	if diff := cmp.Diff(wantGroups, c.VRRP.GARPGroups, compareVRRP()); diff != "" {
		t.Errorf("garp groups differ (-want +got):\n%s", diff)
	}
	if c.HasErrors() {
		t.Errorf("complaints:\n%s", complaints(c.Diagnostics))
	}
}

func TestMailDefaults(t *testing.T) {
	c := mustLoad(t, "global_defs {\nsmtp_server 2001:db8::25\nnotification_email {\na@example.org\n}\n}")
	if m := c.Global.Mail; m == nil || m.Server != "[2001:db8::25]:25" || m.HELO == "" || !strings.HasPrefix(m.From, "root@") || m.Timeout != 30*time.Second {
		t.Errorf("mail = %+v, want port 25, the host's name and 30 s", m)
	}
	for _, lines := range []string{"smtp_server 192.0.2.25", "notification_email {\na@example.org\n}"} {
		if m := mustLoad(t, "global_defs {\n"+lines+"\n}").Global.Mail; m != nil {
			t.Errorf("%s: mail = %+v, want none", lines, m)
		}
	}
}

// TestAlerts: an instance's own word comes before smtp_alert_vrrp, and that
// before smtp_alert.
func TestAlerts(t *testing.T) {
	for in, want := range map[string]bool{
		"/": false, "smtp_alert/": true, "smtp_alert\nsmtp_alert_vrrp off/": false, "smtp_alert_vrrp/": true,
		"smtp_alert/smtp_alert off": false, "/smtp_alert": true,
	} {
		global, own, _ := strings.Cut(in, "/")
		if got := one(t, instanceWith(own)+"global_defs {\n"+global+"\n}\n").Mail; got != want {
			t.Errorf("%q: mail = %v, want %v", in, got, want)
		}
	}
}

func TestPriorityAndState(t *testing.T) {
	for in, want := range map[string]struct {
		priority    uint8
		startBackup bool
	}{
		"": {100, false}, "state BACKUP": {100, false}, "state MASTER": {255, false}, "state MASTER\npriority 7": {7, false},
		"priority 255": {255, false}, "priority 255\nstate MASTER": {255, false}, "priority 255\nstate BACKUP": {255, true},
		"priority 255\nstate BACKUP\nstrict_mode": {255, false}, "priority 255\nstate backup": {255, false},
	} {
		if got := one(t, instanceWith(in)); got.Priority != want.priority || got.StartBackup != want.startBackup {
			t.Errorf("%q: priority %d, start as backup %v, want %d, %v", in, got.Priority, got.StartBackup, want.priority, want.startBackup)
		}
	}
}

func TestInterval(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": time.Second, "advert_int 0.01": time.Second, "advert_int 2.5": 3 * time.Second, "advert_int 2.4": 2 * time.Second,
		"advert_int 255":              255 * time.Second,
		"version 3\nadvert_int 0.014": 10 * time.Millisecond, "version 3\nadvert_int 0.015": 20 * time.Millisecond,
		"version 3\nadvert_int 100": 40950 * time.Millisecond,
	} {
		if got := one(t, instanceWith(in)).Interval; got != want {
			t.Errorf("%q: interval %v, want %v", in, got, want)
		}
	}
}

// TestHigherPriority: only an explicit word keeps the last advert back.
func TestHigherPriority(t *testing.T) {
	for in, want := range map[string]bool{
		"/": false, "/higher_prio_send_advert": false, "/higher_prio_send_advert off": true, "vrrp_higher_prio_send_advert off/": true,
		"vrrp_higher_prio_send_advert off/higher_prio_send_advert": false, "/strict_mode": true,
	} {
		global, own, _ := strings.Cut(in, "/")
		if got := one(t, "global_defs {\n"+global+"\n}\n"+instanceWith(own)).HigherPrioNoAdvert; got != want {
			t.Errorf("%q: HigherPrioNoAdvert = %v, want %v", in, got, want)
		}
	}
}

// TestLeftOut: an instance whose ownership is in doubt does not run, the other
// one does, and the reason is an error.
func TestLeftOut(t *testing.T) {
	for _, line := range []string{
		"virtual_router_id 0", "virtual_router_id 256", "virtual_router_id", "priority 0", "priority 256", "priority abc", "priority 100x", "priority",
		"interface", `interface ""`, "interface sixteencharacter", "advert_int 0", "advert_int 256", "advert_int x", "version 1", "version",
		"virtual_ipaddress {\n10.90.0.999\n}", "virtual_ipaddress {\n192.0.2.2/33\n}", "virtual_ipaddress {\n$VIP\n}", "virtual_ipaddress {\n192.0.2.2 dev\n}",
		"virtual_ipaddress {\n0.0.0.0\n}", "virtual_ipaddress {\n224.0.0.1\n}", "virtual_ipaddress", "virtual_ipaddress {\n192.0.2.2\nx {\n}\n}",
		"virtual_ipaddress {\n192.0.2.2 \"dev eth0\n}", "virtual_ipaddress {\n192.0.2.2 peer x\n}",
		"authentication {\nauth_type X\n}", "authentication {\nauth_type\n}", "authentication {\nauth_pass\n}", "authentication", "auth_hmac {\n}",
		"unicast_peer {\nx\n}", "unicast_peer", "unicast_peer {\n192.0.2.9 192.0.2.10\n}", "unicast_peer {\nfe80::1\n}", "unicast_peer {\n192.0.2.9 min_ttl x\n}",
		"unicast_src_ip x", "mcast_src_ip fe80::1", "mcast_dst_ip 192.0.2.1", "mcast_dst_ip ff02::12", "version 3\nnative_ipv6",
		"priority \"100", "notify \x00",
	} {
		c := mustLoad(t, strings.Replace(instanceWith(line), "instance A", "instance BAD", 1)+strings.Replace(instanceWith(""), "_id 1", "_id 2", 1))
		var names []string
		for _, i := range c.VRRP.Instances {
			names = append(names, i.Name)
		}
		if !slices.Equal(names, []string{"A"}) || !c.HasErrors() {
			t.Errorf("%q: instances %v, errors %v, want A alone with an error:\n%s", line, names, c.HasErrors(), complaints(c.Diagnostics))
		}
	}
}

// TestIdentities: what tells two instances with one VRID apart.
func TestIdentities(t *testing.T) {
	for in, want := range map[string]int{
		"": 1, "interface eth1": 2, "virtual_router_id 2": 2, "mcast_dst_ip 224.0.0.9": 2, "mcast_dst_ip 224.0.0.18": 1, "version 3": 1,
		"unicast_peer {\n192.0.2.9\n}": 2, "use_vmac": 1,
	} {
		other := strings.Replace(instanceWith(in), "instance A", "instance B", 1)
		other = strings.Replace(other, "192.0.2.1\n", "192.0.2.2\n", 1)
		if c := mustLoad(t, instanceWith("")+other); len(c.VRRP.Instances) != want || c.HasErrors() != (want == 1) {
			t.Errorf("%q: %d instances, want %d:\n%s", in, len(c.VRRP.Instances), want, complaints(c.Diagnostics))
		}
	}
	unicast := func(name, lines string) string {
		return "vrrp_instance " + name + " {\nvirtual_router_id 1\nunicast_peer {\n192.0.2.9\n}\nvirtual_ipaddress {\n192.0.2.1 dev eth0\n}\n" + lines + "\n}\n"
	}
	for in, want := range map[string]int{"unicast_src_ip 192.0.2.7": 1, "unicast_src_ip 192.0.2.8": 2} {
		if c := mustLoad(t, unicast("A", "unicast_src_ip 192.0.2.7")+unicast("B", in)); len(c.VRRP.Instances) != want {
			t.Errorf("%q: %d instances without an interface, want %d:\n%s", in, len(c.VRRP.Instances), want, complaints(c.Diagnostics))
		}
	}
}

// TestUnicastWithoutInterface: the addresses need one then.
func TestUnicastWithoutInterface(t *testing.T) {
	for in, want := range map[string]string{
		"unicast_src_ip 192.0.2.8\nvirtual_ipaddress {\n192.0.2.1 dev eth7\n}": "eth7",
		"unicast_src_ip 192.0.2.8\nvirtual_ipaddress {\n192.0.2.1\n}":          "eth9",
		"virtual_ipaddress {\n192.0.2.1 dev eth7\n}":                           "",
	} {
		c := mustLoad(t, "global_defs {\ndefault_interface eth9\n}\nvrrp_instance A {\nvirtual_router_id 1\nunicast_peer {\n192.0.2.9\n}\n"+in+"\n}\n")
		got := ""
		if len(c.VRRP.Instances) > 0 {
			got = c.VRRP.Instances[0].Addresses[0].Interface
		}
		if got != want {
			t.Errorf("%q: address on %q, want %q:\n%s", in, got, want, complaints(c.Diagnostics))
		}
	}
}

func TestFIFOMeansNothingWithoutScripts(t *testing.T) {
	c := mustLoad(t, "global_defs {\nnotify_fifo_script /bin/x\n}\n")
	if c.Global.FIFOs.All != nil || !c.HasErrors() {
		t.Errorf("FIFO = %+v, errors %v, want none with an error", c.Global.FIFOs.All, c.HasErrors())
	}
}

// TestScheduling: the place of the process among others.
func TestScheduling(t *testing.T) {
	for text, want := range map[string]model.Scheduling{
		"vrrp_rt_priority 5\nchecker_rt_priority 9\nchecker_no_swap": {RealTime: 9, NoSwap: true},
		"checker_rt_priority 3\nvrrp_rt_priority 4":                  {RealTime: 4},
		"vrrp_priority -20":             {Nice: new(-20)},
		"vrrp_priority 0":               {Nice: new(0)},
		"vrrp_rt_priority 99":           {RealTime: 99},
		"vrrp_no_swap":                  {NoSwap: true},
		"vrrp_cpu_affinity 3 0 3":       {CPUs: []int{0, 3}},
		"vrrp_priority -21":             {},
		"vrrp_priority high":            {},
		"vrrp_rt_priority 100":          {},
		"vrrp_cpu_affinity 0 1024":      {},
		"vrrp_priority 5\nvrrp_no_swap": {Nice: new(5), NoSwap: true},
	} {
		cfg, err := loadText("global_defs {\n" + text + "\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, cfg.VRRP.Global.Scheduling); diff != "" {
			t.Errorf("%s: -want +got\n%s", text, diff)
		}
	}
}
