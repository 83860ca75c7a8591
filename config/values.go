package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// parseUint reads a whole number between least and most, both included.
func parseUint(s string, least, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("not a whole number from %d to %d", least, most)
	}
	return n, nil
}

// The bounds of times. Most is what keepalived takes for time-outs; longest
// is what a time.Duration holds.
const (
	tick    = time.Microsecond
	most    = 4294967295 * time.Microsecond
	longest = 9_000_000_000 * time.Second
)

// parseSeconds reads a decimal number of seconds between least and most.
// Digits below a microsecond are dropped.
func parseSeconds(s string, least, most time.Duration) (time.Duration, error) {
	d, ok := duration(s)
	if !ok || d < least || d > most {
		return 0, fmt.Errorf("not a number of seconds from %s to %s", seconds(least), seconds(most))
	}
	return d, nil
}

// duration reads seconds with a fraction, of which microseconds count.
func duration(s string) (d time.Duration, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" || len(fraction) > 18 {
		return 0, false
	}
	if whole != "" {
		n, err := strconv.ParseUint(whole, 10, 63)
		if err != nil || n > uint64(longest/time.Second) {
			return 0, false
		}
		d = time.Duration(n) * time.Second
	}
	if fraction != "" {
		n, err := strconv.ParseUint((fraction + "000000")[:6], 10, 32)
		if _, rest := strconv.ParseUint(fraction, 10, 63); err != nil || rest != nil {
			return 0, false
		}
		d += time.Duration(n) * time.Microsecond
	}
	return d, true
}

// seconds prints a duration as keepalived.conf writes it: 60, 0.000001.
func seconds(d time.Duration) string {
	s := fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// parseBool reads keepalived's truth words.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("not true, on, yes, false, off or no")
}

// boolWord reports whether s is one of keepalived's truth words.
func boolWord(s string) bool {
	_, err := parseBool(s)
	return err == nil
}

// parseAddr reads a unicast address without a zone.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("not an IP address")
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("an address with a zone")
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("an IPv4 address in IPv6 form")
	case a.IsUnspecified():
		return netip.Addr{}, fmt.Errorf("no address of a host")
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return netip.Addr{}, fmt.Errorf("a multicast or broadcast address")
	}
	return a, nil
}

// parsePrefix reads persistence_granularity: a netmask or a prefix length for
// IPv4, a prefix length for IPv6.
func parsePrefix(s string, v6 bool) (uint8, error) {
	if v6 {
		n, err := parseUint(s, 1, 128)
		return uint8(n), err
	}
	if !strings.Contains(s, ".") {
		n, err := parseUint(s, 1, 32)
		if err != nil {
			return 0, fmt.Errorf("neither a netmask nor a prefix length from 1 to 32")
		}
		return uint8(n), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("not a netmask")
	}
	b := a.As4()
	mask := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	ones := 0
	for mask&(1<<31) != 0 {
		ones++
		mask <<= 1
	}
	if mask != 0 || ones == 0 {
		return 0, fmt.Errorf("not a netmask with its ones in front")
	}
	return uint8(ones), nil
}

// parseHexWord reads 16 bits in hexadecimal, as a part of an IPv6 address.
func parseHexWord(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		return 0, fmt.Errorf("not a hexadecimal number from 0 to ffff")
	}
	return uint16(n), nil
}

// parseInt reads a whole number between least and most, both included.
func parseInt(s string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("not a whole number from %d to %d", least, most)
	}
	return n, nil
}
