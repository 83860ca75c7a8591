package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// smtpSetting takes a line of SMTP_CHECK.
func (b *builder) smtpSetting(c *checkDraft, s *statement) {
	switch s.keyword() {
	case "helo_name":
		b.hostName(s, &c.smtp.HeloName)
	case "host":
		h := connectDraft{st: s}
		for _, line := range s.block.statements {
			if !line.skip && !b.timing(&h.timing, line, 0) {
				b.connection(&h.connection, line)
			}
		}
		c.hosts = append(c.hosts, h)
	}
}

// dnsSetting takes a line of DNS_CHECK.
func (b *builder) dnsSetting(d *model.DNSSpec, s *statement) {
	switch s.keyword() {
	case "type":
		name := strings.ToUpper(s.arg(0))
		if !slices.Contains(model.DNSTypes(), name) {
			b.bad(s, 0, errors.New("not a type that DNS_CHECK asks for"), lineIgnored, "write one of "+strings.Join(model.DNSTypes(), ", "))
			return
		}
		d.Type = name
	case "name":
		if err := domainName(s.arg(0)); err != nil {
			b.bad(s, 0, err, lineIgnored, "write a name such as example.org")
			return
		}
		d.Name = s.arg(0)
	}
}

// domainName says what keeps s from being asked for.
func domainName(s string) error {
	if s == "." {
		return nil
	}
	if err := plainWord(s); err != nil {
		return err
	}
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return errors.New("longer than the 253 bytes of a domain name")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("no domain name: each part between dots has 1 to 63 bytes")
		}
	}
	return nil
}

// udpSetting takes a line of UDP_CHECK.
func (b *builder) udpSetting(u *model.UDPSpec, s *statement) {
	switch s.keyword() {
	case "payload":
		payload, wild, err := parseHex(s.arg(0))
		if err == nil && wild != nil {
			err = errors.New("not hexadecimal: X stands for any digit in require_reply only")
		}
		if err != nil {
			b.bad(s, 0, err, lineIgnored, "write two hexadecimal digits for each byte, such as payload 0001ff")
			return
		}
		u.Payload = payload
	case "require_reply":
		u.RequireReply = true
		if s.arg(0) == "" {
			return
		}
		reply, wild, err := parseHex(s.arg(0))
		if err != nil {
			b.bad(s, 0, err, "any reply passes", "write two hexadecimal digits for each byte, X for any digit, such as require_reply 00XXff")
			return
		}
		u.Reply, u.ReplyIgnore = reply, wild
	case "min_reply_length":
		b.length(s, &u.MinReply)
	case "max_reply_length":
		b.length(s, &u.MaxReply)
	}
}

func (b *builder) length(s *statement, field *uint16) {
	var n *uint32
	b.number(s, &n, 0, math.MaxUint16)
	*field = uint16(or(uint32(*field), n))
}

// parseHex reads bytes of two hexadecimal digits each, with blanks between
// them or not. X is any digit; wild has its bits set, and is nil without X.
func parseHex(s string) (data, wild []byte, err error) {
	digits := strings.Join(strings.Fields(s), "")
	bits := []byte(digits)
	for i := range bits {
		bits[i] = '0'
		if digits[i] == 'x' || digits[i] == 'X' {
			bits[i] = 'f'
		}
	}
	digits = strings.NewReplacer("x", "0", "X", "0").Replace(digits)
	if data, err = hex.DecodeString(digits); err != nil || len(data) == 0 {
		return nil, nil, errors.New("not bytes of two hexadecimal digits each")
	}
	if wild, err = hex.DecodeString(string(bits)); err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(wild, func(c byte) bool { return c != 0 }) {
		wild = nil
	}
	return data, wild, nil
}

// udpRule warns of a reply that no server can give.
func (b *builder) udpRule(c *checkDraft) {
	u := c.udp
	if u != nil && u.MinReply > u.MaxReply {
		b.add(Error, c.st.at(), "min_reply_length", fmt.Sprintf("min_reply_length %d is above max_reply_length %d; both are ignored", u.MinReply, u.MaxReply), "write a larger max_reply_length")
		u.MinReply, u.MaxReply = 0, 255
	}
}

// miscDraft is what MISC_CHECK has of its own; nil is not set.
type miscDraft struct {
	script  model.Script
	timeout *time.Duration
	dynamic bool
}

// miscSetting takes a line of MISC_CHECK.
func (b *builder) miscSetting(c *checkDraft, s *statement) {
	m := c.misc
	switch s.keyword() {
	case "misc_path":
		b.miscPath(m, s)
	case "misc_timeout":
		b.seconds(s, &m.timeout, tick, most)
	case "misc_dynamic":
		m.dynamic = b.flag(s) || m.dynamic
	case "user":
		m.script.User, m.script.Group = s.arg(0), s.arg(1)
	}
}

// miscPath reads a command. In quotes it is one word, which is split again
// when it runs; without quotes its words are those of the line.
func (b *builder) miscPath(m *miscDraft, s *statement) {
	list, err := s.raw() // the linter has seen to its errors
	if err != nil || len(list) == 0 {
		return
	}
	m.script.Pos = b.position(list[0].at)
	m.script.Command, m.script.Argv = joined(list), nil
	if len(list) > 1 {
		for _, w := range list {
			m.script.Argv = append(m.script.Argv, w.s)
		}
		return
	}
	inner, err := splitRaw(literal(list[0].s, list[0].at))
	switch {
	case err != nil:
		b.add(Error, list[0].at, s.keyword(), fmt.Sprintf("misc_path: %v; %s", err, lineIgnored), "")
		m.script.Command = ""
	case len(inner) == 0 || inner[0].s == "":
		b.add(Error, list[0].at, s.keyword(), "misc_path is empty; "+lineIgnored, "write the path of a program")
		m.script.Command = ""
	}
}

// misc finishes MISC_CHECK. It reports whether the check can run.
func (b *builder) misc(c *checkDraft, out model.Check, outer around) (model.Check, bool) {
	m := c.misc
	if m.script.Command == "" {
		b.add(Error, c.st.at(), string(c.kind), "MISC_CHECK has no misc_path that can be used; "+checkLeftOut, `write misc_path "/path/of/script and its arguments" in it`)
		return out, false
	}
	m.script.Timeout = or(outer.serviceLoop, m.timeout)
	out.Misc = &model.MiscSpec{Script: m.script, Dynamic: m.dynamic}
	return out, true
}
