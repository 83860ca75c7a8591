package ipvs

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// Where sync daemons listen unless they are told otherwise.
const syncPort = 8848

func syncGroup() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 81}) }

const (
	// datagram is as long as every daemon takes it.
	datagram = 1024
	// atOnce is how many datagrams a daemon's socket has room for.
	atOnce = 32
	// rounds is how often flows are sent that did not arrive.
	rounds = 3
	// settle is how long to wait for the kernel to take what was sent, and
	// look how often to ask.
	settle = 2 * time.Second
	look   = 5 * time.Millisecond
)

// Import takes over flows and persistence templates of services that run here, from
// another datapath, and returns how many are here now. It gives them to the kernel as a director does
// that hands over to its peer: through a sync daemon, which it starts for that
// on lo where none runs. A flow that is here already gets the state and the time
// that it is given. A template gets the whole time of its service, as from another
// IPVS: the kernel gives each new flow's template the time that it came with.
func (v *IPVS) Import(ctx context.Context, flows []model.Flow) (here int, err error) {
	if len(flows) == 0 {
		return 0, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return 0, ErrClosed
	}
	if flows, err = v.renewed(ctx, flows); err != nil {
		return 0, err
	}
	to, end, err := v.listen(ctx)
	if err != nil {
		return 0, fmt.Errorf("ipvs: import flows: %w", err)
	}
	defer func() { err = errors.Join(err, end()) }()
	feed, err := newFeed(to, filepath.Join(v.opts.Proc, "udp"))
	if err != nil {
		return 0, fmt.Errorf("ipvs: import flows: %w", err)
	}
	defer feed.socket.Close()
	missing := flows
	for range rounds {
		if err := feed.send(ctx, missing); err != nil {
			return 0, fmt.Errorf("ipvs: import flows: %w", err)
		}
		if missing, err = v.await(ctx, missing); err != nil || len(missing) == 0 {
			break
		}
	}
	return len(flows) - len(missing), err
}

// renewed returns flows with the time that their service gives a template in place
// of what is left of each one's.
func (v *IPVS) renewed(ctx context.Context, flows []model.Flow) ([]model.Flow, error) {
	if !slices.ContainsFunc(flows, func(f model.Flow) bool { return f.Template }) {
		return flows, nil
	}
	services, err := v.services(ctx)
	if err != nil {
		return nil, err
	}
	whole := make(map[model.ServiceKey]time.Duration)
	for _, s := range services {
		whole[s.Key] = s.Persistence
	}
	flows = slices.Clone(flows)
	for i, f := range flows {
		if f.Template {
			flows[i].Expires = whole[model.ServiceKey{Protocol: f.Protocol, Addr: f.Virtual}]
		}
	}
	return flows, nil
}

// await returns the flows that the kernel has not taken by the time that it has
// for that.
func (v *IPVS) await(ctx context.Context, flows []model.Flow) ([]model.Flow, error) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		missing, err := v.missing(flows)
		if err != nil || len(missing) == 0 || !pause(ctx) {
			return missing, err
		}
	}
}

// pause waits for a moment. It reports false at ctx's end.
func pause(ctx context.Context) bool {
	t := time.NewTimer(look)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flowEnds tell a flow from all others, with the server that it is on.
type flowEnds struct {
	protocol                model.Protocol
	client, virtual, server netip.AddrPort
}

func endsOf(f model.Flow) flowEnds { return flowEnds{f.Protocol, f.Client, f.Virtual, f.Server} }

// missing returns those of the flows that the kernel does not have.
func (v *IPVS) missing(flows []model.Flow) ([]model.Flow, error) {
	f, err := os.Open(filepath.Join(v.opts.Proc, "ip_vs_conn"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := make(map[flowEnds]bool)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		flow, err := parseFlow(lines.Text())
		if err == nil {
			found[endsOf(flow)] = true
		}
	}
	missing := slices.DeleteFunc(slices.Clone(flows), func(f model.Flow) bool { return found[endsOf(f)] })
	return missing, lines.Err()
}

// feed sends flows to a sync daemon of this machine.
type feed struct {
	socket *net.UDPConn
	to     SyncDaemon
	// list shows the daemon's socket and what waits in it.
	list string
}

func newFeed(to SyncDaemon, list string) (*feed, error) {
	link, err := net.InterfaceByName(to.Interface)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	raw, err := socket.SyscallConn()
	if err == nil {
		trouble := raw.Control(func(fd uintptr) { err = here(int(fd), link.Index) })
		err = errors.Join(err, trouble)
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return &feed{socket: socket, to: to, list: list}, nil
}

// here makes a socket's datagrams reach this machine by an interface, and no
// other machine.
func here(fd, link int) error {
	return errors.Join(
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(link)}),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 0),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1),
	)
}

