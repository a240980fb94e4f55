package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// minimalSpec is the shortest spec there is.
const minimalSpec = `{storage: {metadataSize: 10Gi}}`

// object returns an object of the validator's kind.
func object(tb testing.TB, v *crdtest.Validator, name, spec string) map[string]any {
	tb.Helper()
	s := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		tb.Fatal(err)
	}
	apiVersion, kind := v.GroupVersionKind().ToAPIVersionAndKind()
	return map[string]any{
		"apiVersion": apiVersion,
		"kind":       kind,
		"metadata":   map[string]any{"name": name},
		"spec":       s,
	}
}

// messages returns an aggregate's errors as an API server prints them, sorted:
// the API server visits maps in random order.
func messages(err error) []string {
	if err == nil {
		return nil
	}
	all, ok := err.(interface{ Errors() []error })
	if !ok {
		return []string{err.Error()}
	}
	out := make([]string, 0, len(all.Errors()))
	for _, e := range all.Errors() {
		out = append(out, e.Error())
	}
	slices.Sort(out)
	return out
}

// goodSpecs are accepted as they are.
var goodSpecs = map[string]struct { //nolint:gochecknoglobals // Shared by two tests, never written.
	reason string
	spec   string
}{
	"Minimal": {
		reason: "Only the size of the metadata's volume has no default.",
		spec:   minimalSpec,
	},
	"Stopped": {
		reason: "No replica stops the server.",
		spec:   `{storage: {metadataSize: 10Gi}, replicas: 0}`,
	},
	"Own": {
		reason: "An image, a path and switches of one's own.",
		spec: `
storage: {metadataSize: 10Gi}
image: mirror.example.org/dittofs@sha256:0123
database: {sqlite: {path: /data/controlplane/db/files.db}}
adapters: {smb: {enabled: false}}
networkPolicy: {enabled: false}`,
	},
	"EveryParentEmpty": {
		reason: "An empty section asks for its defaults.",
		spec: `
storage: {metadataSize: 10Gi}
database: {sqlite: {}}
controlPlane: {}
identity: {jwt: {}, admin: {}, ldap: {}, kerberos: {machineAccount: {}}}
service: {}
adapters: {nfs: {}, smb: {}}
adapterServices: {}
networkPolicy: {from: []}
metrics: {serviceMonitor: {}}
config: {}
pod: {labels: {}, annotations: {}, nodeSelector: {}, tolerations: [], affinity: {}, topologySpreadConstraints: [], imagePullSecrets: [], extraEnv: [], extraVolumes: [], extraVolumeMounts: []}
adapterDiscovery: {}
snapshotPolicies: []
logging: {}
resources: {}
securityContext: {}
podSecurityContext: {}
percona: {images: {}, backup: {repos: []}, pgBouncer: {resources: {}}, resources: {}, scheduling: {}, parameters: {}, overrides: {}}`,
	},
	"EmptyTexts": {
		reason: "A text that is empty counts as not set, as it does in Go.",
		spec: `
storage: {metadataSize: 10Gi, contentSize: ""}
controlPlane: {certSecretName: "", clientCASecretName: ""}
identity: {type: "", admin: {username: ""}, ldap: {url: "", baseDN: "", bindDN: "", userAttr: "", realm: "", caCertFile: ""}, kerberos: {servicePrincipal: "", realm: "", netbiosDomain: "", dnsDomain: "", krb5Conf: "", machineAccount: {accountName: ""}}}
metrics: {serviceMonitor: {interval: ""}}
pod: {priorityClassName: "", serviceAccountName: ""}
percona: {walStorageSize: "", scheduling: {priorityClassName: ""}, backup: {bucket: "", endpoint: "", repos: [{name: repo1, s3: {bucket: a, endpoint: "", region: ""}, fullSchedule: "", incrSchedule: ""}]}}`,
	},
	"Null": {
		reason: "A field that is null counts as not set.",
		spec:   `{storage: {metadataSize: 10Gi}, replicas: null, database: null, adapters: {nfs: {port: null}}}`,
	},
	"Percona": {
		reason: "Percona alone makes the database PostgreSQL, whatever the default type says.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enabled: true}}`,
	},
	"PerconaByType": {
		reason: "So does Percona together with the type.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {type: postgres}, percona: {enabled: true}}`,
	},
	"PerconaInFull": {
		reason: "All that can be said about the cluster.",
		spec: `
storage: {metadataSize: 10Gi, contentSize: 1.5Ti, controlPlaneSize: "2000000000", storageClassName: ""}
percona:
  enabled: true
  deleteWithServer: true
  updatePolicy: Always
  replicas: 3
  storageSize: 100Gi
  storageClassName: fast.ssd
  databaseName: _files_1
  postgresVersion: 18
  crVersion: 2.10.0
  images: {postgres: "mirror.example.org:5000/pg:18.3-1@sha256:0123", pgBackRest: mirror/pgbackrest, pgBouncer: ""}
  sslMode: verify-ca
  backup:
    enabled: true
    bucket: backups
    endpoint: minio.storage.svc:9000
    region: us-east-1
    credentialsSecretRef: {name: s3.credentials}
    fullSchedule: "30 1 * * SUN"
    incrSchedule: "30 1 * * 1-6"
    retentionDays: 30`,
	},
	"PerconaTuned": {
		reason: "The same of the cluster's pods, its settings and what is behind all fields.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  enabled: true
  replicas: 2
  synchronous: true
  pause: true
  walStorageSize: 5Gi
  resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 1Gi}}
  pgBouncer: {enabled: true, replicas: 2, resources: {requests: {cpu: "0.1"}, limits: {cpu: 100m}}}
  scheduling:
    antiAffinity: Required
    nodeSelector: {disk: nvme}
    tolerations: [{key: dedicated, operator: Equal, value: database, effect: NoSchedule}, {operator: Exists}]
    priorityClassName: database
  parameters: {max_connections: "200", wal_level: logical, ssl_groups: X25519, pg_stat_monitor.pgsm_max: "100"}
  overrides: {metadata: {labels: {team: a}}, instances: [{name: instance1, topologySpreadConstraints: []}]}`,
	},
	"Repos": {
		reason: "One repository of each kind.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  enabled: true
  backup:
    enabled: true
    repos:
    - {name: repo1, s3: {bucket: a, endpoint: minio.storage.svc, region: us-east-1}, credentialsSecretRef: {name: s3}, fullSchedule: 0 1 * * *, incrSchedule: 50 * * * *, retentionDays: 14}
    - {name: repo2, gcs: {bucket: a}, credentialsSecretRef: {name: gcs}}
    - {name: repo3, azure: {container: a}, credentialsSecretRef: {name: azure}}
    - {name: repo4, volume: {size: 50Gi, storageClassName: slow}}`,
	},
	"RestoreFromCluster": {
		reason: "The data of a cluster that is there, as it was at a time.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enabled: true, restoreFrom: {cluster: {name: old-postgres, repo: repo2}, targetTime: "2026-05-01T12:00:00.5+02:00"}}}`,
	},
	"RestoreFromRepo": {
		reason: "The data of a cluster that is gone.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  enabled: true
  restoreFrom:
    repo: {name: repo3, path: /pgbackrest/team-a/files-0a1b2c3d/repo3, s3: {bucket: a}, credentialsSecretRef: {name: s3}}`,
	},
	"TLS": {
		reason: "The API over HTTPS, for clients with a certificate.",
		spec:   `{storage: {metadataSize: 10Gi}, controlPlane: {port: 8443, certSecretName: files.tls, clientCASecretName: clients}}`,
	},
	"Directory": {
		reason: "Users of a directory that log in with tickets.",
		spec: `
storage: {metadataSize: 10Gi}
identity:
  ldap:
    enabled: true
    url: ldap://dc.example.org:389/
    startTLS: true
    allowPlaintext: false
    baseDN: DC=example,DC=org
    bindDN: CN=ditto,DC=example,DC=org
    bindPasswordSecretRef: {name: ldap, key: password}
    userAttr: sAMAccountName
    realm: EXAMPLE.ORG
    idmap: rid
    nestedGroups: true
    caSecretRef: {name: directory-ca}
    caCertFile: /etc/ssl/dc.pem
    insecureSkipVerify: true
  kerberos:
    enabled: true
    servicePrincipal: nfs/files.example.org@EXAMPLE.ORG
    realm: EXAMPLE.ORG
    netbiosDomain: EXAMPLE
    dnsDomain: example.org
    keytabSecretRef: {name: krb, key: dittofs.keytab}
    krb5ConfSecretRef: {name: krb, key: krb5.conf}
    krb5Conf: /etc/krb5.conf
    machineAccount:
      enabled: true
      accountName: FILES$
      secretRef: {name: machine, key: password}
      keytabSecretRef: {name: machine, key: keytab}
      dcAddress: [dc1.example.org, "dc2.example.org:445"]`,
	},
	"PlainLDAP": {
		reason: "Whoever says so twice gets it.",
		spec: `
storage: {metadataSize: 10Gi}
identity: {ldap: {enabled: true, url: "ldap://dc", allowPlaintext: true, baseDN: DC=example, bindDN: CN=ditto, bindPasswordSecretRef: {name: ldap, key: password}}}`,
	},
	"Metrics": {
		reason: "Metrics behind a token, scraped by the Prometheus operator.",
		spec: `
storage: {metadataSize: 10Gi}
metrics: {enabled: true, port: 9100, path: /, bearerTokenSecret: {name: metrics, key: token}, serviceMonitor: {enabled: true, interval: 1m30s, labels: {release: prometheus}}}`,
	},
	"MetricsOff": {
		reason: "What is off listens nowhere.",
		spec:   `{storage: {metadataSize: 10Gi}, metrics: {port: 8080}}`,
	},
	"Config": {
		reason: "Settings of the server that have no field, of any shape.",
		spec: `
storage: {metadataSize: 10Gi}
config: {gc: {interval: 1h, workers: 2, enabled: true}, blockstore: {local: {paths: [/a, /b]}}, metadata: null}`,
	},
	"PodInFull": {
		reason: "All that can be said about where the pod runs, and what else is in it.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  labels: {tier: files, example.org/team: ""}
  annotations: {example.org/Note: any text}
  nodeSelector: {kubernetes.io/arch: amd64}
  tolerations: [{key: dedicated, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: cores, operator: Gt, values: ["8"]}]}]
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - {weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: dittofs-server}}}}
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: dittofs-server}}}
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}
  priorityClassName: high
  imagePullSecrets: [{name: mirror}]
  imagePullPolicy: Always
  serviceAccountName: files
  extraEnv:
  - {name: HTTPS_PROXY, value: "http://proxy:3128"}
  - {name: EMPTY}
  - {name: DITTOFS_GC_INTERVAL, value: 1h}
  - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}}
  - {name: KEY, valueFrom: {secretKeyRef: {name: s3, key: key, optional: true}}}
  - {name: SETTING, valueFrom: {configMapKeyRef: {name: settings, key: a}}}
  extraVolumes:
  - {name: settings, configMap: {name: settings, items: [{key: a, path: b/a, mode: 288}], defaultMode: 420}}
  - {name: keys, secret: {secretName: keys, optional: true}}
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
  - {name: shared, persistentVolumeClaim: {claimName: shared, readOnly: true}}
  - {name: vault, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: files}}}
  extraVolumeMounts:
  - {name: settings, mountPath: /etc/settings, readOnly: true}
  - {name: keys, mountPath: /configuration, subPath: a/b..c}
  - {name: scratch, mountPath: /data/scratch, subPathExpr: $(NODE)}
  - {name: scratch, mountPath: /data/store/cache}
  - {name: vault, mountPath: /.vault, mountPropagation: None}`,
	},
	"NextMajorOperator": {
		reason: "An operator of a later major version is newer than 2.9.0.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {crVersion: 10.0.0}}`,
	},
	"External": {
		reason: "A PostgreSQL that exists already, verified.",
		spec: `
storage: {metadataSize: 10Gi}
database: {type: postgres, allowChangeTo: external, postgresSecretRef: {name: db, sslMode: verify-full, caSecretRef: {name: db-ca}}}`,
	},
	"Inert": {
		reason: "What the DittoFS operator's manifest says besides, with no effect here, is no reason to refuse it.",
		spec: `
storage: {metadataSize: 10Gi}
database: {type: postgres, postgresSecretRef: {name: db, key: connection-string}}
controlPlane: {tls: true}
identity: {type: jwt, admin: {username: root}, ldap: {caCertFile: /etc/ssl/dc.pem}}
adapterDiscovery: {pollingInterval: 1m}`,
	},
	"OwnSecrets": {
		reason: "References instead of generated Secrets.",
		spec: `
storage: {metadataSize: 10Gi}
identity:
  jwt: {secretRef: {name: jwt, key: signing_key.v1}, accessTokenDuration: 1h30m, refreshTokenDuration: 0.5h}
  admin: {passwordSecretRef: {name: admin, key: password}}`,
	},
	"Network": {
		reason: "Every kind of peer that a NetworkPolicy knows.",
		spec: `
storage: {metadataSize: 10Gi}
controlPlane: {port: 443}
service: {type: NodePort, annotations: {example.org/a: b}}
adapterServices: {type: LoadBalancer, annotations: {example.org/internal: "true"}}
adapters: {nfs: {enabled: false, port: 2049, servicePort: 2049}, smb: {port: 445}}
networkPolicy:
  from:
  - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
  - ipBlock: {cidr: "2001:db8::/32"}
  - podSelector: {matchLabels: {app: client}}
  - namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}
    podSelector: {}`,
	},
	"SamePortOnServices": {
		reason: "Each adapter has a Service of its own.",
		spec:   `{storage: {metadataSize: 10Gi}, adapters: {nfs: {servicePort: 1000}, smb: {servicePort: 1000}}}`,
	},
	"Pod": {
		reason: "Resources as numbers and strings, and security contexts.",
		spec: `
storage: {metadataSize: 10Gi}
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: "1", memory: 1024Mi, ephemeral-storage: 5Gi}}
securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
podSecurityContext: {fsGroup: 1000, fsGroupChangePolicy: OnRootMismatch, supplementalGroups: [1, 2]}
terminationGracePeriodSeconds: 36
logging: {level: DEBUG, format: text, output: /data/controlplane/server.log}`,
	},
}

