package guest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/guest/pid1"
)

// moduleName returns the name by which the kernel knows a module.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// usualModules are packed into every machine and loaded when the kernel asks
// for them, by name or alias. What a kernel does not have is left out.
func usualModules() []string {
	return strings.Fields(`
		ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_sh ip_vs_dh ip_vs_sed ip_vs_nq ip_vs_mh
		ip_vs_lblc ip_vs_lblcr ip_vs_fo ip_vs_ovf ip_vs_twos ip_vs_pe_sip
		nf_conntrack nf_conntrack_netlink nf_nat nf_tables nft_compat
		ip_tables iptable_filter iptable_mangle xt_mark xt_MARK xt_conntrack xt_tcpudp
		veth dummy tun bridge macvlan 8021q ipip ip_gre ip6_tunnel sit fou vrf
		sch_netem sch_ingress sch_fq_codel cls_bpf act_mirred
		crc32c_generic crc32c_cryptoapi af_packet packet_diag tcp_diag inet_diag`)
}

// moduleInfo is what a module says of itself.
type moduleInfo struct {
	needs   []string
	prefers []string // softdep: loaded before it where they exist
	aliases []string
}

// parseModule reads the description inside a module.
func parseModule(module []byte) (moduleInfo, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return moduleInfo{}, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return moduleInfo{}, errors.New("no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return moduleInfo{}, err
	}
	return parseModinfo(string(data)), nil
}

// parseModinfo reads name=value texts that end in NUL.
func parseModinfo(section string) moduleInfo {
	var info moduleInfo
	for text := range strings.SplitSeq(section, "\x00") {
		key, value, _ := strings.Cut(text, "=")
		switch key {
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					info.needs = append(info.needs, moduleName(name))
				}
			}
		case "softdep":
			before, found := strings.CutPrefix(value, "pre:")
			before, _, _ = strings.Cut(before, "post:")
			if found {
				for _, name := range strings.Fields(before) {
					info.prefers = append(info.prefers, moduleName(name))
				}
			}
		case "alias":
			info.aliases = append(info.aliases, moduleName(value))
		}
	}
	return info
}

// moduleSet gathers modules for one archive.
type moduleSet struct {
	kernel *Kernel
	infos  map[string]moduleInfo
	files  map[string][]byte
}

// packModules adds the modules and all that they depend on, plain, with the
// lists by which pid1 finds them.
func (k *Kernel) packModules(a *archive, names []string) error {
	set := moduleSet{kernel: k, infos: make(map[string]moduleInfo), files: make(map[string][]byte)}
	for _, name := range names {
		if err := set.add(moduleName(name)); err != nil {
			return fmt.Errorf("pack module %s of %s: %w", name, k.Release, err)
		}
	}
	var order, alias strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set.infos)) {
		a.data(path.Join(pid1.Modules, name+".ko"), set.files[name], 0o644)
		fmt.Fprintln(&order, strings.Join(append([]string{name}, set.before(name)...), " "))
		for _, other := range set.infos[name].aliases {
			if !strings.Contains(other, " ") {
				fmt.Fprintln(&alias, other, name)
			}
		}
	}
	a.data(path.Join(pid1.Modules, "order"), []byte(order.String()), 0o644)
	a.data(path.Join(pid1.Modules, "alias"), []byte(alias.String()), 0o644)
	return nil
}

// add reads a module and those that it needs. One that this kernel does not
// have as a file is built in, or missing: then the test that needs it says so.
func (s *moduleSet) add(name string) error {
	file, ok := s.kernel.modules[name]
	if _, done := s.infos[name]; done || !ok {
		return nil
	}
	data, err := readModule(file)
	if err != nil {
		return err
	}
	info, err := parseModule(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	s.infos[name], s.files[name] = info, data
	for _, other := range slices.Concat(info.needs, info.prefers) {
		if err := s.add(other); err != nil {
			return err
		}
	}
	return nil
}

// readModule returns a module, unpacked.
func readModule(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for _, p := range packers() {
		if filepath.Ext(file) != p.suffix {
			continue
		}
		if data, err = p.unpack(data); err != nil {
			return nil, fmt.Errorf("unpack %s by %s: %w", file, p.command[0], err)
		}
	}
	return data, nil
}

// before returns the packed modules that must be loaded before name, in that
// order.
func (s *moduleSet) before(name string) []string {
	var order []string
	seen := map[string]bool{name: true}
	var walk func(string)
	walk = func(at string) {
		info := s.infos[at]
		for _, other := range slices.Concat(info.prefers, info.needs) {
			if _, packed := s.infos[other]; packed && !seen[other] {
				seen[other] = true
				walk(other)
				order = append(order, other)
			}
		}
	}
	walk(name)
	return order
}
