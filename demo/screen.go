package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// panel is what the screen's upper part shows.
type panel int

const (
	panelNetwork panel = iota
	panelCommands
	panelFile
)

// screen is everything that the interactive demo shows at one moment.
type screen struct {
	plan plan
	// running is the time since the first request.
	running time.Duration
	// rate is the number of requests per second of late.
	rate float64
	// up says which HTTP servers run.
	up     []bool
	total  *tally
	table  table
	status api.Status
	events []event
	// words say what each director is.
	words [directorCount]string
	panel panel
	// page is the part of the file that is shown, from 0.
	page int
	// program is how this program is called, for the commands.
	program string
}

const keysLine = " 1 2 3 server   d cut power   g stop director   c commands   f file   q quit"

// roomy is the height from which blocks are set apart by empty lines.
const roomy = 30

// render writes the screen in exactly height lines of at most width columns.
// Events get what room is left. The commands and the file take all of it.
func (s screen) render(width, height int) string {
	blocks := [][]string{{s.head()}}
	if s.panel == panelNetwork {
		blocks = append(blocks, textLines(s.plan.drawing(s.words)), s.tableLines(), s.numberLines(width))
	} else {
		blocks = append(blocks, s.panelLines(width, height))
	}
	var lines []string
	for _, block := range blocks {
		lines = append(lines, block...)
		if height >= roomy {
			lines = append(lines, "")
		}
	}
	room := max(height-1, 0) // for all but the keys
	if s.panel == panelNetwork {
		lines = append(lines, s.eventLines(max(room-len(lines), 0))...)
	}
	for len(lines) < room {
		lines = append(lines, "")
	}
	lines = append(lines[:room], keysLine)
	for i, line := range lines {
		lines[i] = cut(line, width)
	}
	return strings.Join(lines, "\n")
}

// cut shortens a line of plain ASCII to the width.
func cut(line string, width int) string {
	if len(line) > width {
		return line[:max(width, 0)]
	}
	return line
}

