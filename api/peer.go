package api

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection, as the kernel saw it
// when it connected.
type Peer struct {
	UID uint32
	GID uint32
	PID int32
}

// String prints the peer for logs: uid 0 pid 4711.
func (p Peer) String() string { return fmt.Sprintf("uid %d pid %d", p.UID, p.PID) }

type peerKey struct{}

// withPeer notes the peer of a connection for its requests. A connection whose
// peer is unknown gets none, and so may not write.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if p, err := peerOf(conn); err == nil {
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

func peerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

func peerOf(conn net.Conn) (Peer, error) {
	sock, ok := conn.(interface{ unix() *net.UnixConn })
	if !ok {
		return Peer{}, fmt.Errorf("read peer: %T is not a unix connection", conn)
	}
	raw, err := sock.unix().SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("read peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("read peer: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
