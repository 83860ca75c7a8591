package daemon

import (
	"math"

	"golang.org/x/sys/unix"
)

// mostTries bounds the checks under way at once, whatever the process may open.
const mostTries = 32768

// triesAtOnce is how many checks may be under way: a quarter of the descriptors
// that the process may have, of which a check has one or, with a script, two. So
// those that hang take none from the socket and the datapath. 0 leaves it to
// package health.
func triesAtOnce() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return int(min(max(min(r.Cur, math.MaxInt32)/4, 16), mostTries))
}
