package loader

import (
	"context"
	"fmt"
	"net"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// explainer runs the program without effect on the maps of a datapath.
type explainer struct {
	maps *lbmaps.Maps
	// now is the time of the test clock, 0 for the real one.
	now uint64
}

// Explain says what the program would do with a packet. It changes nothing.
func (v *View) Explain(ctx context.Context, p Packet) (Explanation, error) {
	return explainer{maps: v.maps}.explain(ctx, p)
}

// Explain says what the program would do with a packet. It changes nothing.
func (x *XDP) Explain(ctx context.Context, p Packet) (Explanation, error) {
	x.mu.Lock()
	e, closed := explainer{maps: x.maps}, x.closed
	x.mu.Unlock()
	if closed {
		return Explanation{}, ErrClosed
	}
	if x.opts.testClock {
		var err error
		if e.now, err = x.clock(); err != nil {
			return Explanation{}, err
		}
	}
	return e.explain(ctx, p)
}

func (e explainer) explain(ctx context.Context, p Packet) (Explanation, error) {
	if p.Protocol == model.TCP && p.Flags == "" {
		p.Flags = "S"
	}
	p, ifindex, mac, err := e.enter(p)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain: %w", err)
	}
	frame, err := p.frame(mac)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain: %w", err)
	}
	told, err := e.run(frame, ifindex)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Explanation{}, err
	}
	return e.spell(p, told)
}

// enter chooses the interface that the packet comes in by, if it has none: the
// one with the lowest index that the program runs on. It returns the packet
// with the interface, and the address that its frames are for.
func (e explainer) enter(p Packet) (_ Packet, ifindex uint32, mac [6]byte, err error) {
	ports, err := e.maps.Ports()
	if err != nil {
		return p, 0, mac, err
	}
	names := map[string]uint32{}
	for index, port := range ports {
		if !port.Enabled {
			continue
		}
		if i, err := net.InterfaceByIndex(int(index)); err == nil {
			names[i.Name] = index
			if p.Interface == "" && (ifindex == 0 || index < ifindex) {
				ifindex = index
			}
		}
	}
	if p.Interface != "" {
		ifindex = names[p.Interface]
	}
	if ifindex == 0 {
		return p, 0, mac, fmt.Errorf("the program runs on no interface %s", p.Interface)
	}
	for name, index := range names {
		if index == ifindex {
			p.Interface = name
		}
	}
	return p, ifindex, ports[ifindex].MAC, nil
}

// run runs a frame. A frame that would open a flow runs again when it is known
// what the maps have room for.
func (e explainer) run(frame []byte, ifindex uint32) (lbmaps.Explanation, error) {
	spec, err := bpf.LoadEkDry()
	if err != nil {
		return lbmaps.Explanation{}, fmt.Errorf("read the program without effect: %w", err)
	}
	if e.now != 0 {
		if err := spec.Variables[bpf.EkDryVarTestClock].Set(true); err != nil {
			return lbmaps.Explanation{}, fmt.Errorf("set test clock: %w", err)
		}
	}
	replacements := map[string]*ebpf.Map{}
	for name, m := range e.maps.ByName() {
		if known := spec.Maps[name]; known != nil {
			known.MaxEntries = m.MaxEntries()
			replacements[name] = m
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replacements})
	if err != nil {
		return lbmaps.Explanation{}, fmt.Errorf("load the program without effect: %w", err)
	}
	defer c.Close()
	if e.now != 0 {
		if err := c.Variables[bpf.EkDryVarTestNow].Set(e.now); err != nil {
			return lbmaps.Explanation{}, fmt.Errorf("set test clock: %w", err)
		}
	}
	told, err := e.once(c, frame, ifindex)
	if err != nil || !told.HasService {
		return told, err
	}
	room, err := e.maps.Room(told.Shard)
	if err != nil || room == (bpf.EkDryAssumed{}) {
		return told, err
	}
	if err := c.Variables[bpf.EkDryVarAssume].Set(room); err != nil {
		return told, fmt.Errorf("tell the program what is full: %w", err)
	}
	return e.once(c, frame, ifindex)
}

// xdpContext is struct xdp_md.
type xdpContext struct {
	Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32
}

func (e explainer) once(c *ebpf.Collection, frame []byte, ifindex uint32) (lbmaps.Explanation, error) {
	var told bpf.EkDryExplanation
	if err := c.Variables[bpf.EkDryVarTold].Set(told); err != nil {
		return lbmaps.Explanation{}, fmt.Errorf("clear the explanation: %w", err)
	}
	_, err := c.Programs[bpf.EkDryProgEkXdp].Run(&ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+256),
		Context: xdpContext{DataEnd: uint32(len(frame)), Ingress: ifindex},
	})
	if err != nil {
		return lbmaps.Explanation{}, fmt.Errorf("run the program without effect: %w", err)
	}
	if err := c.Variables[bpf.EkDryVarTold].Get(&told); err != nil {
		return lbmaps.Explanation{}, fmt.Errorf("read the explanation: %w", err)
	}
	now := e.now
	if now == 0 {
		if now, err = lbmaps.Now(); err != nil {
			return lbmaps.Explanation{}, err
		}
	}
	return lbmaps.HostExplanation(told, now), nil
}
