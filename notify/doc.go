// Package notify tells the world outside: it runs scripts with the rights of
// their own user, writes the notify FIFOs and sends mail.
//
// It owns how a script is run, for notify scripts and as well for vrrp_script
// and MISC_CHECK (Runner): the words of its command line (command.go), its user
// (account.go), whether it may run at all (secure.go), its process group, its
// end by TERM and then KILL, and the last lines that it wrote. It owns the forms
// that users rely on: the arguments of notify scripts, the lines of the FIFOs,
// the subjects of mails. The Notifier queues what is to be told. Its methods
// never block: queues are bounded, what does not fit is dropped, counted and
// logged once per time of want.
//
// Scripts differ from keepalived's in these ways. Their environment is made new
// (DefaultEnv and the user's HOME, USER, LOGNAME and SHELL) where keepalived
// passes its own on; they have a session of their own, start in /, and hold no
// descriptor but the standard three. The path is checked before each run, not
// only at the start. A run over its time-out fails at the time-out, where
// keepalived waits until the process has died. Checks write to a pipe whose end
// is kept as evidence, where keepalived gives them /dev/null; notify scripts
// have /dev/null here too, so that what they leave behind in the background
// outlives us. The umask is the daemon's, in both. No new privilege is off by
// default, since many scripts call sudo or ping.
//
// FIFO lines wait in a queue while the FIFO is full, where keepalived loses
// them at once. Addresses of mail may be in the form Name <user@host>.
//
// The package never decides that something is to be told, nor by whom it is
// tracked: vrrp, director and daemon do. It does not change the configuration's
// view of a script.
//
// Tests are tables for the pure parts, real processes ended by events and
// without privilege, real FIFOs in temporary folders, a mail server within the
// test, and synctest bubbles with fake scripts for queues. Switching users is
// tested in the netns tier, which has root.
package notify
