package rawconn

import (
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stampOOB returns control data with a time stamp behind another message.
func stampOOB(at time.Time) []byte {
	message := func(level, kind int32, data []byte) []byte {
		h := unix.Cmsghdr{Level: level, Type: kind}
		h.SetLen(unix.CmsgLen(len(data)))
		b := make([]byte, unix.CmsgSpace(len(data)))
		copy(b, (*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h))[:])
		copy(b[unix.CmsgLen(0):], data)
		return b
	}
	var ts []byte
	ts = binary.NativeEndian.AppendUint64(ts, uint64(at.Unix()))
	ts = binary.NativeEndian.AppendUint64(ts, uint64(at.Nanosecond()))
	hops := message(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, []byte{255, 0, 0, 0})
	return append(hops, message(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, ts)...)
}

func TestArrival(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name string
		oob  []byte
		age  time.Duration
	}{
		{"a while ago", stampOOB(now.Add(-40 * time.Millisecond)), 40 * time.Millisecond},
		{"no stamp", nil, 0},
		{"the clock was set back", stampOOB(now.Add(time.Second)), 0},
		{"the clock was set forward", stampOOB(now.Add(-time.Hour)), 0},
		{"cut short", stampOOB(now.Add(-time.Second))[:30], 0},
	} {
		if got := now.Sub(arrival(now, tt.oob)); got != tt.age {
			t.Errorf("%s: arrived %s ago, want %s", tt.name, got, tt.age)
		}
	}
}
