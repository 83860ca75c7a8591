package config

import (
	"iter"
	"slices"
	"strings"
)

// mostComparisons bounds what the search for suggestions costs one
// configuration, some tenths of a second: a file may hold a million unknown words.
const mostComparisons = 100_000

// nearest is suggest over n known words, until enough was searched for this
// configuration.
func (c *collector) nearest(s string, n int, known iter.Seq[string]) string {
	if c.compared += n; c.compared > mostComparisons {
		return ""
	}
	return suggest(s, slices.Collect(known))
}

// suggest returns the word of the list that is nearest to s, or "" if none is
// near: at most one edit for every four letters, or s with a prefix, such as
// vrrp_garp_master_delay for garp_master_delay.
func suggest(s string, list []string) string {
	if len(s) < 2 || len(s) > 64 {
		return ""
	}
	slices.Sort(list)
	best, least := "", max(1, len(s)/4)+1
	lower := strings.ToLower(s)
	for _, w := range list {
		if d := distance(lower, strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	if best != "" || len(s) < 5 {
		return best
	}
	for _, w := range list {
		if strings.HasSuffix(w, "_"+s) {
			return w
		}
	}
	return ""
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
