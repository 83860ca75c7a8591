package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Config describes one instance. The zero value of an optional field selects
// keepalived's default, unless the field says otherwise. A Config given away
// is not changed any more, nor are its slices.
type Config struct {
	// Name is the instance's name, unique in its Group.
	Name string
	// VRID is the virtual router, 1 to 255.
	VRID uint8
	// Version is V2 or V3.
	Version Version
	// IPv6 says which family carries the adverts; IPv6 needs V3.
	IPv6 bool
	// Priority is the base priority: 1 to 254, or 255 for the owner of the
	// addresses.
	Priority uint8
	// Interval between adverts: V2 whole seconds, V3 centiseconds. Optional,
	// default 1 s.
	Interval time.Duration
	// Early is by how much the first interval of a mastership is shorter than the
	// others, at most by half of it. Instances that become master together, as all of a
	// link do, would send all together ever after. It is shortened a bit more, for
	// those of one process to send a few together. Optional.
	Early time.Duration
	// Addresses are those in the advert, in its order, without the excluded.
	Addresses []netip.Addr
	// NoAddresses permits an empty list (no_virtual_ipaddress).
	NoAddresses bool
	// MTU bounds an advert, since one is never sent in fragments. Optional,
	// default 1500 bytes.
	MTU int

	// Source is the address that adverts come from: the primary address of
	// the interface, for IPv6 its link-local. Without one the instance is in
	// FAULT until SourceChanged brings one.
	Source netip.Addr
	// Multicast is the group. Optional, default 224.0.0.18 or ff02::12.
	Multicast netip.Addr
	// Peers makes the instance send unicast to them instead.
	Peers []Peer
	// CheckUnicastSource drops unicast from others than Peers
	// (check_unicast_src). A window of a peer's TTL implies it.
	CheckUnicastSource bool
	// UnicastTTL is the TTL or hop limit sent to peers. Optional, default 255.
	UnicastTTL uint8
	// Auth is for V2.
	Auth Auth
	// ChecksumAsV2 leaves the pseudo header out of the V3/IPv4 checksum and
	// accepts both sums (v3_checksum_as_v2).
	ChecksumAsV2 bool
	// NeverOldChecksum refuses V3/IPv4 unicast adverts whose checksum covers
	// the multicast group, as keepalived up to 1.3.6 sent them
	// (old_unicast_checksum never). By default such a peer is detected and
	// answered in kind.
	NeverOldChecksum bool
	// SkipCheckAddresses trusts the address list of the known master
	// (skip_check_adv_addr).
	SkipCheckAddresses bool

	// StartBackup makes an owner begin as backup (an explicit state BACKUP).
	StartBackup bool
	// NoPreempt leaves a master of lower priority in place. It means nothing
	// to an owner.
	NoPreempt bool
	// PreemptDelay is how long a master of lower priority is left in place
	// from its first advert on.
	PreemptDelay time.Duration
	// DownTimerAdverts is how many intervals of silence make a master dead.
	// Optional, default 3.
	DownTimerAdverts int
	// MaxLearnedInterval bounds the interval that V3 adopts from a master.
	// Optional, default ten times Interval. 40.95 s lifts the bound.
	MaxLearnedInterval time.Duration
	// LowerPrioNoAdvert: no advert at once against one of lower priority
	// (lower_prio_no_advert).
	LowerPrioNoAdvert bool
	// HigherPrioNoAdvert: no last advert before yielding
	// (higher_prio_send_advert false). The last advert makes the winner
	// announce itself, so unlike in keepalived it is the default.
	HigherPrioNoAdvert bool
	// OwnerIgnoreAdverts makes an owner deaf (owner_ignore_adverts).
	OwnerIgnoreAdverts bool
	// NoAccept: packets to the addresses are not for this host. An owner
	// accepts whatever is set.
	NoAccept bool

	// Announce times the rounds of gratuitous ARP or NA.
	Announce AnnounceTimes
	// Tracks are what the priority depends on, or the right to take part.
	Tracks []Track
}

// Peer is one unicast neighbour.
type Peer struct {
	Addr netip.Addr
	// MinTTL and MaxTTL bound the TTL of its adverts. Both zero: any.
	MinTTL, MaxTTL uint8
}

// Auth is the authentication of a version 2 instance.
type Auth struct {
	Type AuthType
	// Secret is cut to eight bytes, or filled with zeros.
	Secret string
}

func (a Auth) key() (key [authLen]byte) {
	copy(key[:], a.Secret)
	return key
}

// AnnounceTimes says when a master announces its addresses again. The rounds
// and pauses inside one announcement belong to who sends it.
type AnnounceTimes struct {
	// Delay is from promotion to the second announcement
	// (garp_master_delay). Optional, default 5 s, below zero none.
	Delay time.Duration
	// LowerPrioDelay is the same after an advert of lower priority
	// (garp_lower_prio_delay). Optional, default Delay, below zero none.
	LowerPrioDelay time.Duration
	// Refresh repeats the announcement (garp_master_refresh). Zero: never.
	Refresh time.Duration
	// Extra announces on other interfaces than the instance's (garp_extra_if),
	// for the first time Delay and Extra after the promotion. Zero: never.
	Extra time.Duration
}

const (
	defaultInterval      = time.Second
	defaultAnnounceDelay = 5 * time.Second
	defaultDownAdverts   = 3
	defaultLearnFactor   = 10
	defaultMTU           = 1500
)

