package health

import (
	"fmt"
	"strings"
	"sync"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

// keptPatterns bounds how many compiled patterns are kept: more than a
// configuration has, so that only reloads reach it.
const keptPatterns = 1000

// patterns keeps compiled patterns, since compiling takes longer than most
// answers.
type patterns struct {
	mu   sync.Mutex // guards kept
	kept map[string]compiled
}

type compiled struct {
	pattern *pcre.Pattern
	err     error
}

// get returns the compiled pattern of r, nil for nil. A pattern that cannot
// run makes no verdict.
func (p *patterns) get(r *model.Regex) (*pcre.Pattern, error) {
	if r == nil {
		return nil, nil
	}
	key := fmt.Sprintf("%q %s %d", r.Pattern, strings.Join(r.Options, " "), r.MinOffset)
	if r.MaxOffset != nil {
		key += fmt.Sprintf(" %d", *r.MaxOffset)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.kept[key]
	if !ok {
		c.pattern, c.err = pcre.Compile(*r)
		if c.err != nil {
			c.err = notTried("regex %q: %v", r.Pattern, c.err)
		}
		if p.kept == nil || len(p.kept) >= keptPatterns {
			p.kept = make(map[string]compiled)
		}
		p.kept[key] = c
	}
	return c.pattern, c.err
}
