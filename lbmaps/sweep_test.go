package lbmaps

import (
	"math"
	"testing"
)

// TestPieceSize has few entries read at once where they are few among many buckets.
func TestPieceSize(t *testing.T) {
	for _, tt := range []struct{ used, room, want uint32 }{
		{0, 16384, 0},
		{1, 16384, SweepKeys},
		{100, 100, 100},
		{1, 1 << 17, SweepKeys},
		{300_000, 300_000, SweepKeys},
		{1000, 300_000, 250},
		{10, 300_000, 2},
		{1, 300_000, 1},
		{math.MaxUint32, 300_000, SweepKeys}, // counted as removed before it was counted
	} {
		if got := pieceSize(tt.used, tt.room); got != tt.want {
			t.Errorf("%d of %d in use: %d at once, want %d", tt.used, tt.room, got, tt.want)
		}
	}
}
