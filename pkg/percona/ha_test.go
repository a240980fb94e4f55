package percona

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// highlyAvailable is a server of which nearly all can be said.
func highlyAvailable() *v1alpha1.DittoServer {
	return server(v1alpha1.PerconaSpec{
		Enabled:          new(true),
		Replicas:         ptr.To[int32](3),
		StorageSize:      "20Gi",
		StorageClassName: new("fast"),
		WALStorageSize:   "5120Mi",
		PostgresVersion:  ptr.To[int32](17),
		PGBouncer: v1alpha1.PGBouncerSpec{
			Enabled:   new(true),
			Replicas:  ptr.To[int32](2),
			Resources: resources("100m", "64Mi"),
		},
		Resources: resources("2000m", "4096Mi"),
		Scheduling: v1alpha1.SchedulingSpec{
			AntiAffinity:      v1alpha1.AntiAffinityRequired,
			NodeSelector:      map[string]string{"topology.kubernetes.io/zone": "a", "disk": "ssd"},
			Tolerations:       []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "db", Effect: corev1.TaintEffectNoSchedule}},
			PriorityClassName: "databases",
		},
		Parameters:  map[string]string{"max_connections": "200", "shared_buffers": "1GB", "pg_stat_statements.max": "1000", "wal_level": "replica"},
		Synchronous: true,
		Backup: v1alpha1.BackupSpec{
			Enabled: new(true),
			Repos: []v1alpha1.BackupRepo{
				{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{
					S3:                   &v1alpha1.S3Location{Bucket: "backups", Endpoint: "minio:9000", Region: "eu-north-1"},
					CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "cloud"},
				}},
				{Name: "repo4", RepoLocation: v1alpha1.RepoLocation{Volume: &v1alpha1.VolumeLocation{Size: "51200Mi", StorageClassName: new("slow")}}, FullSchedule: "0 6 * * 0", RetentionDays: ptr.To[int32](30)},
				{Name: "repo2", RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "g-backups"}}},
				{Name: "repo3", RepoLocation: v1alpha1.RepoLocation{
					Azure:                &v1alpha1.AzureLocation{Container: "a-backups"},
					CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "cloud"},
				}, IncrSchedule: "50 * * * *"},
			},
		},
		RestoreFrom: &v1alpha1.RestoreSpec{
			Repo: &v1alpha1.RestoreRepo{
				Name:         "repo2",
				RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "old"}, CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "old"}},
				Path:         "/pgbackrest/team-b/files-00000000/repo2",
			},
			TargetTime: "2026-05-01T14:00:00.25+02:00",
		},
		Overrides: overrides(`{
			"metadata": {"annotations": {"team": "storage"}},
			"instances": [{"name": "instance1", "minAvailable": 1}],
			"backups": {"pgbackrest": {"global": {"compress-type": "zst", "repo1-s3-uri-style": null}, "repos": [{"name": "repo2", "schedules": {"differential": "20 12 * * *"}}]}}
		}`),
	})
}

func resources(cpu, memory string) *corev1.ResourceRequirements {
	return &corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)},
	}
}

func overrides(patch string) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(patch)}
}

