package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/model/pcre"
)

// httpDraft is what HTTP_GET and SSL_GET have of their own.
type httpDraft struct {
	spec         model.HTTPSpec
	virtualHost  string
	tlsCompliant *bool
	urls         []urlDraft
}

// urlDraft is a url block; nil is not set.
type urlDraft struct {
	url          model.URL
	tlsCompliant *bool
	regex        regexDraft
}

// regexDraft is regex with its sibling keywords, in any order.
type regexDraft struct {
	at                   *statement // of the pattern
	first                *statement // of the keywords
	regex                model.Regex
	minOffset, maxOffset *uint32
}

// httpSetting takes a line of HTTP_GET or SSL_GET.
func (b *builder) httpSetting(c *checkDraft, s *statement) {
	h := c.http
	switch s.keyword() {
	case "url":
		if u, ok := b.url(s); ok {
			h.urls = append(h.urls, u)
		}
	case "virtualhost":
		b.hostName(s, &h.virtualHost)
	case "http_protocol":
		p := model.HTTPProtocol(strings.ToUpper(s.arg(0)))
		if p != model.HTTP10 && p != model.HTTP10C && p != model.HTTP11 {
			b.bad(s, 0, errors.New("not 1.0, 1.0C or 1.1"), lineIgnored, "write http_protocol 1.1")
			return
		}
		h.spec.Protocol = p
	case "fast_recovery":
		on := &h.spec.FastRecovery
		b.boolean(s, &on)
		h.spec.FastRecovery = *on
	case "nb_get_retry":
		b.add(complains(Note), s.at(), s.keyword(), "nb_get_retry is deprecated", "write retry")
		b.number(s, &c.retry, 0, math.MaxUint32)
	case "enable_sni":
		h.spec.EnableSNI = b.flag(s) || h.spec.EnableSNI
	case "sni_name":
		b.hostName(s, &h.spec.SNIName)
		h.spec.EnableSNI = h.spec.EnableSNI || h.spec.SNIName != ""
	case "tls_compliant":
		b.boolean(s, &h.tlsCompliant)
	}
}

// hostName sets *field from the first argument, which becomes part of what is
// sent and so has to stay within its line.
func (b *builder) hostName(s *statement, field *string) {
	if err := plainWord(s.arg(0)); err != nil {
		b.bad(s, 0, err, lineIgnored, "write the name of a host")
		return
	}
	*field = s.arg(0)
}

// plainWord refuses what would break a request into two.
func plainWord(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("not one word without blanks")
	}
	return nil
}

// url reads a url block. It reports whether it can be asked for.
func (b *builder) url(st *statement) (urlDraft, bool) {
	var u urlDraft
	for _, s := range st.block.statements {
		if !s.skip {
			b.urlSetting(&u, s)
		}
	}
	if u.url.Path == "" {
		b.add(Error, st.at(), "url", "the url has no path that can be used; it is left out", "write path / in it")
		return u, false
	}
	return u, b.regex(&u)
}

func (b *builder) urlSetting(u *urlDraft, s *statement) {
	switch s.keyword() {
	case "path":
		if err := plainWord(s.arg(0)); err != nil {
			b.bad(s, 0, err, lineIgnored, "write a path such as /health, with %20 for a blank")
			return
		}
		if s.arg(0)[0] != '/' {
			b.add(Warning, s.args()[0].at, "path", fmt.Sprintf("path %q does not begin with /; it is sent as it stands, as in keepalived", s.arg(0)), "write path /"+s.arg(0))
		}
		u.url.Path = s.arg(0)
	case "digest":
		b.digest(u, s)
	case "status_code":
		b.statusCodes(u, s)
	case "virtualhost":
		b.hostName(s, &u.url.VirtualHost)
	case "tls_compliant":
		b.boolean(s, &u.tlsCompliant)
	default:
		b.regexSetting(&u.regex, s)
	}
}

func (b *builder) digest(u *urlDraft, s *statement) {
	hex := s.arg(0)
	if len(hex) != 32 || strings.Trim(hex, "0123456789abcdefABCDEF") != "" {
		b.bad(s, 0, errors.New("not an MD5 digest of 32 hexadecimal digits"), lineIgnored, "write what md5sum says of the body of the answer")
		return
	}
	u.url.Digest = hex
}

// statusCodes reads numbers and ranges. A word that is neither spoils the
// line, since the rest would accept less than was meant.
func (b *builder) statusCodes(u *urlDraft, s *statement) {
	var list []model.CodeRange
	for i := range s.args() {
		from, to, ranged := strings.Cut(s.arg(i), "-")
		if !ranged {
			to = from
		}
		first, err := parseUint(from, 100, 599)
		last, errLast := parseUint(to, 100, 599)
		if err != nil || errLast != nil || first > last {
			b.bad(s, i, errors.New("neither a status code from 100 to 599 nor a range of them"), lineIgnored, "write status_code 200, or status_code 200-299 301")
			return
		}
		list = append(list, model.CodeRange{First: uint16(first), Last: uint16(last)})
	}
	u.url.StatusCodes = list
}

