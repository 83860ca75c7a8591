package main

import (
	"runtime/debug"
	"strings"
	"sync"
)

// startMemory is how much memory in bytes a start may take before the collector
// runs in spite of the hurry.
const startMemory = 256 << 20

// hurry keeps the garbage collector away until the function that it returns is
// called, once or more often. A worker that follows one which was killed has
// milliseconds to be back before others miss its adverts, and a heap that is small
// and grows is collected again and again: five times in the first tenth of a
// second, with two hundred instances.
func hurry() (resume func()) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(startMemory)
	return sync.OnceFunc(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

// whenReady calls f when the service manager is told that the start is over.
func whenReady(tell func(string), f func()) func(string) {
	return func(state string) {
		if strings.HasPrefix(state, "READY=1\n") {
			f()
		}
		tell(state)
	}
}
