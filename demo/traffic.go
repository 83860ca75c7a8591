package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// requestTimeout is how long a request may take until it counts as failed. A
// lost SYN is sent again after a second, and once more two seconds later.
const requestTimeout = 5 * time.Second

// outcome is what came of one request.
type outcome struct {
	service int
	// asked is when it was sent, known when its outcome was.
	asked, known time.Time
	// server is who answered; empty when nobody did.
	server string
	// failure says why there was no answer; empty when there was one.
	failure string
}

// traffic sends requests at a steady pace to the services in turn.
type traffic struct {
	// ask sends one and returns who answered.
	ask      func(ctx context.Context, service int) (server string, err error)
	services int
	// every is the pause between two requests, atOnce how many may be under
	// way, timeout how long one may take.
	every   time.Duration
	atOnce  int
	timeout time.Duration
}

// run sends n requests, or without end when n is 0, until stop is closed or
// ctx ends. Then it waits for those under way. It calls each, from its own
// goroutine, with every outcome but failures that the end of ctx caused.
func (t traffic) run(ctx context.Context, n int, stop <-chan struct{}, each func(outcome)) {
	pace := time.NewTicker(t.every)
	defer pace.Stop()
	outcomes := make(chan outcome)
	end := ctx.Done()
	for sent, underWay, more := 0, 0, true; more || underWay > 0; {
		var next <-chan time.Time
		if more && underWay < t.atOnce {
			next = pace.C
		}
		select {
		case <-next:
			service := sent % t.services
			sent++
			underWay++
			more = n == 0 || sent < n
			go func() { outcomes <- t.request(ctx, service) }()
		case o := <-outcomes:
			underWay--
			if o.failure == "" || ctx.Err() == nil {
				each(o)
			}
		case <-stop:
			more, stop = false, nil
		case <-end:
			more, end = false, nil
		}
	}
}

func (t traffic) request(ctx context.Context, service int) outcome {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	o := outcome{service: service, asked: time.Now()}
	server, err := t.ask(ctx, service)
	o.known, o.server = time.Now(), server
	if err != nil {
		o.server, o.failure = "", failureOf(err, t.timeout)
	}
	return o
}

// failureOf puts the error of a request into the few words that failures are
// counted under. timeout is how long the request was let.
func failureOf(err error, timeout time.Duration) string {
	var network net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the answer was complete"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer in %s", timeout)
	}
	return err.Error()
}
