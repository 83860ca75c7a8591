package vrrp

import (
	"crypto/hmac"
	"crypto/md5" // fixed by the peers of version 2
	"crypto/subtle"
	"encoding/binary"
	"time"
)

// The authentication header (RFC 2402) as keepalived uses it: next header 112,
// length 4, SPI = source address, a sequence number, HMAC-MD5-96.
const (
	ahLen    = 24
	ahPlen   = ahLen/4 - 2
	ahSPI    = 4
	ahSeq    = 8
	ahICV    = 12
	ahICVLen = 12
)

// appendAH appends an authentication header with an empty ICV.
func appendAH(b []byte, spi [4]byte, seq uint32) []byte {
	b = append(b, ProtocolVRRP, ahPlen, 0, 0)
	b = append(b, spi[:]...)
	b = binary.BigEndian.AppendUint32(b, seq)
	return append(b, make([]byte, ahICVLen)...)
}

// signAH fills the ICV of p, whose payload begins with appendAH's bytes.
func signAH(p Packet, key [authLen]byte) {
	icv := icvOf(p, key, ttlCovered(p))
	copy(p.Payload[ahICV:], icv[:])
}

// verifyAH says whether the ICV is right. RFC 2402 leaves the TTL out of it;
// keepalived does so for unicast only, and here either is accepted.
func verifyAH(p Packet, key [authLen]byte) bool {
	got := p.Payload[ahICV:ahLen]
	with, without := icvOf(p, key, true), icvOf(p, key, false)
	return subtle.ConstantTimeCompare(got, with[:])|subtle.ConstantTimeCompare(got, without[:]) == 1
}

func ttlCovered(p Packet) bool { return p.Dst.IsMulticast() }

// icvOf computes the ICV over the packet with its changeable fields zero:
// type of service, flags and offset, checksum, and the TTL unless covered.
func icvOf(p Packet, key [authLen]byte, ttl bool) [ahICVLen]byte {
	var header [ipv4HeaderLen]byte
	copy(header[:], p.Header)
	header[1], header[6], header[7], header[10], header[11] = 0, 0, 0, 0, 0
	if !ttl {
		header[8] = 0
	}
	mac := hmac.New(md5.New, key[:])
	mac.Write(header[:])
	mac.Write(p.Payload[:ahICV])
	mac.Write(make([]byte, ahICVLen))
	mac.Write(p.Payload[ahLen:])
	return [ahICVLen]byte(mac.Sum(nil))
}

// firstSequence returns where a new process begins to count. Neighbours take
// nothing at or below the last number that they saw, so one that began at zero
// would be deaf mute after a crash. Four a second since 2020 is faster than a
// router of version 2 uses them up, and lasts until 2054.
func firstSequence(now time.Time) uint32 {
	const perSecond, epoch = 4, 1577836800
	return uint32((now.Unix() - epoch) * perSecond)
}
