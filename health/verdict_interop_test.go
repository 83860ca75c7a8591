//go:build interop

package health

import (
	"net/netip"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// The same servers get the same verdicts from keepalived, but where a reason is
// given.
func TestVerdictsOfKeepalived(t *testing.T) {
	kinder := map[string]string{
		"HTTP_GET regex of the body only":      "keepalived searches the part of the header that came with the body, too",
		"HTTP_GET regex":                       "keepalived takes no match that would go on in what may still come, as that of $",
		"HTTP_GET regex that cannot run":       "PCRE2 can look ahead",
		"HTTP_GET digest up to Content-Length": "keepalived knows Content-Length in this spelling only",
		"SMTP_CHECK bare codes":                "keepalived wants a space after the code",
		"SMTP_CHECK several lines":             "keepalived wants a space after the code",
		"SSL_GET TLS 1.0":                      "OpenSSL as Debian builds it refuses TLS 1.0",
		"SSL_GET expired":                      "keepalived verifies nothing",
		"SSL_GET unknown authority":            "keepalived verifies nothing",
		"SSL_GET another name":                 "keepalived verifies nothing",
	}
	var checks []model.Check
	var names []string
	var wants []bool
	add := func(name string, c model.Check, to netip.AddrPort, short bool, want string) {
		c.ConnectTo, c.ConnectTimeout = to, 5*time.Second
		if short {
			c.ConnectTimeout = impatient
		}
		c.Alpha, c.DelayLoop, c.DelayBeforeRetry = true, 3*time.Second, 3*time.Second
		checks = append(checks, c)
		names, wants = append(names, string(c.Kind)+" "+name), append(wants, want == "")
	}
	addTCP := func(kind model.CheckKind, list []tcpVerdict) {
		for _, v := range list {
			if v.name == "endless body" || v.name == "a ca file that is not there" {
				// keepalived reads for ever, and ends at start.
				continue
			}
			c := model.Check{Kind: kind}
			if kind != model.SMTPCheck {
				v.url.Path = "/"
				c.HTTP = &model.HTTPSpec{URLs: []model.URL{v.url}}
			}
			add(v.name, c, serve(t, v.handle), v.short, v.want)
		}
	}
	addTCP(model.HTTPGet, httpVerdicts())
	addTCP(model.SSLGet, sslVerdicts(t))
	addTCP(model.SMTPCheck, smtpVerdicts())
	for _, v := range dnsVerdicts() {
		add(v.name, model.Check{Kind: model.DNSCheck, DNS: &model.DNSSpec{}}, serveUDP(t, v.answer), v.short, v.want)
	}
	for _, v := range udpVerdicts() {
		add(v.name, model.Check{Kind: model.UDPCheck, UDP: &v.spec}, serveUDP(t, v.answer), v.short, v.want)
	}
	for _, kind := range []model.CheckKind{model.TCPCheck, model.UDPCheck, model.DNSCheck, model.SMTPCheck} {
		add("nobody listens", model.Check{Kind: kind}, refusedPort(t), false, "connection refused")
	}

	k := startKeepalived(t, checks)
	// Each is tried some times, and longer until all are up that are to be.
	<-time.After(8 * time.Second)
	var got []string
	await(func() bool {
		got = k.turns()
		for i, name := range names {
			if _, differs := kinder[name]; wants[i] != differs && got[i] != "u" {
				return false
			}
		}
		return true
	})
	for i, name := range names {
		reason, differs := kinder[name]
		if theirs := got[i] == "u"; (theirs != wants[i]) != differs {
			t.Errorf("%s: keepalived says %q, we say up = %v (%s)", name, got[i], wants[i], reason)
		}
	}
}
