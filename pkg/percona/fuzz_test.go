package percona

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	"pgregory.net/rapid"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// FuzzSend takes any JSON for a live cluster. Whatever it is, Send does not
// panic, says the same twice, leaves its arguments alone and keeps its
// promises.
func FuzzSend(f *testing.F) {
	fm := crdtest.PerconaFieldManager(f, "")
	wanted, everything := wantedOf(f, withBackups(), "image"), wantedOf(f, highlyAvailable())
	for _, change := range []func(*store){
		func(*store) {},
		func(s *store) { s.live.SetManagedFields(nil) },
		func(s *store) {
			s.edit("kubectl-edit", func(spec map[string]any) {
				instance(spec)["replicas"] = int64(5)
				user(spec)["databases"] = []any{"other"}
				delete(archive(spec), "global")
			})
		},
		func(s *store) {
			s.write(func(cr *pgv2.PerconaPGCluster) {
				cr.Spec.PostgresVersion = 17
				cr.Spec.Backups.PGBackRest.Manual = &crunchy.PGBackRestManualBackup{RepoName: "repo1"}
			})
		},
	} {
		s := newStore(f, fm, wanted.Spec)
		change(s)
		data, err := json.Marshal(s.live.Object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(`{"spec":{"instances":[null,1,{"name":2},{"name":"instance1","dataVolumeClaimSpec":[]}],"postgresVersion":"x","users":{}}}`)
	f.Add(`{"metadata":{"managedFields":[{}]},"spec":null}`)

	f.Fuzz(func(t *testing.T, data string) {
		// The manager's name is long; a short one is easier to come by.
		data = strings.ReplaceAll(data, us(), "us")
		live := map[string]any{}
		if json.Unmarshal([]byte(data), &live) != nil {
			return
		}
		promises(t, live, wanted, "us")
		promises(t, live, everything, "us")
	})
}

// TestSendGarbled puts nonsense into what a real live object says, its
// managedFields included.
func TestSendGarbled(t *testing.T) {
	wanted := wantedOf(t, withBackups(), "image")
	s := newStore(t, crdtest.PerconaFieldManager(t, ""), wanted.Spec)
	s.edit("kubectl-edit", func(spec map[string]any) { delete(archive(spec), "global") })
	rich := newStore(t, crdtest.PerconaFieldManager(t, ""), wantedOf(t, highlyAvailable()).Spec)

	rapid.Check(t, func(rt *rapid.T) {
		garbled := clone(rapid.SampledFrom([]*store{s, rich}).Draw(rt, "live").observed())
		for range rapid.IntRange(1, 5).Draw(rt, "times") {
			garbled = garble(rt, garbled)
		}
		m, _ := garbled.(map[string]any)
		promises(rt, m, wanted, us())
	})
}

// garble returns a value with nonsense somewhere in it.
func garble(t *rapid.T, v any) any {
	if rapid.IntRange(0, 7).Draw(t, "here") == 0 {
		return rapid.SampledFrom([]any{nil, true, -1.5, 1e300, "x", "", []any{}, []any{nil}, map[string]any{}, map[string]any{".": map[string]any{}, "k:{": nil, "": ""}}).Draw(t, "nonsense")
	}

	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) == 0 {
			return v
		}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		child := garble(t, v[key])
		if rapid.IntRange(0, 15).Draw(t, "rename") == 0 {
			delete(v, key)
			key = rapid.SampledFrom([]string{"", ".", "f:", "k:{}", "k:7", "v:", "v:1", "i:0", "name"}).Draw(t, "renamed")
		}
		v[key] = child
	case []any:
		if len(v) > 0 {
			i := rapid.IntRange(0, len(v)-1).Draw(t, "index")
			v[i] = garble(t, v[i])
		}
	}
	return v
}

// promises checks what holds for any live object.
func promises(t rapid.TB, live map[string]any, wanted Wanted, manager string) {
	t.Helper()

	before, asked := clone(live), clone(wanted.Spec)
	observed, _ := live["spec"].(map[string]any)

	for _, policy := range []v1alpha1.UpdatePolicy{v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways} {
		spec, diffs := Send(live, wanted, manager, policy)
		again, diffsAgain := Send(live, wanted, manager, policy)
		if diff := cmp.Diff(spec, again) + cmp.Diff(diffs, diffsAgain); diff != "" {
			t.Errorf("%s: Send(...) differs from itself: -first, +second:\n%s", policy, diff)
		}
		if diff := cmp.Diff(wanted.Spec["pause"] == true, spec["pause"] == true); diff != "" || spec["pause"] == false {
			t.Errorf("%s: a pause is sent if and only if it is wanted, never its end: %v", policy, spec["pause"])
		}
		for _, path := range [][]string{{"backups", "pgbackrest", "manual"}, {"backups", "pgbackrest", "restore"}} {
			if got := at(spec, path...); got != nil {
				t.Errorf("%s: what the operator writes is sent: %v: %v", policy, path, got)
			}
		}
		if have := observed[pathVersion]; have != nil && spec[pathVersion] != nil && !equal(have, spec[pathVersion]) {
			t.Errorf("%s: the version changes from %v to %v", policy, have, spec[pathVersion])
		}
		if policy == v1alpha1.UpdateOnCreate && len(live) > 0 && !within(spec, observed) {
			t.Errorf("%s: %v is sent, which is not what is live", policy, spec)
		}
		if !slices.IsSortedFunc(diffs, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) }) {
			t.Errorf("%s: differences are not sorted: %v", policy, diffs)
		}
		for _, d := range diffs {
			if d.Remedy == "" || policy == v1alpha1.UpdateAlways && !d.Refused {
				t.Errorf("%s: difference without a remedy, or that is being applied: %v", policy, d)
			}
		}
	}

	if !equal(before, clone(live)) || !equal(asked, wanted.Spec) {
		t.Errorf("Send(...) changed its arguments")
	}
}

// at returns the value at a path of keys, or nil.
func at(m map[string]any, path ...string) any {
	for _, key := range path[:len(path)-1] {
		m, _ = m[key].(map[string]any)
	}
	return m[path[len(path)-1]]
}

// within tells whether all of a value is in another: a map's fields, and a
// list's items in any of the other's.
func within(v, in any) bool {
	switch v := v.(type) {
	case map[string]any:
		in, ok := in.(map[string]any)
		for k, child := range v {
			if !within(child, in[k]) {
				return false
			}
		}
		return ok || len(v) == 0
	case []any:
		in, ok := in.([]any)
		for _, item := range v {
			if !slices.ContainsFunc(in, func(other any) bool { return within(item, other) }) {
				return false
			}
		}
		return ok || len(v) == 0
	default:
		return equal(v, in)
	}
}
