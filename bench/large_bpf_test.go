//go:build bpf

package bench

import "testing"

// TestLarge fills small tables: every figure must be measured.
func TestLarge(t *testing.T) {
	figures, err := Large(t.Context(), Options{Rounds: 1, Short: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if len(f.Values) != 1 || f.Values[0] <= 0 || (f.Series == "") != (f.Unit == "µs") {
			t.Errorf("not measured: %+v", f)
		}
	}
	if len(figures) != 13 {
		t.Errorf("%d figures, want 13", len(figures))
	}
}
