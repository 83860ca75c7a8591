package config

import (
	"fmt"
	"strings"
	"testing"
)

// large writes a configuration of the size that was reported for keepalived
// as its largest: 2277 virtual servers, 37,205 real servers.
func large() string {
	var b strings.Builder
	servers := 37205
	for v := range 2277 {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n  delay_loop 5\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n", v/250, v%250)
		for r := range min(17, max(1, servers-(2276-v)*16)) {
			fmt.Fprintf(&b, "  real_server 172.16.%d.%d 80 {\n    weight 1\n    TCP_CHECK {\n      connect_timeout 3\n      connect_port 80\n    }\n  }\n", v%250, r+1)
			servers--
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func BenchmarkLoadLarge(b *testing.B) {
	m := files(map[string]string{"main.conf": large()})
	b.ReportAllocs()
	for b.Loop() {
		c, err := load(m, "main.conf", testOptions())
		if err != nil || len(c.Services) != 2277 {
			b.Fatalf("load = %d services, %v", len(c.Services), err)
		}
	}
}
