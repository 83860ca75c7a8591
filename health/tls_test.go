package health

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// authority signs certificates of tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate for www.example.org that ends so long from now.
func (a *authority) issue(life time.Duration) tls.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"www.example.org"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// write puts text into a file of the test.
func write(t testing.TB, name string, blocks ...*pem.Block) string {
	t.Helper()
	var text bytes.Buffer
	for _, b := range blocks {
		if err := pem.Encode(&text, b); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certBlock(der []byte) *pem.Block { return &pem.Block{Type: "CERTIFICATE", Bytes: der} }

func keyBlock(t testing.TB, c tls.Certificate) *pem.Block {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
}

// serveTLS answers one request on each connection; each connection's state is
// sent to seen, and to ended how many bytes the client sent after its request.
func serveTLS(config *tls.Config, seen chan tls.ConnectionState, ended chan int) func(net.Conn, <-chan struct{}) {
	return func(raw net.Conn, _ <-chan struct{}) {
		conn := tls.Server(raw, config)
		if conn.Handshake() != nil {
			return
		}
		if seen != nil {
			seen <- conn.ConnectionState()
		}
		readRequest(conn)
		_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello"))
		_ = conn.CloseWrite()
		if ended != nil {
			// Go takes any end for a clean one, so that the bytes are counted.
			left, _ := io.ReadAll(raw)
			ended <- len(left)
		}
	}
}

// greet says text without being asked and waits for the other side to close.
func greet(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		_, _ = conn.Write([]byte(text))
		_, _ = io.Copy(io.Discard, conn)
	}
}

func sslCheck(t *testing.T, handle func(net.Conn, <-chan struct{})) model.Check {
	c := networkCheck(model.SSLGet, serve(t, handle))
	c.HTTP = &model.HTTPSpec{URLs: []model.URL{{Path: "/", VirtualHost: "www.example.org"}}}
	return c
}

func sslVerdicts(t *testing.T) []tcpVerdict {
	ca := newAuthority(t)
	good, expired := ca.issue(time.Hour), ca.issue(-time.Hour)
	trusted := &model.ClientTLS{CA: write(t, "ca.pem", certBlock(ca.cert.Raw))}
	otherCA := &model.ClientTLS{CA: write(t, "other.pem", certBlock(newAuthority(t).cert.Raw))}
	with := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	plain := func(c *tls.Config) func(net.Conn, <-chan struct{}) { return serveTLS(c, nil, nil) }
	return []tcpVerdict{
		{name: "not verified", handle: plain(with(good))},
		{name: "expired, not verified", handle: plain(with(expired))},
		{name: "verified", handle: plain(with(good)), change: func(c *model.Check) { c.HTTP.VerifyServer, c.HTTP.TLS, c.HTTP.EnableSNI = true, trusted, true }},
		{
			name: "expired", handle: plain(with(expired)), change: func(c *model.Check) { c.HTTP.VerifyServer, c.HTTP.TLS, c.HTTP.EnableSNI = true, trusted, true },
			want: "TLS handshake: x509: certificate has expired or is not yet valid: ",
		},
		{
			name: "unknown authority", handle: plain(with(good)), change: func(c *model.Check) { c.HTTP.VerifyServer, c.HTTP.TLS, c.HTTP.EnableSNI = true, otherCA, true },
			want: "TLS handshake: x509: certificate signed by unknown authority",
		},
		{
			name: "another name", handle: plain(with(good)), change: func(c *model.Check) { c.HTTP.VerifyServer, c.HTTP.TLS = true, trusted },
			want: "TLS handshake: x509: cannot validate certificate for 127.0.0.1",
		},
		{name: "TLS 1.0", handle: plain(&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})},
		{name: "TLS 1.3", handle: plain(&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS13})},
		{
			name: "a client certificate is asked for", handle: plain(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}),
			want: "TLS handshake: remote error: ",
		},
		{name: "no TLS", handle: greet("HTTP/1.0 400 Bad Request\r\n\r\n"), want: "TLS handshake: the server does not speak TLS"},
		{name: "closed", handle: func(net.Conn, <-chan struct{}) {}, want: "TLS handshake: "},
		{name: "half open", handle: func(_ net.Conn, stop <-chan struct{}) { <-stop }, change: func(c *model.Check) { c.ConnectTimeout = impatient }, want: "no TLS handshake in 400ms"},
		{
			name: "a ca file that is not there", handle: plain(with(good)), change: func(c *model.Check) { c.HTTP.TLS = &model.ClientTLS{CA: "/nowhere/ca.pem"} },
			want: "SSL block: stat /nowhere/ca.pem: no such file or directory",
		},
	}
}

func TestSSLVerdicts(t *testing.T) {
	for _, tt := range sslVerdicts(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := sslCheck(t, tt.handle)
			if tt.change != nil {
				tt.change(&c)
			}
			err := NewCheckers(CheckersOptions{}).Probe(t.Context(), c)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%v, want success", err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)):
				t.Errorf("%v, want %s", err, tt.want)
			}
			if got, want := errors.Is(err, ErrNotTried), strings.HasPrefix(tt.want, "SSL block"); got != want {
				t.Errorf("not tried is %v, want %v", got, want)
			}
		})
	}
}

