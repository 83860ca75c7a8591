package model

import "time"

// TrackScript is one vrrp_script block with its defaults applied.
type TrackScript struct {
	Name string
	Pos  Position
	// Script is what runs. A zero Timeout stands for Interval.
	Script Script
	// Interval is the time from start to start, default 1 s.
	Interval time.Duration
	// Rise and Fall are the results in a row that turn it; 0 counts as 1.
	Rise, Fall uint32
	// InitFail lets it count as failed before its first result.
	InitFail bool
	// Weight and Reverse are for users that name none.
	Weight  int
	Reverse bool
}

// TrackFile is one track_file (or vrrp_track_file) block.
type TrackFile struct {
	Name string
	Pos  Position
	// Path is absolute.
	Path string
	// Init is init_file: what to do about the file at start.
	Init InitFile
	// InitValue is written by Init.
	InitValue int
	// Weight (default 1) and Reverse are for users that name none.
	Weight  int
	Reverse bool
}

// InitFile is the init_file keyword.
type InitFile uint8

// The choices: leave the file alone, create it if it is missing, write it in
// any case.
const (
	InitFileNone InitFile = iota
	InitFileCreate
	InitFileOverwrite
)

// TrackProcess is one vrrp_track_process block with its defaults applied.
type TrackProcess struct {
	Name string
	Pos  Position
	// Process is the program's name, or its argv[0] where Params, Match or
	// FullCommand ask for the command line.
	Process string
	// Params are its arguments; none are not compared.
	Params []string
	// Match says how Params are compared.
	Match ParamMatch
	// FullCommand compares the command line and not the name.
	FullCommand bool
	// Quorum and QuorumMax are the fewest and the most processes. The default
	// of Quorum is 1, and 0 where QuorumMax is 0; a negative QuorumMax is no
	// limit.
	Quorum, QuorumMax int
	// ForkDelay and TerminateDelay hold back a change that came with a
	// process more, or with one less.
	ForkDelay, TerminateDelay time.Duration
	// Weight and Reverse are for users that name none.
	Weight  int
	Reverse bool
}

// ParamMatch is the param_match keyword.
type ParamMatch string

// The ways to compare parameters. Exact: all are the same. Partial: the
// process may have more. Initial: it may have more, and the last given one may
// be the beginning of its counterpart.
const (
	MatchExact   ParamMatch = ""
	MatchPartial ParamMatch = "partial"
	MatchInitial ParamMatch = "initial"
)