func TestGoodSpecs(t *testing.T) {
	vs := validators(t)
	for name, tc := range goodSpecs {
		t.Run(name, func(t *testing.T) {
			for kind, v := range vs {
				if err := v.Validate(object(t, v, "files", tc.spec)); err != nil {
					t.Errorf("\n%s\n%s: %v", tc.reason, kind, err)
				}
			}
		})
	}
}

// Messages that more than one field has.
const (
	badImage        = ` must be the reference of an image, without white space`
	badSecret       = ` must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends`
	badStorageClass = ` must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends`
	badSecretKey    = ` must be a key of a Secret: letters, digits, '-', '_' and '.'`
	badDuration     = ` must be a Go duration greater than zero, like 15m or 168h`
	badSize         = ` must be a quantity greater than zero, like 10Gi`
	badQuantity     = ` must be a quantity that is not negative, like 500m or 2Gi`
	badPort         = ` the server listens on controlPlane.port, adapters.nfs.port and adapters.smb.port at once: choose another port`
	badPath         = ` must be a file below /data/controlplane/, the volume that is kept, with only letters, digits, '.', '_' and '-' in its names and no '.' or '..' among them`
	badDatabaseName = ` must start with a lower case letter or '_', and hold only lower case letters, digits and '_'`
	badCRVersion    = ` must be a version of the Percona operator with three numbers, 2.9.0 or newer`
	badCron         = ` must be a cron expression of five fields, like 0 2 * * *`
	badPeer         = ` a peer is either an ipBlock, or a podSelector and/or a namespaceSelector`
	badMetricsPort  = ` the server listens on controlPlane.port, metrics.port, adapters.nfs.port and adapters.smb.port at once: choose another port`
	badRequest      = ` a request must not be more than its limit`
	badPriority     = ` must be the name of a PriorityClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends`
	badLabels       = ` must be labels: a name is like tier or example.org/tier, a value has up to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends`
	ownLabels       = ` must not change the server's own labels (app, instance, app.kubernetes.io/name, instance, managed-by and component, dittofs.io/...): choose another name`
	ownEnv          = ` this variable belongs to the function and cannot be set here: where a field says the same (in database, controlPlane, identity, metrics, logging or percona), set that field instead, else remove the variable`
	badSource       = ` a value comes from exactly one source: configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef`
	badVolume       = ` a volume has exactly one source: configMap, secret, emptyDir, persistentVolumeClaim or csi`
	ownVolume       = ` is the name of one of the server's own volumes: choose another name`
	badMount        = ` must be an absolute path below /, without ':', '.' and '..', and without '/' at its end`
	ownMount        = ` must not be at, above or below a path where the server has something of its own (/app, /config, /tls, /tls-client-ca, /metrics-token, /kerberos, /kerberos-krb5, /kerberos-machine, /ldap-ca, /postgres-ca, /data/controlplane, /data/store/metadata, /data/store/block): choose another path`
	badSubPath      = ` must be a path inside the volume, without '/' at its beginning and without '..'`
	badPlace        = ` a repository is in exactly one place: s3, gcs, azure or volume`
	badVolumeSize   = ` must be a quantity greater than zero, like 50Gi`
	badOrigin       = ` data comes from one place: set either restoreFrom.cluster or restoreFrom.repo`
	badIPBlock      = ` must be a network like 10.0.0.0/8, and every exception a smaller one inside it`
)

