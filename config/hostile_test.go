package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// endless is a file of a size that nobody wants to hold, of one byte repeated.
type endless struct {
	size int64
	fill byte
}

func (e *endless) Stat() (fs.FileInfo, error) { return nil, errors.New("not asked for") }
func (e *endless) Close() error               { return nil }

func (e *endless) Read(b []byte) (int, error) {
	n := int(min(e.size, int64(len(b))))
	if n == 0 {
		return 0, io.EOF
	}
	for i := range b[:n] {
		b[i] = e.fill
	}
	e.size -= int64(n)
	return n, nil
}

// oversized has one endless file beside those of memory.
type oversized struct {
	memory
	size int64
	fill byte
}

func (o oversized) Open(name string) (fs.File, error) {
	if name == "endless.conf" {
		return &endless{o.size, o.fill}, nil
	}
	return o.memory.Open(name)
}

func (o oversized) Stat(name string) (fs.FileInfo, error) {
	if name == "endless.conf" {
		return fileOf(o.size), nil
	}
	return o.memory.Stat(name)
}

func (o oversized) Glob(pattern string) ([]string, error) {
	if pattern == "endless.conf" {
		return []string{pattern}, nil
	}
	return o.memory.Glob(pattern)
}

// fileOf is what there is to know of an endless file.
type fileOf int64

func (f fileOf) Name() string     { return "endless.conf" }
func (f fileOf) Size() int64      { return int64(f) }
func (fileOf) Mode() fs.FileMode  { return 0o644 }
func (fileOf) ModTime() time.Time { return time.Time{} }
func (fileOf) IsDir() bool        { return false }
func (fileOf) Sys() any           { return nil }

// mostAllocated bounds what reading a hostile file may allocate in all, with the
// default limits: far more than any needs, and far less than without a bound.
const mostAllocated = 4 << 30

// TestHostileFiles: with the default limits no file makes the reader allocate
// without bound, and what goes too far is an error with its place.
func TestHostileFiles(t *testing.T) {
	text := func(s string) fileSystem { return files(map[string]string{"main.conf": s}) }
	endless := func(fill byte) fileSystem {
		return oversized{files(map[string]string{"main.conf": "global_defs {\n}\n  include endless.conf\n"}), 1 << 30, fill}
	}
	many := memory{fstest.MapFS{}}
	many.with("main.conf", 0o644, "include d/*\n")
	for i := range 10_001 {
		many.with(fmt.Sprintf("d/%d", i), 0o644, "a\n")
	}
	chain := make(map[string]string)
	for i := range 100 {
		chain[fmt.Sprintf("%d.conf", i)] = fmt.Sprintf("include %d.conf\n", i+1)
	}
	chain["main.conf"] = "include 0.conf\n"
	for name, c := range map[string]struct {
		fs fileSystem
		// want begins the error; an empty one is none.
		want string
		// lines is another limit of lines, for inputs that reach the default in
		// the same way as the sequence of blocks does; that takes a second.
		lines int
	}{
		"include loop":          {text("a\n include main.conf\n"), "main.conf:2:10: error: main.conf includes itself", 0},
		"include chain":         {files(chain), "31.conf:1:9: error: ", 0},
		"many files":            {many, "main.conf:1:9: error: more than 10000 files", 0},
		"a line of 1 GB":        {endless('x'), "main.conf:3:11: error: endless.conf is larger than the limit of 67108864 bytes", 0},
		"1 GB of empty lines":   {endless('\n'), "main.conf:3:11: error: endless.conf is larger than the limit of 67108864 bytes", 0},
		"a line of 60 MB":       {text("a\n" + strings.Repeat("{", 60<<20)), "main.conf:2:1: error: the line has 62914560 bytes", 0},
		"doubled text":          {text(doublings("$A%d=${A%d} ${A%d}\n")), "main.conf:62:1: error: the line has ", 0},
		"doubled lines":         {text(doublings("$A%d= \\\n${A%d} \\\n${A%d}\n")), "main.conf:", 100_000},
		"sequences in sequence": {text("~SEQ(x,1,1000000000) ~SEQ(y,1,1000000000) @other a\n"), "main.conf:1:43: error: the configuration has more than 100000 lines", 100_000},
		"sequence of blocks":    {text("~SEQ(x,1,100000000) real_server 192.0.2.1 $x {}\n"), "main.conf:1:21: error: the configuration has more than 2000000 lines", 0},
		"sequence of braces":    {text("~SEQ(x,1,100000000) a$x {\n"), "main.conf:1:25: error: blocks are nested more than 64 deep", 0},
		"long value":            {text("$A=" + strings.Repeat("x", 60_000) + "\n~SEQ(x,1,100000000) $A $x\n"), "main.conf:2:21: error: definitions and sequences expand to more than 268435456 bytes", 0},
		"deep blocks":           {text(strings.Repeat("a {\n", 1_000_000)), "main.conf:65:3: error: blocks are nested more than 64 deep", 0},
		"many words":            {text(strings.Repeat(strings.Repeat("a ", 30_000)+"\n", 1000)), "main.conf:267:1: error: the configuration has more than 8000000 words", 0},
		"many blocks":           {text(strings.Repeat("a {}\n", 100_000)), "", 0},
		"many unknown words":    {text("global_defs {\n~SEQ(x,1,100000) nonsense$x\n}\n"), "", 0},
		"many lost services":    {text("~SEQ(x,1,30000) virtual_server nowhere$x 80 {}\n"), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			opts := testOptions()
			opts.Limits.Lines = c.lines
			_, err := load(c.fs, "main.conf", opts)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > mostAllocated {
				t.Errorf("%d MiB were allocated, want at most %d", n>>20, mostAllocated>>20)
			}
			if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && !strings.HasPrefix(got, c.want) {
				t.Errorf("error = %s, want %s", got, c.want)
			}
		})
	}
}

// doublings defines A0 to A60, each by form as twice the one before, and uses
// the last.
func doublings(form string) string {
	var b strings.Builder
	b.WriteString("$A0=ha\n")
	for i := range 60 {
		fmt.Fprintf(&b, form, i+1, i, i)
	}
	b.WriteString("$A60\n")
	return b.String()
}
