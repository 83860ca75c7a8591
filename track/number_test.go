package track

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// TestParseNumber was measured on keepalived 2.2.7 as far as it says 0 or a
// number.
func TestParseNumber(t *testing.T) {
	const tooBig = "its number is not between -2147483648 and 2147483647"
	tests := []struct {
		text string
		want int
		err  string
	}{
		{"5", 5, ""},
		{"-5\n", -5, ""},
		{"+8\n", 8, ""},
		{" \t\n7", 7, ""},
		{"3\n4\n", 3, ""},
		{"12abc", 12, ""},
		{"1.5", 1, ""},
		{"0x10", 16, ""},
		{"-0X1f", -31, ""},
		{"0xg", 0, ""},
		{"010", 8, ""},
		{"08", 0, ""},
		{"0", 0, ""},
		{"2147483647", 1<<31 - 1, ""},
		{"-2147483648", -1 << 31, ""},
		{"2147483648", 0, tooBig},
		{"99999999999999999999", 0, tooBig},
		{"", 0, "it holds no number"},
		{"abc", 0, "it holds no number"},
		{"-", 0, "it holds no number"},
		{"- 5", 0, "it holds no number"},
		{"\x00", 0, "it holds no number"},
	}
	for _, tt := range tests {
		got, err := parseNumber(tt.text)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("parseNumber(%q) = %d, %v, want %d, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func TestReadNumber(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(path("good"), []byte("-12\n"), 0o600),
		os.WriteFile(path("words"), []byte("high"), 0o600),
		os.Symlink("good", path("link")),
		os.Symlink("gone", path("dangling")),
		unix.Mkfifo(path("fifo"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		want int
		err  string
	}{
		{"good", -12, ""},
		{"link", -12, ""},
		{"words", 0, "it holds no number"},
		{"absent", 0, "no such file or directory"},
		{"dangling", 0, "no such file or directory"},
		{"fifo", 0, "it is not a regular file"},
		{"", 0, "it is not a regular file"},
	}
	for _, tt := range tests {
		got, err := readNumber(path(tt.name))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("readNumber(%s) = %d, %v, want %d, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestInitFile(t *testing.T) {
	const old = "7 old\n"
	tests := []struct {
		name string
		init model.InitFile
		// there puts something in place; nil leaves the file missing.
		there func(path string) error
		want  string
		err   bool
	}{
		{"none", model.InitFileNone, nil, "", false},
		{"create", model.InitFileCreate, nil, "-5\n", false},
		{"create and it is there", model.InitFileCreate, write(old), old, false},
		{"overwrite", model.InitFileOverwrite, write(old), "-5\n", false},
		{"overwrite and it is missing", model.InitFileOverwrite, nil, "-5\n", false},
		{"create through a link", model.InitFileCreate, link, "", false},
		{"overwrite through a link", model.InitFileOverwrite, link, "", true},
		{"overwrite a folder", model.InitFileOverwrite, func(p string) error { return os.Mkdir(p, 0o700) }, "", true},
		{"overwrite a FIFO", model.InitFileOverwrite, func(p string) error { return unix.Mkfifo(p, 0o600) }, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if tt.there != nil {
				if err := tt.there(path); err != nil {
					t.Fatal(err)
				}
			}
			err := initFile(model.TrackFile{Path: path, Init: tt.init, InitValue: -5})
			if (err != nil) != tt.err {
				t.Errorf("initFile = %v, want an error: %v", err, tt.err)
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				return
			}
			if text, err := os.ReadFile(path); string(text) != tt.want || err != nil {
				t.Errorf("the file holds %q, %v, want %q", text, err, tt.want)
			}
		})
	}
	if err := initFile(model.TrackFile{Path: "/nonexistent/file", Init: model.InitFileCreate}); err == nil {
		t.Error("a file in a missing folder was created")
	}
}

func write(text string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

// link puts a symbolic link to a file in another folder in place.
func link(path string) error { return os.Symlink("../elsewhere", path) }