// regexSetting takes a line that belongs to the regex of a url.
func (b *builder) regexSetting(r *regexDraft, s *statement) {
	if r.first == nil {
		r.first = s
	}
	switch s.keyword() {
	case "regex":
		list, err := s.raw() // the linter has seen to its errors
		if err != nil || len(list) == 0 || list[0].s == "" {
			b.add(Error, s.at(), "regex", "regex has no pattern; "+lineIgnored, `write regex "PATTERN"`)
			return
		}
		if len(list) > 1 {
			b.add(Warning, list[1].at, "regex", fmt.Sprintf("%q after the pattern is ignored", list[1].s), "put quotes around the pattern")
		}
		r.at, r.regex.Pattern = s, list[0].s
	case "regex_no_match":
		r.regex.NoMatch = b.flag(s) || r.regex.NoMatch
	case "regex_options":
		b.regexOptions(r, s)
	case "regex_min_offset":
		b.number(s, &r.minOffset, 0, math.MaxInt32)
	case "regex_max_offset":
		b.number(s, &r.maxOffset, 0, math.MaxInt32)
	case "regex_stack":
		start, err := parseUint(s.arg(0), 1, math.MaxUint32)
		if err != nil {
			b.bad(s, 0, err, lineIgnored, "leave the line out")
			return
		}
		most, err := parseUint(s.arg(1), start, math.MaxUint32)
		if err != nil {
			b.bad(s, 1, err, lineIgnored, "leave the line out")
			return
		}
		r.regex.StackStart, r.regex.StackMax = uint32(start), uint32(most)
	}
}

func (b *builder) regexOptions(r *regexDraft, s *statement) {
	known := pcre.Options()
	r.regex.Options = nil
	for i, w := range s.args() {
		if slices.Contains(known, w.s) {
			r.regex.Options = append(r.regex.Options, w.s)
			continue
		}
		hint := "write one of " + strings.Join(known, ", ")
		if near := b.nearest(w.s, len(known), slices.Values(known)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		b.bad(s, i, errors.New("no option of PCRE2"), "the word is ignored", hint)
	}
}

// regex puts what belongs to a regex together. It reports whether the url can
// be asked for.
func (b *builder) regex(u *urlDraft) bool {
	r := &u.regex
	if r.first == nil {
		return true
	}
	if r.at == nil {
		b.add(Warning, r.first.at(), r.first.keyword(), fmt.Sprintf("%s without a regex has no effect", r.first.keyword()), "write a regex in the same url, or leave the line out")
		return true
	}
	r.regex.MinOffset, r.regex.MaxOffset = or(0, r.minOffset), r.maxOffset
	if r.maxOffset != nil && *r.maxOffset < r.regex.MinOffset {
		b.add(Warning, r.at.at(), "regex", fmt.Sprintf("regex_max_offset %d is below regex_min_offset %d; both are ignored, as in keepalived", *r.maxOffset, r.regex.MinOffset), "write a larger regex_max_offset")
		r.regex.MinOffset, r.regex.MaxOffset = 0, nil
	}
	if _, err := pcre.Compile(r.regex); err != nil {
		b.add(Error, r.at.at(), "regex", fmt.Sprintf("regex cannot run: %v; the url is left out", err), "")
		return false
	}
	u.url.Regex = &r.regex
	return true
}

// http fills in what the urls inherit. It reports whether the check can run.
func (b *builder) http(c *checkDraft, out model.Check, outer around) (model.Check, bool) {
	if len(c.http.urls) == 0 {
		b.add(Error, c.st.at(), string(c.kind), fmt.Sprintf("%s has no url that can be asked for; %s", c.kind, checkLeftOut), "write url { path / } in it")
		return out, false
	}
	spec := c.http.spec
	if spec.Protocol == "" {
		spec.Protocol = model.HTTP10
	}
	for _, u := range c.http.urls {
		if u.url.VirtualHost == "" {
			u.url.VirtualHost = c.http.virtualHost
		}
		if u.url.VirtualHost == "" {
			u.url.VirtualHost = outer.virtualHost
		}
		u.url.TLSCompliant = or(false, u.tlsCompliant, c.http.tlsCompliant)
		spec.URLs = append(spec.URLs, u.url)
	}
	if c.kind == model.SSLGet {
		spec.TLS = b.tls
	}
	out.HTTP = &spec
	return out, true
}

// clientTLS reads the SSL block.
func (b *builder) clientTLS(blk *block) {
	t := &model.ClientTLS{}
	for _, s := range blk.statements {
		if s.skip {
			continue
		}
		switch s.keyword() {
		case "password":
			t.Password = s.arg(0)
		case "ca":
			t.CA = s.arg(0)
		case "certificate":
			t.Certificate = s.arg(0)
		case "key":
			t.Key = s.arg(0)
		}
	}
	if *t != (model.ClientTLS{}) {
		b.tls = t
	}
}
