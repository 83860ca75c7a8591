package config

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiagnosticText(t *testing.T) {
	for _, tc := range []struct {
		d    Diagnostic
		want string
	}{
		{Diagnostic{Severity: Error, File: "a.conf", Line: 3, Column: 7, Message: "m", Hint: "h"}, "a.conf:3:7: error: m; h"},
		{Diagnostic{Severity: Warning, File: "a.conf", Line: 3, Column: 7, Message: "m"}, "a.conf:3:7: warning: m"},
		{Diagnostic{Severity: Error, File: "a.conf", Message: "m"}, "a.conf: error: m"},
		{Diagnostic{Severity: Note, Message: "m"}, "note: m"},
	} {
		if got := tc.d.Error(); got != tc.want || tc.d.String() != got {
			t.Errorf("text = %q, want %q", got, tc.want)
		}
		if p := tc.d.Position(); p.File != tc.d.File || p.Line != tc.d.Line || p.Column != tc.d.Column {
			t.Errorf("position = %v, want that of %v", p, tc.d)
		}
	}
}

func TestReportJSON(t *testing.T) {
	c := mustLoad(t, "virtual_server 192.0.2.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind DR\n weigth 1\n sorry_server 198.51.100.9\n real_server 198.51.100.1 80 { TCP_CHECK {}\n }\n}\n")
	got, err := json.MarshalIndent(c.Report(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	delete(back, "keywords")
	want := map[string]any{
		"usable": true, "files": []any{"main.conf"}, "errors": 0.0, "warnings": 1.0, "notes": 0.0,
		"diagnostics": []any{map[string]any{
			"severity": "warning", "file": "main.conf", "line": 5.0, "column": 2.0, "keyword": "weigth",
			"message": `"weigth" is not known in virtual_server; the line is ignored`, "hint": `did you mean "weight"?`,
		}},
		"instances": []any{},
		"services": []any{map[string]any{
			"key": "[192.0.2.1]:tcp:80", "scheduler": "rr", "datapath": "auto", "sorry": "198.51.100.9:80",
			"position": map[string]any{"file": "main.conf", "line": 1.0, "column": 1.0},
			"servers": []any{map[string]any{
				"address": "198.51.100.1:80", "forward": "DR", "weight": 1.0, "checks": []any{"TCP_CHECK"},
				"position": map[string]any{"file": "main.conf", "line": 7.0, "column": 2.0},
			}},
		}},
	}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if u, err := json.Marshal(mustFail(t, "}").Report()); err != nil || !strings.Contains(string(u), `"services":[],"keywords":[]`) {
		t.Errorf("report = %s, %v, want empty lists and no null", u, err)
	}
}

func TestKeywordUse(t *testing.T) {
	c := mustLoad(t, "a x\nb\na y\n"+strings.Repeat("b\n", 200))
	var got []string
	for _, k := range c.Keywords {
		got = append(got, k.Keyword+" "+string(k.Status))
		if k.Keyword == "b" && (k.Count != 201 || len(k.Positions) != mostPositions) {
			t.Errorf("b: count %d with %d positions, want 201 with %d", k.Count, len(k.Positions), mostPositions)
		}
	}
	if s := strings.Join(got, ", "); s != "a unknown, b unknown" {
		t.Errorf("keywords = %s", s)
	}
	if n := len(c.Diagnostics); n != mostRepeats+2+1 {
		t.Errorf("%d complaints, want 20 about b with a summary, and 2 about a:\n%s", n, complaints(c.Diagnostics))
	}
}

func TestDiagnosticsAreBounded(t *testing.T) {
	var b strings.Builder
	for range 30 {
		b.WriteString("global_defs { lvs_timeouts tcp x\n}\n")
	}
	b.WriteString("a \"x\n@ y\n@ y\n")
	opts := testOptions()
	opts.Limits.Diagnostics = 10
	c, err := load(files(map[string]string{"main.conf": b.String()}), "main.conf", opts)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Diagnostics); n != 10+2+1 {
		t.Fatalf("%d complaints, want 10 errors, 2 warnings and a note:\n%s", n, complaints(c.Diagnostics))
	}
	if last := c.Diagnostics[len(c.Diagnostics)-1]; last.String() != "main.conf: note: 21 more complaints are not shown" {
		t.Errorf("last = %s, want how many are not shown", last)
	}
}

func TestUnparsableError(t *testing.T) {
	u := mustFail(t, "@ x\n}\n")
	if u.Fatal.Line != 2 || len(u.Diagnostics) != 2 || len(u.Files) != 1 || u.Report().Usable {
		t.Errorf("error = %+v, want line 2 with the warning before it", u)
	}
	if errors.Unwrap(u) != nil {
		t.Errorf("cause = %v, want none", errors.Unwrap(u))
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteTextReturnsTheError(t *testing.T) {
	if err := mustLoad(t, "global_defs { }").Report().WriteText(brokenWriter{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error = %v, want %v", err, io.ErrShortWrite)
	}
}
