package notify

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/evenkeel/evenkeel/model"
)

// Object is what changed its state, as notify scripts are told.
type Object string

// The objects of VRRP.
const (
	Instance Object = "INSTANCE"
	Group    Object = "GROUP"
)

// State is a state or an event in the words of scripts and FIFOs.
type State string

// The states, and the events that are told as if they were states.
const (
	Master  State = "MASTER"
	Backup  State = "BACKUP"
	Fault   State = "FAULT"
	Stop    State = "STOP"
	Deleted State = "DELETED"
	// MasterRxLowerPri goes to its own script and to the FIFO.
	MasterRxLowerPri State = "MASTER_RX_LOWER_PRI"
	// MasterPriority and BackupPriority go to the FIFO only.
	MasterPriority State = "MASTER_PRIORITY"
	BackupPriority State = "BACKUP_PRIORITY"
)

// Transition is a change of a VRRP instance or sync group.
type Transition struct {
	Object Object
	Name   string
	State  State
	// Priority is the effective one. Groups have none and print 0.
	Priority uint8
	// Reason says why, for mail and log; scripts and FIFOs do not get it.
	Reason string
}

// Args returns what a notify script gets after its configured arguments.
func (t Transition) Args() []string {
	priority := t.Priority
	if t.Object == Group {
		priority = 0
	}
	return []string{string(t.Object), t.Name, string(t.State), strconv.Itoa(int(priority))}
}

// Line returns the line for a FIFO with its line feed.
func (t Transition) Line() string {
	a := t.Args()
	return fmt.Sprintf("%s \"%s\" %s %s\n", a[0], a[1], a[2], a[3])
}

// Subject returns the subject of a mail after the router's name, or nothing for
// an event that no mail is sent for.
func (t Transition) Subject() string {
	object := "Instance"
	if t.Object == Group {
		object = "Group"
	}
	var what string
	switch t.State {
	case Master, Backup, Fault:
		what = fmt.Sprintf("Entering %s state", t.State)
	case Stop:
		what = "Stopping"
	case Deleted:
		what = "Deleted"
	default:
		return ""
	}
	return fmt.Sprintf("VRRP %s %s - %s", object, t.Name, what)
}

// body returns the text of a mail.
func (t Transition) body() string {
	object := "VRRP instance"
	if t.Object == Group {
		object = "VRRP sync group"
	}
	text := fmt.Sprintf("%s %s: %s", object, t.Name, t.State)
	if t.Object == Instance {
		text += fmt.Sprintf(", priority %d", t.Priority)
	}
	if t.Reason != "" {
		text += "\nReason: " + t.Reason
	}
	return text + "\n"
}

// Scripts are the notify scripts of an instance or a group; nil is none.
type Scripts struct {
	Master, Backup, Fault, Stop, Deleted, MasterRxLowerPri *model.Script
	// Generic is notify.
	Generic *model.Script
	// DeletedEvent is notify_deleted without a script: Generic is told of the
	// end of the instance as DELETED.
	DeletedEvent bool
}

// Adjust returns the transition as it is told to all: the removal of an
// instance without notify_deleted is told as FAULT.
func (s Scripts) Adjust(t Transition) Transition {
	if t.State == Deleted && s.Deleted == nil && !s.DeletedEvent {
		t.State = Fault
	}
	return t
}

// For returns the scripts to run for an adjusted transition, in order, with
// all their arguments.
func (s Scripts) For(t Transition) []model.Script {
	var own *model.Script
	generic := s.Generic
	switch t.State {
	case Master:
		own = s.Master
	case Backup:
		own = s.Backup
	case Fault:
		own = s.Fault
	case Stop:
		own = s.Stop
	case Deleted:
		own = s.Deleted
	case MasterRxLowerPri:
		own, generic = s.MasterRxLowerPri, nil
	default:
		return nil
	}
	var list []model.Script
	if own != nil {
		list = append(list, *own)
	}
	if generic != nil {
		list = append(list, withArgs(*generic, t.Args()...))
	}
	return list
}

// withArgs returns s with more arguments. A command that cannot be split stays
// as it is, for the runner to say.
func withArgs(s model.Script, args ...string) model.Script {
	argv := s.Argv
	if len(argv) == 0 {
		var err error
		if argv, err = ParseCommand(s.Command); err != nil {
			return s
		}
	}
	s.Argv = append(slices.Clone(argv), args...)
	return s
}

// ServiceChange says that a virtual service gained or lost its quorum.
type ServiceChange struct {
	// Service is the service as logs name it: [192.0.2.1]:tcp:80.
	Service string
	Up      bool
	// Reason says why, for mail and log.
	Reason string
}

// Line returns the line for a FIFO. As in keepalived a NUL byte follows the
// line feed.
func (c ServiceChange) Line() string { return "VS " + c.Service + " " + upDown(c.Up) + "\n\x00" }

// Subject returns the subject of a mail after the router's name.
func (c ServiceChange) Subject() string { return "Virtualserver " + c.Service + " - " + upDown(c.Up) }

// ServerChange says that a real server came up or went down.
type ServerChange struct {
	// Server and Service are as logs name them: [10.0.0.5]:tcp:8080.
	Server, Service string
	Up              bool
	// Reason says why, for mail and log.
	Reason string
}

// Line returns the line for a FIFO. As in keepalived a NUL byte follows the
// line feed.
func (c ServerChange) Line() string {
	return "RS " + c.Server + " " + c.Service + " " + upDown(c.Up) + "\n\x00"
}

// Subject returns the subject of a mail after the router's name.
func (c ServerChange) Subject() string {
	return "Realserver " + c.Server + " of virtual server " + c.Service + " - " + upDown(c.Up)
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

// changeBody returns the text of a mail about a service or server.
func changeBody(object string, up bool, reason string) string {
	text := object + " is " + upDown(up)
	if reason != "" {
		text += "\nReason: " + reason
	}
	return text + "\n"
}