// badSpecs are refused, with messages that name the field and what it takes.
var badSpecs = map[string]struct { //nolint:gochecknoglobals // Shared by two tests, never written.
	reason string
	spec   string
	want   []string
}{
	"Empty": {
		reason: "There is no good default for the size of a volume that is claimed once.",
		spec:   `{}`,
		want:   []string{`spec.storage: Required value`},
	},
	"NoSize": {
		reason: "The same one level below.",
		spec:   `{storage: {}}`,
		want:   []string{`spec.storage.metadataSize: Required value`},
	},
	"Typo": {
		reason: "A field that the schema does not know is said to be unknown.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enable: true}}`,
		want:   []string{`DittoServer does not know the fields spec.percona.enable`},
	},
	"Types": {
		reason: "Words instead of numbers, numbers instead of words.",
		spec:   `{storage: {metadataSize: 10}, replicas: one}`,
		want: []string{
			`spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"`,
			`spec.storage.metadataSize: Invalid value: "integer": spec.storage.metadataSize in body must be of type string: "integer"`,
		},
	},
	"Sizes": {
		reason: "A size that is none.",
		spec:   `{storage: {metadataSize: lots, contentSize: 10 Gi, controlPlaneSize: ""}, percona: {storageSize: 10GB}}`,
		want: []string{
			`spec.percona.storageSize: Invalid value: "10GB":` + badSize,
			`spec.storage.contentSize: Invalid value: "10 Gi": must be a quantity greater than zero, like 100Gi`,
			`spec.storage.controlPlaneSize: Invalid value: "": must be a quantity greater than zero, like 1Gi`,
			`spec.storage.metadataSize: Invalid value: "lots":` + badSize,
		},
	},
	"EmptySizes": {
		reason: "A volume of no or negative size.",
		spec:   `{storage: {metadataSize: "0", contentSize: -1Gi, controlPlaneSize: 0Gi}, percona: {storageSize: "0"}}`,
		want: []string{
			`spec.percona.storageSize: Invalid value: "0":` + badSize,
			`spec.storage.contentSize: Invalid value: "-1Gi": must be a quantity greater than zero, like 100Gi`,
			`spec.storage.controlPlaneSize: Invalid value: "0Gi": must be a quantity greater than zero, like 1Gi`,
			`spec.storage.metadataSize: Invalid value: "0":` + badSize,
		},
	},
	"StorageClasses": {
		reason: "Names that no StorageClass can have.",
		spec:   `{storage: {metadataSize: 10Gi, storageClassName: Fast}, percona: {storageClassName: fast-}}`,
		want: []string{
			`spec.percona.storageClassName: Invalid value: "fast-":` + badStorageClass,
			`spec.storage.storageClassName: Invalid value: "Fast":` + badStorageClass,
		},
	},
	"TwoReplicas": {
		reason: "DittoFS is single-writer (R14).",
		spec:   `{storage: {metadataSize: 10Gi}, replicas: 2}`,
		want:   []string{`spec.replicas: Invalid value: 2: spec.replicas in body should be less than or equal to 1`},
	},
	"Images": {
		reason: "References with white space, and an empty one where it would mean nothing.",
		spec:   `{storage: {metadataSize: 10Gi}, image: "", percona: {images: {postgres: "a b", pgBackRest: " a", pgBouncer: "a\n"}}}`,
		want: []string{
			`spec.image: Invalid value: "":` + badImage,
			`spec.percona.images.pgBackRest: Invalid value: " a":` + badImage,
			`spec.percona.images.pgBouncer: Invalid value: "a\n":` + badImage,
			`spec.percona.images.postgres: Invalid value: "a b":` + badImage,
		},
	},
	"PostgresWithoutDatabase": {
		reason: "PostgreSQL has to come from somewhere.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {type: postgres}}`,
		want:   []string{`spec.database.postgresSecretRef: Required value: database.type postgres needs a database: set database.postgresSecretRef, or percona.enabled: true`},
	},
	"TwoDatabases": {
		reason: "It would be a guess which one is meant.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {type: postgres, postgresSecretRef: {name: db}}, percona: {enabled: true}}`,
		want:   []string{`spec.database.postgresSecretRef: Forbidden: a server has one database: set either database.postgresSecretRef or percona.enabled, not both`},
	},
	"DatabaseKinds": {
		reason: "Databases that DittoFS does not know.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {type: mysql, allowChangeTo: postgres}}`,
		want: []string{
			`spec.database.allowChangeTo: Unsupported value: "postgres": supported values: "sqlite", "external", "percona"`,
			`spec.database.type: Unsupported value: "mysql": supported values: "sqlite", "postgres"`,
		},
	},
	"VerifyWithoutCA": {
		reason: "A certificate is verified against an authority.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {type: postgres, postgresSecretRef: {name: db, sslMode: verify-ca}}}`,
		want:   []string{`spec.database.postgresSecretRef.caSecretRef: Required value: sslMode verify-ca and verify-full check the server's certificate: set caSecretRef to a Secret with the key ca.crt`},
	},
	"SSLModes": {
		reason: "A mode that libpq does not know, and one that Percona's servers refuse.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {postgresSecretRef: {name: db, sslMode: verify}}, percona: {sslMode: prefer}}`,
		want: []string{
			`spec.database.postgresSecretRef.sslMode: Unsupported value: "verify": supported values: "disable", "allow", "prefer", "require", "verify-ca", "verify-full"`,
			`spec.percona.sslMode: Unsupported value: "prefer": supported values: "require", "verify-ca", "verify-full"`,
		},
	},
	"SecretNames": {
		reason: "Names and keys that no Secret can have.",
		spec: `
storage: {metadataSize: 10Gi}
database: {type: postgres, postgresSecretRef: {name: DB, caSecretRef: {name: ""}}}
identity: {jwt: {secretRef: {name: a b, key: a/b}}, admin: {passwordSecretRef: {name: a..b, key: ""}}}
percona: {backup: {credentialsSecretRef: {name: -a}}}`,
		want: []string{
			`spec.database.postgresSecretRef.caSecretRef.name: Invalid value: "":` + badSecret,
			`spec.database.postgresSecretRef.name: Invalid value: "DB":` + badSecret,
			`spec.identity.admin.passwordSecretRef.key: Invalid value: "":` + badSecretKey,
			`spec.identity.admin.passwordSecretRef.name: Invalid value: "a..b":` + badSecret,
			`spec.identity.jwt.secretRef.key: Invalid value: "a/b":` + badSecretKey,
			`spec.identity.jwt.secretRef.name: Invalid value: "a b":` + badSecret,
			`spec.percona.backup.credentialsSecretRef.name: Invalid value: "-a":` + badSecret,
		},
	},
	"SecretWithoutKey": {
		reason: "A reference names both.",
		spec:   `{storage: {metadataSize: 10Gi}, identity: {jwt: {secretRef: {name: a}}, admin: {passwordSecretRef: {key: a}}}}`,
		want: []string{
			`spec.identity.admin.passwordSecretRef.name: Required value`,
			`spec.identity.jwt.secretRef.key: Required value`,
		},
	},
	"PathOutside": {
		reason: "Only this volume is kept.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {sqlite: {path: /tmp/controlplane.db}}}`,
		want:   []string{`spec.database.sqlite.path: Invalid value: "/tmp/controlplane.db":` + badPath},
	},
	"PathUp": {
		reason: "A path may not leave it by a detour.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {sqlite: {path: /data/controlplane/../a.db}}}`,
		want:   []string{`spec.database.sqlite.path: Invalid value: "/data/controlplane/../a.db":` + badPath},
	},
	"PathDot": {
		reason: "The volume itself is no file.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {sqlite: {path: /data/controlplane/.}}}`,
		want:   []string{`spec.database.sqlite.path: Invalid value: "/data/controlplane/.":` + badPath},
	},
	"PathFolder": {
		reason: "Nor is a folder.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {sqlite: {path: /data/controlplane/a/}}}`,
		want:   []string{`spec.database.sqlite.path: Invalid value: "/data/controlplane/a/":` + badPath},
	},
	"PortRange": {
		reason: "Ports have 16 bits, and 0 is none.",
		spec:   `{storage: {metadataSize: 10Gi}, controlPlane: {port: 0}, adapters: {nfs: {port: 65536, servicePort: 0}}}`,
		want: []string{
			`spec.adapters.nfs.port: Invalid value: 65536: spec.adapters.nfs.port in body should be less than or equal to 65535`,
			`spec.adapters.nfs.servicePort: Invalid value: 0: spec.adapters.nfs.servicePort in body should be greater than or equal to 1`,
			`spec.controlPlane.port: Invalid value: 0: spec.controlPlane.port in body should be greater than or equal to 1`,
		},
	},
	"PortOfAPI": {
		reason: "NFS by default listens where the API is asked to.",
		spec:   `{storage: {metadataSize: 10Gi}, controlPlane: {port: 12049}}`,
		want:   []string{`spec.adapters.nfs.port: Invalid value:` + badPort},
	},
	"PortOfSMB": {
		reason: "The same of SMB.",
		spec:   `{storage: {metadataSize: 10Gi}, adapters: {smb: {port: 8080}}}`,
		want:   []string{`spec.adapters.smb.port: Invalid value:` + badPort},
	},
	"PortOfAdapters": {
		reason: "Nor do the adapters share a port, one of them switched off or not: the server listens all the same.",
		spec:   `{storage: {metadataSize: 10Gi}, adapters: {nfs: {port: 4000, enabled: false}, smb: {port: 4000}}}`,
		want:   []string{`spec.adapters.smb.port: Invalid value:` + badPort},
	},
	"Durations": {
		reason: "A day is no unit of Go's, and a token that is never valid is no use.",
		spec:   `{storage: {metadataSize: 10Gi}, identity: {jwt: {accessTokenDuration: 0s, refreshTokenDuration: 7d}}}`,
		want: []string{
			`spec.identity.jwt.accessTokenDuration: Invalid value: "0s":` + badDuration,
			`spec.identity.jwt.refreshTokenDuration: Invalid value: "7d":` + badDuration,
		},
	},
	"DurationWithoutUnit": {
		reason: "Nor is a number without unit a duration.",
		spec:   `{storage: {metadataSize: 10Gi}, identity: {jwt: {accessTokenDuration: "900", refreshTokenDuration: -1h}}}`,
		want: []string{
			`spec.identity.jwt.accessTokenDuration: Invalid value: "900":` + badDuration,
			`spec.identity.jwt.refreshTokenDuration: Invalid value: "-1h":` + badDuration,
		},
	},
	"ServiceTypes": {
		reason: "A Service that leads elsewhere does not lead to the server.",
		spec:   `{storage: {metadataSize: 10Gi}, service: {type: ExternalName}, adapterServices: {type: Headless}}`,
		want: []string{
			`spec.adapterServices.type: Unsupported value: "Headless": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
			`spec.service.type: Unsupported value: "ExternalName": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
		},
	},
	"Peers": {
		reason: "What the API server would refuse of the NetworkPolicy, on every reconcile.",
		spec: `
storage: {metadataSize: 10Gi}
networkPolicy:
  from:
  - {}
  - {ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}
  - {ipBlock: {cidr: 10.0.0.1}}
  - {ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}
  - {ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}
  - {ipBlock: {cidr: 10.0.0.0/8, except: [localhost]}}`,
		want: []string{
			`spec.networkPolicy.from[0]: Invalid value:` + badPeer,
			`spec.networkPolicy.from[1]: Invalid value:` + badPeer,
			`spec.networkPolicy.from[2].ipBlock: Invalid value:` + badIPBlock,
			`spec.networkPolicy.from[3].ipBlock: Invalid value:` + badIPBlock,
			`spec.networkPolicy.from[4].ipBlock: Invalid value:` + badIPBlock,
			`spec.networkPolicy.from[5].ipBlock: Invalid value:` + badIPBlock,
		},
	},
	"Selectors": {
		reason: "The same one level below.",
		spec:   `{storage: {metadataSize: 10Gi}, networkPolicy: {from: [{podSelector: {matchExpressions: [{key: a, operator: Is}]}}]}}`,
		want:   []string{`spec.networkPolicy.from[0].podSelector.matchExpressions[0].operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
	},
	"Logging": {
		reason: "Levels are in capitals, formats are not.",
		spec:   `{storage: {metadataSize: 10Gi}, logging: {level: info, format: JSON}}`,
		want: []string{
			`spec.logging.format: Unsupported value: "JSON": supported values: "text", "json"`,
			`spec.logging.level: Unsupported value: "info": supported values: "DEBUG", "INFO", "WARN", "ERROR"`,
		},
	},
	"Resources": {
		reason: "What the API server would refuse of the pod.",
		spec:   `{storage: {metadataSize: 10Gi}, resources: {requests: {cpu: -1, memory: lots}, limits: {memory: 1GB}}}`,
		want: []string{
			`spec.resources.limits[memory]: Invalid value: "1GB":` + badQuantity,
			`spec.resources.requests[cpu]: Invalid value: -1:` + badQuantity,
			`spec.resources.requests[memory]: Invalid value: "lots":` + badQuantity,
		},
	},
	"RequestOverLimit": {
		reason: "The same of a request above its limit.",
		spec:   `{storage: {metadataSize: 10Gi}, resources: {requests: {cpu: 1100m}, limits: {cpu: 1}}}`,
		want:   []string{`spec.resources: Invalid value: a request must not be more than its limit`},
	},
	"SecurityContexts": {
		reason: "The same of values that it does not know.",
		spec: `
storage: {metadataSize: 10Gi}
securityContext: {seccompProfile: {type: Default}, procMount: none}
podSecurityContext: {appArmorProfile: {type: default}, fsGroupChangePolicy: Never, supplementalGroupsPolicy: Keep, seLinuxChangePolicy: Never}`,
		want: []string{
			`spec.podSecurityContext.appArmorProfile.type: Unsupported value: "default": supported values: "Localhost", "RuntimeDefault", "Unconfined"`,
			`spec.podSecurityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "OnRootMismatch", "Always"`,
			`spec.podSecurityContext.seLinuxChangePolicy: Unsupported value: "Never": supported values: "Recursive", "MountOption"`,
			`spec.podSecurityContext.supplementalGroupsPolicy: Unsupported value: "Keep": supported values: "Merge", "Strict"`,
			`spec.securityContext.procMount: Unsupported value: "none": supported values: "Default"`,
			`spec.securityContext.seccompProfile.type: Unsupported value: "Default": supported values: "Localhost", "RuntimeDefault", "Unconfined"`,
		},
	},
	"GracePeriod": {
		reason: "A stopping server needs 36 seconds at the least.",
		spec:   `{storage: {metadataSize: 10Gi}, terminationGracePeriodSeconds: 30}`,
		want:   []string{`spec.terminationGracePeriodSeconds: Invalid value: 30: spec.terminationGracePeriodSeconds in body should be greater than or equal to 36`},
	},
	"PerconaRanges": {
		reason: "What is out of range.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {replicas: 6, postgresVersion: 13, updatePolicy: Never, backup: {retentionDays: 0}}}`,
		want: []string{
			`spec.percona.backup.retentionDays: Invalid value: 0: spec.percona.backup.retentionDays in body should be greater than or equal to 1`,
			`spec.percona.postgresVersion: Invalid value: 13: spec.percona.postgresVersion in body should be greater than or equal to 14`,
			`spec.percona.replicas: Invalid value: 6: spec.percona.replicas in body should be less than or equal to 5`,
			`spec.percona.updatePolicy: Unsupported value: "Never": supported values: "OnCreate", "Always"`,
		},
	},
	"PerconaNames": {
		reason: "Names that would have to be quoted in SQL, and an operator that forces pgBouncer on.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {databaseName: Files, crVersion: 2.8.2}}`,
		want: []string{
			`spec.percona.crVersion: Invalid value: "2.8.2":` + badCRVersion,
			`spec.percona.databaseName: Invalid value: "Files":` + badDatabaseName,
		},
	},
	"ShortOperatorVersion": {
		reason: "The operator reads three numbers.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {databaseName: 1files, crVersion: "2.9"}}`,
		want: []string{
			`spec.percona.crVersion: Invalid value: "2.9":` + badCRVersion,
			`spec.percona.databaseName: Invalid value: "1files":` + badDatabaseName,
		},
	},
	"LongDatabaseName": {
		reason: "PostgreSQL would cut it off.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {databaseName: ` + strings.Repeat("a", 64) + `}}`,
		want:   []string{`spec.percona.databaseName: Too long: may not be more than 63 bytes`},
	},
	"BackupWithoutBucket": {
		reason: "Backups have to go somewhere.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enabled: true, backup: {enabled: true}}}`,
		want:   []string{`spec.percona.backup.bucket: Required value: backups need somewhere to go: set percona.backup.bucket, or percona.backup.repos`},
	},
	"BackupWithEmptyBucket": {
		reason: "An empty name is no bucket.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enabled: true, backup: {enabled: true, bucket: ""}}}`,
		want:   []string{`spec.percona.backup.bucket: Required value: backups need somewhere to go: set percona.backup.bucket, or percona.backup.repos`},
	},
	"Schedules": {
		reason: "Four fields, and a word.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {backup: {fullSchedule: 0 2 * *, incrSchedule: "@daily"}}}`,
		want: []string{
			`spec.percona.backup.fullSchedule: Invalid value: "0 2 * *":` + badCron,
			`spec.percona.backup.incrSchedule: Invalid value: "@daily":` + badCron,
		},
	},
	"PostgresSecretOfSQLite": {
		reason: "A reference that nothing follows would be a server on another database than its owner believes.",
		spec:   `{storage: {metadataSize: 10Gi}, database: {postgresSecretRef: {name: db}}}`,
		want:   []string{`spec.database.type: Invalid value: database.postgresSecretRef is used with database.type: postgres only: set that, or remove the reference`},
	},
	"MetricsPort": {
		reason: "The API by default listens where metrics are asked for.",
		spec:   `{storage: {metadataSize: 10Gi}, metrics: {enabled: true, port: 8080}}`,
		want:   []string{`spec.metrics.port: Invalid value:` + badMetricsPort},
	},
	"MetricsPortOfAdapter": {
		reason: "Nor do metrics share a port with an adapter, switched off or not.",
		spec:   `{storage: {metadataSize: 10Gi}, metrics: {enabled: true, port: 445}, adapters: {smb: {enabled: false, port: 445}}}`,
		want:   []string{`spec.metrics.port: Invalid value:` + badMetricsPort},
	},
	"Metrics": {
		reason: "A path that is none, a time without unit, and a Secret that cannot be.",
		spec: `
storage: {metadataSize: 10Gi}
metrics: {path: "metrics?all", bearerTokenSecret: {name: Token, key: a/b}, serviceMonitor: {interval: "30"}}`,
		want: []string{
			`spec.metrics.bearerTokenSecret.key: Invalid value: "a/b":` + badSecretKey,
			`spec.metrics.bearerTokenSecret.name: Invalid value: "Token":` + badSecret,
			`spec.metrics.path: Invalid value: "metrics?all": must be the path of a URL, like /metrics`,
			`spec.metrics.serviceMonitor.interval: Invalid value: "30": must be a Prometheus duration, like 30s or 1m30s`,
		},
	},
	"SnapshotPolicies": {
		reason: "The server takes them over its REST API only, whatever is in them.",
		spec: `
storage: {metadataSize: 10Gi}
snapshotPolicies:
- {shareName: files, interval: 1h, keepLast: 24, enabled: true}
- {anything: {at: [all, {}, 1]}}`,
		want: []string{`spec.snapshotPolicies: Forbidden: not supported: the server takes snapshot policies over its REST API only, PUT /api/v1/shares/{name}/snapshot-policy; remove the field`},
	},
	"ClientCAWithoutCertificate": {
		reason: "Without TLS nobody is asked for a certificate.",
		spec:   `{storage: {metadataSize: 10Gi}, controlPlane: {clientCASecretName: clients}}`,
		want:   []string{`spec.controlPlane.certSecretName: Required value: client certificates are only asked for over TLS: set controlPlane.certSecretName as well`},
	},
	"TLSSecrets": {
		reason: "Names that no Secret can have.",
		spec:   `{storage: {metadataSize: 10Gi}, controlPlane: {certSecretName: TLS, clientCASecretName: -clients}}`,
		want: []string{
			`spec.controlPlane.certSecretName: Invalid value: "TLS":` + badSecret,
			`spec.controlPlane.clientCASecretName: Invalid value: "-clients":` + badSecret,
		},
	},
	"EmptyLDAP": {
		reason: "The server would not start without any of them.",
		spec:   `{storage: {metadataSize: 10Gi}, identity: {ldap: {enabled: true}}}`,
		want: []string{
			`spec.identity.ldap.baseDN: Required value: LDAP needs the entry that searches start at: set identity.ldap.baseDN, like DC=example,DC=org`,
			`spec.identity.ldap.bindDN: Required value: LDAP needs an account to search with: set identity.ldap.bindDN`,
			`spec.identity.ldap.bindPasswordSecretRef: Required value: LDAP needs the password of bindDN: set identity.ldap.bindPasswordSecretRef; the server does not start without`,
			`spec.identity.ldap.url: Required value: LDAP needs the URL of a directory: set identity.ldap.url, like ldaps://dc.example.org:636`,
		},
	},
	"BlankLDAP": {
		reason: "Nor with blanks.",
		spec: `
storage: {metadataSize: 10Gi}
identity: {ldap: {enabled: true, url: "ldaps://dc", baseDN: " ", bindDN: " ", bindPasswordSecretRef: {name: ldap, key: password}}}`,
		want: []string{
			`spec.identity.ldap.baseDN: Required value: LDAP needs the entry that searches start at: set identity.ldap.baseDN, like DC=example,DC=org`,
			`spec.identity.ldap.bindDN: Required value: LDAP needs an account to search with: set identity.ldap.bindDN`,
		},
	},
	"LDAPInClear": {
		reason: "The server does not send a password in clear text unless it is told to.",
		spec: `
storage: {metadataSize: 10Gi}
identity: {ldap: {enabled: true, url: "ldap://dc:389", baseDN: DC=example, bindDN: CN=ditto, bindPasswordSecretRef: {name: ldap, key: password}}}`,
		want: []string{`spec.identity.ldap.url: Invalid value: ldap:// sends the bind password in clear text: use ldaps://, or set startTLS or, if you must, allowPlaintext`},
	},
	"LDAP": {
		reason: "Values that the server does not take, in a directory that is switched off.",
		spec: `
storage: {metadataSize: 10Gi}
identity: {ldap: {url: "https://dc", userAttr: 1st, bindPasswordSecretRef: {name: L, key: ""}, caSecretRef: {name: ""}}}`,
		want: []string{
			`spec.identity.ldap.bindPasswordSecretRef.key: Invalid value: "":` + badSecretKey,
			`spec.identity.ldap.bindPasswordSecretRef.name: Invalid value: "L":` + badSecret,
			`spec.identity.ldap.caSecretRef.name: Invalid value: "":` + badSecret,
			`spec.identity.ldap.url: Invalid value: "https://dc": must be the URL of a directory, like ldaps://dc.example.org:636`,
			`spec.identity.ldap.userAttr: Invalid value: "1st": must be the name of an attribute: letters, digits and '-', beginning with a letter`,
		},
	},
	"EmptyKerberos": {
		reason: "A service has a name and a key.",
		spec:   `{storage: {metadataSize: 10Gi}, identity: {kerberos: {enabled: true}}}`,
		want: []string{
			`spec.identity.kerberos.keytabSecretRef: Required value: Kerberos needs the keytab of the server's principal: set identity.kerberos.keytabSecretRef`,
			`spec.identity.kerberos.servicePrincipal: Required value: Kerberos needs the server's own principal: set identity.kerberos.servicePrincipal, like nfs/files.example.org@EXAMPLE.ORG`,
		},
	},
	"Kerberos": {
		reason: "Values that mean nothing to Kerberos, switched off or not.",
		spec: `
storage: {metadataSize: 10Gi}
identity:
  kerberos:
    realm: files@EXAMPLE.ORG
    netbiosDomain: EXAMPLE.ORG
    dnsDomain: example org
    krb5Conf: etc/krb5.conf
    keytabSecretRef: {name: K, key: a/b}
    krb5ConfSecretRef: {name: K, key: a/b}
    machineAccount: {secretRef: {name: K, key: a/b}, keytabSecretRef: {name: K, key: a/b}}`,
		want: []string{
			`spec.identity.kerberos.dnsDomain: Invalid value: "example org": must be a DNS name, like example.org, without '@', '/' and spaces`,
			`spec.identity.kerberos.keytabSecretRef.key: Invalid value: "a/b":` + badSecretKey,
			`spec.identity.kerberos.keytabSecretRef.name: Invalid value: "K":` + badSecret,
			`spec.identity.kerberos.krb5Conf: Invalid value: "etc/krb5.conf": must be an absolute path`,
			`spec.identity.kerberos.krb5ConfSecretRef.key: Invalid value: "a/b":` + badSecretKey,
			`spec.identity.kerberos.krb5ConfSecretRef.name: Invalid value: "K":` + badSecret,
			`spec.identity.kerberos.machineAccount.keytabSecretRef.key: Invalid value: "a/b":` + badSecretKey,
			`spec.identity.kerberos.machineAccount.keytabSecretRef.name: Invalid value: "K":` + badSecret,
			`spec.identity.kerberos.machineAccount.secretRef.key: Invalid value: "a/b":` + badSecretKey,
			`spec.identity.kerberos.machineAccount.secretRef.name: Invalid value: "K":` + badSecret,
			`spec.identity.kerberos.netbiosDomain: Invalid value: "EXAMPLE.ORG": must be the short name of a domain, like EXAMPLE, without '.', '@', '/' and spaces`,
			`spec.identity.kerberos.realm: Invalid value: "files@EXAMPLE.ORG": must be a realm, like EXAMPLE.ORG, without '@', '/' and spaces`,
		},
	},
	"EmptyMachineAccount": {
		reason: "An account has a name and a credential.",
		spec: `
storage: {metadataSize: 10Gi}
identity:
  kerberos: {enabled: true, servicePrincipal: "nfs/files@EXAMPLE", keytabSecretRef: {name: krb, key: keytab}, machineAccount: {enabled: true}}`,
		want: []string{
			`spec.identity.kerberos.machineAccount.accountName: Required value: a machine account has a name: set identity.kerberos.machineAccount.accountName, like FILES$`,
			`spec.identity.kerberos.machineAccount.secretRef: Required value: a machine account needs its password or its keytab: set secretRef or keytabSecretRef`,
		},
	},
	"MachineAccountAlone": {
		reason: "The server reads it with Kerberos only.",
		spec: `
storage: {metadataSize: 10Gi}
identity: {kerberos: {machineAccount: {enabled: true, accountName: FILES$, secretRef: {name: machine, key: password}}}}`,
		want: []string{`spec.identity.kerberos.machineAccount.enabled: Invalid value: the machine account is part of Kerberos: set identity.kerberos.enabled: true, or switch the machine account off`},
	},
	"PodNames": {
		reason: "Names that no such object can have.",
		spec: `
storage: {metadataSize: 10Gi}
pod: {priorityClassName: High, serviceAccountName: files_, imagePullSecrets: [{name: Mirror}]}
percona: {scheduling: {priorityClassName: High}}`,
		want: []string{
			`spec.percona.scheduling.priorityClassName: Invalid value: "High":` + badPriority,
			`spec.pod.imagePullSecrets[0].name: Invalid value: "Mirror":` + badSecret,
			`spec.pod.priorityClassName: Invalid value: "High":` + badPriority,
			`spec.pod.serviceAccountName: Invalid value: "files_": must be the name of a ServiceAccount: lower case letters, digits, '-' and '.', and a letter or digit at both ends`,
		},
	},
	"PodLabels": {
		reason: "What is no label, and what is no annotation.",
		spec: `
storage: {metadataSize: 10Gi}
pod: {labels: {tier: a b}, annotations: {/note: x}}`,
		want: []string{
			`spec.pod.annotations: Invalid value: must be annotations: a name is like note or example.org/note`,
			`spec.pod.labels: Invalid value:` + badLabels,
		},
	},
	"PodLabelNames": {
		reason: "The same of a label's name.",
		spec:   `{storage: {metadataSize: 10Gi}, pod: {labels: {Example.org/tier: a}}}`,
		want:   []string{`spec.pod.labels: Invalid value:` + badLabels},
	},
	"OwnPodLabels": {
		reason: "The StatefulSet finds its pods by these.",
		spec: `
storage: {metadataSize: 10Gi}
pod: {labels: {app: mine}, annotations: {dittofs.io/config-hash: "0"}}`,
		want: []string{
			`spec.pod.annotations: Forbidden: must not change the server's own annotations (dittofs.io/...): choose another name`,
			`spec.pod.labels: Forbidden:` + ownLabels,
		},
	},
	"LabelsOfTheServer": {
		reason: "The same of a whole prefix.",
		spec:   `{storage: {metadataSize: 10Gi}, pod: {labels: {dittofs.io/server: other}}}`,
		want:   []string{`spec.pod.labels: Forbidden:` + ownLabels},
	},
	"Words": {
		reason: "Words that Kubernetes and the server do not know.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  tolerations: [{key: a, operator: Like, effect: NoStart}]
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Never, nodeTaintsPolicy: Skip, nodeAffinityPolicy: Skip}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Like}], matchFields: [{key: metadata.name, operator: Like}]}]
  imagePullPolicy: Sometimes
  extraVolumes: [{name: disk, emptyDir: {medium: Disk}}]
  extraVolumeMounts: [{name: disk, mountPath: /disk, mountPropagation: Both, recursiveReadOnly: Never}]
