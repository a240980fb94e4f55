package percona

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// These tests ask the API server's own code what applying Send's result does,
// with the operator's real definition.

// us is Crossplane, applying for the composite resource files.
func us() string {
	return FieldManager("files", schema.GroupKind{Group: "dittofs.io", Kind: "DittoServer"})
}

// A store is an API server with one PerconaPGCluster.
type store struct {
	rapid.TB

	fm   *managedfields.FieldManager
	live *unstructured.Unstructured
}

func newStore(t rapid.TB, fm *managedfields.FieldManager, spec map[string]any) *store {
	t.Helper()

	s := &store{TB: t, fm: fm, live: object(nil)}
	s.apply(us(), spec)
	return s
}

func object(spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "files-postgres", "namespace": "team-a"}}}
	u.SetAPIVersion(APIVersion)
	u.SetKind(Kind)
	if spec != nil {
		u.Object["spec"] = spec
	}
	return u
}

// apply is kubectl apply --server-side --force-conflicts.
func (s *store) apply(manager string, spec map[string]any) {
	s.Helper()

	u := object(cloneMapOrNil(spec))
	if manager == us() {
		u.SetLabels(map[string]string{"dittofs.io/server": "files"})
	}
	out, err := s.fm.Apply(s.live, u, manager, true)
	if err != nil {
		s.Fatalf("Cannot apply as %s: %v", manager, err)
	}
	if out != nil { // It is nil if nothing changed.
		s.live = as[*unstructured.Unstructured](out)
	}
}

// edit is kubectl edit.
func (s *store) edit(manager string, change func(spec map[string]any)) {
	s.Helper()

	next := s.live.DeepCopy()
	change(below(next.Object, "spec"))
	out, err := s.fm.Update(s.live, next, manager)
	if err != nil {
		s.Fatalf("Cannot update as %s: %v", manager, err)
	}
	s.live = as[*unstructured.Unstructured](out)
}

// write is what the operator does: it reads the cluster into its own types and
// writes all of it back.
func (s *store) write(change func(*pgv2.PerconaPGCluster)) {
	s.Helper()

	cr := &pgv2.PerconaPGCluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.live.Object, cr); err != nil {
		s.Fatalf("Cannot decode the cluster: %v", err)
	}
	change(cr)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cr)
	if err != nil {
		s.Fatalf("Cannot encode the cluster: %v", err)
	}
	delete(content, "status")
	out, err := s.fm.Update(s.live, &unstructured.Unstructured{Object: content}, "percona-postgresql-operator")
	if err != nil {
		s.Fatalf("Cannot update as the operator: %v", err)
	}
	s.live = as[*unstructured.Unstructured](out)
}

// observed returns the live object as a function sees it, through protobuf.
func (s *store) observed() map[string]any {
	s.Helper()

	p, err := structpb.NewStruct(s.live.Object)
	if err != nil {
		s.Fatalf("Cannot encode the cluster: %v", err)
	}
	return p.AsMap()
}

// owned returns what each manager owns.
func (s *store) owned() map[string]*fieldpath.Set {
	s.Helper()

	out := map[string]*fieldpath.Set{}
	for _, e := range s.live.GetManagedFields() {
		set := &fieldpath.Set{}
		if err := set.FromJSON(strings.NewReader(string(e.FieldsV1.Raw))); err != nil {
			s.Fatalf("Cannot read the managed fields: %v", err)
		}
		out[e.Manager+" "+string(e.Operation)] = set
	}
	return out
}

