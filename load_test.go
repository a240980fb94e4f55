package main

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// A load is what a number of requests took.
type load struct {
	requests int
	// cpu time of the function's process.
	cpu time.Duration
	// wall time, and what each client waited; nothing if no network is between.
	wall      time.Duration
	latencies []time.Duration
}

func (l *load) add(o load) {
	l.requests += o.requests
	l.cpu += o.cpu
	l.wall += o.wall
	l.latencies = append(l.latencies, o.latencies...)
}

// perRequest is the CPU time of one request.
func (l *load) perRequest() time.Duration { return l.cpu / time.Duration(l.requests) }

// percentile p of the latencies, 0 to 1.
func (l *load) percentile(p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(l.latencies))

	return sorted[int(math.Ceil(p*float64(len(sorted))))-1]
}

func (l *load) String() string {
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, %.0f requests/s, %.3f ms CPU/request",
		milliseconds(l.percentile(0.5)), milliseconds(l.percentile(0.99)), float64(l.requests)/l.wall.Seconds(), milliseconds(l.perRequest()))
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// A comparison of the function with an empty one.
type comparison struct {
	own, empty *load
}

// ratio of their CPU times.
func (c comparison) ratio() float64 { return float64(c.own.cpu) / float64(c.empty.cpu) }

// compare what blocks of requests take with the function (0) and with an empty
// one (1), in turns. If it is bounded, the benchmark fails if the function takes
// too long.
func compare(b *testing.B, bounded bool, block func(i int) load) comparison {
	b.Helper()
	var best comparison
	for b.Loop() {
		// What disturbs a measurement makes it worse: the best of three counts.
		for try := 0; try < 3 && (try == 0 || bounded && best.ratio() > maxRatio); try++ {
			now := comparison{own: &load{}, empty: &load{}}
			for range minBlocks {
				now.own.add(block(0))
				now.empty.add(block(1))
			}
			if best.own == nil || now.ratio() < best.ratio() {
				best = now
			}
		}
	}

	b.ReportMetric(0, "ns/op") // Two functions' blocks say nothing.
	b.ReportMetric(float64(best.own.perRequest().Nanoseconds()), "cpu-ns/request")
	b.ReportMetric(float64(best.empty.perRequest().Nanoseconds()), "empty-cpu-ns/request")
	b.ReportMetric(best.ratio(), "ratio")
	if bounded && best.ratio() > maxRatio {
		b.Errorf("a steady request takes %.2f times the CPU time that an empty function takes, more than %.1f", best.ratio(), maxRatio)
	}

	return best
}
