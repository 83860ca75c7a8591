package model

import (
	"net/netip"
	"time"
)

// VRRP is the VRRP part of a configuration. All inheritance and all defaults
// are applied: a zero duration or count is zero, unless a field says otherwise.
type VRRP struct {
	Global VRRPGlobal
	// Instances are those that can run, in the order of the files. No two have
	// one name or one Identity.
	Instances []VRRPInstance
	// Groups have at least one member each, and an instance is in one at most.
	Groups    []SyncGroup
	Scripts   []TrackScript
	Files     []TrackFile
	Processes []TrackProcess
	Static    Static
	// GARPGroups pace announcements beside VRRPGlobal; no two share an
	// interface.
	GARPGroups []GARPGroup
}

// VRRPGlobal is what global_defs says to VRRP as a whole. What it says as a
// default for instances is in the instances.
type VRRPGlobal struct {
	// GARPInterval and GNAInterval are the least pauses between gratuitous ARPs,
	// and between unsolicited NAs, on one interface; 0 is none.
	GARPInterval, GNAInterval time.Duration
	// StartupDelay holds all instances after the start (vrrp_startup_delay),
	// AfterBoot until the machine has run that long (vrrp_delay_after_boot).
	StartupDelay, AfterBoot time.Duration
	// DynamicInterfaces lets instances wait for interfaces that are missing.
	// An instance here waits in any case; the daemon may say so more quietly.
	// AllowInterfaceChange is its option allow_if_changes.
	DynamicInterfaces, AllowInterfaceChange bool
	// LogUnknownVRIDs logs adverts of virtual routers that are not configured.
	LogUnknownVRIDs bool
	// VMACPrefix begins the names of virtual MAC interfaces that have none of
	// their own (vmac_prefix), default vrrp.
	VMACPrefix string
	// StatesOnReload repeats the states to the FIFOs after a reload
	// (fifo_write_vrrp_states_on_reload).
	StatesOnReload bool
	Scheduling     Scheduling
}

// Scheduling is the place of the process among others. Zero fields ask for
// nothing.
type Scheduling struct {
	// Nice is -20 to 19 (vrrp_priority), nil without the keyword.
	Nice *int
	// RealTime is the priority under SCHED_RR, 1 to 99: the higher one of
	// vrrp_rt_priority and checker_rt_priority, since one process does both.
	RealTime uint8
	// NoSwap keeps the process in memory (vrrp_no_swap, checker_no_swap).
	NoSwap bool
	// CPUs are those that it may run on (vrrp_cpu_affinity).
	CPUs []int
}

// VRRPInstance is one vrrp_instance block.
type VRRPInstance struct {
	Name string
	Pos  Position
	// VRID is the virtual router, 1 to 255.
	VRID uint8
	// Version is 2 or 3. Version 2 is never IPv6.
	Version uint8
	// IPv6 says which family carries the adverts.
	IPv6 bool
	// Interface is empty for a unicast instance that names none; Source is then
	// set.
	Interface string
	// Priority is 1 to 254, or 255 for the owner of the addresses.
	Priority uint8
	// StartBackup makes an owner begin as backup: an explicit state BACKUP.
	StartBackup bool
	// Interval is advert_int, rounded to what the version can say: whole seconds
	// from 1 to 255, or hundredths from 10 ms to 40.95 s.
	Interval time.Duration
	// Addresses are those in the adverts, in their order and all of the
	// instance's family; as many as fit. One may be there twice, since keepalived
	// sends it twice. Excluded are not in the adverts and of any family.
	Addresses, Excluded []Address
	// NoAddresses is no_virtual_ipaddress, or a version 2 instance without any.
	NoAddresses bool
	Routes      []Route
	Rules       []Rule

	// Source is mcast_src_ip or unicast_src_ip; unset takes an address of the
	// interface. TrackSource makes its loss a fault (track_src_ip).
	Source      netip.Addr
	TrackSource bool
	// Multicast is the group of a multicast instance; it is unset for a unicast
	// one.
	Multicast netip.Addr
	// Peers make the instance send unicast to them.
	Peers []VRRPPeer
	// NoPeerFault holds a unicast instance without peers in FAULT
	// (unicast_fault_no_peer). Without it such an instance is multicast.
	NoPeerFault bool
	// UnicastTTL is the TTL or hop limit sent to peers, default 255.
	UnicastTTL uint8
	// CheckUnicastSource drops unicast from others than Peers.
	CheckUnicastSource bool
	// Auth is for version 2.
	Auth VRRPAuth
	// ChecksumAsV2 is v3_checksum_as_v2, NeverOldChecksum is
	// old_unicast_checksum never.
	ChecksumAsV2, NeverOldChecksum bool
	// SkipCheckAddresses is skip_check_adv_addr.
	SkipCheckAddresses bool

	// Strict is strict_mode; what it changes is in the other fields.
	Strict bool
	// NoAccept: packets to the addresses are not for this host. It means nothing
	// to an owner.
	NoAccept bool
	// NoPreempt leaves a master of lower priority in place; PreemptDelay does
	// for a time. At most one is set.
	NoPreempt    bool
	PreemptDelay time.Duration
	// DownAdverts is how many silent intervals make a master dead, 1 to 100,
	// default 3 (down_timer_adverts).
	DownAdverts int
	// LowerPrioNoAdvert: no advert at once against one of lower priority.
	LowerPrioNoAdvert bool
	// HigherPrioNoAdvert: no last advert before yielding. It is set only by
	// higher_prio_send_advert off and by strict_mode. keepalived's default is
	// to send none; vrrp.Config says why ours is to send one.
	HigherPrioNoAdvert bool
	// OwnerIgnoreAdverts makes an owner deaf.
	OwnerIgnoreAdverts bool

	Announce VRRPAnnounce
	// VMAC is use_vmac, or nil.
	VMAC *VMAC
	// PromoteSecondaries sets that sysctl on the interface.
	PromoteSecondaries bool

	// Tracks are what the instance depends on: those of its track blocks, its
	// own interface, and the interfaces of its addresses, routes and rules. Each
	// thing is there once. Those of its sync group are in SyncGroup.Tracks.
	Tracks []Track
	// DontTrackPrimary is dont_track_primary.
	DontTrackPrimary bool

	Scripts NotifyScripts
	// PriorityEvents tells FIFOs of each change of priority
	// (notify_priority_changes).
	PriorityEvents bool
	// Mail is smtp_alert.
	Mail bool
}