// reconcile sends what Send says, twice, and checks that this changes nothing:
// not the spec, not what others own, and what we own can only become less.
func (s *store) reconcile(wanted Wanted) []Difference {
	s.Helper()

	spec := cloneMap(below(s.live.Object, "spec"))
	before := s.owned()

	send, diffs := Send(s.observed(), wanted, us(), v1alpha1.UpdateOnCreate)
	s.apply(us(), send)
	if diff := cmp.Diff(spec, s.live.Object["spec"]); diff != "" {
		s.Fatalf("Applying %v changed the cluster: -before, +after:\n%s", send, diff)
	}
	after := s.owned()
	for manager, set := range after {
		lost := before[manager]
		if lost == nil {
			lost = &fieldpath.Set{}
		}
		if taken := set.Difference(lost); !taken.Empty() {
			s.Fatalf("Applying %v made %s own %s", send, manager, taken)
		}
		if manager == us()+" Apply" {
			continue
		}
		if given := lost.Difference(set); !given.Empty() {
			s.Fatalf("Applying %v took %s from %s", send, given, manager)
		}
	}

	again, _ := Send(s.observed(), wanted, us(), v1alpha1.UpdateOnCreate)
	if diff := cmp.Diff(send, again); diff != "" {
		s.Fatalf("The second Send(...) differs: -first, +second:\n%s", diff)
	}
	s.apply(us(), again)
	if diff := cmp.Diff(spec, s.live.Object["spec"]); diff != "" {
		s.Fatalf("Applying it again changed the cluster: -before, +after:\n%s", diff)
	}
	for manager, set := range s.owned() {
		if !set.Equals(after[manager]) {
			s.Fatalf("Applying it again changed what %s owns", manager)
		}
	}
	return diffs
}

func cloneMapOrNil(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	return cloneMap(m)
}

// wantedOf returns what a server asks for, as an importing program builds it.
func wantedOf(t rapid.TB, ds *v1alpha1.DittoServer, defaults ...string) Wanted {
	t.Helper()

	spec, err := BuildPerconaPGClusterSpec(ds)
	if err != nil {
		t.Fatalf("BuildPerconaPGClusterSpec(...): %v", err)
	}
	manifest, err := Manifest(spec)
	if err != nil {
		t.Fatalf("Manifest(...): %v", err)
	}
	return Wanted{Spec: manifest, Defaults: defaults}
}

// withBackups is a server of which everything is set.
func withBackups() *v1alpha1.DittoServer {
	return server(v1alpha1.PerconaSpec{
		Replicas:         ptr.To[int32](3),
		StorageClassName: new("fast"),
		Backup: v1alpha1.BackupSpec{
			Enabled:              new(true),
			Bucket:               "backups",
			CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "s3"},
		},
	})
}

// as returns a value as the type that the test knows it to be of.
func as[T any](v any) T {
	return v.(T) //nolint:forcetypeassert // A test that is wrong about it fails.
}

// below returns the map at a path of keys.
func below(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m = as[map[string]any](m[key])
	}
	return m
}

func instance(spec map[string]any) map[string]any {
	return as[map[string]any](as[[]any](spec["instances"])[0])
}

func user(spec map[string]any) map[string]any {
	return as[map[string]any](as[[]any](spec["users"])[0])
}

func archive(spec map[string]any) map[string]any {
	return below(spec, "backups", "pgbackrest")
}

