package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// builder turns a checked tree into the model.
type builder struct {
	*collector
	global   model.Global
	alerts   alertDefaults
	services []model.VirtualServer
	seen     map[model.ServiceKey]place
	// groups are the virtual_server_groups by name. limit is how many services
	// they may expand to in all, and expanded how many they have.
	groups   map[string]*group
	limit    uint64
	expanded uint64
	// tls is the SSL block, or nil.
	tls *model.ClientTLS
	// sync is what is left to do about lvs_sync_daemon.
	sync syncDraft
	// trackFiles are the track_files that run, by name.
	trackFiles map[string]tracker
}

// alertDefaults are the smtp_alert words of global_defs; nil is not set.
type alertDefaults struct{ all, vrrp, checkers *bool }

func newBuilder(c *collector, limits Limits) *builder {
	return &builder{
		collector: c,
		global:    model.Global{Datapath: model.DatapathAuto, XDPMode: model.XDPAuto},
		seen:      make(map[model.ServiceKey]place),
		groups:    make(map[string]*group),
		limit:     uint64(limits.GroupServices),
	}
}

// run takes global_defs and groups first, since services need them wherever
// they stand.
func (b *builder) run(root *block) {
	for _, s := range root.statements {
		switch {
		case s.skip:
		case s.keyword() == "global_defs":
			b.globalDefs(s.block)
		case s.keyword() == "virtual_server_group":
			b.serverGroup(s)
		case s.keyword() == "SSL":
			b.clientTLS(s.block)
		case s.keyword() == "instance" && b.global.Instance == "":
			b.global.Instance = s.arg(0)
		case s.keyword() == "net_namespace":
			b.netNamespace(s)
		case s.keyword() == "use_pid_dir":
			b.global.UsePIDDir = true
		}
	}
	for _, s := range root.statements {
		if !s.skip && s.keyword() == "virtual_server" {
			b.virtualServer(s)
		}
	}
}

// The consequences of a value that cannot be used, as messages end.
const (
	lineIgnored    = "the line is ignored"
	serverLeftOut  = "the real server is left out"
	serviceLeftOut = "the virtual server is left out"

	instanceLeftOut = "the instance is left out"
	groupLeftOut    = "the sync group is left out"
	trackerLeftOut  = "the block is left out"
	entryIgnored    = "the entry is ignored"
)

// bad complains about argument i of a statement.
func (b *builder) bad(s *statement, i int, err error, consequence, hint string) {
	args := s.args()
	if i >= len(args) {
		b.add(Error, s.at(), s.keyword(), fmt.Sprintf("%s lacks an argument; %s", s.keyword(), consequence), hint)
		return
	}
	b.add(Error, args[i].at, s.keyword(), fmt.Sprintf("%s %q is %v; %s", s.keyword(), args[i].s, err, consequence), hint)
}

// number sets *field from the first argument.
func (b *builder) number(s *statement, field **uint32, least, most uint64) {
	n, err := parseUint(s.arg(0), least, most)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, fmt.Sprintf("write a number in that range, such as %s %d", s.keyword(), max(1, least)))
		return
	}
	v := uint32(n)
	*field = &v
}

// seconds sets *field from the first argument.
func (b *builder) seconds(s *statement, field **time.Duration, least, most time.Duration) {
	d, err := parseSeconds(s.arg(0), least, most)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write a number of seconds, such as "+s.keyword()+" 3")
		return
	}
	*field = &d
}

// boolean sets *field from an optional truth word; none means true.
func (b *builder) boolean(s *statement, field **bool) {
	v := true
	if s.arg(0) != "" {
		var err error
		if v, err = parseBool(s.arg(0)); err != nil {
			b.bad(s, 0, err, lineIgnored, "write "+s.keyword()+" alone to turn it on")
			return
		}
	}
	*field = &v
}

// flag returns whether the line turns a plain flag on. keepalived takes no
// argument there and would turn it on even for "no".
func (b *builder) flag(s *statement) bool {
	if on, err := parseBool(s.arg(0)); err == nil && !on {
		b.add(Error, s.at(), s.keyword(), fmt.Sprintf("%s takes no argument, and keepalived turns it on whatever follows; the line is ignored", s.keyword()),
			"leave the line out to keep it off")
		return false
	}
	return true
}

// turnOn sets *field if the line turns a plain flag on.
func (b *builder) turnOn(s *statement, field *bool) {
	if b.flag(s) {
		*field = true
	}
}

// address sets *field from the first argument.
func (b *builder) address(s *statement, field *netip.Addr) {
	a, err := parseAddr(s.arg(0))
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write an IPv4 or IPv6 address")
		return
	}
	*field = a
}

// position returns a place for the model.
func (b *builder) position(at place) model.Position { return at.position(b.files) }

// placeOf returns the place of a position of this configuration.
func (b *builder) placeOf(pos model.Position) place {
	file := slices.Index(b.files, pos.File)
	return place{file: int32(max(file, 0)), line: int32(pos.Line), col: int32(pos.Column)}
}

// or returns the first value that is set, or the default.
func or[T any](otherwise T, candidates ...*T) T {
	for _, c := range candidates {
		if c != nil {
			return *c
		}
	}
	return otherwise
}
