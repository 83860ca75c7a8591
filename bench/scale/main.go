package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/lab/labtest"
)

// options are the command line.
type options struct {
	plan
	runs                       int
	evenkeel, markdown, prefix string
	json                       bool
	subjects                   string
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = bench(o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-scale:", err)
		os.Exit(1)
	}
}

func parse(args []string, help io.Writer) (options, error) {
	f := flag.NewFlagSet("bench-scale", flag.ContinueOnError)
	f.SetOutput(help)
	var o options
	f.IntVar(&o.services, "services", reportedServices, "`number` of virtual servers")
	f.IntVar(&o.servers, "servers", reportedServers, "`number` of real servers")
	f.DurationVar(&o.loop, "loop", 30*time.Second, "delay_loop of the checks")
	f.DurationVar(&o.window, "window", time.Minute, "how long the checks are watched")
	f.DurationVar(&o.patience, "patience", 20*time.Minute, "how long a program may take for a step")
	f.IntVar(&o.runs, "runs", 3, "`number` of runs of each program, in turns")
	f.StringVar(&o.evenkeel, "evenkeel", "bin/evenkeel", "`path` of the evenkeel binary")
	f.StringVar(&o.markdown, "markdown", "bench/results/scale.md", "report `file`")
	f.StringVar(&o.prefix, "prefix", "ekscale", "beginning of the names of the namespaces")
	f.StringVar(&o.subjects, "subjects", "keepalived,evenkeel", "`programs` that take turns")
	f.BoolVar(&o.json, "json", false, "print the results as JSON, too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.services < 1 || o.servers < o.services || o.servers > 1<<20 || o.services > 1<<16 {
		return o, fmt.Errorf("%d services with %d servers: at least a server each, at most 65536 and 1048576 work", o.services, o.servers)
	}
	return o, nil
}

// bench makes the runs and writes the report.
func bench(o options, out io.Writer) error {
	theirs, err := exec.LookPath("keepalived")
	if err != nil {
		return fmt.Errorf("find keepalived: %w", err)
	}
	if _, err := os.Stat(o.evenkeel); err != nil {
		return fmt.Errorf("find evenkeel: %w", err)
	}
	if err := raiseDescriptors(); err != nil {
		return err
	}
	s, err := newSite(o.prefix, o.servers)
	if err != nil {
		return err
	}
	library, err := labtest.BuildNoIPVS(s.dir)
	if err != nil {
		return errors.Join(err, s.close())
	}
	r := report{plan: o.plan, machine: thisMachine(), begun: time.Now(), load: load()}
	for _, sub := range []subject{keepalived(theirs, library), evenkeel(o.evenkeel, s.pins)} {
		if strings.Contains(o.subjects, sub.name) {
			r.subjects = append(r.subjects, series{subject: sub})
		}
	}
	for run := range o.runs {
		for i := range r.subjects {
			fmt.Fprintf(out, "run %d of %d: %s\n", run+1, o.runs, r.subjects[i].name)
			one, runErr := s.measure(r.subjects[i].subject, o.plan)
			if runErr != nil {
				err = errors.Join(err, runErr)
				what, _, _ := strings.Cut(runErr.Error(), "\n")
				r.subjects[i].failures = append(r.subjects[i].failures, fmt.Sprintf("run %d: %s", run+1, strings.TrimSuffix(what, ":")))
			}
			r.subjects[i].runs = append(r.subjects[i].runs, one)
			if o.json {
				err = errors.Join(err, json.NewEncoder(out).Encode(one))
			}
		}
	}
	text := r.markdown()
	fmt.Fprint(out, "\n", text)
	return errors.Join(err, os.WriteFile(o.markdown, []byte(text), 0o644), s.close())
}

// raiseDescriptors lets the programs, which inherit it, and the node that
// answers have as many descriptors as the machine allows.
func raiseDescriptors() error {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("read the limit of descriptors: %w", err)
	}
	r.Cur = r.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("raise the limit of descriptors: %w", err)
	}
	return nil
}
