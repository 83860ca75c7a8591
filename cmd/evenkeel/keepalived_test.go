package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The habits of getopt_long: flags in one word, arguments inside or behind,
// optional ones inside only, long names cut short, -- as the end.
func TestReadLine(t *testing.T) {
	tests := []struct {
		line  string
		want  map[string][]string
		extra []string
		wrong string
	}{
		{line: "-lnD", want: map[string][]string{"log-console": {""}, "dont-fork": {""}, "log-detail": {""}}},
		{line: "-lnDfx", want: map[string][]string{"log-console": {""}, "dont-fork": {""}, "log-detail": {""}, "use-file": {"x"}}},
		{line: "-f x -f y", want: map[string][]string{"use-file": {"x", "y"}}},
		{line: "--use-file x --use-file=y=z", want: map[string][]string{"use-file": {"x", "y=z"}}},
		{line: "-t x", want: map[string][]string{"config-test": {""}}, extra: []string{"x"}},
		{line: "-tx", want: map[string][]string{"config-test": {"x"}}},
		{line: "--config-test=x", want: map[string][]string{"config-test": {"x"}}},
		{line: "--config-t", want: map[string][]string{"config-test": {""}}},
		{line: "--log-f 3", wrong: "Unknown option --log-f"},
		{line: "--pid=x -p y", want: map[string][]string{"pid": {"x", "y"}}},
		{line: "a -l b -- -n", want: map[string][]string{"log-console": {""}}, extra: []string{"a", "b", "-n"}},
		{line: "-", want: map[string][]string{}, extra: []string{"-"}},
		{line: "-DD", want: map[string][]string{"log-detail": {"", ""}}},
		{line: "-nZ", wrong: "Unknown option -Z"},
		{line: "--dont-fork=1", wrong: "Unknown option --dont-fork=1"},
		{line: "-np", wrong: "Missing parameter for option -p"},
		{line: "--pid", wrong: "Missing parameter for option --pid"},
	}
	for _, tt := range tests {
		l, err := readLine(keepalivedOptions(), strings.Fields(tt.line))
		if err != nil || tt.wrong != "" {
			if err == nil || err.Error() != tt.wrong {
				t.Errorf("%s: %v, want %q", tt.line, err, tt.wrong)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, l.given); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
		if diff := cmp.Diff(tt.extra, l.extra); diff != "" {
			t.Errorf("%s: others (-want +got):\n%s", tt.line, diff)
		}
	}
}

func TestGenhash(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("hello\n"))
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	const sum = "b1946ac92492d2347c6235b4d2611184\n"
	tests := []struct {
		line, out string
		code      int
	}{
		{line: "-s 127.0.0.1 -p " + at.Port() + " -u /", out: sum},
		{line: "-s 127.0.0.1 -p " + at.Port() + " -u /broken -P 1.1 -V www.example.org", out: sum},
		{line: "--server=127.0.0.1 --port=" + at.Port() + " --url=/ -v", out: sum},
		{line: "-S -s 127.0.0.1 -p " + at.Port() + " -u /", code: 1},
		{line: "-s localhost -p 80", code: 1},
		{line: "-s 127.0.0.1", code: 1},
		{line: "-s 127.0.0.1 -p 80 -P 3", code: 1},
		{line: "", code: 1},
		{line: "-h"},
	}
	for _, tt := range tests {
		var out, log bytes.Buffer
		e := &env{stdout: &out, stderr: &log}
		if code := e.genhash(t.Context(), strings.Fields(tt.line)); code != tt.code {
			t.Errorf("genhash %s: exit code %d, want %d: %s", tt.line, code, tt.code, log.String())
		}
		if !strings.HasSuffix(out.String(), tt.out) || (tt.out == "") != (out.Len() == 0) {
			t.Errorf("genhash %s printed %q, want %q at the end", tt.line, out.String(), tt.out)
		}
	}
}
