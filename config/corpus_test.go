package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// corpusErrors are the files of the corpus with errors, and why each is the
// file's own fault.
var corpusErrors = map[string]string{
	"018-goncaloGIT-mykernelpanic.conf":         "the addresses are placeholders, xxx.xxx.xxx.xxx, and a tracked script does not exist",
	"036-Mall0c-keydb-multi-master-issues.conf": "the virtual address is a placeholder, __VIRTUAL_IP__; keepalived does not serve it either",
	"025-iqiyi-dpvs.conf":                       "lb_kind FNAT and lb_algo conhash are words of another LVS",
	"031-KailongLi-elb-test.conf":               "lb_kind FNAT is a word of another LVS; keepalived complains, too, and would run NAT",
	"067-quydx-scripts.conf":                    "the virtual server's address is a placeholder, fakevip; keepalived skips it, too",
	"077-shidg-note.conf":                       "an excerpt: MISC_CHECK without misc_path, and checks of servers for every port without connect_port",
}

// corpusUnparsable are those that cannot be used as a whole.
var corpusUnparsable = map[string]string{
	"049-pmzgit-old-note.conf": `a "}" too many at the end; keepalived complains, too`,
}

// corpusServices are the virtual servers that run, by file.
var corpusServices = map[string]string{
	"002-acassen-keepalived.conf":                  "[192.168.200.100]:tcp:25",
	"021-HeartZhang-ha.conf":                       "[192.168.241.200]:tcp:80",
	"024-hsksyusk-topecongiro-etc.conf":            "[49.212.173.211]:tcp:8082",
	"026-itoliver-Linux_Doc.conf":                  "[172.17.11.187]:tcp:80",
	"043-NFhook-opensips-cluster.conf":             "[10.10.18.25]:udp:5060",
	"050-pqarmitage-keepalived-devel-tools.conf":   "FWM 31 [1.2.3.4]:udp:50 [1.2.3.4]:sctp:50 [1.2.3.5]:tcp:0 [1.2.3.6]:tcp:0 [10.1.9.3]:tcp:27 [10.1.8.3]:tcp:27 [10.1.7.3]:tcp:27",
	"051-pqarmitage-keepalived-devel-tools.conf":   "[192.169.22.50]:tcp:3868 [2001:db8:2040:202::50]:tcp:3868",
	"053-pqarmitage-keepalived-devel-tools.conf":   "[22.22.54.6]:udp:53",
	"061-pqarmitage-keepalived-devel-tools.conf":   "[10.0.0.1]:tcp:80",
	"065-qimanchen-interview_plan.conf":            "[192.168.0.10]:tcp:80",
	"066-qiuyesuifeng-codis_keepalived_lvs.conf":   "[192.168.188.190]:tcp:19000 [192.168.188.108]:tcp:8001",
	"077-shidg-note.conf":                          "[10.203.43.240]:tcp:0",
	"087-yokogawa-k-docker-keepalived-reload.conf": "[192.168.100.1]:tcp:80",
	"089-zhdnf-python_script.conf":                 "[10.13.68.79]:tcp:50051 [10.13.68.79]:udp:514",
}

func corpus(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/corpus/*.conf")
	if err != nil || len(names) != 45 {
		t.Fatalf("glob = %d files, %v, want 45", len(names), err)
	}
	return names
}

func TestCorpus(t *testing.T) {
	for _, path := range corpus(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			c, err := Load(path, testOptions())
			if why, ok := corpusUnparsable[name]; (err != nil) != ok {
				t.Fatalf("load: %v, want an error if there is a reason: %s", err, why)
			}
			if err != nil {
				if _, ok := errors.AsType[*UnparsableError](err); !ok {
					t.Errorf("error = %T, want an UnparsableError", err)
				}
				return
			}
			if why, ok := corpusErrors[name]; c.HasErrors() != ok {
				t.Errorf("HasErrors = %v, want %v: %s\n%s", c.HasErrors(), ok, why, complaints(c.Diagnostics))
			}
			var keys []string
			for _, vs := range c.Services {
				keys = append(keys, vs.Key.String())
			}
			if got := strings.Join(keys, " "); got != corpusServices[name] {
				t.Errorf("services = %s, want %s", got, corpusServices[name])
			}
			checkConfig(t, c)
		})
	}
}

// TestCorpusSequences: the file that generates instances with sequences and
// definitions of many lines expands as keepalived expands it.
func TestCorpusSequences(t *testing.T) {
	c, err := Load("testdata/corpus/060-pqarmitage-keepalived-devel-tools.conf", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"vrrp_instance": 2000, "vrrp_track_file": 2000, "vrrp_script": 1}
	for _, k := range c.Keywords {
		if n, ok := want[k.Keyword]; ok && k.Block == "" {
			if k.Count != n {
				t.Errorf("%s occurs %d times, want %d", k.Keyword, k.Count, n)
			}
			delete(want, k.Keyword)
		}
		if k.Status == Unknown {
			t.Errorf("%s in %q is unknown", k.Keyword, k.Block)
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}

// unknownWord is an unknown word of a file.
type unknownWord struct {
	file string
	line int
	word string
}

// keepalivedUnknown reads what keepalived 2.2.7 called unknown.
func keepalivedUnknown(t *testing.T) map[unknownWord]bool {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus/UNKNOWN.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[unknownWord]bool)
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			continue // the comment
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		out[unknownWord{f[0], n, f[2]}] = true
	}
	return out
}

// differs says why we know a word that keepalived 2.2.7 does not, or "".
func differs(w unknownWord) string {
	switch {
	case w.word == "}":
		return "we skip the block of an unknown word with its closing brace"
	case w.word == "nat_mask", w.word == "nb_get_retry":
		return "an old word, accepted with a note or a warning"
	case strings.HasPrefix(w.file, "025-") && (w.line == 7 || w.line == 8):
		return "inside the block of an unknown word"
	case strings.HasPrefix(w.file, "077-") && w.line > 55:
		return "2.2.7 loses count of the braces after an unknown word with {} on one line"
	case strings.HasPrefix(w.file, "049-"):
		return "not parsed, because of the surplus brace"
	}
	return ""
}

// TestCorpusUnknownWords compares the unknown words with keepalived's own.
func TestCorpusUnknownWords(t *testing.T) {
	theirs := keepalivedUnknown(t)
	ours := make(map[unknownWord]bool)
	for _, path := range corpus(t) {
		name := filepath.Base(path)
		c, err := Load(path, testOptions())
		if err != nil {
			continue
		}
		for _, k := range c.Keywords {
			if k.Status != Unknown {
				continue
			}
			for _, p := range k.Positions {
				ours[unknownWord{name, p.Line, k.Keyword}] = true
			}
		}
	}
	var wrong []string
	for w := range theirs {
		if !ours[w] && differs(w) == "" {
			wrong = append(wrong, fmt.Sprintf("%v: keepalived does not know it, we do", w))
		}
	}
	for w := range ours {
		if !theirs[w] {
			wrong = append(wrong, fmt.Sprintf("%v: we do not know it, keepalived does", w))
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}
