package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/api"
)

// The layouts are ipvsadm's (version 1.31, with -n), column by column: people
// and scripts read them without thinking.
const (
	listHeader = "Prot LocalAddress:Port Scheduler Flags\n" +
		"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
	listServer  = "  -> %-28s %-7s %-6d %-10d %-10d\n"
	statsHeader = "%-33s %8s %8s %8s %8s %8s\n  -> RemoteAddress:Port\n"
	statsName   = "%-33s"
	flowsHeader = "pro expire state       source             virtual            destination\n"
	flowsLine   = "%-3s %-6s %-11s %-18s %-18s %s\n"
)

// sorted returns the services in ipvsadm's order: marks, families, protocols,
// addresses, ports. Servers are by address and port.
func sorted(services []api.Service) []api.Service {
	out := slices.Clone(services)
	for i := range out {
		out[i].Servers = slices.Clone(out[i].Servers)
		slices.SortStableFunc(out[i].Servers, func(a, b api.RealServer) int {
			return cmp.Or(compareAddr(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
		})
	}
	slices.SortStableFunc(out, func(a, b api.Service) int {
		return cmp.Or(
			cmp.Compare(a.FWMark, b.FWMark),
			compareBool(isIPv6(a.Address), isIPv6(b.Address)),
			cmp.Compare(protocolNumber(a.Protocol), protocolNumber(b.Protocol)),
			compareAddr(a.Address, b.Address),
			cmp.Compare(a.Port, b.Port),
		)
	})
	return out
}

func protocolNumber(word string) int {
	switch word {
	case "TCP":
		return 6
	case "UDP":
		return 17
	case "SCTP":
		return 132
	}
	return 0
}

// compareAddr compares addresses as numbers. What is none compares as text.
func compareAddr(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func isIPv6(addr string) bool { return strings.Contains(addr, ":") }

// hostPort prints an address and port as ipvsadm -n does.
func hostPort(addr string, port uint16) string {
	if isIPv6(addr) {
		return fmt.Sprintf("[%s]:%d", addr, port)
	}
	return fmt.Sprintf("%s:%d", addr, port)
}

// serviceName is the first two columns of a service.
func serviceName(s api.Service) string {
	if s.FWMark != 0 {
		return fmt.Sprintf("%-4s %d", "FWM", s.FWMark)
	}
	return fmt.Sprintf("%-4s %s", s.Protocol, hostPort(s.Address, s.Port))
}

// forwardName is ipvsadm's word for a forwarding method.
func forwardName(method string) string {
	switch method {
	case "NAT":
		return "Masq"
	case "DR":
		return "Route"
	case "TUN":
		return "Tunnel"
	}
	return method
}

// printServices lists services as ipvsadm -Ln does. The last flag is where the
// service runs, or why it does not.
func printServices(w io.Writer, services []api.Service) {
	fmt.Fprint(w, listHeader)
	for _, s := range services {
		words := append([]string{serviceName(s), s.Scheduler}, s.Flags...)
		fmt.Fprintln(w, strings.Join(append(words, whereItRuns(s)), " "))
		for _, r := range s.Servers {
			if r.InTable {
				fmt.Fprintf(w, listServer, hostPort(r.Address, r.Port), forwardName(r.Forward), r.Weight, r.Active, r.Inactive)
			}
		}
	}
}

func whereItRuns(s api.Service) string { return placeText(s.Datapath, s.Reason) }

// placeText says in a few words where a service runs and why.
func placeText(datapath, reason string) string {
	switch {
	case reason == "":
		return datapath
	case datapath == "ipvs":
		return "ipvs " + strings.TrimPrefix(reason, "runs in IPVS ")
	}
	return datapath + ": " + reason
}

// printStats lists counters as ipvsadm -Ln --stats does, with --exact if
// exact is set.
func printStats(w io.Writer, services []api.Service, exact bool) {
	fmt.Fprintf(w, statsHeader, "Prot LocalAddress:Port", "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes")
	row := func(name string, values ...uint64) {
		fmt.Fprintf(w, statsName, name)
		for _, v := range values {
			fmt.Fprint(w, largeNumber(v, exact))
		}
		fmt.Fprintln(w)
	}
	for _, s := range services {
		c := s.Counters
		row(serviceName(s), c.Conns, c.InPkts, c.OutPkts, c.InBytes, c.OutBytes)
		for _, r := range s.Servers {
			if r.InTable {
				c := r.Counters
				row(fmt.Sprintf("  -> %-28s", hostPort(r.Address, r.Port)), c.Conns, c.InPkts, c.OutPkts, c.InBytes, c.OutBytes)
			}
		}
	}
}

// largeNumber fits a counter into nine columns as ipvsadm does, and into as
// many as it needs if exact is set.
func largeNumber(n uint64, exact bool) string {
	const kilo, mega, giga, tera = 1e3, 1e6, 1e9, 1e12
	switch {
	case exact:
		text := fmt.Sprint(n)
		return fmt.Sprintf("%*s", max(9, len(text)+1), text)
	case n < 100*mega:
		return fmt.Sprintf("%9d", n)
	case n < giga:
		return fmt.Sprintf("%8dK", n/kilo)
	case n < 100*giga:
		return fmt.Sprintf("%8dM", n/mega)
	case n < 100*tera:
		return fmt.Sprintf("%8dG", n/giga)
	}
	return fmt.Sprintf("%8dT", n/tera)
}

// flowLine prints a flow as ipvsadm -Lnc does.
func flowLine(f api.Flow) string {
	seconds := int(f.ExpiresSeconds)
	expires := fmt.Sprintf("%02d:%02d", seconds/60, seconds%60)
	return fmt.Sprintf(flowsLine, f.Protocol, expires, f.State, f.Client, f.Virtual, f.Server)
}
