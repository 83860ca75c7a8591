package config

import (
	"strings"
	"testing"
)

func TestPersistenceEngine(t *testing.T) {
	const text = "virtual_server 192.0.2.1 5060 {\nlb_algo rr\nlb_kind NAT\n%s\nreal_server 10.0.0.1 5060 {\n}\n}"
	for _, tt := range []struct{ lines, engine, says string }{
		{"protocol UDP\npersistence_timeout 60\npersistence_engine sip", "sip", ""},
		{"protocol UDP\npersistence_timeout 60", "", ""},
		{"protocol UDP\npersistence_engine sip", "", "persistence_engine sip does nothing without persistence_timeout; the line is ignored"},
		{"protocol TCP\npersistence_timeout 60\npersistence_engine sip", "", "persistence_engine sip does nothing for TCP; the line is ignored"},
	} {
		c := mustLoad(t, strings.Replace(text, "%s", tt.lines, 1))
		if len(c.Services) != 1 || c.Services[0].PersistenceEngine != tt.engine {
			t.Errorf("%q: services %+v, want engine %q", tt.lines, c.Services, tt.engine)
		}
		if said := complaints(c.Diagnostics); !strings.Contains(said, tt.says) || tt.says == "" && said != "" {
			t.Errorf("%q: the reader says %q, want %q", tt.lines, said, tt.says)
		}
	}
	c := mustLoad(t, strings.Replace(text, "%s", "protocol UDP\npersistence_timeout 60\npersistence_engine h323", 1))
	if said := complaints(c.Diagnostics); len(c.Services) != 0 || !strings.Contains(said, `persistence_engine "h323" is none of IPVS; the virtual server is left out`) {
		t.Errorf("an unknown engine: %d services, the reader says %q", len(c.Services), said)
	}
}