identity: {ldap: {idmap: sid}}
percona: {scheduling: {antiAffinity: Always, tolerations: [{operator: Like}]}}`,
		want: []string{
			`spec.identity.ldap.idmap: Unsupported value: "sid": supported values: "rfc2307", "rid"`,
			`spec.percona.scheduling.antiAffinity: Unsupported value: "Always": supported values: "Preferred", "Required"`,
			`spec.percona.scheduling.tolerations[0].operator: Unsupported value: "Like": supported values: "Equal", "Exists"`,
			`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: "Like": supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"`,
			`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator: Unsupported value: "Like": supported values: "In", "NotIn"`,
			`spec.pod.extraVolumeMounts[0].mountPropagation: Unsupported value: "Both": supported values: "None", "HostToContainer", "Bidirectional"`,
			`spec.pod.extraVolumeMounts[0].recursiveReadOnly: Unsupported value: "Never": supported values: "Disabled", "IfPossible", "Enabled"`,
			`spec.pod.extraVolumes[0].emptyDir.medium: Unsupported value: "Disk": supported values: "", "Memory", "HugePages"`,
			`spec.pod.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`,
			`spec.pod.tolerations[0].effect: Unsupported value: "NoStart": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
			`spec.pod.tolerations[0].operator: Unsupported value: "Like": supported values: "Equal", "Exists"`,
			`spec.pod.topologySpreadConstraints[0].nodeAffinityPolicy: Unsupported value: "Skip": supported values: "Honor", "Ignore"`,
			`spec.pod.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "Skip": supported values: "Honor", "Ignore"`,
			`spec.pod.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway"`,
		},
	},
	"ExtraEnv": {
		reason: "Variables that another field sets, that have no or two values, and that no variable can be called.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  extraEnv:
  - {name: DATABASE_URL, value: x}
  - {name: DITTOFS_DATABASE_TYPE, value: sqlite}
  - {name: DITTOFS_CONTROLPLANE_SECRET, value: x}
  - {name: 1ST, value: x}
  - {name: BOTH, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  - {name: NONE, valueFrom: {}}
  - {name: TWO, valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}
  - {name: DIVIDED, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: -1}}}`,
		want: []string{
			`spec.pod.extraEnv[0].name: Forbidden:` + ownEnv,
			`spec.pod.extraEnv[1].name: Forbidden:` + ownEnv,
			`spec.pod.extraEnv[2].name: Forbidden:` + ownEnv,
			`spec.pod.extraEnv[3].name: Invalid value: must hold only letters, digits, '_', '-' and '.', and not start with a digit`,
			`spec.pod.extraEnv[4].value: Forbidden: a variable has one value: set either value or valueFrom, not both`,
			`spec.pod.extraEnv[5].valueFrom: Invalid value:` + badSource,
			`spec.pod.extraEnv[6].valueFrom: Invalid value:` + badSource,
			`spec.pod.extraEnv[7].valueFrom.resourceFieldRef.divisor: Invalid value: -1:` + badQuantity,
		},
	},
	"EnvFromFile": {
		reason: "No container of the pod could write the file.",
		spec:   `{storage: {metadataSize: 10Gi}, pod: {extraEnv: [{name: A, valueFrom: {fileKeyRef: {volumeName: a, path: b, key: c}}}]}}`,
		want:   []string{`DittoServer does not know the fields spec.pod.extraEnv[0].valueFrom.fileKeyRef`},
	},
	"ExtraVolumes": {
		reason: "Volumes of no or two sources, with names that are no names or the server's own.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  extraVolumes:
  - {name: none}
  - {name: two, emptyDir: {}, configMap: {name: a}}
  - {name: config, configMap: {name: a}}
  - {name: metadata, emptyDir: {}}
  - {name: Upper, emptyDir: {sizeLimit: -1Gi}}`,
		want: []string{
			`spec.pod.extraVolumes[0]: Invalid value:` + badVolume,
			`spec.pod.extraVolumes[1]: Invalid value:` + badVolume,
			`spec.pod.extraVolumes[2].name: Forbidden:` + ownVolume,
			`spec.pod.extraVolumes[3].name: Forbidden:` + ownVolume,
			`spec.pod.extraVolumes[4].emptyDir.sizeLimit: Invalid value: "-1Gi":` + badQuantity,
			`spec.pod.extraVolumes[4].name: Invalid value: "Upper": must hold only lower case letters, digits and '-', with a letter or digit at both ends`,
		},
	},
	"ExtraVolumeSources": {
		reason: "Only these sources cannot reach into the node.",
		spec:   `{storage: {metadataSize: 10Gi}, pod: {extraVolumes: [{name: host, hostPath: {path: /}}]}}`,
		want:   []string{`DittoServer does not know the fields spec.pod.extraVolumes[0].hostPath`},
	},
	"ExtraVolumeMounts": {
		reason: "Mounts that are nowhere, at the server's own places, and in two places of the volume.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  extraVolumes: [{name: extra, emptyDir: {}}]
  extraVolumeMounts:
  - {name: extra, mountPath: relative}
  - {name: extra, mountPath: /}
  - {name: extra, mountPath: /a/}
  - {name: extra, mountPath: /a/../b}
  - {name: extra, mountPath: "/a:b"}
  - {name: extra, mountPath: /config}
  - {name: extra, mountPath: /data}
  - {name: extra, mountPath: /data/store/block/a}
  - {name: extra, mountPath: /b, subPath: a/../.., subPathExpr: $(POD)}
  - {name: extra, mountPath: /c, subPath: /a}`,
		want: []string{
			`spec.pod.extraVolumeMounts[0].mountPath: Invalid value:` + badMount,
			`spec.pod.extraVolumeMounts[1].mountPath: Invalid value:` + badMount,
			`spec.pod.extraVolumeMounts[2].mountPath: Invalid value:` + badMount,
			`spec.pod.extraVolumeMounts[3].mountPath: Invalid value:` + badMount,
			`spec.pod.extraVolumeMounts[4].mountPath: Invalid value:` + badMount,
			`spec.pod.extraVolumeMounts[5].mountPath: Forbidden:` + ownMount,
			`spec.pod.extraVolumeMounts[6].mountPath: Forbidden:` + ownMount,
			`spec.pod.extraVolumeMounts[7].mountPath: Forbidden:` + ownMount,
			`spec.pod.extraVolumeMounts[8].subPath: Invalid value:` + badSubPath,
			`spec.pod.extraVolumeMounts[8].subPathExpr: Forbidden: a mount has one path inside its volume: set either subPath or subPathExpr, not both`,
			`spec.pod.extraVolumeMounts[9].subPath: Invalid value:` + badSubPath,
		},
	},
	"MountOfNothing": {
		reason: "A mount is of a volume that a person has added.",
		spec:   `{storage: {metadataSize: 10Gi}, pod: {extraVolumeMounts: [{name: metadata, mountPath: /mine}]}}`,
		want:   []string{`spec.pod.extraVolumeMounts: Invalid value: a mount is of one of pod.extraVolumes: correct its name, or add the volume`},
	},
	"Repeated": {
		reason: "Twice the same key is no object that could be applied.",
		spec: `
storage: {metadataSize: 10Gi}
pod:
  imagePullSecrets: [{name: a}, {name: a}]
  extraEnv: [{name: A, value: b}, {name: A, value: c}]
  extraVolumes: [{name: a, emptyDir: {}}, {name: a, emptyDir: {}}]
  extraVolumeMounts: [{name: a, mountPath: /a}, {name: a, mountPath: /a, subPath: b}]
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}
  - {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}
