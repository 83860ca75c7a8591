package health

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Verdict says that a server went up or down, or that its weight changed.
type Verdict struct {
	Service model.ServiceKey
	Server  netip.AddrPort
	Up      bool
	// Weight is what the checks do to the server's weight, whether it is up
	// or down. It stays in force until the next verdict on the server.
	Weight WeightChange
	// Reason is one line: TCP_CHECK to 10.0.0.5:80: connection refused.
	Reason string
	// Evidence is the try that decided. It is zero when no try did, as when
	// a reload took the failed check away.
	Evidence Evidence

	// judged tells a verdict on the server from one on its weight alone.
	judged bool
}

// Evidence is what one try of a check showed.
type Evidence struct {
	// At is when the try ended; the zero time means that none has ended yet.
	At time.Time `json:"at"`
	// Took is how long the try lasted.
	Took time.Duration `json:"took_ns"`
	// From is the source that the check asks for, such as 10.0.0.1 or
	// 10.0.0.1:5000 on eth1; empty leaves it to the kernel.
	From string `json:"from,omitempty"`
	// To is the address that was tried.
	To netip.AddrPort `json:"to"`
	// Path is that of the url that was tried, of a check that has urls.
	Path string `json:"path,omitempty"`
	// Result is what came of it.
	Result Result `json:"result"`
	// Error is the cause in plain words, such as connection refused; empty
	// after a success.
	Error string `json:"error,omitempty"`
	// Sent and Received are excerpts of what went to the server and what came
	// back, in printable characters. They are kept of failures only.
	Sent     string `json:"sent,omitempty"`
	Received string `json:"received,omitempty"`
}

// evidenceOf returns the evidence of a try without its times.
func evidenceOf(c model.Check, a Answer) Evidence {
	e := Evidence{From: sourceOf(c), To: c.ConnectTo, Result: Succeeded}
	if c.HTTP != nil && len(c.HTTP.URLs) > 0 {
		e.Path = c.HTTP.URLs[0].Path
	}
	if a.Err == nil {
		return e
	}
	e.Result, e.Error = Failed, a.Err.Error()
	e.Sent, e.Received = a.Sent, a.Received
	if errors.Is(a.Err, ErrNotTried) {
		e.Result = NotTried
	}
	return e
}

// sourceOf says from where a check is asked to connect, or nothing.
func sourceOf(c model.Check) string {
	from := ""
	switch addr := c.BindTo.Addr(); {
	case addr.IsValid() && c.BindTo.Port() != 0:
		from = c.BindTo.String()
	case addr.IsValid():
		from = addr.String()
	case c.BindTo.Port() != 0:
		from = fmt.Sprintf("port %d", c.BindTo.Port())
	}
	if c.BindInterface == "" {
		return from
	}
	if from == "" {
		return c.BindInterface
	}
	return from + " on " + c.BindInterface
}
