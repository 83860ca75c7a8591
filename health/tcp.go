package health

import (
	"context"
	"errors"

	"github.com/evenkeel/evenkeel/model"
)

// unconnected is the answer of a try that ended with the connection itself.
func unconnected(err error) Answer {
	if err == nil || errors.Is(err, ErrNotTried) {
		return Answer{Err: err}
	}
	return Answer{Err: err, Sent: "connection request"}
}

// TCP is the Prober of TCP_CHECK: it connects and closes, nothing more. The
// zero value is ready.
type TCP struct{}

// Probe implements Prober. The connection is closed as any client closes it,
// with a FIN, so that the server's logs show nothing odd.
func (TCP) Probe(ctx context.Context, c model.Check) error {
	if c.Kind != model.TCPCheck {
		return notTried("%s is not a check that runs", c.Kind)
	}
	conn, err := dial(ctx, "tcp", c)
	if err != nil {
		return err
	}
	// The verdict stands: the server accepted.
	_ = conn.Close()
	return nil
}
