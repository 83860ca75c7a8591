package dump

import (
	"bytes"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/track"
	"github.com/evenkeel/evenkeel/vrrp"
)

// writer writes indented lines.
type writer struct{ bytes.Buffer }

func (w *writer) line(indent int, format string, args ...any) {
	fmt.Fprintf(w, "%*s", indent, "")
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) section(name string) { w.line(0, "------< %s >------", name) }

// Data returns the state as SIGUSR1 makes keepalived write it.
func (s State) Data() []byte {
	var w writer
	w.section("Global definitions")
	w.line(1, "Router ID = %s", s.Global.RouterID)
	w.line(1, "Gratuitous ARP interval = %.6f", s.VRRP.Global.GARPInterval.Seconds())
	w.line(1, "Gratuitous NA interval = %.6f", s.VRRP.Global.GNAInterval.Seconds())
	w.line(1, "Dynamic interfaces = %t", s.VRRP.Global.DynamicInterfaces)
	w.line(1, "Script security %s", enabled(s.Global.Scripts.Security))
	if len(s.Instances) > 0 {
		w.section("VRRP Topology")
	}
	for _, i := range s.Instances {
		s.instance(&w, i)
	}
	if len(s.VRRP.Groups) > 0 {
		w.section("VRRP Sync groups")
	}
	for _, g := range s.VRRP.Groups {
		s.group(&w, g)
	}
	s.scripts(&w)
	s.files(&w)
	s.processes(&w)
	return w.Bytes()
}

func (s State) instance(w *writer, st failover.Status) {
	i, cfg := st.Instance, st.Config
	w.line(1, "VRRP Instance = %s", i.Name())
	w.line(3, "VRRP Version = %d", cfg.Version)
	if cfg.IPv6 {
		w.line(3, "Using Native IPv6")
	}
	if st.Group != "" {
		w.line(3, "Sync group = %s", st.Group)
	}
	state, since := i.State()
	w.line(3, "State = %s", state)
	if len(cfg.Peers) > 0 {
		w.line(3, "Flags:")
		w.line(5, "Using unicast")
	} else {
		w.line(3, "Flags: none")
	}
	w.line(3, "Wantstate = %s", i.Wants())
	w.line(3, "Number of interface and track script faults = %d", len(i.Faults()))
	w.line(3, "Last transition = %s", moment(since))
	if state != vrrp.Master {
		master, priority := i.Master()
		if master.IsValid() {
			w.line(3, "Master router = %s", master)
			w.line(3, "Master priority = %d", priority)
		}
	}
	down := vrrp.DownInterval(vrrp.Version(cfg.Version), i.Priority(), i.MasterInterval(), cfg.DownAdverts)
	w.line(3, "Master down timer = %d usecs", down.Microseconds())
	instanceNetwork(w, st)
	instanceAnnouncements(w, cfg)
	w.line(3, "Virtual Router ID = %d", cfg.VRID)
	w.line(3, "Priority = %d", i.BasePriority())
	w.line(3, "Effective priority = %d", i.Priority())
	w.line(3, "Total priority = %d", i.Priority())
	instanceTimes(w, cfg)
	if cfg.Auth.Type != model.AuthNone {
		w.line(3, "Authentication type = %s", authWord(cfg.Auth.Type))
		w.line(3, "Password = %s", secret(cfg.Auth.Secret))
	}
	instanceAddresses(w, st)
	instanceTracks(w, cfg)
	instanceScripts(w, cfg)
}

func instanceNetwork(w *writer, st failover.Status) {
	i, cfg := st.Instance, st.Config
	if cfg.VMAC != nil {
		w.line(3, "Use VMAC, i/f name %s, xmit_base = %t", st.Interface, cfg.VMAC.TransmitBase)
	}
	if st.Interface != cfg.Interface {
		w.line(3, "Interface = %s, vmac on %s", st.Interface, cfg.Interface)
	} else if cfg.Interface != "" {
		w.line(3, "Interface = %s", cfg.Interface)
	}
	if source := i.Source(); source.IsValid() {
		from := ""
		if cfg.Source.IsValid() {
			from = " (from configuration)"
		}
		w.line(3, "Using src_ip = %s%s", source, from)
	}
	if cfg.Multicast.IsValid() {
		w.line(3, "Multicast address %s", cfg.Multicast)
	}
}

func instanceAnnouncements(w *writer, cfg model.VRRPInstance) {
	a := cfg.Announce
	w.line(3, "Gratuitous ARP delay = %d", int(a.Delay/time.Second))
	w.line(3, "Gratuitous ARP repeat = %d", a.Repeat)
	w.line(3, "Gratuitous ARP refresh = %d", int(a.Refresh/time.Second))
	w.line(3, "Gratuitous ARP refresh repeat = %d", a.RefreshRepeat)
	w.line(3, "Gratuitous ARP lower priority delay = %d", int(a.LowerPrioDelay/time.Second))
	w.line(3, "Gratuitous ARP lower priority repeat = %d", a.LowerPrioRepeat)
	w.line(3, "Down timer adverts = %d", cfg.DownAdverts)
	w.line(3, "Send advert after receive lower priority advert = %t", !cfg.LowerPrioNoAdvert)
	w.line(3, "Send advert after receive higher priority advert = %t", !cfg.HigherPrioNoAdvert)
}

