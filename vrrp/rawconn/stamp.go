package rawconn

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// mostAge is the age beyond which a time stamp is not believed: the clock that
// it was taken from may have been set since.
const mostAge = 10 * time.Second

// arrival returns when a packet reached this host by the kernel's time stamp
// (SO_TIMESTAMPNS) among its control data, as a time that can be compared with
// now. Without a good stamp it is now.
func arrival(now time.Time, oob []byte) time.Time {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		if at, ok := timespec(data); ok {
			// The stamp is of the clock on the wall, which may jump; an age
			// taken from it at once is good.
			if age := now.Sub(at); age >= 0 && age <= mostAge {
				return now.Add(-age)
			}
		}
	}
	return now
}

// timespec reads the kernel's struct, whose fields are as long as a word.
func timespec(b []byte) (time.Time, bool) {
	switch len(b) {
	case 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:]))), true
	case 8:
		return time.Unix(int64(int32(binary.NativeEndian.Uint32(b))), int64(binary.NativeEndian.Uint32(b[4:]))), true
	}
	return time.Time{}, false
}
