package guest

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Parents come before what is in them, and the first content of a name stays.
func TestArchive(t *testing.T) {
	a := newArchive()
	a.data("/guest/deep/file", []byte("content"), 0o644)
	a.data("/guest/deep/file", []byte("again"), 0o644)
	a.link("/init", "/guest/deep/file")
	a.device("/dev/null", 1, 3)
	got := a.bytes()
	if len(got)%4 != 0 {
		t.Errorf("length is %d, not a multiple of 4", len(got))
	}
	var names []string
	for rest := got; ; {
		var name string
		name, rest = readEntry(t, rest)
		if name == "TRAILER!!!" {
			break
		}
		names = append(names, name)
	}
	want := []string{"guest", "guest/deep", "guest/deep/file", "init", "dev", "dev/null"}
	if !slices.Equal(names, want) {
		t.Errorf("entries are %q, want %q", names, want)
	}
	if !bytes.Contains(got, []byte("content")) || bytes.Contains(got, []byte("again")) {
		t.Error("the first content does not stay")
	}
}

// readEntry reads a newc header and steps over the content.
func readEntry(t *testing.T, b []byte) (string, []byte) {
	t.Helper()
	const header = 110
	if len(b) < header || string(b[:6]) != "070701" {
		t.Fatalf("no newc header: %q", b[:min(len(b), 20)])
	}
	field := func(i int) int {
		var v int
		for _, c := range b[6+8*i : 14+8*i] {
			v = v<<4 | strings.IndexByte("0123456789abcdef", c)
		}
		return v
	}
	round := func(n int) int { return (n + 3) &^ 3 }
	size, nameSize := field(6), field(11)
	return string(b[header : header+nameSize-1]), b[round(header+nameSize)+round(size):]
}

func TestModinfo(t *testing.T) {
	info := parseModinfo("license=GPL\x00alias=net-pf-16-proto-16-family-IPVS\x00depends=nf_conntrack,libcrc32c\x00" +
		"softdep=pre: nf-defrag-ipv6 post: other\x00depends=\x00name=ip_vs\x00")
	if want := []string{"nf_conntrack", "libcrc32c"}; !slices.Equal(info.needs, want) {
		t.Errorf("needs %q, want %q", info.needs, want)
	}
	if want := []string{"nf_defrag_ipv6"}; !slices.Equal(info.prefers, want) {
		t.Errorf("prefers %q, want %q", info.prefers, want)
	}
	if want := []string{"net_pf_16_proto_16_family_IPVS"}; !slices.Equal(info.aliases, want) {
		t.Errorf("aliases %q, want %q", info.aliases, want)
	}
}

func TestOrderOfModules(t *testing.T) {
	set := moduleSet{infos: map[string]moduleInfo{
		"ip_vs_rr":     {needs: []string{"ip_vs"}},
		"ip_vs":        {needs: []string{"nf_conntrack", "libcrc32c"}, prefers: []string{"absent"}},
		"nf_conntrack": {needs: []string{"defrag", "libcrc32c"}},
		"libcrc32c":    {}, "defrag": {},
	}}
	want := []string{"defrag", "libcrc32c", "nf_conntrack", "ip_vs"}
	if got := set.before("ip_vs_rr"); !slices.Equal(got, want) {
		t.Errorf("before ip_vs_rr: %q, want %q", got, want)
	}
}

func TestMirrors(t *testing.T) {
	tests := []struct{ name, text, archive, security string }{
		{"none", "", "", ""},
		{"new form", "Types: deb\nURIs: http://m.test/debian/\nSuites: x\n\nTypes: deb\nURIs: http://m.test/debian-security\n",
			"http://m.test/debian", "http://m.test/debian-security"},
		{"old form", "# deb http://no.test/debian x\ndeb-src http://no.test/debian x\ndeb [arch=amd64 signed-by=/k] https://a.test/debian x main\n" +
			"deb http://security.test/debian-security x main\ndeb http://other.test/debian x main\n",
			"https://a.test/debian", "http://security.test/debian-security"},
		{"others", "deb https://packages.test/apt x main\nTypes: deb\nURIs: https://node.test/node_20.x\n", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			archive, security := mirrorsIn(tt.text)
			if archive != tt.archive || security != tt.security {
				t.Errorf("mirrorsIn = %q, %q; want %q, %q", archive, security, tt.archive, tt.security)
			}
		})
	}
}

// A kernel in the cache does without the archive; one that is old does too
// when the archive is out of reach.
func TestFetchFromTheCache(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no apt
	cache := t.TempDir()
	if _, err := Fetch(t.Context(), "6.12", cache); err == nil {
		t.Error("fetched a kernel without apt")
	}
	root := filepath.Join(cache, "6.12")
	for name, text := range map[string]string{
		"lib/modules/6.12.9-cloud/kernel/net/ip-vs.ko.xz": "",
		"lib/modules/6.12.9-cloud/modules.builtin":        "kernel/drivers/net/veth.ko\n",
		"boot/vmlinuz-6.12.9-cloud":                       "",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, age := range []time.Duration{0, 2 * keep} {
		if err := os.Chtimes(root, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		k, err := Fetch(t.Context(), "6.12", cache)
		if err != nil {
			t.Fatal(err)
		}
		if k.Release != "6.12.9-cloud" || k.modules["ip_vs"] == "" || !k.builtin["veth"] || k.UserMode {
			t.Errorf("kernel = %+v", k)
		}
	}
	if _, err := Fetch(t.Context(), "2.4", cache); err == nil {
		t.Error("fetched a kernel that nobody knows")
	}
}

// The kernel is found behind something that only begins like a packed stream.
func TestUnpackImage(t *testing.T) {
	if _, err := exec.LookPath("gzip"); err != nil {
		t.Skip("skipped: needs gzip")
	}
	kernel := elf.ELFMAG + strings.Repeat("kernel", 1000)
	cmd := exec.Command("gzip", "-c")
	cmd.Stdin = strings.NewReader(kernel)
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	image := slices.Concat([]byte("head\x1f\x8b\x08 no stream "), packed, []byte("tail"))
	plain, err := unpackImage(image)
	if err != nil || string(plain) != kernel {
		t.Errorf("unpackImage = %d bytes, %v; want %d bytes", len(plain), err, len(kernel))
	}
	if _, err := unpackImage([]byte("nothing packed")); err == nil {
		t.Error("found a kernel in nothing")
	}
}
