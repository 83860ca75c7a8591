package config

import (
	"fmt"
	"maps"
	"net/netip"
)

// lineReader is a cursor over a line of options, such as a route. Its methods
// read what options share.
type lineReader struct {
	*collector
	names *iprouteNames
	rest  []word
	at    word  // the word taken last
	v6    *bool // the family, once known
}

// lineFault is what is wrong with a word of a line.
type lineFault struct {
	at   word
	why  string
	hint string
	// notYet is set for what is right but not run.
	notYet bool
}

// next takes a word; it is empty at the end of the line.
func (l *lineReader) next() word {
	if len(l.rest) == 0 {
		return word{at: l.at.at}
	}
	l.at, l.rest = l.rest[0], l.rest[1:]
	return l.at
}

// take takes the next word if it is the given one.
func (l *lineReader) take(w string) bool {
	if len(l.rest) > 0 && l.rest[0].s == w {
		l.next()
		return true
	}
	return false
}

func missing(w word) *lineFault {
	return &lineFault{at: w, why: "without its value", hint: "write a value after it"}
}

// family notes the family that the line names or that an address has.
func (l *lineReader) family(w word, v6 bool) *lineFault {
	if l.v6 != nil && *l.v6 != v6 {
		return &lineFault{at: w, why: "not of the family of the rest of the line", hint: "write addresses of one family"}
	}
	l.v6 = &v6
	return nil
}

// address takes the address after w.
func (l *lineReader) address(w word, field *netip.Addr) *lineFault {
	value := l.next()
	if value.s == "" {
		return missing(w)
	}
	a, err := parseAddr(value.s)
	if err != nil {
		return &lineFault{at: value, why: err.Error(), hint: "write an address after " + w.s}
	}
	*field = a
	return l.family(value, a.Is6())
}

// iface takes the name of an interface after w.
func (l *lineReader) iface(w word, field *string) *lineFault {
	value := l.next()
	if value.s == "" {
		return missing(w)
	}
	if err := interfaceName(value.s); err != nil {
		return &lineFault{at: value, why: err.Error(), hint: "write the interface's name"}
	}
	*field = value.s
	return nil
}

// number takes a number, or a name from a file of iproute2 if there is one.
func (l *lineReader) number(w word, file string, most uint32, set func(uint32)) *lineFault {
	value := l.next()
	if value.s == "" {
		return missing(w)
	}
	n, ok := l.names.number(file, value.s, most)
	if !ok {
		hint := fmt.Sprintf("write a number up to %d", most)
		if file != "" {
			hint += ", or a name in /etc/iproute2/" + file
		}
		return &lineFault{at: value, why: "no value for " + w.s, hint: hint}
	}
	set(n)
	return nil
}

// fault complains about a line of a block.
func (v *vrrpBuilder) fault(st *statement, f *lineFault, consequence string) {
	if f.notYet {
		v.add(silent(Warning), f.at.at, st.keyword(), fmt.Sprintf("%s in a line of %s is parsed, not used yet; %s", f.at.s, st.keyword(), consequence), f.hint)
		return
	}
	v.add(Error, f.at.at, st.keyword(), fmt.Sprintf("%q in a line of %s is %s; %s", f.at.s, st.keyword(), f.why, consequence), f.hint)
}

// didYouMean returns the hint for an unknown option, or nothing.
func (l *lineReader) didYouMean(s string, options map[string]option) string {
	if near := l.nearest(s, len(options), maps.Keys(options)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
