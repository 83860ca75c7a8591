package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// includeRule says what an include must not tolerate. An unreadable file and
// a plain name that matches nothing are never tolerated, although keepalived
// goes on without them: a service would be lost without a sound.
type includeRule struct {
	match         bool // m: nothing at all matches
	wildcardMatch bool // w: a pattern matches nothing
	braceMatch    bool // b: an alternative in braces matches nothing
}

// includeKeyword recognises include and its kinds; kind is the last letter,
// or 0 for include itself.
func includeKeyword(s string) (kind byte, ok bool) {
	rest, ok := strings.CutPrefix(s, "include")
	if !ok {
		return 0, false
	}
	if rest != "" && rest[0] >= 'a' && rest[0] <= 'z' {
		kind, rest = rest[0], rest[1:]
	}
	return kind, rest == "" || blank(rest[0]) || rest[0] == '"'
}

// includeCheck applies the words of include_check to a rule.
func includeCheck(rule includeRule, args []word) includeRule {
	if len(args) == 0 {
		return includeRule{}
	}
	if c := args[0].s; c != "" && c[0] != '+' && c[0] != '-' {
		rule = includeRule{}
	}
	for _, w := range args {
		name := strings.TrimLeft(w.s, "+-")
		on := !strings.HasPrefix(w.s, "-")
		switch name {
		case "match":
			rule.match = on
		case "wildcard_match":
			rule.wildcardMatch = on
		case "brace_match":
			rule.braceMatch = on
		}
	}
	return rule
}

// include reads the files that an include line names.
func (r *reader) include(in input, kind byte) error {
	n := len("include")
	if kind != 0 {
		n++
	}
	keyword := in.s[:n]
	list, open := words(nil, in.from(n))
	if len(list) == 0 || list[0].s == "" {
		return r.fatal(in.at(0), keyword, keyword+" names no file", "write the path of a file after it", nil)
	}
	if open >= 0 {
		return r.fatal(list[0].at, keyword, "the quote is not closed", `write a " after the path`, nil)
	}
	rule := r.rule(in, keyword, kind)
	if err := r.includeGlob(list[0], keyword, rule); err != nil {
		return err
	}
	return r.afterInclude(in, list)
}

func (r *reader) rule(in input, keyword string, kind byte) includeRule {
	switch kind {
	case 0:
		return r.strict
	case 'r':
		return includeRule{}
	case 'm':
		return includeRule{match: true}
	case 'w':
		return includeRule{wildcardMatch: true}
	case 'b':
		return includeRule{braceMatch: true}
	case 'a':
		return includeRule{match: true, wildcardMatch: true, braceMatch: true}
	}
	r.add(Warning, in.at(0), keyword, fmt.Sprintf("there is no %q; it is taken for includer", keyword), "write include, includer, includem, includew, includeb or includea")
	return includeRule{}
}

// afterInclude takes what follows the path: a closing brace counts.
func (r *reader) afterInclude(in input, list []word) error {
	if len(list) < 2 {
		return nil
	}
	if i := strings.LastIndexByte(in.s, '}'); i >= 0 && list[1].s == "}" {
		return r.line(input{text: in.from(i), depth: in.depth + 1, own: in.own})
	}
	r.add(Warning, list[1].at, "include", fmt.Sprintf("%q after the path is ignored", list[1].s), "write one include line for each path")
	return nil
}

