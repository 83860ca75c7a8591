package api

import (
	"fmt"
	"net"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// The scheduler flags of IPVS by their bit (linux/ip_vs.h, IP_VS_SVC_F_SCHED1
// and on), and the names that ipvsadm has for sh and mh.
const (
	schedFlag1 = 0x08
	schedFlag2 = 0x10
	schedFlag3 = 0x20
)

// ServiceFlags returns the flags of a service as ipvsadm prints them after the
// scheduler: (sh-fallback,sh-port), persistent 300, mask, ops.
func ServiceFlags(s model.Service) []string {
	flags := make([]string, 0, 3)
	if f := schedulerFlags(s.Scheduler, s.SchedFlags); f != "" {
		flags = append(flags, "("+f+")")
	}
	if s.Persistence > 0 {
		flags = append(flags, fmt.Sprintf("persistent %d", int64(s.Persistence/time.Second)))
		if s.PersistencePrefix > 0 && s.PersistencePrefix < 32 && !s.Key.Addr.Addr().Is6() {
			flags = append(flags, "mask "+net.IP(net.CIDRMask(int(s.PersistencePrefix), 32)).String())
		}
	}
	if s.PersistenceEngine != "" {
		flags = append(flags, "pe "+s.PersistenceEngine)
	}
	if s.OnePacket {
		flags = append(flags, "ops")
	}
	return flags
}

func schedulerFlags(scheduler string, bits uint32) string {
	names := [3]string{"flag-1", "flag-2", "flag-3"}
	switch scheduler {
	case "sh", "mh":
		names[0], names[1] = scheduler+"-fallback", scheduler+"-port"
	}
	text := ""
	for i, bit := range []uint32{schedFlag1, schedFlag2, schedFlag3} {
		if bits&bit == 0 {
			continue
		}
		if text != "" {
			text += ","
		}
		text += names[i]
	}
	return text
}
