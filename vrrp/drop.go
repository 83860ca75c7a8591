package vrrp

import "fmt"

// Drop says why a packet was not given to an instance. The list is closed; its
// names are those of the counters, keepalived's where keepalived has one.
type Drop uint8

// The reasons, in the order in which they are checked.
const (
	// DropLength: the IP header, the message or its address list is cut
	// short, or bytes follow it.
	DropLength Drop = iota
	// DropFragment: an IP fragment.
	DropFragment
	// DropProtocol: neither protocol 112 nor 51.
	DropProtocol
	// DropVRID: another virtual router on the same link.
	DropVRID
	// DropTTL: TTL or hop limit below 255 in multicast, or outside the peer's
	// window in unicast.
	DropTTL
	// DropVersion: another version than configured.
	DropVersion
	// DropAuthInvalid: an authentication type that does not exist.
	DropAuthInvalid
	// DropAuthMismatch: another authentication type than configured.
	DropAuthMismatch
	// DropAuthFailure: wrong password or authentication header.
	DropAuthFailure
	// DropReplay: a sequence number of the authentication header that was
	// used before.
	DropReplay
	// DropInterval: version 2, another interval than configured; version 3,
	// interval zero (erratum 8301 of RFC 9568).
	DropInterval
	// DropType: a message that is no advertisement.
	DropType
	// DropChecksum: wrong checksum.
	DropChecksum
	// DropChecksumMode: the checksum is right in the other reading of version
	// 3 over IPv4; the hint is v3_checksum_as_v2.
	DropChecksumMode
	// DropDestination: unicast while multicast is configured, or the reverse.
	DropDestination
	// DropOwn: our own packet came back.
	DropOwn
	// DropOwner: we own the addresses and owner_ignore_adverts is set.
	DropOwner
	// DropAddressList: no addresses, or in version 2 others than configured.
	DropAddressList
	// DropUnicastSource: unicast from no configured peer.
	DropUnicastSource

	drops // how many there are
)

// String returns the counter's name.
func (d Drop) String() string {
	if d < drops {
		return dropNames()[d]
	}
	return fmt.Sprintf("drop_%d", uint8(d))
}

func dropNames() [drops]string {
	return [drops]string{
		DropLength:        "packet_len_err",
		DropFragment:      "fragment_err",
		DropProtocol:      "protocol_err",
		DropVRID:          "vrid_err",
		DropTTL:           "ip_ttl_err",
		DropVersion:       "version_err",
		DropAuthInvalid:   "invalid_authtype",
		DropAuthMismatch:  "authtype_mismatch",
		DropAuthFailure:   "auth_failure",
		DropReplay:        "auth_replay",
		DropInterval:      "advert_interval_err",
		DropType:          "invalid_type_rcvd",
		DropChecksum:      "checksum_err",
		DropChecksumMode:  "checksum_other_mode",
		DropDestination:   "destination_err",
		DropOwn:           "own_packet",
		DropOwner:         "owner_ignored",
		DropAddressList:   "addr_list_err",
		DropUnicastSource: "unicast_src_err",
	}
}

// Drops returns all reasons in order.
func Drops() []Drop {
	all := make([]Drop, drops)
	for i := range all {
		all[i] = Drop(i)
	}
	return all
}

// DropError is the refusal of one packet.
type DropError struct {
	Drop Drop
	// Got and Want are the two numbers that differ, where the reason compares
	// numbers: bytes, TTL, version, type, milliseconds.
	Got, Want int
	// Detail adds what numbers do not say; optional.
	Detail string
}

// Error returns the reason with its numbers.
func (e *DropError) Error() string {
	switch {
	case e.Detail != "":
		return fmt.Sprintf("%s: %s", e.Drop, e.Detail)
	case e.Want != 0:
		return fmt.Sprintf("%s: %d, want %d", e.Drop, e.Got, e.Want)
	case e.Got != 0:
		return fmt.Sprintf("%s: %d", e.Drop, e.Got)
	}
	return e.Drop.String()
}
