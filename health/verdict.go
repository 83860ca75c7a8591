package health

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Verdict says that a server went up or down.
type Verdict struct {
	Service model.ServiceKey
	Server  netip.AddrPort
	Up      bool
	// Reason is one line: TCP_CHECK to 10.0.0.5:80: connection refused.
	Reason string
	// Evidence is the try that decided. It is zero when no try did, as when
	// a reload took the failed check away.
	Evidence Evidence
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
	// Result is what came of it.
	Result Result `json:"result"`
	// Error is the cause in plain words, such as connection refused; empty
	// after a success.
	Error string `json:"error,omitempty"`
}

// evidenceOf returns the evidence of a try without its times.
func evidenceOf(c model.Check, err error) Evidence {
	e := Evidence{From: sourceOf(c), To: c.ConnectTo, Result: Succeeded}
	if err == nil {
		return e
	}
	e.Result, e.Error = Failed, err.Error()
	if errors.Is(err, ErrNotTried) {
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
