package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/daemon"
)

// TestManualHasEachExitCode compares the constants with the table of the
// manual. 6 is kept, not used.
func TestManualHasEachExitCode(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	var want []string
	for _, code := range []int{
		exitOK, exitFailed, exitUsage, exitNoDaemon, exitUnparsable, exitConfig, 6, exitDiffers,
		exitPrivilege, exitNoBPF, exitBadPins, exitRunning, exitInterface, exitSocket, exitNoIPVS,
	} {
		want = append(want, fmt.Sprint(code))
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/cli.md (-want +got):\n%s", diff)
	}
}

func TestCodeOfError(t *testing.T) {
	start := func(k daemon.Kind) error {
		return errors.Join(&daemon.StartError{Kind: k, Err: errors.New("x")}, errors.New("y"))
	}
	tests := []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{&exitError{code: 42}, 42},
		{fmt.Errorf("x: %w", api.ErrNoDaemon), exitNoDaemon},
		{fmt.Errorf("x: %w", api.ErrRefused), exitPrivilege},
		{fmt.Errorf("x: %w", fs.ErrPermission), exitPrivilege},
		{&api.InUseError{}, exitRunning},
		{&config.UnparsableError{}, exitUnparsable},
		{start(daemon.Failed), exitFailed},
		{start(daemon.BadConfig), exitUnparsable},
		{start(daemon.NoPrivilege), exitPrivilege},
		{start(daemon.NoBPF), exitNoBPF},
		{start(daemon.BadPins), exitBadPins},
		{start(daemon.AlreadyRunning), exitRunning},
		{start(daemon.BadInterface), exitInterface},
		{start(daemon.BadSocket), exitSocket},
	}
	for _, tt := range tests {
		if got := codeOf(tt.err); got != tt.want {
			t.Errorf("codeOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	if got := oneLine(errors.Join(errors.New("a"), errors.New("b\r\n\nc"))); got != "a; b; c" {
		t.Errorf("oneLine = %q", got)
	}
}
