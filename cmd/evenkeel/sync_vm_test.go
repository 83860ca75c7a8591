//go:build vm

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/guest"
	"github.com/evenkeel/evenkeel/internal/lab"
)

// IPVS's sync daemon is master while its VRRP instance is, backup when the
// instance fails, and gone after the stop.
func TestSyncDaemonAlongVRRP(t *testing.T) {
	if os.Getenv(guest.Environment) == "" {
		t.Skip("skipped: runs in a machine of make vm")
	}
	s := newSite(t, lab.NAT)
	value := filepath.Join(s.dir, "value")
	s.configure("NAT", "@evenkeel datapath ipvs", "lvs_sync_daemon eth0 VI_1 port 8900")
	s.write(s.text() + fmt.Sprintf(`
track_file ek {
  file %s
  weight 1
  init_file 0
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 77
  priority 200
  virtual_ipaddress {
    10.77.1.177/24
  }
  track_file {
    ek
  }
}
`, value))
	s.start()
	s.ready(3)
	s.synced("master sync daemon (mcast=eth0, syncid=77", "port=8900")
	if status := s.want(0, "status").Stdout; !strings.Contains(status, "master on eth0, id 77") {
		t.Errorf("status says\n%s", status)
	}
	if err := os.WriteFile(value, []byte("-254\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.synced("backup sync daemon (mcast=eth0, syncid=77", "port=8900")
	s.want(0, "stop")
	if left := s.ipvsadm("-L", "--daemon"); left != "" {
		t.Errorf("after the stop there is %s", left)
	}
}

// synced waits until ipvsadm shows one daemon, which it describes so.
func (s *site) synced(texts ...string) {
	s.t.Helper()
	var got string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("ipvsadm shows %q", got)
		}
	}()
	s.until("there is a "+texts[0], func() bool {
		got = s.ipvsadm("-L", "--daemon")
		for _, text := range texts {
			if !strings.Contains(got, text) {
				return false
			}
		}
		return strings.Count(got, "sync daemon") == 1
	})
}
