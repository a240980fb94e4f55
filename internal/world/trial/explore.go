package trial

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/world"
)

// A Scope is a part of the world that is explored exhaustively: everything
// that can be reached from its starts by its actions, by the progress that
// controllers make, and by reconciling.
type Scope struct {
	Name   string
	Starts []*Trial
	// Actions of people and of fate.
	Actions []Action
	// Stale: every reconcile is also tried with a cache that lags behind the
	// last change.
	Stale bool
	// Crash: every reconcile is also tried with a process that dies after each
	// of its writes.
	Crash bool
	// Enough states to give up; 0: 200,000.
	Enough int
	// Workers that explore at the same time; 0: one for each processor.
	Workers int
}

// A Report of an exploration.
type Report struct {
	States, Transitions, Reconciles, Calls, Resting int
}

// Add another report.
func (r *Report) Add(o Report) {
	r.States += o.States
	r.Transitions += o.Transitions
	r.Reconciles += o.Reconciles
	r.Calls += o.Calls
	r.Resting += o.Resting
}

// String is the report in a sentence.
func (r *Report) String() string {
	return fmt.Sprintf("%d states, %d transitions, %d reconciles, %d calls of the function, %d states of rest", r.States, r.Transitions, r.Reconciles, r.Calls, r.Resting)
}

type state [sha256.Size]byte

// node of the graph of states.
type node struct {
	trial  *Trial // Dropped once its successors are known.
	from   int
	via    string
	onward []int // Where progress and reconciling lead, the node itself left out.
}

// step to another state.
type step struct {
	via      string
	progress bool // By the world itself, so that fairness counts on it.
	trial    *Trial
	key      state
}

// expansion of a node.
type expansion struct {
	steps   []step
	report  Report
	resting bool
	err     error
	via     string // Where err came up.
}

// Explore a scope breadth first. The error is the first violation, with the
// way to it.
func Explore(ctx context.Context, j *Judge, s Scope) (Report, error) {
	var (
		total Report
		nodes []*node
		ids   = map[state]int{}
	)
	enough := s.Enough
	if enough == 0 {
		enough = 200_000
	}

	visit := func(t *Trial, key state, from int, via string) int {
		id, ok := ids[key]
		if !ok {
			id = len(nodes)
			ids[key] = id
			nodes = append(nodes, &node{trial: t, from: from, via: via})
		}

		return id
	}
	for _, t := range s.Starts {
		key, err := t.Abstract(j)
		if err != nil {
			return total, err
		}
		visit(t, key, -1, "start")
	}

	for begin := 0; begin < len(nodes); {
		end := len(nodes)
		level := make([]*expansion, end-begin)
		s.parallel(len(level), func(i int) { level[i] = s.expand(ctx, j, nodes[begin+i].trial) })

		for i, e := range level {
			id := begin + i
			total.Add(e.report)
			if e.err != nil {
				return total, errors.Wrapf(e.err, "scope %s, after %s", s.Name, way(nodes, id, e.via))
			}
			nodes[id].trial = nil
			for _, st := range e.steps {
				to := visit(st.trial, st.key, id, st.via)
				total.Transitions++
				if st.progress && to != id {
					nodes[id].onward = append(nodes[id].onward, to)
				}
			}
			if e.resting {
				total.Resting++
			}
		}
		begin = end
		if len(nodes) > enough {
			return total, errors.Errorf("scope %s has more than %d states", s.Name, enough)
		}
	}
	total.States = len(nodes)

	// Progress and reconciling lead nowhere in circles, so that every fair
	// schedule ends in a state of rest; those were judged on the way.
	if id, ok := circle(nodes); ok {
		return total, errors.Wrapf(&ViolationError{Rule: RuleStabilizes, Err: errors.New("controllers and reconciles go round in circles from here")}, "scope %s, after %s", s.Name, way(nodes, id, ""))
	}

	return total, nil
}

// parallel runs f for all numbers below n.
func (s Scope) parallel(n int, f func(i int)) {
	workers := s.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}

	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, workers) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// way to a node, in words.
func way(nodes []*node, id int, last string) string {
	var steps []string
	if last != "" {
		steps = append(steps, last)
	}
	for ; id >= 0; id = nodes[id].from {
		steps = append(steps, nodes[id].via)
	}
	slices.Reverse(steps)

	return strings.Join(steps, " > ")
}

// circle finds a node on a circle of the onward steps.
func circle(nodes []*node) (int, bool) {
	const white, grey, black = 0, 1, 2
	colour := make([]int, len(nodes))

	for root := range nodes {
		if colour[root] != white {
			continue
		}
		// Each entry is a node and how many of its successors were followed.
		stack := [][2]int{{root, 0}}
		colour[root] = grey
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			id := top[0]
			if top[1] == len(nodes[id].onward) {
				colour[id] = black
				stack = stack[:len(stack)-1]

				continue
			}
			to := nodes[id].onward[top[1]]
			top[1]++
			if colour[to] == grey {
				return to, true
			}
			if colour[to] == white {
				colour[to] = grey
				stack = append(stack, [2]int{to, 0})
			}
		}
	}

	return 0, false
}

