package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"time"
)

// maxReplies bounds what is read from a mail server for one mail.
const maxReplies = 64 << 10

// deliver hands one mail to the server, as keepalived does: HELO, no
// encryption, no login. A recipient that the server refuses does not keep the
// others from their mail; the error names it. Each step may take o.Timeout.
func deliver(ctx context.Context, o MailOptions, m Message) error {
	dialCtx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	conn, err := o.Dial(dialCtx, "tcp", o.Server)
	if err != nil {
		return fmt.Errorf("connect to mail server %s: %w", o.Server, err)
	}
	s := &smtpSession{
		conn: conn, timeout: o.Timeout,
		text: textproto.NewConn(struct {
			io.Reader
			io.WriteCloser
		}{io.LimitReader(conn, maxReplies), conn}),
	}
	defer s.text.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = s.send(o, m)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("send mail by %s: %w", o.Server, err)
	}
	return nil
}

// smtpSession is one conversation with a mail server.
type smtpSession struct {
	conn    net.Conn
	text    *textproto.Conn
	timeout time.Duration
}

func (s *smtpSession) send(o MailOptions, m Message) error {
	if err := s.reply("greeting", 220); err != nil {
		return err
	}
	if err := s.command(250, "HELO %s", oneLine(o.HELO)); err != nil {
		return err
	}
	if err := s.command(250, "MAIL FROM:<%s>", mailbox(o.From)); err != nil {
		return err
	}
	refused, err := s.recipients(o.To)
	if err != nil {
		return err
	}
	if err := s.command(354, "DATA"); err != nil {
		return err
	}
	if err := s.data(compose(o, m, time.Now())); err != nil {
		return err
	}
	// The mail is on its way; the server may end as it likes.
	_ = s.command(221, "QUIT")
	return refused
}

// recipients names all recipients and returns those that were refused. It is an
// error if nobody is left.
func (s *smtpSession) recipients(to []string) (refused, err error) {
	accepted := 0
	for _, a := range to {
		// 250, or 251 for an address that is forwarded.
		err := s.command(25, "RCPT TO:<%s>", mailbox(a))
		if _, answered := errors.AsType[*textproto.Error](err); answered {
			refused = errors.Join(refused, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		accepted++
	}
	if accepted == 0 {
		return nil, errors.Join(errors.New("no recipient was accepted"), refused)
	}
	return refused, nil
}

// data sends the text with dots stuffed.
func (s *smtpSession) data(text string) error {
	s.extend()
	w := s.text.DotWriter()
	if _, err := io.WriteString(w, text); err != nil {
		return s.failed("text", err)
	}
	if err := w.Close(); err != nil {
		return s.failed("text", err)
	}
	return s.reply("text", 250)
}

// command sends one line and reads the reply.
func (s *smtpSession) command(code int, format string, args ...any) error {
	s.extend()
	line := fmt.Sprintf(format, args...)
	if err := s.text.PrintfLine("%s", line); err != nil {
		return s.failed(line, err)
	}
	return s.reply(line, code)
}

// reply reads a reply to what and compares its code as textproto does.
func (s *smtpSession) reply(what string, code int) error {
	s.extend()
	if _, _, err := s.text.ReadResponse(code); err != nil {
		return s.failed(what, err)
	}
	return nil
}

// extend gives the next step its time.
func (s *smtpSession) extend() {
	// A connection without deadlines would be another kind of connection.
	_ = s.conn.SetDeadline(time.Now().Add(s.timeout))
}

func (s *smtpSession) failed(what string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no reply within %v: %w", s.timeout, os.ErrDeadlineExceeded)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the server closed the connection")
	}
	return fmt.Errorf("%s: %w", what, err)
}
