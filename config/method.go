package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/model"
)

// method is the value of lvs_method.
type method struct {
	forward model.Forward
	tunnel  model.Tunnel
}

// forward reads NAT, DR or TUN with its options.
func (b *builder) forward(s *statement, field **method, consequence string) bool {
	f, ok := map[string]model.Forward{"NAT": model.NAT, "DR": model.DR, "TUN": model.TUN}[strings.ToUpper(s.arg(0))]
	if !ok {
		b.bad(s, 0, fmt.Errorf("not NAT, DR or TUN"), consequence, "write "+s.keyword()+" NAT, DR or TUN")
		return false
	}
	b.capitals(s, strings.ToUpper(s.arg(0)))
	m := method{forward: f}
	if options := s.args()[1:]; len(options) > 0 {
		if f != model.TUN {
			b.add(Warning, options[0].at, s.keyword(), fmt.Sprintf("%q after %s is ignored", options[0].s, f), "only TUN has options")
		} else if !b.tunnel(s, &m.tunnel, consequence) {
			return false
		}
	}
	*field = &m
	return true
}

// tunnel reads TUN's options: type ipip, gue port N or gre, and what to do about
// checksums.
func (b *builder) tunnel(s *statement, t *model.Tunnel, consequence string) bool {
	const hint = "write TUN type ipip, gue port N or gre, then nocsum, csum or remcsum"
	types := map[string]model.TunnelType{"ipip": model.IPIP, "gue": model.GUE, "gre": model.GRE}
	sums := map[string]model.TunnelChecksum{"nocsum": model.NoChecksum, "csum": model.OuterChecksum, "remcsum": model.RemoteChecksum}
	for i := 1; i < len(s.args()); i++ {
		word := s.arg(i)
		if sum, ok := sums[word]; ok {
			t.Checksum = sum
			continue
		}
		if word == "type" {
			i++
			word = s.arg(i)
		}
		if kind, ok := types[word]; ok {
			t.Type = kind
			continue
		}
		if word != "port" {
			b.bad(s, min(i, len(s.args())-1), fmt.Errorf("not an option of TUN"), consequence, hint)
			return false
		}
		i++
		port, err := strconv.ParseUint(s.arg(i), 10, 16)
		if err != nil || port == 0 {
			b.bad(s, min(i, len(s.args())-1), fmt.Errorf("not a port from 1 to 65535"), consequence, hint)
			return false
		}
		t.Port = uint16(port)
	}
	switch {
	case t.Type == model.GUE && t.Port == 0:
		b.bad(s, 0, fmt.Errorf("gue without a port"), consequence, hint)
		return false
	case t.Type != model.GUE:
		t.Port = 0
	}
	if t.Type == model.IPIP {
		t.Checksum = model.NoChecksum
	}
	return true
}
