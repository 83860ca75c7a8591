package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Claim is something that the demo shows.
type Claim struct {
	Claim string `json:"claim"`
	Held  bool   `json:"held"`
	// Measured is what it was judged by.
	Measured string `json:"measured"`
}

// claims judges the facts. A story that ended early holds nothing of what it
// did not get to.
func (f facts) claims() []Claim {
	v, d := serverName(victim), serverName(drainee)
	all := f.plan.serverNames()
	claims := []Claim{
		f.answered("all servers up: every request is answered", phaseAllUp),
		f.balanced("all servers up: the servers share them within 1", phaseAllUp, all),
		withinTerms(v+" dead: out of the table within its check's terms", f.out, f.terms.down),
		f.answered(v+" out of the table: every request is answered", phaseDead),
		f.silent(v+" out of the table: it gets none", phaseDead, victim),
		f.balanced(v+" out of the table: the others share them within 1", phaseDead, without(all, victim)),
		withinTerms(v+" returns: back in the table within its check's terms", f.back, f.terms.up),
		f.answered(v+" returns: every request is answered", phaseReturning, phaseBack),
		f.balanced(v+" back in the table: the servers share them within 1", phaseBack, all),
		f.answered("reload: every request is answered while the daemon reloads", phaseDraining, phaseRefilling),
		f.wholeDownloads("reload: every open download ends whole, also from " + d),
		f.answered(d+" drained: every request is answered", phaseDrained),
		f.silent(d+" drained: it gets no new connection", phaseDrained, drainee),
		f.answered("weight given back: every request is answered", phaseRefilled),
		f.balanced("weight given back: the servers share them within 1", phaseRefilled, all),
		f.sameCounts(directorName(first) + " counted each connection that the client made"),
	}
	claims = append(claims, f.takeoverClaims()...)
	return append(claims, f.nothingLeft("the stop removed everything: daemons, pins, namespaces"))
}

// notReached is what a claim of a part that was not played is judged by.
const notReached = "not reached"

// held reports whether every claim holds.
func held(claims []Claim) bool {
	return !slices.ContainsFunc(claims, func(c Claim) bool { return !c.Held })
}

func without(names []string, i int) []string {
	return slices.Delete(slices.Clone(names), i, i+1)
}

// answered claims that no request of the phases failed.
func (f facts) answered(text string, phases ...int) Claim {
	sum, ran := newTally(len(f.plan.services)), true
	for _, p := range phases {
		sum.merge(f.phases[p].tally)
		ran = ran && f.phases[p].sent() > 0
	}
	sent, failed := sum.sent(), sum.failed()
	if !ran {
		return Claim{text, false, notReached}
	}
	measured := fmt.Sprintf("%d of %d answered", sent-failed, sent)
	if failed > 0 {
		measured += ": " + countsText(sum.reasons())
	}
	return Claim{text, failed == 0, measured}
}

// balanced claims that in each service rr served these servers equally often.
func (f facts) balanced(text string, number int, servers []string) Claim {
	p := f.phases[number]
	if p.sent() == 0 {
		return Claim{text, false, notReached}
	}
	var words []string
	holds := true
	for i, s := range f.plan.services {
		row := p.services[i]
		words = append(words, s.name+" "+row.shares(servers))
		holds = holds && len(row.answered) > 0 && row.spread(servers) <= 1
	}
	return Claim{text, holds, strings.Join(words, "; ")}
}

// silent claims that the server answered nothing in the phase.
func (f facts) silent(text string, number, server int) Claim {
	p := f.phases[number]
	if p.sent() == 0 {
		return Claim{text, false, notReached}
	}
	n := p.answeredBy(serverName(server))
	return Claim{text, n == 0, fmt.Sprintf("%d of %d", n, p.sent())}
}

func withinTerms(text string, p passage, terms time.Duration) Claim {
	if p.took == 0 {
		return Claim{text, false, notReached}
	}
	measured := fmt.Sprintf("%s, at most %s", seconds(p.took), seconds(terms))
	if !p.seen {
		measured = fmt.Sprintf("not within %s, at most %s", seconds(p.took), seconds(terms))
	}
	return Claim{text, p.seen && p.took <= terms, measured}
}

func (f facts) wholeDownloads(text string) Claim {
	if len(f.downloads) == 0 {
		return Claim{text, false, notReached}
	}
	holds := true
	whole, fromDrained := 0, false
	for _, d := range f.downloads {
		if d.err == nil && d.across {
			whole++
		}
		holds = holds && d.err == nil && d.across
		fromDrained = fromDrained || d.server == serverName(drainee)
	}
	return Claim{text, holds && fromDrained, fmt.Sprintf("%d of %d", whole, len(f.downloads))}
}

func (f facts) sameCounts(text string) Claim {
	if len(f.counted) != len(f.made) {
		return Claim{text, false, notReached}
	}
	var words []string
	for i, s := range f.plan.services {
		words = append(words, fmt.Sprintf("%s %d of %d", s.name, f.counted[i], f.made[i]))
	}
	return Claim{text, slices.Equal(f.made, f.counted), strings.Join(words, "; ")}
}

func (f facts) nothingLeft(text string) Claim {
	measured := "all removed"
	if !f.removed {
		measured = "not looked"
	} else if len(f.left) > 0 {
		measured = strings.Join(f.left, ", ")
	}
	return Claim{text, f.removed && len(f.left) == 0, measured}
}

// seconds prints a length of time with two decimals: 1.62 s.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
