package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/health"
	"github.com/evenkeel/evenkeel/model"
)

func genhashOptions() []lineOption {
	return []lineOption{
		{short: 'S', long: "use-ssl", help: "Use TLS"},
		{short: 'I', long: "use-sni", help: "Tell the server the name of -V during the TLS handshake"},
		{short: 's', long: "server", arg: "ADDRESS", help: "The server's address"},
		{short: 'p', long: "port", arg: "PORT", help: "The server's port"},
		{short: 'u', long: "url", arg: "PATH", help: "What to ask for"},
		{short: 'V', long: "use-virtualhost", arg: "NAME", help: "The Host of the request"},
		{short: 'v', long: "verbose", help: "Also print what was sent, what came and how long it took"},
		{short: 'm', long: "fwmark", arg: "MARK", help: "The firewall mark of the packets"},
		{short: 'P', long: "protocol", arg: "VERSION", help: "HTTP version: 1.0, 1.0c or 1.1"},
		{short: 't', long: "timeout", arg: "SECONDS", help: "How long to wait, default 5"},
		{short: 'h', long: "help", help: "Print this"},
	}
}

// genhash prints the MD5 digest of a page, as HTTP_GET's digest wants it, and
// returns the exit code.
func (e *env) genhash(ctx context.Context, args []string) int {
	l, err := readLine(genhashOptions(), args)
	if err != nil || len(args) == 0 || l.has("help") {
		lineHelp(e.stderr, "genhash", genhashOptions())
		if err == nil && l.has("help") {
			return exitOK
		}
		return exitFailed
	}
	c, err := genhashCheck(l)
	if err != nil {
		return e.usageError(err)
	}
	began := time.Now()
	a := health.NewCheckers(health.CheckersOptions{}).Examine(ctx, c)
	if a.Digest == "" {
		fmt.Fprintf(e.stderr, "genhash: %s: %v\n", c.ConnectTo, a.Err)
		return exitFailed
	}
	if l.has("verbose") {
		fmt.Fprintf(e.stdout, "sent       %s\nreceived   %s\nafter      %s\n", a.Sent, a.Received, time.Since(began).Round(time.Microsecond))
	}
	fmt.Fprintln(e.stdout, a.Digest)
	return exitOK
}

// genhashCheck makes the check whose digest is asked for.
func genhashCheck(l readOptions) (model.Check, error) {
	c := model.Check{Kind: model.HTTPGet}
	addr, err := netip.ParseAddr(l.last("server", ""))
	if err != nil {
		return c, fmt.Errorf("-s %q is not an IP address", l.last("server", ""))
	}
	port, err := strconv.ParseUint(l.last("port", ""), 10, 16)
	if err != nil || port == 0 {
		return c, fmt.Errorf("-p %q is not a port", l.last("port", ""))
	}
	seconds, err := strconv.ParseFloat(l.last("timeout", "5"), 64)
	if err != nil || seconds <= 0 || seconds > 3600 {
		return c, fmt.Errorf("-t %q is not a number of seconds up to 3600", l.last("timeout", ""))
	}
	mark, err := strconv.ParseUint(l.last("fwmark", "0"), 0, 32)
	if err != nil {
		return c, fmt.Errorf("-m %q is not a firewall mark", l.last("fwmark", ""))
	}
	c.ConnectTo, c.FWMark = netip.AddrPortFrom(addr, uint16(port)), uint32(mark)
	c.ConnectTimeout = time.Duration(seconds * float64(time.Second))
	if l.has("use-ssl") {
		c.Kind = model.SSLGet
	}
	protocol := model.HTTPProtocol(strings.ToUpper(l.last("protocol", string(model.HTTP10))))
	switch protocol {
	case model.HTTP10, model.HTTP10C, model.HTTP11:
	default:
		return c, fmt.Errorf("-P %q is none of 1.0, 1.0c and 1.1", l.last("protocol", ""))
	}
	url := model.URL{Path: l.last("url", "/"), VirtualHost: l.last("use-virtualhost", ""), Digest: "any"}
	c.HTTP = &model.HTTPSpec{URLs: []model.URL{url}, Protocol: protocol, EnableSNI: l.has("use-sni")}
	return c, nil
}
