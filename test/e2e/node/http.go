package node

import (
	"crypto/tls"
	"net/http"
)

// probeTransport is a kubelet's: it checks no certificate and keeps no
// connection.
func probeTransport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // As kubelets do.
	}
}
