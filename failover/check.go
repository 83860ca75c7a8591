package failover

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/netif"
)

// Check says what a Reload would break: instances of which an interface does
// not exist, so that nothing but FAULT can come of them. An interface that the
// running configuration names too is forgiven, since it was there before, and
// with dynamic_interfaces all are.
func (s *Service) Check(cfg model.VRRP) error {
	if cfg.Global.DynamicInterfaces {
		return nil
	}
	links, err := s.opt.Kernel.Links()
	if err != nil {
		return fmt.Errorf("check interfaces: %w", err)
	}
	s.mu.Lock()
	known := make(map[string]bool)
	for _, u := range s.units {
		for _, m := range u.members {
			for _, name := range needed(m.plan.instance) {
				known[name] = true
			}
		}
	}
	s.mu.Unlock()
	return missingInterfaces(cfg, links, known)
}

func missingInterfaces(cfg model.VRRP, links []netif.Link, known map[string]bool) error {
	var have []string
	for _, l := range links {
		have = append(have, l.Name)
	}
	var errs []error
	for _, i := range cfg.Instances {
		for _, name := range needed(i) {
			if !known[name] && !slices.Contains(have, name) {
				errs = append(errs, fmt.Errorf("%s: vrrp_instance %s: interface %s does not exist (have: %s); correct the name, or write dynamic_interfaces in global_defs to wait for it",
					i.Pos, i.Name, name, strings.Join(have, ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

// needed returns the interfaces without which the instance is in FAULT.
func needed(i model.VRRPInstance) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(i.Interface)
	for _, t := range i.Tracks {
		if t.Kind == model.TrackingInterface && t.Weight == 0 {
			add(t.Name)
		}
	}
	return names
}