// Identity tells virtual routers apart: two instances of one Identity cannot run
// on one host, and a reload keeps the state of one whose Identity stays.
type Identity struct {
	VRID      uint8
	IPv6      bool
	Interface string
	// Multicast is the group, or unset for unicast. Source is that of a unicast
	// instance, or unset.
	Multicast, Source netip.Addr
}

// Identity returns what makes the instance the same after a reload.
func (i VRRPInstance) Identity() Identity {
	id := Identity{VRID: i.VRID, IPv6: i.IPv6, Interface: i.Interface, Multicast: i.Multicast}
	if !i.Multicast.IsValid() {
		id.Source = i.Source
	}
	return id
}

// VRRPPeer is one line of unicast_peer.
type VRRPPeer struct {
	Addr netip.Addr
	// MinTTL and MaxTTL bound the TTL of the peer's adverts. Both zero: any.
	MinTTL, MaxTTL uint8
}

// VRRPAuth is the authentication of a version 2 instance.
type VRRPAuth struct {
	Type VRRPAuthType
	// Secret has at most eight bytes.
	Secret string
}

// VRRPAuthType is an authentication type as it stands in an advert.
type VRRPAuthType uint8

// The types of authentication.
const (
	AuthNone VRRPAuthType = 0
	AuthPass VRRPAuthType = 1
	AuthAH   VRRPAuthType = 2
)

// String returns the word of auth_type.
func (t VRRPAuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPass:
		return "PASS"
	case AuthAH:
		return "AH"
	}
	return "unknown"
}

// VRRPAnnounce says when and how often a master announces its addresses by
// gratuitous ARP or NA.
type VRRPAnnounce struct {
	// Delay is from promotion to the second round (garp_master_delay), default
	// 5 s; 0 is no second round. Repeat is the packets of a round, at least 1,
	// default 5.
	Delay  time.Duration
	Repeat int
	// LowerPrioDelay and LowerPrioRepeat are the same after an advert of lower
	// priority; here a repeat of 0 is none.
	LowerPrioDelay  time.Duration
	LowerPrioRepeat int
	// Refresh repeats rounds of RefreshRepeat packets; 0 is never.
	Refresh       time.Duration
	RefreshRepeat int
	// Extra is the period of announcements on other interfaces than the
	// instance's (garp_extra_if), so that switches keep their MAC addresses; 0 is
	// never. Without ExtraAll only virtual MAC interfaces count.
	Extra    time.Duration
	ExtraAll bool
}

// VMAC asks for a virtual MAC address by a macvlan interface.
type VMAC struct {
	// Name is the macvlan's, or empty for the default.
	Name string
	// MAC is zero for the one that the RFC gives to the virtual router.
	MAC [6]byte
	// TransmitBase sends adverts from the interface below (vmac_xmit_base), as
	// unicast does in any case.
	TransmitBase bool
}

// SyncGroup is one vrrp_sync_group block.
type SyncGroup struct {
	Name string
	Pos  Position
	// Members are names of instances, in the order of the group.
	Members []string
	// TrackingWeight lets weighted tracks of members count
	// (sync_group_tracking_weight).
	TrackingWeight bool
	// Tracks count for all members alike, with their weights.
	Tracks  []Track
	Scripts NotifyScripts
	// PriorityEvents and Mail are as in VRRPInstance.
	PriorityEvents, Mail bool
}

// GARPGroup paces announcements on the interfaces that one switch serves.
type GARPGroup struct {
	Pos Position
	// GARPInterval and GNAInterval are pauses between any two announcements on
	// the interfaces together; 0 leaves VRRPGlobal's to each.
	GARPInterval, GNAInterval time.Duration
	Interfaces                []string
}
