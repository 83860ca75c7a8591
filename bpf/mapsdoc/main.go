package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/evenkeel/evenkeel/bpf"
)

const page = "../docs/maps.md"

// addressBytes is how many bytes the longest address has; more are no address.
const addressBytes = 16

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "write %s: %v\n", page, err)
		os.Exit(1)
	}
}

func run() error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	spec, err := bpf.LoadEk()
	if err != nil {
		return err
	}
	text := string(old)
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		// Maps with a dot hold the program's own variables.
		if !strings.HasPrefix(name, ".") {
			text = put(text, name, table(spec.Maps[name]))
		}
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// put replaces the table of a map, or adds a section with it.
func put(text, name, table string) string {
	begin := fmt.Sprintf("<!-- fields of %s, by go generate -->\n", name)
	const end = "<!-- end of fields -->\n"
	before, rest, found := strings.Cut(text, begin)
	if !found {
		return fmt.Sprintf("%s\n## %s\n\n%s%s%s", text, name, begin, table, end)
	}
	_, after, _ := strings.Cut(rest, end)
	return before + begin + table + end + after
}

// table lists the fields of key and value.
func table(m *ebpf.MapSpec) string {
	var b strings.Builder
	kind := m.Type.String()
	if m.InnerMap != nil {
		m = m.InnerMap
		kind += " of " + m.Type.String()
	}
	fmt.Fprintf(&b, "%s\n\n| part | field | type | byte order |\n|---|---|---|---|\n", kind)
	rows(&b, "key", "", m.Key)
	rows(&b, "value", "", m.Value)
	return b.String()
}

// rows writes a type's members, those of nested structs by their path. Of a
// union the struct counts: its other member is the same bytes as a number.
func rows(b *strings.Builder, part, path string, t btf.Type) {
	switch s := t.(type) {
	case *btf.Struct:
		for _, m := range s.Members {
			if m.Name != "pad" && m.Name != "pad0" && m.Name != "pad1" {
				rows(b, part, strings.TrimPrefix(path+"."+m.Name, "."), m.Type)
			}
		}
		return
	case *btf.Union:
		for _, m := range s.Members {
			if inner, ok := m.Type.(*btf.Struct); ok {
				rows(b, part, path, inner)
				return
			}
		}
	case *btf.Array:
		if _, ok := s.Type.(*btf.Struct); ok {
			rows(b, part, fmt.Sprintf("%s[%d]", path, s.Nelems), s.Type)
			return
		}
	}
	field := "a number"
	if path != "" {
		field = "`" + path + "`"
	}
	fmt.Fprintf(b, "| %s | %s | `%s` | %s |\n", part, field, name(t), order(t))
}

func name(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", name(t.Type), t.Nelems)
	case *btf.Enum:
		return "enum " + t.Name
	}
	return t.TypeName()
}

// order is how the bytes lie in memory.
func order(t btf.Type) string {
	if d, ok := t.(*btf.Typedef); ok && strings.HasPrefix(d.Name, "__be") {
		return "network"
	}
	if a, ok := t.(*btf.Array); ok {
		if size, err := btf.Sizeof(a.Type); err == nil && size == 1 && a.Nelems <= addressBytes {
			return "network"
		}
		return order(a.Type)
	}
	if size, err := btf.Sizeof(t); err == nil && size == 1 {
		return "one byte"
	}
	return "the machine's"
}