func TestSSLServerName(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model.HTTPSpec)
		want   string
	}{
		{"none", func(*model.HTTPSpec) {}, ""},
		{"virtualhost", func(h *model.HTTPSpec) { h.EnableSNI = true }, "www.example.org"},
		{"sni_name", func(h *model.HTTPSpec) { h.EnableSNI, h.SNIName = true, "other.example.org" }, "other.example.org"},
		{"virtualhost with a port", func(h *model.HTTPSpec) { h.EnableSNI, h.URLs[0].VirtualHost = true, "www.example.org:8443" }, "www.example.org"},
		{"no virtualhost", func(h *model.HTTPSpec) { h.EnableSNI, h.URLs[0].VirtualHost = true, "" }, ""},
	}
	config := &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(time.Hour)}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan tls.ConnectionState, 1)
			c := sslCheck(t, serveTLS(config, seen, nil))
			tt.change(c.HTTP)
			expect(t, NewCheckers(CheckersOptions{}), c, "")
			if got := (<-seen).ServerName; got != tt.want {
				t.Errorf("server name %q, want %q", got, tt.want)
			}
		})
	}
}

// tls_compliant ends the connection with a close_notify, others just close.
func TestSSLCompliant(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{newAuthority(t).issue(time.Hour)}}
	for _, compliant := range []bool{true, false} {
		ended := make(chan int, 1)
		c := sslCheck(t, serveTLS(config, nil, ended))
		c.HTTP.URLs[0].TLSCompliant = compliant
		expect(t, NewCheckers(CheckersOptions{}), c, "")
		if n := <-ended; (n > 0) != compliant {
			t.Errorf("tls_compliant %v: %d bytes after the request", compliant, n)
		}
	}
}

func TestSSLClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	server, client := ca.issue(time.Hour), ca.issue(time.Hour)
	config := &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert}
	chain := write(t, "cert.pem", certBlock(client.Certificate[0]))
	plain := keyBlock(t, client)
	//nolint:staticcheck // What the SSL block's password is for.
	locked, err := x509.EncryptPEMBlock(rand.Reader, plain.Type, plain.Bytes, []byte("secret"), x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	lockedKey := write(t, "locked.pem", locked)
	pkcs8 := write(t, "pkcs8.pem", &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	tests := []struct {
		name  string
		block model.ClientTLS
		want  string
	}{
		{"a key", model.ClientTLS{Certificate: chain, Key: write(t, "key.pem", plain)}, ""},
		{"with a password", model.ClientTLS{Certificate: chain, Key: lockedKey, Password: "secret"}, ""},
		{"wrong password", model.ClientTLS{Certificate: chain, Key: lockedKey, Password: "x"}, "not tried: SSL block: key " + lockedKey + ": x509: decryption password incorrect"},
		{"PKCS #8", model.ClientTLS{Certificate: chain, Key: pkcs8, Password: "secret"}, "not tried: SSL block: key " + pkcs8 + ": encrypted in a way that cannot be read here (PKCS #8); write it without a password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan tls.ConnectionState, 1)
			c := sslCheck(t, serveTLS(config, seen, nil))
			c.HTTP.TLS = &tt.block
			expect(t, NewCheckers(CheckersOptions{}), c, tt.want)
			if tt.want != "" {
				return
			}
			if got := (<-seen).PeerCertificates; len(got) != 1 || !bytes.Equal(got[0].Raw, client.Certificate[0]) {
				t.Errorf("the server saw %d certificates, want the client's", len(got))
			}
		})
	}
}

// A renewed certificate is used without a restart.
func TestCertificatesAreReadAgain(t *testing.T) {
	ca := newAuthority(t)
	first, second := ca.issue(time.Hour), ca.issue(time.Hour)
	block := &model.ClientTLS{
		Certificate: write(t, "cert.pem", certBlock(first.Certificate[0])),
		Key:         write(t, "key.pem", keyBlock(t, first)),
	}
	var kept certificates
	for i, want := range []tls.Certificate{first, first, second} {
		if i == 2 {
			for path, b := range map[string]*pem.Block{block.Certificate: certBlock(second.Certificate[0]), block.Key: keyBlock(t, second)} {
				if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
					t.Fatal(err)
				}
				later := time.Now().Add(time.Hour)
				if err := os.Chtimes(path, later, later); err != nil {
					t.Fatal(err)
				}
			}
		}
		files, err := kept.get(block)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(files.certificates[0].Certificate[0], want.Certificate[0]) {
			t.Errorf("read %d returns another certificate", i)
		}
	}
}

// A body that trickles: HTTP_GET waits for each piece, SSL_GET as long as one
// wait for all of them, both as keepalived.
func TestTrickleOfKinds(t *testing.T) {
	certificate := newAuthority(t).issue(time.Hour)
	tests := []struct {
		kind   model.CheckKind
		pieces int // one each 3 s
		want   string
	}{
		{model.HTTPGet, 8, ""},
		{model.HTTPGet, 80, "timed out after 35 bytes: the server neither went on nor closed"},
		{model.SSLGet, 1, ""},
		{model.SSLGet, 8, "timed out after 20 bytes: the server neither went on nor closed"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			client, raw := net.Pipe()
			server := raw
			if tt.kind == model.SSLGet {
				server = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate}})
			}
			var running sync.WaitGroup
			defer running.Wait()
			defer client.Close()
			running.Go(func() {
				defer raw.Close()
				// When the client waits again: a pipe that the other end has closed takes no deadline.
				defer time.Sleep(time.Millisecond)
				readRequest(server)
				_, err := server.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
				for n := 0; n < tt.pieces && err == nil; n++ {
					time.Sleep(3 * time.Second)
					_, err = server.Write([]byte("x"))
				}
			})
			c := model.Check{Kind: tt.kind, ConnectTimeout: 5 * time.Second, HTTP: &model.HTTPSpec{URLs: []model.URL{{Path: "/"}}}}
			a := NewCheckers(CheckersOptions{}).get(t.Context(), client, time.Now(), c, nil)
			got := ""
			if a.Err != nil {
				got = a.Err.Error()
			}
			if got != tt.want {
				t.Errorf("%s, %d pieces: %q, want %q", tt.kind, tt.pieces, got, tt.want)
			}
		})
	}
}
