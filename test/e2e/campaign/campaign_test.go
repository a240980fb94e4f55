package campaign

import (
	"maps"
	"slices"
	"testing"
)

const definition = "../../../configuration/namespaced/xrd.yaml"

func read(t *testing.T) (*Schema, []Sample) {
	t.Helper()
	schema, err := ReadSpec(definition)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := Samples()
	if err != nil {
		t.Fatal(err)
	}
	return schema, samples
}

// TestCoverage tells that a campaign leaves nothing out that a spec can say.
func TestCoverage(t *testing.T) {
	schema, samples := read(t)
	leaves := schema.Leaves()
	valid, mistaken, mistakes := map[string]bool{}, map[string]bool{}, 0
	for server, base := range Bases() {
		for i := range samples {
			s := &samples[i]
			if !s.Suits(server) {
				continue
			}
			spec := Copy(base)
			s.Into(spec)
			for _, p := range schema.Places(spec) {
				if leaves[p.Leaf] == nil {
					continue
				}
				if !s.Refused {
					valid[p.Leaf] = true
				}
				if n := len(p.Schema.Mistakes()); n > 0 && !mistaken[p.Leaf] {
					mistaken[p.Leaf] = true
					mistakes += n
				}
			}
		}
	}
	for _, leaf := range slices.Sorted(maps.Keys(leaves)) {
		if reason := never()[leaf]; !valid[leaf] && reason == "" {
			t.Errorf("no valid sample sets %s", leaf)
		}
		if !mistaken[leaf] {
			t.Errorf("no mistake is made with %s", leaf)
		}
	}
	for leaf := range never() {
		if leaves[leaf] == nil || valid[leaf] {
			t.Errorf("%s has no need of an excuse", leaf)
		}
	}
	t.Logf("%d leaves of spec: %d have a valid sample, %d have %d mistakes; %d samples", len(leaves), len(valid), len(mistaken), mistakes, len(samples))
}

// never are leaves that have no valid value, and why.
func never() map[string]string {
	const (
		restricted = "Pod Security refuses it"
		volume     = "a volume is read through the cluster that it belongs to"
	)
	never := map[string]string{
		"podSecurityContext.seLinuxOptions.role":           restricted,
		"podSecurityContext.seLinuxOptions.user":           restricted,
		"securityContext.seLinuxOptions.role":              restricted,
		"securityContext.seLinuxOptions.user":              restricted,
		"percona.restoreFrom.repo.volume.size":             volume,
		"percona.restoreFrom.repo.volume.storageClassName": volume,
	}
	for _, context := range []string{"podSecurityContext", "securityContext"} {
		for _, option := range []string{"gmsaCredentialSpec", "gmsaCredentialSpecName", "hostProcess", "runAsUserName"} {
			never[context+".windowsOptions."+option] = "the server runs on Linux"
		}
	}
	return never
}

// TestDeal tells that each sample has its turn, and is taken back.
func TestDeal(t *testing.T) {
	_, samples := read(t)
	for seed := range uint64(50) { //nolint:mnd // Enough.
		turns := map[*Sample]int{}
		for _, walk := range Deal(samples, slices.Sorted(maps.Keys(Bases())), seed) {
			state := State{Base: Bases()[walk.Server]}
			for _, op := range walk.Ops {
				if !op.Sample.Suits(walk.Server) {
					t.Fatalf("seed %d: %s has %s", seed, walk.Server, op)
				}
				turns[op.Sample]++
				if op.Kind != Refuse {
					state = state.After(op)
				}
			}
			if got, want := Text(state.Spec()), Text(state.Base); got != want {
				t.Fatalf("seed %d: %s ends with %s, want %s", seed, walk.Server, got, want)
			}
		}
		for i := range samples {
			want := 2
			if samples[i].Refused {
				want = 1
			}
			if got := turns[&samples[i]]; got != want {
				t.Errorf("seed %d: %s has %d turns, want %d", seed, &samples[i], got, want)
			}
		}
	}
}

// TestShrink tells that what does not matter is left out.
func TestShrink(t *testing.T) {
	_, samples := read(t)
	var ops []Op
	for i := range 20 {
		ops = append(ops, Op{Set, &samples[i]})
	}
	has := func(ops []Op, s *Sample) bool { return slices.Contains(ops, Op{Set, s}) }
	got := Shrink(ops, 100, func(ops []Op) bool { return has(ops, &samples[3]) && has(ops, &samples[17]) })
	if len(got) != 2 || !has(got, &samples[3]) || !has(got, &samples[17]) {
		t.Errorf("Shrink() leaves\n%s", Print(got))
	}
}
