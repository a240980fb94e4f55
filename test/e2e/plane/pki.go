package plane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

// Certificates live as long as a sandbox may.
const validFor = 7 * 24 * time.Hour

// pki is the certificate authority of the control plane, and what it signed.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   []byte

	adminCert, adminKey []byte
}

// file in the PKI's folder.
func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// newPKI writes ca.crt, apiserver.{crt,key} and sa.{pub,key} into a folder.
func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, key: key, cert: &x509.Certificate{
		Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}}
	if p.ca, err = p.sign(p.cert, &key.PublicKey); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.file("ca.crt"), p.ca, 0o600); err != nil {
		return nil, err
	}

	cert, certKey, err := p.leaf(pkix.Name{CommonName: "kube-apiserver"})
	if err != nil {
		return nil, err
	}
	if p.adminCert, p.adminKey, err = p.leaf(pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}); err != nil {
		return nil, err
	}
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	saKey, err := encodeKey(sa)
	if err != nil {
		return nil, err
	}
	saPub, err := x509.MarshalPKIXPublicKey(&sa.PublicKey)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		"apiserver.crt": cert, "apiserver.key": certKey, "sa.key": saKey, "sa.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: saPub}),
	} {
		if err := os.WriteFile(p.file(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// leaf makes a certificate, of a server or a client, and its key.
func (p *pki) leaf(subject pkix.Name) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err = p.sign(&x509.Certificate{
		Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(sandbox.HostIP), net.ParseIP(sandbox.APIServiceIP)},
	}, &private.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(private)
	return cert, key, err
}

func (p *pki) sign(cert *x509.Certificate, public *ecdsa.PublicKey) ([]byte, error) {
	const serialBits = 64
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	cert.SerialNumber, cert.NotBefore, cert.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(validFor)
	der, err := x509.CreateCertificate(rand.Reader, cert, p.cert, public, p.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// config of an administrator's client.
func (p *pki) config(server string) *rest.Config {
	return &rest.Config{
		Host:            server,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.ca, CertData: p.adminCert, KeyData: p.adminKey},
		// Tests may ask as often as they like.
		QPS: -1,
	}
}

// kubeconfig writes the administrator's file, or, with a token, that of a
// ServiceAccount.
func (p *pki) kubeconfig(path, server, token string) error {
	user := &clientcmdapi.AuthInfo{ClientCertificateData: p.adminCert, ClientKeyData: p.adminKey}
	if token != "" {
		user = &clientcmdapi.AuthInfo{Token: token}
	}
	const name = "e2e"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: server, CertificateAuthorityData: p.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: user},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}
