package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/internal/world"
)

// What a request in the steady state may cost.
const (
	// maxRatio of its CPU time to that of an empty SDK function that gets the
	// same request.
	maxRatio = 2.0
	// maxAllocations of the function itself, beside what decoding and encoding
	// the same request takes an empty function: the request is as large as a
	// real one (53 kB, half of it managedFields), and decoding it alone takes
	// more than 12,000.
	maxAllocations = 5500
)

// blockSize is how many requests one function gets before it is the other's
// turn: enough to be measured, few enough that both meet the same machine, and
// a multiple of every number of clients.
const blockSize = 48

// minBlocks for each function: fewer say little, however short a benchmark is
// to be.
const minBlocks = 20

// emptyFunction is an SDK function that does nothing.
type emptyFunction struct {
	fnv1.UnimplementedFunctionRunnerServiceServer
}

func (*emptyFunction) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return response.To(req, response.DefaultTTL), nil
}

// A gRPC call without its network: bytes in, bytes out.
func benchCall(f fnv1.FunctionRunnerServiceServer, data []byte) error {
	req := &fnv1.RunFunctionRequest{}
	if err := proto.Unmarshal(data, req); err != nil {
		return errors.Wrap(err, "cannot decode the request")
	}
	rsp, err := f.RunFunction(context.Background(), req)
	if err != nil {
		return errors.Wrap(err, "cannot run the function")
	}
	_, err = proto.Marshal(rsp)

	return errors.Wrap(err, "cannot encode the response")
}

// benchRequests are the last requests that Crossplane made, by stage: the first
// one for a new server, one while its database comes up, and one when nothing
// happens any more.
func benchRequests(tb testing.TB) map[string][]byte {
	tb.Helper()
	s := newTheatre(tb).stage(tb, script{spec: map[string]any{
		"storage": map[string]any{"metadataSize": "10Gi", "contentSize": "100Gi"},
		"percona": map[string]any{"enabled": true, "replicas": 3, "storageSize": "20Gi"},
	}})
	requests := map[string][]byte{}
	record := func(stage string, c world.Call) {
		if results := c.Response.GetResults(); len(results) > 0 {
			tb.Fatalf("%s: %v", stage, results)
		}
		data, err := proto.Marshal(c.Request)
		if err != nil {
			tb.Fatal(err)
		}
		requests[stage] = data
	}
	last := func() world.Call { return s.calls[len(s.calls)-1] }

	s.reconcile()
	record("first", s.calls[0])
	s.reconcile()
	s.start()
	s.reconcile()
	s.reconcile() // Now nothing is news any more.
	record("waiting", last())
	s.settle()
	dress(tb, s)
	s.settle()
	if got := s.says("Available"); got != "Available=MinimumReplicasAvailable" {
		tb.Fatalf("the server is not available: %s", got)
	}
	record(steadyStage, last())

	return requests
}

