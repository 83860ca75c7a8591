package demo

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// stage is the world that the demo plays in. Servers and services are counted
// from 0, in the plan's order.
type stage interface {
	// Request asks a service over a connection of its own and returns the
	// name of the server that answered.
	Request(ctx context.Context, service int) (server string, err error)
	// Download reads an answer that takes the given time to arrive. It calls
	// opened with the server's name when the answer has begun.
	Download(ctx context.Context, service int, last time.Duration, opened func(server string)) error
	// StopServer closes a server's listener and its connections, as when the
	// process dies. StartServer undoes it.
	StopServer(server int) error
	StartServer(server int) error
	// Reload gives the daemon a file with these weights and returns when it runs.
	Reload(ctx context.Context, weights []int32) error
	// Table returns what the daemon says of services and servers.
	Table(ctx context.Context) (table, error)
	Status(ctx context.Context) (api.Status, error)
}
