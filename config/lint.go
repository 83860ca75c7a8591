package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// linter checks every word of a tree against the language and counts the
// keywords. It marks the statements that must not have an effect.
type linter struct {
	*collector
	lang    language
	options map[string]map[string]option
	uses    map[useKey]*KeywordUse
	repeats map[string]*repeat
	// seen are the settings so far of the blocks around, the innermost last.
	seen []setting
}

// setting is a setting that stands in a block, by the name that counts.
type setting struct {
	name string
	at   place
}

// useKey is a keyword in a kind of block.
type useKey struct{ block, keyword string }

// repeat counts complaints of one kind, so that a thousand equal ones do not
// hide the others.
type repeat struct {
	count, shown int
	grade        grade
	last         place
}

// mostRepeats is how many complaints of one kind are shown.
const mostRepeats = 20

func newLinter(c *collector, lang language) *linter {
	return &linter{
		collector: c,
		lang:      lang,
		options:   entryOptions(),
		uses:      make(map[useKey]*KeywordUse),
		repeats:   make(map[string]*repeat),
	}
}

// run checks a whole configuration.
func (l *linter) run(root *block) {
	l.block(root, l.lang[""], Runs)
	for _, key := range slices.Sorted(maps.Keys(l.repeats)) {
		if r := l.repeats[key]; r.count > r.shown {
			l.add(r.grade, r.last, "", fmt.Sprintf("%s: %d more like this", key, r.count-r.shown), "")
		}
	}
}

// often adds a complaint of a kind that may occur very often; what describes
// the kind.
func (l *linter) often(g grade, s *statement, what, message, hint string) {
	l.oftenAt(g, s.at(), s.keyword(), what, message, hint)
}

func (l *linter) oftenAt(g grade, at place, keyword, what, message, hint string) {
	r := l.repeats[what]
	if r == nil {
		r = &repeat{grade: g}
		l.repeats[what] = r
	}
	r.count++
	if r.shown < mostRepeats && at != r.last { // a sequence repeats one place
		l.add(g, at, keyword, message, hint)
		r.shown++
	}
	r.last = at
}

// inside returns what becomes of a keyword in a block of which outer becomes.
func (k *keyword) inside(outer Status) Status {
	if k.status == Runs {
		return outer
	}
	return k.status
}

// block checks the statements of a block. outer is NotYet or Ignored inside
// a block that does not run, and mutes what only matters when it does.
func (l *linter) block(b *block, c *context, outer Status) {
	outside := len(l.seen)
	defer func() { l.seen = l.seen[:outside] }()
	for _, s := range b.statements {
		switch {
		case len(s.words) == 0:
			s.skip = true
			l.add(Error, s.at(), "{", "the block has no keyword and is left out", `write what it is before the "{"`)
		case c.entries != "":
			l.entry(s, c, outer)
		default:
			l.statement(s, c, outer)
			l.again(s, c, outside)
		}
	}
}

// again warns about a setting that stands in its block twice, and drops the one
// that does not count. The settings of the block begin after those outside.
func (l *linter) again(s *statement, c *context, outside int) {
	k, ok := c.keywords[s.keyword()]
	if !ok || s.skip || k.status != Runs || k.block != "" || k.many || c.name == "" {
		return
	}
	name := k.name
	switch name {
	case "lvs_sched":
		name = "lb_algo"
	case "lvs_method":
		name = "lb_kind"
	}
	i := slices.IndexFunc(l.seen[outside:], func(o setting) bool { return o.name == name })
	if i < 0 {
		l.seen = append(l.seen, setting{name, s.at()})
		return
	}
	was := &l.seen[outside+i]
	if k.first {
		l.often(silent(Warning), s, name+" given again", fmt.Sprintf("%s is given again in this block; the first one counts, at line %d", s.keyword(), was.at.line),
			"remove one of them")
		s.skip = true
		return
	}
	l.often(silent(Warning), s, name+" given again", fmt.Sprintf("%s is given again in this block; the last one counts", s.keyword()),
		fmt.Sprintf("remove this one or the one at line %d", was.at.line))
	was.at = s.at()
}

