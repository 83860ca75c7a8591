package director

import (
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/sched"
)

// Table is what a datapath is to run of one service. Servers are in the order
// in which they are added: that of the file, the sorry server last.
type Table struct {
	Service model.Service
	Servers []model.Server
}

// Reconcile returns the fewest operations that turn what runs into what is
// wanted. A server that stays keeps its place and its flows.
func Reconcile(running model.Tables, wanted []Table) []sched.Op { return nil }
