package percona

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// server returns a DittoServer with that spec.percona.
func server(p v1alpha1.PerconaSpec) *v1alpha1.DittoServer {
	return &v1alpha1.DittoServer{
		ObjectMeta: metav1.ObjectMeta{Name: "files", Namespace: "team-a", UID: "0f8fad5b-d9cb-469f-a165-70867728950e"},
		Spec:       v1alpha1.DittoServerSpec{Percona: p},
	}
}

func TestBuildPerconaPGClusterSpec(t *testing.T) {
	type args struct {
		ds   *v1alpha1.DittoServer
		opts []Option
	}
	cases := map[string]struct {
		reason string
		args   args
		want   string
	}{
		"Defaults": {
			reason: "Without any choice it is one PostgreSQL 16 pod without backups.",
			args:   args{ds: server(v1alpha1.PerconaSpec{})},
			want: `
postgresVersion: 16
image: docker.io/percona/percona-distribution-postgresql:16.13-1
users:
- name: dittofs
  databases: [dittofs]
  password: {type: AlphaNumeric}
instances:
- name: instance1
  replicas: 1
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    resources: {requests: {storage: 10Gi}}
backups:
  enabled: false
  pgbackrest: {image: "docker.io/percona/percona-pgbackrest:2.58.0-1"}
`,
		},
		"Everything": {
			reason: "All that a DittoServer can say arrives, quantities in their canonical form.",
			args: args{
				ds: server(v1alpha1.PerconaSpec{
					Enabled:          new(true),
					Replicas:         ptr.To[int32](3),
					StorageSize:      "2048Mi",
					StorageClassName: new("fast"),
					DatabaseName:     "control_plane",
					PostgresVersion:  ptr.To[int32](18),
					CRVersion:        "2.9.0",
					Images:           v1alpha1.PerconaImages{Postgres: "mirror/pg:18.3-1", PGBackRest: "mirror/backrest:1"},
					Backup: v1alpha1.BackupSpec{
						Enabled:              new(true),
						Bucket:               "backups",
						Region:               "eu-north-1",
						CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "s3"},
						FullSchedule:         "0 3 * * 0",
						IncrSchedule:         "0 3 * * 1-6",
						RetentionDays:        ptr.To[int32](14),
					},
				}),
				opts: []Option{WithImagePullSecrets([]corev1.LocalObjectReference{{Name: "mirror"}})},
			},
			want: `
crVersion: 2.9.0
postgresVersion: 18
image: mirror/pg:18.3-1
imagePullSecrets: [{name: mirror}]
users:
- name: dittofs
  databases: [control_plane]
  password: {type: AlphaNumeric}
instances:
- name: instance1
  replicas: 3
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    storageClassName: fast
    resources: {requests: {storage: 2Gi}}
backups:
  enabled: true
  pgbackrest:
    image: mirror/backrest:1
    configuration: [{secret: {name: s3}}]
    global:
      repo1-path: /pgbackrest/team-a/files-0f8fad5b/repo1
      repo1-s3-uri-style: path
      repo1-storage-verify-tls: "y"
      repo1-retention-full: "14"
      repo1-retention-full-type: time
    repos:
    - name: repo1
      s3: {bucket: backups, endpoint: s3.eu-north-1.amazonaws.com, region: eu-north-1}
      schedules: {full: 0 3 * * 0, incremental: 0 3 * * 1-6}
`,
		},
		"EndpointNoUID": {
			reason: "An endpoint is taken as it is; a server that nobody has created yet has no UID.",
			args: args{ds: func() *v1alpha1.DittoServer {
				ds := server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", Endpoint: "minio:9000"}})
				ds.UID = ""
				return ds
			}()},
			want: `
postgresVersion: 16
image: docker.io/percona/percona-distribution-postgresql:16.13-1
users:
- name: dittofs
  databases: [dittofs]
  password: {type: AlphaNumeric}
instances:
- name: instance1
  replicas: 1
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    resources: {requests: {storage: 10Gi}}
backups:
  enabled: true
  pgbackrest:
    image: docker.io/percona/percona-pgbackrest:2.58.0-1
    global:
      repo1-path: /pgbackrest/team-a/files/repo1
      repo1-s3-uri-style: path
      repo1-storage-verify-tls: "y"
      repo1-retention-full: "7"
      repo1-retention-full-type: time
    repos:
    - name: repo1
      s3: {bucket: b, endpoint: "minio:9000", region: eu-west-1}
      schedules: {full: 0 2 * * *, incremental: "0 0-1,3-23 * * *"}
`,
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := *tc.args.ds
			spec, err := BuildPerconaPGClusterSpec(tc.args.ds, tc.args.opts...)
			if err != nil {
				t.Fatalf("\n%s\nBuildPerconaPGClusterSpec(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(before, *tc.args.ds); diff != "" {
				t.Errorf("BuildPerconaPGClusterSpec(...) changed its argument: -before, +after:\n%s", diff)
			}
			got, err := Manifest(spec)
			if err != nil {
				t.Fatalf("\n%s\nManifest(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(parse(t, tc.want), got); diff != "" {
				t.Errorf("\n%s\nManifest(BuildPerconaPGClusterSpec(...)): -want, +got:\n%s", tc.reason, diff)
			}
			validatorsOf(t).accept(t, spec, got)
		})
	}
}

