package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// result is what one run of a subject gave. Times are in seconds.
type result struct {
	// Check is the time to check the file, and CheckCPU the processor's.
	Check, CheckCPU float64
	// Every is the time from the start to the first check of every server.
	Every, EveryCPU float64
	// Rate is of checks per second, CPU the processor's seconds for 1000.
	Rate, CPU float64
	// Memory is what is resident while checks go on, Peak the most so far, in
	// MiB.
	Memory, Peak float64
	// Reload is the time from SIGHUP to the end of the reload.
	Reload, ReloadCPU float64
	// Operations is what the reload changed in the datapath; -1 where the
	// program does not say.
	Operations int
	// Again counts the servers that were checked within 3 s of the reload: one
	// that begins all checks anew checks them all.
	Again int
}

// plan says what is measured.
type plan struct {
	size
	window, patience time.Duration
}

// measure makes one run.
func (s *site) measure(sub subject, p plan) (r result, err error) {
	file := filepath.Join(s.dir, "keepalived.conf")
	write := func(weight int) error {
		return os.WriteFile(file, []byte(conf(p.size, weight)), 0o644)
	}
	if err := write(1); err != nil {
		return r, err
	}
	if err := r.check(sub, file, s.dir); err != nil {
		return r, err
	}
	s.forget()
	began := time.Now()
	proc, err := sub.start(s.director, s.dir, file)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, proc.End(endPatience)) }()
	if err := proc.Await("the first check of every server", p.patience, func() bool { return s.first.Load() == int64(p.servers) }); err != nil {
		return r, err
	}
	r.Every = time.Since(began).Seconds()
	first, err := proc.Usage()
	if err != nil {
		return r, err
	}
	r.EveryCPU = first.CPU.Seconds()
	if err := s.steady(proc, p, &r); err != nil {
		return r, err
	}
	if err := write(2); err != nil {
		return r, err
	}
	return r, s.reload(proc, p, &r)
}

// check measures how long the program takes to check the file. Its exit code
// does not matter: keepalived warns of what it sets by default.
func (r *result) check(sub subject, file, dir string) error {
	cmd := exec.Command(sub.path, sub.check(file, dir)...)
	began := time.Now()
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return err
	}
	r.Check = time.Since(began).Seconds()
	r.CheckCPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return nil
}

// steady measures while nothing but checks happens. The first checks of all
// have to be through.
func (s *site) steady(proc *running, p plan, r *result) error {
	time.Sleep(p.window / 4)
	before, err := proc.Usage()
	if err != nil {
		return err
	}
	began, checks := time.Now(), s.total.Load()
	time.Sleep(p.window)
	after, err := proc.Usage()
	if err != nil {
		return err
	}
	n := float64(s.total.Load() - checks)
	if n == 0 {
		return errors.New("no check came while they were watched: the window is too short for the delay_loop")
	}
	r.Rate = n / time.Since(began).Seconds()
	r.CPU = (after.CPU - before.CPU).Seconds() / n * 1000
	r.Memory, r.Peak = float64(after.Resident)/(1<<20), float64(after.Peak)/(1<<20)
	return nil
}

var operations = regexp.MustCompile(`configuration taken over.* operations=(\d+)`)

// reload measures a reload, then how many servers are checked at once after it.
func (s *site) reload(proc *running, p plan, r *result) error {
	before, err := proc.Usage()
	if err != nil {
		return err
	}
	ended := proc.reloads()
	s.forget()
	began := time.Now()
	if err := proc.Cmd.Process.Signal(unix.SIGHUP); err != nil {
		return err
	}
	if err := proc.Await("the reload", p.patience, func() bool { return proc.reloads() > ended }); err != nil {
		return err
	}
	r.Reload = time.Since(began).Seconds()
	after, err := proc.Usage()
	if err != nil {
		return err
	}
	r.ReloadCPU = (after.CPU - before.CPU).Seconds()
	r.Operations = -1
	log, err := os.ReadFile(proc.Log)
	if err != nil {
		return err
	}
	if all := operations.FindAllSubmatch(log, -1); len(all) > 0 {
		if r.Operations, err = strconv.Atoi(string(all[len(all)-1][1])); err != nil {
			return err
		}
	}
	time.Sleep(time.Until(began.Add(3 * time.Second)))
	r.Again = int(s.first.Load())
	return nil
}