// expand a state: everything that can happen next.
func (s Scope) expand(ctx context.Context, j *Judge, t *Trial) *expansion {
	e := &expansion{}
	key, err := t.Abstract(j)
	if err != nil {
		e.err = err

		return e
	}

	resting := true
	for i, a := range append(Progress(), s.Actions...) {
		next := t.Clone()
		if e.err = a.Do(next); e.err != nil {
			e.via = a.Name

			return e
		}
		if settled(t, next) && !isServing(t, next) {
			continue
		}
		progress := i < len(Progress())
		resting = resting && !progress
		if !e.add(j, a.Name, progress, next) {
			return e
		}
		if s.Stale && !s.stale(ctx, j, e, t, next, a.Name) {
			return e
		}
	}

	// In every other state Crossplane has just started: with nothing in its
	// memory, it asks the function with nothing answered first.
	next := t.Clone()
	if key[0]%2 == 0 {
		next.Crossplane.Forget()
	}
	out, ok := e.reconcile(ctx, j, next, world.NoFaults(), "reconcile")
	if !ok {
		return e
	}
	if s.Crash && !s.crash(ctx, j, e, t, out) {
		return e
	}

	last := e.steps[len(e.steps)-1]
	if !resting || last.key != key {
		return e
	}
	e.resting = true

	if e.err = next.rest(ctx, j); e.err != nil {
		e.via = "rest"
	}

	return e
}

// rest: reports take a few more reconciles to settle, then all is quiet.
func (t *Trial) rest(ctx context.Context, j *Judge) error {
	var out *world.Outcome
	for range 4 {
		var err error
		if out, err = t.reconcile(ctx, j, world.NoFaults()); err != nil {
			return err
		}
	}

	return j.Rest(ctx, t, out)
}

// reconcile once, and judge it.
func (t *Trial) reconcile(ctx context.Context, j *Judge, f world.Faults) (*world.Outcome, error) {
	before := t.Clone()
	out, err := t.Crossplane.Reconcile(ctx, t.Server, f)
	if err != nil {
		return nil, err
	}

	return out, j.Reconcile(Look{Before: before, After: t, Outcome: out, Faulty: f.Crash >= 0 || f.Stale != nil, Stale: f.Stale})
}

// isServing tells whether a kind came to be served.
func isServing(a, b *Trial) bool {
	return a.Server.Served(world.GVKCluster) != b.Server.Served(world.GVKCluster)
}

// add a step; false if it could not be.
func (e *expansion) add(j *Judge, via string, progress bool, t *Trial) bool {
	key, err := t.Abstract(j)
	if err != nil {
		e.err, e.via = err, via

		return false
	}
	e.steps = append(e.steps, step{via: via, progress: progress, trial: t, key: key})

	return true
}

// reconcile is a step that is judged; false if it was found guilty.
func (e *expansion) reconcile(ctx context.Context, j *Judge, t *Trial, f world.Faults, via string) (*world.Outcome, bool) {
	out, err := t.reconcile(ctx, j, f)
	if err != nil {
		e.err, e.via = err, via

		return nil, false
	}
	e.report.Reconciles++
	e.report.Calls += len(out.Calls)

	return out, e.add(j, via, f.Crash < 0 && f.Stale == nil, t)
}

// stale reconciles after a step, with a cache that has not seen it.
func (s Scope) stale(ctx context.Context, j *Judge, e *expansion, before, after *Trial, via string) bool {
	for _, k := range after.Server.Keys() {
		old := before.Server.Find(k)
		if old == after.Server.Find(k) || k.GroupVersionKind == world.GVKSecret {
			continue
		}
		f := world.NoFaults()
		f.Stale = map[world.Key]*world.Object{k: old}
		if _, ok := e.reconcile(ctx, j, after.Clone(), f, via+" > reconcile with an old "+k.String()); !ok {
			return false
		}
	}

	return true
}

// crash after each write that changes something.
func (s Scope) crash(ctx context.Context, j *Judge, e *expansion, t *Trial, out *world.Outcome) bool {
	for i, w := range out.Writes[:max(0, len(out.Writes)-1)] {
		if !w.Changed() {
			continue
		}
		f := world.NoFaults()
		f.Crash = i + 1
		if _, ok := e.reconcile(ctx, j, t.Clone(), f, fmt.Sprintf("crash after %s of %s", w.Verb, w.Key)); !ok {
			return false
		}
	}

	return true
}
