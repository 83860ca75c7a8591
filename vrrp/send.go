package vrrp

import (
	"errors"
	"net/netip"
)

// Encode gives send one packet for the multicast group, or one for each peer,
// with the instance's addresses and the given priority. The packets are valid
// during the call only. All are sent; the errors of send come back joined.
func (c *Codec) Encode(priority uint8, send func(Packet) error) error {
	if !c.source.IsValid() {
		return errors.New("send advert: no source address")
	}
	c.ipID = max(c.ipID+1, 1) // the kernel would replace zero
	if c.cfg.Auth.Type == AuthAH {
		c.seq++
	}
	if len(c.cfg.Peers) == 0 {
		return c.encodeTo(priority, c.cfg.Multicast, hopLimit, send)
	}
	var errs []error
	for _, peer := range c.cfg.Peers {
		if err := c.encodeTo(priority, peer.Addr, c.cfg.UnicastTTL, send); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Codec) encodeTo(priority uint8, dst netip.Addr, ttl uint8, send func(Packet) error) error {
	p := Packet{Src: c.source, Dst: dst, TTL: ttl, Protocol: ProtocolVRRP}
	ah := c.cfg.Auth.Type == AuthAH
	b := c.buf[:0]
	if !c.cfg.IPv6 {
		payloadLen := c.cfg.datagramLen() - ipv4HeaderLen
		if ah {
			p.Protocol = ProtocolAH
		}
		b = appendIPv4Header(b, p, c.ipID, payloadLen)
		if ah {
			b = appendAH(b, p.Src.As4(), c.seq)
		}
	}
	b, err := c.advert(priority).Append(b, c.sendPseudo(p))
	if err != nil {
		return err
	}
	c.buf = b
	if !c.cfg.IPv6 {
		p.Header, b = b[:ipv4HeaderLen], b[ipv4HeaderLen:]
	}
	p.Payload = b
	if ah {
		signAH(p, c.cfg.Auth.key())
	}
	return send(p)
}

func (c *Codec) advert(priority uint8) Advert {
	a := Advert{
		Version:   c.cfg.Version,
		VRID:      c.cfg.VRID,
		Priority:  priority,
		Interval:  c.cfg.Interval,
		Addresses: c.cfg.Addresses,
		AuthType:  c.cfg.Auth.Type,
	}
	if a.AuthType == AuthPass {
		a.AuthData = c.cfg.Auth.key()
	}
	return a
}

// sendPseudo is pseudo, but for a peer with the old checksum.
func (c *Codec) sendPseudo(p Packet) PseudoHeader {
	ph := c.pseudo(p)
	for _, addr := range c.old {
		if addr == p.Dst && ph.Dst.IsValid() {
			ph.Dst = c.cfg.Multicast
		}
	}
	return ph
}