func textLines(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") }

func (s screen) head() string {
	run := s.running.Round(time.Second)
	return fmt.Sprintf(" Evenkeel demo %02d:%02d   %.0f requests/s, a connection each   XDP %s",
		int(run.Minutes()), int(run.Seconds())%60, s.rate, modes(s.status.Datapath.Interfaces))
}

func (s screen) panelLines(width, height int) []string {
	if s.panel == panelCommands {
		return append([]string{" Look inside from another terminal, as root:"}, textLines(s.commands(width))...)
	}
	pages := s.filePages(height)
	page := min(s.page, len(pages)-1)
	title := fmt.Sprintf(" %s   %d/%d", s.plan.config(), page+1, len(pages))
	return append([]string{title}, pages[page]...)
}

// filePages cuts the file into pages for a screen of that height, of which head,
// title, keys and empty lines between blocks take their part.
func (s screen) filePages(height int) [][]string {
	room := height - 3
	if height >= roomy {
		room -= 2
	}
	return slices.Collect(slices.Chunk(textLines(indent(s.plan.configText(s.weights()))), max(room, 1)))
}

// turnFile shows the file, or its next page, or after the last one the network.
func (s *screen) turnFile(height int) {
	switch {
	case s.panel != panelFile:
		s.panel, s.page = panelFile, 0
	case s.page+1 < len(s.filePages(height)):
		s.page++
	default:
		s.panel = panelNetwork
	}
}

// weights are those that the daemon runs with; a server that is out has 1.
func (s screen) weights() []int32 {
	weights := s.plan.evenWeights()
	for i := range weights {
		if len(s.table.services) > 0 && s.table.services[0].servers[i].inTable {
			weights[i] = s.table.services[0].servers[i].weight
		}
	}
	return weights
}

// commands are the ways to look at the demo from outside.
func (s screen) commands(width int) string {
	p := s.plan
	socket := " --socket " + p.directors[first].socket()
	client := "ip netns exec " + p.namespace("client")
	var b strings.Builder
	for _, command := range []string{
		client + " curl " + p.services[0].url(),
		client + " curl " + p.services[1].url(),
		s.program + " vrrp" + socket,
		s.program + " services --stats" + socket,
		s.program + " services -c" + socket,
		s.program + " status" + socket,
		"bpftool map dump pinned " + p.directors[first].pins + "/maps/ek_services",
		"ip netns exec " + p.namespace(directorName(second)) + " ip address",
		"ip netns exec " + p.namespace(directorName(second)) + " tcpdump -ni eth0 vrrp or arp",
		"tail -f " + p.directors[second].log(),
	} {
		b.WriteString(wrapCommand(command, width))
	}
	return b.String()
}

// wrapCommand breaks a command line between words, so that it can be copied
// whole.
func wrapCommand(command string, width int) string {
	const start, next = "   ", "       "
	var b strings.Builder
	line := start
	for i, word := range strings.Fields(command) {
		if i > 0 && len(line)+1+len(word)+len(` \`) > width {
			b.WriteString(line + " \\\n")
			line = next + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// tableLines show who is in the table and how many requests each answered.
func (s screen) tableLines() []string {
	lines := []string{s.row("", func(i int) string { return serverName(i) })}
	lines = append(lines, s.row(" HTTP server", func(i int) string {
		if s.up[i] {
			return "runs"
		}
		return "STOPPED"
	}))
	for n, service := range s.plan.services {
		name := fmt.Sprintf(" %-3s %s:%d", service.name, service.vip, httpPort)
		lines = append(lines, s.row(name, func(i int) string {
			return fmt.Sprintf("%-4s %7d", s.place(n, i), s.total.services[n].answered[serverName(i)])
		}))
	}
	return lines
}

func (s screen) row(name string, cell func(int) string) string {
	line := fmt.Sprintf("%-24s", name)
	for i := range s.plan.servers {
		line += fmt.Sprintf("%-18s", cell(i))
	}
	return strings.TrimRight(line, " ")
}

// place says whether a server is in a service's table.
func (s screen) place(service, server int) string {
	if len(s.table.services) == 0 {
		return "?"
	}
	row := s.table.services[service].servers[server]
	switch {
	case !row.inTable:
		return "OUT"
	case row.weight != 1:
		return fmt.Sprintf("w=%d", row.weight)
	}
	return "in"
}

func (s screen) numberLines(width int) []string {
	sent, failed := s.total.sent(), s.total.failed()
	words := []string{fmt.Sprintf("%d answered", sent-failed), fmt.Sprintf("%d failed", failed)}
	for _, c := range s.total.reasons() {
		words = append(words, fmt.Sprintf("%s %d", c.Name, c.Count))
	}
	lines := wrapWords(" requests  ", words, width)
	lines = append(lines, wrapWords(" by XDP    ", s.reasons(s.status.Packets.XDP, false), width)...)
	return append(lines, wrapWords(" by kernel ", s.reasons(s.status.Packets.Passed, true), width)...)
}

// wrapWords puts the words behind a label, with commas, on as many lines as they
// take.
func wrapWords(label string, words []string, width int) []string {
	var lines []string
	line := label + words[0]
	for _, word := range words[1:] {
		if len(line)+len(", ")+len(word)+len(",") > width {
			lines = append(lines, line+",")
			line = strings.Repeat(" ", len(label)) + word
			continue
		}
		line += ", " + word
	}
	return append(lines, line)
}

// reasons lists a sum of packets and its parts by reason: those of the
// program, or those that were passed to the kernel.
func (s screen) reasons(sum uint64, passed bool) []string {
	var list []api.Reason
	for _, r := range s.status.Reasons {
		if (r.Verdict == verdictPass) == passed {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b api.Reason) int { return cmp.Compare(b.Packets, a.Packets) })
	words := []string{fmt.Sprintf("%d packets", sum)}
	for _, r := range list {
		words = append(words, fmt.Sprintf("%s %d", r.Name, r.Packets))
	}
	return words
}

// verdictPass is the verdict of reasons for which the kernel gets the packet.
const verdictPass = "pass"

// eventLines show the last events, the newest at the bottom.
func (s screen) eventLines(room int) []string {
	var lines []string
	for _, e := range s.events[max(len(s.events)-room, 0):] {
		lines = append(lines, " "+e.at.Format("15:04:05.0")+"  "+e.text)
	}
	return lines
}
