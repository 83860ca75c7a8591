//go:build interop

package config

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/model"
)

// asKeepalived runs keepalived on /tmp/k.conf in namespaces of its own, with the
// interfaces named by the arguments, and prints what it dumps as JSON. Its
// firewall and its scripts stay inside.
const asKeepalived = `
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /tmp && cat > /tmp/k.conf || exit 1
ip link set lo up
n=0
for i in "$@"; do
	n=$((n + 1))
	ip link add "$i" type veth peer name "peer$n" && ip link set "$i" up && ip link set "peer$n" up
	ip addr add "10.255.$n.1/24" dev "$i"
done
keepalived -n -l -P -i test -f /tmp/k.conf > /tmp/log 2>&1 &
k=$!
for i in $(seq 600); do
	grep -q 'Startup complete' /tmp/log && break
	kill -0 $k 2> /dev/null || break
	sleep 0.05
done
kill -36 $k 2> /dev/null
for i in $(seq 600); do
	tail -c 2 /tmp/keepalived.json 2> /dev/null | grep -q ']' && break
	kill -0 $k 2> /dev/null || break
	sleep 0.05
done
cat /tmp/keepalived.json 2> /dev/null || cat /tmp/log >&2
kill -9 $k 2> /dev/null
exit 0
`

// theirInstance is what the dump says of an instance.
type theirInstance struct {
	Name      string   `json:"iname"`
	Interface string   `json:"ifp_ifname"`
	VMAC      string   `json:"vmac_ifname"`
	VRID      int      `json:"vrid"`
	Version   int      `json:"version"`
	Priority  int      `json:"base_priority"`
	Interval  float64  `json:"adver_int"`
	NoPreempt bool     `json:"nopreempt"`
	Delay     float64  `json:"preempt_delay"`
	Accept    int      `json:"accept"`
	Strict    int      `json:"strict_mode"`
	SkipCheck int      `json:"skip_check_adv_addr"`
	NoPrimary int      `json:"dont_track_primary"`
	Promote   bool     `json:"promote_secondaries"`
	Lower     int      `json:"lower_prio_no_advert"`
	Mail      bool     `json:"smtp_alert"`
	Deleted   bool     `json:"notify_deleted"`
	AuthType  int      `json:"auth_type"`
	Secret    string   `json:"auth_data"`
	VIPs      []string `json:"vips"`
	Excluded  []string `json:"evips"`
	Tracked   []string `json:"track_ifp"`
	Scripts   []string `json:"track_script"`

	GARPDelay         int `json:"garp_delay"`
	GARPRepeat        int `json:"garp_rep"`
	GARPRefresh       int `json:"garp_refresh"`
	GARPRefreshRepeat int `json:"garp_refresh_rep"`
	GARPLowerDelay    int `json:"garp_lower_prio_delay"`
	GARPLowerRepeat   int `json:"garp_lower_prio_rep"`
}

// runKeepalived returns what keepalived makes of a configuration, by instance.
func runKeepalived(t *testing.T, conf string, interfaces ...string) map[string]theirInstance {
	t.Helper()
	labtest.Keepalived(t, "")
	cmd := exec.Command("unshare", append([]string{"--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", asKeepalived, "sh"}, interfaces...)...)
	cmd.Stdin = strings.NewReader(conf)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run keepalived: %v\n%s", err, log.String())
	}
	macvlan := regexp.MustCompile(` dev \S+@`)
	master := regexp.MustCompile(` set( nftable_set)?$`)
	var list []struct{ Data theirInstance }
	if len(out) == 0 {
		t.Logf("keepalived runs no instance:\n%s", log.String())
		return nil
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("dump of keepalived: %v\n%s", err, out)
	}
	all := make(map[string]theirInstance)
	for _, i := range list {
		for _, list := range [][]string{i.Data.VIPs, i.Data.Excluded} {
			for n := range list { // those of a master are set, and a virtual MAC stands before its interface
				list[n] = macvlan.ReplaceAllString(master.ReplaceAllString(list[n], ""), " dev ")
			}
		}
		if i.Data.VMAC != "" {
			i.Data.Interface = "" // is the virtual MAC's
		}
		all[i.Data.Name] = i.Data
	}
	return all
}

