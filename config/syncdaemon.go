package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/model"
)

// syncDraft is an lvs_sync_daemon whose instance is not known yet.
type syncDraft struct {
	at    place
	hasID bool
}

// syncDaemon reads an interface, and then words with a value each. A word that
// is none of them is the name of the instance, and in the old form a number
// follows it.
func (b *builder) syncDaemon(s *statement) {
	const hint = "write lvs_sync_daemon eth0 VI_1 id 51"
	if b.global.Sync != nil {
		b.add(Warning, s.at(), s.keyword(), "lvs_sync_daemon is there already; "+lineIgnored, "the kernel has one of each role")
		return
	}
	args := s.args()
	if len(args) == 0 || args[0].s == "" || len(args[0].s) > 15 {
		b.bad(s, 0, fmt.Errorf("no name of an interface"), lineIgnored, hint)
		return
	}
	d, draft := model.SyncDaemon{Interface: args[0].s}, syncDraft{at: s.at()}
	for i := 1; i < len(args); i++ {
		word, value := args[i].s, i+1
		known := slices.Contains([]string{"inst", "id", "maxlen", "port", "ttl", "group"}, word)
		switch {
		case known && value < len(args):
			if err := setSync(&d, word, args[value].s); err != nil {
				b.bad(s, value, err, lineIgnored, hint)
				return
			}
			draft.hasID = draft.hasID || word == "id"
			i++
		case known:
			b.bad(s, value, nil, lineIgnored, hint)
			return
		case d.Instance == "":
			d.Instance = word
		case !draft.hasID && setSync(&d, "id", word) == nil: // the old form
			draft.hasID = true
		default:
			b.bad(s, i, fmt.Errorf("not inst, id, maxlen, port, ttl or group"), lineIgnored, hint)
			return
		}
	}
	b.global.Sync, b.sync = &d, draft
}

// setSync sets what follows a word.
func setSync(d *model.SyncDaemon, word, value string) error {
	if word == "inst" {
		d.Instance = value
		return nil
	}
	if word == "group" {
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" || !a.IsMulticast() {
			return fmt.Errorf("no multicast address")
		}
		d.Group = a
		return nil
	}
	bounds := map[string][2]uint64{"id": {0, 255}, "maxlen": {1, 65507}, "port": {1, 65535}, "ttl": {1, 255}}[word]
	n, err := parseUint(value, bounds[0], bounds[1])
	if err != nil {
		return err
	}
	switch word {
	case "id":
		d.ID = uint8(n)
	case "maxlen":
		d.MaxLen = uint16(n)
	case "port":
		d.Port = uint16(n)
	case "ttl":
		d.TTL = uint8(n)
	}
	return nil
}

// syncInstance finds the instance, whose number is the default of the id. A
// daemon without its instance does not run, as in keepalived.
func (b *builder) syncInstance(instances []model.VRRPInstance) {
	d := b.global.Sync
	if d == nil || d.Instance == "" {
		return
	}
	at := slices.IndexFunc(instances, func(i model.VRRPInstance) bool { return i.Name == d.Instance })
	if at < 0 {
		b.add(Error, b.sync.at, "lvs_sync_daemon", fmt.Sprintf("lvs_sync_daemon: there is no vrrp_instance %s that runs; no sync daemon is started", d.Instance), "write the name of a vrrp_instance")
		b.global.Sync = nil
		return
	}
	if !b.sync.hasID {
		d.ID = instances[at].VRID
	}
}
