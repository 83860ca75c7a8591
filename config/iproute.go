package config

import (
	"strconv"
	"strings"
)

// iprouteNames knows the names that iproute2 has for numbers of tables and the
// like. It reads iproute2's files only when it meets a name that is not built
// in.
type iprouteNames struct {
	fs    *recorder
	files map[string]map[string]uint32
}

// The files of iproute2.
const (
	routeTables    = "rt_tables"
	routeScopes    = "rt_scopes"
	routeProtocols = "rt_protos"
	routeTOS       = "rt_dsfield"
)

func newIPRouteNames(fs *recorder) *iprouteNames {
	return &iprouteNames{fs: fs, files: make(map[string]map[string]uint32)}
}

// builtin returns the names that the kernel itself has.
func builtin(file string) map[string]uint32 {
	switch file {
	case routeTables:
		return map[string]uint32{"default": 253, "main": 254, "local": 255}
	case routeScopes:
		return map[string]uint32{"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
	case routeProtocols:
		return map[string]uint32{"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "keepalived": 18}
	}
	return nil
}

// number returns the number that a word names or is. most is the greatest
// number.
func (n *iprouteNames) number(file, word string, most uint32) (uint32, bool) {
	if value, err := strconv.ParseUint(word, 0, 32); err == nil && word[0] != '+' {
		return uint32(value), value <= uint64(most) && !strings.Contains(word, "_")
	}
	if value, ok := builtin(file)[word]; ok {
		return value, true
	}
	if n.files[file] == nil {
		n.files[file] = n.read(file)
	}
	value, ok := n.files[file][word]
	return value, ok && value <= most
}

// mostNames bounds what is read of each of iproute2's files, in bytes.
const mostNames = 1 << 20

// read reads what iproute2 came with, and then what the administrator wrote,
// which overrides it. Lines are NUMBER NAME.
func (n *iprouteNames) read(file string) map[string]uint32 {
	names := make(map[string]uint32)
	paths := []string{"/usr/lib/iproute2/" + file, "/usr/share/iproute2/" + file, "/etc/iproute2/" + file}
	if more, err := n.fs.Glob("/etc/iproute2/" + file + ".d/*.conf"); err == nil {
		paths = append(paths, more...)
	}
	for _, path := range paths {
		data, more, err := n.fs.readAll(path, mostNames)
		if err != nil || more {
			continue // a name that is missing then is complained about
		}
		for line := range strings.Lines(string(data)) {
			line, _, _ = strings.Cut(line, "#")
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			if value, err := strconv.ParseUint(f[0], 0, 32); err == nil {
				names[f[1]] = uint32(value)
			}
		}
	}
	return names
}
