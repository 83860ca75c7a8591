//go:build interop

package config

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// testEach lets keepalived test each configuration named on its input, and
// prints the name and then what keepalived complains of.
const testEach = `
while read -r file; do
	echo "== $file"
	cd "$(dirname "$file")" && keepalived -t -i test -f "$file" 2>&1
done
exit 0
`

// reason says why a word that keepalived 2.2.7 calls unknown in lines first to
// last of a file is none of ours, or, in ours, the other way round. No word is
// any word.
type reason struct {
	file        string
	first, last int
	word        string
	ours        bool
	why         string
}

// oracleReasons are the differences from keepalived's list of unknown words,
// those of the corpus apart (differs). Examples of the manual are named for the
// line of the page where they begin.
func oracleReasons() []reason {
	const inside = "inside the block of an unknown word, which we skip as a whole"
	return []reason{
		{file: "man-0172", first: 349, last: 349, word: "vrrp_ipsets", why: "known only to builds for iptables, and Debian's is for nftables"},
		{file: "man-2163", first: 4, last: 5, word: "virtual_server", why: "a virtual_server without its block: keepalived reads on inside it, we say that the block is missing"},
		{file: "man-2745", first: 9, last: 40, why: "the example is wrong: an empty line ends its definition, and a brace is left over. We do not read the file, and keepalived runs what is left of it"},
		{file: "man-2825", first: 22, last: 25, why: inside},
	}
}

// unknownLine is keepalived's complaint about an unknown word.
var unknownLine = regexp.MustCompile(`(?m)^\((?:.*: )?Line (\d+)\) Unknown keyword '(.*)'`)

// theirUnknown returns the words that keepalived calls unknown in each file.
func theirUnknown(t *testing.T, paths []string) map[unknownWord]bool {
	t.Helper()
	cmd := exec.Command("unshare", "--net", "--mount", "sh", "-c", testEach)
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run keepalived: %v", err)
	}
	words := make(map[unknownWord]bool)
	sections := strings.Split("\n"+string(out), "\n== ")[1:]
	if len(sections) != len(paths) {
		t.Fatalf("keepalived tested %d files, want %d", len(sections), len(paths))
	}
	for _, section := range sections {
		path, log, _ := strings.Cut(section, "\n")
		for _, m := range unknownLine.FindAllStringSubmatch(log, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			words[unknownWord{filepath.Base(path), n, m[2]}] = true
		}
	}
	return words
}

// ourUnknown returns the words that we call unknown in each file, and the files
// that are not parsed.
func ourUnknown(t *testing.T, paths []string) (map[unknownWord]bool, []string) {
	t.Helper()
	words := make(map[unknownWord]bool)
	var unparsable []string
	for _, path := range paths {
		c, err := Load(path, testOptions())
		if _, ok := errors.AsType[*UnparsableError](err); ok {
			unparsable = append(unparsable, filepath.Base(path))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range c.Keywords {
			if k.Status != Unknown {
				continue
			}
			for _, p := range k.Positions {
				words[unknownWord{filepath.Base(path), p.Line, k.Keyword}] = true
			}
		}
	}
	return words, unparsable
}

// explained reports whether a difference has its reason, and counts its use.
func explained(w unknownWord, ours bool, used map[int]bool) bool {
	if !ours && differs(w) != "" {
		return true
	}
	for i, r := range oracleReasons() {
		if r.file == w.file && r.ours == ours && w.line >= r.first && w.line <= r.last && (r.word == "" || r.word == w.word) {
			used[i] = true
			return true
		}
	}
	return false
}

// TestUnknownWordsAsKeepalived compares our unknown words with those of
// keepalived -t in the corpus, in the samples of Debian's package and in the
// examples of keepalived.conf(5).
func TestUnknownWordsAsKeepalived(t *testing.T) {
	labtest.Keepalived(t, "2.2.7")
	samples, err := filepath.Glob("/usr/share/doc/keepalived/samples/keepalived.conf*")
	if err != nil || len(samples) < 20 {
		t.Skipf("skipped: needs the samples of keepalived's package, found %d", len(samples))
	}
	paths := slices.Concat(corpus(t), samples, manualExamples(t))
	for i, p := range paths {
		if paths[i], err = filepath.Abs(p); err != nil {
			t.Fatal(err)
		}
	}
	theirs := theirUnknown(t, paths)
	ours, unparsable := ourUnknown(t, paths)
	if want := []string{"049-pmzgit-old-note.conf", "man-2745"}; !slices.Equal(unparsable, want) {
		t.Errorf("not parsed: %v, want %v", unparsable, want)
	}
	used := make(map[int]bool)
	var wrong []string
	for w := range theirs {
		if !ours[w] && !explained(w, false, used) {
			wrong = append(wrong, fmt.Sprintf("%v: keepalived does not know it, we do", w))
		}
	}
	for w := range ours {
		if !theirs[w] && !explained(w, true, used) {
			wrong = append(wrong, fmt.Sprintf("%v: we do not know it, keepalived does", w))
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
	for i, r := range oracleReasons() {
		if !used[i] {
			t.Errorf("%s, lines %d to %d: no difference any more: %s", r.file, r.first, r.last, r.why)
		}
	}
	t.Logf("%d files, %d unknown words in keepalived, %d here", len(paths), len(theirs), len(ours))
}

// manualExamples writes the configurations of keepalived.conf(5), which the
// page sets as they are (.nf to .fi), into files, and returns their paths. What
// stands for a value becomes one, so that keepalived reads on: alternatives in
// braces, an address, a port, the name of a checker.
func manualExamples(t *testing.T) []string {
	t.Helper()
	const page = "/usr/share/man/man5/keepalived.conf.5.gz"
	packed, err := os.ReadFile(page)
	if err != nil {
		t.Skipf("skipped: needs the manual page: %v", err)
	}
	unpack, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	source, err := io.ReadAll(unpack)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	examples := unformat(string(source))
	if len(examples) < 25 {
		t.Fatalf("%d examples in %s, want 26", len(examples), page)
	}
	var paths []string
	for _, line := range slices.Sorted(maps.Keys(examples)) {
		path := filepath.Join(dir, fmt.Sprintf("man-%04d", line))
		if err := os.WriteFile(path, []byte(examples[line]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// unformat returns the examples of a page by the line where they begin.
func unformat(source string) map[int]string {
	font := regexp.MustCompile(`\\f[A-Z]`)
	choice := regexp.MustCompile(`([^$])\{[^{}\n]*\}`) // but not ${NAME}
	fill := strings.NewReplacer("<IPADDR>", "192.0.2.1", "[<PORT>]", "80", "HTTP_GET|SSL_GET", "HTTP_GET", "CHECKER_TYPE", "TCP_CHECK",
		"1,254", "1,3", "0,31", "0,1") // and 65,024 instances take keepalived minutes
	plain := strings.NewReplacer(`\'`, "'", `\-`, "-", `\e`, `\`, `\\`, `\`)
	out := make(map[int]string)
	begin := 0
	var b strings.Builder
	for i, line := range strings.Split(source, "\n") {
		switch {
		case line == ".nf":
			begin = i + 1
			b.Reset()
		case line == ".fi" && begin > 0:
			out[begin] = b.String()
			begin = 0
		case begin > 0 && !strings.HasPrefix(line, "."):
			line = plain.Replace(font.ReplaceAllString(line, ""))
			b.WriteString(fill.Replace(choice.ReplaceAllString(line, "${1}0")) + "\n")
		}
	}
	return out
}