func (l *linter) statement(s *statement, c *context, outer Status) {
	k, ok := c.keywords[s.keyword()]
	if !ok {
		l.unknown(s, c)
		return
	}
	status := k.inside(outer)
	l.use(s, c.name, status, "")
	if k.own && !s.own {
		l.add(Note, s.at(), k.name, fmt.Sprintf("keepalived does not know %s", k.name),
			fmt.Sprintf("write @%s %s, so that keepalived skips the line", ownID, k.name))
	}
	l.status(s, k, c, outer)
	if !l.words(s, k, c, status) || !l.braces(s, k, k.consequence(c), status) {
		s.skip, s.spoils = true, k.vital
		return
	}
	if s.block != nil {
		l.block(s.block, l.lang[k.block], status)
	}
}

// status complains about a keyword that has no effect.
func (l *linter) status(s *statement, k *keyword, c *context, outer Status) {
	if k.note != "" {
		l.oldWord(s, k, c)
	}
	if k.status != NotYet || outer != Runs || c.name == "global_defs" {
		return
	}
	is := " is parsed, not used yet"
	if strings.Contains(strings.ToLower(k.name), "bfd") {
		is = " is not supported yet"
	}
	what := k.name + is
	switch {
	case isCheck(k.name):
		l.often(silent(Warning), s, what, what+"; without a check that runs the server counts as up", "use TCP_CHECK")
	case k.block != "" && s.arg(0) != "":
		l.often(silent(Warning), s, what, k.name+" "+s.arg(0)+is, "")
	default:
		l.often(silent(Warning), s, what, what, "")
	}
}

// oldWord tells what to write today.
func (l *linter) oldWord(s *statement, k *keyword, c *context) {
	sev, message := Note, k.name+" is an old word"
	if k.status == Ignored {
		message = fmt.Sprintf("%s has no effect %s", k.name, where(c.name))
	}
	if k.name == "nb_get_retry" {
		sev = Warning // the user asked for retries and does not get them
	}
	l.often(complains(sev), s, message, message, k.note)
}

// isCheck reports whether the keyword is a checker.
func isCheck(name string) bool {
	return strings.HasSuffix(name, "_CHECK") || name == "HTTP_GET" || name == "SSL_GET"
}

// where names a context for people.
func where(context string) string {
	if context == "" {
		return "outside any block"
	}
	return "in " + context
}

// fault is the severity of a mistake in a keyword of this status.
func fault(status Status) Severity {
	if status == Runs {
		return Error
	}
	return Warning
}

// words checks the number of arguments and the quotes. It reports whether
// the statement can be used.
func (l *linter) words(s *statement, k *keyword, c *context, status Status) bool {
	consequence := k.consequence(c)
	if k.raw {
		if _, err := s.raw(); err != nil {
			l.add(fault(status), s.at(), k.name, fmt.Sprintf("%s: %v; %s", k.name, err, consequence), "")
			return false
		}
	} else if s.openQuote {
		l.add(fault(status), s.at(), k.name, "a quote is not closed; "+consequence, `write a " at the end of the word`)
		return false
	}
	got := len(s.args())
	if got < k.least {
		l.often(withoutArgument(c.name, k.name, fault(status)), s, k.name+" without its argument",
			fmt.Sprintf("%s needs %s; %s", k.name, argumentCount(k.least), consequence), "write "+k.name+" "+k.args)
		return false
	}
	if k.most >= 0 && got > k.most && status == Runs && (k.most > 0 || !boolWord(s.arg(0))) {
		l.often(silent(Warning), s, k.name+" with more words", fmt.Sprintf("%q after %s is ignored", s.arg(k.most), k.name), "")
	}
	if !k.raw {
		l.undefined(s)
	}
	return true
}