percona: {backup: {repos: [{name: repo1, gcs: {bucket: a}}, {name: repo1, gcs: {bucket: b}}]}}`,
		want: []string{
			`spec.percona.backup.repos[1]: Duplicate value: {"name":"repo1"}`,
			`spec.pod.extraEnv[1]: Duplicate value: {"name":"A"}`,
			`spec.pod.extraVolumeMounts[1]: Duplicate value: {"mountPath":"/a"}`,
			`spec.pod.extraVolumes[1]: Duplicate value: {"name":"a"}`,
			`spec.pod.imagePullSecrets[1]: Duplicate value: {"name":"a"}`,
			`spec.pod.topologySpreadConstraints[1]: Duplicate value: {"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}`,
		},
	},
	"SchemalessText": {
		reason: "What has any shape is an object nevertheless.",
		spec:   `{storage: {metadataSize: 10Gi}, config: 'gc: {}', percona: {overrides: []}}`,
		want: []string{
			`spec.config: Invalid value: "string": spec.config in body must be of type object: "string"`,
			`spec.percona.overrides: Invalid value: "array": spec.percona.overrides in body must be of type object: "array"`,
		},
	},
	"Synchronous": {
		reason: "One pod has nobody to wait for.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {synchronous: true}}`,
		want:   []string{`spec.percona.synchronous: Invalid value: a synchronous cluster needs a second PostgreSQL pod to wait for: set percona.replicas to 2 or more`},
	},
	"WALStorage": {
		reason: "A volume has a size.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {walStorageSize: 5GB}}`,
		want:   []string{`spec.percona.walStorageSize: Invalid value: "5GB": must be a quantity greater than zero, like 5Gi`},
	},
	"DatabaseResources": {
		reason: "What the API server would refuse of the database's pods.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  resources: {requests: {cpu: -1}, limits: {memory: 1GB}}
  pgBouncer: {resources: {requests: {cpu: -1}, limits: {memory: 1GB}}}`,
		want: []string{
			`spec.percona.pgBouncer.resources.limits[memory]: Invalid value: "1GB":` + badQuantity,
			`spec.percona.pgBouncer.resources.requests[cpu]: Invalid value: -1:` + badQuantity,
			`spec.percona.resources.limits[memory]: Invalid value: "1GB":` + badQuantity,
			`spec.percona.resources.requests[cpu]: Invalid value: -1:` + badQuantity,
		},
	},
	"DatabaseRequestOverLimit": {
		reason: "The same of a request above its limit.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}
  pgBouncer: {resources: {requests: {cpu: 2}, limits: {cpu: 1900m}}}`,
		want: []string{
			`spec.percona.pgBouncer.resources: Invalid value:` + badRequest,
			`spec.percona.resources: Invalid value:` + badRequest,
		},
	},
	"ParameterNames": {
		reason: "No parameters of PostgreSQL are called so.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {parameters: {max-connections: '200'}}}`,
		want:   []string{`spec.percona.parameters: Invalid value: a name must be that of a parameter of PostgreSQL, in lower case, like max_connections`},
	},
	"ParametersOfTheOperator": {
		reason: "The operator would not take the cluster, or overwrite them.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {parameters: {ssl: "off"}}}`,
		want:   []string{`spec.percona.parameters: Forbidden: must not have parameters that the operator sets itself, or does without, like listen_addresses, port, ssl, ssl_*, unix_socket_*, archive_*, restore_command, recovery_*, hot_standby, cluster_name, logging_collector and the paths of files: remove them`},
	},
	"ParameterValues": {
		reason: "Replicas could not follow, and a second line would be another parameter.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {parameters: {wal_level: minimal, search_path: "a\nb"}}}`,
		want: []string{
			`spec.percona.parameters: Invalid value: a value must be one line`,
			`spec.percona.parameters: Invalid value: wal_level must be replica or logical: backups and replicas need as much`,
		},
	},
	"BucketAndRepos": {
		reason: "Both would be the first repository.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {backup: {enabled: true, bucket: a, repos: [{name: repo1, gcs: {bucket: b}}]}}}`,
		want:   []string{`spec.percona.backup.repos: Forbidden: bucket is short for a first repository: set either bucket or repos, not both`},
	},
	"Repos": {
		reason: "Repositories that are nowhere or in two places, and what belongs to others.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  backup:
    repos:
    - {name: repo1}
    - {name: repo2, s3: {bucket: a}, azure: {container: a}}
    - {name: repo3, volume: {size: 0Gi, storageClassName: Fast}, credentialsSecretRef: {name: A}}
    - {name: repo4, gcs: {bucket: a}, fullSchedule: 0 2 * * *, incrSchedule: 0 2 * * *}`,
		want: []string{
			`spec.percona.backup.repos[0]: Invalid value:` + badPlace,
			`spec.percona.backup.repos[1].credentialsSecretRef: Required value: Azure needs to know the storage account: set credentialsSecretRef`,
			`spec.percona.backup.repos[1]: Invalid value:` + badPlace,
			`spec.percona.backup.repos[2].credentialsSecretRef.name: Invalid value: "A":` + badSecret,
			`spec.percona.backup.repos[2].credentialsSecretRef: Forbidden: a volume needs no credentials: remove credentialsSecretRef`,
			`spec.percona.backup.repos[2].volume.size: Invalid value: "0Gi":` + badVolumeSize,
			`spec.percona.backup.repos[2].volume.storageClassName: Invalid value: "Fast":` + badStorageClass,
			`spec.percona.backup.repos[3].incrSchedule: Invalid value: one backup runs at a time: choose a schedule that does not fall together with fullSchedule`,
		},
	},
	"Ranges": {
		reason: "What is out of range.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  backup:
    repos:
    - {name: main, gcs: {bucket: ""}}
    - {name: repo2, s3: {endpoint: e}, retentionDays: 0}
  pgBouncer: {replicas: 0}
metrics: {port: 65536}`,
		want: []string{
			`spec.metrics.port: Invalid value: 65536: spec.metrics.port in body should be less than or equal to 65535`,
			`spec.percona.backup.repos[0].gcs.bucket: Invalid value: "": spec.percona.backup.repos[0].gcs.bucket in body should be at least 1 chars long`,
			`spec.percona.backup.repos[0].name: Unsupported value: "main": supported values: "repo1", "repo2", "repo3", "repo4"`,
			`spec.percona.backup.repos[1].retentionDays: Invalid value: 0: spec.percona.backup.repos[1].retentionDays in body should be greater than or equal to 1`,
			`spec.percona.backup.repos[1].s3.bucket: Required value`,
			`spec.percona.pgBouncer.replicas: Invalid value: 0: spec.percona.pgBouncer.replicas in body should be greater than or equal to 1`,
		},
	},
	"RepoSchedules": {
		reason: "Words that are no schedules.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {backup: {repos: [{name: repo1, gcs: {bucket: a}, fullSchedule: '@weekly', incrSchedule: hourly}]}}}`,
		want: []string{
			`spec.percona.backup.repos[0].fullSchedule: Invalid value: "@weekly":` + badCron,
			`spec.percona.backup.repos[0].incrSchedule: Invalid value: "hourly":` + badCron,
		},
	},
	"RestoreFromNowhere": {
		reason: "Data comes from somewhere.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {restoreFrom: {}}}`,
		want:   []string{`spec.percona.restoreFrom: Invalid value:` + badOrigin},
	},
	"RestoreFromTwo": {
		reason: "And from one place only.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {restoreFrom: {cluster: {name: a}, repo: {path: /a, gcs: {bucket: a}}}}}`,
		want:   []string{`spec.percona.restoreFrom: Invalid value:` + badOrigin},
	},
	"RestoreFromCluster": {
		reason: "A name that no cluster can have, and a time that is none.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {restoreFrom: {cluster: {name: Files, repo: repo9}, targetTime: "2026-05-01 12:00"}}}`,
		want:   []string{`spec.percona.restoreFrom.cluster.repo: Unsupported value: "repo9": supported values: "repo1", "repo2", "repo3", "repo4"`},
	},
	"RestoreFromClusterName": {
		reason: "The same without other mistakes.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {restoreFrom: {cluster: {name: Files}, targetTime: yesterday}}}`,
		want: []string{
			`spec.percona.restoreFrom.cluster.name: Invalid value: "Files": must be the name of a PerconaPGCluster: lower case letters, digits, '-' and '.', and a letter or digit at both ends`,
			`spec.percona.restoreFrom.targetTime: Invalid value: "yesterday": must be a time of RFC 3339, like 2026-05-01T12:00:00Z`,
		},
	},
	"RestoreFromRepo": {
		reason: "A repository that cannot be, in two places.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  restoreFrom:
    repo: {path: pgbackrest, gcs: {bucket: a}, s3: {bucket: a}, credentialsSecretRef: {name: A}}`,
		want: []string{
			`spec.percona.restoreFrom.repo.credentialsSecretRef.name: Invalid value: "A":` + badSecret,
			`spec.percona.restoreFrom.repo.path: Invalid value: "pgbackrest": must be an absolute path of letters, digits, '/', '.', '_' and '-'`,
			`spec.percona.restoreFrom.repo: Invalid value: a repository to restore from is in exactly one place: s3, gcs or azure`,
		},
	},
	"RestoreFromVolume": {
		reason: "Nobody else can mount it.",
		spec: `
storage: {metadataSize: 10Gi}
percona:
  restoreFrom:
    repo: {path: /pgbackrest, volume: {size: "0", storageClassName: Fast}}`,
		want: []string{
			`spec.percona.restoreFrom.repo.volume.size: Invalid value: "0":` + badVolumeSize,
			`spec.percona.restoreFrom.repo.volume.storageClassName: Invalid value: "Fast":` + badStorageClass,
			`spec.percona.restoreFrom.repo.volume: Forbidden: a volume is read through the cluster that it belongs to: set restoreFrom.cluster`,
		},
	},
	"RestoreFromAzure": {
		reason: "A container belongs to an account.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {restoreFrom: {repo: {path: /pgbackrest, azure: {container: a}}}}}`,
		want:   []string{`spec.percona.restoreFrom.repo.credentialsSecretRef: Required value: Azure needs to know the storage account: set credentialsSecretRef`},
	},
	"DeviceClaims": {
		reason: "Neither the server's pod nor the database's have any to offer.",
		spec:   `{storage: {metadataSize: 10Gi}, resources: {claims: [{name: gpu}]}, percona: {resources: {claims: [{name: gpu}]}}}`,
		want:   []string{`DittoServer does not know the fields spec.percona.resources.claims, spec.resources.claims`},
	},
	"SameSchedules": {
		reason: "One backup runs at a time.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {backup: {incrSchedule: 0 2 * * *}}}`,
		want:   []string{`spec.percona.backup.incrSchedule: Invalid value: one backup runs at a time: choose a schedule that does not fall together with fullSchedule`},
	},
}