func TestRoundTrip(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(s *store)
		want   []string // The paths that differ.
	}{
		"Untouched": {
			reason: "A cluster that nobody touched stays as it is.",
			change: func(*store) {},
		},
		"Edit": {
			reason: "kubectl edit takes the number of replicas over.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) { instance(spec)["replicas"] = int64(5) })
			},
			want: []string{"spec.instances[instance1].replicas"},
		},
		"ForceApply": {
			reason: "kubectl apply --server-side --force-conflicts takes a schedule and the image over.",
			change: func(s *store) {
				s.apply("kubectl", map[string]any{
					"image": "mirror/pg:16.9",
					"backups": map[string]any{"pgbackrest": map[string]any{"repos": []any{
						map[string]any{"name": "repo1", "schedules": map[string]any{"full": "0 5 * * *"}},
					}}},
				})
			},
			want: []string{"spec.backups.pgbackrest.repos[repo1].schedules.full", "spec.image"},
		},
		"SharedThenGiven": {
			reason: "A field that a user applies with our value and then leaves stays ours.",
			change: func(s *store) {
				s.apply("kubectl", map[string]any{"instances": []any{map[string]any{"name": "instance1", "replicas": int64(3)}}})
				s.apply("kubectl", nil)
			},
		},
		"RemoveField": {
			reason: "A field that a user removes does not come back.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) {
					delete(below(archive(spec), "global"), "repo1-retention-full")
					delete(archive(spec), "configuration")
				})
			},
			want: []string{"spec.backups.pgbackrest.configuration", "spec.backups.pgbackrest.global.repo1-retention-full"},
		},
		"RemoveItem": {
			reason: "A repository that a user removes does not come back.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) {
					below(spec, "backups")["enabled"] = false
					delete(archive(spec), "repos")
				})
			},
			want: []string{
				"spec.backups.enabled",
				"spec.backups.pgbackrest.repos[repo1].s3.bucket",
				"spec.backups.pgbackrest.repos[repo1].s3.endpoint",
				"spec.backups.pgbackrest.repos[repo1].s3.region",
				"spec.backups.pgbackrest.repos[repo1].schedules.full",
				"spec.backups.pgbackrest.repos[repo1].schedules.incremental",
			},
		},
		"RemoveAll": {
			reason: "What is left of a map that a user replaced whole is not sent with the user's content.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) {
					archive(spec)["global"] = map[string]any{"repo1-path": "/elsewhere", "log-level-console": "info"}
				})
			},
			want: []string{
				"spec.backups.pgbackrest.global.repo1-retention-full",
				"spec.backups.pgbackrest.global.repo1-retention-full-type",
				"spec.backups.pgbackrest.global.repo1-s3-uri-style",
				"spec.backups.pgbackrest.global.repo1-storage-verify-tls",
			},
		},
		"AddToSet": {
			reason: "A database that a user adds to the set stays the user's.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) { user(spec)["databases"] = []any{"more", "dittofs"} })
			},
		},
		"RemoveFromSet": {
			reason: "A database that a user takes out of the set does not come back.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) { user(spec)["databases"] = []any{"other"} })
			},
			want: []string{"spec.users[dittofs].databases"},
		},
		"AddItems": {
			reason: "Users, instance sets and repositories that others add stay theirs.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) {
					spec["users"] = append([]any{map[string]any{"name": "admin"}}, as[[]any](spec["users"])...)
					spec["instances"] = append(as[[]any](spec["instances"]), map[string]any{
						"name": "instance2", "dataVolumeClaimSpec": map[string]any{"accessModes": []any{"ReadWriteOnce"}},
					})
				})
				s.apply("kubectl", map[string]any{"users": []any{map[string]any{"name": "reader", "databases": []any{"dittofs"}}}})
			},
		},
		"FillEmpty": {
			reason: "An empty map of ours that a user fills stays empty for us.",
			change: func(s *store) {
				ours := cloneMap(below(s.live.Object, "spec"))
				ours["proxy"] = map[string]any{"pgBouncer": map[string]any{}}
				s.apply(us(), ours)
				s.edit("kubectl-edit", func(spec map[string]any) {
					spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"replicas": int64(2), "image": "bouncer:1"}}
				})
			},
		},
		"UpdateOfOurName": {
			reason: "What somebody of our name writes otherwise than by apply is not what we apply.",
			change: func(s *store) {
				s.edit(us(), func(spec map[string]any) { instance(spec)["replicas"] = int64(5) })
			},
			want: []string{"spec.instances[instance1].replicas"},
		},
		"Backup": {
			reason: "The operator starts a backup by writing the whole cluster back; its own field is never sent.",
			change: func(s *store) {
				s.write(func(cr *pgv2.PerconaPGCluster) {
					cr.Spec.Backups.PGBackRest.Manual = &crunchy.PGBackRestManualBackup{RepoName: "repo1", Options: []string{"--type=full"}}
					cr.Spec.CRVersion = "2.9.0"
				})
			},
		},
		"Restore": {
			reason: "A restore is the operator's, and so is a pause.",
			change: func(s *store) {
				s.write(func(cr *pgv2.PerconaPGCluster) {
					cr.Spec.Backups.PGBackRest.Restore = &crunchy.PGBackRestRestore{
						Enabled:                   new(true),
						PostgresClusterDataSource: &crunchy.PostgresClusterDataSource{RepoName: "repo1"},
					}
					cr.Spec.Pause = new(true)
				})
			},
		},
		"Upgrade": {
			reason: "After a PerconaPGUpgrade version and images are those that it wrote.",
			change: func(s *store) {
				s.write(func(cr *pgv2.PerconaPGCluster) {
					cr.Spec.PostgresVersion = 17
					cr.Spec.Image = DefaultImages(17).Postgres
					cr.Spec.Backups.PGBackRest.Image = "mirror/backrest:1"
				})
			},
			want: []string{"spec.backups.pgbackrest.image", "spec.image", "spec.postgresVersion"},
		},
		"Resize": {
			reason: "A user grows the volumes; 20480Mi is what 20Gi is.",
			change: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) {
					below(instance(spec), "dataVolumeClaimSpec", "resources", "requests")["storage"] = "20480Mi"
				})
				s.write(func(*pgv2.PerconaPGCluster) {})
			},
			want: []string{"spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage"},
		},
	}

	fm := crdtest.PerconaFieldManager(t, "")
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			wanted := wantedOf(t, withBackups())
			s := newStore(t, fm, wanted.Spec)
			tc.change(s)

			got := []string(nil)
			for _, d := range s.reconcile(wanted) {
				got = append(got, d.Path)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nSend(...): -want paths, +got paths:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRoundTripAlways checks that Always brings about what OnCreate only
// mentions, but for what would do harm, and that this settles.
func TestRoundTripAlways(t *testing.T) {
	wanted := wantedOf(t, withBackups())
	s := newStore(t, crdtest.PerconaFieldManager(t, ""), wanted.Spec)
	s.edit("kubectl-edit", func(spec map[string]any) {
		instance(spec)["replicas"] = int64(5)
		below(instance(spec), "dataVolumeClaimSpec", "resources", "requests")["storage"] = "20Gi"
		user(spec)["databases"] = []any{"more", "dittofs"}
	})
	s.write(func(cr *pgv2.PerconaPGCluster) {
		cr.Spec.PostgresVersion = 17
		cr.Spec.Image = DefaultImages(17).Postgres
		cr.Spec.Backups.PGBackRest.Manual = &crunchy.PGBackRestManualBackup{RepoName: "repo1"}
	})

	want := cloneMap(below(s.live.Object, "spec"))
	instance(want)["replicas"] = int64(3)
	for range 2 {
		send, diffs := Send(s.observed(), wanted, us(), v1alpha1.UpdateAlways)
		s.apply(us(), send)
		if diff := cmp.Diff(want, s.live.Object["spec"]); diff != "" {
			t.Errorf("The cluster after applying Send(...): -want, +got:\n%s", diff)
		}

		var refused []string
		for _, d := range diffs {
			refused = append(refused, d.Path)
		}
		paths := []string{"spec.image", "spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage", "spec.postgresVersion"}
		if diff := cmp.Diff(paths, refused); diff != "" {
			t.Errorf("Send(...): -want refused, +got refused:\n%s", diff)
		}
	}
}

// TestRoundTripAny lets anybody change anything, any number of times.
func TestRoundTripAny(t *testing.T) {
	fm := crdtest.PerconaFieldManager(t, "")

	rapid.Check(t, func(rt *rapid.T) {
		wanted := wantedOf(rt, server(anyPercona().Draw(rt, "percona")))
		s := newStore(rt, fm, wanted.Spec)
		actions := map[string]func(){
			"edit": func() {
				path := anyPath(rt, s.live.Object["spec"])
				s.edit(rapid.SampledFrom([]string{"kubectl-edit", "helm"}).Draw(rt, "manager"), func(spec map[string]any) {
					replace(spec, path, func(v any) any { return other(rt, v) })
				})
			},
			"remove": func() {
				path := anyPath(rt, s.live.Object["spec"])
				s.edit("kubectl-edit", func(spec map[string]any) {
					replace(spec, path, func(any) any { return nil })
				})
			},
			"apply": func() {
				path := anyPath(rt, s.live.Object["spec"])
				s.apply(rapid.SampledFrom([]string{"kubectl", "argocd"}).Draw(rt, "manager"), as[map[string]any](only(rt, s.live.Object["spec"], path)))
			},
			"backup": func() {
				s.write(func(cr *pgv2.PerconaPGCluster) {
					cr.Spec.Backups.PGBackRest.Manual = &crunchy.PGBackRestManualBackup{RepoName: "repo1"}
				})
			},
			"reconcile": func() { s.reconcile(wanted) },
		}
		names := slices.Sorted(maps.Keys(actions))
		for range rapid.IntRange(1, 8).Draw(rt, "actions") {
			actions[rapid.SampledFrom(names).Draw(rt, "action")]()
		}
		s.reconcile(wanted)
	})
}

// anyPath draws the way to any value below a spec but its items' names: keys,
// and the names of items.
func anyPath(t *rapid.T, v any) []string {
	var path []string
	for {
		keys := keysOf(v)
		if len(keys) == 0 || len(path) > 0 && rapid.IntRange(0, 3).Draw(t, "stop") == 0 {
			return path
		}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		path = append(path, key)
		v = get(v, key)
	}
}

func keysOf(v any) []string {
	var keys []string
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if k != "name" {
				keys = append(keys, k)
			}
		}
	case []any:
		for _, item := range v {
			name, ok := nameOf(item)
			if !ok {
				return nil
			}
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return keys
}

func get(v any, key string) any {
	if m, ok := v.(map[string]any); ok {
		return m[key]
	}
	item, _ := named(as[[]any](v), key)
	return item
}

// replace changes the value at the end of a path; nil removes it.
func replace(v any, path []string, change func(any) any) any {
	if len(path) == 0 {
		return change(v)
	}
	next := replace(get(v, path[0]), path[1:], change)
	if m, ok := v.(map[string]any); ok {
		m[path[0]] = next
		if next == nil {
			delete(m, path[0])
		}
		return m
	}
	items := as[[]any](v)
	i := slices.IndexFunc(items, func(item any) bool { name, _ := nameOf(item); return name == path[0] })
	if next == nil {
		return slices.Delete(items, i, i+1)
	}
	items[i] = next
	return items
}

// only returns the value at the end of a path, changed or not, with nothing
// beside it: what a person applies who cares about that.
func only(t *rapid.T, v any, path []string) any {
	if len(path) == 0 {
		if rapid.Bool().Draw(t, "same") {
			return clone(v)
		}
		return other(t, v)
	}
	next := only(t, get(v, path[0]), path[1:])
	if _, ok := v.(map[string]any); ok {
		return map[string]any{path[0]: next}
	}
	as[map[string]any](next)["name"] = path[0]
	return []any{next}
}

// other returns another value of the same type.
func other(t *rapid.T, v any) any {
	switch v := v.(type) {
	case string:
		return rapid.SampledFrom([]string{"1", "2", v}).Draw(t, "string")
	case int64:
		return rapid.Int64Range(1, 4).Draw(t, "number")
	case bool:
		return rapid.Bool().Draw(t, "bool")
	case []any:
		if len(v) == 0 || !isString(v[0]) {
			return clone(v)
		}
		return []any{v[0], as[string](v[0]) + "x"}[:rapid.IntRange(0, 2).Draw(t, "length")]
	case map[string]any:
		out := map[string]any{}
		for k, child := range v {
			out[k] = child
			if isString(child) && k != "name" {
				out[k] = other(t, child)
			}
		}
		return out
	default:
		return v
	}
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}
