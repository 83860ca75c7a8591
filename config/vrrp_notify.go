package config

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// globalScripts takes the words about scripts and FIFOs.
func (v *vrrpBuilder) globalScripts(s *statement) {
	g := &v.global.Scripts
	fifos := &v.global.FIFOs
	switch s.keyword() {
	case "script_user":
		if user, group, ok := v.account(s, s.args()[:min(2, len(s.args()))], lineIgnored); ok {
			g.User, g.Group, g.Pos = user, group, v.position(s.at())
		}
	case "enable_script_security":
		v.turnOn(s, &g.Security)
	case "set_supplementary_groups":
		on := &g.SupplementaryGroups
		v.boolean(s, &on)
		g.SupplementaryGroups = *on
	case "use_symlink_paths":
		on := &g.KeepSymlinks
		v.boolean(s, &on)
		g.KeepSymlinks = *on
	case "notify_fifo":
		v.fifo(s, &fifos.All)
	case "vrrp_notify_fifo":
		v.fifo(s, &fifos.VRRP)
	case "notify_fifo_script":
		v.fifoReaders.all = s
	case "vrrp_notify_fifo_script":
		v.fifoReaders.vrrp = s
	case "lvs_notify_fifo":
		v.fifo(s, &fifos.LVS)
	case "lvs_notify_fifo_script":
		v.fifoReaders.lvs = s
	}
}

// fifo reads PATH [USER [GROUP]].
func (v *vrrpBuilder) fifo(s *statement, field **model.FIFO) {
	const consequence = "the FIFO is left out"
	if !path.IsAbs(s.arg(0)) {
		v.bad(s, 0, fmt.Errorf("not an absolute path"), consequence, "write "+s.keyword()+" /run/keepalived.fifo")
		return
	}
	f := &model.FIFO{Pos: v.position(s.at()), Path: s.arg(0)}
	var ok bool
	if f.User, f.Group, ok = v.account(s, s.args()[1:], consequence); ok {
		*field = f
	}
}

// fifoReaders are the lines of notify_fifo_script, vrrp_notify_fifo_script and
// lvs_notify_fifo_script.
type fifoReaders struct{ all, vrrp, lvs *statement }

// finishFIFOs gives the FIFOs their readers.
func (v *vrrpBuilder) finishFIFOs() {
	fifos := &v.global.FIFOs
	v.sameFIFO(fifos.VRRP, "vrrp_notify_fifo", "VRRP")
	v.sameFIFO(fifos.LVS, "lvs_notify_fifo", "services")
	v.fifoReader(v.fifoReaders.all, fifos.All, "notify_fifo")
	v.fifoReader(v.fifoReaders.vrrp, fifos.VRRP, "vrrp_notify_fifo")
	v.fifoReader(v.fifoReaders.lvs, fifos.LVS, "lvs_notify_fifo")
}

// sameFIFO warns when a FIFO of one kind of events is the one of all.
func (v *vrrpBuilder) sameFIFO(f *model.FIFO, keyword, events string) {
	all := v.global.FIFOs.All
	if all != nil && f != nil && all.Path == f.Path {
		v.add(Warning, v.placeOf(f.Pos), keyword, fmt.Sprintf("%s %s is notify_fifo, too; each event of %s is written twice, as by keepalived", keyword, f.Path, events), "remove one of the two")
	}
}

func (v *vrrpBuilder) fifoReader(s *statement, f *model.FIFO, keyword string) {
	if s == nil {
		return
	}
	script := v.script(s)
	switch {
	case script == nil:
	case f == nil:
		v.add(Error, s.at(), s.keyword(), fmt.Sprintf("%s has no FIFO to read; %s", s.keyword(), lineIgnored), "write "+keyword+" and a path")
	default:
		f.Script = script
	}
}

