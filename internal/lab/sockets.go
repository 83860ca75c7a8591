package lab

import (
	"context"
	"net"
	"net/http"
)

// Listen announces on an address of the node, as net.Listen does. The
// listener can be used from anywhere. The host must be an address, not a name.
func (n *Node) Listen(network, addr string) (l net.Listener, err error) {
	doErr := n.Do(func() error {
		l, err = net.Listen(network, addr)
		return nil
	})
	if doErr != nil {
		return nil, doErr
	}
	return l, err
}

// ListenPacket announces on an address of the node, as net.ListenPacket does.
func (n *Node) ListenPacket(network, addr string) (c net.PacketConn, err error) {
	doErr := n.Do(func() error {
		c, err = net.ListenPacket(network, addr)
		return nil
	})
	if doErr != nil {
		return nil, doErr
	}
	return c, err
}

// Dial connects from the node, as net.Dialer does. The connection can be used
// from anywhere. The host must be an address, not a name.
func (n *Node) Dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	doErr := n.Do(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return nil
	})
	if doErr != nil {
		return nil, doErr
	}
	return c, err
}

// HTTPClient returns a client whose connections start at the node. It opens a
// connection for each request, so that a balancer sees each of them, follows
// no proxy settings, and leaves nothing to close.
func (n *Node) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}}
}
