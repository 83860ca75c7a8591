package model

import "time"

// NotifyScripts are the notify words of an instance or a group; nil is none.
type NotifyScripts struct {
	Master, Backup, Fault, Stop, Deleted, MasterRxLowerPri *Script
	// Generic is notify.
	Generic *Script
	// DeletedEvent is notify_deleted without a script: Generic is told of the
	// end of the instance as DELETED.
	DeletedEvent bool
}

// ScriptSettings are what global_defs says about scripts.
type ScriptSettings struct {
	// User and Group are script_user, for scripts that name none. Both are names
	// or numbers. An empty User is keepalived's default, an empty Group the
	// user's own.
	User, Group string
	Pos         Position
	// Security is enable_script_security.
	Security bool
	// SupplementaryGroups is set_supplementary_groups.
	SupplementaryGroups bool
	// KeepSymlinks is use_symlink_paths.
	KeepSymlinks bool
}

// FIFO is a notify FIFO with its reader.
type FIFO struct {
	Pos Position
	// Path is absolute.
	Path string
	// User and Group own the FIFO, or are empty.
	User, Group string
	// Script reads it, or is nil.
	Script *Script
}

// FIFOs are the notify FIFOs of global_defs; nil is none.
type FIFOs struct {
	// All is notify_fifo, VRRP is vrrp_notify_fifo, LVS is lvs_notify_fifo.
	All, VRRP, LVS *FIFO
}

// Mail is where and how alerts are sent.
type Mail struct {
	Pos Position
	// Server is a host and a port: 192.0.2.25:25, mail.example.org:25.
	Server string
	// From is notification_email_from, default root at the host's name. To is
	// notification_email, at least one.
	From string
	To   []string
	// HELO is smtp_helo_name, default the host's name.
	HELO string
	// Timeout bounds each step of a delivery, default 30 s.
	Timeout time.Duration
	// NoFaults sends none for FAULT (no_email_faults).
	NoFaults bool
}
