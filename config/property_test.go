package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/model"
)

// failer is what *testing.T and *rapid.T share.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkConfig tests what holds for every configuration that can be used.
func checkConfig(t failer, c *Config) {
	t.Helper()
	keys := make(map[model.ServiceKey]bool)
	for _, vs := range c.Services {
		if keys[vs.Key] {
			t.Errorf("%s: twice", vs.Key)
		}
		keys[vs.Key] = true
		checkService(t, vs)
	}
	for _, k := range c.Keywords {
		if k.Count < 1 || len(k.Positions) == 0 || len(k.Positions) > mostPositions || k.Status == "" {
			t.Errorf("keyword %+v: no count, position or status", k)
		}
	}
}

func checkService(t failer, vs model.VirtualServer) {
	t.Helper()
	if len(vs.Servers) == 0 || vs.Quorum < 1 || vs.Hysteresis > 0 && vs.Hysteresis >= vs.Quorum || vs.Scheduler == "" || vs.Datapath == "" {
		t.Errorf("%s: %+v", vs.Key, vs)
	}
	v6Mark := vs.Key.FWMark != 0 && vs.Key.Addr == netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	if (vs.Key.FWMark == 0) != (vs.Key.Addr.IsValid() && !v6Mark) || (vs.Key.FWMark == 0) != (vs.Key.Protocol != 0) {
		t.Errorf("%s: neither an address nor a mark", vs.Key)
	}
	if group := vs.GroupBlock; group != (model.ServiceKey{}) && (group.Group == "" || group.FWMark != 0 || group.Addr.IsValid()) {
		t.Errorf("%s: of the group %+v", vs.Key, group)
	}
	if vs.Key.FWMark == 0 && vs.Key.Addr.Port() == 0 && vs.Persistence == 0 {
		t.Errorf("%s: port 0 without persistence", vs.Key)
	}
	seen := make(map[netip.AddrPort]bool)
	for _, s := range vs.Servers {
		if seen[s.Addr] || s.Addr == vs.Key.Addr || !s.Addr.IsValid() || s.Weight < 0 || s.Lower > s.Upper {
			t.Errorf("%s: server %+v", vs.Key, s)
		}
		seen[s.Addr] = true
		for _, check := range s.Checks {
			unconnected := check.ConnectTo.Port() == 0 && !slices.Contains([]model.CheckKind{model.MiscCheck, model.FileCheck, model.PingCheck}, check.Kind)
			if unconnected || check.DelayLoop <= 0 || check.ConnectTimeout <= 0 || check.DelayBeforeRetry < 0 || check.Warmup < 0 {
				t.Errorf("%s: check %+v", vs.Key, check)
			}
		}
	}
}

// checkPlaces tests that all complaints are about places that exist in the
// files named.
func checkPlaces(t failer, list []Diagnostic, contents map[string]string) {
	t.Helper()
	for _, d := range list {
		if d.Line == 0 {
			continue
		}
		lines := strings.Split(contents[d.File], "\n")
		if d.Line > len(lines) || d.Column < 1 || d.Column > len(lines[d.Line-1])+1 {
			t.Errorf("%s: no such place in the file", d)
		}
		if strings.ContainsAny(d.Error(), "\n\x00\x1b") {
			t.Errorf("%q: a control character", d.Error())
		}
	}
}

// checkReport tests that a report can be printed.
func checkReport(t failer, r Report) {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Errorf("text: %v", err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("json: %v", err)
	}
}

// genText draws a text from the words and signs of the language.
func genText() *rapid.Generator[string] {
	words := []string{
		"virtual_server", "192.0.2.1", "80", "fwmark", "real_server", "198.51.100.1", "2001:db8::1", "TCP_CHECK", "protocol", "TCP",
		"lb_kind", "DR", "weight", "-1", "1", "0", "quorum", "sorry_server", "connect_port", "global_defs", "vrrp_instance", "script",
		"$A", "${A}", "$A=", "$B=x $A", "~SEQ(x,1,3)", "~LST(x,a,b)", "$x", "@evenkeel", "@test", "@other", "include b.conf",
		"alpha", "ops", "retry", "lvs_timeouts", "udp", "HTTP_GET", "url", "path", "/", "status_code", "200-299", "regex", "MISC_CHECK", "misc_path", "UDP_CHECK", "payload", "0X", "weigth", "delay_loop", "0.5", "virtual_ipaddress", "dev",
	}
	signs := []string{" ", "\n", "{", "}", "\"", "#", "!", "\\", "\t", "{\n", "}\n", "'", "\\\n", "\r\n", "\x00", "é"}
	piece := rapid.OneOf(rapid.SampledFrom(words), rapid.SampledFrom(signs), rapid.Just("\n"), rapid.Just(" "))
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 60).Draw(t, "pieces"), "")
	})
}

// smallLimits keep the work of one random input small.
func smallLimits() Limits {
	return Limits{FileSize: 1 << 16, TotalSize: 1 << 17, LineLength: 4096, Files: 8, IncludeDepth: 4, Lines: 2000, Words: 20_000, Expanded: 1 << 18, Depth: 16, Diagnostics: 50}
}

// checkLoad loads two files and tests everything that must hold.
func checkLoad(t failer, main, included string) {
	t.Helper()
	contents := map[string]string{"main.conf": main, "b.conf": included}
	opts := testOptions()
	opts.Limits = smallLimits()
	c, err := load(files(contents), "main.conf", opts)
	if err != nil {
		u, ok := errors.AsType[*UnparsableError](err)
		if !ok {
			t.Errorf("error = %T, want an UnparsableError", err)
			return
		}
		checkPlaces(t, u.Diagnostics, contents)
		checkReport(t, u.Report())
		return
	}
	checkPlaces(t, c.Diagnostics, contents)
	checkConfig(t, c)
	checkReport(t, c.Report())
}

func TestLoadNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkLoad(t, genText().Draw(t, "main"), genText().Draw(t, "included"))
	})
}

// TestKeywordsAreWhereTheyStand: without expansion, every keyword's position
// is where the file has that very word.
func TestKeywordsAreWhereTheyStand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.NewReplacer("$", "", "~", "", "include b.conf", "").Replace(genText().Draw(t, "text"))
		c, err := loadText(s)
		if err != nil {
			return
		}
		lines := strings.Split(s, "\n")
		for _, k := range c.Keywords {
			for _, p := range k.Positions {
				rest := strings.TrimPrefix(lines[p.Line-1][p.Column-1:], `"`)
				if k.Status != Unknown && !strings.HasPrefix(rest, k.Keyword) {
					t.Errorf("%s: has %q, want %q", p, rest, k.Keyword)
				}
			}
		}
	})
}

// TestLoadIsDeterministic: two loads of a text give the same report.
func TestLoadIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ReplaceAll(genText().Draw(t, "text"), "include b.conf", "")
		var out [2]bytes.Buffer
		for i := range out {
			c, err := loadText(s)
			if err != nil {
				out[i].WriteString(err.Error())
				continue
			}
			if err := c.Report().WriteText(&out[i]); err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		if out[0].String() != out[1].String() {
			t.Errorf("first:\n%s\nsecond:\n%s", &out[0], &out[1])
		}
	})
}
