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

	u := object(cloneOrNil(spec))
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
				delete(ours, "port") // A default of the schema's.
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

// TestKeeps changes what a server asks for, and checks what becomes of its
// cluster under either policy.
func TestKeeps(t *testing.T) {
	edit := func(change func(*v1alpha1.PerconaSpec)) *v1alpha1.DittoServer {
		ds := highlyAvailable()
		change(&ds.Spec.Percona)
		return ds
	}
	without := func(name string) func(*v1alpha1.PerconaSpec) {
		return func(p *v1alpha1.PerconaSpec) {
			p.Overrides = nil
			p.Backup.Repos = slices.DeleteFunc(p.Backup.Repos, func(r v1alpha1.BackupRepo) bool { return r.Name == name })
		}
	}
	repo := func(p *v1alpha1.PerconaSpec, name string) *v1alpha1.BackupRepo {
		return &p.Backup.Repos[slices.IndexFunc(p.Backup.Repos, func(r v1alpha1.BackupRepo) bool { return r.Name == name })]
	}
	globals := func(spec map[string]any, name string) []string {
		var out []string
		for option := range below(archive(spec), "global") {
			if strings.HasPrefix(option, name+"-") {
				out = append(out, option)
			}
		}
		slices.Sort(out)
		return out
	}

	type want struct {
		refused []string // Under Always.
		differs []string // Under OnCreate.
	}
	cases := map[string]struct {
		reason string
		live   func(s *store)
		ds     *v1alpha1.DittoServer
		want   want
		// check the spec after applying under Always, against the one before.
		check func(t *testing.T, before, after map[string]any)
	}{
		"Nothing": {
			reason: "What is asked for and live does not differ.",
			ds:     highlyAvailable(),
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"ClassUnset": {
			reason: "A class that is not asked for any more stays, without a word.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.StorageClassName = nil }),
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"WALVolume": {
			reason: "A WAL volume stays.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.WALStorageSize = "" }),
			want:   want{refused: []string{"spec.instances[instance1].walVolumeClaimSpec"}, differs: []string{"spec.instances[instance1].walVolumeClaimSpec"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(instance(before)["walVolumeClaimSpec"], instance(after)["walVolumeClaimSpec"]); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"WALVolumeShrinks": {
			reason: "A WAL volume never shrinks.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.WALStorageSize = "1Gi" }),
			want: want{
				refused: []string{"spec.instances[instance1].walVolumeClaimSpec.resources.requests.storage"},
				differs: []string{"spec.instances[instance1].walVolumeClaimSpec.resources.requests.storage"},
			},
		},
		"WALVolumeRemovedByHand": {
			reason: "A WAL volume that a person removed is not brought back by an omission.",
			live: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) { delete(instance(spec), "walVolumeClaimSpec") })
			},
			ds: edit(func(p *v1alpha1.PerconaSpec) { p.WALStorageSize = "" }),
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if v := instance(after)["walVolumeClaimSpec"]; v != nil {
					t.Errorf("It is back: %v", v)
				}
			},
		},
		"VolumeRepo": {
			reason: "A repository on a volume stays, with its retention and schedules.",
			ds:     edit(without("repo4")),
			want: want{
				refused: []string{"spec.backups.pgbackrest.repos[repo4]"},
				differs: []string{
					"spec.backups.pgbackrest.global.compress-type", "spec.backups.pgbackrest.global.repo1-s3-uri-style",
					"spec.backups.pgbackrest.repos[repo1].schedules.incremental",
					"spec.backups.pgbackrest.repos[repo2].schedules.differential", "spec.backups.pgbackrest.repos[repo2].schedules.incremental",
					"spec.backups.pgbackrest.repos[repo4]",
					"spec.instances[instance1].minAvailable", "spec.metadata",
				},
			},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				was, _ := named(listAt(archive(before), "repos"), "repo4")
				is, _ := named(listAt(archive(after), "repos"), "repo4")
				if diff := cmp.Diff(was, is); diff != "" {
					t.Errorf("repo4: -before, +after:\n%s", diff)
				}
				if diff := cmp.Diff([]string{"repo4-retention-full", "repo4-retention-full-type"}, globals(after, "repo4")); diff != "" {
					t.Errorf("Options of repo4: -want, +got:\n%s", diff)
				}
			},
		},
		"VolumeRepoShrinks": {
			reason: "A repository's volume never shrinks.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { repo(p, "repo4").Volume = &v1alpha1.VolumeLocation{Size: "1Gi"} }),
			want: want{
				refused: []string{
					"spec.backups.pgbackrest.repos[repo4].volume.volumeClaimSpec.resources.requests.storage",
					"spec.backups.pgbackrest.repos[repo4].volume.volumeClaimSpec.storageClassName",
				},
				differs: []string{
					"spec.backups.pgbackrest.repos[repo4].volume.volumeClaimSpec.resources.requests.storage",
					"spec.backups.pgbackrest.repos[repo4].volume.volumeClaimSpec.storageClassName",
				},
			},
		},
		"BucketRepo": {
			reason: "A repository in a bucket goes, with all that was said about it: its backups stay in the bucket.",
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				without("repo3")(p)
				without("repo2")(p)
				p.Overrides = overrides(`{"metadata": {"annotations": {"team": "storage"}}, "instances": [{"name": "instance1", "minAvailable": 1}], "backups": {"pgbackrest": {"global": {"compress-type": "zst", "repo1-s3-uri-style": null}}}}`)
			}),
			want: want{
				differs: []string{
					"spec.backups.pgbackrest.global.repo2-gcs-key-type", "spec.backups.pgbackrest.global.repo2-retention-full", "spec.backups.pgbackrest.global.repo2-retention-full-type",
					"spec.backups.pgbackrest.global.repo3-retention-full", "spec.backups.pgbackrest.global.repo3-retention-full-type",
					"spec.backups.pgbackrest.repos[repo2]", "spec.backups.pgbackrest.repos[repo3]",
				},
			},
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if got := globals(after, "repo3"); got != nil {
					t.Errorf("Options of repo3 are left: %v", got)
				}
			},
		},
		"RepoMovesToVolume": {
			reason: "A repository does not become one of another kind under the same name; its credentials stay.",
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				repo(p, "repo3").RepoLocation = onVolume()
				repo(p, "repo1").CredentialsSecretRef = nil
			}),
			want: want{
				refused: []string{"spec.backups.pgbackrest.repos[repo3].volume"},
				differs: []string{"spec.backups.pgbackrest.global.repo1-s3-key-type", "spec.backups.pgbackrest.repos[repo3].volume"},
			},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				for _, key := range []string{"repos", "configuration"} {
					if diff := cmp.Diff(archive(before)[key], archive(after)[key]); diff != "" {
						t.Errorf("%s: -before, +after:\n%s", key, diff)
					}
				}
			},
		},
		"RepoMovesOffVolume": {
			reason: "A volume with backups is not deleted by moving its repository.",
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				repo(p, "repo4").RepoLocation = v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}
			}),
			want: want{refused: []string{"spec.backups.pgbackrest.repos[repo4].gcs"}, differs: []string{"spec.backups.pgbackrest.repos[repo4].gcs"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(archive(before), archive(after)); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"OnlyRepoMoves": {
			reason: "Also where it is the only one.",
			live: func(s *store) {
				s.apply(us(), wantedOf(s, repos(v1alpha1.BackupRepo{Name: "repo2", RepoLocation: onVolume()})).Spec)
			},
			ds:   repos(v1alpha1.BackupRepo{Name: "repo2", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}}}),
			want: want{refused: []string{"spec.backups.pgbackrest.repos[repo2].s3"}, differs: []string{"spec.backups.pgbackrest.repos[repo2].s3"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"RepoOfOthers": {
			reason: "A repository on a volume that a person added is not turned into one in a bucket.",
			live: func(s *store) {
				s.apply(us(), wantedOf(s, edit(without("repo4"))).Spec)
				s.edit("kubectl-edit", func(spec map[string]any) {
					archive(spec)["repos"] = slices.Insert(listAt(archive(spec), "repos"), 1, any(map[string]any{"name": "repo4", "volume": map[string]any{"volumeClaimSpec": map[string]any{"accessModes": []any{"ReadWriteOnce"}}}}))
				})
			},
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				p.Overrides = nil
				*repo(p, "repo4") = v1alpha1.BackupRepo{Name: "repo4", RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}}
			}),
			want: want{refused: []string{"spec.backups.pgbackrest.repos[repo4].gcs"}, differs: []string{"spec.backups.pgbackrest.repos[repo4].gcs"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"PathForgotten": {
			reason: "A path that was overridden stays when it is not any more: backups are there.",
			live: func(s *store) {
				s.apply(us(), wantedOf(s, edit(func(p *v1alpha1.PerconaSpec) {
					p.Overrides = overrides(`{"backups": {"pgbackrest": {"global": {"repo4-path": "/pgbackrest/repo4/own"}}}}`)
				})).Spec)
			},
			ds: edit(func(p *v1alpha1.PerconaSpec) { p.Overrides = nil }),
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"BackupsOff": {
			reason: "Backups that are on stay on: the operator would stop managing the cluster, or delete volumes.",
			live: func(s *store) {
				s.write(func(cr *pgv2.PerconaPGCluster) {
					cr.Spec.Backups.PGBackRest.Manual = &crunchy.PGBackRestManualBackup{RepoName: "repo1"}
				})
			},
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				p.Backup.Enabled, p.Overrides = new(false), overrides(`{"metadata": {"annotations": {"team": "storage"}}, "instances": [{"name": "instance1", "minAvailable": 1}]}`)
			}),
			want: want{refused: []string{"spec.backups.enabled"}, differs: []string{"spec.backups.enabled"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"BackupsOffByHand": {
			reason: "Backups that a person has switched off on the cluster are off, and that is all.",
			live: func(s *store) {
				s.edit("kubectl-edit", func(spec map[string]any) { below(spec, "backups")["enabled"] = false })
			},
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				p.Backup.Enabled, p.Overrides = new(false), overrides(`{"metadata": {"annotations": {"team": "storage"}}, "instances": [{"name": "instance1", "minAvailable": 1}]}`)
			}),
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"RestoreOther": {
			reason: "A live cluster is not filled again.",
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				p.RestoreFrom = &v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "other-postgres"}}
			}),
			want: want{refused: []string{"spec.dataSource"}, differs: []string{"spec.dataSource"}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"RestoreLate": {
			reason: "A live cluster that was empty once is not filled.",
			live: func(s *store) {
				s.apply(us(), wantedOf(s, edit(func(p *v1alpha1.PerconaSpec) { p.RestoreFrom = nil })).Spec)
			},
			ds:   highlyAvailable(),
			want: want{refused: []string{"spec.dataSource"}, differs: []string{"spec.dataSource"}},
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if v := after["dataSource"]; v != nil {
					t.Errorf("It has a data source: %v", v)
				}
			},
		},
		"RestoreForgotten": {
			reason: "Where the data came from stays written down, and where the job ran is of no account.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.RestoreFrom = nil }),
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"RestoreElsewhere": {
			reason: "Pods move; the data source stays, without a word.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.Scheduling.PriorityClassName = "other" }),
			want: want{differs: []string{
				"spec.backups.pgbackrest.jobs.priorityClassName", "spec.backups.pgbackrest.repoHost.priorityClassName",
				"spec.instances[instance1].priorityClassName", "spec.proxy.pgBouncer.priorityClassName",
			}},
			check: func(t *testing.T, before, after map[string]any) {
				t.Helper()
				if diff := cmp.Diff(before["dataSource"], after["dataSource"]); diff != "" {
					t.Errorf("-before, +after:\n%s", diff)
				}
			},
		},
		"LessOfAllElse": {
			reason: "What holds no data goes when it is not asked for, and OnCreate says so.",
			ds: edit(func(p *v1alpha1.PerconaSpec) {
				p.PGBouncer.Enabled, p.Resources, p.Parameters, p.Synchronous = nil, nil, map[string]string{"max_connections": "200"}, false
				p.Scheduling = v1alpha1.SchedulingSpec{}
			}),
			want: want{differs: []string{
				"spec.backups.pgbackrest.jobs", "spec.backups.pgbackrest.repoHost",
				"spec.instances[instance1].affinity", "spec.instances[instance1].priorityClassName", "spec.instances[instance1].resources", "spec.instances[instance1].tolerations",
				"spec.patroni.dynamicConfiguration.postgresql.parameters.shared_buffers", "spec.patroni.dynamicConfiguration.postgresql.parameters.wal_level",
				"spec.patroni.dynamicConfiguration.postgresql.parameters[pg_stat_statements.max]", "spec.patroni.dynamicConfiguration.synchronous_mode",
				"spec.proxy",
			}},
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if v := after["proxy"]; v != nil {
					t.Errorf("The pooler is left: %v", v)
				}
				want := map[string]any{"postgresql": map[string]any{"parameters": map[string]any{"max_connections": "200"}}}
				if diff := cmp.Diff(want, below(after, "patroni")["dynamicConfiguration"]); diff != "" {
					t.Errorf("-want, +got:\n%s", diff)
				}
			},
		},
		"Pause": {
			reason: "A pause is brought about by either policy.",
			ds:     edit(func(p *v1alpha1.PerconaSpec) { p.Pause = true }),
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if after["pause"] != true {
					t.Errorf("It is not paused")
				}
			},
		},
		"PauseEnds": {
			reason: "Our own pause ends when it is not asked for any more.",
			live: func(s *store) {
				s.apply(us(), wantedOf(s, edit(func(p *v1alpha1.PerconaSpec) { p.Pause = true })).Spec)
			},
			ds: highlyAvailable(),
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if v, ok := after["pause"]; ok {
					t.Errorf("It is still paused: %v", v)
				}
			},
		},
		"PauseOfTheOperator": {
			reason: "The operator's pause, during a major upgrade, is its own.",
			live: func(s *store) {
				s.write(func(cr *pgv2.PerconaPGCluster) { cr.Spec.Pause = new(true) })
			},
			ds: highlyAvailable(),
			check: func(t *testing.T, _, after map[string]any) {
				t.Helper()
				if after["pause"] != true {
					t.Errorf("Its pause was ended")
				}
			},
		},
	}

	fm := crdtest.PerconaFieldManager(t, "")
	for name, tc := range cases {
		for _, policy := range []v1alpha1.UpdatePolicy{v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways} {
			t.Run(name+string(policy), func(t *testing.T) {
				s := newStore(t, fm, wantedOf(t, highlyAvailable()).Spec)
				if tc.live != nil {
					tc.live(s)
				}
				wanted := wantedOf(t, tc.ds)
				before := cloneMap(below(s.live.Object, "spec"))

				for range 2 { // The second time changes nothing.
					send, diffs := Send(s.observed(), wanted, us(), policy)
					s.apply(us(), send)

					var paths []string
					for _, d := range diffs {
						paths = append(paths, d.Path)
					}
					differs := tc.want.differs
					if policy == v1alpha1.UpdateAlways {
						differs = tc.want.refused
					}
					if diff := cmp.Diff(differs, paths); diff != "" {
						t.Errorf("\n%s\nSend(...): -want paths, +got paths:\n%s", tc.reason, diff)
					}
				}

				after := below(s.live.Object, "spec")
				if policy == v1alpha1.UpdateAlways || name == "Pause" || name == "PauseEnds" || name == "PauseOfTheOperator" {
					if tc.check != nil {
						tc.check(t, before, after)
					}
					return
				}
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("\n%s\nOnCreate changed the cluster: -before, +after:\n%s", tc.reason, diff)
				}
			})
		}
	}
}

