//go:build netns

package bench

import (
	"regexp"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/bench/figure"
)

// TestPath sends few packets each way: all must arrive, and something be measured.
// How fast that is, is no matter.
func TestPath(t *testing.T) {
	o := Options{Rounds: 1, Short: true, Only: regexp.MustCompile("XDP_TX|redirect|XDP (DR|NAT|TUN)|forwarding|DNAT")}
	figures, skipped, err := Path(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("not measured:", skipped)
	seen := 0
	for _, f := range figures {
		if len(f.Values) != 1 || f.Values[0] <= 0 {
			t.Errorf("nothing measured: %+v", f)
		}
		if strings.Contains(f.Note, "100.00 % lost") || f.Level != figure.Path {
			t.Errorf("nothing arrived: %+v", f)
		}
		seen++
	}
	if seen < 10 {
		t.Errorf("%d figures, want all ways: %+v", seen, figures)
	}
}
