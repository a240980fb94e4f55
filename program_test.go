package main

import (
	"flag"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// What the function's program may take.
const (
	// maxStart is the time from starting the process to its first answer.
	maxStart = 100 * time.Millisecond
	// maxResident memory of the process after many requests, in kB as
	// /proc/<pid>/status has it.
	maxResident = 64 * 1024
	// maxGrowth of the resident memory, in kB, from when a tenth of the requests
	// is answered to when all are. The heap breathes by some of it.
	maxGrowth = 8 * 1024
)

// memoryClients call at once when memory is filled.
const memoryClients = 4

// memoryRequests are sent to a process before its memory is looked at. The
// design's number, 10000, takes half a minute.
var memoryRequests = flag.Int("memory-requests", 1000, "how many requests TestProgram sends") //nolint:gochecknoglobals // A flag of the test binary.

// TestProgram measures what the function's own program takes.
func TestProgram(t *testing.T) {
	program, requests := buildProgram(t, ownProgram), map[string]*fnv1.RunFunctionRequest{}
	for stage, data := range benchRequests(t) {
		requests[stage] = &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(data, requests[stage]); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("Start", func(t *testing.T) { testStart(t, program, requests["first"]) })
	t.Run("ResidentMemory", func(t *testing.T) { testResidentMemory(t, program, requests[steadyStage]) })
}

// testStart measures the time from starting the program to its first answer. A
// machine that does something else meanwhile gets a few tries.
func testStart(t *testing.T, program string, req *fnv1.RunFunctionRequest) {
	t.Helper()
	best := time.Hour
	for range 20 {
		start := time.Now()
		p := startOwn(t, program)
		p.send(t, req, 1, 1)
		best = min(best, time.Since(start))
		p.stop()
		if best <= maxStart {
			t.Logf("first answer after %v", best)

			return
		}
	}
	t.Errorf("first answer after %v, later than %v", best, maxStart)
}

// testResidentMemory looks at the program's memory after many requests.
func testResidentMemory(t *testing.T, program string, req *fnv1.RunFunctionRequest) {
	t.Helper()
	p := startOwn(t, program)

	early := *memoryRequests / 10
	p.send(t, req, early, memoryClients)
	before := p.status(t, "VmRSS")
	p.send(t, req, *memoryRequests-early, memoryClients)
	resident := p.status(t, "VmRSS")

	t.Logf("%d kB resident after %d requests, %d kB after %d, at most %d kB", before, early, resident, *memoryRequests, p.status(t, "VmHWM"))
	if resident > maxResident {
		t.Errorf("%d kB are resident after %d requests, more than %d", resident, *memoryRequests, maxResident)
	}
	if resident-before > maxGrowth {
		t.Errorf("%d kB more are resident after %d requests than after %d, more than %d", resident-before, *memoryRequests, early, maxGrowth)
	}
}