// withDefaults returns c with its optional fields filled. The list of an IPv6
// instance begins with a link-local address if it has one (RFC 9568 5.2.9).
func (c Config) withDefaults() Config {
	setDefault(&c.Interval, defaultInterval)
	c.Early = min(max(c.Early, 0), c.Interval/2)
	setDefault(&c.MTU, defaultMTU)
	setDefault(&c.DownTimerAdverts, defaultDownAdverts)
	setDefault(&c.UnicastTTL, hopLimit)
	setDefault(&c.MaxLearnedInterval, max(defaultLearnFactor*c.Interval, c.Interval))
	setDefault(&c.Announce.Delay, defaultAnnounceDelay)
	setDefault(&c.Announce.LowerPrioDelay, c.Announce.Delay)
	c.Source = c.Source.WithZone("")
	if !c.Multicast.IsValid() {
		c.Multicast = MulticastGroup(c.IPv6)
	}
	if at := slices.IndexFunc(c.Addresses, netip.Addr.IsLinkLocalUnicast); c.IPv6 && at > 0 {
		first := c.Addresses[at]
		rest := slices.Delete(slices.Clone(c.Addresses), at, at+1)
		c.Addresses = append([]netip.Addr{first}, rest...)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// MulticastGroup returns the group of a family that RFC 9568 assigns.
func MulticastGroup(ipv6 bool) netip.Addr {
	if ipv6 {
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
	}
	return netip.AddrFrom4([4]byte{224, 0, 0, 18})
}

// owner says whether the router owns the addresses, whose priority nothing
// changes.
func (c *Config) owner() bool { return c.Priority == PriorityOwner }

// ConfigError is one thing in a Config that cannot run.
type ConfigError struct {
	// Keyword is the word of keepalived.conf that it is about.
	Keyword string
	// Problem says what is wrong and, where there is one way, what to do.
	Problem string
}

// Error returns keyword and problem.
func (e *ConfigError) Error() string { return e.Keyword + ": " + e.Problem }

// Validate returns all that is wrong with c as joined *ConfigError, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(keyword, format string, args ...any) {
		errs = append(errs, &ConfigError{keyword, fmt.Sprintf(format, args...)})
	}
	if c.VRID == 0 {
		bad("virtual_router_id", "0 is not between 1 and 255")
	}
	if c.Priority == 0 {
		bad("priority", "0 is not between 1 and 255")
	}
	if c.Version == V2 && c.IPv6 {
		bad("version", "2 has no IPv6; use version 3")
	}
	if err := checkInterval(c.Version, c.Interval); err != nil {
		bad("advert_int", "%v", err)
	} else if c.Interval <= 0 {
		bad("advert_int", "%s is not above zero", c.Interval)
	}
	if c.DownTimerAdverts < 1 || c.DownTimerAdverts > 100 {
		bad("down_timer_adverts", "%d is not between 1 and 100", c.DownTimerAdverts)
	}
	if c.PreemptDelay < 0 || c.PreemptDelay > 1000*time.Second {
		bad("preempt_delay", "%s is not between 0 and 1000 s", c.PreemptDelay)
	}
	c.validateAddresses(bad)
	c.validateAuth(bad)
	return errors.Join(errs...)
}

func (c *Config) validateAddresses(bad func(keyword, format string, args ...any)) {
	if len(c.Addresses) == 0 && !c.NoAddresses && c.Version == V3 {
		bad("virtual_ipaddress", "version 3 needs at least one address, or no_virtual_ipaddress")
	}
	if len(c.Addresses) > 255 {
		bad("virtual_ipaddress", "%d addresses, an advert has room for 255; move the others to virtual_ipaddress_excluded", len(c.Addresses))
	} else if size := c.datagramLen(); size > c.MTU {
		bad("virtual_ipaddress", "an advert with %d addresses has %d bytes, more than the MTU of %d; move some to virtual_ipaddress_excluded",
			len(c.Addresses), size, c.MTU)
	}
	for _, addr := range c.Addresses {
		if !addr.IsValid() || addr.Is4() == c.IPv6 {
			bad("virtual_ipaddress", "%s is not of the adverts' family; move it to virtual_ipaddress_excluded", addr)
		}
	}
	for _, p := range c.Peers {
		if !p.Addr.IsValid() || p.Addr.Is4() == c.IPv6 {
			bad("unicast_peer", "%s is not of the adverts' family", p.Addr)
		}
	}
	if c.Source.IsValid() && c.Source.Is4() == c.IPv6 {
		bad("unicast_src_ip", "%s is not of the adverts' family", c.Source)
	}
}

func (c *Config) validateAuth(bad func(keyword, format string, args ...any)) {
	switch {
	case c.Auth.Type == AuthNone:
	case c.Version != V2:
		bad("authentication", "version %d has none; remove the block", c.Version)
	case c.Auth.Type != AuthPass && c.Auth.Type != AuthAH:
		bad("auth_type", "%s is neither PASS nor AH", c.Auth.Type)
	case c.Auth.Secret == "":
		bad("auth_pass", "is missing")
	}
}

// datagramLen returns the bytes of an advert with its IP header.
func (c *Config) datagramLen() int {
	if c.IPv6 {
		return 40 + headerLen + 16*len(c.Addresses)
	}
	n := ipv4HeaderLen + headerLen + 4*len(c.Addresses)
	if c.Version == V2 {
		n += authLen
	}
	if c.Auth.Type == AuthAH {
		n += ahLen
	}
	return n
}

// same says whether two configurations are of one virtual router, so that an
// instance may go from one to the other and keep its state.
func (c *Config) same(d *Config) bool {
	return c.VRID == d.VRID && c.IPv6 == d.IPv6
}