// inTheirWords returns an instance as keepalived dumps it. commands are those of
// the scripts by name.
func inTheirWords(i model.VRRPInstance, commands map[string]string) theirInstance {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	a := i.Announce
	out := theirInstance{
		Name: i.Name, Interface: i.Interface, VRID: int(i.VRID), Version: int(i.Version), Priority: int(i.Priority),
		Interval: i.Interval.Seconds(), NoPreempt: i.NoPreempt, Delay: i.PreemptDelay.Seconds(),
		Accept: flag(!i.NoAccept), Strict: flag(i.Strict), SkipCheck: flag(i.SkipCheckAddresses), NoPrimary: flag(i.DontTrackPrimary),
		Promote: i.PromoteSecondaries, Lower: flag(i.LowerPrioNoAdvert), Mail: i.Mail,
		Deleted:  i.Scripts.DeletedEvent || i.Scripts.Deleted != nil,
		AuthType: int(i.Auth.Type), Secret: i.Auth.Secret,
		VIPs: theirAddresses(i.Addresses), Excluded: theirAddresses(i.Excluded),
		GARPDelay: int(a.Delay.Seconds()), GARPRepeat: a.Repeat, GARPRefresh: int(a.Refresh.Seconds()), GARPRefreshRepeat: a.RefreshRepeat,
		GARPLowerDelay: int(a.LowerPrioDelay.Seconds()), GARPLowerRepeat: a.LowerPrioRepeat,
	}
	for _, t := range i.Tracks {
		switch {
		case t.Implied:
		case t.Kind == model.TrackingInterface:
			out.Tracked = append(out.Tracked, t.Name)
		case t.Kind == model.TrackingScript:
			out.Scripts = append(out.Scripts, "'"+strings.ReplaceAll(strings.Replace(commands[t.Name], "/bin", "/usr/bin", 1), " ", "' '")+"'")
		}
	}
	return out
}

func theirAddresses(list []model.Address) []string {
	var out []string
	for _, a := range list {
		s := strings.Replace(a.String(), " dev", mark(a.UseVMAC, " use_vmac")+" dev", 1)
		switch {
		case a.Prefix.Addr().Is4():
		case a.Deprecated:
			s += " deprecated"
		case a.PreferredLifetime > 0:
			s += fmt.Sprintf(" preferred_lft %d", int(a.PreferredLifetime.Seconds()))
		default:
			s += " preferred_lft forever"
		}
		out = append(out, s+mark(a.Home, " home")+mark(a.DAD, " -nodad")+mark(a.NoTrack, " no_track"))
	}
	return out
}

func mark(on bool, word string) string {
	if on {
		return word
	}
	return ""
}

