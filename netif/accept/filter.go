package accept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/netif"
)

// Filter refuses packets to addresses. Its methods may be called from several
// goroutines; they wait for the kernel.
type Filter struct {
	kernel *netif.Kernel

	mu   sync.Mutex // guards the fields below
	have []netip.Addr
	set  bool // the table is as have says
	seq  uint32
}

// New returns a Filter for the namespace of k, which stays the caller's to
// close.
func New(k *netif.Kernel) *Filter { return &Filter{kernel: k} }

// Set refuses packets to the addresses, and to no others. Without any the table
// is gone; a kernel without nftables is no error then. Nothing is open in
// between.
func (f *Filter) Set(addrs []netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if f.set && slices.Equal(addrs, f.have) {
		return nil
	}
	list := emptied()
	if len(addrs) > 0 {
		list = append(list, table(addrs)...)
	}
	err := f.kernel.Do(func() error { return f.send(list) })
	if err != nil && len(addrs) == 0 && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		err = nil // no nftables, so nothing of ours in it
	}
	if err != nil {
		return fmt.Errorf("refuse packets to virtual addresses: %w", err)
	}
	f.have, f.set = addrs, true
	return nil
}

// sendTimeout bounds one exchange with the kernel.
const sendTimeout = 5 * time.Second

// send carries out the messages as one transaction.
func (f *Filter) send(list []message) error {
	s, err := nl.Subscribe(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer s.Close()
	timeout := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := errors.Join(s.SetReceiveTimeout(&timeout), s.SetExtAck(true)); err != nil {
		return err
	}
	first := f.seq + 2
	b := f.append(nil, unix.NFNL_MSG_BATCH_BEGIN, 0, header(unix.AF_UNSPEC, subsystem))
	for _, m := range list {
		b = f.append(b, m.kind, m.flags|unix.NLM_F_ACK, m.body)
	}
	b = f.append(b, unix.NFNL_MSG_BATCH_END, 0, header(unix.AF_UNSPEC, subsystem))
	if err := unix.Sendto(s.GetFd(), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	return answers(s, first, len(list))
}

// append appends a message with its header.
func (f *Filter) append(b []byte, kind, flags uint16, body []byte) []byte {
	native := binary.NativeEndian
	f.seq++
	b = native.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(body)))
	b = native.AppendUint16(b, kind)
	b = native.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = native.AppendUint32(b, f.seq)
	b = native.AppendUint32(b, 0)
	return append(b, body...) // bodies are padded
}

// answers waits for an answer to each message and returns the first error.
func answers(s *nl.NetlinkSocket, first uint32, left int) error {
	var failed error
	for left > 0 {
		msgs, from, err := s.Receive()
		if err != nil {
			return errors.Join(failed, err)
		}
		if from.Pid != nl.PidKernel {
			continue
		}
		for _, m := range msgs {
			if m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
				continue
			}
			code := int32(binary.NativeEndian.Uint32(m.Data))
			if m.Header.Seq < first {
				return unix.Errno(-code) // of the transaction as a whole
			}
			left--
			if code != 0 && failed == nil {
				failed = fmt.Errorf("message %d of nftables: %w", m.Header.Seq-first+1, unix.Errno(-code))
			}
		}
	}
	return failed
}