func TestBuildPerconaPGClusterSpecErrors(t *testing.T) {
	on := func(b v1alpha1.BackupSpec) v1alpha1.PerconaSpec {
		b.Enabled = new(true)
		return v1alpha1.PerconaSpec{Backup: b}
	}
	named := func(name string) *v1alpha1.DittoServer {
		ds := server(v1alpha1.PerconaSpec{})
		ds.Name = name
		return ds
	}

	cases := map[string]struct {
		reason string
		ds     *v1alpha1.DittoServer
		want   string
	}{
		"NoName":          {reason: "The cluster is named after the server.", ds: named(""), want: "metadata.name"},
		"LongName":        {reason: "A label of the operator's holds 46 characters.", ds: named(strings.Repeat("a", 29)), want: "metadata.name"},
		"StorageSize":     {reason: "A size is a quantity.", ds: server(v1alpha1.PerconaSpec{StorageSize: "10 GB"}), want: "spec.percona.storageSize"},
		"StorageZero":     {reason: "A volume has a size.", ds: server(v1alpha1.PerconaSpec{StorageSize: "0"}), want: "spec.percona.storageSize"},
		"NoReplicas":      {reason: "A cluster has a pod.", ds: server(v1alpha1.PerconaSpec{Replicas: ptr.To[int32](0)}), want: "spec.percona.replicas"},
		"ManyReplicas":    {reason: "The API allows five.", ds: server(v1alpha1.PerconaSpec{Replicas: ptr.To[int32](6)}), want: "spec.percona.replicas"},
		"DatabaseName":    {reason: "The operator would have to quote it.", ds: server(v1alpha1.PerconaSpec{DatabaseName: "Ditto-FS"}), want: "spec.percona.databaseName"},
		"LongDatabase":    {reason: "PostgreSQL's names have 63 bytes.", ds: server(v1alpha1.PerconaSpec{DatabaseName: strings.Repeat("a", 64)}), want: "spec.percona.databaseName"},
		"PostgresVersion": {reason: "The operator knows no such version.", ds: server(v1alpha1.PerconaSpec{PostgresVersion: ptr.To[int32](19)}), want: "spec.percona.postgresVersion"},
		"CRVersion":       {reason: "A version below 2.9 forces a proxy on the cluster.", ds: server(v1alpha1.PerconaSpec{CRVersion: "2.8.2"}), want: "spec.percona.crVersion"},
		"ShortCRVersion":  {reason: "The operator panics on a malformed version.", ds: server(v1alpha1.PerconaSpec{CRVersion: "v3"}), want: "spec.percona.crVersion"},
		"Bucket":          {reason: "Backups need a bucket.", ds: server(on(v1alpha1.BackupSpec{})), want: "spec.percona.backup.bucket"},
		"RetentionDays":   {reason: "Backups are kept for a day at least.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", RetentionDays: ptr.To[int32](0)})), want: "spec.percona.backup.retentionDays"},
		"Credentials":     {reason: "A reference has a name.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", CredentialsSecretRef: &v1alpha1.LocalSecretRef{}})), want: "spec.percona.backup.credentialsSecretRef.name"},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := BuildPerconaPGClusterSpec(tc.ds)
			got := ""
			if fe, ok := errors.AsType[*field.Error](err); ok {
				got = fe.Field
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): %v: -want field, +got field:\n%s", tc.reason, err, diff)
			}
		})
	}
}

// TestAnySpecIsAccepted builds clusters from arbitrary valid servers.
func TestAnySpecIsAccepted(t *testing.T) {
	v := validatorsOf(t)

	rapid.Check(t, func(rt *rapid.T) {
		ds := server(anyPercona().Draw(rt, "percona"))
		ds.Name = rapid.StringMatching(`[a-z]([-a-z0-9]{0,26}[a-z0-9])?`).Draw(rt, "name")
		ds.Namespace = rapid.StringMatching(`[a-z0-9]{1,63}`).Draw(rt, "namespace")

		spec, err := BuildPerconaPGClusterSpec(ds)
		if err != nil {
			rt.Fatalf("BuildPerconaPGClusterSpec(...): %v", err)
		}
		manifest, err := Manifest(spec)
		if err != nil {
			rt.Fatalf("Manifest(...): %v", err)
		}
		noEmpties(rt, manifest)
		v.accept(rt, spec, manifest)
	})
}

