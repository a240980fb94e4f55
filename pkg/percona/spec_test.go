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
crVersion: 2.9.0
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
			reason: "An endpoint is taken as it is; without credentials the pods use their own identity; a server that nobody has created yet has no UID.",
			args: args{ds: func() *v1alpha1.DittoServer {
				ds := server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", Endpoint: "minio:9000"}})
				ds.UID = ""
				return ds
			}()},
			want: `
crVersion: 2.9.0
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
      repo1-s3-key-type: web-id
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
		"FullSchedule":    {reason: "A schedule is one of cron's.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", FullSchedule: "0 25 * * *"})), want: "spec.percona.backup.fullSchedule"},
		"IncrSchedule":    {reason: "A schedule is one of cron's.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", IncrSchedule: "hourly"})), want: "spec.percona.backup.incrSchedule"},
		"Credentials":     {reason: "A reference has a name.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", CredentialsSecretRef: &v1alpha1.LocalSecretRef{}})), want: "spec.percona.backup.credentialsSecretRef.name"},

		// Pods.
		"WALStorageSize":      {reason: "A size is a quantity.", ds: server(v1alpha1.PerconaSpec{WALStorageSize: "5 GB"}), want: "spec.percona.walStorageSize"},
		"WALStorageZero":      {reason: "A volume has a size.", ds: server(v1alpha1.PerconaSpec{WALStorageSize: "-1Gi"}), want: "spec.percona.walStorageSize"},
		"NoPoolers":           {reason: "A pooler has a pod.", ds: server(v1alpha1.PerconaSpec{PGBouncer: v1alpha1.PGBouncerSpec{Replicas: ptr.To[int32](0)}}), want: "spec.percona.pgBouncer.replicas"},
		"ManyPoolers":         {reason: "The API allows sixteen.", ds: server(v1alpha1.PerconaSpec{PGBouncer: v1alpha1.PGBouncerSpec{Replicas: ptr.To[int32](17)}}), want: "spec.percona.pgBouncer.replicas"},
		"Claims":              {reason: "The operator gives pods no devices.", ds: server(v1alpha1.PerconaSpec{Resources: claiming()}), want: "spec.percona.resources.claims"},
		"PoolerClaims":        {reason: "The operator gives pods no devices.", ds: server(v1alpha1.PerconaSpec{PGBouncer: v1alpha1.PGBouncerSpec{Resources: claiming()}}), want: "spec.percona.pgBouncer.resources.claims"},
		"Synchronous":         {reason: "Somebody has to be waited for.", ds: server(v1alpha1.PerconaSpec{Synchronous: true}), want: "spec.percona.synchronous"},
		"AntiAffinity":        {reason: "There are two kinds.", ds: server(v1alpha1.PerconaSpec{Scheduling: v1alpha1.SchedulingSpec{AntiAffinity: "Maybe"}}), want: "spec.percona.scheduling.antiAffinity"},
		"ParameterOperators":  {reason: "The operator sets it.", ds: parameter("archive_command", "true"), want: "spec.percona.parameters[archive_command]"},
		"ParameterName":       {reason: "Names are in lower case, or one could be set twice.", ds: parameter("Archive_Command", "true"), want: "spec.percona.parameters[Archive_Command]"},
		"ParameterLine":       {reason: "A value is no way to another line.", ds: parameter("work_mem", "1MB'\nssl = off"), want: "spec.percona.parameters[work_mem]"},
		"ParameterWALLevel":   {reason: "The operator stops at another level.", ds: parameter("wal_level", "minimal"), want: "spec.percona.parameters[wal_level]"},
		"ParameterPrefix":     {reason: "TLS is the operator's.", ds: parameter("ssl_crl_file", "x"), want: "spec.percona.parameters[ssl_crl_file]"},
		"ParameterUnixSocket": {reason: "Sockets are the operator's.", ds: parameter("unix_socket_permissions", "0700"), want: "spec.percona.parameters[unix_socket_permissions]"},

		// Repositories.
		"RepoAndBucket":   {reason: "The flat fields are a repository of their own.", ds: server(on(v1alpha1.BackupSpec{Bucket: "b", Repos: []v1alpha1.BackupRepo{{Name: "repo2", RepoLocation: onVolume()}}})), want: "spec.percona.backup.repos"},
		"RepoName":        {reason: "The operator knows four names.", ds: repos(v1alpha1.BackupRepo{Name: "repo5", RepoLocation: onVolume()}), want: "spec.percona.backup.repos[0].name"},
		"RepoNoName":      {reason: "The operator knows four names.", ds: repos(v1alpha1.BackupRepo{RepoLocation: onVolume()}), want: "spec.percona.backup.repos[0].name"},
		"RepoTwice":       {reason: "A repeated name fails the whole apply.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: onVolume()}, v1alpha1.BackupRepo{Name: "repo1", RepoLocation: onVolume()}), want: "spec.percona.backup.repos[1].name"},
		"RepoNowhere":     {reason: "A repository is somewhere.", ds: repos(v1alpha1.BackupRepo{Name: "repo1"}), want: "spec.percona.backup.repos[0]"},
		"RepoInTwoPlaces": {reason: "A repository is in one place.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}, GCS: &v1alpha1.GCSLocation{Bucket: "b"}}}), want: "spec.percona.backup.repos[0]"},
		"RepoBucket":      {reason: "A bucket has a name.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{}}}), want: "spec.percona.backup.repos[0].s3.bucket"},
		"RepoEndpoint":    {reason: "A value is no way to another option of pgBackRest.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b", Endpoint: "x\nrepo1-host-cmd=y"}}}), want: "spec.percona.backup.repos[0].s3.endpoint"},
		"RepoGCSBucket":   {reason: "A bucket has a name.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{}}}), want: "spec.percona.backup.repos[0].gcs.bucket"},
		"RepoContainer":   {reason: "A container has a name.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{Azure: &v1alpha1.AzureLocation{}}}), want: "spec.percona.backup.repos[0].azure.container"},
		"RepoAzure":       {reason: "pgBackRest needs the name of the storage account.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{Azure: &v1alpha1.AzureLocation{Container: "c"}}}), want: "spec.percona.backup.repos[0].credentialsSecretRef"},
		"RepoCredentials": {reason: "A reference has a name.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}, CredentialsSecretRef: &v1alpha1.LocalSecretRef{}}}), want: "spec.percona.backup.repos[0].credentialsSecretRef.name"},
		"VolumeSecret":    {reason: "Nobody would read it.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{Volume: onVolume().Volume, CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "s"}}}), want: "spec.percona.backup.repos[0].credentialsSecretRef"},
		"VolumeSize":      {reason: "A size is a quantity.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{Volume: &v1alpha1.VolumeLocation{Size: "much"}}}), want: "spec.percona.backup.repos[0].volume.size"},
		"RepoSchedule":    {reason: "A schedule is one of cron's.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: onVolume(), FullSchedule: "often"}), want: "spec.percona.backup.repos[0].fullSchedule"},
		"RepoRetention":   {reason: "Backups are kept for a day at least.", ds: repos(v1alpha1.BackupRepo{Name: "repo1", RepoLocation: onVolume(), RetentionDays: ptr.To[int32](0)}), want: "spec.percona.backup.repos[0].retentionDays"},

		// Restoring.
		"RestoreNothing":     {reason: "Data comes from somewhere.", ds: restore(v1alpha1.RestoreSpec{}), want: "spec.percona.restoreFrom"},
		"RestoreTwo":         {reason: "Data comes from one place.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "a"}, Repo: &v1alpha1.RestoreRepo{}}), want: "spec.percona.restoreFrom"},
		"RestoreTime":        {reason: "A time is one of RFC 3339.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "a"}, TargetTime: "2026-05-01 12:00:00"}), want: "spec.percona.restoreFrom.targetTime"},
		"RestoreShell":       {reason: "A time is no way to a shell.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "a"}, TargetTime: `2026-05-01T12:00:00Z"; id; "`}), want: "spec.percona.restoreFrom.targetTime"},
		"RestoreNobody":      {reason: "A cluster has a name.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{}}), want: "spec.percona.restoreFrom.cluster.name"},
		"RestoreItself":      {reason: "A new cluster has no backups.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "files-postgres"}}), want: "spec.percona.restoreFrom.cluster.name"},
		"RestoreClusterRepo": {reason: "The operator knows four names.", ds: restore(v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "a", Repo: "repo1; id"}}), want: "spec.percona.restoreFrom.cluster.repo"},
		"RestoreVolume":      {reason: "The job that restores mounts no other volume.", ds: restore(v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{RepoLocation: onVolume(), Path: "/a"}}), want: "spec.percona.restoreFrom.repo.volume"},
		"RestorePath":        {reason: "A path is no way to another option of pgBackRest.", ds: restore(v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}, Path: "/a\nb"}}), want: "spec.percona.restoreFrom.repo.path"},
		"RestoreNoPath":      {reason: "There is no telling where another cluster's backups are.", ds: restore(v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}}}), want: "spec.percona.restoreFrom.repo.path"},
		"RestoreRepoName":    {reason: "The operator knows four names.", ds: restore(v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{Name: "repo0", RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}, Path: "/a"}}), want: "spec.percona.restoreFrom.repo.name"},
		"RestoreNowhere":     {reason: "A repository is somewhere.", ds: restore(v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{Path: "/a"}}), want: "spec.percona.restoreFrom.repo"},
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

// claiming is resources that no pod of the operator's has.
func claiming() *corev1.ResourceRequirements {
	return &corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}
}

func parameter(name, value string) *v1alpha1.DittoServer {
	return server(v1alpha1.PerconaSpec{Parameters: map[string]string{name: value}})
}

func onVolume() v1alpha1.RepoLocation {
	return v1alpha1.RepoLocation{Volume: &v1alpha1.VolumeLocation{Size: "1Gi"}}
}

func repos(r ...v1alpha1.BackupRepo) *v1alpha1.DittoServer {
	return server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: r}})
}

func restore(r v1alpha1.RestoreSpec) *v1alpha1.DittoServer {
	return server(v1alpha1.PerconaSpec{RestoreFrom: &r})
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
		if rapid.Bool().Draw(t, "more") {
			anyMore(t, &p)
		}
		return p
	})
}

// anyMore draws what most servers do not ask for.
func anyMore(t *rapid.T, p *v1alpha1.PerconaSpec) {
	sized := rapid.SampledFrom([]string{"1Gi", "2048Mi", "3G", "4294967296"})
	word := rapid.StringMatching(`[a-z]{1,9}`)
	maybe := func(label string) bool { return rapid.Bool().Draw(t, label) }

	if maybe("pgBouncer") {
		p.PGBouncer = v1alpha1.PGBouncerSpec{Enabled: new(true), Replicas: new(rapid.Int32Range(1, 16).Draw(t, "poolers")), Resources: resources("150m", sized.Draw(t, "memory"))}
	}
	if maybe("resources") {
		p.Resources = resources(rapid.SampledFrom([]string{"1", "1500m", "0.5"}).Draw(t, "cpu"), sized.Draw(t, "memory"))
	}
	if maybe("wal") {
		p.WALStorageSize = sized.Draw(t, "walStorageSize")
	}
	p.Scheduling = v1alpha1.SchedulingSpec{
		AntiAffinity:      rapid.SampledFrom([]v1alpha1.AntiAffinity{"", v1alpha1.AntiAffinityPreferred, v1alpha1.AntiAffinityRequired}).Draw(t, "antiAffinity"),
		NodeSelector:      rapid.MapOfN(word, word, 0, 2).Draw(t, "nodeSelector"),
		PriorityClassName: rapid.SampledFrom([]string{"", "databases"}).Draw(t, "priorityClassName"),
	}
	if maybe("tolerations") {
		p.Scheduling.Tolerations = []corev1.Toleration{{Key: word.Draw(t, "taint"), Operator: corev1.TolerationOpExists}}
	}
	p.Parameters = rapid.MapOfN(rapid.SampledFrom([]string{"work_mem", "max_connections", "auto_explain.log_min_duration"}), rapid.StringMatching(`[ -~]{0,9}`), 0, 3).Draw(t, "parameters")
	p.Synchronous = p.Replicas != nil && *p.Replicas > 1 && maybe("synchronous")

	ref := &v1alpha1.LocalSecretRef{Name: word.Draw(t, "secret")}
	located := rapid.SampledFrom([]v1alpha1.RepoLocation{
		{S3: &v1alpha1.S3Location{Bucket: "b"}},
		{S3: &v1alpha1.S3Location{Bucket: "b", Endpoint: "minio:9000", Region: "here"}, CredentialsSecretRef: ref},
		{GCS: &v1alpha1.GCSLocation{Bucket: "b"}},
		{GCS: &v1alpha1.GCSLocation{Bucket: "b"}, CredentialsSecretRef: ref},
		{Azure: &v1alpha1.AzureLocation{Container: "c"}, CredentialsSecretRef: ref},
		onVolume(),
	})
	if maybe("repos") {
		p.Backup = v1alpha1.BackupSpec{Enabled: new(true)}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"repo1", "repo2", "repo3", "repo4"}), 1, 4, rapid.ID).Draw(t, "names") {
			p.Backup.Repos = append(p.Backup.Repos, v1alpha1.BackupRepo{Name: name, RepoLocation: located.Draw(t, "repo")})
		}
	}
	switch rapid.IntRange(0, 2).Draw(t, "restoreFrom") {
	case 1:
		p.RestoreFrom = &v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "other"}, TargetTime: rapid.SampledFrom([]string{"", "2026-05-01T12:00:00Z"}).Draw(t, "targetTime")}
	case 2:
		from := located.Filter(func(l v1alpha1.RepoLocation) bool { return l.Volume == nil }).Draw(t, "from")
		p.RestoreFrom = &v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{RepoLocation: from, Path: "/a"}}
	}
	if maybe("overrides") {
		p.Overrides = overrides(rapid.SampledFrom([]string{
			`{"tlsOnly": true, "metadata": {"labels": {"a": "b"}}}`,
			`{"instances": [{"name": "instance1", "tolerations": null, "resources": {"limits": {"memory": "8192Mi"}}}]}`,
			`{"patroni": {"dynamicConfiguration": {"ttl": 30, "postgresql": {"parameters": {"work_mem": null}}}}}`,
		}).Draw(t, "patch"))
	}
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
	if diff := cmp.Diff(spec.Proxy.IsSet(), cr.Spec.Proxy.IsSet()); diff != "" {
		t.Errorf("The operator has a proxy of its own mind: -want, +got:\n%s", diff)
	}

	scheme := runtime.NewScheme()
	if err := pgv2.AddToScheme(scheme); err != nil {
		t.Fatalf("Cannot build the scheme: %v", err)
	}
	pg, err := cr.ToCrunchy(context.Background(), nil, scheme)
	if err != nil {
		t.Fatalf("The operator makes nothing of the cluster: %v", err)
	}
	if pg.Spec.Image == "" || pg.Spec.Backups.PGBackRest.Image == "" || pg.Spec.Proxy != nil && pg.Spec.Proxy.PGBouncer.Image == "" {
		t.Errorf("An image is missing: postgres %q, pgbackrest %q, proxy %v", pg.Spec.Image, pg.Spec.Backups.PGBackRest.Image, pg.Spec.Proxy)
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
