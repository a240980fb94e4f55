package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

// An authority signs certificates, as Crossplane does for its functions.
type authority struct {
	crt *x509.Certificate
	key *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()

	key := newKey(t)
	crt := sign(t, &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "authority"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, key, key)
	return &authority{crt: crt, key: key}
}

// serverDir returns a directory as Crossplane mounts it: tls.crt, tls.key and
// ca.crt, less the files named.
func (a *authority) serverDir(t *testing.T, without ...string) string {
	t.Helper()

	crt, key := a.issue(t, x509.ExtKeyUsageServerAuth)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"ca.crt":  {Type: "CERTIFICATE", Bytes: a.crt.Raw},
		"tls.crt": {Type: "CERTIFICATE", Bytes: crt.Raw},
		"tls.key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if !slices.Contains(without, name) {
			write(t, filepath.Join(dir, name), pem.EncodeToMemory(block))
		}
	}
	return dir
}

// client returns credentials that trust this authority's server, with a
// certificate of the supplied issuer, or none.
func (a *authority) client(t *testing.T, issuer *authority) credentials.TransportCredentials {
	t.Helper()

	roots := x509.NewCertPool()
	roots.AddCert(a.crt)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if issuer != nil {
		crt, key := issuer.issue(t, x509.ExtKeyUsageClientAuth)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{crt.Raw}, PrivateKey: key}, nil
		}
	}
	return credentials.NewTLS(cfg)
}

func (a *authority) issue(t *testing.T, usage x509.ExtKeyUsage) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()

	key := newKey(t)
	return sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "leaf"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
	}, a.crt, key, a.key), key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign returns a certificate that holds for an hour; without a parent it signs
// itself.
func sign(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()

	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	crt, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return crt
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()

	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
