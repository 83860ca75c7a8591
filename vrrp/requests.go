package vrrp

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Post gives an event to an instance of the Runner and returns when it has
// been dealt with. For Reconfigured the error is Validate's, and the instance
// goes on as it was; otherwise ErrEnded, ctx's, or that there is no such
// instance.
func (r *Runner) Post(ctx context.Context, instance string, ev Event) error {
	var err error
	asked := r.ask(ctx, func() { err = r.post(instance, ev) })
	if asked != nil {
		return asked
	}
	return err
}

func (r *Runner) post(instance string, ev Event) error {
	member, ok := r.group.Find(instance)
	if !ok {
		return fmt.Errorf("post to vrrp_instance %s: no such instance here", instance)
	}
	if re, ok := ev.(Reconfigured); ok {
		if err := r.codecs[member].Reconfigure(re.Config); err != nil {
			return err
		}
	}
	r.step(time.Now(), member, ev)
	// Afterwards, since a lost address still serves for the goodbye.
	if changed, ok := ev.(SourceChanged); ok {
		r.codecs[member].SetSource(changed.Source)
	}
	return nil
}

// Instances returns the instances as values of this moment, in the order of
// Options.Members.
func (r *Runner) Instances(ctx context.Context) ([]Instance, error) {
	var list []Instance
	err := r.ask(ctx, func() { list = r.group.Members() })
	return list, err
}

// Halt ends Run without a word to the neighbours, so that another Runner can
// go on with the instances: their timers keep running.
func (r *Runner) Halt(ctx context.Context) ([]Held, error) {
	var held []Held
	err := r.ask(ctx, func() {
		for m, i := range r.group.Members() {
			held = append(held, Held{i, r.codecs[m]})
		}
		r.ended = true
		r.loop.forget(r)
		close(r.halt)
	})
	return held, err
}

// ask takes a step and waits until its consequences are carried out.
func (r *Runner) ask(ctx context.Context, f func()) error {
	select {
	case <-r.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	err, answered := ErrEnded, make(chan struct{})
	r.locked(func() {
		err = nil
		f()
		r.after(func() { close(answered) })
	})
	if err == nil {
		<-answered
	}
	return err
}

// logNotice writes one line for each change of state.
func (r *Runner) logNotice(name string, o Order) {
	if o.Kind != Notify || o.Notice != NoticeState && o.Notice != NoticeStop && o.Notice != NoticeDeleted {
		return
	}
	if o.Member == groupItself {
		r.log.Info("sync group changed state", "group", r.group.name,
			"state", o.Notice.Event(o.State), "reason", o.Reason.String())
		return
	}
	r.log.Info("instance changed state", "instance", name,
		"state", o.Notice.Event(o.State), "priority", o.Priority, "reason", o.Reason.String())
}

func (r *Runner) logWarning(o Order) {
	if r.limit.allow(logKey{o.Member, o.Warning.String(), o.Peer}, warnPause, time.Now()) {
		name := r.name(o.Member)
		r.after(func() {
			r.log.Warn("vrrp warning", "instance", name, "peer", o.Peer, "warning", o.Warning.String())
		})
	}
}

// logDrop is silent about what is not meant for us.
func (r *Runner) logDrop(now time.Time, member int, from netip.Addr, drop *DropError) {
	if drop.Drop == DropVRID || drop.Drop == DropOwn {
		return
	}
	pause := dropPause
	if drop.Drop == DropChecksumMode || drop.Drop == DropVersion {
		pause = warnPause
	}
	if r.limit.allow(logKey{member, drop.Drop.String(), from}, pause, now) {
		name := r.name(member)
		r.after(func() {
			r.log.Warn("advert refused", "instance", name, "peer", from,
				"counter", drop.Drop.String(), "cause", drop.Error())
		})
	}
}

func (r *Runner) logSend(member int, err error) {
	if r.limit.allow(logKey{member, "send", netip.Addr{}}, dropPause, time.Now()) {
		name := r.name(member)
		r.after(func() { r.log.Warn("advert not sent", "instance", name, "cause", err) })
	}
}