func TestBadSpecs(t *testing.T) {
	vs := validators(t)
	for name, tc := range badSpecs {
		t.Run(name, func(t *testing.T) {
			for kind, v := range vs {
				// Only what a schema does not know is told by kind.
				want := slices.Clone(tc.want)
				for i := range want {
					want[i] = strings.Replace(want[i], "DittoServer does", v.GroupVersionKind().Kind+" does", 1)
				}
				got := messages(v.Validate(object(t, v, "files", tc.spec)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("\n%s\n%s: -want, +got:\n%s", tc.reason, kind, diff)
				}
			}
		})
	}
}

// complaints of the function about a spec that no API server has seen, by path.
func complaints(tb testing.TB, spec map[string]any, policy v1beta1.Policy) map[string]string {
	tb.Helper()
	in, err := json.Marshal(&v1beta1.Input{Policy: policy})
	if err != nil {
		tb.Fatal(err)
	}
	req := &fnv1.RunFunctionRequest{Input: &structpb.Struct{}}
	if err := protojson.Unmarshal(in, req.GetInput()); err != nil {
		tb.Fatal(err)
	}
	xr, err := structpb.NewStruct(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "DittoServer",
		"metadata":   map[string]any{"name": "files", "namespace": "team-a"},
		"spec":       spec,
	})
	if err != nil {
		tb.Fatal(err)
	}
	req.Observed = &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}

	out := map[string]string{}
	srv, err := server.Resolve(req)
	if err == nil && *srv.Spec.Percona.Enabled {
		_, err = percona.BuildPerconaPGClusterSpec(srv.Defaulted())
	}
	for _, message := range messages(err) {
		path, _, _ := strings.Cut(message, ": ")
		out[path] = message
	}
	return out
}

