package serve

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossplane/function-sdk-go/errors"
)

// transportCredentials returns mTLS credentials from the options' directory, in
// which Crossplane's package manager mounts the function's certificate and the
// CA of its own client certificate (function-sdk-go v0.7.1 sdk.go). Without TLS
// only if the options say so.
func transportCredentials(o Options) (credentials.TransportCredentials, error) {
	if o.Insecure {
		return insecure.NewCredentials(), nil
	}
	if o.TLSCertsDir == "" {
		return nil, errors.New("no certificates: set --tls-certs-dir (or TLS_SERVER_CERTS_DIR), or --insecure for development")
	}

	crt, err := tls.LoadX509KeyPair(filepath.Join(o.TLSCertsDir, "tls.crt"), filepath.Join(o.TLSCertsDir, "tls.key"))
	if err != nil {
		return nil, errors.Wrap(err, "cannot load the server's certificate")
	}

	ca, err := os.ReadFile(filepath.Join(o.TLSCertsDir, "ca.crt"))
	if err != nil {
		return nil, errors.Wrap(err, "cannot read the CA of client certificates")
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.Errorf("no CA certificate in %s", filepath.Join(o.TLSCertsDir, "ca.crt"))
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{crt},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}), nil
}
