package config

import (
	"fmt"

	"github.com/evenkeel/evenkeel/model"
)

// vrrpBuilder turns the VRRP blocks into the model.
type vrrpBuilder struct {
	*builder
	defaults    vrrpDefaults
	fifoReaders fifoReaders
	mail        mailDraft
	host        string
	names       *iprouteNames
	out         model.VRRP

	// scripts, files and processes are the tracked things that run, by name.
	scripts   map[string]tracker
	files     map[string]tracker
	processes map[string]tracker
	// instances are all that were named, with what became of them.
	instances  map[string]*instanceDraft
	identities map[model.Identity]place
	// holders are the instances that have a virtual address.
	holders map[holding]string
	groups  map[string]place
	// priority is what the next rule without one gets.
	priority uint32
}

func newVRRPBuilder(b *builder, fs *recorder, host string) *vrrpBuilder {
	return &vrrpBuilder{
		builder:    b,
		host:       host,
		defaults:   newVRRPDefaults(),
		names:      newIPRouteNames(fs),
		scripts:    make(map[string]tracker),
		files:      make(map[string]tracker),
		processes:  make(map[string]tracker),
		instances:  make(map[string]*instanceDraft),
		identities: make(map[model.Identity]place),
		holders:    make(map[holding]string),
		groups:     make(map[string]place),
		priority:   firstRulePriority,
	}
}

// run takes global_defs first, since instances inherit from it wherever it
// stands, as in keepalived. The tracked things are read already.
func (v *vrrpBuilder) run(root *block) {
	v.each(root, func(s *statement) {
		if s.keyword() == "global_defs" {
			v.globals(s.block)
		}
	})
	v.finishGlobals()
	v.each(root, func(s *statement) {
		switch s.keyword() {
		case "vrrp_instance":
			v.instance(s)
		case "static_ipaddress":
			v.staticAddresses(s)
		case "static_routes":
			v.out.Static.Routes = append(v.out.Static.Routes, v.routes(s)...)
		case "static_rules":
			v.out.Static.Rules = append(v.out.Static.Rules, v.rules(s)...)
		case "garp_group":
			v.garpGroup(s)
		}
	})
	v.each(root, func(s *statement) {
		if s.keyword() == "vrrp_sync_group" {
			v.syncGroup(s)
		}
	})
}

// each calls f for the statements that count.
func (v *vrrpBuilder) each(blk *block, f func(*statement)) {
	for _, s := range blk.statements {
		if !s.skip {
			f(s)
		}
	}
}

// interfaceName says what is wrong with the name of an interface.
func interfaceName(s string) error {
	if s == "" || len(s) > 15 {
		return fmt.Errorf("no name of an interface, which has 1 to 15 characters")
	}
	for _, c := range s {
		if c == '/' || c <= ' ' {
			return fmt.Errorf("no name of an interface, which has no blanks and no slashes")
		}
	}
	return nil
}

// interfaceArg sets *field from the first argument.
func (b *builder) interfaceArg(s *statement, field *string) {
	if err := interfaceName(s.arg(0)); err != nil {
		b.bad(s, 0, err, lineIgnored, "write "+s.keyword()+" eth0")
		return
	}
	*field = s.arg(0)
}

// staticAddresses reads a static_ipaddress block.
func (v *vrrpBuilder) staticAddresses(st *statement) {
	v.each(st.block, func(s *statement) {
		line, ok := v.address(s, "it is left out")
		if !ok {
			return
		}
		if line.Interface == "" {
			line.Interface = v.defaults.iface
			if line.Interface == "" {
				line.Interface = "eth0"
				v.add(Warning, s.at(), st.keyword(), fmt.Sprintf("%s names no interface; eth0 is used, as in keepalived", s.keyword()), "write dev and the interface after it")
			}
		}
		for _, a := range v.out.Static.Addresses {
			if a.Prefix == line.Prefix && a.Interface == line.Interface {
				v.add(Warning, s.at(), st.keyword(), fmt.Sprintf("%s is there already, at line %d; it is ignored", s.keyword(), a.Pos.Line), "remove one of the two")
				return
			}
		}
		v.out.Static.Addresses = append(v.out.Static.Addresses, line)
	})
}

// garpGroup reads a garp_group block.
func (v *vrrpBuilder) garpGroup(st *statement) {
	g := model.GARPGroup{Pos: v.position(st.at())}
	v.each(st.block, func(s *statement) {
		switch s.keyword() {
		case "garp_interval":
			v.pause(s, &g.GARPInterval)
		case "gna_interval":
			v.pause(s, &g.GNAInterval)
		case "interface":
			v.garpInterface(&g, s, s.args()[0])
		case "interfaces":
			v.each(s.block, func(line *statement) {
				for _, w := range line.words {
					v.garpInterface(&g, s, w)
				}
			})
		}
	})
	switch {
	case g.GARPInterval == 0 && g.GNAInterval == 0:
		v.add(Error, st.at(), st.keyword(), "the garp_group has neither garp_interval nor gna_interval and is left out", "write one of them in it, such as garp_interval 0.001")
	case len(g.Interfaces) == 0:
		v.add(Error, st.at(), st.keyword(), "the garp_group has no interface and is left out", "write interface eth0 in it")
	default:
		v.out.GARPGroups = append(v.out.GARPGroups, g)
	}
}

func (v *vrrpBuilder) garpInterface(g *model.GARPGroup, s *statement, w word) {
	if err := interfaceName(w.s); err != nil {
		v.add(Error, w.at, s.keyword(), fmt.Sprintf("%q is %v; it is ignored", w.s, err), "write the interface's name")
		return
	}
	for _, other := range append(v.out.GARPGroups, *g) {
		for _, name := range other.Interfaces {
			if name == w.s {
				v.add(Warning, w.at, s.keyword(), fmt.Sprintf("interface %s is in a garp_group already; it is ignored here", w.s), "remove one of the two")
				return
			}
		}
	}
	g.Interfaces = append(g.Interfaces, w.s)
}