// unreadable is how the function begins to say so of a value.
const unreadable = "cannot be read"

// allComplaints are those of the function about a spec, and then about what is
// left of it: of what cannot be read it names the first field alone.
func allComplaints(tb testing.TB, spec map[string]any) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for {
		more := false
		for at, message := range complaints(tb, spec, everything) {
			out[at] = message
			if strings.Contains(message, unreadable) {
				more = true
				without(tb, spec, strings.Split(strings.TrimPrefix(at, "spec."), "."))
			}
		}
		if !more {
			return out
		}
	}
}

// plain path, in which a key of a map is a field like any other: what cannot be
// read is named so.
func plain(path string) string {
	return regexp.MustCompile(`\[([^]]*[^]0-9][^]]*)\]`).ReplaceAllString(path, ".$1")
}

// without the field of an object that a path leads to; of a list that it leads
// into, nothing is left.
func without(tb testing.TB, o map[string]any, path []string) {
	tb.Helper()
	for _, name := range path {
		name, _, isList := strings.Cut(name, "[")
		below, isMap := o[name].(map[string]any)
		if _, found := o[name]; !found {
			break
		}
		if isList || !isMap || name == path[len(path)-1] {
			delete(o, name)

			return
		}
		o = below
	}
	tb.Fatalf("There is no field %s that could not be read", strings.Join(path, "."))
}

// switchOn everything that a spec says something about: what is off may be
// nonsense for the function.
func switchOn(spec map[string]any) map[string]any {
	for _, path := range []string{"metrics", "identity.ldap", "identity.kerberos", "identity.kerberos.machineAccount", "percona", "percona.backup"} {
		section := spec
		for key := range strings.SplitSeq(path, ".") {
			section, _ = section[key].(map[string]any)
		}
		if _, said := section["enabled"]; section != nil && !said {
			section["enabled"] = true
		}
	}
	return spec
}

// decoded returns a spec as an object.
func decoded(tb testing.TB, spec string) map[string]any {
	tb.Helper()
	s := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// everything that a platform can allow.
var everything = v1beta1.Policy{AllowServiceAccount: true, AllowPerconaOverrides: true} //nolint:gochecknoglobals // Never written.

// TestFunctionAccepts: what the schema accepts, the function does not refuse,
// if the platform allows it.
func TestFunctionAccepts(t *testing.T) {
	for name, tc := range goodSpecs {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(map[string]string{}, complaints(t, decoded(t, tc.spec), everything)); diff != "" {
				t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFunctionRefuses: what the schema refuses, the function refuses as well,
// for an XR that is rendered offline, at the same field or one below.
func TestFunctionRefuses(t *testing.T) {
	// What the function takes nevertheless, and why.
	const unset = "an empty value counts as not set, and gets the default"
	taken := map[string]string{
		"spec.image":                    unset,
		"spec.storage.controlPlaneSize": unset,
		"spec.controlPlane.port":        unset,
		"spec.adapters.nfs.servicePort": unset,

		"DittoServer does not know the fields spec.percona.enable":                                  "the schema prunes what it does not know, and an XR may come from a newer one",
		"DittoServer does not know the fields spec.pod.extraVolumes[0].hostPath":                    "it is a volume without source then",
		"DittoServer does not know the fields spec.pod.extraEnv[0].valueFrom.fileKeyRef":            "refused by its path",
		"DittoServer does not know the fields spec.percona.resources.claims, spec.resources.claims": "refused by their paths",
	}

	for name, tc := range badSpecs {
		t.Run(name, func(t *testing.T) {
			got := allComplaints(t, decoded(t, tc.spec))
			maps.Copy(got, allComplaints(t, switchOn(decoded(t, tc.spec))))

			said := func(want string) bool {
				path, _, _ := strings.Cut(want, ": ")
				for at, message := range got {
					if strings.HasPrefix(plain(at), plain(path)) {
						return true
					}
					// What is forbidden is so with all that is in it.
					if strings.HasPrefix(path, at+".") && strings.Contains(message, ": Forbidden: ") {
						return true
					}
				}
				return taken[path] != ""
			}
			for _, message := range tc.want {
				if !said(message) {
					t.Errorf("\n%s\nThe function does not say: %s\nIt says: %v", tc.reason, message, got)
				}
			}
		})
	}
}

// TestOwnPlaces holds the schema's lists of what belongs to the server in its
// pod together with the function's: both refuse the same.
func TestOwnPlaces(t *testing.T) {
	ownVolumes := []string{
		"config", "tls-cert", "tls-client-ca", "metrics-token", "kerberos-keytab", "kerberos-krb5", "kerberos-machine-keytab",
		"ldap-ca", "postgres-ca", "controlplane", "metadata", "content",
	}
	ownPaths := []string{
		"/app", "/config", "/tls", "/tls-client-ca", "/metrics-token", "/kerberos", "/kerberos-krb5", "/kerberos-machine",
		"/ldap-ca", "/postgres-ca", "/data/controlplane", "/data/store/metadata", "/data/store/block",
	}
	ownLabels := slices.Sorted(maps.Keys((&server.Server{Name: "files"}).Labels("server")))
	ownVariables := []string{
		"DATABASE_URL", "DITTOFS_DATABASE_TYPE", "DITTOFS_CONTROLPLANE_SECRET", "DITTOFS_ADMIN_INITIAL_PASSWORD", "DITTOFS_LDAP_URL",
		"DITTOFS_KERBEROS_KEYTAB", "DITTOFS_METRICS_ENABLED", "DITTOFS_LOGGING_LEVEL",
	}

	cases := map[string]struct {
		values []string
		pod    string
		at     string
	}{
		"Volumes":   {ownVolumes, `extraVolumes: [{name: %s, emptyDir: {}}]`, "spec.pod.extraVolumes[0].name"},
		"Paths":     {ownPaths, `{extraVolumes: [{name: a, emptyDir: {}}], extraVolumeMounts: [{name: a, mountPath: %s}]}`, "spec.pod.extraVolumeMounts[0].mountPath"},
		"Labels":    {ownLabels, `labels: {%s: a}`, "spec.pod.labels"},
		"Variables": {ownVariables, `extraEnv: [{name: %s}]`, "spec.pod.extraEnv[0].name"},
	}
	v := validators(t)["Namespaced"]
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, value := range tc.values {
				o := object(t, v, "files", minimalSpec)
				spec, _ := o["spec"].(map[string]any)
				spec["pod"] = decoded(t, fmt.Sprintf(tc.pod, value))

				bySchema := messages(v.Validate(o))
				if len(bySchema) != 1 || !strings.HasPrefix(bySchema[0], tc.at+": Forbidden: ") {
					t.Errorf("%s: the schema says %v", value, bySchema)
				}
				for at, message := range complaints(t, spec, everything) {
					if !strings.HasPrefix(at, tc.at) || !strings.Contains(message, ": Forbidden: ") {
						t.Errorf("%s: the function says %v", value, message)
					}
				}
				if len(complaints(t, spec, everything)) != 1 {
					t.Errorf("%s: the function does not refuse it", value)
				}
			}
		})
	}
}

// TestEveryRuleIsTried holds the table above against the schema: a rule that no
// bad spec breaks may have any message, or never be true.
func TestEveryRuleIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, tc := range badSpecs {
		for _, message := range tc.want {
			tried[message] = true
		}
	}

	s := ours(t, namespacedXRD)
	s.XValidations = nil // TestMetadataName tries those.
	walk("", s, func(path string, s *extv1.JSONSchemaProps) {
		for _, rule := range s.XValidations {
			field := strings.NewReplacer("[]", "[", "{}", "[").Replace(path) + rule.FieldPath
			if !slices.ContainsFunc(slices.Collect(maps.Keys(tried)), func(message string) bool {
				at, _, _ := strings.Cut(message, ": ")
				return strings.HasSuffix(message, rule.Message) && matches(field, at)
			}) {
				t.Errorf("No bad spec breaks the rule of %s: %s", path, rule.Message)
			}
		}
	})
}

