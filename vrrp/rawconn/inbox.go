package rawconn

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many packets one system call takes.
	batch = 16
	// longest is more than the longest advert: 255 IPv6 addresses.
	longest = 4608
	// oobLen is room for the control data of one packet.
	oobLen = 256
)

// inbox is the memory that one socket receives into, used again for each batch.
type inbox struct {
	messages [batch]mmsghdr
	vectors  [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet6
	controls [batch][oobLen]byte
	buffers  [batch][longest]byte
}

// mmsghdr is the kernel's.
type mmsghdr struct {
	header unix.Msghdr
	n      uint32
}

// receive takes what has arrived and does not wait: the error of an empty queue
// is EAGAIN. The call is raw, since it returns at once and so need not tell the
// runtime, which would wake a thread to look after it.
func (in *inbox) receive(fd uintptr) (int, error) {
	for i := range in.messages {
		v, h := &in.vectors[i], &in.messages[i].header
		v.Base = &in.buffers[i][0]
		v.SetLen(longest)
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&in.names[i])), unix.SizeofSockaddrInet6
		h.Iov = v
		h.SetIovlen(1)
		h.Control = &in.controls[i][0]
		h.SetControllen(oobLen)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.messages[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// data returns the bytes of a message, which the next batch overwrites.
func (in *inbox) data(i int) []byte {
	return in.buffers[i][:min(int(in.messages[i].n), longest)]
}

// control returns its control data.
func (in *inbox) control(i int) []byte {
	return in.controls[i][:min(int(in.messages[i].header.Controllen), oobLen)]
}

// source returns whom it is from, or the zero Addr.
func (in *inbox) source(i int) netip.Addr {
	name := &in.names[i]
	switch name.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	case unix.AF_INET6:
		return netip.AddrFrom16(name.Addr).Unmap()
	}
	return netip.Addr{}
}
