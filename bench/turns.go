package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/bench/drive"
	"github.com/evenkeel/evenkeel/bench/figure"
	"github.com/evenkeel/evenkeel/model"
)

// mostInTurns is with how many flows cases are measured in turns: each has a table of its own, of
// up to 1033 bytes a flow.
const mostInTurns = 1 << 20

// With few flows, goals hold a few nanoseconds against a few others, and the clock of a machine that others use,
// too, moves by more. Such cases take more rounds, unless less than the default is asked for.
const (
	fewFlows   = 1 << 10
	moreRounds = 5
)

// roundsOf returns how many rounds a group of cases takes.
func (o Options) roundsOf(list []Case, group []int) int {
	c := list[group[0]]
	if c.Flows <= fewFlows && (c.heldAgainst() != "" || c.Path == pathForeign) && o.Rounds >= defaultRounds {
		return moreRounds * o.Rounds
	}
	return o.Rounds
}

// heldAgainst names the cases that goals hold one against another, or "": on a machine whose
// clock changes, what is measured minutes apart says little.
func (c Case) heldAgainst() string {
	v := c.service
	method := v.forward == model.DR || v.forward == model.NAT && v.vip.Addr().Is4()
	if c.Path != pathEstablished || c.given != nil || v.protocol != model.TCP || !method || v.servers != 4 || c.services != 1 || c.Flows > mostInTurns {
		return ""
	}
	return fmt.Sprintf("%s %d", c.Path, c.Flows)
}

// inTurns returns the cases by their places in the list, in groups that are measured in the same rounds.
func inTurns(list []Case) [][]int {
	var groups [][]int
	of := map[string]int{}
	for i, c := range list {
		with := c.heldAgainst()
		if group, ok := of[with]; ok && with != "" {
			groups[group] = append(groups[group], i)
			continue
		}
		of[with] = len(groups)
		groups = append(groups, []int{i})
	}
	return groups
}

// measureInTurns measures the cases of a group: in each round one after the other. of takes the figures of each.
func measureInTurns(ctx context.Context, d *drive.Driver, list []Case, group []int, o Options, rivals []rival, of [][]figure.Figure) (err error) {
	turns, rounds := make([]*turn, len(group)), o.roundsOf(list, group)
	for n, i := range group {
		turns[n] = newTurn(d, list[i], o, rounds, rivals)
		turns[n].run.pauses = len(group) > 1
	}
	defer func() {
		for n, t := range turns {
			err = errors.Join(err, t.run.end())
			of[group[n]] = t.figures()
		}
	}()
	for round := range rounds {
		for _, t := range turns {
			if err := t.take(ctx, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn is the measurement of one case: in each round the driver alone, the floor, the program, a
// read of memory where flows live, and the rivals, one after the other.
type turn struct {
	run  *run
	ours figure.Figure
	// over is set when the case cannot be measured, which the figure's note says.
	over bool
}

func newTurn(d *drive.Driver, c Case, o Options, rounds int, rivals []rival) *turn {
	t := &turn{run: &run{driver: d, c: c, packets: o.Packets, rounds: uint32(rounds)}}
	t.ours = figure.Figure{Level: figure.Program, Name: c.Name(), Unit: "ns", Beside: "floor", Anchor: anchorOf(c)}
	if c.counted() {
		t.ours.Series, t.ours.X = c.Series(), float64(c.Flows)
	}
	if c.common {
		for _, r := range rivals {
			t.run.rivals = append(t.run.rivals, newComparison(c, r))
		}
	}
	return t
}

// take measures one round.
func (t *turn) take(ctx context.Context, round int) error {
	if t.over {
		return nil
	}
	err := ctx.Err()
	if err == nil {
		err = t.run.begin(ctx, round)
	}
	if err == nil {
		err = t.run.play(&t.ours)
	}
	if t.run.c.given != nil && errors.Is(err, ErrElsewhere) {
		t.ours.Note, t.over = "not measured: "+err.Error(), true // the file says where its packets go
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.run.c.Name(), err)
	}
	return nil
}

// figures returns ours first.
func (t *turn) figures() []figure.Figure {
	all := []figure.Figure{t.ours}
	for _, b := range t.run.rivals {
		all = append(all, b.figures()...)
	}
	return all
}
