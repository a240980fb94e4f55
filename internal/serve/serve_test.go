package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	xplogging "github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
	"github.com/crossplane/function-sdk-go/response"
)

// patience is how long a test waits for what should take milliseconds.
const patience = 20 * time.Second

// fake is a composition function made of a Go function.
type fake struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	run func(ctx context.Context, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse
}

func (f *fake) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f.run(ctx, req), nil
}

func echo(_ context.Context, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
	return response.To(req, response.DefaultTTL)
}

// recorder is a logger that keeps what it is given.
type recorder struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (r *recorder) Info(msg string, keysAndValues ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines.WriteString(msg)
	for _, v := range keysAndValues {
		if s, ok := v.(string); ok {
			r.lines.WriteString(" " + s)
		}
	}
	r.lines.WriteString("\n")
}

func (r *recorder) Debug(msg string, keysAndValues ...any) { r.Info(msg, keysAndValues...) }

func (r *recorder) WithValues(...any) xplogging.Logger { return r }

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

// loopback returns options that serve everything without TLS on free ports.
func loopback() Options {
	return Options{
		Network:            "tcp",
		Address:            "127.0.0.1:0",
		Insecure:           true,
		MaxRecvMessageSize: 1024 * 1024,
		MetricsAddress:     "127.0.0.1:0",
		HealthAddress:      "127.0.0.1:0",
		DrainTimeout:       patience,
	}
}

// A running server, with a way to stop it as SIGTERM does.
type running struct {
	*Server

	terminate context.CancelFunc
	ended     chan error
}