const highlyAvailableYAML = `
metadata: {annotations: {team: storage}}
crVersion: 2.9.0
postgresVersion: 17
image: docker.io/percona/percona-distribution-postgresql:17.9-1
users:
- name: dittofs
  databases: [dittofs]
  password: {type: AlphaNumeric}
patroni:
  dynamicConfiguration:
    synchronous_mode: true
    postgresql:
      parameters: {max_connections: "200", shared_buffers: 1GB, pg_stat_statements.max: "1000", wal_level: replica}
instances:
- name: instance1
  replicas: 3
  minAvailable: 1
  resources: {requests: {cpu: "2"}, limits: {memory: 4Gi}}
  priorityClassName: databases
  tolerations: &tolerations
  - {key: dedicated, operator: Equal, value: db, effect: NoSchedule}
  affinity:
    nodeAffinity: &nodes
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions:
          - {key: disk, operator: In, values: [ssd]}
          - {key: topology.kubernetes.io/zone, operator: In, values: [a]}
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            postgres-operator.crunchydata.com/cluster: files-postgres
            postgres-operator.crunchydata.com/instance-set: instance1
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    storageClassName: fast
    resources: {requests: {storage: 20Gi}}
  walVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    storageClassName: fast
    resources: {requests: {storage: 5Gi}}
proxy:
  pgBouncer:
    image: docker.io/percona/percona-pgbouncer:1.25.1-1
    replicas: 2
    resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}
    priorityClassName: databases
    tolerations: *tolerations
    affinity: {nodeAffinity: *nodes}
backups:
  enabled: true
  pgbackrest:
    image: docker.io/percona/percona-pgbackrest:2.58.0-1
    configuration: [{secret: {name: cloud}}]
    global:
      compress-type: zst
      repo1-path: /pgbackrest/team-a/files-0f8fad5b/repo1
      repo1-storage-verify-tls: "y"
      repo1-retention-full: "7"
      repo1-retention-full-type: time
      repo2-path: /pgbackrest/team-a/files-0f8fad5b/repo2
      repo2-gcs-key-type: auto
      repo2-retention-full: "7"
      repo2-retention-full-type: time
      repo3-path: /pgbackrest/team-a/files-0f8fad5b/repo3
      repo3-retention-full: "7"
      repo3-retention-full-type: time
      repo4-retention-full: "30"
      repo4-retention-full-type: time
    repos:
    - name: repo1
      s3: {bucket: backups, endpoint: "minio:9000", region: eu-north-1}
      schedules: {full: 0 2 * * *, incremental: "0 0-1,3-5,7-23 * * *"}
    - name: repo4
      volume:
        volumeClaimSpec:
          accessModes: [ReadWriteOnce]
          storageClassName: slow
          resources: {requests: {storage: 50Gi}}
      schedules: {full: 0 6 * * 0, incremental: "45 0-1,3-5,7-23 * * *"}
    - name: repo2
      gcs: {bucket: g-backups}
      schedules: {full: 15 2 * * *, incremental: "15 0-1,3-5,7-23 * * *", differential: 20 12 * * *}
    - name: repo3
      azure: {container: a-backups}
      schedules: {full: 30 2 * * *, incremental: 50 * * * *}
    repoHost: &pods
      priorityClassName: databases
      tolerations: *tolerations
      affinity: {nodeAffinity: *nodes}
    jobs: *pods
dataSource:
  pgbackrest:
    stanza: db
    configuration: [{secret: {name: old}}]
    global:
      repo2-path: /pgbackrest/team-b/files-00000000/repo2
      repo2-s3-uri-style: path
      repo2-storage-verify-tls: "y"
    repo:
      name: repo2
      s3: {bucket: old, endpoint: s3.eu-west-1.amazonaws.com, region: eu-west-1}
    options: ["--type=time", '--target="2026-05-01 12:00:00.25+00"']
    priorityClassName: databases
    tolerations: *tolerations
    affinity: {nodeAffinity: *nodes}
`

func TestHighlyAvailable(t *testing.T) {
	ds := highlyAvailable()
	before := ds.DeepCopy()
	spec, err := BuildPerconaPGClusterSpec(ds)
	if err != nil {
		t.Fatalf("BuildPerconaPGClusterSpec(...): %v", err)
	}
	if diff := cmp.Diff(before, ds); diff != "" {
		t.Errorf("BuildPerconaPGClusterSpec(...) changed its argument: -before, +after:\n%s", diff)
	}
	got, err := Manifest(spec)
	if err != nil {
		t.Fatalf("Manifest(...): %v", err)
	}
	if diff := cmp.Diff(parse(t, highlyAvailableYAML), got); diff != "" {
		t.Errorf("Manifest(BuildPerconaPGClusterSpec(...)): -want, +got:\n%s", diff)
	}
	validatorsOf(t).accept(t, spec, got)
}

