//go:build bpf

package bench

import "testing"

// TestLarge fills small tables: every figure must be measured.
func TestLarge(t *testing.T) {
	figures, skipped, err := Large(t.Context(), Options{Rounds: 1, Short: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("not measured:", skipped)
	for _, f := range figures {
		if len(f.Values) != 1 || f.Values[0] <= 0 || (f.Series == "") != (f.Unit == "µs") {
			t.Errorf("not measured: %+v", f)
		}
	}
	want := 19
	if len(skipped) > 0 {
		want = 11
	}
	if len(figures) != want {
		t.Errorf("%d figures, want %d", len(figures), want)
	}
}
