package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// memory is a file system for tests. Names are relative.
type memory struct{ fs.FS }

func (m memory) Stat(name string) (fs.FileInfo, error) { return fs.Stat(m.FS, name) }
func (m memory) Glob(pattern string) ([]string, error) { return fs.Glob(m.FS, pattern) }
func (m memory) Real(name string) (string, error)      { return name, nil }
func (m memory) Open(name string) (fs.File, error)     { return m.FS.Open(name) }
func (m memory) with(name string, mode fs.FileMode, s string) {
	m.FS.(fstest.MapFS)[name] = file(mode, s)
}

func file(mode fs.FileMode, s string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(s), Mode: mode}
}

// files makes a file system of names and contents.
func files(contents map[string]string) memory {
	m := memory{fstest.MapFS{}}
	for name, s := range contents {
		m.with(name, 0o644, s)
	}
	return m
}

// testOptions make the outcome independent of the machine.
func testOptions() Options {
	return Options{ConfigID: "test", Getenv: func(name string) string {
		return map[string]string{"VIP": "192.0.2.9", "LINES": "a\nb", "LOOP": "${_ENV LOOP}"}[name]
	}}
}

// readFiles runs the reader alone over a file system whose main file is
// main.conf.
func readFiles(m memory) (*reader, error) {
	r := newReader(record(m, "main.conf"), testOptions())
	return r, r.run("main.conf")
}

// read runs the reader alone over one text.
func read(s string) (*reader, error) { return readFiles(files(map[string]string{"main.conf": s})) }

// loadText loads one text as main.conf.
func loadText(s string) (*Config, error) {
	return load(files(map[string]string{"main.conf": s}), "main.conf", testOptions())
}

// mustLoad loads a text that must be usable.
func mustLoad(t *testing.T, s string) *Config {
	t.Helper()
	c, err := loadText(s)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return c
}

// mustFail loads a text that must not be usable.
func mustFail(t *testing.T, s string) *UnparsableError {
	t.Helper()
	c, err := loadText(s)
	u, ok := errors.AsType[*UnparsableError](err)
	if !ok {
		t.Fatalf("load = %v, %v, want an UnparsableError", c, err)
	}
	return u
}

// render writes a tree on one line: words by |, statements by ;, blocks in
// braces.
func render(b *block) string {
	var parts []string
	for _, s := range b.statements {
		var list []string
		for _, w := range s.words {
			list = append(list, w.s)
		}
		part := strings.Join(list, "|")
		if s.block != nil {
			part += "{" + render(s.block) + "}"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// complaints returns the diagnostics as lines.
func complaints(list []Diagnostic) string {
	var b strings.Builder
	for _, d := range list {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}