// TestParts has one part of a spec at a time. Nothing else comes with it.
func TestParts(t *testing.T) {
	repo := func(r v1alpha1.BackupRepo) v1alpha1.PerconaSpec {
		return v1alpha1.PerconaSpec{StorageClassName: new("fast"), Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{r}}}
	}
	volume := v1alpha1.RepoLocation{Volume: &v1alpha1.VolumeLocation{Size: "1Gi"}}
	cases := map[string]struct {
		reason string
		spec   v1alpha1.PerconaSpec
		path   []string
		want   string
	}{
		"PGBouncer": {
			reason: "The pooler has its image, and nothing that nobody asked for.",
			spec:   v1alpha1.PerconaSpec{PGBouncer: v1alpha1.PGBouncerSpec{Enabled: new(true)}, Images: v1alpha1.PerconaImages{PGBouncer: "mirror/bouncer:1"}},
			path:   []string{"proxy"},
			want:   "pgBouncer: {image: 'mirror/bouncer:1', replicas: 1}",
		},
		"Synchronous": {
			reason: "A synchronous cluster without parameters.",
			spec:   v1alpha1.PerconaSpec{Replicas: ptr.To[int32](2), Synchronous: true},
			path:   []string{"patroni"},
			want:   "dynamicConfiguration: {synchronous_mode: true}",
		},
		"Parameters": {
			reason: "Values are sent as they are written.",
			spec:   v1alpha1.PerconaSpec{Parameters: map[string]string{"work_mem": " 64MB", "jit": "on", "log_line_prefix": `%m '"\$(x)`}},
			path:   []string{"patroni"},
			want:   `dynamicConfiguration: {postgresql: {parameters: {work_mem: " 64MB", jit: "on", log_line_prefix: "%m '\"\\$(x)"}}}`,
		},
		"Preferred": {
			reason: "A preference weighs as much as it can.",
			spec:   v1alpha1.PerconaSpec{Scheduling: v1alpha1.SchedulingSpec{AntiAffinity: v1alpha1.AntiAffinityPreferred}},
			path:   []string{"instances", "affinity"},
			want: `
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      topologyKey: kubernetes.io/hostname
      labelSelector: {matchLabels: {postgres-operator.crunchydata.com/cluster: files-postgres, postgres-operator.crunchydata.com/instance-set: instance1}}
`,
		},
		"AntiAffinityIsPostgreSQLs": {
			reason: "Where only PostgreSQL pods are kept apart, nothing is said of the others.",
			spec: v1alpha1.PerconaSpec{
				Scheduling: v1alpha1.SchedulingSpec{AntiAffinity: v1alpha1.AntiAffinityRequired},
				Backup:     v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{{Name: "repo1", RepoLocation: volume}}},
			},
			path: []string{"backups", "pgbackrest"},
			want: `
image: docker.io/percona/percona-pgbackrest:2.58.0-1
global: {repo1-retention-full: "7", repo1-retention-full-type: time}
repos:
- name: repo1
  volume: {volumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
  schedules: {full: 0 2 * * *, incremental: "0 0-1,3-23 * * *"}
`,
		},
		"VolumeRepo": {
			reason: "A volume has no path and no credentials, and the class of the data unless it has its own.",
			spec:   repo(v1alpha1.BackupRepo{Name: "repo3", RepoLocation: volume}),
			path:   []string{"backups", "pgbackrest"},
			want: `
image: docker.io/percona/percona-pgbackrest:2.58.0-1
global: {repo3-retention-full: "7", repo3-retention-full-type: time}
repos:
- name: repo3
  volume: {volumeClaimSpec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}}
  schedules: {full: 30 2 * * *, incremental: "30 0-1,3-23 * * *"}
`,
		},
		"S3Identity": {
			reason: "Without credentials the pods' own identity opens the bucket, which pgBackRest has to be told.",
			spec:   repo(v1alpha1.BackupRepo{Name: "repo2", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}}}),
			path:   []string{"backups", "pgbackrest", "global"},
			want: `
repo2-path: /pgbackrest/team-a/files-0f8fad5b/repo2
repo2-s3-uri-style: path
repo2-s3-key-type: web-id
repo2-storage-verify-tls: "y"
repo2-retention-full: "7"
repo2-retention-full-type: time
`,
		},
		"Pause": {
			reason: "A pause is asked for like anything else.",
			spec:   v1alpha1.PerconaSpec{Pause: true},
			path:   []string{"pause"},
			want:   "true",
		},
		"RestoreFromCluster": {
			reason: "The newest state of another cluster takes no options.",
			spec:   v1alpha1.PerconaSpec{RestoreFrom: &v1alpha1.RestoreSpec{Cluster: &v1alpha1.RestoreCluster{Name: "other-postgres"}}},
			path:   []string{"dataSource"},
			want:   "postgresCluster: {clusterName: other-postgres, repoName: repo1}",
		},
		"RestoreFromClusterAt": {
			reason: "The job that restores runs where the cluster's pods may run.",
			spec: v1alpha1.PerconaSpec{
				Scheduling: v1alpha1.SchedulingSpec{AntiAffinity: v1alpha1.AntiAffinityRequired, PriorityClassName: "databases"},
				RestoreFrom: &v1alpha1.RestoreSpec{
					Cluster: &v1alpha1.RestoreCluster{Name: "other-postgres", Repo: "repo3"}, TargetTime: "2026-05-01T12:00:00Z",
				},
			},
			path: []string{"dataSource"},
			want: `postgresCluster: {clusterName: other-postgres, repoName: repo3, options: ["--type=time", '--target="2026-05-01 12:00:00+00"'], priorityClassName: databases}`,
		},
		"RestoreFromGCS": {
			reason: "A repository that nobody owns any more, with the pods' own identity.",
			spec: v1alpha1.PerconaSpec{RestoreFrom: &v1alpha1.RestoreSpec{Repo: &v1alpha1.RestoreRepo{
				RepoLocation: v1alpha1.RepoLocation{GCS: &v1alpha1.GCSLocation{Bucket: "b"}}, Path: "/pgbackrest/x/repo1",
			}}},
			path: []string{"dataSource"},
			want: `pgbackrest: {stanza: db, repo: {name: repo1, gcs: {bucket: b}}, global: {repo1-path: /pgbackrest/x/repo1, repo1-gcs-key-type: auto}}`,
		},
	}

	minimal := wantedOf(t, server(v1alpha1.PerconaSpec{})).Spec
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec, err := BuildPerconaPGClusterSpec(server(tc.spec))
			if err != nil {
				t.Fatalf("\n%s\nBuildPerconaPGClusterSpec(...): %v", tc.reason, err)
			}
			manifest, err := Manifest(spec)
			if err != nil {
				t.Fatalf("\n%s\nManifest(...): %v", tc.reason, err)
			}
			validatorsOf(t).accept(t, spec, manifest)

			var got any = manifest
			for _, key := range tc.path {
				if items, ok := got.([]any); ok {
					got = items[0]
				}
				got = as[map[string]any](got)[key]
			}
			if diff := cmp.Diff(parse(t, "v: "+indented(tc.want))["v"], got); diff != "" {
				t.Errorf("\n%s\n%v of BuildPerconaPGClusterSpec(...): -want, +got:\n%s", tc.reason, tc.path, diff)
			}
			for key := range manifest {
				if _, always := minimal[key]; !always && key != tc.path[0] {
					t.Errorf("\n%s\n%s comes along: %v", tc.reason, key, manifest[key])
				}
			}
		})
	}
}

// indented is YAML as it goes below a key.
func indented(s string) string {
	if !strings.Contains(s, "\n") && (s == "true" || strings.HasPrefix(s, "{")) {
		return s
	}
	return "\n  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
}
