package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// Report is all that a scripted demo found out.
type Report struct {
	Version string    `json:"version"`
	Kernel  string    `json:"kernel"`
	Started time.Time `json:"started"`
	// Seconds is how long the demo took, with building and removing.
	Seconds float64 `json:"seconds"`
	// Held is set when the story came to its end and every claim held.
	Held bool `json:"held"`
	// Error says in one line why the story ended early.
	Error string `json:"error,omitempty"`
	// Peer is the program of the second director.
	Peer Peer `json:"peer"`

	Interfaces []api.Interface `json:"interfaces"`
	Requests   int             `json:"requests"`
	Failed     int             `json:"failed"`
	Failures   []Count         `json:"failures"`
	// Servers counts answers by server, over all phases and services.
	Servers []Count `json:"servers"`
	Phases  []Phase `json:"phases"`
	// Death and Return are how the victim left the table and came back.
	Death  Passage `json:"death"`
	Return Passage `json:"return"`
	// Downloads were open during the reload, and DownloadsWhole of them ended
	// as they should.
	Downloads      int `json:"downloads"`
	DownloadsWhole int `json:"downloads_whole"`
	// Handovers are the moves of the virtual addresses, in their order.
	Handovers []Handover `json:"handovers"`
	// Packets and Reasons are of both directors together.
	Packets api.Packets  `json:"packets"`
	Reasons []api.Reason `json:"reasons"`
	Claims  []Claim      `json:"claims"`
}

// Phase is one stretch of the story.
type Phase struct {
	Title    string         `json:"title"`
	Seconds  float64        `json:"seconds"`
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Failures []Count        `json:"failures"`
	Services []PhaseService `json:"services"`
	// Pings are echo requests to the virtual addresses, sent where the second
	// director cannot balance.
	Pings       int `json:"pings,omitempty"`
	PingsFailed int `json:"pings_failed,omitempty"`
}

// PhaseService is what one service did in a phase.
type PhaseService struct {
	Service  string  `json:"service"`
	Address  string  `json:"address"`
	Requests int     `json:"requests"`
	Servers  []Count `json:"servers"`
	Failures []Count `json:"failures"`
}

// Passage is how long the daemon took to see a server die or return.
type Passage struct {
	Server string `json:"server"`
	Seen   bool   `json:"seen"`
	// Seconds is how long it took, AtMost what the check's terms allow.
	Seconds float64 `json:"seconds"`
	AtMost  float64 `json:"at_most_seconds"`
	// Failed counts the requests that failed meanwhile.
	Failed int `json:"failed"`
}