// compareInstances compares what runs here with what keepalived makes of the
// same text. It returns how many run.
func compareInstances(t *testing.T, conf string, theirs map[string]theirInstance) int {
	t.Helper()
	m := files(map[string]string{"main.conf": conf})
	c, err := load(m, "main.conf", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	commands := make(map[string]string)
	for _, s := range c.VRRP.Scripts {
		commands[s.Name] = s.Script.Command
	}
	for _, i := range c.VRRP.Instances {
		their, ok := theirs[i.Name]
		if !ok {
			t.Errorf("%s runs here and not in keepalived", i.Name)
			continue
		}
		our := inTheirWords(i, commands)
		if i.VMAC != nil {
			our.VMAC, our.Interface = i.VMAC.Name, ""
		}
		if diff := cmp.Diff(their, our); diff != "" {
			t.Errorf("%s differs (-keepalived +ours):\n%s", i.Name, diff)
		}
	}
	if t.Failed() {
		t.Logf("complaints:\n%s", complaints(c.Diagnostics))
	}
	return len(c.VRRP.Instances)
}

// TestInstancesAsKeepalived gives keepalived instances with one line each that
// runs there and here.
func TestInstancesAsKeepalived(t *testing.T) {
	lines := []string{
		"", "priority 1", "priority 254", "state MASTER\npriority 200", "state MASTER", "priority 255", "priority 255\nstate BACKUP",
		"nopreempt", "nopreempt\npriority 255", "nopreempt\nstate MASTER\npriority 3", "nopreempt\npreempt", "nopreempt\npreempt_delay 7",
		"preempt_delay 7", "preempt_delay 7\nstate MASTER\npriority 9", "preempt_delay 7\npriority 255\nstate BACKUP",
		"advert_int 3", "advert_int 1.4", "advert_int 1.5", "advert_int 0.3", "advert_int 254.6", "advert_int 255",
		"version 3", "version 3\nadvert_int 0.01", "version 3\nadvert_int 0.014", "version 3\nadvert_int 0.015", "version 3\nadvert_int 41",
		"version 3\nadvert_int 1.005", "version 2", "native_ipv6\nvirtual_ipaddress {\nfe80::8\n}",
		"strict_mode", "strict_mode\nversion 3", "strict_mode\nversion 3\naccept", "strict_mode\naccept", "strict_mode\npriority 255",
		"strict_mode\npriority 255\nstate BACKUP", "strict_mode\npreempt_delay 4", "strict_mode\nnopreempt\npreempt_delay 4",
		"strict_mode\ndown_timer_adverts 5", "strict_mode\nlower_prio_no_advert no\ngarp_lower_prio_repeat 3", "strict_mode no",
		"strict_mode\nauthentication {\nauth_type PASS\nauth_pass ab\n}", "strict_mode\nunicast_peer {\n10.255.1.9\n}",
		"no_accept", "accept", "no_accept\npriority 255", "accept\nno_accept",
		"authentication {\nauth_type PASS\nauth_pass abcdefghijkl\n}", "authentication {\nauth_type AH\nauth_pass ab\n}",
		"authentication {\nauth_pass ab\n}", "authentication {\nauth_type PASS\n}", "version 3\nauthentication {\nauth_type PASS\nauth_pass ab\n}",
		"garp_master_delay 0", "garp_master_delay 9", "garp_master_repeat 0", "garp_master_repeat 9", "garp_master_refresh 9",
		"garp_master_refresh_repeat 0", "garp_master_refresh_repeat 9", "garp_lower_prio_delay 0", "garp_lower_prio_repeat 0", "garp_lower_prio_repeat 9",
		"lower_prio_no_advert", "lower_prio_no_advert off", "skip_check_adv_addr", "promote_secondaries",
		"smtp_alert", "smtp_alert off", "notify_deleted", "notify_deleted /bin/true", "dont_track_primary",
		"track_interface {\neth1 weight 5\n}", "track_interface {\neth1 weight 254\neth1\neth0 weight 3\n}", "track_interface {\neth1 weight 5\n}\npriority 255",
		"track_script {\none\ntwo weight 7\none weight 4\n}", "track_script {\ntwo weight -254\n}",
		"mcast_src_ip 10.255.1.1", "unicast_peer {\n10.255.1.7\n10.255.1.8 min_ttl 3\n}", "mcast_dst_ip 224.0.0.99",
		"virtual_ipaddress {\n10.2.0.1/0\n10.2.0.2/31 brd + dev eth1\n10.2.0.3/24 broadcast - scope link\n10.2.0.4/24 brd 10.2.0.9 label eth0:1 scope 99\n}",
		"virtual_ipaddress {\n10.2.1.1/24 no_track home -nodad scope host\n10.2.1.2 preferred_lft 9\n10.2.1.3 label x foo scope site\n}",
		"virtual_ipaddress {\nfe80::2/64\n2001:db8::3/64 preferred_lft 30\n2001:db8::4 preferred_lft forever\n10.9.9.9\n}",
		"virtual_ipaddress_excluded {\n2001:db8::9/64\n10.3.3.3\n10.3.3.3 dev eth1\n}",
		"virtual_ipaddress {\n10.4.4.1\n10.4.4.1/24\n10.4.4.1\n}\nvirtual_ipaddress {\n10.4.4.2\n}",
		"virtual_ipaddress {\n" + many("10.5.%d.%d\n", 300) + "}", "virtual_ipaddress {\n" + many("fe80::%d:%d\n", 100) + "}",
		"vmac_xmit_base", "use_vmac v1", "track_src_ip", "unicast_ttl 9", "down_timer_adverts 7", "version 2\nstrict_mode no\nvirtual_ipaddress {\n}\nvirtual_ipaddress_excluded {\n10.6.6.6\n}",
	}
	for name, global := range map[string]string{
		"defaults": "",
		"garp": "vrrp_garp_master_delay 8\nvrrp_garp_master_repeat 3\nvrrp_garp_master_refresh 4\nvrrp_garp_lower_prio_repeat 2\n" +
			"vrrp_lower_prio_no_advert\nvrrp_skip_check_adv_addr\nsmtp_alert_vrrp\nsmtp_alert off",
		"least garp": "vrrp_garp_master_delay 8\nvrrp_min_garp\nvrrp_garp_master_repeat 4\nvrrp_version 3\nsmtp_alert",
		"strict":     "vrrp_strict",
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for _, s := range []string{"one", "two"} {
				fmt.Fprintf(&b, "vrrp_script %[1]s {\nscript \"/bin/true %[1]s\"\nuser root\n}\n", s)
			}
			for n, line := range lines {
				if !strings.Contains(line, "virtual_ipaddress {") {
					line += fmt.Sprintf("\nvirtual_ipaddress {\n10.1.0.%d/24\n}", n)
				}
				fmt.Fprintf(&b, "vrrp_instance I%d {\ninterface eth0\nvirtual_router_id %d\n%s\n}\n", n, n+1, line)
			}
			fmt.Fprintf(&b, "global_defs {\nscript_user root\n%s\n}\n", global)
			conf := b.String()
			if ran := compareInstances(t, conf, runKeepalived(t, conf, "eth0", "eth1")); ran != len(lines) {
				t.Errorf("%d instances run, want %d", ran, len(lines))
			}
		})
	}
}

