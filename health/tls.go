package health

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// tlsConfig returns what SSL_GET says in its handshake. As in keepalived the
// server's certificate is not verified unless that is asked for, and no
// server is too old: a check reveals nothing, and its server is what it is.
func (k *Checkers) tlsConfig(c model.Check, url model.URL) (*tls.Config, error) {
	files, err := k.certificates.get(c.HTTP.TLS)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		ServerName:         serverName(c, url),
		InsecureSkipVerify: true,
		Certificates:       files.certificates,
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       allSuites(),
		// Without the large keys of post-quantum exchange the first message
		// fits one packet, which some servers rely on.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
	if c.HTTP.VerifyServer {
		name := config.ServerName
		if name == "" {
			name = c.ConnectTo.Addr().WithZone("").String()
		}
		// Verified here, so that the name to verify need not be sent.
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return verifyServer(state.PeerCertificates, files.roots, name)
		}
	}
	return config, nil
}

// serverName returns the name for SNI, empty for none. A virtualhost may have
// a port, which is no part of it.
func serverName(c model.Check, url model.URL) string {
	if !c.HTTP.EnableSNI {
		return ""
	}
	name := c.HTTP.SNIName
	if name == "" {
		name = url.VirtualHost
	}
	if host, _, err := net.SplitHostPort(name); err == nil {
		return host
	}
	return name
}

func allSuites() []uint16 {
	var ids []uint16
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, suite := range list {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

func verifyServer(chain []*x509.Certificate, roots *x509.CertPool, name string) error {
	if len(chain) == 0 {
		return errors.New("the server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name})
	return err
}

// certificates keeps what is read of SSL blocks until a file changes.
type certificates struct {
	mu   sync.Mutex // guards kept
	kept map[model.ClientTLS]tlsFiles
}

// tlsFiles is what the files of an SSL block hold.
type tlsFiles struct {
	stamps       [3]stamp
	certificates []tls.Certificate
	// roots is nil for the system's.
	roots *x509.CertPool
}

// stamp tells whether a file changed.
type stamp struct {
	at   time.Time
	size int64
}

func stampOf(path string) (stamp, error) {
	if path == "" {
		return stamp{}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// get returns what the files of an SSL block hold. An error wraps ErrNotTried.
func (s *certificates) get(block *model.ClientTLS) (tlsFiles, error) {
	if block == nil {
		return tlsFiles{}, nil
	}
	var stamps [3]stamp
	for i, path := range []string{block.Certificate, block.Key, block.CA} {
		var err error
		if stamps[i], err = stampOf(path); err != nil {
			return tlsFiles{}, notTried("SSL block: %v", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if files, ok := s.kept[*block]; ok && files.stamps == stamps {
		return files, nil
	}
	files, err := readTLSFiles(*block)
	if err != nil {
		return tlsFiles{}, notTried("SSL block: %v", err)
	}
	files.stamps = stamps
	if s.kept == nil {
		s.kept = make(map[model.ClientTLS]tlsFiles)
	}
	s.kept[*block] = files
	return files, nil
}

// readTLSFiles reads the files of an SSL block. A certificate without a key is
// not used, as in keepalived.
func readTLSFiles(block model.ClientTLS) (tlsFiles, error) {
	var files tlsFiles
	if block.Certificate != "" && block.Key != "" {
		chain, err := os.ReadFile(block.Certificate)
		if err != nil {
			return files, err
		}
		key, err := os.ReadFile(block.Key)
		if err != nil {
			return files, err
		}
		if key, err = decryptKey(key, block.Password); err != nil {
			return files, fmt.Errorf("key %s: %w", block.Key, err)
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return files, fmt.Errorf("certificate %s with key %s: %w", block.Certificate, block.Key, err)
		}
		files.certificates = []tls.Certificate{pair}
	}
	if block.CA != "" {
		text, err := os.ReadFile(block.CA)
		if err != nil {
			return files, err
		}
		files.roots = x509.NewCertPool()
		if !files.roots.AppendCertsFromPEM(text) {
			return files, fmt.Errorf("ca %s: no certificate in it", block.CA)
		}
	}
	return files, nil
}

// decryptKey takes the password off a key in PEM.
func decryptKey(text []byte, password string) ([]byte, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return text, nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("encrypted in a way that cannot be read here (PKCS #8); write it without a password")
		}
		//nolint:staticcheck // Insecure by design, but what openssl wrote for years and what password is for.
		if !x509.IsEncryptedPEMBlock(block) {
			continue
		}
		//nolint:staticcheck // As above.
		der, err := x509.DecryptPEMBlock(block, []byte(password))
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
	}
}
