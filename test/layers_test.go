package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/evenkeel/evenkeel"

// allTags are the build tags of the test tiers.
const allTags = "-tags=bpf,netns,interop,vm"

// rank returns the row of each package. A package imports only packages of
// lower rows. A folder below a named one shares its row and its rights, and
// the two may import each other as far as Go allows.
func rank() map[string]int {
	return map[string]int{
		"model":  0,
		"config": 1, "sched": 1, "bpf": 1, "bpf/reasons": 1,
		"internal/lab": 1, "internal/guest": 1, "internal/tally": 1,
		"lbmaps": 2, "ipvs": 2, "netif": 2, "vrrp": 2, "health": 2, "notify": 2, "track": 2,
		"loader": 3, "director": 3, "failover": 3,
		"api": 4, "metrics": 4,
		"daemon": 5, "demo": 5,
		"bench": 6,
		"cmd":   7,
		// Imports anything, is imported by nothing.
		"test": 8,
	}
}

// importers returns, for outside modules that reach the kernel, the packages
// that may import them.
func importers() map[string][]string {
	return map[string][]string{
		"github.com/vishvananda/netlink": {"netif", "ipvs", "internal/lab", "test"},
		"github.com/cilium/ebpf":         {"bpf", "lbmaps", "loader", "internal/lab", "bench", "test"},
	}
}

// stdOnly returns the packages that use nothing from outside but the standard
// library.
func stdOnly() []string { return []string{"model", "sched", "internal/tally"} }

// goPackage is a package as go list describes it.
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	// Imports leaves out what only test files import.
	Imports []string
	GoFiles []string
}

// room returns the named package that path, inside the module, belongs to, and
// its row.
func room(path string) (name string, row int, ok bool) {
	rows := rank()
	for name = path; name != "."; name = parent(name) {
		if row, ok = rows[name]; ok {
			return name, row, true
		}
	}
	return "", 0, false
}

func parent(path string) string {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return "."
	}
	return path[:at]
}

// inside returns the path inside the module, and whether it is in it.
func inside(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// layerViolations returns a complaint for each import against the rows.
func layerViolations(packages []goPackage) []string {
	var bad []string
	for _, p := range packages {
		path, ok := inside(p.ImportPath)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: the module's root holds no package", p.ImportPath))
			continue
		}
		from, fromRow, ok := room(path)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s has no row: give it one in rank", path))
			continue
		}
		for _, imported := range p.Imports {
			if complaint := checkImport(from, fromRow, imported); complaint != "" {
				bad = append(bad, path+complaint)
			}
		}
	}
	return bad
}

// checkImport returns what is wrong with an import by a package of the room
// from, or nothing.
func checkImport(from string, fromRow int, imported string) string {
	path, ok := inside(imported)
	if !ok {
		return checkOutside(from, imported)
	}
	to, toRow, ok := room(path)
	switch {
	case !ok:
		return fmt.Sprintf(" (row %d) imports %s, which has no row", fromRow, path)
	case to == from || toRow < fromRow:
		return ""
	}
	return fmt.Sprintf(" (row %d) imports %s (row %d): only lower rows may be imported", fromRow, path, toRow)
}

func checkOutside(from, imported string) string {
	// Standard packages have no dot in their first element.
	first, _, _ := strings.Cut(imported, "/")
	if strings.Contains(first, ".") && slices.Contains(stdOnly(), from) {
		return fmt.Sprintf(" imports %s: it uses the standard library only", imported)
	}
	for mod, allowed := range importers() {
		if (imported == mod || strings.HasPrefix(imported, mod+"/")) && !slices.Contains(allowed, from) {
			return fmt.Sprintf(" imports %s: only %s may", imported, strings.Join(allowed, ", "))
		}
	}
	return ""
}

// listPackages returns the packages of the module, also those that do not build
// now: that is for the compiler to say.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", allTags,
		"-json=ImportPath,Name,Dir,Imports,GoFiles", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, &stderr)
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		packages = append(packages, p)
	}
}

func TestLayers(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 2 {
		t.Fatalf("listed %d packages: the rule was applied to nothing", len(packages))
	}
	for _, complaint := range layerViolations(packages) {
		t.Error(complaint)
	}
}

func TestLayerViolations(t *testing.T) {
	tests := []struct {
		name     string
		path     string
		imported string
		want     string // empty: no complaint
	}{
		{"downwards", "director", module + "/sched", ""},
		{"standard library", "model", "net/netip", ""},
		{"upwards", "sched", module + "/director", "sched (row 1) imports director (row 3): only lower rows may be imported"},
		{"same row", "health", module + "/netif", "health (row 2) imports netif (row 2): only lower rows may be imported"},
		{"model imports ours", "model", module + "/sched", "model (row 0) imports sched (row 1): only lower rows may be imported"},
		{"own subpackage", "daemon", module + "/daemon/ready", ""},
		{"own parent", "vrrp/rawconn", module + "/vrrp", ""},
		{"subpackage has the row", "vrrp/rawconn", module + "/netif", "vrrp/rawconn (row 2) imports netif (row 2): only lower rows may be imported"},
		{"named subpackage is its own", "bpf", module + "/bpf/reasons", "bpf (row 1) imports bpf/reasons (row 1): only lower rows may be imported"},
		{"test package", "daemon", module + "/test", "daemon (row 5) imports test (row 8): only lower rows may be imported"},
		{"test imports anything", "test/interop", module + "/cmd/evenkeel", ""},
		{"no row", "util", "fmt", "util has no row: give it one in rank"},
		{"imports without a row", "daemon", module + "/internal/util", "daemon (row 5) imports internal/util, which has no row"},
		{"netlink in netif", "netif", "github.com/vishvananda/netlink/nl", ""},
		{"netlink elsewhere", "loader", "github.com/vishvananda/netlink", "loader imports github.com/vishvananda/netlink: only netif, ipvs, internal/lab, test may"},
		{"ebpf elsewhere", "director", "github.com/cilium/ebpf/link", "director imports github.com/cilium/ebpf/link: only bpf, lbmaps, loader, internal/lab, bench, test may"},
		{"outside module in sched", "sched", "golang.org/x/sys/unix", "sched imports golang.org/x/sys/unix: it uses the standard library only"},
		{"root package", "", "fmt", module + ": the module's root holds no package"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := goPackage{
				ImportPath: strings.TrimSuffix(module+"/"+tt.path, "/"),
				Imports:    []string{tt.imported},
			}
			got := strings.Join(layerViolations([]goPackage{p}), "\n")
			if got != tt.want {
				t.Errorf("complaint is %q, want %q", got, tt.want)
			}
		})
	}
}
