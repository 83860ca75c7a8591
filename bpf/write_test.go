//go:build bpf

package bpf

import (
	"encoding/binary"
	"time"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// write brings the maps and the model from the state before an operation to that
// after it, in the order in which package loader does.
func (w *world) write(c sched.Change) {
	w.tb.Helper()
	switch c.Kind {
	case sched.AddService:
		w.addService(c)
	case sched.EditService:
		w.publishChange(c)
		w.putService(c)
	case sched.DelService:
		if err := w.o.EkServices.Delete(serviceKey(c.Service.Key)); err != nil {
			w.tb.Fatal(err)
		}
		delete(w.ipvs.services, c.Service.Key)
		for _, dest := range c.Removed {
			w.putServer(dest)
		}
	case sched.AddServer:
		if !c.Revived {
			slot := c.Dest.Slot
			w.serverStats[slot], w.ipvs.serverStats[slot] = EkStats{}, EkStats{}
			w.conns[slot], w.ipvs.conns[slot] = EkServerConns{}, EkServerConns{}
		}
		w.changeServer(c)
	case sched.EditServer:
		w.changeServer(c)
	case sched.DelServer:
		w.publishChange(c)
		w.putServer(c.Dest)
	}
}

func serviceKey(k model.ServiceKey) EkServiceKey {
	return EkServiceKey{Addr: mapped(k.Addr.Addr()), Port: wire16(k.Addr.Port()), Proto: uint8(k.Protocol)}
}

func (w *world) addService(c sched.Change) {
	w.tb.Helper()
	generation := uint32(w.cursors[c.ID].Word>>32) + 1
	w.orders[c.ID*2+generation&1] = EkOrder{}
	w.cursors[c.ID].Word = uint64(generation) << 32
	w.serviceStats[c.ID], w.ipvs.serviceStats[c.ID] = EkStats{}, EkStats{}
	w.putService(c)
}

func (w *world) putService(c sched.Change) {
	w.tb.Helper()
	svc := EkService{
		Id: c.ID, Scheduler: schedulers[c.Service.Scheduler], Flags: uint8(c.Service.SchedFlags),
		Prefix: c.Service.PersistencePrefix, Persistence: uint32(c.Service.Persistence / time.Second),
	}
	if c.Service.OnePacket {
		svc.Flags |= serviceOnePacket
	}
	w.know(c.Service.Key.Addr)
	w.put(w.o.EkServices, serviceKey(c.Service.Key), svc)
	w.ipvs.services[c.Service.Key] = c.Service
}

// changeServer writes a server, follows its thresholds, and then the order.
func (w *world) changeServer(c sched.Change) {
	w.tb.Helper()
	dest := c.Dest
	old := w.ipvs.dests[dest.Slot].Server
	w.putServer(dest)
	load := w.ipvs.load(dest.Slot)
	w.ipvs.setLoad(dest.Slot, w.ipvs.profile.Edited(load, old.Upper, old.Lower, dest.Server.Upper, dest.Server.Lower))
	arg := EkEdit{Server: dest.Slot, OldUpper: old.Upper, OldLower: old.Lower}
	if ret, err := w.o.EkEdit.Run(&ebpf.RunOptions{Context: &arg}); err != nil || ret != 0 {
		w.tb.Fatalf("edit: %d, %v", int32(ret), err)
	}
	w.publishChange(c)
}

func (w *world) putServer(dest sched.Dest) {
	w.tb.Helper()
	server := dest.Server
	w.server(dest.Slot, dest.Service, server.Addr, EkForward(server.Forward), func(s *EkServer) {
		s.Dmac, s.Weight, s.Upper, s.Lower = slotMAC(dest.Slot), server.Weight, server.Upper, server.Lower
		if dest.Deleted {
			s.Flags |= serverDeleted
		}
	})
	w.tunnelBy(dest.Slot, family(server.Addr.Addr().Is6()), EkTunnelType(server.Tunnel.Type), server.Tunnel.Port)
	w.ipvs.dests[dest.Slot] = dest
}

// publishChange writes the order and the table that an operation left and makes
// them valid.
func (w *world) publishChange(c sched.Change) {
	w.tb.Helper()
	next := uint32(w.cursors[c.ID].Word>>32) + 1
	place := c.ID*2 + next&1
	w.orders[place] = orderOf(c)
	for i, slot := range c.Table {
		w.tables[place][i].slot = slot
	}
	copy(w.positions[0].Position[:], c.Position)
	arg := EkPublish{Service: c.ID}
	if ret, err := w.o.EkPublish.Run(&ebpf.RunOptions{Context: &arg, ContextOut: &arg}); err != nil || ret != 0 {
		w.tb.Fatalf("publish: %d, %v", int32(ret), err)
	}
	if arg.Generation != next {
		w.tb.Fatalf("published generation %d, want %d", arg.Generation, next)
	}
}

func orderOf(c sched.Change) EkOrder {
	o := EkOrder{Count: uint32(len(c.Order)), TableCount: uint32(len(c.Table)), TableLowest: c.Lowest}
	next := ^uint32(0)
	for range 2 { // once round, so that the end knows the beginning
		for i := len(c.Order) - 1; i >= 0; i-- {
			d := c.Order[i]
			if d.Server.Weight > 0 {
				next = uint32(i)
			}
			o.Entry[i].Server, o.Entry[i].Weight, o.Entry[i].Next = d.Slot, d.Server.Weight, next
		}
	}
	return o
}

// compareFlow compares the entry of a flow in the table with the model's.
func (w *world) compareFlow(flow *ipvsFlow) {
	w.tb.Helper()
	found, ok := w.entry(flow.tuple)
	if !ok {
		w.fail("flow %s > %s is not in the table", flow.tuple.src, flow.tuple.dst)
	}
	got := unpack(found.Now.Word)
	if used, ok := w.copyUsed(flow.tuple); ok {
		found.Expires = max(found.Expires, uint64(used+lifetime(flow.state)))
	}
	if got.server != flow.slot || got.state != flowState(flow.state) || time.Duration(found.Expires) != flow.expires {
		w.fail("flow %s > %s is %+v until %v, want server %d, %s until %v",
			flow.tuple.src, flow.tuple.dst, got, time.Duration(found.Expires), flow.slot, flow.state, flow.expires)
	}
	if inactive := got.flags&1 != 0; inactive == flow.active() || got.flags&4 != 0 != (flow.method == model.NAT) ||
		got.flags&0x20 != 0 != (flow.method == model.TUN) ||
		got.flags&8 != 0 != (flow.controlled != nil) {
		w.fail("flow %s > %s has flags %#x, want %+v", flow.tuple.src, flow.tuple.dst, got.flags, flow)
	}
	if flow.controlled != nil {
		w.compareTemplate(*flow.controlled)
	}
}

// copyUsed returns when the copy of a client's tuple was used, if there is one.
func (w *world) copyUsed(t ipvsTuple) (time.Duration, bool) {
	src, dst := t.src.Addr(), t.dst.Addr()
	same := func(word uint64, cport, vport uint16) bool {
		return uint8(word>>58) == uint8(t.proto) &&
			cport == wire16(t.src.Port()) && vport == wire16(t.dst.Port())
	}
	const looks = 15 // HOT_LOOKS
	if src.Is4() {
		for i := range w.hot {
			for _, c := range w.hot[i].Way {
				if c.Caddr == wire32(src) && c.Vaddr == wire32(dst) && same(c.Head.Now.Word, c.Head.Cport, c.Head.Vport) {
					return time.Duration(c.Head.Used &^ looks), true
				}
			}
		}
		return 0, false
	}
	for i := range w.hot6 {
		for _, c := range w.hot6[i].Way {
			if c.Caddr == src.As16() && c.Vaddr == dst.As16() && same(c.Head.Now.Word, c.Head.Cport, c.Head.Vport) {
				return time.Duration(c.Head.Used &^ looks), true
			}
		}
	}
	return 0, false
}

// entry finds the entry of a client's tuple.
func (w *world) entry(t ipvsTuple) (f EkFlow, ok bool) {
	src, dst := t.src.Addr(), t.dst.Addr()
	cport, vport := wire16(t.src.Port()), wire16(t.dst.Port())
	if src.Is4() {
		key := EkFlowKey{Caddr: wire32(src), Vaddr: wire32(dst), Cport: cport, Vport: vport, Proto: uint8(t.proto)}
		return f, w.shards4[shardOf(key.Caddr, cport, vport)].Lookup(key, &f) == nil
	}
	key := EkFlow6Key{Caddr: src.As16(), Vaddr: dst.As16(), Cport: cport, Vport: vport, Proto: uint8(t.proto)}
	var mix uint32
	for i := 0; i < 16; i += 4 {
		mix ^= binary.NativeEndian.Uint32(key.Caddr[i:])
	}
	return f, w.shards6[shardOf(mix, cport, vport)].Lookup(key, &f) == nil
}

func shardOf(client uint32, cport, vport uint16) uint32 {
	return (client ^ (uint32(cport)<<16 | uint32(vport))) * 0x9e3779b1 >> 28
}

// compareTemplate compares the template of a group of clients with the model's.
func (w *world) compareTemplate(g ipvsGroup) {
	w.tb.Helper()
	want := w.ipvs.templates[g]
	var got EkTemplate
	var err error
	clients, vip := g.clients.Addr(), g.service.Addr
	if clients.Is4() {
		err = w.o.EkTemplates.Lookup(EkTemplateKey{
			Caddr: wire32(clients), Vaddr: wire32(vip.Addr()), Vport: wire16(vip.Port()),
			Proto: uint8(g.service.Protocol), Prefix: uint8(g.clients.Bits()),
		}, &got)
	} else {
		err = w.o.EkTemplates6.Lookup(EkTemplate6Key{
			Caddr: clients.As16(), Vaddr: vip.Addr().As16(), Vport: wire16(vip.Port()),
			Proto: uint8(g.service.Protocol), Prefix: uint8(g.clients.Bits()),
		}, &got)
	}
	if err != nil {
		w.fail("template %+v: %v", g, err)
	}
	if uint32(got.Now.Word) != want.slot || time.Duration(got.Expires) != want.expires ||
		time.Duration(got.Timeout) != want.timeout || got.Controls != want.controls {
		w.fail("template %+v is %+v of server %d, want %+v", g, got, uint32(got.Now.Word), *want)
	}
}
