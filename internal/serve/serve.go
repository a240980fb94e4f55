// Package serve runs a composition function as a gRPC server. It does what
// function-sdk-go's Serve does (v0.7.1 sdk.go), and what a server in production
// needs beyond it (R21): a panic costs one request and not the process, SIGTERM
// drains running calls, the kubelet can ask for health without a client
// certificate, and an address that cannot be listened on is an error.
package serve

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
)

// readHeaderTimeout bounds how long a metrics client may take to send its
// request's headers.
const readHeaderTimeout = 10 * time.Second

// maxConcurrentCalls of one connection; who calls waits for its turn. Crossplane
// reconciles up to 100 XRs at once by default, over one connection, and a
// request may have 4 MiB, of which decoding makes some 40. Calls only compute,
// so more at once would not be faster.
const maxConcurrentCalls = 4

// Options say how a function is served. Nothing is defaulted here; the defaults
// are those of the command line.
type Options struct {
	// Network and Address to listen on for Crossplane's calls, as in net.Listen.
	Network string
	Address string

	// TLSCertsDir is a directory with tls.crt, tls.key and ca.crt. Callers must
	// have a certificate of that CA.
	TLSCertsDir string

	// Insecure serves without TLS, even if TLSCertsDir is set.
	Insecure bool

	// MaxRecvMessageSize is the largest request that is accepted, in bytes.
	MaxRecvMessageSize int

	// MetricsAddress serves Prometheus metrics at /metrics over plain HTTP.
	// Empty means no metrics.
	MetricsAddress string

	// Collectors of metrics to serve beside those of gRPC, of the Go runtime and
	// of the process.
	Collectors []prometheus.Collector

	// HealthAddress serves the gRPC health service without TLS: the kubelet's
	// probes have no client certificate. Empty means no health service.
	HealthAddress string

	// DrainTimeout bounds how long running calls may go on once the server is
	// told to stop.
	DrainTimeout time.Duration
}

// A Server serves one function. It listens from New on, and answers once Run is
// called.
type Server struct {
	log   logging.Logger
	drain time.Duration

	functions *grpc.Server
	health    *grpc.Server
	metrics   *http.Server
	status    *health.Server

	functionListener net.Listener
	healthListener   net.Listener
	metricsListener  net.Listener
}

// New returns a server for the supplied function that listens on every address
// of the options. The error says which address or certificate cannot be used;
// nothing is left open then.
func New(fn fnv1.FunctionRunnerServiceServer, log logging.Logger, o Options) (*Server, error) {
	creds, err := transportCredentials(o)
	if err != nil {
		return nil, err
	}

	s := &Server{log: log, drain: o.DrainTimeout, status: health.NewServer()}
	if err := s.listen(o); err != nil {
		s.closeListeners()
		return nil, err
	}

	opts := []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.MaxRecvMsgSize(o.MaxRecvMessageSize),
		grpc.MaxConcurrentStreams(maxConcurrentCalls),
	}
	measured := grpcprometheus.NewServerMetrics(grpcprometheus.WithServerHandlingTimeHistogram())
	if s.metricsListener != nil {
		opts = append(opts, grpc.ChainUnaryInterceptor(measured.UnaryServerInterceptor()))
	}

	safe := &recoverer{wrapped: fn, log: log}
	s.functions = grpc.NewServer(opts...)
	reflection.Register(s.functions)
	fnv1.RegisterFunctionRunnerServiceServer(s.functions, safe)
	fnv1beta1.RegisterFunctionRunnerServiceServer(s.functions, function.ServeBeta(safe))

	s.health = grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s.health, s.status)

	measured.InitializeMetrics(s.functions)
	s.metrics = metricsServer(append(slices.Clone(o.Collectors), measured)...)
	return s, nil
}

// Run serves until the context ends, then lets running calls finish. It returns
// nil after a clean stop. The error says what could not be served, or that
// calls were still running when the drain timeout had passed.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 3) // One for each of the three servers.
	go func() {
		failed <- errors.Wrap(s.functions.Serve(s.functionListener), "cannot serve function calls")
	}()
	if s.healthListener != nil {
		go func() {
			failed <- errors.Wrap(s.health.Serve(s.healthListener), "cannot serve health")
		}()
	}
	if s.metricsListener != nil {
		go func() {
			failed <- errors.Wrap(s.metrics.Serve(s.metricsListener), "cannot serve metrics")
		}()
	}
	s.log.Info("Serving", "address", s.FunctionAddress(), "healthAddress", address(s.healthListener), "metricsAddress", address(s.metricsListener))

	defer s.closeListeners()
	defer s.metrics.Close()
	defer s.health.Stop() // Health is served until the last call is done.

	select {
	case err := <-failed:
		s.functions.Stop()
		return err
	case <-ctx.Done():
		return s.stop()
	}
}

// FunctionAddress is the address on which Crossplane's calls are served.
func (s *Server) FunctionAddress() string { return address(s.functionListener) }

// HealthAddress is the address of the health service; empty if it is off.
func (s *Server) HealthAddress() string { return address(s.healthListener) }

// MetricsAddress is the address of the metrics; empty if they are off.
func (s *Server) MetricsAddress() string { return address(s.metricsListener) }

// stop refuses new calls and waits for the running ones.
func (s *Server) stop() error {
	s.log.Info("Stopping: waiting for running calls", "timeout", s.drain.String())
	s.status.Shutdown()

	done := make(chan struct{})
	go func() {
		s.functions.GracefulStop()
		close(done)
	}()

	select {
	case <-done:
		return nil
	case <-time.After(s.drain):
		s.functions.Stop()
		return errors.Errorf("calls were still running after %s and were cut off", s.drain)
	}
}

func (s *Server) listen(o Options) error {
	var err error
	if s.functionListener, err = listen(o.Network, o.Address); err != nil {
		return errors.Wrap(err, "cannot listen for function calls (--address)")
	}
	if o.HealthAddress != "" {
		if s.healthListener, err = listen("tcp", o.HealthAddress); err != nil {
			return errors.Wrap(err, "cannot listen for health probes (--health-address)")
		}
	}
	if o.MetricsAddress != "" {
		if s.metricsListener, err = listen("tcp", o.MetricsAddress); err != nil {
			return errors.Wrap(err, "cannot listen for metrics requests (--metrics-address)")
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range []net.Listener{s.functionListener, s.healthListener, s.metricsListener} {
		if l != nil {
			_ = l.Close() // A listener that its server closed already says so.
		}
	}
}

func listen(network, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), network, address)
}

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// metricsServer returns an HTTP server of the function's metrics and of those
// of the Go runtime and the process.
func metricsServer(measured ...prometheus.Collector) *http.Server {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(measured...)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout}
}
