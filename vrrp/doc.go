// Package vrrp elects the owner of virtual addresses by VRRPv2 (RFC 3768) and
// VRRPv3 (RFC 5798, RFC 9568), over IPv4 and IPv6, as keepalived's
// vrrp_instance configures it. Where keepalived leaves the RFCs on the wire,
// this package follows keepalived, since mixed pairs are the way to migrate.
//
// It owns four things, each usable without the next:
//
//   - the bytes: Advert, Packet, and Codec, which checks what arrives for one
//     instance in keepalived's order and gives each refusal a Drop with a
//     counter's name;
//   - the election: Instance, a function of state, event and time that returns
//     the next state and the actions to carry out, and the Reason for it;
//   - sync groups: Group, which moves its instances together. An instance
//     without a group is a Group of one;
//   - Runner, which feeds a Group packets, time and events, sends its adverts,
//     and has a goroutine that hands all other actions to Effects. The Runners
//     of a process share a Loop, under whose lock each takes its steps.
//
// It never opens a socket, adds an address, sends an ARP, runs a script or
// reads a configuration file. Those who do implement Conn and Effects, and
// post events. Nothing here waits for them: an advert leaves before any other
// consequence of a promotion.
//
// Timers keep the full resolution of the clock. What an advert teaches is
// bounded (Config.MaxLearnedInterval), so that one forged packet cannot
// silence an instance.
//
// Tests need no privilege and no real time: adverts captured from keepalived
// and FRR decode and encode to the same bytes; the items of the conformance
// checklist are tests by number (docs/vrrp-conformance.md lists them); Runner
// is tested in synctest bubbles over links in memory, with exact takeover
// times; a model check plays thousands of schedules of loss, delay, crash,
// pause and partition and looks for two lasting masters, or none. Fuzz targets
// cover decoding, and that no packet that is damaged, forged or repeated changes
// more than a counter.
package vrrp