// start serves the function until the test ends.
func start(t *testing.T, fn fnv1.FunctionRunnerServiceServer, log logging.Logger, o Options) *running {
	t.Helper()

	s, err := New(fn, log, o)
	if err != nil {
		t.Fatalf("New(...): %v", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Server: s, terminate: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

// wait returns what Run returned.
func (r *running) wait(t *testing.T) error {
	t.Helper()

	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("Run(...) did not return")
		return nil
	}
}

func dial(t *testing.T, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()

	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatalf("grpc.NewClient(%q): %v", addr, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestPanic(t *testing.T) {
	const secret = "correct-horse-battery-staple"

	type want struct {
		message string
		log     string
	}
	cases := map[string]struct {
		reason string
		panics func()
		want   want
	}{
		"GoRuntime": {
			reason: "An error of the Go runtime holds nothing of the request, so its text is told.",
			panics: func() {
				var nothing *recorder
				nothing.Info(secret)
			},
			want: want{
				message: "internal error, nothing was changed; the function's log has the details: runtime error: invalid memory address or nil pointer dereference",
				log:     "runtime error: invalid memory address or nil pointer dereference",
			},
		},
		"String": {
			reason: "A panic with a string may hold a Secret's value, so only its type is told.",
			panics: func() { panic(secret) },
			want: want{
				message: "internal error, nothing was changed; the function's log has the details: panic with a value of type string",
				log:     "panic with a value of type string",
			},
		},
		"Error": {
			reason: "An error may hold a Secret's value too.",
			panics: func() { panic(errors.New("cannot parse " + secret)) },
			want: want{
				message: "internal error, nothing was changed; the function's log has the details: panic with a value of type *errors.errorString",
				log:     "panic with a value of type *errors.errorString",
			},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log := &recorder{}
			panicked := false
			fn := &fake{run: func(ctx context.Context, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
				if req.GetMeta().GetTag() == "bad" {
					panicked = true
					tc.panics()
				}
				return echo(ctx, req)
			}}
			conn := dial(t, start(t, fn, log, loopback()).FunctionAddress(), insecure.NewCredentials())

			want := &fnv1.RunFunctionResponse{
				Meta:    &fnv1.ResponseMeta{Tag: "bad", Ttl: durationpb.New(response.DefaultTTL)},
				Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{"mine": {Ready: fnv1.Ready_READY_TRUE}}},
				Results: []*fnv1.Result{{
					Severity: fnv1.Severity_SEVERITY_FATAL,
					Message:  tc.want.message,
					Target:   fnv1.Target_TARGET_COMPOSITE.Enum(),
				}},
			}
			got, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), &fnv1.RunFunctionRequest{
				Meta:    &fnv1.RequestMeta{Tag: "bad"},
				Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{"mine": {Ready: fnv1.Ready_READY_TRUE}}},
			})
			if err != nil {
				t.Fatalf("%s\nRunFunction(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s\nRunFunction(...): -want rsp, +got rsp:\n%s", tc.reason, diff)
			}
			if !panicked {
				t.Errorf("%s\nThe function did not panic.", tc.reason)
			}
			if !strings.Contains(log.String(), tc.want.log) || !strings.Contains(log.String(), "serve_test.go") {
				t.Errorf("%s\nThe log does not tell the panic and where it happened:\n%s", tc.reason, log)
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s\nThe log repeats a value of the request:\n%s", tc.reason, log)
			}

			beta, err := fnv1beta1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), &fnv1beta1.RunFunctionRequest{Meta: &fnv1beta1.RequestMeta{Tag: "bad"}})
			if err != nil {
				t.Fatalf("%s\nv1beta1 RunFunction(...): %v", tc.reason, err)
			}
			wantBeta := []*fnv1beta1.Result{{
				Severity: fnv1beta1.Severity_SEVERITY_FATAL,
				Message:  tc.want.message,
				Target:   fnv1beta1.Target_TARGET_COMPOSITE.Enum(),
			}}
			if diff := cmp.Diff(wantBeta, beta.GetResults(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nv1beta1 RunFunction(...): -want results, +got results:\n%s", tc.reason, diff)
			}

			good, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "good"}})
			if err != nil || len(good.GetResults()) != 0 {
				t.Errorf("%s\nRunFunction(...) after a panic: results %v, error %v", tc.reason, good.GetResults(), err)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	fn := &fake{run: func(ctx context.Context, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
		close(entered)
		<-release
		return echo(ctx, req)
	}}
	srv := start(t, fn, logging.NewNopLogger(), loopback())
	health := grpc_health_v1.NewHealthClient(dial(t, srv.HealthAddress(), insecure.NewCredentials()))

	result := make(chan error, 1)
	client := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), insecure.NewCredentials()))
	go func() {
		rsp, err := client.RunFunction(context.Background(), &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "slow"}})
		if err == nil && rsp.GetMeta().GetTag() != "slow" {
			err = errors.New("the response is not the function's")
		}
		result <- err
	}()

	<-entered
	if got := check(t, health); got != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("Health before SIGTERM: want SERVING, got %s", got)
	}

	srv.terminate()
	deadline := time.Now().Add(patience)
	for check(t, health) != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		if time.Now().After(deadline) {
			t.Fatal("Health while draining: never NOT_SERVING")
		}
		time.Sleep(time.Millisecond)
	}

	for {
		conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", srv.FunctionAddress())
		if err != nil {
			break // A server that drains takes no new connections.
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("New connections while draining: never refused")
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-srv.ended:
		t.Fatalf("Run(...) returned while a call was running: %v", err)
	case err := <-result:
		t.Fatalf("The running call was cut off: %v", err)
	default:
	}

	close(release)
	if err := <-result; err != nil {
		t.Errorf("The running call: %v", err)
	}
	if err := srv.wait(t); err != nil {
		t.Errorf("Run(...): want no error after a clean stop, got: %v", err)
	}
}

func TestDrainTimeout(t *testing.T) {
	entered := make(chan struct{})
	fn := &fake{run: func(ctx context.Context, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
		close(entered)
		<-ctx.Done()
		return echo(ctx, req)
	}}
	o := loopback()
	o.DrainTimeout = 50 * time.Millisecond
	srv := start(t, fn, logging.NewNopLogger(), o)

	result := make(chan error, 1)
	client := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), insecure.NewCredentials()))
	go func() {
		_, err := client.RunFunction(context.Background(), &fnv1.RunFunctionRequest{})
		result <- err
	}()

	<-entered
	srv.terminate()

	want := "calls were still running after 50ms and were cut off"
	if err := srv.wait(t); err == nil || err.Error() != want {
		t.Errorf("Run(...): want error %q, got: %v", want, err)
	}
	if err := <-result; status.Code(err) != codes.Unavailable {
		t.Errorf("The running call: want code Unavailable, got: %v", err)
	}
}

