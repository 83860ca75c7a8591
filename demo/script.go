package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// script plays the story and reports on it.
func (d *demo) script(ctx context.Context) error {
	s, err := d.open(ctx)
	if err != nil {
		_, shutErr := d.shut(s)
		if d.opts.JSON {
			shutErr = errors.Join(shutErr, d.publish(emptyFacts(d.plan).report(err)))
		}
		return errors.Join(err, shutErr)
	}
	f, err := d.play(ctx, s)
	left, shutErr := d.shut(s)
	f.removed, f.left = true, left
	if shutErr != nil {
		f.left = append(f.left, shutErr.Error())
	}
	r := f.report(err)
	r.Started, r.Seconds = d.started, time.Since(d.started).Seconds()
	if err := d.publish(r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if !r.Held {
		return ErrNotHeld
	}
	return nil
}

// play plays the story on the running stage.
func (d *demo) play(ctx context.Context, s *live) (facts, error) {
	ctx, cancel := s.watch(ctx)
	defer cancel()
	t, err := loadTerms(d.plan)
	if err != nil {
		return emptyFacts(d.plan), err
	}
	status, err := s.Status(ctx, first)
	if err != nil {
		return emptyFacts(d.plan), because(ctx, err)
	}
	d.say(fmt.Sprintf("  %s is master, and both services are in its tables. XDP %s.\n", directorName(first), modes(status.Datapath.Interfaces)))
	story := newStory(d.plan, s, t, func(line string) {
		d.say(line)
		if d.broken != nil {
			cancel()
		}
	})
	story.facts.start = status
	err = because(ctx, story.play(ctx))
	if err != nil && d.broken != nil {
		err = d.broken
	}
	return story.facts, err
}

// modes says where the program runs: native on eth0 and eth1; or, where they
// differ, each with its reason.
func modes(interfaces []api.Interface) string {
	if len(interfaces) > 0 && !slices.ContainsFunc(interfaces, func(i api.Interface) bool {
		return i.Mode == "" || i.Mode != interfaces[0].Mode
	}) {
		names := make([]string, len(interfaces))
		for i, link := range interfaces {
			names[i] = link.Name
		}
		return interfaces[0].Mode + " on " + strings.Join(names, " and ")
	}
	words := make([]string, len(interfaces))
	for i, link := range interfaces {
		words[i] = link.Name + " " + link.Mode
		if link.Mode == "" {
			words[i] = link.Name + " not attached"
		}
		if link.Reason != "" {
			words[i] += " (" + link.Reason + ")"
		}
	}
	return strings.Join(words, ", ")
}

// publish writes the report.
func (d *demo) publish(r Report) error {
	if !d.opts.JSON {
		return r.WriteText(d.out)
	}
	enc := json.NewEncoder(d.opts.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