// TestAlwaysNeverDeletes lets anybody change anything, servers ask for anything
// else, and checks what holds data.
func TestAlwaysNeverDeletes(t *testing.T) {
	fm := crdtest.PerconaFieldManager(t, "")

	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(rt, fm, wantedOf(rt, server(anyPercona().Draw(rt, "first"))).Spec)
		for range rapid.IntRange(0, 3).Draw(rt, "edits") {
			path := anyPath(rt, s.live.Object["spec"])
			s.edit("kubectl-edit", func(spec map[string]any) {
				replace(spec, path, func(v any) any { return other(rt, v) })
			})
		}
		before := cloneMap(below(s.live.Object, "spec"))
		wanted := wantedOf(rt, server(anyPercona().Draw(rt, "second")))

		send, _ := Send(s.observed(), wanted, us(), v1alpha1.UpdateAlways)
		s.apply(us(), send)
		after := cloneMap(below(s.live.Object, "spec"))
		holdsData(rt, before, after)

		again, _ := Send(s.observed(), wanted, us(), v1alpha1.UpdateAlways)
		s.apply(us(), again)
		if diff := cmp.Diff(after, s.live.Object["spec"]); diff != "" {
			rt.Errorf("The second time changes something: -first, +second:\n%s", diff)
		}
	})
}