// TestEveryFieldIsUsed holds the good specs against the schema: a field that is
// in none of them may be one that nobody can set.
func TestEveryFieldIsUsed(t *testing.T) {
	used := map[string]bool{}
	var use func(path string, value any)
	use = func(path string, value any) {
		used[path] = true
		switch value := value.(type) {
		case map[string]any:
			for name, child := range value {
				use(path+"."+name, child)
			}
		case []any:
			for _, item := range value {
				use(path+"[]", item)
			}
		}
	}
	for _, tc := range goodSpecs {
		s := map[string]any{}
		if err := yaml.Unmarshal([]byte(tc.spec), &s); err != nil {
			t.Fatal(err)
		}
		use("spec", s)
	}

	// What is below these belongs to Kubernetes.
	theirs := []string{
		"spec.networkPolicy.from[].", "spec.resources.", "spec.securityContext.", "spec.podSecurityContext.",
		"spec.pod.affinity.", "spec.pod.tolerations[].", "spec.pod.topologySpreadConstraints[].",
		"spec.pod.extraEnv[].", "spec.pod.extraVolumeMounts[].", "spec.pod.extraVolumes[].configMap.",
		"spec.pod.extraVolumes[].secret.", "spec.pod.extraVolumes[].emptyDir.", "spec.pod.extraVolumes[].csi.",
		"spec.pod.extraVolumes[].persistentVolumeClaim.", "spec.percona.resources.", "spec.percona.pgBouncer.resources.",
		"spec.percona.scheduling.tolerations[].",
		// The same type as spec.percona.backup.repos[].
		"spec.percona.restoreFrom.repo.",
	}
	spec := ours(t, namespacedXRD).Properties["spec"]
	walk("spec", &spec, func(path string, _ *extv1.JSONSchemaProps) {
		if strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}") ||
			slices.ContainsFunc(theirs, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
			return
		}
		if !used[path] {
			t.Errorf("No good spec uses %s", path)
		}
	})
}

// matches tells whether a field of an object is one of the schema's, in which
// an open bracket stands for any index or key.
func matches(schema, object string) bool {
	for {
		before, after, ok := strings.Cut(schema, "[")
		if !ok {
			return schema == object
		}
		rest, ok := strings.CutPrefix(object, before+"[")
		if !ok {
			return false
		}
		_, object, _ = strings.Cut(rest, "]")
		schema = after
	}
}

// TestParameters holds the schema and pkg/percona together: they refuse the
// same parameters of PostgreSQL. What pkg/percona refuses the operator would
// overwrite, ignore or stop at.
func TestParameters(t *testing.T) {
	names := []string{
		"max_connections", "work_mem", "pg_stat_monitor.pgsm_max", "wal_keep_size", "archive_timeout", "ssl_groups",
		"ssl_ecdh_curve", "sslkeylog", "shared_preload_libraries", "recovery_prefetch", "hot_standby_feedback", "port_",
		"Max_Connections", "max-connections", "a.b.c", "",
		"ssl", "ssl_ca_file", "ssl_min_protocol_version", "port", "listen_addresses", "cluster_name", "bonjour",
		"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "include", "include_dir", "include_if_exists",
		"archive_mode", "archive_command", "archive_library", "archive_cleanup_command", "restore_command",
		"recovery_end_command", "recovery_min_apply_delay", "recovery_target", "recovery_target_time",
		"primary_conninfo", "primary_slot_name", "promote_trigger_file", "hot_standby", "synchronous_standby_names",
		"wal_level", "wal_log_hints", "track_commit_timestamp", "logging_collector", "log_file_mode",
		"unix_socket_directories", "unix_socket_permissions",
		"pg_stat_monitor.pgsm_enable_overflow", "pg_stat_monitor.pgsm_query_max_len", "pg_stat_statements.track", "pgnodemx.kdapi_path",
	}
	v := validators(t)["Namespaced"]
	for _, name := range names {
		o := object(t, v, "files", minimalSpec)
		o["spec"].(map[string]any)["percona"] = map[string]any{"parameters": map[string]any{name: "x"}} //nolint:forcetypeassert // As object makes it.
		bySchema := v.Validate(o)

		ds := &v1alpha1.DittoServer{Spec: v1alpha1.DittoServerSpec{Percona: v1alpha1.PerconaSpec{Parameters: map[string]string{name: "x"}}}}
		ds.SetName("files")
		_, byGo := percona.BuildPerconaPGClusterSpec(ds)
		if (bySchema == nil) != (byGo == nil) {
			t.Errorf("%q: the schema says %v, Go says %v", name, bySchema, byGo)
		}
	}
}

// TestDefaults holds the schema's defaults and Go's together: a DittoServer
// means the same whether it went through an API server or not.
func TestDefaults(t *testing.T) {
	spec := func(t *testing.T, o map[string]any) *v1alpha1.DittoServerSpec {
		t.Helper()
		b, err := json.Marshal(o["spec"])
		if err != nil {
			t.Fatal(err)
		}
		s := &v1alpha1.DittoServerSpec{}
		if err := yaml.UnmarshalStrict(b, s); err != nil {
			t.Fatal(err)
		}
		return s
	}

	for kind, v := range validators(t) {
		for name, tc := range goodSpecs {
			t.Run(kind+"/"+name, func(t *testing.T) {
				raw := object(t, v, "files", tc.spec)
				bySchema := spec(t, v.Default(raw))
				byGo := spec(t, raw)
				byGo.SetDefaults()

				if diff := cmp.Diff(byGo, bySchema); diff != "" {
					t.Errorf("\n%s\n-Go, +schema:\n%s", tc.reason, diff)
				}

				again := bySchema.DeepCopy()
				again.SetDefaults()
				if diff := cmp.Diff(bySchema, again); diff != "" {
					t.Errorf("\n%s\nGo changes what the schema has defaulted: -schema, +both:\n%s", tc.reason, diff)
				}
			})
		}
	}
}

// TestStatus holds the Go type of the status against the schema: a field that
// the schema does not have would fail the whole status on every reconcile.
func TestStatus(t *testing.T) {
	cases := map[string]struct {
		reason string
		status v1alpha1.DittoServerStatus
	}{
		"Zero": {
			reason: "Zero values are valid, and those without omitempty are written.",
		},
		"EmptyParts": {
			reason: "So are those of its parts.",
			status: v1alpha1.DittoServerStatus{Database: &v1alpha1.DatabaseStatus{}, Endpoints: &v1alpha1.EndpointsStatus{}},
		},
		"Full": {
			reason: "Every field has its place in the schema.",
			status: v1alpha1.DittoServerStatus{
				Phase: v1alpha1.PhaseRunning, Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1,
				PerconaClusterName: "files-postgres",
				Database: &v1alpha1.DatabaseStatus{
					Type: v1alpha1.DatabasePercona, State: "ready", Host: "files-postgres-primary.team-a.svc",
					SecretName: "files-postgres-pguser-dittofs", EverReady: true, OnDelete: v1alpha1.OnDeleteRetain,
					LastBackup: "2026-01-02T03:04:05Z",
				},
				Endpoints: &v1alpha1.EndpointsStatus{
					API: "http://files-api.team-a.svc:8080", NFS: "files-adapter-nfs.team-a.svc:2049", SMB: "files-adapter-smb.team-a.svc:445",
				},
			},
		},
	}

	for kind, v := range validators(t) {
		for name, tc := range cases {
			t.Run(kind+"/"+name, func(t *testing.T) {
				b, err := json.Marshal(tc.status)
				if err != nil {
					t.Fatal(err)
				}
				status := map[string]any{}
				if err := json.Unmarshal(b, &status); err != nil {
					t.Fatal(err)
				}
				o := object(t, v, "files", minimalSpec)
				o["status"] = status
				if err := v.Validate(o); err != nil {
					t.Errorf("\n%s\n%v", tc.reason, err)
				}
			})
		}
	}
}
