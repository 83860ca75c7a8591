package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/config"
)

// largest writes a configuration of the size that was reported for keepalived
// as its largest: 2,277 virtual servers with 37,205 real servers. The middle
// server has the weight given.
func largest(weight int) string {
	const services, servers = 2277, 37205
	var b strings.Builder
	n := 0
	for v := range services {
		fmt.Fprintf(&b, "virtual_server 10.100.%d.%d 80 {\n\tdelay_loop 30\n\twarmup 5\n\tlb_algo rr\n\tlb_kind NAT\n\tprotocol TCP\n", v>>8, v&0xff)
		for end := servers * (v + 1) / services; n < end; n++ {
			w := 1
			if n == servers/2 {
				w = weight
			}
			fmt.Fprintf(&b, "\treal_server 10.%d.%d.%d 80 {\n\t\tweight %d\n\t\tTCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t}\n\t}\n", 128+n>>16, n>>8&0xff, n&0xff, w)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// BenchmarkReload reads the largest configuration with one changed weight and
// takes it over, on a machine in memory.
func BenchmarkReload(b *testing.B) {
	var names [2]string
	for i := range names {
		names[i] = filepath.Join(b.TempDir(), "keepalived.conf")
		if err := os.WriteFile(names[i], []byte(largest(1+i)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cfg, err := config.Load(names[0], config.Options{})
	if err != nil {
		b.Fatal(err)
	}
	d := New(newRig().opts)
	change, err := d.startAll(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	d.core.carryOut(b.Context(), change)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		cfg, err := config.Load(names[i%2], config.Options{})
		if load := d.core.takeOver(b.Context(), cfg, err, "bench"); !load.OK {
			b.Fatalf("reload = %+v", load)
		}
	}
}
