package daemon

import "github.com/evenkeel/evenkeel/model"

// routerNice is the nice value of a process that takes part in elections and
// whose configuration says nothing of it. An advert that waits behind a compiler
// looks like a dead master: beside work of the usual value, on all CPUs, adverts
// every 10 ms were late by a scheduler's slice now and then. It is not
// real-time, so that nothing here can take a CPU away from the rest, and who
// starts the process with another value keeps that.
const routerNice = -10

// takePlace gives the process its place among others. What was asked for and
// refused is a warning; the default is not, since it needs a privilege that a
// router can do without.
func (d *Daemon) takePlace(cfg model.VRRP) {
	byDefault, asked := d.applyPlace(cfg)
	if byDefault != nil {
		d.log.Info("the process keeps the usual priority", "error", byDefault)
	}
	if asked != nil {
		d.log.Warn("the process keeps its place among others", "error", asked)
	}
}

// keepPlace does it again once the process is busy as it will be: a thread that
// was about to begin the first time had its place from one that had none yet, and
// was in no list.
func (d *Daemon) keepPlace(cfg model.VRRP) { _, _ = d.applyPlace(cfg) } // takePlace has said it

// applyPlace returns what was refused of the default, and of what was asked for.
func (d *Daemon) applyPlace(cfg model.VRRP) (byDefault, asked error) {
	want := cfg.Global.Scheduling
	if len(cfg.Instances) > 0 && want.Nice == nil && want.RealTime == 0 && d.opts.Priority.Usual() {
		byDefault = d.opts.Priority.Apply(model.Scheduling{Nice: new(routerNice)})
	}
	return byDefault, d.opts.Priority.Apply(want)
}
