package main

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// soakRequests are sent by TestSoak. The design's number is 100000:
// go test -run TestSoak -v . -args -soak-requests=100000.
var soakRequests = flag.Int("soak-requests", 2000, "how many requests TestSoak sends") //nolint:gochecknoglobals // A flag of the test binary.

const (
	// soakServers take turns: as many as are counted while the test runs.
	soakServers = 500
	// soakClients call at once.
	soakClients = 4
	// maxHeapGrowth from a fifth of the requests to the last one, in
	// bytes. A byte that is lost per request is 80 kB of 100,000.
	maxHeapGrowth = 2 * mebibyte
)

// TestSoak: the function keeps nothing of a request, neither memory nor
// goroutines, however many there are.
func TestSoak(t *testing.T) {
	steady := &fnv1.RunFunctionRequest{}
	if err := proto.Unmarshal(benchRequests(t)[steadyStage], steady); err != nil {
		t.Fatal(err)
	}
	s := serveLocally(t, newFunction(), logging.NewNopLogger())
	send := func(n int) {
		var wg sync.WaitGroup
		for c := range soakClients {
			wg.Go(func() {
				req, ok := proto.Clone(steady).(*fnv1.RunFunctionRequest)
				if !ok {
					t.Error("a clone is of another type")

					return
				}
				for i := range n / soakClients {
					nameUID(req, fmt.Sprintf("server-%d", (i*soakClients+c)%soakServers))
					if _, err := s.client.RunFunction(t.Context(), req, grpc.WaitForReady(true)); err != nil {
						t.Errorf("RunFunction(...): %v", err)

						return
					}
				}
			})
		}
		wg.Wait()
		_ = s.scrape(t)
	}

	warm := *soakRequests / 5
	send(warm)
	before, goroutines := heap(), runtime.NumGoroutine()
	send(*soakRequests - warm)
	after := heap()
	t.Logf("%d requests: %d kB in use after %d, %d kB at the end; %d goroutines, then %d",
		*soakRequests, before/1024, warm, after/1024, goroutines, runtime.NumGoroutine())
	if after-before > maxHeapGrowth {
		t.Errorf("the heap grew by %d bytes over %d requests, more than %d", after-before, *soakRequests-warm, maxHeapGrowth)
	}
	if n := runtime.NumGoroutine(); n > goroutines+soakClients {
		t.Errorf("%d goroutines became %d", goroutines, n)
	}
}

// nameUID gives the server of a request another identity.
func nameUID(req *fnv1.RunFunctionRequest, uid string) {
	req.GetObserved().GetComposite().GetResource().GetFields()["metadata"].GetStructValue().GetFields()["uid"] = structpb.NewStringValue(uid)
}
