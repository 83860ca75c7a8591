package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// runTier runs the commands of a tier and returns the counted results.
func runTier(ctx context.Context, t tier, files []testFile, out io.Writer) []result {
	fmt.Fprintf(out, "== %s\n", t.name)
	results := t.misplaced(files)
	if t.machines == nil {
		race := t.tag == "" && haveRace(ctx, out)
		for _, cmd := range t.commands(files, race) {
			results = append(results, runCommand(ctx, t.name, cmd, out)...)
		}
	}
	for _, m := range t.machines {
		results = append(results, runMachine(ctx, t, m, files, out)...)
	}
	if len(results) == 0 {
		results = append(results, result{
			tier: t.name, pkg: "tier " + t.name, outcome: failed, text: "no test was found",
		})
	}
	return results
}

// runCommand runs one go test and returns what its packages did.
func runCommand(ctx context.Context, tier string, args command, out io.Writer) []result {
	var results []result
	c := newCollector(tier, func(p packageRun) {
		results = append(results, p.results...)
		printPackage(out, p)
	})
	var stderr bytes.Buffer
	err := stream(ctx, args, &stderr, c.read)
	if err != nil && !(packageRun{results: results}).failed() {
		r := result{
			tier: tier, pkg: "go " + strings.Join(args, " "), outcome: failed,
			text: strings.Join(c.stray, "") + stderr.String() + err.Error() + "\n",
		}
		fmt.Fprintf(out, "FAIL %s\n%s", r.pkg, indent(r.text))
		results = append(results, r)
	}
	return results
}

// stream runs the go command and lets read take its output.
func stream(ctx context.Context, args command, stderr io.Writer, read func(io.Reader) error) error {
	cmd := exec.CommandContext(ctx, goTool(), args...)
	cmd.Stderr = stderr
	// A polite end, so that tests can take down what they set up.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	if err := read(stdout); err != nil {
		return fmt.Errorf("read events of go test: %w", err)
	}
	return cmd.Wait()
}

func goTool() string { return cmp.Or(os.Getenv("GO"), "go") }

// haveRace reports whether the race detector can be built: it needs cgo and a
// C compiler, which a machine with nothing but Go does not have.
func haveRace(ctx context.Context, out io.Writer) bool {
	env, err := exec.CommandContext(ctx, goTool(), "env", "CGO_ENABLED", "CC").Output()
	fields := strings.Fields(string(env))
	if err == nil && len(fields) >= 2 && fields[0] == "1" {
		if _, err := exec.LookPath(fields[1]); err == nil {
			return true
		}
	}
	fmt.Fprintln(out, "without the race detector: it needs cgo and a C compiler")
	return false
}
