package model

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Differences says in which fields two values of one struct type differ, one
// line each for people: "priority 100 to 150", "addresses: + 192.0.2.2/32". Fields
// are named in lower case with underscores. Where something stands in the file
// does not count, and secrets are not shown. leaveOut are names of fields, as in
// Go, that are not compared.
func Differences(from, to any, leaveOut ...string) []string {
	var d differ
	d.fields("", reflect.ValueOf(from), reflect.ValueOf(to), leaveOut)
	return d.lines
}

type differ struct{ lines []string }

func (d *differ) add(name, format string, args ...any) {
	d.lines = append(d.lines, name+fmt.Sprintf(format, args...))
}

func (d *differ) fields(prefix string, from, to reflect.Value, leaveOut []string) {
	t := from.Type()
	for i := range t.NumField() {
		if f := t.Field(i); !slices.Contains(leaveOut, f.Name) && f.IsExported() {
			name := prefix + snake(f.Name)
			if f.Anonymous {
				name = strings.TrimSuffix(prefix, " ")
			}
			d.value(name, from.Field(i), to.Field(i))
		}
	}
}

func (d *differ) value(name string, from, to reflect.Value) {
	a, b := spell(from), spell(to)
	switch {
	case same(from, to):
	case secret(name):
		d.add(name, " changed")
	case isList(from.Type()):
		d.list(name, from, to)
	case from.Kind() == reflect.Struct && !spellsItself(from):
		d.fields(name+" ", from, to, nil)
	case a == b:
		d.add(name, " changed")
	default:
		d.add(name, " %s to %s", a, b)
	}
}

// same reports whether two values are equal but for their places in the file.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || same(a.Elem(), b.Elem()))
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return a.Len() == b.Len()
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[Position]() {
			return true
		}
		for i := range a.NumField() {
			if !a.Type().Field(i).IsExported() { // a type of the standard library
				return reflect.DeepEqual(a.Interface(), b.Interface())
			}
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
}

// list says what was added and removed, or that the order changed.
func (d *differ) list(name string, from, to reflect.Value) {
	a, b := elements(from), elements(to)
	before := len(d.lines)
	for _, s := range a {
		if !slices.Contains(b, s) {
			d.add(name, ": - %s", s)
		}
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			d.add(name, ": + %s", s)
		}
	}
	switch {
	case len(d.lines) > before:
	case slices.Equal(a, b):
		d.add(name, " changed")
	default:
		d.add(name, ": %s to %s", spell(from), spell(to))
	}
}

func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

func elements(v reflect.Value) []string {
	list := make([]string, 0, v.Len())
	for i := range v.Len() {
		list = append(list, spell(v.Index(i)))
	}
	return list
}

// secret reports whether a field must not be shown.
func secret(name string) bool {
	return strings.Contains(name, "secret") || strings.Contains(name, "password")
}

// spellsItself reports whether a value has a text of its own.
func spellsItself(v reflect.Value) bool {
	switch v.Interface().(type) {
	case fmt.Stringer, encoding.TextMarshaler:
		return true
	}
	return false
}

// spell writes a value for people, without its places in the file.
func spell(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "none"
	case v.Kind() == reflect.Pointer:
		return spell(v.Elem())
	case v.Type() == reflect.TypeFor[Position]():
		return ""
	case isList(v.Type()):
		return "[" + strings.Join(elements(v), ", ") + "]"
	case v.Kind() == reflect.Struct && !spellsItself(v):
		return spellFields(v)
	case v.Kind() == reflect.String && v.String() == "":
		return "none"
	case v.Type() == reflect.TypeFor[[6]byte]():
		return fmt.Sprintf("%x", v.Interface())
	}
	return fmt.Sprint(v.Interface())
}

// spellFields writes the fields of a struct that are set.
func spellFields(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if v.Field(i).IsZero() || f.Type == reflect.TypeFor[Position]() || !f.IsExported() {
			continue
		}
		if text := spell(v.Field(i)); f.Anonymous {
			parts = append(parts, text)
		} else {
			parts = append(parts, snake(f.Name)+" "+text)
		}
	}
	return strings.Join(parts, " ")
}

// snake turns NoPreempt into no_preempt, VRID into vrid and IPv6 into ipv6.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(strings.NewReplacer("IPv", "Ipv", "VRIDs", "Vrids").Replace(name))
	for i, r := range letters {
		lower := i > 0 && !unicode.IsUpper(letters[i-1])
		begins := i > 0 && i+1 < len(letters) && unicode.IsUpper(letters[i-1]) && unicode.IsLower(letters[i+1])
		if unicode.IsUpper(r) && (lower || begins) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
