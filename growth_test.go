package main

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// maxBend is how much more than in a straight line through its cost with 10 and
// with 100 observed objects a request may cost with 1000: if each object were
// compared with every other one, it would be about ten times as much.
const maxBend = 2.0

// crowded is the steady request with n more observed composed resources, as
// other steps of the pipeline compose.
func crowded(tb testing.TB, steady []byte, n int) []byte {
	tb.Helper()
	req := &fnv1.RunFunctionRequest{}
	if err := proto.Unmarshal(steady, req); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprintf("other-%04d", i)
		content, err := structpb.NewStruct(map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{
				"name": name, "namespace": "team-a", "resourceVersion": "1", "uid": name,
				"labels":      map[string]any{"app.kubernetes.io/name": name},
				"annotations": map[string]any{"crossplane.io/composition-resource-name": name},
			},
			"data": map[string]any{"a": "b", "c": "d"},
		})
		if err != nil {
			tb.Fatal(err)
		}
		req.GetObserved().Resources[name] = &fnv1.Resource{Resource: content}
	}
	data, err := proto.Marshal(req)
	if err != nil {
		tb.Fatal(err)
	}

	return data
}

// TestGrowth holds the function to looking at what is its own: the objects of
// others are decoded, and cost nothing more.
func TestGrowth(t *testing.T) {
	steady := benchRequests(t)[steadyStage]
	var few float64
	for _, n := range []int{10, 100, 1000} {
		own := ownAllocations(t, crowded(t, steady, n))
		t.Logf("%d other objects: %.0f allocations of the function's own", n, own)
		if n == 10 {
			few = own
		}
		// Counting is exact but for maps, which are filled in any order.
		if own > few+few/20 {
			t.Errorf("with %d other objects the function allocates %.0f times, with 10 %.0f times", n, own, few)
		}
	}
}

// BenchmarkGrowth measures how the cost of a whole call grows with the number
// of observed objects, decoding included.
func BenchmarkGrowth(b *testing.B) {
	steady, f := benchRequests(b)[steadyStage], &Function{log: logging.NewNopLogger()}
	cost := func(data []byte) time.Duration {
		runtime.GC()
		const calls = 20
		start := cpuTime(b)
		for range calls {
			if err := benchCall(f, data); err != nil {
				b.Fatal(err)
			}
		}

		return (cpuTime(b) - start) / calls
	}

	var ten, hundred, thousand time.Duration
	few, some, many := crowded(b, steady, 10), crowded(b, steady, 100), crowded(b, steady, 1000)
	for b.Loop() {
		ten, hundred, thousand = time.Hour, time.Hour, time.Hour
		// In turns, so that other work meets all of them.
		for range 10 {
			ten, hundred, thousand = min(ten, cost(few)), min(hundred, cost(some)), min(thousand, cost(many))
		}
	}
	straight := ten + (hundred-ten)*11 // (1000-10) / (100-10)
	bend := float64(thousand) / float64(straight)
	b.ReportMetric(0, "ns/op") // It is of all three.
	b.ReportMetric(float64(ten.Nanoseconds()), "cpu-ns/10-objects")
	b.ReportMetric(float64(hundred.Nanoseconds()), "cpu-ns/100-objects")
	b.ReportMetric(float64(thousand.Nanoseconds()), "cpu-ns/1000-objects")
	b.Logf("%.3f ms CPU with 10 other objects, %.3f with 100, %.3f with 1000: %.2f of a straight line", milliseconds(ten), milliseconds(hundred), milliseconds(thousand), bend)
	if bend > maxBend {
		b.Errorf("with 1000 other objects a request costs %.2f times what a straight line says, more than %.1f", bend, maxBend)
	}
}
