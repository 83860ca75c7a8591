//go:build netns

package acceptance

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/internal/lab"
	"github.com/evenkeel/evenkeel/internal/lab/labtest"
	"github.com/evenkeel/evenkeel/lbmaps"
)

// netPort and netAddr are numbers in network byte order, which bpftool prints as
// the machine reads them.
type (
	netPort uint16
	netAddr uint32
)

func (p netPort) port() uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, uint16(p)))
}

func (a netAddr) addr() netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(a))
	return netip.AddrFrom4(b)
}

// mappedAddr is a v4-mapped address as a list of bytes.
type mappedAddr []int

func (a mappedAddr) addr() netip.Addr {
	var b [16]byte
	for i := range min(len(a), len(b)) {
		b[i] = byte(a[i])
	}
	return netip.AddrFrom16(b).Unmap()
}

// What bpftool prints of the maps, as far as the test looks. The names are those
// of bpf/include/contract.h.
type (
	dumpedSettings struct {
		LayoutVersion int   `json:"layout_version"`
		Timeout       []int `json:"timeout"`
	}
	dumpedServiceKey struct {
		Addr  mappedAddr `json:"addr"`
		Port  netPort    `json:"port"`
		Proto int        `json:"proto"`
	}
	dumpedService struct {
		ID        int    `json:"id"`
		Scheduler string `json:"scheduler"`
	}
	dumpedServer struct {
		Addr    mappedAddr `json:"addr"`
		Port    netPort    `json:"port"`
		Forward string     `json:"forward"`
		Weight  int        `json:"weight"`
		Service int        `json:"service"`
		IfIndex int        `json:"ifindex"`
	}
	dumpedConns struct {
		Active int `json:"active"`
		Total  int `json:"total"`
	}
	dumpedStats struct {
		Conns   uint64 `json:"conns"`
		InPkts  uint64 `json:"in_pkts"`
		OutPkts uint64 `json:"out_pkts"`
	}
	dumpedFlowKey struct {
		Caddr netAddr `json:"caddr"`
		Vaddr netAddr `json:"vaddr"`
		Cport netPort `json:"cport"`
		Vport netPort `json:"vport"`
		Proto int     `json:"proto"`
	}
	dumpedFlow struct {
		// The word's parts have no name of their own in the union.
		Now     map[string]json.RawMessage `json:"now"`
		Expires uint64                     `json:"expires"`
	}
	dumpedFlowWord struct {
		Server int    `json:"server"`
		State  string `json:"state"`
	}
)

