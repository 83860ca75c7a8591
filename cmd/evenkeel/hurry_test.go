package main

import (
	"runtime/debug"
	"slices"
	"testing"
)

// TestHurry: the collector is away from the start until it is over, and then as
// it was.
func TestHurry(t *testing.T) {
	now := func() [2]int64 {
		percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
		debug.SetGCPercent(percent)
		return [2]int64{int64(percent), limit}
	}
	before := now()
	resume := hurry()
	defer resume()
	var told []string
	tell := whenReady(func(state string) { told = append(told, state) }, resume)
	if got, want := now(), [2]int64{-1, startMemory}; got != want {
		t.Errorf("in a hurry: percent and limit %d, want %d", got, want)
	}
	tell("STATUS=READY=1")
	if now() == before {
		t.Error("it is not ready yet")
	}
	for range 2 {
		tell("READY=1\nSTATUS=well")
		if got := now(); got != before {
			t.Errorf("ready: percent and limit %d, want %d", got, before)
		}
	}
	if want := []string{"STATUS=READY=1", "READY=1\nSTATUS=well", "READY=1\nSTATUS=well"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