func TestMutualTLS(t *testing.T) {
	certs := newAuthority(t)
	o := loopback()
	o.Insecure = false
	o.TLSCertsDir = certs.serverDir(t)
	srv := start(t, &fake{run: echo}, logging.NewNopLogger(), o)

	cases := map[string]struct {
		reason string
		creds  credentials.TransportCredentials
		want   codes.Code
	}{
		"OwnCertificate": {
			reason: "A caller with a certificate of the CA is served.",
			creds:  certs.client(t, certs),
			want:   codes.OK,
		},
		"NoCertificate": {
			reason: "A caller that speaks TLS and has no certificate is refused.",
			creds:  certs.client(t, nil),
			want:   codes.Unavailable,
		},
		"ForeignCertificate": {
			reason: "A caller with a certificate of another CA is refused.",
			creds:  certs.client(t, newAuthority(t)),
			want:   codes.Unavailable,
		},
		"Plain": {
			reason: "A caller that does not speak TLS is refused.",
			creds:  insecure.NewCredentials(),
			want:   codes.Unavailable,
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			client := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), tc.creds))
			_, err := client.RunFunction(t.Context(), &fnv1.RunFunctionRequest{})
			if got := status.Code(err); got != tc.want {
				t.Errorf("%s\nRunFunction(...): want code %s, got: %v", tc.reason, tc.want, err)
			}
		})
	}

	t.Run("Health", func(t *testing.T) {
		health := grpc_health_v1.NewHealthClient(dial(t, srv.HealthAddress(), insecure.NewCredentials()))
		if got := check(t, health); got != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("The kubelet's probes have no certificate: want SERVING, got %s", got)
		}
	})
}