// includeGlob reads the files that match the pattern, which may be relative
// to the directory of the file that it stands in.
func (r *reader) includeGlob(pattern word, keyword string, rule includeRule) error {
	alternatives, err := expandBraces(pattern.s)
	if err != nil {
		return r.fatal(pattern.at, keyword, "include "+pattern.s+": "+err.Error(), "", err)
	}
	found := 0
	var missing []string
	for _, alt := range alternatives {
		n, err := r.includeOne(pattern.at, alt, keyword, len(alternatives) == 1)
		if err != nil {
			return err
		}
		found += n
		if n == 0 {
			missing = append(missing, alt)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	wild := strings.ContainsAny(pattern.s, "*?[")
	message := "no file matches " + strings.Join(missing, ", ")
	switch {
	case found == 0 && (!wild || rule.match), wild && rule.wildcardMatch, len(alternatives) > 1 && rule.braceMatch:
		return r.fatal(pattern.at, keyword, message, "correct the path, or write a pattern such as DIR/*.conf with include if there may be none", fs.ErrNotExist)
	}
	r.add(silent(Warning), pattern.at, keyword, message, "")
	return nil
}

// includeOne reads the files of one alternative and returns how many there
// were. A plain name must be a file that can be read.
func (r *reader) includeOne(at place, name, keyword string, only bool) (int, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(r.files[at.file]), name)
	}
	if !strings.ContainsAny(name, `*?[\`) {
		if _, err := r.fs.Stat(name); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return 0, nil
			}
			return 0, r.fatal(at, keyword, cause("read", name, err), "", err)
		}
		return 1, r.file(name, at, only)
	}
	matches, err := r.fs.Glob(name)
	if err != nil {
		return 0, r.fatal(at, keyword, cause("match", name, err), "correct the pattern", err)
	}
	slices.Sort(matches)
	for _, m := range matches {
		if err := r.file(m, at, false); err != nil {
			return 0, err
		}
	}
	return len(matches), nil
}

// file reads one file; from is the place of the include, or zero for the
// first file. A file that only matched a pattern is skipped when it is a
// directory, no regular file, or executable, as keepalived does; a named one
// must be usable.
func (r *reader) file(name string, from place, named bool) error {
	first := len(r.files) == 0
	if first {
		r.files = append(r.files, name)
	}
	if len(r.open) > r.limits.IncludeDepth {
		return r.fatal(from, "include", fmt.Sprintf("files include each other more than %d deep", r.limits.IncludeDepth), "", nil)
	}
	info, err := r.fs.Stat(name)
	if err != nil {
		return r.fatal(from, "include", cause("read", name, err), readHint(err), err)
	}
	if why := unfit(info, first); why != "" {
		if named {
			return r.fatal(from, "include", fmt.Sprintf("%s is %s", name, why), "name a regular file without execute permission", nil)
		}
		r.add(Warning, from, "include", fmt.Sprintf("%s is %s and is skipped", name, why), "")
		return nil
	}
	real, err := r.fs.Real(name)
	if err != nil {
		return r.fatal(from, "include", cause("resolve", name, err), "", err)
	}
	if slices.Contains(r.open, real) {
		return r.fatal(from, "include", name+" includes itself", "remove the include, or name the files one by one", nil)
	}
	data, err := r.read(name, from)
	if err != nil {
		return err
	}
	file := int32(0)
	if !first {
		file = int32(len(r.files))
		r.files = append(r.files, name)
	}
	if len(r.files) > r.limits.Files {
		return r.fatal(from, "include", fmt.Sprintf("more than %d files are included", r.limits.Files), "", nil)
	}
	r.open = append(r.open, real)
	err = r.content(file, data)
	r.open = r.open[:len(r.open)-1]
	return err
}

// read returns the content of a file within the limits.
func (r *reader) read(name string, from place) (string, error) {
	limit := min(r.limits.FileSize, r.limits.TotalSize-r.size)
	data, more, err := r.fs.readAll(name, limit)
	if err != nil {
		return "", r.fatal(from, "include", cause("read", name, err), readHint(err), err)
	}
	if more {
		return "", r.fatal(from, "include", fmt.Sprintf("%s is larger than the limit of %d bytes", name, limit), "check that it is the right file", nil)
	}
	r.size += int64(len(data))
	return string(data), nil
}

// cause phrases an error of the file system without repeating the path.
func cause(verb, name string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Sprintf("%s %s: %v", verb, name, err)
}

func readHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "check the path"
	case errors.Is(err, fs.ErrPermission):
		return "make it readable, or run as root"
	}
	return ""
}

// unfit says what keeps a file from being read, or "". The first file may be
// a pipe and may be executable.
func unfit(info fs.FileInfo, first bool) string {
	switch {
	case info.IsDir():
		return "a directory"
	case first:
		return ""
	case !info.Mode().IsRegular():
		return "not a regular file"
	case info.Mode().Perm()&0o111 != 0:
		return "executable"
	}
	return ""
}

// errManyAlternatives bounds the braces of one include.
var errManyAlternatives = errors.New("more than 1000 alternatives in braces")

// expandBraces writes out {a,b} alternatives, nested ones too.
func expandBraces(s string) ([]string, error) {
	open := strings.IndexByte(s, '{')
	if open < 0 {
		return []string{s}, nil
	}
	depth, start := 0, open+1
	var alternatives []string
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				alternatives = append(alternatives, s[start:i])
				start = i + 1
			}
		case '}':
			if depth--; depth > 0 {
				continue
			}
			alternatives = append(alternatives, s[start:i])
			return joinAlternatives(s[:open], alternatives, s[i+1:])
		}
	}
	return nil, errors.New("a brace is not closed")
}

func joinAlternatives(before string, middle []string, after string) ([]string, error) {
	tails, err := expandBraces(after)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range middle {
		inner, err := expandBraces(m)
		if err != nil {
			return nil, err
		}
		for _, i := range inner {
			for _, t := range tails {
				if len(out) == 1000 {
					return nil, errManyAlternatives
				}
				out = append(out, before+i+t)
			}
		}
	}
	return out, nil
}
