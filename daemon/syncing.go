package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/failover"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/model"
	"github.com/evenkeel/evenkeel/notify"
)

// syncAgain is the pause before a sync daemon that did not start is tried again:
// its interface may not be there yet.
const syncAgain = 5 * time.Second

// syncing has the kernel's sync daemons follow a VRRP instance
// (lvs_sync_daemon): master while it is, backup else. Its methods may be called
// from any goroutine, and only run waits for the kernel.
type syncing struct {
	log  *slog.Logger
	next failover.Notifier
	poke chan struct{} // holds a hint that something has changed

	mu sync.Mutex // guards what follows
	// want is what the file says, and kernel where; nil is nothing, or nowhere.
	want   *model.SyncDaemon
	kernel IPVS
	// masters are the instances that are masters now.
	masters map[string]bool
	text    string
	// asked says that the kernel was asked to run some. Only run uses it.
	asked bool
}

func newSyncing(next failover.Notifier, log *slog.Logger) *syncing {
	return &syncing{log: log, next: next, poke: make(chan struct{}, 1), masters: make(map[string]bool)}
}

// Transition implements failover.Notifier.
func (s *syncing) Transition(t notify.Transition, scripts notify.Scripts, mail bool) {
	s.next.Transition(t, scripts, mail)
	if t.Object != notify.Instance {
		return
	}
	switch t.State {
	case notify.Master, notify.Backup, notify.Fault, notify.Stop, notify.Deleted:
	default:
		return // no change of state
	}
	s.mu.Lock()
	s.masters[t.Name] = t.State == notify.Master
	s.mu.Unlock()
	s.hint()
}

func (s *syncing) hint() {
	select {
	case s.poke <- struct{}{}:
	default: // it is about to look
	}
}

// configure puts a file in force. kernel is nil where there is no IPVS, and
// cause says why.
func (s *syncing) configure(g model.Global, kernel IPVS, cause error) {
	s.mu.Lock()
	s.want, s.kernel, s.text = g.Sync, kernel, ""
	if g.Sync != nil && kernel == nil {
		s.text = "not started: there is no IPVS"
		s.log.Warn("lvs_sync_daemon is not started", "interface", g.Sync.Interface, "cause", oneLine(cause))
	}
	s.mu.Unlock()
	s.hint()
}

// status says what runs, or nothing where nothing shall.
func (s *syncing) status() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// run follows until ctx ends. What runs then is left to the end of the datapath.
func (s *syncing) run(ctx context.Context) error {
	select {
	case <-s.poke: // the first look is for all that was said before
	case <-ctx.Done():
		return nil
	}
	again := time.NewTimer(syncAgain)
	defer again.Stop()
	for {
		again.Stop()
		if !s.follow(context.WithoutCancel(ctx)) {
			again.Reset(syncAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.poke:
		case <-again.C:
		}
	}
}

// follow has the kernel run what is wanted now. It reports whether it does.
func (s *syncing) follow(ctx context.Context) bool {
	s.mu.Lock()
	kernel, want, before := s.kernel, s.daemons(), s.text
	s.mu.Unlock()
	if kernel == nil || len(want) == 0 && !s.asked {
		return true
	}
	s.asked = true
	err := kernel.SetSyncDaemons(ctx, want...)
	text := syncText(want)
	if err != nil {
		text = "not started: " + oneLine(err)
	}
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
	switch {
	case text == before:
	case err != nil:
		s.log.Error("lvs_sync_daemon is not started", "error", oneLine(err), "next_try", syncAgain)
	default:
		s.log.Info("sync daemon changed", "old", before, "new", text)
	}
	return err == nil
}

// daemons returns what shall run now. Without an instance that is both.
func (s *syncing) daemons() []ipvs.SyncDaemon {
	if s.want == nil {
		return nil
	}
	w := s.want
	one := ipvs.SyncDaemon{Interface: w.Interface, ID: w.ID, MaxLen: w.MaxLen, Port: w.Port, TTL: w.TTL, Group: w.Group}
	master, backup := one, one
	master.Role, backup.Role = ipvs.SyncMaster, ipvs.SyncBackup
	switch {
	case w.Instance == "":
		return []ipvs.SyncDaemon{master, backup}
	case s.masters[w.Instance]:
		return []ipvs.SyncDaemon{master}
	}
	return []ipvs.SyncDaemon{backup}
}

func syncText(list []ipvs.SyncDaemon) string {
	var texts []string
	for _, d := range list {
		texts = append(texts, fmt.Sprintf("%s on %s, id %d", d.Role, d.Interface, d.ID))
	}
	return strings.Join(texts, "; ")
}