// holdsData checks that what holds data, or leads to it, is still there.
func holdsData(t rapid.TB, before, after map[string]any) {
	t.Helper()

	if diff := cmp.Diff([]any{before[pathVersion], before["dataSource"]}, []any{after[pathVersion], after["dataSource"]}); diff != "" {
		t.Errorf("Version or data source: -before, +after:\n%s", diff)
	}
	backedUp := func(spec map[string]any) bool {
		return below(spec, "backups")["enabled"] != false && len(listAt(spec, "backups", "pgbackrest", "repos")) > 0
	}
	if backedUp(before) && !backedUp(after) {
		t.Errorf("Backups are off")
	}
	claims := func(spec map[string]any) map[string]map[string]any {
		out := map[string]map[string]any{}
		for _, item := range listAt(spec, "instances") {
			set, _ := item.(map[string]any)
			for _, key := range []string{"dataVolumeClaimSpec", "walVolumeClaimSpec"} {
				if claim := mapAt(set, key); claim != nil {
					out[key] = claim
				}
			}
		}
		for _, item := range listAt(spec, "backups", "pgbackrest", "repos") {
			repo, _ := item.(map[string]any)
			name, _ := nameOf(item)
			if claim := mapAt(repo, "volume", "volumeClaimSpec"); claim != nil {
				out[name] = claim
			}
		}
		return out
	}
	is := claims(after)
	for name, was := range claims(before) {
		now := is[name]
		if now == nil {
			t.Errorf("The volume of %s is gone", name)
		}
		if have := mapAt(was, "resources", "requests")["storage"]; shrinks(mapAt(now, "resources", "requests")["storage"], have) {
			t.Errorf("The volume of %s shrinks from %v", name, have)
		}
		if diff := cmp.Diff(was["storageClassName"], now["storageClassName"]); diff != "" {
			t.Errorf("The class of %s changes: -before, +after:\n%s", name, diff)
		}
	}
	for _, item := range listAt(after, "backups", "pgbackrest", "repos") {
		name, _ := nameOf(item)
		path := []string{"backups", "pgbackrest", "global", name + suffixPath}
		if _, lived := named(listAt(before, "backups", "pgbackrest", "repos"), name); lived && !equal(at(before, path...), at(after, path...)) {
			t.Errorf("The path of %s changes from %v to %v", name, at(before, path...), at(after, path...))
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
