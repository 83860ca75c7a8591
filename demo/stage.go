package demo

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/api"
)

// stage is the world that the demo plays in. Servers, services and directors
// are counted from 0, in the plan's order.
type stage interface {
	// Request asks a service over a connection of its own and returns the
	// name of the server that answered.
	Request(ctx context.Context, service int) (server string, err error)
	// Ping asks the service's address for an echo, which its holder answers
	// without any server.
	Ping(ctx context.Context, service int) error
	// Download reads an answer that takes the given time to arrive. It calls
	// opened with the server's name when the answer has begun.
	Download(ctx context.Context, service int, last time.Duration, opened func(server string)) error
	// StopServer closes a server's listener and its connections, as when the
	// process dies. StartServer undoes it.
	StopServer(server int) error
	StartServer(server int) error
	// Reload gives the daemons a file with these weights and returns when it runs.
	Reload(ctx context.Context, weights []int32) error
	// Table and Status return what the daemon of a director says. A director
	// that is off, or whose program is no daemon of ours, has neither.
	Table(ctx context.Context, director int) (table, error)
	Status(ctx context.Context, director int) (api.Status, error)
	// Holding says who has the virtual addresses.
	Holding(ctx context.Context) (holding, error)
	// CutPower ends a director at once with all that it has. StopDirector tells
	// its program to stop and returns when it has. StartDirector undoes both and
	// returns when the program takes part in the election.
	CutPower(director int) error
	StopDirector(ctx context.Context, director int) error
	StartDirector(ctx context.Context, director int) error
}

// holding says how many virtual addresses each director has.
type holding struct {
	has [directorCount]int
	of  int
}

// only reports whether this director has all of them, and no other one any.
func (h holding) only(director int) bool {
	for i, n := range h.has {
		if i == director && n != h.of || i != director && n != 0 {
			return false
		}
	}
	return h.of > 0
}

// all reports whether this director has all of them, whoever else has some.
func (h holding) all(director int) bool { return h.of > 0 && h.has[director] == h.of }

// master is the director that has all of them: the first, if both do while they
// move. It is -1 when none has.
func (h holding) master() int {
	for i := range h.has {
		if h.all(i) {
			return i
		}
	}
	return -1
}