// anyPercona draws any spec.percona that the API allows.
func anyPercona() *rapid.Generator[v1alpha1.PerconaSpec] {
	return rapid.Custom(func(t *rapid.T) v1alpha1.PerconaSpec {
		str := func(label, pattern string) string {
			return rapid.OneOf(rapid.Just(""), rapid.StringMatching(pattern)).Draw(t, label)
		}
		num := func(label string, from, to int32) *int32 {
			return rapid.OneOf(rapid.Just[*int32](nil), rapid.Ptr(rapid.Int32Range(from, to), false)).Draw(t, label)
		}
		p := v1alpha1.PerconaSpec{
			Replicas:        num("replicas", 1, 5),
			StorageSize:     str("storageSize", `[1-9][0-9]{0,4}(Mi|Gi|M|G|)`),
			DatabaseName:    str("databaseName", `[a-z_][a-z0-9_]{0,62}`),
			PostgresVersion: num("postgresVersion", 14, 18),
			CRVersion:       str("crVersion", `(2\.9|3\.[0-9]{1,2})\.[0-9]{1,2}`),
			Images: v1alpha1.PerconaImages{
				Postgres:   str("image", `[a-z]{1,9}/[a-z]{1,9}:[0-9]{1,3}`),
				PGBackRest: str("pgBackRest", `[a-z]{1,9}/[a-z]{1,9}:[0-9]{1,3}`),
			},
		}
		if class := str("storageClassName", `[a-z]{1,9}`); class != "" {
			p.StorageClassName = &class
		}
		if rapid.Bool().Draw(t, "backup") {
			p.Backup = v1alpha1.BackupSpec{
				Enabled:       new(true),
				Bucket:        rapid.StringMatching(`[a-z0-9]{3,63}`).Draw(t, "bucket"),
				Endpoint:      str("endpoint", `[a-z]{1,9}\.example\.org(:[0-9]{4})?`),
				Region:        str("region", `[a-z]{2}-[a-z]{4,9}-[1-9]`),
				RetentionDays: num("retentionDays", 1, 9999999),
			}
			if name := str("credentials", `[a-z]{1,9}`); name != "" {
				p.Backup.CredentialsSecretRef = &v1alpha1.LocalSecretRef{Name: name}
			}
		}
		return p
	})
}

// validators are an API server's for what is sent and for what the operator
// makes of it.
type validators struct {
	cluster, crunchy *crdtest.Validator
}

func validatorsOf(t *testing.T) validators {
	t.Helper()
	return validators{crdtest.PerconaPGCluster(t), crdtest.PostgresCluster(t)}
}

// accept checks that an API server takes the cluster, and that the operator
// does: with its own defaults and validation, and that the PostgresCluster that
// it makes of it is valid and has the images without which it never starts
// (percona v2.9.0 VerifyImageValues).
func (v validators) accept(t rapid.TB, spec pgv2.PerconaPGClusterSpec, manifest map[string]any) {
	t.Helper()

	obj := map[string]any{
		"apiVersion": APIVersion,
		"kind":       Kind,
		"metadata":   map[string]any{"name": "files-postgres", "namespace": "team-a"},
		"spec":       manifest,
	}
	if err := v.cluster.Validate(obj); err != nil {
		t.Fatalf("An API server refuses the cluster: %v", err)
	}

	cr := &pgv2.PerconaPGCluster{ObjectMeta: metav1.ObjectMeta{Name: "files-postgres", Namespace: "team-a"}, Spec: *spec.DeepCopy()}
	cr.Default()
	if err := cr.Validate(); err != nil {
		t.Fatalf("The operator refuses the cluster: %v", err)
	}
	if cr.Spec.Proxy != nil {
		t.Errorf("The operator adds a proxy")
	}

	scheme := runtime.NewScheme()
	if err := pgv2.AddToScheme(scheme); err != nil {
		t.Fatalf("Cannot build the scheme: %v", err)
	}
	pg, err := cr.ToCrunchy(context.Background(), nil, scheme)
	if err != nil {
		t.Fatalf("The operator makes nothing of the cluster: %v", err)
	}
	if pg.Spec.Image == "" || pg.Spec.Backups.PGBackRest.Image == "" {
		t.Errorf("An image is missing: postgres %q, pgbackrest %q", pg.Spec.Image, pg.Spec.Backups.PGBackRest.Image)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pg)
	if err != nil {
		t.Fatalf("Cannot decode what the operator makes of the cluster: %v", err)
	}
	delete(content, "status")
	if err := v.crunchy.Validate(content); err != nil {
		t.Fatalf("An API server refuses what the operator makes of the cluster: %v", err)
	}
}

func parse(t rapid.TB, s string) map[string]any {
	t.Helper()

	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(s), &out); err != nil {
		t.Fatalf("Cannot parse %s: %v", s, err)
	}
	return cloneMap(out)
}
