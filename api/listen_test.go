package api_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/api"
)

func TestListenMakesAPrivateSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "ek.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{filepath.Dir(path): os.ModeDir | 0o750, path: os.ModeSocket | 0o660} {
		info, err := os.Lstat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after close: %v, want no socket", err)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ek.sock")
	first, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Listen(path)
	if inUse, ok := errors.AsType[*api.InUseError](err); !ok || inUse.PID != os.Getpid() {
		t.Fatalf("second listen: %v, want InUseError with pid %d", err, os.Getpid())
	}
	if want := fmt.Sprintf("(pid %d) runs already", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first daemon's socket no longer answers: %v", err)
	}
	conn.Close()

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := api.Listen(path)
	if err != nil {
		t.Fatalf("listen after the first ended: %v", err)
	}
	third.Close()
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := deadSocket(t, t.TempDir())
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("dial the new socket: %v", err)
	}
	conn.Close()
}

func TestListenLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ek.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("listen = %v, want a refusal", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if _, err := api.Listen("/" + strings.Repeat("x", 108)); err == nil || !strings.Contains(err.Error(), "longer than 107") {
		t.Errorf("a long path: %v", err)
	}
}