func many(form string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, form, i/250, i%250)
	}
	return b.String()
}

// TestCorpusAsKeepalived compares the instances of the corpus. The scripts of
// the files are not run.
func TestCorpusAsKeepalived(t *testing.T) {
	scripts := regexp.MustCompile(`(?m)^(\s*script\s).*$`)
	notify := regexp.MustCompile(`(?m)^\s*notify\w*\s.*$`)
	interfaces := regexp.MustCompile(`(?m)^\s*interface\s+(\S+)|\bdev\s+(\S+)`)
	for _, path := range corpus(t) {
		name := filepath.Base(path)
		if corpusUnparsable[name] != "" || strings.HasPrefix(name, "060-") { // 2000 instances take keepalived minutes
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), "vrrp_instance") {
				return
			}
			conf := notify.ReplaceAllString(scripts.ReplaceAllString(string(data), `$1"/bin/true"`), "")
			var names []string
			for _, m := range interfaces.FindAllStringSubmatch(conf, -1) {
				if name := m[1] + m[2]; interfaceName(name) == nil && !slices.Contains(names, name) && name != "lo" {
					names = append(names, name)
				}
			}
			theirs := runKeepalived(t, conf, names...)
			if theirs == nil {
				return // it runs none
			}
			ran := compareInstances(t, conf, theirs)
			if corpusErrors[name] == "" && ran != len(theirs) {
				t.Errorf("%d instances run here, %d in keepalived", ran, len(theirs))
			}
		})
	}
}
