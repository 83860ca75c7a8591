package ipvs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestProbeModule(t *testing.T) {
	folder := t.TempDir()
	if _, err := probeModule(folder); !errors.Is(err, ErrNoIPVS) {
		t.Errorf("an empty folder: %v, want ErrNoIPVS", err)
	}
	list := filepath.Join(folder, "modules.dep")
	if err := os.WriteFile(list, []byte("kernel/net/netfilter/ipvs/ip_vs_rr.ko: kernel/net/netfilter/ipvs/other.ko\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := probeModule(folder); !errors.Is(err, ErrNoIPVS) {
		t.Errorf("schedulers alone: %v, want ErrNoIPVS", err)
	}
	if err := os.WriteFile(list, []byte("kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/netfilter/nf_conntrack.ko.xz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := probeModule(folder); err != nil || found == "" {
		t.Errorf("the module is there: %q, %v", found, err)
	}
}
