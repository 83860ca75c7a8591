package notify

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// runMailer runs m until the returned function is called, which says how long
// stopping took.
func runMailer(t *testing.T, m *Mailer) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		return time.Since(began)
	}
}

func TestMailerSendsAllBeforeItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mailServer{}
		m := NewMailer(mailOptions(s))
		for i := range 20 {
			m.Post(Message{Subject: fmt.Sprint(i)})
		}
		runMailer(t, m)()
		s.conns.Wait()
		if got := m.Stats(); got != (MailStats{Sent: 20}) {
			t.Errorf("stats = %+v, want 20 sent", got)
		}
		quits := slices.DeleteFunc(s.heard, func(line string) bool { return line != "QUIT\r\n" })
		if len(quits) != 20 {
			t.Errorf("the server had %d conversations, want 20", len(quits))
		}
	})
}

// TestMailerSilentServer never blocks who posts, and stops in time.
func TestMailerSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mailServer{answers: map[string]string{"greeting": "silence"}}
		o := mailOptions(s)
		o.Queue = 10
		m := NewMailer(o)
		stop := runMailer(t, m)
		post := func(n int) {
			for range n {
				m.Post(Message{Subject: "s"})
			}
			synctest.Wait()
		}
		post(4) // taken by the workers
		post(13)
		if got, want := m.Stats(), (MailStats{Dropped: 3}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		time.Sleep(o.Timeout)
		synctest.Wait()
		if got, want := m.Stats(), (MailStats{Failed: 4, Dropped: 3}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		if took := stop(); took != DefaultGrace {
			t.Errorf("stopping took %v, want %v", took, DefaultGrace)
		}
		s.conns.Wait()
		if got, want := m.Stats(), (MailStats{Failed: 14, Dropped: 3}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}
