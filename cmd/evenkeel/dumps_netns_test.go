//go:build netns

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// signalJSON and signalStatsClear are SIGRTMIN+2 and SIGRTMAX-1.
const (
	signalJSON       = syscall.Signal(36)
	signalStatsClear = syscall.Signal(63)
)

// dumped sends a signal and returns the file that it makes.
func (r *router) dumped(d *labtest.Process, sig syscall.Signal, name string) string {
	r.Helper()
	path := filepath.Join(r.dumps, name)
	if err := os.RemoveAll(path); err != nil {
		r.Fatal(err)
	}
	d.Signal(sig)
	labtest.Until(r.T, name+" is written", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	content, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	return string(content)
}

// fields reads a text dump as an exporter does: the value of each name of each
// instance, with the lines of a list joined.
func fields(text, head, assign string) map[string]map[string]string {
	all := make(map[string]map[string]string)
	var instance, list string
	for line := range strings.Lines(text) {
		plain := strings.TrimSpace(line)
		name, value, ok := strings.Cut(plain, assign)
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case name == head:
			instance = value
			all[instance] = make(map[string]string)
		case instance == "" || strings.HasPrefix(line, "---"):
			instance = ""
		case ok && value != "":
			all[instance][name] = value
		case strings.HasSuffix(plain, ":"):
			list = strings.TrimSpace(strings.TrimSuffix(plain, ":"))
		case list != "":
			all[instance][list] += plain + ";"
		}
	}
	return all
}

// TestDumpsOfSignals: today's exporters send a signal and read a file.
func TestDumpsOfSignals(t *testing.T) {
	p := newPair(t)
	a, b := p.routers[0], p.routers[1]
	script := "vrrp_script chk {\n script /bin/true\n interval 1\n weight 7\n}\n"
	d := a.start(script + instance(150, "track_script {", "chk", "}"))
	a.await("MASTER")
	e := b.start(instance(100))
	labtest.Until(t, "the backup hears the master and its script", func() bool { return b.instance().MasterPriority == 157 })

	data := fields(a.dumped(d, syscall.SIGUSR1, "keepalived.data"), "VRRP Instance", "=")["VI"]
	for name, want := range map[string]string{
		"State": "MASTER", "Wantstate": "MASTER", "Interface": "eth0", "Virtual Router ID": "51", "Gratuitous ARP delay": "5",
		"Priority": "150", "Effective priority": "157", "Virtual IP (1)": routerVIP + "/24 dev eth0 scope global set;",
	} {
		if data[name] != want {
			t.Errorf("data: %s = %q, want %q", name, data[name], want)
		}
	}
	if got := fields(b.dumped(e, syscall.SIGUSR1, "keepalived.data"), "VRRP Instance", "=")["VI"]; got["State"] != "BACKUP" {
		t.Errorf("data of the backup: %q", got)
	}
	stats := fields(a.dumped(d, syscall.SIGUSR2, "keepalived.stats"), "VRRP Instance", ":")["VI"]
	if stats["Became master"] != "1" || stats["Released master"] != "0" {
		t.Errorf("stats: %q", stats)
	}

	var list []struct {
		Data struct {
			Name     string   `json:"iname"`
			State    int      `json:"state"`
			Priority int      `json:"effective_priority"`
			VIPs     []string `json:"vips"`
		} `json:"data"`
		Stats map[string]int `json:"stats"`
	}
	if err := json.Unmarshal([]byte(a.dumped(d, signalJSON, "keepalived.json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Data.Name != "VI" || list[0].Data.State != 2 || list[0].Data.Priority != 157 || len(list[0].Data.VIPs) != 1 || list[0].Stats["become_master"] != 1 {
		t.Errorf("json: %+v", list)
	}

	// A clearing dump counts from zero afterwards.
	a.dumped(d, signalStatsClear, "keepalived.stats")
	if got := fields(a.dumped(d, syscall.SIGUSR2, "keepalived.stats"), "VRRP Instance", ":")["VI"]; got["Became master"] != "0" {
		t.Errorf("stats after the clearing: %q", got)
	}
	if a.instance().State != "MASTER" || b.instance().State != "BACKUP" {
		t.Error("the signals disturbed the election")
	}
}
