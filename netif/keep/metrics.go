package keep

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// metrics are the path metrics of a route by their attributes' numbers
// (linux/rtnetlink.h, RTAX_*), in the kernel's units. The first, RTAX_LOCK, is
// the set of those that the kernel must not change.
type metrics [unix.RTAX_INITRWND + 1]uint32

func metricsOf(m model.RouteMetrics) (out metrics) {
	out[unix.RTAX_MTU], out[unix.RTAX_WINDOW] = m.MTU, m.Window
	out[unix.RTAX_SSTHRESH], out[unix.RTAX_CWND] = m.SSThresh, m.Cwnd
	out[unix.RTAX_ADVMSS], out[unix.RTAX_REORDERING] = m.AdvMSS, m.Reordering
	out[unix.RTAX_HOPLIMIT] = m.HopLimit
	out[unix.RTAX_INITCWND], out[unix.RTAX_INITRWND] = m.InitCwnd, m.InitRwnd
	// Eighths and quarters of milliseconds, as ip writes them.
	out[unix.RTAX_RTT] = 8 * uint32(m.RTT/time.Millisecond)
	out[unix.RTAX_RTTVAR] = 4 * uint32(m.RTTVar/time.Millisecond)
	out[unix.RTAX_RTO_MIN] = uint32(m.RTOMin / time.Millisecond)
	for number, lock := range map[int]bool{
		unix.RTAX_MTU: m.MTULock, unix.RTAX_ADVMSS: m.AdvMSSLock, unix.RTAX_REORDERING: m.ReorderingLock,
		unix.RTAX_CWND: m.CwndLock, unix.RTAX_SSTHRESH: m.SSThreshLock, unix.RTAX_RTT: m.RTTLock,
		unix.RTAX_RTTVAR: m.RTTVarLock, unix.RTAX_RTO_MIN: m.RTOMinLock,
	} {
		if lock {
			out[unix.RTAX_LOCK] |= 1 << number
		}
	}
	return out
}

func (m metrics) attrs() (b []byte) {
	for number, value := range m {
		if value != 0 {
			b = attr32(b, uint16(number), value)
		}
	}
	return b
}

func (m *metrics) parse(b []byte) {
	attrs(b, func(kind uint16, value []byte) {
		if int(kind) < len(m) {
			m[kind] = u32(value)
		}
	})
}
