package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary act as evenkeel when it is called by that
// name, so that scripts and network tests run real processes.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"evenkeel": main, "keepalived": main, "genhash": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode("evenkeel"),
			"keepexit": exitCode("keepalived"),
		},
		Setup: func(e *testscript.Env) error {
			// No script may meet a daemon of this machine.
			e.Setenv("SOCK", e.WorkDir+"/run/ek.sock")
			return nil
		},
	})
}

// exitCode returns a command that runs a program and compares its exit code:
// exitcode 5 check -f x.
func exitCode(program string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 2 {
			ts.Fatalf("usage: CODE ARGUMENTS")
		}
		err := ts.Exec(program, args[1:]...)
		code := "0"
		if err != nil {
			code = exitStatus(err)
		}
		if code != args[0] {
			ts.Fatalf("%s %v: exit code %s, want %s", program, args[1:], code, args[0])
		}
	}
}

// exitStatus returns the exit code of a process that ended with an error.
func exitStatus(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}