func instanceTimes(w *writer, cfg model.VRRPInstance) {
	if cfg.Version == 2 {
		w.line(3, "Advert interval = %d sec", int(cfg.Interval/time.Second))
	} else {
		w.line(3, "Advert interval = %d milli-sec", cfg.Interval.Milliseconds())
	}
	w.line(3, "Accept = %s", enabled(!cfg.NoAccept))
	w.line(3, "Preempt = %s", enabled(!cfg.NoPreempt))
	if cfg.PreemptDelay > 0 {
		w.line(3, "Preempt delay = %g secs", cfg.PreemptDelay.Seconds())
	}
	w.line(3, "Promote_secondaries = %s", enabled(cfg.PromoteSecondaries))
}

func instanceAddresses(w *writer, st failover.Status) {
	cfg := st.Config
	w.line(3, "Virtual IP (%d):", len(cfg.Addresses))
	list := func(lines []string) {
		for _, l := range lines {
			w.line(5, "%s", l)
		}
	}
	list(addresses(st, cfg.Addresses))
	if len(cfg.Excluded) > 0 {
		w.line(3, "Virtual IP Excluded :")
		list(addresses(st, cfg.Excluded))
	}
	if len(cfg.Peers) > 0 {
		w.line(3, "Unicast TTL = %d", cfg.UnicastTTL)
		w.line(3, "Check unicast src : %s", yes(cfg.CheckUnicastSource))
		w.line(3, "Unicast Peer :")
		for _, p := range cfg.Peers {
			most := p.MaxTTL
			if p.MinTTL == 0 && most == 0 {
				most = 255
			}
			w.line(5, "%s min_ttl %d max_ttl %d", p.Addr, p.MinTTL, most)
		}
	}
	if len(cfg.Routes) > 0 {
		w.line(3, "Virtual Routes :")
	}
	for _, r := range cfg.Routes {
		w.line(5, "%s", r.Line)
	}
	if len(cfg.Rules) > 0 {
		w.line(3, "Virtual Rules :")
	}
	for _, r := range cfg.Rules {
		w.line(5, "%s", r.Line)
	}
}

func instanceTracks(w *writer, cfg model.VRRPInstance) {
	for _, kind := range []struct {
		kind         model.TrackKind
		title, comma string
	}{
		{model.TrackingInterface, "interfaces", ""}, {model.TrackingScript, "scripts", ""},
		{model.TrackingFile, "files", ","}, {model.TrackingProcess, "processes", ","},
	} {
		first := true
		for _, t := range cfg.Tracks {
			if t.Kind != kind.kind || t.Implied {
				continue
			}
			if first {
				w.line(3, "Tracked %s :", kind.title)
				first = false
			}
			w.line(5, "%s%s weight %d%s", t.Name, kind.comma, t.Weight, reversed(t.Reverse))
		}
	}
}

func instanceScripts(w *writer, cfg model.VRRPInstance) {
	w.line(3, "Using smtp notification = %s", yes(cfg.Mail))
	deleted := "Fault"
	if cfg.Scripts.Deleted != nil || cfg.Scripts.DeletedEvent {
		deleted = "Deleted"
	}
	w.line(3, "Notify deleted = %s", deleted)
	for _, s := range []struct {
		name   string
		script *model.Script
	}{
		{"Backup state transition", cfg.Scripts.Backup}, {"Master state transition", cfg.Scripts.Master},
		{"Fault state transition", cfg.Scripts.Fault}, {"Stop state transition", cfg.Scripts.Stop},
		{"Generic state transition", cfg.Scripts.Generic},
	} {
		if s.script != nil {
			w.line(3, "%s script = %s", s.name, command(s.script))
		}
	}
	w.line(3, "Notify priority changes = %t", cfg.PriorityEvents)
}

func (s State) group(w *writer, g model.SyncGroup) {
	w.line(1, "VRRP Sync Group = %s, %s", g.Name, s.groupState(g))
	w.line(3, "VRRP member instances :")
	for _, name := range g.Members {
		w.line(5, "%s", name)
	}
	w.line(3, "Using smtp notification = %s", yes(g.Mail))
}

// users writes which instances use a tracked thing.
func (s State) users(w *writer, kind model.TrackKind, name, comma string) {
	w.line(3, "Tracking instances :")
	for _, i := range s.Instances {
		for _, t := range i.Config.Tracks {
			if t.Kind == kind && t.Name == name {
				w.line(5, "%s%s weight %d%s", i.Instance.Name(), comma, t.Weight, reversed(t.Reverse))
			}
		}
	}
}

// tracked returns what is known of a tracked thing.
func (s State) tracked(kind track.Kind, name string) track.Status {
	for _, t := range s.Tracked {
		if t.Kind == kind && t.Name == name {
			return t
		}
	}
	return track.Status{Kind: kind, Name: name}
}

// moment prints a time as keepalived does: seconds, and for people.
func moment(t time.Time) string {
	us := t.Nanosecond() / int(time.Microsecond)
	return fmt.Sprintf("%d.%06d (%s.%06d %s)", t.Unix(), us, t.Format("Mon Jan _2 15:04:05"), us, t.Format("2006"))
}

func enabled(b bool) string {
	if b {
		return "enabled"
	}
	return "disabled"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func reversed(b bool) string {
	if b {
		return " reverse"
	}
	return ""
}

func authWord(t model.VRRPAuthType) string {
	if t == model.AuthAH {
		return "IPSEC_AH"
	}
	return "SIMPLE_PASSWORD"
}
