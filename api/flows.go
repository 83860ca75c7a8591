package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// flowsPerDeadline is how many flows are written before the deadline is moved:
// a table of a million takes as long as it takes, a reader that stalls does
// not.
const flowsPerDeadline = 1024

// FromFlow returns a flow as it stands in JSON.
func FromFlow(f model.Flow) Flow {
	return Flow{
		Protocol:       f.Protocol.String(),
		Client:         f.Client.String(),
		Virtual:        f.Virtual.String(),
		Server:         f.Server.String(),
		Forward:        f.Forward.String(),
		State:          f.State,
		ExpiresSeconds: f.Expires.Seconds(),
	}
}

// flows writes flows as they are read, so that the table is never held in
// memory as a whole. What goes wrong after the first byte can only be said in the
// body.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	deadline := http.NewResponseController(w)
	extend := func() {
		// A writer without deadlines exists in tests only.
		_ = deadline.SetWriteDeadline(time.Now().Add(2 * s.opts.Timeout))
	}
	extend()
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 64<<10)
	list := flowList{out: out}
	list.open()
	err := s.opts.Source.Flows(ctx, func(f Flow) bool {
		if list.count%flowsPerDeadline == 0 {
			extend()
		}
		return list.add(f)
	})
	list.close(errors.Join(err, list.err))
	// The peer is gone if this fails.
	_ = out.Flush()
}

// flowList writes Flows piece by piece.
type flowList struct {
	out   *bufio.Writer
	count int
	err   error
}

func (l *flowList) open() { _, l.err = l.out.WriteString(`{"flows":[`) }

// add writes one flow and reports whether another is welcome.
func (l *flowList) add(f Flow) bool {
	if l.err != nil {
		return false
	}
	text, err := json.Marshal(f)
	if err != nil {
		l.err = err
		return false
	}
	if l.count > 0 {
		text = append([]byte(",\n"), text...)
	}
	l.count++
	_, l.err = l.out.Write(text)
	return l.err == nil
}

func (l *flowList) close(err error) {
	// bufio keeps the first error; Flush reports it.
	_, _ = l.out.WriteString("]")
	if err != nil {
		text, _ := json.Marshal(err.Error())
		_, _ = l.out.WriteString(`,"error":`)
		_, _ = l.out.Write(text)
	}
	_, _ = l.out.WriteString("}\n")
}