// TestBpftoolReadsTheMaps compares what bpftool prints with the configuration and
// the traffic.
func TestBpftoolReadsTheMaps(t *testing.T) {
	needBPFTool(t)
	s := newSite(t, lab.Both, 2)
	dr, nat := netip.AddrPortFrom(s.top.DRVIP, 80), netip.AddrPortFrom(s.top.VIP, 443)
	s.write(conf{
		global: []string{"lvs_timeouts tcp 777 tcpfin 77 udp 7"},
		services: []serviceConf{
			{at: dr, kind: "DR", servers: s.servers(0, 2, 80, "weight 5")},
			{at: nat, kind: "NAT", servers: s.servers(0, 2, 9000)},
		},
	}.String())
	for _, node := range s.top.Servers {
		for _, addr := range []string{":80", ":9000"} {
			if _, err := node.ServeTCPEcho(addr); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.start()
	s.alive(dr, 2)
	s.alive(nat, 2)
	clients := map[string]string{} // open connections: client to virtual
	for _, at := range []netip.AddrPort{dr, nat, nat} {
		c := s.echoing(at)
		clients[c.LocalAddr().String()] = at.String()
	}

	t.Run("every map", func(t *testing.T) { s.in(t).testEveryMap() })
	t.Run("settings", func(t *testing.T) {
		s := s.in(t)
		entries := s.dump("ek_settings")
		var got dumpedSettings
		s.decode(entries[0].Formatted.Value, &got)
		if got.LayoutVersion != lbmaps.LayoutVersion || got.Timeout[1] != 777 || got.Timeout[4] != 77 || got.Timeout[11] != 7 {
			t.Errorf("settings = %+v, want the time-outs of the file", got)
		}
	})
	ids := map[int]netip.AddrPort{}
	t.Run("services", func(t *testing.T) {
		s := s.in(t)
		for _, e := range s.dump("ek_services") {
			var key dumpedServiceKey
			var value dumpedService
			s.decode(e.Formatted.Key, &key)
			s.decode(e.Formatted.Value, &value)
			if key.Proto != 6 || value.Scheduler != "SCHED_RR" {
				t.Errorf("service %+v is %+v", key, value)
			}
			ids[value.ID] = netip.AddrPortFrom(key.Addr.addr(), key.Port.port())
		}
		if len(ids) != 2 {
			t.Errorf("services = %v", ids)
		}
	})
	slots := s.dumpedServers(ids)
	t.Run("servers", func(t *testing.T) {
		got := map[string]string{}
		for _, srv := range slots {
			got[srv.name] = fmt.Sprintf("%s weight %d out of %d", srv.Forward, srv.Weight, srv.IfIndex)
		}
		want := map[string]string{}
		for i := range s.top.Servers {
			out := s.top.ServerSide.Index
			want[fmt.Sprintf("%s by %s", dr, s.server(i, 80))] = fmt.Sprintf("FORWARD_DR weight 5 out of %d", out)
			want[fmt.Sprintf("%s by %s", nat, s.server(i, 9000))] = fmt.Sprintf("FORWARD_NAT weight 1 out of %d", out)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("servers (-want +got):\n%s", diff)
		}
	})
	t.Run("flows", func(t *testing.T) { s.in(t).testDumpedFlows(clients, slots) })
	t.Run("counters", func(t *testing.T) { s.in(t).testDumpedCounters(slots) })
	t.Run("reasons", func(t *testing.T) { s.in(t).testDumpedReasons() })
	t.Run("text", func(t *testing.T) {
		text := bpftool(t, "map", "dump", "pinned", filepath.Join(s.pins, "maps", "ek_services"))
		for _, want := range []string{`"proto": 6`, `"port": \d+`, `"scheduler": "SCHED_RR"`} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("the text form has no %s:\n%s", want, text)
			}
		}
	})
}

