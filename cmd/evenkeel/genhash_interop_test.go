//go:build interop

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// TestGenhashAsKeepalived: the digests are those of keepalived's genhash.
func TestGenhashAsKeepalived(t *testing.T) {
	installed := labtest.Keepalived(t, "2.2")
	ours, err := exec.LookPath("genhash")
	if err != nil {
		t.Fatal(err)
	}
	// What the server is asked for is part of the page, so that the requests
	// are compared, too.
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintln(w, r.Method, r.URL, r.Proto, r.Host, r.Header, strings.Repeat("x", 10_000))
	})
	plain, secured := httptest.NewServer(page), httptest.NewTLSServer(page)
	defer plain.Close()
	defer secured.Close()
	for _, tt := range []struct {
		server *httptest.Server
		args   string
	}{
		{plain, "-u /"}, {plain, "-u /missing"}, {plain, "-u /a?b=c -V www.example.org"}, {plain, "-u / -P 1.1"}, {plain, "-u / -P 1.0c"},
		{plain, "--use-virtualhost www.example.org --url /"},
		{secured, "-S -u /"}, {secured, "-S -I -V www.example.org -u /"},
	} {
		at, err := url.Parse(tt.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		args := append(strings.Fields(tt.args), "-s", "127.0.0.1", "-p", at.Port())
		run := func(path string) string {
			out, err := (&exec.Cmd{Path: path, Args: append([]string{"genhash"}, args...)}).Output()
			if err != nil {
				t.Errorf("%s %s: %v", path, tt.args, err)
			}
			return strings.TrimSpace(string(out))
		}
		if theirs, got := run(installed), run(ours); theirs != got || len(got) != 32 {
			t.Errorf("genhash %s: %q, keepalived's says %q", tt.args, got, theirs)
		}
	}
}