func TestMetrics(t *testing.T) {
	srv := start(t, &fake{run: echo}, logging.NewNopLogger(), loopback())
	client := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), insecure.NewCredentials()))
	for range 3 {
		if _, err := client.RunFunction(t.Context(), &fnv1.RunFunctionRequest{}); err != nil {
			t.Fatalf("RunFunction(...): %v", err)
		}
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+srv.MetricsAddress()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("GET /metrics: %v", err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatalf("GET /metrics: %v", err)
	}

	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1.FunctionRunnerService",grpc_type="unary"} 3`,
		`grpc_server_handling_seconds_count{grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1.FunctionRunnerService",grpc_type="unary"} 3`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="RunFunction",grpc_service="apiextensions.fn.proto.v1beta1.FunctionRunnerService",grpc_type="unary"} 0`,
		"\ngo_goroutines ",
		"\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("GET /metrics: no %q in:\n%s", want, body)
		}
	}
}

func TestOversizeRequest(t *testing.T) {
	srv := start(t, &fake{run: echo}, logging.NewNopLogger(), loopback())
	client := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), insecure.NewCredentials()))

	_, err := client.RunFunction(t.Context(), &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: strings.Repeat("x", 1024*1024)}})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("RunFunction(1 MiB and a few bytes): want code ResourceExhausted, got: %v", err)
	}
	if _, err := client.RunFunction(t.Context(), &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: strings.Repeat("x", 1000*1024)}}); err != nil {
		t.Errorf("RunFunction(a little less than 1 MiB): %v", err)
	}
}

func TestOff(t *testing.T) {
	o := loopback()
	o.MetricsAddress, o.HealthAddress = "", ""
	srv := start(t, &fake{run: echo}, logging.NewNopLogger(), o)

	if _, err := fnv1.NewFunctionRunnerServiceClient(dial(t, srv.FunctionAddress(), insecure.NewCredentials())).RunFunction(t.Context(), &fnv1.RunFunctionRequest{}); err != nil {
		t.Errorf("RunFunction(...): %v", err)
	}
	if diff := cmp.Diff([]string{"", ""}, []string{srv.HealthAddress(), srv.MetricsAddress()}); diff != "" {
		t.Errorf("Addresses of what is off: -want, +got:\n%s", diff)
	}

	srv.terminate()
	if err := srv.wait(t); err != nil {
		t.Errorf("Run(...): %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	certs := newAuthority(t)

	cases := map[string]struct {
		reason string
		change func(o *Options)
		want   string
	}{
		"NoCertificates": {
			reason: "Neither certificates nor --insecure is a mistake.",
			change: func(o *Options) { o.Insecure = false },
			want:   "no certificates: set --tls-certs-dir",
		},
		"NoSuchDirectory": {
			reason: "A directory without a key pair cannot be served with.",
			change: func(o *Options) { o.Insecure, o.TLSCertsDir = false, filepath.Join(t.TempDir(), "none") },
			want:   "cannot load the server's certificate: open ",
		},
		"NoCA": {
			reason: "Without a CA no caller could be told from another.",
			change: func(o *Options) { o.Insecure, o.TLSCertsDir = false, certs.serverDir(t, "ca.crt") },
			want:   "cannot read the CA of client certificates: open ",
		},
		"EmptyCA": {
			reason: "A CA file without a certificate would refuse every caller.",
			change: func(o *Options) {
				o.Insecure, o.TLSCertsDir = false, certs.serverDir(t)
				write(t, filepath.Join(o.TLSCertsDir, "ca.crt"), []byte("not a certificate"))
			},
			want: "no CA certificate in ",
		},
		"AddressTaken": {
			reason: "An address that another process holds is reported.",
			change: func(o *Options) { o.Address = taken.Addr().String() },
			want:   "cannot listen for function calls (--address): listen tcp " + taken.Addr().String(),
		},
		"HealthAddressTaken": {
			reason: "So it is for the health service.",
			change: func(o *Options) { o.HealthAddress = taken.Addr().String() },
			want:   "cannot listen for health probes (--health-address): listen tcp " + taken.Addr().String(),
		},
		"MetricsAddressTaken": {
			reason: "So it is for the metrics.",
			change: func(o *Options) { o.MetricsAddress = taken.Addr().String() },
			want:   "cannot listen for metrics requests (--metrics-address): listen tcp " + taken.Addr().String(),
		},
		"UnknownNetwork": {
			reason: "A network that does not exist is reported.",
			change: func(o *Options) { o.Network = "carrier-pigeon" },
			want:   "cannot listen for function calls (--address): listen carrier-pigeon: unknown network",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := loopback()
			o.Address = free(t)
			tc.change(&o)

			_, err := New(&fake{run: echo}, logging.NewNopLogger(), o)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Fatalf("%s\nNew(...): want error %q..., got: %v", tc.reason, tc.want, err)
			}
			if o.Network != "tcp" || o.Address == taken.Addr().String() {
				return
			}

			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", o.Address)
			if err != nil {
				t.Fatalf("%s\nNew(...) failed and left its address open: %v", tc.reason, err)
			}
			_ = l.Close()
		})
	}
}

func TestRunErrors(t *testing.T) {
	cases := map[string]struct {
		reason   string
		listener func(s *Server) net.Listener
		want     string
	}{
		"Functions": {
			reason:   "A server that can take no calls ends.",
			listener: func(s *Server) net.Listener { return s.functionListener },
			want:     "cannot serve function calls: ",
		},
		"Health": {
			reason:   "So does one that the kubelet would end anyway.",
			listener: func(s *Server) net.Listener { return s.healthListener },
			want:     "cannot serve health: ",
		},
		"Metrics": {
			reason:   "So does one that nobody could watch.",
			listener: func(s *Server) net.Listener { return s.metricsListener },
			want:     "cannot serve metrics: ",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := New(&fake{run: echo}, logging.NewNopLogger(), loopback())
			if err != nil {
				t.Fatalf("New(...): %v", err)
			}
			_ = tc.listener(s).Close()

			r := &running{Server: s, ended: make(chan error, 1)}
			go func() { r.ended <- s.Run(t.Context()) }()
			if err := r.wait(t); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%s\nRun(...): want error %q..., got: %v", tc.reason, tc.want, err)
			}
		})
	}
}

// check asks the health service.
func check(t *testing.T, c grpc_health_v1.HealthClient) grpc_health_v1.HealthCheckResponse_ServingStatus {
	t.Helper()

	rsp, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatalf("Health check: %v", err)
	}
	return rsp.GetStatus()
}

// free returns a loopback address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
