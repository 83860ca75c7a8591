package labtest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// fixedSeed starts every random test that nobody gave a seed: what was right
// yesterday is right today, until the code changes.
const fixedSeed = 20260101

// Seed is what a random test starts from: the number in EVENKEEL_PARITY_SEED, a
// new one where that says "random", else always the same. The test's log tells
// it, so that a failure can be played again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(fixedSeed)
	switch text := os.Getenv("EVENKEEL_PARITY_SEED"); text {
	case "":
	case "random":
		seed = rand.Uint64()
	default:
		var err error
		if seed, err = strconv.ParseUint(text, 0, 64); err != nil {
			t.Fatalf("EVENKEEL_PARITY_SEED: %v", err)
		}
	}
	t.Logf("EVENKEEL_PARITY_SEED=%d plays this again", seed)
	return seed
}
