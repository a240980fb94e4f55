package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// What the largest of requests may take.
const (
	// maxLargeCall is the CPU time of a call, both sides' encoding included.
	maxLargeCall = 5 * time.Second
	// maxLargeMemory that calls leave behind when they are done, in bytes.
	maxLargeMemory = 16 * mebibyte
)

// fill a request up to a size, in bytes, with what a function adds, nil for
// one long text.
func fill(t *testing.T, req *fnv1.RunFunctionRequest, size int, add func(n int)) *fnv1.RunFunctionRequest {
	t.Helper()
	if add != nil {
		before := proto.Size(req)
		add(0)
		each := proto.Size(req) - before
		for n := 1; n < (size-before-4096)/each; n++ {
			add(n)
		}
	}
	// The rest is one text, so that the size is exact.
	meta := req.GetObserved().GetComposite().GetResource().GetFields()["metadata"].GetStructValue().GetFields()
	filler := func(n int) int {
		meta["annotations"] = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"filler": structpb.NewStringValue(strings.Repeat("x", n))}})

		return proto.Size(req)
	}
	for n := size - filler(0); n > 0; n-- {
		if filler(n) <= size {
			return req
		}
	}
	t.Fatal("the request is too large already")

	return nil
}

// otherObject that another step of the pipeline composed.
func otherObject(name string) *fnv1.Resource {
	return &fnv1.Resource{Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": name, "namespace": teamNamespace, "uid": name}})}
}

// TestLargeRequests: whatever comes is answered or refused, soon, and the
// process goes on as it was.
func TestLargeRequests(t *testing.T) {
	steady := func(t *testing.T) *fnv1.RunFunctionRequest {
		t.Helper()
		req, _, _ := servingOnPercona(t, withPercona()).settle(t)

		return req
	}
	// manyObserved objects in a request of a size.
	manyObserved := func(t *testing.T, size int) *fnv1.RunFunctionRequest {
		t.Helper()
		req := steady(t)

		return fill(t, req, size, func(n int) {
			name := fmt.Sprintf("of-another-step-%05d", n)
			req.Observed.Resources[name] = otherObject(name)
		})
	}

	cases := map[string]struct {
		reason string
		req    func(t *testing.T) *fnv1.RunFunctionRequest
		code   codes.Code
	}{
		"Objects": {
			reason: "Ten thousand observed objects are looked through.",
			req: func(t *testing.T) *fnv1.RunFunctionRequest {
				t.Helper()
				req := steady(t)
				for n := range 10000 {
					name := fmt.Sprintf("of-another-step-%05d", n)
					req.Observed.Resources[name] = otherObject(name)
				}

				return req
			},
		},
		"Desired": {
			reason: "What an earlier step wants is passed on, however much it is.",
			req: func(t *testing.T) *fnv1.RunFunctionRequest {
				t.Helper()
				req := steady(t)
				req.Desired = &fnv1.State{Resources: map[string]*fnv1.Resource{}}
				for n := range 10000 {
					name := fmt.Sprintf("of-another-step-%05d", n)
					req.Desired.Resources[name] = otherObject(name)
				}

				return req
			},
		},
		"Answers": {
			reason: "Nobody asked for ten thousand objects of a name.",
			req: func(t *testing.T) *fnv1.RunFunctionRequest {
				t.Helper()
				req := steady(t)
				for name := range maps.Clone(req.GetRequiredResources()) {
					for range 10000 / len(req.GetRequiredResources()) {
						req.RequiredResources[name].Items = append(req.RequiredResources[name].GetItems(), otherObject("other"))
					}
				}

				return req
			},
		},
		"Full":    {reason: "A request of the very size that is allowed is answered.", req: func(t *testing.T) *fnv1.RunFunctionRequest { t.Helper(); return manyObserved(t, maxRequest) }},
		"TooFull": {reason: "One byte more is refused before it is decoded.", req: func(t *testing.T) *fnv1.RunFunctionRequest { t.Helper(); return manyObserved(t, maxRequest+1) }, code: codes.ResourceExhausted},
		"OneText": {
			reason: "One field may be all of it.",
			req:    func(t *testing.T) *fnv1.RunFunctionRequest { t.Helper(); return fill(t, steady(t), maxRequest, nil) },
		},
		"Deep": {
			reason: "What is nested a thousand times is looked through.",
			req: func(t *testing.T) *fnv1.RunFunctionRequest {
				t.Helper()
				req := steady(t)
				spec := req.GetObserved().GetComposite().GetResource().GetFields()["spec"].GetStructValue()
				spec.Fields["config"] = nested(1000)

				return req
			},
		},
		"TooDeep": {
			reason: "What protobuf itself does not decode is an error of gRPC.",
			req: func(t *testing.T) *fnv1.RunFunctionRequest {
				t.Helper()
				req := steady(t)
				spec := req.GetObserved().GetComposite().GetResource().GetFields()["spec"].GetStructValue()
				spec.Fields["config"] = nested(20000)

				return req
			},
			code: codes.Internal,
		},
	}

	s := serveLocally(t, newFunction(), logging.NewNopLogger())
	good := steady(t)
	call := func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		return s.client.RunFunction(t.Context(), req)
	}
	if _, err := call(good); err != nil {
		t.Fatal(err)
	}
	before := heap()

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := tc.req(t)
			runtime.GC() // What the request was made of is not the call's.
			start := cpuTime(t)
			rsp, err := call(req)
			took := cpuTime(t) - start
			t.Logf("%d bytes: %s in %v", proto.Size(req), status.Code(err), took)

			if status.Code(err) != tc.code {
				t.Errorf("%s\nwant code %s, got: %v", tc.reason, tc.code, err)
			}
			if tc.code == codes.OK && fatal(rsp) != "" {
				t.Errorf("%s\nthe answer is Fatal: %q", tc.reason, fatal(rsp))
			}
			if took > maxLargeCall {
				t.Errorf("%s\nit took %v of CPU time, more than %v", tc.reason, took, maxLargeCall)
			}
			if rsp, err := call(good); err != nil || fatal(rsp) != "" {
				t.Errorf("%s\nthe next call: %v, %s", tc.reason, err, fatal(rsp))
			}
		})
	}

	if left := heap() - before; left > maxLargeMemory {
		t.Errorf("%d bytes are left of calls that are done, more than %d", left, maxLargeMemory)
	}
}

