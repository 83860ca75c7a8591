package dump

import (
	"bytes"
	"fmt"

	"github.com/evenkeel/evenkeel/vrrp"
)

// Counters are the counters that keepalived dumps, of one instance.
type Counters struct {
	AdvertsReceived      uint64 `json:"advert_rcvd"`
	AdvertsSent          uint64 `json:"advert_sent"`
	BecameMaster         uint64 `json:"become_master"`
	ReleasedMaster       uint64 `json:"release_master"`
	Length               uint64 `json:"packet_len_err"`
	Interval             uint64 `json:"advert_interval_err"`
	TTL                  uint64 `json:"ip_ttl_err"`
	Type                 uint64 `json:"invalid_type_rcvd"`
	AddressList          uint64 `json:"addr_list_err"`
	AuthInvalid          uint64 `json:"invalid_authtype"`
	AuthMismatch         uint64 `json:"authtype_mismatch"`
	AuthFailure          uint64 `json:"auth_failure"`
	PriorityZeroReceived uint64 `json:"pri_zero_rcvd"`
	PriorityZeroSent     uint64 `json:"pri_zero_sent"`
}

func countersOf(i vrrp.Instance) Counters {
	return Counters{
		AdvertsReceived:      i.Count(vrrp.AdvertsReceived),
		AdvertsSent:          i.Count(vrrp.AdvertsSent),
		BecameMaster:         i.Count(vrrp.BecameMaster),
		ReleasedMaster:       i.Count(vrrp.ReleasedMaster),
		Length:               i.Dropped(vrrp.DropLength),
		Interval:             i.Dropped(vrrp.DropInterval),
		TTL:                  i.Dropped(vrrp.DropTTL),
		Type:                 i.Dropped(vrrp.DropType),
		AddressList:          i.Dropped(vrrp.DropAddressList),
		AuthInvalid:          i.Dropped(vrrp.DropAuthInvalid),
		AuthMismatch:         i.Dropped(vrrp.DropAuthMismatch),
		AuthFailure:          i.Dropped(vrrp.DropAuthFailure) + i.Dropped(vrrp.DropReplay),
		PriorityZeroReceived: i.Count(vrrp.PriorityZeroReceived),
		PriorityZeroSent:     i.Count(vrrp.PriorityZeroSent),
	}
}

// Cleared are the counters, by instance, that a clearing dump took away. The
// zero value has cleared nothing.
type Cleared map[string]Counters

// Clear returns the counters of all instances as cleared.
func (s State) Clear() Cleared {
	c := make(Cleared)
	for _, i := range s.Instances {
		c[i.Instance.Name()] = countersOf(i.Instance)
	}
	return c
}

// since returns what was counted after the clearing. An instance that began
// anew since then counts from zero.
func (c Cleared) since(i vrrp.Instance) Counters {
	now, was := countersOf(i), c[i.Name()]
	if now.AdvertsSent < was.AdvertsSent || now.AdvertsReceived < was.AdvertsReceived {
		return now
	}
	for _, f := range []struct {
		now *uint64
		was uint64
	}{
		{&now.AdvertsReceived, was.AdvertsReceived}, {&now.AdvertsSent, was.AdvertsSent},
		{&now.BecameMaster, was.BecameMaster}, {&now.ReleasedMaster, was.ReleasedMaster},
		{&now.Length, was.Length}, {&now.Interval, was.Interval}, {&now.TTL, was.TTL}, {&now.Type, was.Type},
		{&now.AddressList, was.AddressList}, {&now.AuthInvalid, was.AuthInvalid}, {&now.AuthMismatch, was.AuthMismatch},
		{&now.AuthFailure, was.AuthFailure}, {&now.PriorityZeroReceived, was.PriorityZeroReceived},
		{&now.PriorityZeroSent, was.PriorityZeroSent},
	} {
		*f.now -= min(f.was, *f.now)
	}
	return now
}

// Stats returns the counters as SIGUSR2 makes keepalived write them.
func (s State) Stats(cleared Cleared) []byte {
	var b bytes.Buffer
	for _, i := range s.Instances {
		c := cleared.since(i.Instance)
		fmt.Fprintf(&b, "VRRP Instance: %s\n", i.Instance.Name())
		fmt.Fprintf(&b, "  Advertisements:\n    Received: %d\n    Sent: %d\n", c.AdvertsReceived, c.AdvertsSent)
		fmt.Fprintf(&b, "  Became master: %d\n  Released master: %d\n", c.BecameMaster, c.ReleasedMaster)
		fmt.Fprintf(&b, "  Packet Errors:\n    Length: %d\n    TTL: %d\n    Invalid Type: %d\n    Advertisement Interval: %d\n    Address List: %d\n",
			c.Length, c.TTL, c.Type, c.Interval, c.AddressList)
		fmt.Fprintf(&b, "  Authentication Errors:\n    Invalid Type: %d\n    Type Mismatch: %d\n    Failure: %d\n", c.AuthInvalid, c.AuthMismatch, c.AuthFailure)
		fmt.Fprintf(&b, "  Priority Zero:\n    Received: %d\n    Sent: %d\n", c.PriorityZeroReceived, c.PriorityZeroSent)
	}
	return b.Bytes()
}
