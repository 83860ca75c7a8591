package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// globalDefs takes what runs of a global_defs block.
func (b *builder) globalDefs(blk *block) {
	g := &b.global
	for _, s := range blk.statements {
		if s.skip {
			continue
		}
		switch s.keyword() {
		case "router_id":
			g.RouterID = s.arg(0)
		case "lvs_timeouts":
			b.lvsTimeouts(s)
		case "lvs_sync_daemon":
			b.syncDaemon(s)
		case "lvs_flush":
			g.FlushAtStart = b.flag(s)
		case "lvs_flush_on_stop", "lvs_flush_onstop":
			b.flushOnStop(s)
		case "checker_log_all_failures":
			on := &g.CheckerLogAllFailures
			b.boolean(s, &on)
			g.CheckerLogAllFailures = *on
		case "rs_init_notifies":
			on := &g.ServersToldAtStart
			b.boolean(s, &on)
			g.ServersToldAtStart = *on
		case "reload_check_config":
			g.ReloadLog = s.arg(0)
		case "state_dump_file":
			g.Dumps.State = s.arg(0)
		case "stats_dump_file":
			g.Dumps.Stats = s.arg(0)
		case "json_dump_file":
			g.Dumps.JSON = s.arg(0)
		case "json_version":
			b.jsonVersion(s)
		case "smtp_alert":
			b.boolean(s, &b.alerts.all)
		case "smtp_alert_vrrp":
			b.boolean(s, &b.alerts.vrrp)
		case "smtp_alert_checker":
			b.boolean(s, &b.alerts.checkers)
		case "datapath":
			b.datapath(s, &g.Datapath, lineIgnored)
		case "xdp_interface":
			b.xdpInterfaces(s)
		case "xdp_mode":
			b.xdpMode(s)
		case "flow_table":
			b.flowTable(s)
		}
	}
}

// netNamespace reads the name of a network namespace, which is that of a file.
func (b *builder) netNamespace(s *statement) {
	name := s.arg(0)
	if name == "." || name == ".." || strings.ContainsRune(name, '/') {
		b.bad(s, 0, fmt.Errorf("no name of a network namespace"), lineIgnored, "write a name that ip netns lists")
		return
	}
	b.global.NetNamespace = name
}

// jsonVersion reads the form of the JSON dump.
func (b *builder) jsonVersion(s *statement) {
	n, err := parseUint(s.arg(0), 1, 2)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write json_version 1 or json_version 2")
		return
	}
	b.global.Dumps.JSONVersion = uint8(n)
}

// month is 31 days, IPVS's longest time-out.
const month = 31 * 24 * time.Hour

// lvsTimeouts reads pairs of a name and seconds.
func (b *builder) lvsTimeouts(s *statement) {
	args := s.args()
	for i := 0; i < len(args); i += 2 {
		field := map[string]*time.Duration{
			"tcp":    &b.global.TimeoutTCP,
			"tcpfin": &b.global.TimeoutTCPFin,
			"udp":    &b.global.TimeoutUDP,
		}[args[i].s]
		if field == nil {
			b.bad(s, i, fmt.Errorf("not tcp, tcpfin or udp"), "the rest of the line is ignored", "write lvs_timeouts tcp 900 tcpfin 120 udp 300")
			return
		}
		d, err := parseSeconds(s.arg(i+1), time.Second, month)
		if err != nil {
			b.bad(s, i+1, err, "the rest of the line is ignored", "write the seconds after "+args[i].s)
			return
		}
		*field = d
	}
}

// flushOnStop reads nothing, which means all of IPVS, or VS.
func (b *builder) flushOnStop(s *statement) {
	switch s.arg(0) {
	case "":
		b.global.FlushAtStop = model.FlushAll
	case "VS":
		b.global.FlushAtStop = model.FlushOwn
	default:
		b.bad(s, 0, fmt.Errorf("neither VS nor nothing"), lineIgnored, "write lvs_flush_on_stop, or lvs_flush_on_stop VS")
	}
}

// datapath reads auto, xdp or ipvs and reports whether it could.
func (b *builder) datapath(s *statement, field *model.DatapathChoice, consequence string) bool {
	c := model.DatapathChoice(s.arg(0))
	switch c {
	case model.DatapathAuto, model.DatapathXDP, model.DatapathIPVS:
		*field = c
		return true
	}
	b.bad(s, 0, fmt.Errorf("not auto, xdp or ipvs"), consequence, "write datapath auto")
	return false
}

func (b *builder) xdpInterfaces(s *statement) {
	for _, w := range s.args() {
		if len(w.s) > 15 || w.s == "" {
			b.add(Error, w.at, s.keyword(), fmt.Sprintf("xdp_interface %q is no name of an interface; it is ignored", w.s), "interface names have 1 to 15 characters")
			continue
		}
		if !slices.Contains(b.global.XDPInterfaces, w.s) {
			b.global.XDPInterfaces = append(b.global.XDPInterfaces, w.s)
		}
	}
}

func (b *builder) xdpMode(s *statement) {
	m := model.XDPMode(s.arg(0))
	switch m {
	case model.XDPAuto, model.XDPNative, model.XDPGeneric:
		b.global.XDPMode = m
		return
	}
	b.bad(s, 0, fmt.Errorf("not auto, native or generic"), lineIgnored, "write xdp_mode auto")
}

// The flow table has parts, each of which keeps some room free.
const (
	leastFlows = 1 << 10
	mostFlows  = 1 << 24
)

// flowTable reads how many flows of each family the table has room for.
func (b *builder) flowTable(s *statement) {
	n, err := parseUint(s.arg(0), leastFlows, mostFlows)
	if err != nil {
		b.bad(s, 0, err, lineIgnored, "write flow_table 262144")
		return
	}
	b.global.FlowTable = uint32(n)
}
