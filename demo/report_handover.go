package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/api"
)

// Handover is one move of the virtual addresses, and what it cost the client.
type Handover struct {
	// Cause is what came over the first director: it lost its power, returned,
	// or was stopped.
	Cause string `json:"cause"`
	To    string `json:"to"`
	// Seen is set when To had all addresses, Answers when every service then
	// answered.
	Seen    bool `json:"seen"`
	Answers bool `json:"answers"`
	// Seconds is how long it took, Terms what VRRP's timers take at most, and
	// AtMost what the demo allows, for a machine with other work.
	Seconds float64 `json:"seconds"`
	Terms   float64 `json:"terms_seconds"`
	AtMost  float64 `json:"at_most_seconds"`
	// Gap is the longest time in which a service did not answer, or an address
	// where the second director cannot balance.
	Gap      float64 `json:"gap_seconds"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	// Downloads were open when it began, and Broken of them did not end whole.
	Downloads int `json:"downloads"`
	Broken    int `json:"downloads_broken"`
}

// handovers lists those that the story got to.
func (f facts) handovers() []Handover {
	list := []Handover{}
	for _, h := range []struct {
		handover
		cause     string
		to, phase int
	}{
		{f.cut, "lost its power", second, phaseCut},
		{f.home, "returned", first, phaseReturn},
		{f.stop, "was stopped", second, phaseStop},
	} {
		if h.took == 0 {
			continue
		}
		p := f.phases[h.phase]
		list = append(list, Handover{
			Cause: h.cause, To: directorName(h.to), Seen: h.seen, Answers: h.answers,
			Seconds: h.took.Seconds(), Terms: h.terms.Seconds(), AtMost: h.atMost.Seconds(), Gap: h.gap.Seconds(),
			Requests: p.sent(), Failed: p.failed(),
			Downloads: len(h.downloads), Broken: len(torn(h.downloads)),
		})
	}
	return list
}

func (r Report) writeHandovers(b *strings.Builder) {
	for _, h := range r.Handovers {
		if !h.Seen {
			continue
		}
		fmt.Fprintf(b, "  %s %s: %s was master after %.2f s (VRRP's timers: up to %.2f s); %d of %d requests failed, longest gap %.2f s%s\n",
			directorName(first), h.Cause, h.To, h.Seconds, h.Terms, h.Failed, h.Requests, h.Gap, h.brokenText())
	}
}

func (h Handover) brokenText() string {
	if h.Downloads == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of %d open downloads broke", h.Broken, h.Downloads)
}

// packets adds up what all daemons counted.
func (f facts) packets() (api.Packets, []api.Reason) {
	var sum api.Packets
	byNumber := make(map[uint32]api.Reason)
	for _, l := range f.lives {
		p := l.status.Packets
		sum.XDP += p.XDP
		sum.Passed += p.Passed
		sum.Forwarded += p.Forwarded
		sum.Answered += p.Answered
		sum.Dropped += p.Dropped
		for _, r := range l.status.Reasons {
			r.Packets += byNumber[r.Number].Packets
			byNumber[r.Number] = r
		}
	}
	list := []api.Reason{}
	for _, r := range byNumber {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b api.Reason) int { return cmp.Compare(a.Number, b.Number) })
	return sum, list
}
