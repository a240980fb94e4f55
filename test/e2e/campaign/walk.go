package campaign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Kind is what an operation does with a sample.
type Kind string

// The kinds.
const (
	Set    Kind = "set"
	Unset  Kind = "unset"
	Refuse Kind = "try" // A mistake, which is taken back.
)

// An Op is one operation.
type Op struct {
	Kind   Kind
	Sample *Sample
}

// String for people.
func (o Op) String() string { return fmt.Sprintf("%-5s %s", o.Kind, o.Sample) }

// Print a sequence, one operation a line.
func Print(ops []Op) string {
	var b strings.Builder
	for i, op := range ops {
		fmt.Fprintf(&b, "%3d  %s\n", i+1, op)
	}
	return b.String()
}

// Parse operations that are told as a kind and the beginning of a sample.
func Parse(samples []Sample, lines []string) ([]Op, error) {
	ops := make([]Op, 0, len(lines))
	for _, line := range lines {
		kind, begin, _ := strings.Cut(line, " ")
		i := slices.IndexFunc(samples, func(s Sample) bool {
			return s.Refused == (Kind(kind) == Refuse) && strings.HasPrefix(s.String(), begin)
		})
		if i < 0 {
			return nil, fmt.Errorf("there is no sample for %q", line)
		}
		ops = append(ops, Op{Kind(kind), &samples[i]})
	}
	return ops, nil
}

// A Walk is what is done to one server.
type Walk struct {
	Server string
	Ops    []Op
}

// Deal all samples to servers: each sample is set and unset by one of them, or
// tried if it is a mistake. Which, and in what order, is up to the seed.
func Deal(samples []Sample, servers []string, seed uint64) []Walk {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // To be repeated.
	dealt := map[string][]*Sample{}
	for i := range samples {
		// A database takes long to settle: a server with one is left to what
		// needs it, and to a few other samples.
		const others = 12
		var can []string
		for _, server := range servers {
			if samples[i].Suits(server) && (server != Percona || len(samples[i].For) > 0 || random.IntN(others) == 0) {
				can = append(can, server)
			}
		}
		if len(can) > 0 {
			server := can[random.IntN(len(can))]
			dealt[server] = append(dealt[server], &samples[i])
		}
	}
	walks := make([]Walk, 0, len(servers))
	for _, server := range servers {
		random.Shuffle(len(dealt[server]), func(i, j int) { dealt[server][i], dealt[server][j] = dealt[server][j], dealt[server][i] })
		walks = append(walks, Walk{Server: server, Ops: sequence(dealt[server], random)})
	}
	return walks
}

// sequence of operations in which each sample has its turn.
func sequence(queue []*Sample, random *rand.Rand) []Op {
	const (
		// How much of a spec is set at once, at most, and one in how many
		// samples is unset at once.
		most   = 6
		atOnce = 2
	)
	var ops []Op
	var active []*Sample
	unset := func(i int) {
		ops = append(ops, Op{Unset, active[i]})
		active = slices.Delete(active, i, i+1)
	}
	for len(queue) > 0 {
		next := slices.IndexFunc(queue, func(s *Sample) bool {
			return !slices.ContainsFunc(active, s.Clashes)
		})
		if next < 0 || len(active) >= most {
			unset(random.IntN(len(active)))
			continue
		}
		sample := queue[next]
		queue = slices.Delete(queue, next, next+1)
		if sample.Refused {
			ops = append(ops, Op{Refuse, sample})
			continue
		}
		ops = append(ops, Op{Set, sample})
		active = append(active, sample)
		if random.IntN(atOnce) == 0 || sample.Stuck {
			unset(len(active) - 1)
		}
	}
	for len(active) > 0 {
		unset(random.IntN(len(active)))
	}
	return ops
}

// A State is what a server's spec says between operations.
type State struct {
	Base   map[string]any
	Active []*Sample
}

// After an operation. A sequence of which something was left out may unset what
// is not set.
func (s State) After(op Op) State {
	active := slices.DeleteFunc(slices.Clone(s.Active), func(a *Sample) bool { return a == op.Sample })
	if op.Kind != Unset {
		active = append(active, op.Sample)
	}
	return State{Base: s.Base, Active: active}
}

// Spec of the state. It does not depend on the order of operations.
func (s State) Spec() map[string]any {
	spec := Copy(s.Base)
	ordered := slices.Clone(s.Active)
	slices.SortFunc(ordered, func(a, b *Sample) int { return strings.Compare(a.String(), b.String()) })
	for _, sample := range ordered {
		sample.Into(spec)
	}
	return spec
}

// Unlike are the rules by which the server may differ from a new one.
func (s State) Unlike() []string {
	var rules []string
	for _, a := range s.Active {
		if a.Unlike != "" {
			rules = append(rules, a.Unlike)
		}
	}
	return rules
}

// Shrink a sequence that fails, by leaving out what does not matter, for as
// long as patience allows. Fails is asked again for each try.
func Shrink(ops []Op, patience int, fails func([]Op) bool) []Op {
	for size := max(1, len(ops)/2); ; size /= 2 {
		for from := 0; from < len(ops) && patience > 0; {
			fewer := slices.Delete(slices.Clone(ops), from, min(len(ops), from+size))
			patience--
			if len(fewer) > 0 && fails(fewer) {
				ops = fewer
				continue
			}
			from += size
		}
		if size <= 1 || patience <= 0 {
			return ops
		}
	}
}
