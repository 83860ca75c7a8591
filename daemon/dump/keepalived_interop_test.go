//go:build interop

package dump_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon/dump"
	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/netif"
	"github.com/evenkeel/evenkeel/vrrp"
)

const conf = `global_defs {
  router_id T
  vrrp_version 3
  vrrp_higher_prio_send_advert true
}
track_file tf {
  file /tmp/evenkeel-dump-test
  weight 2
}
vrrp_sync_group G {
  group {
    plain
    second
  }
}
vrrp_instance plain {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority 100
  advert_int 0.1
  garp_master_delay 1
  virtual_ipaddress {
    10.92.0.100/24
    10.92.0.101/32 dev eth0 label eth0:1
  }
  virtual_ipaddress_excluded {
    fd92::100/64
    10.92.0.102
  }
  track_interface {
    lo
  }
  notify "/bin/true x"
  notify_master "/bin/true m"
  smtp_alert
}
vrrp_instance second {
  state BACKUP
  interface eth0
  virtual_router_id 52
  version 2
  priority 90
  nopreempt
  virtual_ipaddress {
    10.92.0.110/24
  }
}
vrrp_instance third {
  interface eth0
  virtual_router_id 53
  priority 80
  advert_int 0.25
  preempt_delay 3
  virtual_ipaddress {
    fe80::53
    fd92::53/64
  }
  track_file {
    tf
  }
}
vrrp_instance unicast {
  interface eth0
  virtual_router_id 54
  priority 70
  advert_int 0.1
  unicast_src_ip 10.92.0.1
  unicast_peer {
    10.92.0.2
  }
  virtual_ipaddress {
    10.92.0.120
  }
}
`

// asKeepalived runs keepalived until all instances of its file are masters, and
// prints the three dumps with a line of # between them.
const asKeepalived = `
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /tmp && cat > /tmp/k.conf && echo 0 > /tmp/evenkeel-dump-test || exit 1
keepalived -n -l -P -f /tmp/k.conf > /tmp/log 2>&1 &
k=$!
for i in $(seq 600); do
	grep -q 'Startup complete' /tmp/log && break
	kill -0 $k 2> /dev/null || break
	sleep 0.1
done
for i in $(seq 600); do
	kill -36 $k || break
	sleep 0.1
	[ "$(grep -o '"state":2' /tmp/keepalived.json | wc -l)" = 4 ] && [ "$(grep -o '"vipset":true' /tmp/keepalived.json | wc -l)" = 4 ] && break
done
kill -USR1 $k; kill -USR2 $k
for i in $(seq 600); do
	grep -q 'Interfaces' /tmp/keepalived.data 2>/dev/null && [ "$(grep -c 'Priority Zero' /tmp/keepalived.stats 2>/dev/null)" = 4 ] && break
	kill -0 $k || break
	sleep 0.1
done
sleep 0.3
cat /tmp/keepalived.data; echo '####'; cat /tmp/keepalived.stats; echo '####'; cat /tmp/keepalived.json
kill $k
wait $k
exit 0
`

// dumps are the three files.
type dumps struct{ data, stats, json string }

// theirs returns what keepalived dumps.
func theirs(t *testing.T, n *lab.Node) dumps {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "sh", "-c", asKeepalived)
	cmd.Stdin = strings.NewReader(conf)
	out := labtest.Run(t, n, cmd)
	parts := strings.Split(out.Stdout, "####\n")
	if len(parts) != 3 || parts[2] == "" {
		t.Fatalf("keepalived dumps %q\n%s", out.Stdout, out.Stderr)
	}
	return dumps{parts[0], parts[1], parts[2]}
}

// ours returns what we dump.
func ours(t *testing.T, n *lab.Node) dumps {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var kernel *netif.Kernel
	if err := n.Do(func() (err error) {
		kernel, err = netif.Open()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	s, err := failover.New(failover.Options{Config: cfg.VRRP, Kernel: kernel})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	state := dump.State{Global: cfg.Global, VRRP: cfg.VRRP}
	labtest.Until(t, "all are masters", func() bool {
		state.Instances, err = s.Snapshot(t.Context())
		masters := 0
		for _, i := range state.Instances {
			if st, _ := i.Instance.State(); st == vrrp.Master && i.Addresses.Placed == len(i.Config.Addresses)+len(i.Config.Excluded) {
				masters++
			}
		}
		return err == nil && masters == 4
	})
	state.Tracked = s.Tracked()
	text, err := state.JSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return dumps{string(state.Data()), string(state.Stats(nil)), string(text)}
}

// TestLikeKeepalived compares the dumps for one configuration: names, order and
// values, but those of time.
func TestLikeKeepalived(t *testing.T) {
	labtest.Keepalived(t, "")
	l := labtest.New(t)
	lan, err := l.AddLAN("lan")
	if err != nil {
		t.Fatal(err)
	}
	n, err := l.AddNode("router")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lan.Join(n, lab.Port{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("10.92.0.1/24"), netip.MustParsePrefix("fe80::1/64")}}); err != nil {
		t.Fatal(err)
	}
	want, got := theirs(t, n), ours(t, n)
	t.Run("json", func(t *testing.T) {
		if diff := cmp.Diff(jsonOf(t, want.json), jsonOf(t, got.json)); diff != "" {
			t.Errorf("-theirs +ours:\n%s", diff)
		}
	})
	t.Run("stats", func(t *testing.T) {
		numbers := regexp.MustCompile(`(Sent|Received): \d+`)
		if diff := cmp.Diff(numbers.ReplaceAllString(want.stats, "$1"), numbers.ReplaceAllString(got.stats, "$1")); diff != "" {
			t.Errorf("-theirs +ours:\n%s", diff)
		}
	})
	t.Run("data", func(t *testing.T) {
		theirs := linesOf(want.data)
		for line := range linesOf(got.data) {
			if !theirs[line] {
				t.Errorf("keepalived does not print %q", line)
			}
		}
	})
}

// jsonOf leaves out times and counters of adverts.
func jsonOf(t *testing.T, text string) (list []map[string]map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, i := range list {
		delete(i["data"], "last_transition")
		delete(i["stats"], "advert_sent")
		delete(i["stats"], "advert_rcvd")
		// Theirs is the path without symbolic links.
		for name, value := range i["data"] {
			if s, ok := value.(string); ok {
				i["data"][name] = strings.ReplaceAll(s, "/usr/bin/", "/bin/")
			}
		}
	}
	return list
}

// linesOf returns the lines of the data without what is of the moment.
func linesOf(text string) map[string]bool {
	account := regexp.MustCompile(`, (uid:gid \d+:\d+|ifindex \d+)$`)
	all := make(map[string]bool)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if name, _, ok := strings.Cut(line, " = "); ok && strings.Contains("Last transition Master down timer", strings.TrimSpace(name)) {
			line = name
		}
		all[strings.ReplaceAll(account.ReplaceAllString(line, ""), "/usr/bin/", "/bin/")] = true
	}
	return all
}
