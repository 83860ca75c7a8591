package config

// Limits bound the work and the memory that a configuration can cause. A
// zero field stands for its default. A configuration beyond a limit is an
// UnparsableError that names the place.
type Limits struct {
	// FileSize is the greatest size of one file in bytes, default 64 MiB.
	FileSize int64
	// TotalSize is the greatest size of all files together in bytes, default
	// 128 MiB. A file included twice counts twice.
	TotalSize int64
	// LineLength is the greatest length of one line in bytes, also after
	// expansion, default 64 KiB. keepalived itself drops lines of more than
	// 1024 bytes.
	LineLength int
	// Files is the greatest number of files, default 10,000.
	Files int
	// IncludeDepth is the deepest nesting of include, default 32.
	IncludeDepth int
	// Lines is the greatest number of lines after expansion of definitions
	// and sequences, default 2 million.
	Lines int
	// Words is the greatest number of words after expansion, default 8
	// million.
	Words int
	// Expanded is the greatest number of bytes that definitions and sequences
	// may expand to, default 256 MiB.
	Expanded int64
	// GroupServices is the greatest number of services that all
	// virtual_server_groups together may expand to, default 65,536. Beyond it a
	// virtual server is left out, with an error.
	GroupServices int
	// Depth is the deepest nesting of blocks and of definitions, default 64.
	Depth int
	// Diagnostics is the greatest number of errors, and of warnings and notes
	// together, that are kept, default 1000 each. A note says how many more
	// there are; this alone makes no error.
	Diagnostics int
}

// orDefault returns the limits with every zero field replaced.
func (l Limits) orDefault() Limits {
	def(&l.FileSize, 64<<20)
	def(&l.TotalSize, 128<<20)
	def(&l.LineLength, 64<<10)
	def(&l.Files, 10_000)
	def(&l.IncludeDepth, 32)
	def(&l.Lines, 2_000_000)
	def(&l.Words, 8_000_000)
	def(&l.Expanded, 256<<20)
	def(&l.GroupServices, 65_536)
	def(&l.Depth, 64)
	def(&l.Diagnostics, 1000)
	return l
}

func def[T int | int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