// consequence says what becomes of a line that cannot be used.
func (k *keyword) consequence(c *context) string {
	switch {
	case k.vital && c.name == "virtual_server":
		return serviceLeftOut
	case k.vital && c.name == "real_server":
		return serverLeftOut
	case k.vital:
		return instanceLeftOut
	}
	return lineIgnored
}

func argumentCount(n int) string {
	if n == 1 {
		return "an argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// undefined complains about references that nothing resolved.
func (l *linter) undefined(s *statement) {
	for _, w := range s.args() {
		i := strings.IndexByte(w.s, '$')
		if i < 0 {
			continue
		}
		if inside, n := reference(w.s[i:]); n > 0 {
			l.often(silent(Warning), s, "$"+inside+" is not defined", fmt.Sprintf("$%s is not defined and stays as it is", inside),
				fmt.Sprintf("define it before with a line $%s=VALUE", inside))
		}
	}
}

// braces checks that a block is there when there must be one, and drops one
// that must not be there.
func (l *linter) braces(s *statement, k *keyword, consequence string, status Status) bool {
	switch {
	case k.block == "" && s.block != nil:
		l.add(fault(status), s.block.open, k.name, fmt.Sprintf("%s takes no block; the block is ignored", k.name), `check for a missing "}"`)
		s.block = nil
	case k.block != "" && s.block == nil:
		l.add(fault(status), s.at(), k.name, fmt.Sprintf("%s has no block; %s", k.name, consequence), `write its settings in "{" and "}" after it`)
		return false
	}
	return true
}

// unknown complains about a word that nobody knows here.
func (l *linter) unknown(s *statement, c *context) {
	s.skip = true
	name := s.keyword()
	near := ""
	if u := l.uses[useKey{c.name, name}]; u != nil {
		near = u.Suggestion
	} else {
		near = l.nearest(name, len(c.keywords), maps.Keys(c.keywords))
	}
	l.use(s, c.name, Unknown, near)
	what := "line"
	if s.block != nil {
		what = "block"
	}
	l.often(unknownKeyword(Warning), s, name+" is not known", fmt.Sprintf("%q is not known %s; the %s is ignored", name, where(c.name), what), l.unknownHint(name, near, c))
}

func (l *linter) unknownHint(name, near string, c *context) string {
	if strings.Contains(name, "\u00a0") {
		return "the line has a no-break space (U+00A0), which is part of a word; write a plain blank"
	}
	if near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	places := l.lang.contextsOf(name)
	if len(places) == 0 {
		return ""
	}
	slices.Sort(places)
	for i, p := range places {
		places[i] = where(p)
	}
	if len(places) > 3 {
		places = append(places[:3], "in other blocks")
	}
	return "it belongs " + strings.Join(places, " or ")
}

// use counts the keyword of a statement.
func (l *linter) use(s *statement, block string, status Status, suggestion string) {
	l.useAt(word{s: s.keyword(), at: s.at()}, block, status, suggestion)
}

func (l *linter) useAt(w word, block string, status Status, suggestion string) {
	key := useKey{block, w.s}
	u := l.uses[key]
	if u == nil {
		u = &KeywordUse{Keyword: printable(w.s), Block: block, Status: status, Suggestion: suggestion}
		l.uses[key] = u
	}
	u.Count++
	if len(u.Positions) < mostPositions {
		u.Positions = append(u.Positions, w.at.position(l.files))
	}
}

// keywords returns the uses in a stable order: by block, then by keyword.
func (l *linter) keywords() []KeywordUse {
	keys := slices.SortedFunc(maps.Keys(l.uses), func(a, b useKey) int {
		return strings.Compare(a.block+"\x00"+a.keyword, b.block+"\x00"+b.keyword)
	})
	list := make([]KeywordUse, 0, len(keys))
	for _, k := range keys {
		list = append(list, *l.uses[k])
	}
	return list
}

// mostPositions bounds KeywordUse.Positions.
const mostPositions = 100
