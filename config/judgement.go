package config

// Judgement says what keepalived's own configuration test (keepalived -t) makes
// of what a Diagnostic is about. It decides the exit code of ours, and nothing
// else.
type Judgement uint8

// The judgements. They are those of keepalived 2.2.7.
const (
	// Complains: it complains, too.
	Complains Judgement = iota
	// ComplainsOfKeyword: it complains of a keyword that it does not know.
	ComplainsOfKeyword
	// Silent: it says nothing, so that a file that people use passes.
	Silent
	// Ends: it ends at once with the exit code of a broken configuration.
	Ends
)

// grade is how much a complaint weighs: with us, and with keepalived.
type grade interface {
	severity() Severity
	judgement() Judgement
}

func (s Severity) severity() Severity { return s }

// judgement is keepalived's of most complaints with this severity.
func (s Severity) judgement() Judgement {
	if s == Note {
		return Silent
	}
	return Complains
}

// graded is a grade whose judgement is not the one of its severity.
type graded struct {
	Severity
	keepalived Judgement
}

func (g graded) judgement() Judgement { return g.keepalived }

func silent(s Severity) grade         { return graded{s, Silent} }
func complains(s Severity) grade      { return graded{s, Complains} }
func ends(s Severity) grade           { return graded{s, Ends} }
func unknownKeyword(s Severity) grade { return graded{s, ComplainsOfKeyword} }
