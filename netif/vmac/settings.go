package vmac

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// settings are sysctls below net, by path.
type settings map[string]string

const rpFilterAll = "ipv4/conf/all/rp_filter"

func path4(link, key string) string { return "ipv4/conf/" + link + "/" + key }

func path6(link, key string) string { return "ipv6/conf/" + link + "/" + key }

// own returns the settings of a macvlan itself, which go with it. They are
// keepalived's: answer ARP for the addresses on it only, take packets whose
// source is an address of this host, and keep the other addresses of a subnet
// when its first one goes. An IPv6 one listens to no router.
func (i Interface) own() settings {
	s := settings{
		path4(i.Name, "arp_ignore"):          "1",
		path4(i.Name, "accept_local"):        "1",
		path4(i.Name, "rp_filter"):           "0",
		path4(i.Name, "promote_secondaries"): "1",
	}
	if !i.IPv6 {
		s[path6(i.Name, "disable_ipv6")] = "1"
		return s
	}
	s[path6(i.Name, "disable_ipv6")] = "0"
	s[path6(i.Name, "accept_ra")] = "0"
	s[path6(i.Name, "autoconf")] = "0"
	return s
}

// shared returns the settings of others that the made interfaces ask for: the
// parent answers no ARP for what is on the macvlan, and no reverse path filter
// stands in the way of an address that two interfaces reach. rpFilter holds the
// rp_filter of all links as they would be without us; the larger of a link's own
// and "all" acts, so what "all" asked for moves to the links.
func shared(made map[string]Interface, rpFilter map[string]int) settings {
	s := make(settings)
	for _, i := range made {
		if !i.IPv6 {
			s[path4(i.Parent, "arp_ignore")] = "1"
			s[path4(i.Parent, "arp_filter")] = "1"
		}
	}
	all := rpFilter["all"]
	if len(s) == 0 || all == 0 {
		return s
	}
	s[rpFilterAll] = "0"
	for link, own := range rpFilter {
		_, ours := made[link]
		if link != "all" && !ours && own < all {
			s[path4(link, "rp_filter")] = strconv.Itoa(all)
		}
	}
	return s
}

// unchanged returns the filters with what was saved of them.
func unchanged(rpFilter map[string]int, saved map[string]string) map[string]int {
	out := maps.Clone(rpFilter)
	for link := range rpFilter {
		if was, changed := saved[path4(link, "rp_filter")]; changed {
			if n, err := strconv.Atoi(was); err == nil {
				out[link] = n
			}
		}
	}
	return out
}

// settle brings the settings in line with the made interfaces: it puts back
// what nobody asks for any more.
func (m *Manager) settle() error {
	return m.kernel.Do(func() error {
		rpFilter, err := readRPFilters()
		if err != nil {
			return err
		}
		want := shared(m.made, unchanged(rpFilter, m.saved))
		for _, link := range m.promote {
			if _, ours := m.made[link]; !ours {
				want[path4(link, "promote_secondaries")] = "1"
			}
		}
		var errs []error
		for _, i := range m.made {
			for path, value := range i.own() {
				_, err := set(path, value)
				errs = append(errs, err)
			}
		}
		for _, path := range slices.Sorted(maps.Keys(m.saved)) {
			if _, still := want[path]; !still {
				_, err := set(path, m.saved[path])
				errs = append(errs, err)
				delete(m.saved, path)
			}
		}
		// The links before "all", so that no filter is off in between.
		paths := slices.Sorted(maps.Keys(want))
		slices.SortStableFunc(paths, func(a, b string) int { return rank(a) - rank(b) })
		for _, path := range paths {
			was, err := set(path, want[path])
			if _, known := m.saved[path]; !known && err == nil && was != want[path] {
				m.saved[path] = was
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func rank(path string) int {
	if path == rpFilterAll {
		return 1
	}
	return 0
}

// root is where the sysctls of the thread's network namespace are.
const root = "/proc/sys/net"

// set writes a setting, unless it is that already, and returns what it was. One
// that does not exist counts as set: the link is gone, or the kernel has no
// IPv6.
func set(path, value string) (was string, err error) {
	b, err := os.ReadFile(filepath.Join(root, path))
	if errors.Is(err, os.ErrNotExist) {
		return value, nil
	}
	if err != nil {
		return "", fmt.Errorf("read setting: %w", err)
	}
	if was = strings.TrimSpace(string(b)); was == value {
		return was, nil
	}
	if err := os.WriteFile(filepath.Join(root, path), []byte(value), 0o644); err != nil {
		return was, fmt.Errorf("change setting: %w", err)
	}
	return was, nil
}

// asRouter makes an interface that is a router's for IPv6, so that the kernel sets
// R when it answers who asks for an address on it (RFC 9568 section 8.2.1). To
// turn forwarding on afterwards would take the default routes away that this host
// has learned from routers; an interface that is born with it does not. Nothing is
// forwarded: "all" decides that.
func asRouter(add func() error) error {
	born := path6("default", "forwarding")
	was, err := set(born, "1")
	if err != nil {
		return err
	}
	err = add()
	if was != "1" {
		_, back := set(born, was)
		err = errors.Join(err, back)
	}
	return err
}

// readRPFilters returns the filters of "all", of "default" for links to come,
// and of each link.
func readRPFilters() (map[string]int, error) {
	files, err := filepath.Glob(filepath.Join(root, path4("*", "rp_filter")))
	if err != nil {
		return nil, err
	}
	out := make(map[string]int)
	for _, f := range files {
		link := filepath.Base(filepath.Dir(f))
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read setting: %w", err)
		}
		if out[link], err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return nil, fmt.Errorf("read setting %s: %w", f, err)
		}
	}
	return out, nil
}