// report puts the facts together.
func (f facts) report(err error) Report {
	total := newTally(len(f.plan.services))
	r := Report{
		Version:    f.start.Version,
		Kernel:     f.start.Datapath.Kernel,
		Peer:       f.plan.peer(),
		Interfaces: notNil(f.start.Datapath.Interfaces),
		Claims:     f.claims(),
		Death:      f.passage(f.out, f.terms.down, phaseDying),
		Return:     f.passage(f.back, f.terms.up, phaseReturning),
		Downloads:  len(f.downloads),
		Handovers:  f.handovers(),
	}
	r.Packets, r.Reasons = f.packets()
	for _, p := range f.phases {
		total.merge(p.tally)
		r.Phases = append(r.Phases, f.phase(p))
	}
	for _, d := range f.downloads {
		if d.err == nil {
			r.DownloadsWhole++
		}
	}
	r.Requests, r.Failed, r.Failures = total.sent(), total.failed(), total.reasons()
	for _, name := range f.plan.serverNames() {
		r.Servers = append(r.Servers, Count{name, total.answeredBy(name)})
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Held = err == nil && held(r.Claims)
	return r
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (f facts) passage(p passage, terms time.Duration, number int) Passage {
	return Passage{
		Server:  serverName(victim),
		Seen:    p.seen,
		Seconds: p.took.Seconds(),
		AtMost:  terms.Seconds(),
		Failed:  f.phases[number].failed(),
	}
}

func (f facts) phase(p phase) Phase {
	out := Phase{Title: p.title, Seconds: p.took.Seconds(), Requests: p.sent(), Failed: p.failed(), Failures: p.reasons(), Pings: p.pings.sent(), PingsFailed: p.pings.failed()}
	for i, s := range f.plan.services {
		row := PhaseService{Service: s.name, Address: s.vip.String(), Requests: p.services[i].sent, Failures: counts(p.services[i].failed)}
		for _, name := range f.plan.serverNames() {
			row.Servers = append(row.Servers, Count{name, p.services[i].answered[name]})
		}
		out.Services = append(out.Services, row)
	}
	return out
}

// phaseText tells of a phase in one line.
func phaseText(p phase, servers []string) string {
	text := fmt.Sprintf("%d requests, %d answered", p.sent(), p.sent()-p.failed())
	var shares []string
	for _, name := range servers {
		shares = append(shares, fmt.Sprintf("%s %d", name, p.answeredBy(name)))
	}
	text += " (" + strings.Join(shares, ", ") + ")"
	if p.failed() > 0 {
		text += fmt.Sprintf(", %d failed: %s", p.failed(), countsText(p.reasons()))
	} else {
		text += ", none failed"
	}
	return text
}

// WriteText writes the summary for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSummary\n\n")
	r.writePhases(&b)
	fmt.Fprintf(&b, "\n  %d requests, %d answered, %d failed%s\n", r.Requests, r.Requests-r.Failed, r.Failed, after(": ", countsText(r.Failures)))
	for _, p := range []struct {
		what string
		Passage
	}{{"left the table", r.Death}, {"was back", r.Return}} {
		if p.Seen {
			fmt.Fprintf(&b, "  %s %s after %.2f s (its check allows %.2f s); %d requests failed meanwhile\n", p.Server, p.what, p.Seconds, p.AtMost, p.Passage.Failed)
		}
	}
	r.writeHandovers(&b)
	writePackets(&b, r.Packets, r.Reasons)
	fmt.Fprintln(&b)
	for _, c := range r.Claims {
		fmt.Fprintf(&b, "  %-12s  %s (%s)\n", heldWord(c.Held), c.Claim, c.Measured)
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

func (r Report) writePhases(b *strings.Builder) {
	tab := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tab, "requests\tfailed\t")
	for _, s := range r.Servers {
		fmt.Fprintf(tab, "%s\t", s.Name)
	}
	fmt.Fprint(tab, "\n")
	for _, p := range r.Phases {
		fmt.Fprintf(tab, "%d\t%d\t", p.Requests, p.Failed)
		for i := range r.Servers {
			n := 0
			for _, s := range p.Services {
				n += s.Servers[i].Count
			}
			fmt.Fprintf(tab, "%d\t", n)
		}
		title := p.Title
		if p.Pings > 0 {
			title += fmt.Sprintf(" (%d of %d pings answered)", p.Pings-p.PingsFailed, p.Pings)
		}
		fmt.Fprintf(tab, "  %s\n", title)
	}
	tab.Flush()
}

// writePackets writes what the program did with packets, by reason.
func writePackets(b *strings.Builder, p api.Packets, reasons []api.Reason) {
	fmt.Fprintf(b, "  %d packets handled by XDP, %d passed to the kernel\n", p.XDP, p.Passed)
	for _, r := range reasons {
		fmt.Fprintf(b, "  %10d  %-7s  %s: %s\n", r.Packets, r.Verdict, r.Name, r.Text)
	}
}

func after(sign, text string) string {
	if text == "" {
		return ""
	}
	return sign + text
}

func heldWord(held bool) string {
	if held {
		return "held"
	}
	return "did not hold"
}

// verdict is the last line.
func (r Report) verdict() string {
	failed := 0
	for _, c := range r.Claims {
		if !c.Held {
			failed++
		}
	}
	switch {
	case r.Error != "":
		return "The demo ended early: " + r.Error
	case failed > 0:
		return fmt.Sprintf("%d of %d claims did not hold.", failed, len(r.Claims))
	}
	return fmt.Sprintf("All %d claims held, in %.0f s.", len(r.Claims), r.Seconds)
}
