package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tally counts outcomes. It belongs to one goroutine.
type tally struct {
	services []serviceTally
}

type serviceTally struct {
	// sent counts the requests whose outcome is known.
	sent     int
	answered map[string]int // by server
	failed   map[string]int // by reason
}

func newTally(services int) *tally {
	t := &tally{services: make([]serviceTally, services)}
	for i := range t.services {
		t.services[i] = serviceTally{answered: make(map[string]int), failed: make(map[string]int)}
	}
	return t
}

func (t *tally) add(o outcome) {
	s := &t.services[o.service]
	s.sent++
	if o.failure != "" {
		s.failed[o.failure]++
		return
	}
	s.answered[o.server]++
}

// merge adds what the other tally counted.
func (t *tally) merge(other *tally) {
	for i, s := range other.services {
		t.services[i].sent += s.sent
		for k, n := range s.answered {
			t.services[i].answered[k] += n
		}
		for k, n := range s.failed {
			t.services[i].failed[k] += n
		}
	}
}

func (t *tally) sent() int {
	n := 0
	for _, s := range t.services {
		n += s.sent
	}
	return n
}

func (t *tally) failed() int {
	n := 0
	for _, s := range t.services {
		for _, k := range s.failed {
			n += k
		}
	}
	return n
}

// answeredBy counts the answers of a server over all services.
func (t *tally) answeredBy(server string) int {
	n := 0
	for _, s := range t.services {
		n += s.answered[server]
	}
	return n
}

// reasons adds up the failures of all services, most frequent first.
func (t *tally) reasons() []Count {
	sum := make(map[string]int)
	for _, s := range t.services {
		for k, n := range s.failed {
			sum[k] += n
		}
	}
	return counts(sum)
}

// Count is how often something with a name happened.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// counts lists a map, largest first, then by name.
func counts(m map[string]int) []Count {
	list := make([]Count, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, Count{k, m[k]})
	}
	slices.SortStableFunc(list, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	return list
}

// countsText prints "connection refused 3, connection reset 1".
func countsText(list []Count) string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = fmt.Sprintf("%s %d", c.Name, c.Count)
	}
	return strings.Join(words, ", ")
}

// spread is the largest difference between the answers of two of the servers.
func (s serviceTally) spread(servers []string) int {
	least, most := s.answered[servers[0]], s.answered[servers[0]]
	for _, name := range servers[1:] {
		least, most = min(least, s.answered[name]), max(most, s.answered[name])
	}
	return most - least
}

// shares prints the answers of the servers in order: 50, 50, 50.
func (s serviceTally) shares(servers []string) string {
	words := make([]string, len(servers))
	for i, name := range servers {
		words[i] = fmt.Sprint(s.answered[name])
	}
	return strings.Join(words, ", ")
}
