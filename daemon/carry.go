package daemon

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// arrivals are the services that steps have added, and where.
type arrivals map[model.ServiceKey]model.DatapathChoice

func (a arrivals) note(s director.Step) {
	for _, op := range s.Ops {
		if op.Kind == sched.AddService {
			a[op.Service.Key] = s.Datapath
		}
	}
}

// carryAll takes the flows along of the services that leave a datapath with
// these operations and have arrived in the other one. The service moves in any
// case: flows that do not arrive are lost, which the log says.
func (c *core) carryAll(ctx context.Context, from model.DatapathChoice, ops []sched.Op, came arrivals) {
	for _, op := range ops {
		to, moved := came[op.Service.Key]
		if op.Kind != sched.DelService || !moved || to == from {
			continue
		}
		had, arrived, err := c.carry(ctx, from, op.Service.Key)
		c.carried.had, c.carried.arrived = c.carried.had+had, c.carried.arrived+arrived
		attrs := []any{"service", op.Service.Key.String(), "from", string(from), "to", string(to), "flows", had, "arrived", arrived}
		switch {
		case err != nil:
			c.log.Error("flows were not carried along", append(attrs, "error", oneLine(err))...)
		case arrived < had:
			c.log.Warn("some flows were not carried along", attrs...)
		default:
			c.log.Info("flows carried along", attrs...)
		}
	}
}

// carry gives the flows of a service, and its persistence templates, to the datapath
// that has it too by now, and returns how many there were and how many arrived.
func (c *core) carry(ctx context.Context, from model.DatapathChoice, key model.ServiceKey) (had, arrived int, err error) {
	if c.ipvs.datapath == nil {
		return 0, 0, errors.New("there is no IPVS")
	}
	if from == model.DatapathXDP {
		err = c.xdp.Release(ctx, key, func(flows []model.Flow) (err error) {
			had = len(flows)
			arrived, err = c.ipvs.datapath.Import(ctx, flows)
			return err
		})
		return had, arrived, err
	}
	// Until they are in XDP, the kernel goes on with those of TCP.
	var flows []model.Flow
	take := func(f model.Flow) bool {
		if f.Protocol == key.Protocol && f.Virtual == key.Addr {
			flows = append(flows, f)
		}
		return true
	}
	err = errors.Join(c.ipvs.datapath.Flows(ctx, take), c.ipvs.datapath.Templates(ctx, take))
	if err != nil {
		return 0, 0, err
	}
	arrived, err = c.xdp.Import(ctx, flows)
	return len(flows), arrived, err
}

// leaves reports whether a service that runs in XDP runs in IPVS by another
// configuration.
func (c *core) leaves(cfg *config.Config) bool {
	inXDP := make(map[model.ServiceKey]bool)
	for _, vs := range c.conf.Services {
		inXDP[vs.Key] = director.Choose(vs, c.caps).Datapath == model.DatapathXDP
	}
	return slices.ContainsFunc(cfg.Services, func(vs model.VirtualServer) bool {
		return inXDP[vs.Key] && director.Choose(vs, c.caps).Datapath == model.DatapathIPVS
	})
}

// letGo takes the program off the interfaces that no service needs, once those
// have left that did.
func (c *core) letGo(ctx context.Context) {
	if !c.leaving || c.dirty {
		return
	}
	c.leaving = false
	if err := c.xdp.Configure(ctx, settingsOf(c.conf, c.caps)); err != nil {
		c.log.Warn("the program stays on interfaces that no service needs", "error", oneLine(err))
	}
}

// withBefore adds to settings what the ones before need: until a service has
// left XDP, the program stays where its packets are.
func (s Settings) withBefore(before Settings) Settings {
	for _, name := range before.Interfaces {
		if !slices.Contains(s.Interfaces, name) {
			s.Interfaces = append(slices.Clip(s.Interfaces), name)
		}
	}
	s.Virtual = sortedSet(slices.Concat(s.Virtual, before.Virtual))
	s.Servers = sortedSet(slices.Concat(s.Servers, before.Servers))
	routed := maps.Clone(before.Routed)
	if routed == nil {
		routed = make(map[netip.Addr]string)
	}
	maps.Copy(routed, s.Routed)
	s.Routed = routed
	s.OnlyLeft = s.OnlyLeft && before.OnlyLeft
	return s
}
