package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/crossplane/function-sdk-go/logging"

	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/world/trial"
)

// TestSieve lets a server live through a history at random, with the faults of
// Sieve (OSDI 2022): states in between, where Crossplane dies on its way;
// stale states, where its cache lags behind; and unobserved states, which come
// and go between two reconciles. The rules hold all the time, and when the
// faults end, the server heals. More of it: go test -run Sieve -rapid.checks=10000.
func TestSieve(t *testing.T) {
	t.Parallel()

	f := &Function{log: logging.NewNopLogger()}
	worlds := map[bool]*trial.Trial{false: newTrial(t, f, false), true: newTrial(t, f, true)}
	actions := trial.Actions()
	ctx := context.Background()

	rapid.Check(t, func(t *rapid.T) {
		begin := []trial.Action{trial.CreateXR(trial.Spec(map[string]any{"enabled": rapid.IntRange(0, 3).Draw(t, "percona") > 0}))}
		if rapid.IntRange(0, 3).Draw(t, "installed") > 0 {
			begin = append(begin, trial.InstallPercona())
		}
		start, err := worlds[rapid.Bool().Draw(t, "claim")].Begin(begin...)
		if err != nil {
			t.Fatal(err)
		}
		start.Crossplane.Before24 = rapid.Bool().Draw(t, "before v2.4")

		run := trial.NewRun(start)
		check := func(err error) {
			if err != nil {
				t.Fatalf("%v\nafter %s", err, strings.Join(run.Log, "\n      "))
			}
		}
		// Most histories begin with a server that runs.
		if rapid.IntRange(0, 3).Draw(t, "running") > 0 {
			check(run.Heal(ctx))
		}

		for range rapid.IntRange(1, 16).Draw(t, "length") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				check(run.Act(rapid.SampledFrom(actions).Draw(t, "action")))
			case 4, 5:
				check(run.Act(rapid.SampledFrom(trial.Progress()).Draw(t, "progress")))
			default:
				check(run.Reconcile(ctx, faults(t, run)))
			}
		}
		check(run.Heal(ctx))
	})
}

// faults of a reconcile.
func faults(t *rapid.T, run *trial.Run) world.Faults {
	f := world.NoFaults()
	seed := rapid.Uint64().Draw(t, "order")
	f.Order = func(n int) []int { return shuffled(n, seed) }
	if rapid.Bool().Draw(t, "restarted") {
		run.Trial.Crossplane.Forget()
	}
	if rapid.IntRange(0, 2).Draw(t, "dies") == 0 {
		f.Crash = rapid.IntRange(0, 16).Draw(t, "writes")
	}
	if rapid.IntRange(0, 2).Draw(t, "lags") != 0 {
		return f
	}

	f.Stale = map[world.Key]*world.Object{}
	for range rapid.IntRange(1, 3).Draw(t, "objects") {
		k := rapid.SampledFrom(run.Keys()).Draw(t, "object")
		versions := run.Versions(k)
		back := rapid.IntRange(1, min(4, len(versions))).Draw(t, "versions back")
		f.Stale[k] = versions[len(versions)-back]
	}

	return f
}

// shuffled numbers below n, the same for the same seed.
func shuffled(n int, seed uint64) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := mix(uint64(a)^seed), mix(uint64(b)^seed)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}

		return 0
	})

	return order
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb

	return x ^ (x >> 31)
}
