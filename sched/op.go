package sched

import (
	"fmt"

	"github.com/evenkeel/evenkeel/model"
)

// Kind says what an operation does.
type Kind uint8

// The operations. They are those of IPVS's control interface.
const (
	AddService Kind = iota + 1
	EditService
	DelService
	AddServer
	EditServer
	DelServer
)

// String returns the operation's name as it is logged.
func (k Kind) String() string {
	switch k {
	case AddService:
		return "add service"
	case EditService:
		return "edit service"
	case DelService:
		return "delete service"
	case AddServer:
		return "add server"
	case EditServer:
		return "edit server"
	case DelServer:
		return "delete server"
	}
	return fmt.Sprintf("operation %d", uint8(k))
}

// Op is one change to the running services. Operations are carried out in
// order, and the order matters (see the package comment).
type Op struct {
	Kind Kind
	// Service is complete for AddService and EditService; the other kinds
	// read its Key only.
	Service model.Service
	// Server is complete for AddServer and EditServer; DelServer reads its
	// Addr only, and the service kinds nothing.
	Server model.Server
}

// String prints the operation for logs and for diffs.
func (o Op) String() string {
	switch o.Kind {
	case AddService, EditService:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Service.Key, o.Service.Scheduler)
	case DelService:
		return fmt.Sprintf("%s %s", o.Kind, o.Service.Key)
	case AddServer, EditServer:
		return fmt.Sprintf("%s %s %s %s weight %d", o.Kind, o.Service.Key, o.Server.Addr, o.Server.Forward, o.Server.Weight)
	case DelServer:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Service.Key, o.Server.Addr)
	}
	return o.Kind.String()
}