// send sends flows, not faster than the daemon takes them.
func (f *feed) send(ctx context.Context, flows []model.Flow) error {
	sent := 0
	for len(flows) > 0 {
		m := SyncMessage{ID: f.to.ID}
		size := syncHeader
		for len(flows) > 0 {
			r := recordOf(flows[0])
			if size += syncFixed + 3*r.Client.Addr().BitLen()/8; size > datagram {
				break
			}
			m.Records = append(m.Records, r)
			flows = flows[1:]
		}
		b, err := m.Append(nil)
		if err != nil {
			return err
		}
		if _, err := f.socket.WriteToUDPAddrPort(b, netip.AddrPortFrom(f.to.Group, f.to.Port)); err != nil {
			return err
		}
		if sent++; sent%atOnce == 0 {
			f.drained(ctx)
		}
	}
	f.drained(ctx)
	return nil
}

// templateAssured is the state of a template whose client was heard of again: the
// kernel drops others first where memory is short.
const templateAssured = 1

// recordOf describes a flow as another director would.
func recordOf(f model.Flow) SyncRecord {
	r := SyncRecord{
		Protocol: f.Protocol, Client: f.Client, Virtual: f.Virtual, Server: f.Server,
		Flags:   uint32(f.Forward),
		Timeout: uint32(max((f.Expires+time.Second-1)/time.Second, 1)),
	}
	if f.Forward != model.NAT {
		r.Flags |= SyncNoOutput
	}
	if f.Template {
		r.Flags |= SyncTemplate
		r.State = templateAssured
		return r
	}
	states, active := []string(nil), ""
	switch f.Protocol {
	case model.TCP:
		states, active = tcpStates(), "ESTABLISHED SYN_SENT SYN_RECV SYNACK"
	case model.SCTP:
		states, active = sctpStates(), "ESTABLISHED"
	case model.UDP: // has one state, which is never active
	}
	r.State = uint16(max(slices.Index(states, f.State), 0))
	if !slices.Contains(strings.Fields(active), f.State) {
		r.Flags |= SyncInactive
	}
	return r
}

// sctpStates are those of SCTP.
func sctpStates() []string {
	return []string{
		"NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED",
		"ESTABLISHED", "S-SENT", "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED",
	}
}

// tcpStates are the names of the kernel's states in the order of their numbers.
func tcpStates() []string {
	return []string{
		"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
		"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK",
	}
}

// drained waits until nothing waits in the daemon's socket. What cannot be read
// is no reason to wait: what got lost is sent again.
func (f *feed) drained(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for f.waiting() > 0 && pause(ctx) {
	}
}

// waiting returns how many bytes wait in the daemon's socket.
func (f *feed) waiting() uint64 {
	text, err := os.ReadFile(f.list)
	if err != nil {
		return 0
	}
	group := f.to.Group.As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(group[:]), f.to.Port)
	for line := range strings.Lines(string(text)) {
		// sl local remote state tx:rx ...
		w := strings.Fields(line)
		if len(w) < 5 || w[1] != local {
			continue
		}
		_, rx, _ := strings.Cut(w[4], ":")
		n, err := strconv.ParseUint(rx, 16, 64)
		if err == nil && n > 0 {
			return n
		}
	}
	return 0
}