// nested structs, so many of them.
func nested(depth int) *structpb.Value {
	v := structpb.NewStringValue("bottom")
	for range depth {
		v = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"a": v}})
	}

	return v
}

// heap in use once garbage is collected, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // What the first one finalized.
	var m runtime.MemStats
	runtime.ReadMemStats(&m)

	return int64(m.HeapAlloc)
}

// TestManyLargeRequests: as many at once as Crossplane makes do not need as
// much more memory, since only some are decoded at a time.
func TestManyLargeRequests(t *testing.T) {
	const atOnce = 100 // Crossplane's --max-concurrent-reconciles.

	fn := &crowd{}
	s := serveLocally(t, fn, logging.NewNopLogger())
	req := fill(t, newSituation(namespaced()).request(), maxRequest/4, nil)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			if _, err := s.client.RunFunction(t.Context(), req); err != nil {
				t.Errorf("RunFunction(...): %v", err)
			}
		})
	}
	wg.Wait()
	if fn.called != atOnce || fn.most > 4 {
		t.Errorf("want %d calls, at most 4 at once, got %d, %d at once", atOnce, fn.called, fn.most)
	}
}

// A crowd counts how many are in it.
type crowd struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	mu                   sync.Mutex
	inside, most, called int
}

func (c *crowd) RunFunction(context.Context, *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	c.mu.Lock()
	c.inside++
	c.called++
	c.most = max(c.most, c.inside)
	c.mu.Unlock()

	time.Sleep(5 * time.Millisecond) // Others have time to come in.

	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside--

	return &fnv1.RunFunctionResponse{}, nil
}
