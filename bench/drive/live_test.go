package drive

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var d Delays
	if got := d.Percentile(50); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	d[3] = 50               // 3 ns
	d[10*steps+0] = 49      // 1024 to 1087 ns
	d[20*steps+steps-1] = 1 // up to 2^21 ns
	for p, want := range map[float64]time.Duration{0: 3, 50: 3, 51: 1087, 99: 1087, 99.9: 1<<21 - 1, 100: 1<<21 - 1} {
		if got := d.Percentile(p); got != want {
			t.Errorf("%v %%: %v, want %v", p, got, want)
		}
	}
	before := d
	d[3]++
	if got := d.Since(before).Percentile(100); got != 3 {
		t.Errorf("after the reading: %v, want 3ns", got)
	}
}
