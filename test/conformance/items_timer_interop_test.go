//go:build interop

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func timing() []item {
	return []item{
		{69, func(p *probe) {
			// Version 3 would wait for 10.828 s.
			takesOver(p, inst{version: 2, interval: 3 * time.Second}, forge{version: 2, interval: 3}, 9609*time.Millisecond, 500*time.Millisecond)
		}},
		{70, func(p *probe) {
			// Version 2 would wait for 9.609 s.
			takesOver(p, inst{interval: 3 * time.Second}, forge{interval: 300}, 10828*time.Millisecond, 500*time.Millisecond)
		}},
		{71, func(p *probe) {
			for _, priority := range []int{1, 100, 254} {
				skew := time.Duration(256-priority) * 100 * time.Millisecond / 256
				takesOver(p, inst{priority: priority}, forge{}, 300*time.Millisecond+skew, 10*time.Millisecond)
			}
			takesOver(p, inst{interval: time.Second}, forge{interval: 100}, 3609*time.Millisecond, 50*time.Millisecond)
		}},
		{72, func(p *probe) {
			takesOver(p, inst{interval: time.Second}, forge{interval: 50}, 1804*time.Millisecond, 200*time.Millisecond)
		}},
		{73, func(p *probe) {
			// The skew of 1 s would make it 0.909 s.
			takesOver(p, inst{interval: time.Second}, forge{interval: 10}, 360*time.Millisecond, 200*time.Millisecond)
		}},
		{74, item074},
		{75, item075},
		{76, item076},
		{77, func(p *probe) {
			// Whole centiseconds would make it 30 or 40 ms.
			takesOver(p, inst{interval: 10 * time.Millisecond}, forge{interval: 1}, 36*time.Millisecond, 3*time.Millisecond)
		}},
		{78, func(p *probe) {
			takesOver(p, inst{interval: 10 * time.Millisecond}, forge{interval: 1}, 30*time.Millisecond, 20*time.Millisecond)
		}},
		{79, item079},
		{81, item081},
		{82, item082},
		{83, item083},
		{84, item084},
		{85, item085},
		{86, item086},
		{87, item087},
		{88, item088},
	}
}

// tries is how often a measurement may be spoiled by a busy machine.
const tries = 10

// tolerance is how much later than in theory something may come. What is
// recorded is measured on an idle machine; a test may run on a busy one, and only
// has to tell one way to count from another.
func tolerance(little time.Duration) time.Duration {
	if recording() {
		return little
	}
	return max(little, 400*time.Millisecond)
}

// takesOver measures how long a backup waits after the last advert of a master:
// never less than the theory, and in one try no more than it and a little.
func takesOver(p *probe, i inst, f forge, theory, little time.Duration) {
	p.Helper()
	s := newSite(p, 1)
	i = i.withDefaults()
	f.priority = 255
	stop := s.reign(f, i.interval/4)
	d := s.start(0, one(i))
	s.become(d, "BACKUP")
	var took []time.Duration
	for range tries {
		// It has heard the master, who is the only one to send.
		time.Sleep(i.interval + 50*time.Millisecond)
		had := s.countFrom(0, i)
		last := stop()
		p.until("it takes over", func() bool { return s.countFrom(0, i) > had })
		if !last.IsZero() {
			one := s.from(0, i)[had].at.Sub(last)
			took = append(took, one)
			if one < theory {
				p.Errorf("took over early: %v after the last advert, not %v", one.Round(100*time.Microsecond), theory)
				return
			}
			if one < theory+tolerance(little) {
				return
			}
		}
		stop = s.reign(f, i.interval/4)
		s.become(d, "BACKUP")
	}
	if len(took) == 0 {
		p.Fatal("the machine is too busy to measure anything")
	}
	p.Errorf("took over %v after the last advert, not %v", slices.Min(took).Round(time.Millisecond), theory)
}

func item074(p *probe) {
	s := newSite(p, 1)
	began := time.Now()
	i := inst{interval: 200 * time.Millisecond}
	s.master(one(i))
	if took := s.from(0, i)[0].at.Sub(began); took < 721*time.Millisecond {
		p.Errorf("first advert %v after the start", took)
	}
}

// item075: a router that has learned a short interval advertises at its own.
func item075(p *probe) {
	s := newSite(p, 1)
	i := inst{interval: time.Second}
	stop := s.reign(forge{priority: 255, interval: 50}, 100*time.Millisecond)
	s.start(0, one(i))
	time.Sleep(time.Second)
	stop()
	p.until("some adverts", func() bool { return s.countFrom(0, i) > 2 })
	list := s.from(0, i)
	for n, a := range list {
		p.want("interval", a.interval(), 100)
		if n > 0 && a.at.Sub(list[n-1].at) < 500*time.Millisecond {
			p.Errorf("%v between two adverts", a.at.Sub(list[n-1].at))
		}
	}
}

// item076: a master that yields waits as long as the winner's interval says.
func item076(p *probe) {
	i := inst{interval: time.Second}
	var took time.Duration
	for range tries {
		s := newSite(p, 1)
		d := s.master(one(i))
		s.become(d, "MASTER")
		s.send(forge{priority: 255, interval: 20})
		sent := time.Now()
		s.become(d, "BACKUP")
		had := s.countFrom(0, i)
		p.until("it takes over", func() bool { return s.countFrom(0, i) > had })
		if took = s.from(0, i)[had].at.Sub(sent); took > 700*time.Millisecond && took < 1500*time.Millisecond {
			return
		}
	}
	p.Errorf("took over after %v, not 722ms", took.Round(time.Millisecond))
}

