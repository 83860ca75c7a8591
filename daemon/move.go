package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/config"
	"github.com/evenkeel/evenkeel/director"
	"github.com/evenkeel/evenkeel/model"
)

// Move implements api.Source.
func (s *source) Move(ctx context.Context, q api.MoveRequest) (api.Move, error) {
	var m api.Move
	err := (*Daemon)(s).do(ctx, func(work context.Context) { m = (*Daemon)(s).core.move(work, q) })
	return m, err
}

// move goes over to the running configuration with one service elsewhere, as a
// reload would that says so. Nothing keeps it: the next reload follows the file.
func (c *core) move(ctx context.Context, q api.MoveRequest) api.Move {
	m := api.Move{Service: q.Service, To: q.Datapath}
	cfg, at, refused := c.moved(q)
	if refused != "" {
		m.Refused = refused
		return m
	}
	vs := cfg.Services[at]
	m.Service = vs.Key.String()
	m.From = string(director.Choose(c.conf.Services[at], c.caps).Datapath)
	if m.From == m.To {
		return m
	}
	if err := c.ipvs.find(ctx, cfg); err != nil {
		m.Refused = oneLine(err)
		return m
	}
	c.caps.NoKernelIPVS = c.ipvs.cause != nil
	if place := director.Choose(vs, c.caps); string(place.Datapath) != m.To {
		m.Refused = place.String()
		return m
	}
	if err := c.configure(ctx, cfg); err != nil {
		m.Refused = oneLine(err)
		return m
	}
	before := c.carried
	change := c.dir.Reload(cfg.Services, c.caps)
	c.conf = cfg
	c.carryOut(ctx, change)
	c.letGo(ctx)
	m.Flows, m.Arrived = c.carried.had-before.had, c.carried.arrived-before.arrived
	m.UntilReload = true
	if c.dirty {
		m.Refused = "the datapath did not take it yet, and is tried again: " + c.fault
	}
	c.log.Info("service moved until the next reload", "service", m.Service, "from", m.From, "to", m.To, "flows", m.Flows, "arrived", m.Arrived)
	return m
}

// moved returns the running configuration with the service of a request where the
// request says, and its place in the list; or why it cannot be.
func (c *core) moved(q api.MoveRequest) (cfg *config.Config, at int, refused string) {
	to := model.DatapathChoice(q.Datapath)
	if to != model.DatapathXDP && to != model.DatapathIPVS {
		return nil, 0, fmt.Sprintf("%q is not xdp or ipvs", q.Datapath)
	}
	var found, others []int
	for i, vs := range c.conf.Services {
		switch q.Service {
		case vs.Key.String():
			found = append(found, i)
		case vs.Key.Addr.String(), strings.ToLower(vs.Key.Protocol.String()) + ":" + vs.Key.Addr.String():
			others = append(others, i)
		}
	}
	if len(found) == 0 {
		found = others
	}
	switch len(found) {
	case 0:
		return nil, 0, fmt.Sprintf("there is no service %s", q.Service)
	case 1:
	default:
		return nil, 0, fmt.Sprintf("%d services are called %s; write one as %s", len(found), q.Service, c.conf.Services[found[0]].Key)
	}
	next := *c.conf
	next.Services = slices.Clone(c.conf.Services)
	next.Services[found[0]].Datapath = to
	return &next, found[0], ""
}
