// Package main is a Crossplane composition function that turns a DittoServer
// into a DittoFS file server on a PostgreSQL that the Percona operator manages.
package main

import (
	"context"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/metrics"
	"github.com/dittofs/function-dittoserver/internal/serve"
)

const (
	mebibyte = 1024 * 1024

	// drainTimeout leaves some of the 30 seconds that Kubernetes gives a pod to
	// stop in. A call takes milliseconds.
	drainTimeout = 20 * time.Second
)

// CLI of this function. The flags that function-template-go has are the same
// here: Crossplane's package manager sets TLS_SERVER_CERTS_DIR.
type CLI struct {
	Debug bool `help:"Emit debug logs in addition to info logs." short:"d"`

	Network            string `default:"tcp" help:"Network on which to listen for gRPC connections."`
	Address            string `default:":9443" help:"Address at which to listen for gRPC connections."`
	TLSCertsDir        string `env:"TLS_SERVER_CERTS_DIR" help:"Directory containing server certs (tls.key, tls.crt) and the CA used to verify client certificates (ca.crt)."`
	Insecure           bool   `help:"Run without mTLS credentials, for development. If you supply this flag --tls-certs-dir is ignored."`
	MaxRecvMessageSize int    `default:"4" help:"Maximum size of received messages in MiB."`
	MetricsAddress     string `default:":8080" help:"Address at which to serve Prometheus metrics over plain HTTP. Empty: no metrics."`
	HealthAddress      string `default:":8081" help:"Address at which to serve gRPC health probes without TLS. Empty: no health service."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Run this function until SIGTERM or SIGINT.
func (c *CLI) Run() error {
	log, err := function.NewLogger(c.Debug)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.

	measured := metrics.New(version())
	srv, err := serve.New(measured.Observe(&Function{log: log}), log, serve.Options{
		Network:            c.Network,
		Address:            c.Address,
		TLSCertsDir:        c.TLSCertsDir,
		Insecure:           c.Insecure,
		MaxRecvMessageSize: c.MaxRecvMessageSize * mebibyte,
		MetricsAddress:     c.MetricsAddress,
		Collectors:         []prometheus.Collector{measured},
		HealthAddress:      c.HealthAddress,
		DrainTimeout:       drainTimeout,
	})
	if err != nil {
		return errors.Wrap(err, "cannot start")
	}
	return srv.Run(ctx)
}

// buildVersion is set by the linker: -ldflags "-X main.buildVersion=v0.1.0".
var buildVersion string //nolint:gochecknoglobals // The linker can set nothing else.

// version of this build: what the linker was told, else what Go knows of the
// module.
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

func main() {
	ctx := kong.Parse(&CLI{},
		kong.Name("function-dittoserver"),
		kong.Description("Composes a DittoFS file server on Percona PostgreSQL for each DittoServer."),
		kong.Vars{"version": version()},
	)
	ctx.FatalIfErrorf(ctx.Run())
}
