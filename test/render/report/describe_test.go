package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestDescribe(t *testing.T) {
	cases := map[string]struct {
		reason string
		object string
		want   []string
	}{
		"Nothing": {
			reason: "Of a kind that is not known there is nothing to say.",
			object: `{kind: Lease, spec: {holderIdentity: a}}`,
		},
		"SmallCluster": {
			reason: "What a cluster does not have is not spoken of.",
			object: `
kind: PerconaPGCluster
spec:
  postgresVersion: 16
  image: postgres:16
  instances:
  - {name: instance1, replicas: 1, dataVolumeClaimSpec: {resources: {requests: {storage: 10Gi}}}}
  users:
  - {name: dittofs, databases: [dittofs]}
  backups: {enabled: false, pgbackrest: {image: backrest:2}}`,
			want: []string{
				"PostgreSQL 16, postgres:16",
				"instance1: 1 replicas, 10Gi each",
				`user dittofs of databases ["dittofs"]`,
			},
		},
		"Availability": {
			reason: "A volume for the log, synchronous replicas and a pooler are what one looks for in production.",
			object: `
kind: PerconaPGCluster
spec:
  postgresVersion: 17
  image: postgres:17
  instances:
  - name: instance1
    replicas: 3
    dataVolumeClaimSpec: {resources: {requests: {storage: 50Gi}}}
    walVolumeClaimSpec: {resources: {requests: {storage: 5Gi}}}
  patroni: {dynamicConfiguration: {synchronous_mode: true}}
  proxy: {pgBouncer: {replicas: 2, image: bouncer:1}}`,
			want: []string{
				"PostgreSQL 17, postgres:17",
				"instance1: 3 replicas, 50Gi each, and 5Gi for the write-ahead log",
				"synchronous: each transaction waits for a replica",
				"pooler: 2 replicas, bouncer:1",
			},
		},
		"Repositories": {
			reason: "Each kind of repository is somewhere else, and has the schedules that it has.",
			object: `
kind: PerconaPGCluster
spec:
  postgresVersion: 17
  image: postgres:17
  backups:
    pgbackrest:
      repos:
      - {name: repo1, s3: {bucket: a, endpoint: s3.example.org}, schedules: {full: 0 2 * * *, incremental: 0 3 * * *}}
      - {name: repo2, gcs: {bucket: b}, schedules: {full: 0 4 * * *}}
      - {name: repo3, azure: {container: c}, schedules: {differential: 0 5 * * *}}
      - {name: repo4, volume: {volumeClaimSpec: {resources: {requests: {storage: 9Gi}}}}}
      - {name: repo5}`,
			want: []string{
				"PostgreSQL 17, postgres:17",
				`backups to repo1: bucket a at s3.example.org, full "0 2 * * *", incremental "0 3 * * *"`,
				`backups to repo2: bucket b at Google Cloud Storage, full "0 4 * * *"`,
				`backups to repo3: container c at Azure, differential "0 5 * * *"`,
				"backups to repo4: a volume of 9Gi",
				"backups to repo5: nowhere",
			},
		},
		"FromCluster": {
			reason: "Whose data a cluster starts with, and of which moment.",
			object: `{kind: PerconaPGCluster, spec: {postgresVersion: 17, image: i, dataSource: {postgresCluster: {clusterName: other, repoName: repo1, options: [--type=time]}}}}`,
			want:   []string{"PostgreSQL 17, i", `filled from the backups of cluster other, repo1, with ["--type=time"]`},
		},
		"FromRepository": {
			reason: "A repository is found by its path.",
			object: `{kind: PerconaPGCluster, spec: {postgresVersion: 17, image: i, dataSource: {pgbackrest: {stanza: db, repo: {name: repo2, gcs: {bucket: b}}, global: {repo2-path: /old}}}}}`,
			want:   []string{"PostgreSQL 17, i", "filled from the backups of bucket b at Google Cloud Storage, /old"},
		},
		"Pod": {
			reason: "What a pod reads, and how it is probed.",
			object: `
kind: StatefulSet
spec:
  replicas: 1
  volumeClaimTemplates:
  - {metadata: {name: metadata}, spec: {resources: {requests: {storage: 10Gi}}}}
  template:
    metadata: {annotations: {dittofs.io/database: sqlite}}
    spec:
      initContainers:
      - {name: wait, image: postgres, env: [{name: PGPORT, value: "5432"}]}
      containers:
      - name: dittofs
        image: dfs
        env:
        - {name: KEY, valueFrom: {secretKeyRef: {name: jwt, key: jwt-secret}}}
        volumeMounts:
        - {name: config, mountPath: /config}
        - {name: tls-cert, mountPath: /tls}
        - {name: all, mountPath: /all}
        - {name: theirs, mountPath: /theirs}
        - {name: scratch, mountPath: /scratch}
        - {name: metadata, mountPath: /data}
        startupProbe: {httpGet: {path: /health, port: api, scheme: HTTPS}}
        livenessProbe: {httpGet: {path: /health, port: api}}
        readinessProbe: {tcpSocket: {port: api}}
      volumes:
      - {name: config, configMap: {name: files-config}}
      - {name: tls-cert, secret: {secretName: files-tls, items: [{key: tls.crt, path: a}, {key: tls.key, path: b}]}}
      - {name: all, secret: {secretName: files-all}}
      - {name: theirs, persistentVolumeClaim: {claimName: somebody}}
      - {name: scratch, emptyDir: {}}`,
			want: []string{
				"replicas 1",
				"annotation dittofs.io/database: sqlite",
				"volume metadata: 10Gi",
				"init container wait: postgres",
				"  PGPORT = 5432",
				"container dittofs: dfs",
				"  KEY from Secret jwt, key jwt-secret",
				"  /config from ConfigMap files-config",
				"  /tls from Secret files-tls, keys tls.crt, tls.key",
				"  /all from Secret files-all",
				"  /theirs from PersistentVolumeClaim somebody",
				"  /scratch from volume scratch",
				"  /data from volume metadata",
				"  probes: startup HTTPS /health, liveness HTTP /health, readiness TCP api",
			},
		},
		"ServiceMonitor": {
			reason: "What Prometheus asks for, how often, and with what.",
			object: `
kind: ServiceMonitor
spec:
  endpoints:
  - {port: metrics, path: /metrics, interval: 30s, authorization: {credentials: {name: scraper, key: token}}}
  - {port: other, path: /}`,
			want: []string{
				"scrapes port metrics at /metrics every 30s, with the token from Secret scraper, key token",
				"scrapes port other at /",
			},
		},
		"ConfigMap": {
			reason: "A ConfigMap holds no secrets, and is what the server is told.",
			object: `{kind: ConfigMap, data: {config.yaml: "a: 1\nb:\n  c: 2\n", a.txt: x}}`,
			want:   []string{"a.txt:", "  x", "config.yaml:", "  a: 1", "  b:", "    c: 2"},
		},
		"Secret": {
			reason: "Of a Secret only the keys are told (R19).",
			object: `{kind: Secret, data: {password: c2VjcmV0, plain: "(generated 1)"}}`,
			want:   []string{"password (6 characters), plain (13 characters)"},
		},
		"Service": {
			reason: "Which port leads where.",
			object: `{kind: Service, spec: {type: ClusterIP, ports: [{name: nfs, port: 2049, targetPort: 12049}]}}`,
			want:   []string{"ClusterIP nfs 2049 to 12049"},
		},
		"Headless": {
			reason: "One without an address has no type worth a word.",
			object: `{kind: Service, spec: {clusterIP: None, ports: [{name: api, port: 8080, targetPort: api}]}}`,
			want:   []string{"headless api 8080 to api"},
		},
		"NetworkPolicy": {
			reason: "What is let in.",
			object: `{kind: NetworkPolicy, spec: {ingress: [{ports: [{port: api}, {port: 12049}]}]}}`,
			want:   []string{"admits ports api, 12049"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.object), &o.Object); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, describe(o)); d != "" {
				t.Errorf("%s\ndescribe (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}