func item079(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	s.master(one(i))
	var middle time.Duration
	for range tries {
		s.more(i, 50)
		list := s.from(0, i)
		list = list[len(list)-50:]
		var gaps []time.Duration
		for n := 1; n < len(list); n++ {
			gaps = append(gaps, list[n].at.Sub(list[n-1].at))
		}
		slices.Sort(gaps)
		if middle = gaps[len(gaps)/2]; middle > 98*time.Millisecond && middle < 100*time.Millisecond+tolerance(5*time.Millisecond) {
			return
		}
	}
	p.Errorf("half of the pauses are above %v", middle.Round(100*time.Microsecond))
}

func item081(p *probe) {
	s := newSite(p, 1)
	i := inst{interval: 20 * time.Millisecond}
	d := s.start(0, one(i))
	for range 20 {
		stop := s.reign(forge{priority: 255, interval: 2}, 5*time.Millisecond)
		s.become(d, "BACKUP")
		time.Sleep(40 * time.Millisecond)
		had, last := s.countFrom(0, i), stop()
		p.until("it takes over", func() bool { return s.countFrom(0, i) > had })
		if took := s.from(0, i)[had].at.Sub(last); !last.IsZero() && took < 72*time.Millisecond {
			p.Errorf("took over after %v, before 3 intervals and the skew", took.Round(time.Millisecond))
			return
		}
	}
}

// item082: of two backups the better one takes over, and the other one never
// sends.
func item082(p *probe) {
	s := newSite(p, 2)
	const second = time.Second
	better, worse := inst{priority: 200, interval: 3 * second}, inst{priority: 50, interval: 3 * second}
	stop := s.reign(forge{priority: 255, interval: 300}, 50*time.Millisecond)
	a, b := s.start(0, one(better)), s.start(1, one(worse))
	s.become(a, "BACKUP")
	s.become(b, "BACKUP")
	time.Sleep(settle)
	stop()
	s.more(better, 2)
	p.want("adverts of the worse one", s.countFrom(1, worse), 0)
}

func item083(p *probe) {
	s := newSite(p, 1)
	i := inst{interval: time.Second}
	d := s.start(0, one(i))
	var took time.Duration
	for range tries {
		stop := s.reign(forge{priority: 255, interval: 100}, 50*time.Millisecond)
		s.become(d, "BACKUP")
		time.Sleep(settle)
		had := s.countFrom(0, i)
		stop()
		s.send(forge{interval: 100})
		sent := time.Now()
		p.until("it takes over", func() bool { return s.countFrom(0, i) > had })
		took = s.from(0, i)[had].at.Sub(sent)
		if took < 608*time.Millisecond {
			break
		}
		if took < 610*time.Millisecond+tolerance(50*time.Millisecond) {
			return
		}
	}
	p.Errorf("took over %v after the goodbye, not 609ms", took.Round(time.Millisecond))
}

// item084: a file that is tracked lowers the priority and so lengthens the skew.
func item084(p *probe) {
	file := filepath.Join(p.TempDir(), "number")
	p.check(os.WriteFile(file, []byte("0\n"), 0o644))
	i := inst{priority: 250, interval: time.Second, lines: " track_file {\n  f\n }\n"}
	c := one(i)
	c.blocks = fmt.Sprintf("vrrp_track_file f {\n file %s\n weight 1\n}\n", file)
	s := newSite(p, 1)
	d := s.start(0, c)
	stop := s.reign(forge{priority: 255, interval: 100}, 100*time.Millisecond)
	s.become(d, "BACKUP")
	time.Sleep(time.Second)
	p.check(os.WriteFile(file, []byte("-240\n"), 0o644))
	time.Sleep(time.Second)
	had, last := s.countFrom(0, i), stop()
	p.until("it takes over", func() bool { return s.countFrom(0, i) > had })
	a := s.from(0, i)[had]
	p.want("priority", a.priority(), 10)
	if took := a.at.Sub(last); !last.IsZero() && took < 3960*time.Millisecond {
		p.Errorf("took over after %v, not 3.961s", took.Round(time.Millisecond))
	}
}

func item085(p *probe) {
	for n, theory := range map[int]time.Duration{2: 261 * time.Millisecond, 5: 561 * time.Millisecond} {
		i := inst{lines: fmt.Sprintf(" down_timer_adverts %d\n", n)}
		takesOver(p, i, forge{}, theory-time.Millisecond, 30*time.Millisecond)
	}
}

// item086: a master that was paused until another took over yields after one
// advert at most.
func item086(p *probe) {
	s := newSite(p, 2)
	low, high := inst{priority: 100}, inst{priority: 200, nopreempt: true}
	a := s.master(one(low))
	s.become(a, "MASTER")
	b := s.start(1, one(high))
	s.become(b, "BACKUP")
	time.Sleep(settle)
	a.pause(true)
	p.until("the other one takes over", func() bool { return s.countFrom(1, high) > 5 })
	had := s.countFrom(0, low)
	a.pause(false)
	s.become(a, "BACKUP")
	time.Sleep(settle)
	if n := s.countFrom(0, low) - had; n > 1 {
		p.Errorf("%d adverts after the pause", n)
	}
}

// item087: one forged advert with the longest interval silences it for a
// bounded time.
func item087(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	d := s.master(one(i))
	s.become(d, "MASTER")
	s.send(forge{priority: 255, interval: 4095})
	s.become(d, "BACKUP")
	s.become(d, "MASTER")
}

func item088(p *probe) {
	s := newSite(p, 1)
	i := inst{}
	d := s.master(one(i))
	s.become(d, "MASTER")
	s.send(forge{priority: 255})
	s.become(d, "BACKUP")
	s.become(d, "MASTER")
	if n, counts := d.count("VI", "master_preempted_by_unknown"); counts {
		p.want("master_preempted_by_unknown", n, 1)
	}
}
