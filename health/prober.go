package health

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/model"
)

// ErrNotTried marks a Prober's error that says nothing about the server: the
// try could not be made from this machine. Such a result changes no state.
var ErrNotTried = errors.New("not tried")

// Prober makes one try of a check. It returns nil when the server passed, an
// error that wraps ErrNotTried when no try could be made, and any other error
// when the server failed. The text of the error is shown to people. It keeps to
// the check's own time limits and returns soon after ctx ends. It is called
// from many goroutines at once.
//
// A check of several urls is tried one url at a time: c.HTTP.URLs holds that
// one.
type Prober interface {
	Probe(ctx context.Context, c model.Check) error
}

// Examiner is a Prober that says more than passed or failed. The Runner calls
// Examine instead of Probe where there is one.
type Examiner interface {
	Prober
	Examine(ctx context.Context, c model.Check) Answer
}

// Answer is what came of one try.
type Answer struct {
	// Err is what Probe returns.
	Err error
	// Sent and Received are what went to the server and what came back, cut
	// to a few hundred bytes and without control characters. Both may be
	// empty.
	Sent, Received string
	// Weight is what a passed check does to the server's weight.
	Weight WeightChange
	// Digest is the MD5 of the page in hexadecimal, where the url has a digest
	// and a page came, of whatever status.
	Digest string
}

// examine asks p in the way that p knows.
func examine(ctx context.Context, p Prober, c model.Check) Answer {
	if e, ok := p.(Examiner); ok {
		return e.Examine(ctx, c)
	}
	return Answer{Err: p.Probe(ctx, c)}
}

// notTried returns an error that wraps ErrNotTried without its words, since
// Result says those already.
func notTried(format string, args ...any) error {
	return &notTriedError{fmt.Sprintf(format, args...)}
}

type notTriedError struct{ text string }

func (e *notTriedError) Error() string { return e.text }
func (e *notTriedError) Unwrap() error { return ErrNotTried }

// excerptLength bounds what is kept of what was sent or received, in bytes
// before quoting.
const excerptLength = 256

// excerpt returns the first bytes of b as printable text: what a server sends
// must not reach a terminal or a log as it is.
func excerpt(b []byte) string {
	cut := len(b) > excerptLength
	if cut {
		b = b[:excerptLength]
		// Leave no half character behind.
		for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
			if utf8.RuneStart(b[len(b)-i]) {
				if !utf8.FullRune(b[len(b)-i:]) {
					b = b[:len(b)-i]
				}
				break
			}
		}
	}
	quoted := strconv.Quote(string(b))
	text := quoted[1 : len(quoted)-1]
	if cut {
		text += "..."
	}
	return text
}