// dress what is observed with everything that is in a real object and that the
// world's actors do not write: what they leave out is what a request is large
// with.
func dress(tb testing.TB, s *stage) {
	tb.Helper()
	cluster := s.cluster().Key()
	err := s.Server.EditStatus(cluster, "percona-postgresql-operator", func(c map[string]any) {
		status, _ := c["status"].(map[string]any)
		status["postgres"] = map[string]any{"size": int64(3), "ready": int64(3), "version": int64(16), "imageID": "docker.io/percona/percona-distribution-postgresql@sha256:" + strings.Repeat("4f", 32), "instances": []any{map[string]any{"name": "instance1", "size": int64(3), "ready": int64(3)}}}
		status["pgbouncer"] = map[string]any{"size": int64(0), "ready": int64(0)}
		status["patroniVersion"] = "4.1.0"
		status["patroni"] = map[string]any{"version": "4.1.0", "status": map[string]any{"systemIdentifier": "7529013412345678901"}}
		status["installedCustomExtensions"] = []any{}
		status["pgbackrest"] = map[string]any{
			"repoHost": map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet", "ready": true},
			"repos":    []any{map[string]any{"name": "repo1", "stanzaCreated": true, "replicaCreateBackupComplete": true, "bound": true}},
		}
		conditions := []any{}
		for _, t := range []string{"ReadyForBackup", "PGBackRestRepoHostReady", "PGBackRestReplicaRepoReady", "PGBackRestReplicaCreate", "ProxyAvailable"} {
			conditions = append(conditions, map[string]any{
				"type": t, "status": "True", "reason": t + "Reason", "message": "pgBackRest replica creation is now possible",
				"observedGeneration": int64(2), "lastTransitionTime": "2026-01-01T00:00:00Z",
			})
		}
		status["conditions"] = conditions
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, suffix := range []string{"-cluster-cert", "-pguser-dittofs"} {
		k := cluster
		k.GroupVersionKind, k.Name = world.GVKSecret, cluster.Name+suffix
		err := s.Server.Edit(k, "percona-postgresql-operator", func(c map[string]any) {
			data, _ := c["data"].(map[string]any)
			for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
				if _, ok := data[name]; ok {
					data[name] = base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIBkTCB+wIJAKHBfpegPjMCMA0GCSqGSIb3DQEBCwUAMBExDzANBgNVBAMMBn\n", 12) + "-----END CERTIFICATE-----\n"))
				}
			}
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// cpuTime that this process has used so far.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}

	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stages of a server's life that are measured.
func benchStages() []string { return []string{"first", "waiting", steadyStage} }

// steadyStage is when nothing happens any more: nearly every request is of it.
const steadyStage = "steady"

// BenchmarkRunFunction is a call without its network, of the function and of an
// empty one, at each stage of a server's life.
func BenchmarkRunFunction(b *testing.B) {
	requests := benchRequests(b)
	for _, stage := range benchStages() {
		for _, c := range []struct {
			name     string
			function fnv1.FunctionRunnerServiceServer
		}{{"dittoserver", &Function{log: logging.NewNopLogger()}}, {"empty", &emptyFunction{}}} {
			b.Run(stage+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(requests[stage])))
				for b.Loop() {
					if err := benchCall(c.function, requests[stage]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRatio compares the CPU time of a request with that of the same
// request to an empty function, in turns, garbage collection included.
func BenchmarkRatio(b *testing.B) {
	requests := benchRequests(b)
	functions := [2]fnv1.FunctionRunnerServiceServer{&Function{log: logging.NewNopLogger()}, &emptyFunction{}}
	for _, stage := range benchStages() {
		b.Run(stage, func(b *testing.B) {
			c := compare(b, stage == steadyStage, func(i int) load {
				runtime.GC() // Nobody cleans up after the other.
				start := cpuTime(b)
				for range blockSize {
					if err := benchCall(functions[i], requests[stage]); err != nil {
						b.Fatal(err)
					}
				}

				return load{requests: blockSize, cpu: cpuTime(b) - start}
			})
			b.Logf("%s, in one process: ratio %.2f", stage, c.ratio())
		})
	}
}

// BenchmarkGRPC compares them as Crossplane calls them: the function's own
// program, and one that serves an empty function as function-sdk-go does.
func BenchmarkGRPC(b *testing.B) {
	requests := benchRequests(b)
	own, empty := startOwn(b, buildProgram(b, ownProgram)), startEmpty(b, buildProgram(b, emptyProgram))
	processes := [2]*process{own, empty}
	for _, stage := range benchStages() {
		req := &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(requests[stage], req); err != nil {
			b.Fatal(err)
		}
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", stage, clients), func(b *testing.B) {
				for _, p := range processes {
					p.send(b, req, blockSize, clients) // Warm.
				}
				c := compare(b, stage == steadyStage && clients == 1, func(i int) load {
					cpu, start := processes[i].cpuTime(b), time.Now()
					latencies := processes[i].send(b, req, blockSize, clients)

					return load{requests: blockSize, cpu: processes[i].cpuTime(b) - cpu, wall: time.Since(start), latencies: latencies}
				})
				b.Logf("%s, %d at once: ours  %s, %d kB", stage, clients, c.own, own.status(b, "VmRSS"))
				b.Logf("%s, %d at once: empty %s, %d kB", stage, clients, c.empty, empty.status(b, "VmRSS"))
				if clients == 1 {
					b.Logf("%s ratio %.2f", stage, c.ratio())
				}
			})
		}
	}
}

// TestAllocations counts what a steady request allocates, beside what decoding
// it allocates whatever the function does.
func TestAllocations(t *testing.T) {
	if own := ownAllocations(t, benchRequests(t)[steadyStage]); own > maxAllocations {
		t.Errorf("a steady request allocates %.0f times more often than an empty function, more than %d", own, maxAllocations)
	}
}

// ownAllocations are those of a call, less those of a call of an empty function.
func ownAllocations(tb testing.TB, data []byte) float64 {
	tb.Helper()
	count := func(f fnv1.FunctionRunnerServiceServer) float64 {
		return testing.AllocsPerRun(20, func() {
			if err := benchCall(f, data); err != nil {
				tb.Fatal(err)
			}
		})
	}
	whole, floor := count(&Function{log: logging.NewNopLogger()}), count(&emptyFunction{})
	tb.Logf("%.0f allocations, %.0f of them for an empty function", whole, floor)

	return whole - floor
}
