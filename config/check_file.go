package config

import (
	"fmt"
	"math"

	"github.com/evenkeel/evenkeel/model"
)

// fileDraft is what FILE_CHECK has of its own; nil is not set.
type fileDraft struct {
	name    *statement
	weight  *int32
	reverse bool
	// spoiled is set by a weight that cannot be read: without it the check
	// would say something else.
	spoiled bool
}

// fileSetting takes a line of FILE_CHECK.
func (b *builder) fileSetting(f *fileDraft, s *statement) {
	switch s.keyword() {
	case "track_file":
		f.name = s
	case "weight":
		b.fileWeight(f, s)
	}
}

// fileWeight reads NUMBER [reverse|noreverse].
func (b *builder) fileWeight(f *fileDraft, s *statement) {
	n, err := parseInt(s.arg(0), -math.MaxInt32, math.MaxInt32)
	if err != nil {
		b.bad(s, 0, err, checkLeftOut, "write weight 1")
		f.spoiled = true
		return
	}
	f.weight, f.reverse = new(int32(n)), false
	switch s.arg(1) {
	case "", "noreverse":
	case "reverse":
		f.reverse = true
	default:
		b.add(Warning, s.args()[1].at, s.keyword(), fmt.Sprintf("%q after weight is neither reverse nor noreverse and is ignored", s.arg(1)), "")
	}
}

// file finishes FILE_CHECK. It reports whether the check can run. The first
// try is not delayed: keepalived acts on the file from the start.
func (b *builder) file(c *checkDraft, out model.Check) (model.Check, bool) {
	f := c.file
	switch {
	case f.spoiled:
		return out, false
	case f.name == nil:
		b.add(Error, c.st.at(), string(c.kind), "FILE_CHECK has no track_file; "+checkLeftOut, "write track_file and the name of a track_file block in it")
		return out, false
	}
	name := f.name.arg(0)
	def, ok := b.trackFiles[name]
	if !ok {
		b.add(Error, f.name.at(), f.name.keyword(), fmt.Sprintf("there is no track_file %s that runs; %s", name, checkLeftOut), fmt.Sprintf("write track_file %s { file /path } outside", name))
		return out, false
	}
	out.File = &model.FileSpec{TrackFile: name, Weight: int32(def.weight), Reverse: def.reverse}
	if f.weight != nil {
		out.File.Weight, out.File.Reverse = *f.weight, f.reverse
	}
	out.Alpha, out.Warmup = false, 0
	return out, true
}
