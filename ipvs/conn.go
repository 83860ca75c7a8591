package ipvs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// ErrNoIPVS means that the kernel has no IPVS, and that its module could not be
// loaded either.
var ErrNoIPVS = errors.New("this kernel has no IPVS")

// patience bounds one request. The kernel answers at once, but a request
// waits for a lock that a reader of long tables may hold.
const patience = 10 * time.Second

// conn is a generic-netlink socket with the number of the IPVS family.
type conn struct {
	*genetlink.Conn
	family uint16
}

// dial opens a socket in the calling thread's network namespace, after the
// kernel said that it has the family. load is called once when it has not.
func dial(name string, load func() error) (conn, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return conn{}, fmt.Errorf("open generic netlink: %w", err)
	}
	f, err := c.GetFamily(name)
	if errors.Is(err, os.ErrNotExist) {
		trouble := load()
		f, err = c.GetFamily(name)
		if errors.Is(err, os.ErrNotExist) {
			err = noIPVS(trouble)
		}
	}
	if err != nil {
		return conn{}, errors.Join(err, c.Close())
	}
	return conn{Conn: c, family: f.ID}, nil
}

// noIPVS is one line that says what is missing and what to do.
func noIPVS(trouble error) error {
	why := "the module did not bring it"
	if trouble != nil {
		why = trouble.Error()
	}
	return fmt.Errorf("%w: module ip_vs cannot be loaded (%s); boot a kernel with CONFIG_IP_VS, or leave the service to XDP", ErrNoIPVS, why)
}

// loadModule asks for ip_vs as the kernel itself asks for modules, by the
// program that it names for that.
func loadModule() error {
	loader := "/sbin/modprobe"
	if text, err := os.ReadFile("/proc/sys/kernel/modprobe"); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			loader = name
		}
	}
	out, err := exec.Command(loader, "ip_vs").CombinedOutput()
	if err == nil {
		return nil
	}
	if said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n"); said != "" {
		return errors.New(said)
	}
	return err
}

// execute sends a request and returns the answers. The error wraps ctx's, or
// the kernel's errno.
func (c conn) execute(ctx context.Context, command uint8, flags netlink.HeaderFlags, data []byte) ([]genetlink.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	end := time.Now().Add(patience)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(end) {
		end = sooner
	}
	if err := c.SetDeadline(end); err != nil {
		return nil, err
	}
	message := genetlink.Message{
		Header: genetlink.Header{Command: command, Version: familyVersion},
		Data:   data,
	}
	return c.Execute(message, c.family, netlink.Request|flags)
}

// change sends a request that only says whether it worked.
func (c conn) change(ctx context.Context, command uint8, data []byte) error {
	_, err := c.execute(ctx, command, netlink.Acknowledge, data)
	return err
}

// dump asks for a list. The kernel does not say when a list changed while it
// was read: only this package's owner writes, one operation at a time.
func (c conn) dump(ctx context.Context, command uint8, data []byte) ([]genetlink.Message, error) {
	return c.execute(ctx, command, netlink.Dump, data)
}

// info returns the version of the kernel's IPVS, such as 1.2.1, and the size
// of its connection table.
func (c conn) info(ctx context.Context) (version string, size uint32, err error) {
	list, err := c.execute(ctx, cmdGetInfo, 0, nil)
	if err != nil {
		return "", 0, err
	}
	if len(list) != 1 {
		return "", 0, fmt.Errorf("read version: %d answers", len(list))
	}
	d, err := netlink.NewAttributeDecoder(list[0].Data)
	if err != nil {
		return "", 0, err
	}
	for d.Next() {
		switch d.Type() {
		case 1:
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], d.Uint32())
			version = fmt.Sprintf("%d.%d.%d", b[1], b[2], b[3])
		case 2:
			size = d.Uint32()
		}
	}
	return version, size, d.Err()
}
