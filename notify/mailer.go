package notify

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// DefaultMailTimeout bounds each step of a delivery
	// (smtp_connect_timeout).
	DefaultMailTimeout = 30 * time.Second
	// DefaultMailQueue bounds the mails that wait.
	DefaultMailQueue = 1000
	// mailWorkers is how many mails are sent at a time.
	mailWorkers = 4
)

// MailOptions configure a Mailer.
type MailOptions struct {
	// Server is smtp_server with its port: 192.0.2.25:25, mail.example.org:25.
	// It is required, as is all up to HELO.
	Server string
	// RouterID (router_id) begins each subject.
	RouterID string
	// From is notification_email_from and To is notification_email.
	From string
	To   []string
	// HELO is smtp_helo_name, by default of the configuration the host's name.
	HELO string
	// Timeout bounds each step; optional, default DefaultMailTimeout.
	Timeout time.Duration
	// Queue bounds the mails that wait; optional, default DefaultMailQueue.
	Queue int
	// Grace bounds what is sent after the end of Run's context; optional,
	// default DefaultGrace.
	Grace time.Duration
	// Dial connects; optional, default a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets a line for each mail that could not be sent; optional, default
	// discards.
	Log *slog.Logger
}

// Mailer sends mail in the background. As with keepalived a mail that cannot be
// delivered is lost. Mails that are posted together may overtake one another.
type Mailer struct {
	opts  MailOptions
	queue *queue[Message]

	mu    sync.Mutex // guards stats
	stats MailStats
}

// MailStats count mails. Failed ones were refused, wholly or by some
// recipient; Dropped ones found the queue full.
type MailStats struct {
	Sent, Failed, Dropped uint64
}

// NewMailer returns a mailer.
func NewMailer(o MailOptions) *Mailer {
	if o.Timeout <= 0 {
		o.Timeout = DefaultMailTimeout
	}
	if o.Queue <= 0 {
		o.Queue = DefaultMailQueue
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Mailer{opts: o, queue: newQueue[Message](o.Queue, o.Log.With("queue", "mail"))}
}

// Post queues a mail. It never blocks.
func (m *Mailer) Post(msg Message) { m.queue.put(msg) }

// Run sends mail until ctx ends, and then what is queued if that takes no
// longer than Grace. It returns nil. It is called once, by the Notifier that has
// the mailer.
func (m *Mailer) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(m.opts.Grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	var workers sync.WaitGroup
	for range mailWorkers {
		workers.Go(func() { m.work(ctx, sending) })
	}
	workers.Wait()
	return nil
}

// work sends one mail after the other.
func (m *Mailer) work(ctx, sending context.Context) {
	for {
		select {
		case msg := <-m.queue.out:
			m.send(sending, msg)
			continue
		case <-ctx.Done():
		}
		select {
		case msg := <-m.queue.out:
			m.send(sending, msg)
			continue
		default:
		}
		return
	}
}

func (m *Mailer) send(ctx context.Context, msg Message) {
	err := deliver(ctx, m.opts, msg)
	if err != nil {
		m.opts.Log.LogAttrs(ctx, slog.LevelWarn, "mail not sent",
			slog.String("subject", msg.Subject), slog.Any("error", err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.stats.Failed++
		return
	}
	m.stats.Sent++
}

// Stats returns the counters.
func (m *Mailer) Stats() MailStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Dropped = m.queue.lost()
	return s
}
