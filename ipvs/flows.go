package ipvs

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// Flows calls yield with each live flow of this datapath's services until it
// returns false, in no order. Persistence templates are not flows.
func (v *IPVS) Flows(ctx context.Context, yield func(model.Flow) bool) error {
	return v.list(ctx, false, yield)
}

// Templates is Flows for persistence templates.
func (v *IPVS) Templates(ctx context.Context, yield func(model.Flow) bool) error {
	return v.list(ctx, true, yield)
}

// list yields flows, or templates.
func (v *IPVS) list(ctx context.Context, templates bool, yield func(model.Flow) bool) error {
	tables, err := v.Snapshot(ctx)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(v.opts.Proc, "ip_vs_conn"))
	if err != nil {
		return fmt.Errorf("ipvs: read flows: %w", err)
	}
	defer f.Close()
	return readFlows(ctx, f, methods(tables), func(f model.Flow) bool { return f.Template != templates || yield(f) })
}

// flowServer is what a flow shares with the server that it is on.
type flowServer struct {
	service model.ServiceKey
	server  netip.AddrPort
}

// methods returns the forwarding method of each server: flows do not show it.
func methods(tables model.Tables) map[flowServer]model.Forward {
	all := make(map[flowServer]model.Forward)
	for _, svc := range tables.Services {
		all[flowServer{service: svc.Key}] = 0
		for _, s := range svc.Servers {
			all[flowServer{svc.Key, s.Addr}] = s.Forward
		}
	}
	return all
}

// readFlows reads the kernel's list of flows and templates and yields those of the
// services that are known.
func readFlows(ctx context.Context, r io.Reader, known map[flowServer]model.Forward, yield func(model.Flow) bool) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		flow, err := parseFlow(lines.Text())
		if errors.Is(err, errNoFlow) {
			continue
		}
		if err != nil {
			return fmt.Errorf("ipvs: read flows: %w", err)
		}
		service := model.ServiceKey{Protocol: flow.Protocol, Addr: flow.Virtual}
		if _, ours := known[flowServer{service: service}]; !ours {
			continue
		}
		// A server that was deleted has flows still; its method is not
		// to be had any more, and NAT is the zero one.
		flow.Forward = known[flowServer{service, flow.Server}]
		if !yield(flow) {
			return nil
		}
	}
	return lines.Err()
}

// errNoFlow marks a line that is no flow of ours: the heading, or of another kind.
var errNoFlow = errors.New("no flow")

// parseFlow reads a line of /proc/net/ip_vs_conn:
//
//	TCP C0000209 2134 C6336422 0050 0A010001 0050 ESTABLISHED     898
func parseFlow(line string) (model.Flow, error) {
	w := strings.Fields(line)
	if len(w) < 9 || w[0] == "Pro" {
		return model.Flow{}, errNoFlow
	}
	flow := model.Flow{State: w[7]}
	switch w[0] {
	case "TCP":
		flow.Protocol = model.TCP
	case "UDP":
		flow.Protocol = model.UDP
	case "SCTP":
		flow.Protocol = model.SCTP
	default:
		return model.Flow{}, errNoFlow // the template of a firewall mark, ESP or AH
	}
	var err error
	for i, end := range []*netip.AddrPort{&flow.Client, &flow.Virtual, &flow.Server} {
		if *end, err = parseEnd(w[1+2*i], w[2+2*i]); err != nil {
			return model.Flow{}, fmt.Errorf("%q: %w", line, err)
		}
	}
	if flow.Client.Port() == 0 {
		flow.Template, flow.State = true, ""
	}
	seconds, err := strconv.ParseUint(w[8], 10, 32)
	if err != nil {
		return model.Flow{}, fmt.Errorf("%q: %w", line, err)
	}
	flow.Expires = time.Duration(seconds) * time.Second
	return flow, nil
}

// parseEnd reads an address and a port in hexadecimal digits, IPv6 with colons
// between them and perhaps in brackets.
func parseEnd(addr, port string) (netip.AddrPort, error) {
	addr = strings.Trim(addr, "[]")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if strings.Contains(addr, ":") {
		a, err := netip.ParseAddr(addr)
		return netip.AddrPortFrom(a, uint16(number)), err
	}
	raw, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address of %d bytes", len(raw))
	}
	return netip.AddrPortFrom(a, uint16(number)), nil
}