// notify takes a notify word of an instance or a group and reports whether it
// was one.
func (v *vrrpBuilder) notify(n *model.NotifyScripts, s *statement) bool {
	if s.keyword() == "notify_deleted" && len(s.args()) == 0 {
		n.DeletedEvent = true
		return true
	}
	field := map[string]**model.Script{
		"notify_master":              &n.Master,
		"notify_backup":              &n.Backup,
		"notify_fault":               &n.Fault,
		"notify_stop":                &n.Stop,
		"notify_deleted":             &n.Deleted,
		"notify_master_rx_lower_pri": &n.MasterRxLowerPri,
		"notify":                     &n.Generic,
	}[s.keyword()]
	if field == nil {
		return false
	}
	*field = v.script(s)
	return true
}

// mailDraft are the words about mail.
type mailDraft struct {
	at      *statement // smtp_server
	toAt    *statement
	timeout *time.Duration
	out     model.Mail
}

// globalMail takes the words about mail.
func (v *vrrpBuilder) globalMail(s *statement) {
	m := &v.mail
	switch s.keyword() {
	case "notification_email":
		m.toAt = s
		v.each(s.block, func(line *statement) {
			for _, w := range line.words {
				v.recipient(w)
			}
		})
	case "notification_email_from":
		if v.mailAddress(s, s.args()[0], lineIgnored) {
			m.out.From = s.arg(0)
		}
	case "smtp_server":
		v.smtpServer(s)
	case "smtp_connect_timeout":
		v.seconds(s, &m.timeout, time.Second, mostAnnounce)
	case "smtp_helo_name":
		if strings.ContainsAny(s.arg(0), " \t\r\n") || s.arg(0) == "" {
			v.bad(s, 0, fmt.Errorf("no name of a host"), lineIgnored, "write smtp_helo_name lb1.example.org")
			return
		}
		m.out.HELO = s.arg(0)
	case "no_email_faults":
		v.turnOn(s, &m.out.NoFaults)
	}
}

func (v *vrrpBuilder) recipient(w word) {
	if v.mailAddress(v.mail.toAt, w, "it is left out") {
		v.mail.out.To = append(v.mail.out.To, w.s)
	}
}

// mailAddress reports whether w can go into an envelope.
func (v *vrrpBuilder) mailAddress(s *statement, w word, consequence string) bool {
	if w.s != "" && !strings.ContainsAny(w.s, "\r\n") {
		return true
	}
	v.add(Error, w.at, s.keyword(), fmt.Sprintf("%q in %s is no address of mail; %s", w.s, s.keyword(), consequence), "write user@host")
	return false
}

// smtpServer reads HOST [PORT]. Names of hosts are resolved by who sends.
func (v *vrrpBuilder) smtpServer(s *statement) {
	port := uint64(25)
	if s.arg(1) != "" {
		var err error
		if port, err = parseUint(s.arg(1), 1, 65535); err != nil {
			v.bad(s, 1, err, lineIgnored, "write smtp_server "+s.arg(0)+" 25")
			return
		}
	}
	if strings.ContainsAny(s.arg(0), " \t/") || s.arg(0) == "" {
		v.bad(s, 0, fmt.Errorf("neither an address nor a name of a host"), lineIgnored, "write smtp_server 192.0.2.25")
		return
	}
	v.mail.at = s
	v.mail.out.Server = net.JoinHostPort(s.arg(0), strconv.FormatUint(port, 10))
}

// finishMail sets the model's mail, if there is a server and a recipient.
func (v *vrrpBuilder) finishMail() {
	m := &v.mail
	switch {
	case m.at == nil && len(m.out.To) > 0:
		v.add(Note, m.toAt.at(), "notification_email", "no mail is sent, since there is no smtp_server", "write smtp_server and its address")
		return
	case m.at == nil || len(m.out.To) == 0:
		return
	}
	m.out.Pos = v.position(m.at.at())
	m.out.Timeout = or(30*time.Second, m.timeout)
	if m.out.HELO == "" {
		m.out.HELO = v.host
	}
	if m.out.From == "" {
		m.out.From = "root@" + v.host
	}
	v.global.Mail = &m.out
}