// testEveryMap wants each pinned map to have names for what it holds. A map of
// maps has none.
func (s *site) testEveryMap() {
	t := s.t
	pins, err := os.ReadDir(filepath.Join(s.pins, "maps"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range pins {
		path := filepath.Join(s.pins, "maps", pin.Name())
		about := bpftoolJSON[struct{ Name, Type string }](t, "map", "show", "pinned", path)
		if about.Name != pin.Name() {
			t.Errorf("the map at %s is called %q", path, about.Name)
		}
		for _, e := range s.dump(pin.Name()) {
			if about.Type != "array_of_maps" && (e.Formatted.Key == nil || e.Formatted.Value == nil && e.Formatted.Values == nil) {
				t.Errorf("bpftool prints no names for %s", pin.Name())
				break
			}
		}
	}
	if len(pins) < 20 {
		t.Errorf("only %d maps are pinned", len(pins))
	}
}

// dumpedSlot is an entry of ek_servers, and what it is for in words.
type dumpedSlot struct {
	dumpedServer
	name string
}

// dumpedServers returns the entries of ek_servers that are in use, by index.
func (s *site) dumpedServers(services map[int]netip.AddrPort) map[int]dumpedSlot {
	s.t.Helper()
	slots := map[int]dumpedSlot{}
	for _, e := range s.dump("ek_servers") {
		var index int
		var slot dumpedSlot
		s.decode(e.Formatted.Key, &index)
		s.decode(e.Formatted.Value, &slot.dumpedServer)
		if slot.Weight == 0 {
			continue
		}
		slot.name = fmt.Sprintf("%s by %s", services[slot.Service], netip.AddrPortFrom(slot.Addr.addr(), slot.Port.port()))
		slots[index] = slot
	}
	return slots
}

// testDumpedFlows compares the flows of all shards with the open connections
// and with what evenkeel says of them.
func (s *site) testDumpedFlows(clients map[string]string, slots map[int]dumpedSlot) {
	t := s.t
	servers := map[string]string{}
	for _, f := range s.flows() {
		servers[f.Client] = f.Virtual + " by " + f.Server
	}
	found := map[string]string{}
	for shard := range 16 {
		for _, e := range s.dump(fmt.Sprintf("ek_flows_%02d", shard)) {
			var key dumpedFlowKey
			var value dumpedFlow
			var word dumpedFlowWord
			s.decode(e.Formatted.Key, &key)
			s.decode(e.Formatted.Value, &value)
			s.decode(value.Now[""], &word)
			client := netip.AddrPortFrom(key.Caddr.addr(), key.Cport.port()).String()
			found[client] = netip.AddrPortFrom(key.Vaddr.addr(), key.Vport.port()).String()
			if key.Proto != 6 || word.State != "FLOW_ESTABLISHED" || value.Expires == 0 {
				t.Errorf("flow of %s = %+v %+v", client, key, word)
			}
			if slots[word.Server].name != servers[client] {
				t.Errorf("flow of %s is at %q, and evenkeel says %q", client, slots[word.Server].name, servers[client])
			}
		}
	}
	if diff := cmp.Diff(clients, found); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
}

// testDumpedCounters wants the connections and packets of the servers.
func (s *site) testDumpedCounters(slots map[int]dumpedSlot) {
	t := s.t
	var conns dumpedConns
	for _, e := range s.dump("ek_server_conns") {
		var one dumpedConns
		s.decode(e.Formatted.Value, &one)
		conns.Active, conns.Total = conns.Active+one.Active, conns.Total+one.Total
	}
	if conns != (dumpedConns{3, 3}) {
		t.Errorf("connections of all servers = %+v, want 3", conns)
	}
	for _, e := range s.dump("ek_server_stats") {
		var index int
		s.decode(e.Formatted.Key, &index)
		slot, used := slots[index]
		var sum dumpedStats
		for _, cpu := range e.Formatted.Values {
			var one dumpedStats
			s.decode(cpu.Value, &one)
			sum = dumpedStats{sum.Conns + one.Conns, sum.InPkts + one.InPkts, sum.OutPkts + one.OutPkts}
		}
		// Two of the three connections went through NAT, one to each server,
		// and only NAT sees replies.
		replies := slot.Forward == "FORWARD_NAT"
		if sum.Conns > 0 && (!used || sum.Conns != 1 || sum.InPkts < 3 || sum.OutPkts > 0 != replies) {
			t.Errorf("statistics of %q = %+v", slot.name, sum)
		}
		if used && replies && sum.Conns != 1 {
			t.Errorf("statistics of %q = %+v, want one connection", slot.name, sum)
		}
	}
}

// testDumpedReasons compares the counters of reasons with evenkeel's. Packets
// may come in between.
func (s *site) testDumpedReasons() {
	t := s.t
	var diff string
	defer func() {
		if t.Failed() {
			t.Logf("reasons (-evenkeel +bpftool):\n%s", diff)
		}
	}()
	labtest.Until(t, "bpftool and evenkeel count the same reasons", func() bool {
		want, got := map[int]uint64{}, map[int]uint64{}
		for _, r := range s.status().Reasons {
			want[int(r.Number)] = r.Packets
		}
		for _, e := range s.dump("ek_reasons") {
			var number int
			s.decode(e.Formatted.Key, &number)
			for _, cpu := range e.Formatted.Values {
				var n uint64
				s.decode(cpu.Value, &n)
				if n > 0 {
					got[number] += n
				}
			}
		}
		diff = cmp.Diff(want, got)
		return diff == "" && got[50] > 0 && got[51] > 0 && got[52] > 0
	})
}
