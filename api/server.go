package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/loader"
)

// Source gives the server what it serves. Its methods may be called from many
// goroutines at once and end soon after their context does.
type Source interface {
	Status(context.Context) (Status, error)
	Services(context.Context) (Services, error)
	// Flows calls yield with each flow until it returns false.
	Flows(ctx context.Context, yield func(Flow) bool) error
	Checks(context.Context) (Checks, error)
	VRRP(context.Context) (VRRP, error)
	Config(context.Context) (Config, error)
	// Explain says what would become of a packet. It changes nothing.
	Explain(context.Context, loader.Packet) (loader.Explanation, error)
	// Reload reads the configuration again. A refused one is no error: the
	// Load says so. cause names who asked.
	Reload(ctx context.Context, cause string) (Load, error)
	// Diff says what a reload would do, of the daemon's own file where none is
	// named. It changes nothing.
	Diff(ctx context.Context, file string) (Diff, error)
	// Move moves a service to another datapath, until the next reload. A refused
	// move is no error: the Move says so.
	Move(context.Context, MoveRequest) (Move, error)
	// Stop stops the daemon and returns when the datapath is removed, or kept
	// if keep is set. The server answers before it is closed.
	Stop(ctx context.Context, keep bool, cause string) (StopResult, error)
}

// Options configure a Server. The zero value of each but Source is useful.
type Options struct {
	// Source is required.
	Source Source
	// MaxConns bounds the connections served at once, default 64.
	MaxConns int
	// MaxBody bounds the body of a request in bytes, default 4096.
	MaxBody int64
	// Timeout bounds the reading of a request, the answer to a query and
	// each pause in a long answer, default 10 s.
	Timeout time.Duration
	// ChangeTimeout bounds what a change (reload, stop) may take, default 2
	// minutes.
	ChangeTimeout time.Duration
	// MayWrite says whether a peer may change something. Default: root and
	// the user that the daemon runs as.
	MayWrite func(Peer) bool
	// Log gets one line for each request to change something; default
	// discards.
	Log *slog.Logger
}

func (o Options) orDefault() Options {
	if o.MaxConns == 0 {
		o.MaxConns = 64
	}
	if o.MaxBody == 0 {
		o.MaxBody = 4096
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.ChangeTimeout == 0 {
		o.ChangeTimeout = 2 * time.Minute
	}
	if o.MayWrite == nil {
		o.MayWrite = func(p Peer) bool { return p.UID == 0 || int(p.UID) == os.Geteuid() }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server answers requests.
type Server struct {
	opts Options
	http *http.Server
}

// NewServer returns a server. Nothing is served before Run.
func NewServer(o Options) *Server {
	s := &Server{opts: o.orDefault()}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: s.opts.Timeout,
		ReadTimeout:       s.opts.Timeout,
		IdleTimeout:       s.opts.Timeout,
		MaxHeaderBytes:    8 << 10,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Run serves on l until ctx ends, gives the requests under way a moment to
// finish, and closes l. It returns nil after a clean end.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Serve(limit(l, s.opts.MaxConns)) }()
	select {
	case err := <-stopped:
		return errors.Join(fmt.Errorf("serve api: %w", err), l.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
	defer cancel()
	err := s.http.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("close api: %w", err), s.http.Close())
	}
	if end := <-stopped; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve api: %w", end))
	}
	return errors.Join(err, l.Close())
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", query(s, s.opts.Source.Status))
	mux.HandleFunc("GET /v1/services", query(s, s.opts.Source.Services))
	mux.HandleFunc("GET /v1/checks", query(s, s.opts.Source.Checks))
	mux.HandleFunc("GET /v1/vrrp", query(s, s.opts.Source.VRRP))
	mux.HandleFunc("GET /v1/config", query(s, s.opts.Source.Config))
	mux.HandleFunc("GET /v1/flows", s.flows)
	mux.HandleFunc("GET /v1/explain", s.explain)
	mux.HandleFunc("POST /v1/reload", s.change(s.reload))
	mux.HandleFunc("POST /v1/diff", s.change(s.diff))
	mux.HandleFunc("POST /v1/move", s.change(s.move))
	mux.HandleFunc("POST /v1/stop", s.change(s.stop))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, fmt.Errorf("%s %s is not part of the interface", r.Method, r.URL.Path))
	})
	return mux
}

// query serves one value.
func query[T any](s *Server, read func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := s.bound(w, r, s.opts.Timeout)
		defer cancel()
		value, err := read(ctx)
		if err != nil {
			writeError(w, statusOf(err), err)
			return
		}
		writeJSON(w, http.StatusOK, value)
	}
}

// explain answers for the packet that the query describes.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p, err := loader.ParsePacket(q.Get("protocol"), q.Get("source"), q.Get("destination"), q.Get("flags"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	p.Interface = q.Get("interface")
	query(s, func(ctx context.Context) (loader.Explanation, error) { return s.opts.Source.Explain(ctx, p) })(w, r)
}

// bound limits what a request may take, both in work and in writing. The answer
// gets as much time again as the work.
func (s *Server) bound(w http.ResponseWriter, r *http.Request, most time.Duration) (context.Context, context.CancelFunc) {
	// A writer without deadlines exists in tests only.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * most))
	return context.WithTimeout(r.Context(), most)
}

// change lets only those in who may write, and logs each attempt.
func (s *Server) change(do func(http.ResponseWriter, *http.Request, Peer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		peer, known := peerFrom(r.Context())
		log := s.opts.Log.With("path", r.URL.Path, "uid", peer.UID, "pid", peer.PID)
		if !known || !s.opts.MayWrite(peer) {
			log.Warn("api request refused", "reason", "not root and not the daemon's user")
			writeError(w, http.StatusForbidden, fmt.Errorf("uid %d may not change anything; ask as root", peer.UID))
			return
		}
		log.Info("api request")
		ctx, cancel := s.bound(w, r, s.opts.ChangeTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, s.opts.MaxBody)
		do(w, r.WithContext(ctx), peer)
	}
}

// diff reads a file with the daemon's rights, so that only those may ask who may
// reload.
func (s *Server) diff(w http.ResponseWriter, r *http.Request, _ Peer) {
	var q DiffRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil && !errors.Is(err, io.EOF) {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read request: %w", err))
		return
	}
	if q.File != "" && !filepath.IsAbs(q.File) {
		writeError(w, http.StatusBadRequest, fmt.Errorf("%q is not an absolute path", q.File))
		return
	}
	diff, err := s.opts.Source.Diff(r.Context(), q.File)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, diff)
}

func (s *Server) move(w http.ResponseWriter, r *http.Request, _ Peer) {
	var q MoveRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read request: %w", err))
		return
	}
	m, err := s.opts.Source.Move(r.Context(), q)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request, p Peer) {
	load, err := s.opts.Source.Reload(r.Context(), "api "+p.String())
	switch {
	case err != nil:
		writeError(w, statusOf(err), err)
	case !load.OK:
		writeJSON(w, http.StatusUnprocessableEntity, load)
	default:
		writeJSON(w, http.StatusOK, load)
	}
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request, p Peer) {
	var req StopRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil && !errors.Is(err, io.EOF) {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read request: %w", err))
		return
	}
	result, err := s.opts.Source.Stop(r.Context(), req.Keep, "api "+p.String())
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, result)
}

// statusOf returns the status code of an error.
func statusOf(err error) int {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

type errorBody struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, errorBody{Error: err.Error()})
}

// writeJSON answers with a value. A peer that is gone has no use for an error.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, `{"error":"encode the answer"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
