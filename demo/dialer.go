package demo

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/evenkeel/evenkeel/internal/lab"
)

// The ports that the client's connections leave from.
const (
	firstPort = 10000
	lastPort  = 59999
)

// dialer opens the client's connections, each from the next port. The kernel
// would choose ports by chance and may take one again within seconds. A
// balancer that sees only the requests, as with DR, then takes the new
// connection for the one that has just ended, for two minutes, and IPVS does so too:
// nothing is wrong with that, but shares would not be equal.
type dialer struct {
	node *lab.Node

	mu   sync.Mutex // guards next
	next int
}

func newDialer(node *lab.Node) *dialer { return &dialer{node: node, next: firstPort} }

// busyPorts is how many ports in a row may be in use by somebody else.
const busyPorts = 10

// forKey is the key of the context for which a connection is opened.
type forKey struct{}

// forRequest lets dial end with the request. A transport lets it go on, for
// other requests, and it would be a connection that nobody asked for.
func forRequest(ctx context.Context) context.Context { return context.WithValue(ctx, forKey{}, ctx) }

// dial is a DialContext for addresses, not names, with contexts of forRequest.
func (d *dialer) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if request, ok := ctx.Value(forKey{}).(context.Context); ok {
		ctx = request
	}
	for range busyPorts {
		from := &net.TCPAddr{Port: d.port()}
		doErr := d.node.Do(func() error {
			conn, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, network, addr)
			return nil
		})
		if doErr != nil {
			return nil, doErr
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return conn, err
}

func (d *dialer) port() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	port := d.next
	d.next++
	if d.next > lastPort {
		d.next = firstPort
	}
	return port
}
