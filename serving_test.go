package main

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/metrics"
	"github.com/dittofs/function-dittoserver/internal/serve"
)

// maxRequest is the largest request that the function takes by default, in
// bytes.
const maxRequest = 4 * mebibyte

// A served function: the whole program but for its command line.
type served struct {
	client  fnv1.FunctionRunnerServiceClient
	conn    *grpc.ClientConn
	metrics string // Address.
}

// serveLocally serves a function as main does, until the test ends.
func serveLocally(t testing.TB, fn fnv1.FunctionRunnerServiceServer, log logging.Logger) *served {
	t.Helper()
	m := metrics.New("test")
	srv, err := serve.New(m.Observe(fn), log, serve.Options{
		Network: "tcp", Address: "127.0.0.1:0", Insecure: true, MaxRecvMessageSize: maxRequest,
		MetricsAddress: "127.0.0.1:0", Collectors: []prometheus.Collector{m}, DrainTimeout: drainTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()

	conn, err := grpc.NewClient("passthrough:///"+srv.FunctionAddress(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run(...): %v", err)
		}
	})

	return &served{client: fnv1.NewFunctionRunnerServiceClient(conn), conn: conn, metrics: srv.MetricsAddress()}
}

// scrape the metrics, as Prometheus does.
func (s *served) scrape(t testing.TB) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.metrics+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v", rsp.Status, err)
	}

	return string(body)
}
