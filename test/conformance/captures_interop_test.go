//go:build interop

package conformance

import (
	"sync"
	"testing"
	"time"
)

// captures are what masters send of themselves, recorded once for all items
// that only look.
type captures struct {
	t testing.TB // of all items

	mu   sync.Mutex // guards done
	done map[string]*capture
}

// capture is one of them.
type capture struct {
	once sync.Once
	site *site
	inst inst
	// missing and fault say why there is none.
	missing, fault string
}

func newCaptures(t testing.TB) *captures {
	return &captures{t: t, done: make(map[string]*capture)}
}

// variants are the ways to speak VRRP, with the values of the golden vectors.
func variants() map[string]inst {
	const ah = " authentication {\n  auth_type AH\n  auth_pass s3cretpw\n }\n"
	v := map[string]inst{
		"v2":      {version: 2},
		"v2pass":  {version: 2, lines: passLines("s3cretpw")},
		"v2short": {version: 2, lines: passLines("abc")},
		"v2long":  {version: 2, lines: passLines("123456789012")},
		"v2ah":    {version: 2, lines: ah},
		"v3":      {},
		"v3rfc":   {lines: " v3_checksum_as_v2\n"},
		"v6":      {ipv6: true},
	}
	for name, i := range v {
		i.priority, i.interval = 200, time.Second
		v[name] = i
	}
	return v
}

func passLines(secret string) string {
	return " authentication {\n  auth_type PASS\n  auth_pass " + secret + "\n }\n"
}

// captured returns what a variant sent: some adverts, and the goodbye.
func (p *probe) captured(variant string) (*site, inst) {
	p.Helper()
	p.seen.mu.Lock()
	c := p.seen.done[variant]
	if c == nil {
		c = &capture{inst: variants()[variant]}
		p.seen.done[variant] = c
	}
	p.seen.mu.Unlock()
	c.once.Do(func() {
		v := play(p.seen.t, p.router, nil, func(p *probe) {
			s := newSite(p, 1)
			d := s.master(one(c.inst))
			s.more(c.inst, 2)
			d.stop()
			c.site = s
		})
		switch v.Verdict {
		case differs:
			c.fault = v.Note
		case noOption:
			c.missing = v.Note
		}
	})
	if c.missing != "" {
		p.lacks("%s", c.missing)
	}
	if c.fault != "" {
		p.Fatalf("%s: %s", variant, c.fault)
	}
	return c.site, c.inst
}

// sent returns the adverts of a variant.
func (p *probe) sent(variant string) []advert {
	p.Helper()
	s, i := p.captured(variant)
	return s.from(0, i)
}
