package v1alpha1_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
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
	"EveryParentEmpty": {
		reason: "An empty section asks for its defaults.",
		spec: `
storage: {metadataSize: 10Gi}
database: {sqlite: {}}
controlPlane: {}
identity: {jwt: {}, admin: {}}
service: {}
adapters: {nfs: {}, smb: {}}
adapterServices: {}
networkPolicy: {}
logging: {}
resources: {}
securityContext: {}
podSecurityContext: {}
percona: {images: {}, backup: {}}`,
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
	"OperatorManifest": {
		reason: "What the DittoFS operator's manifest says besides, with no effect here, is no reason to refuse it.",
		spec: `
storage: {metadataSize: 10Gi}
database: {type: postgres, postgresSecretRef: {name: db, key: connection-string}}
controlPlane: {tls: true}
identity: {type: jwt, admin: {username: root}}`,
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
database: {postgresSecretRef: {name: DB, caSecretRef: {name: ""}}}
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
			`spec.securityContext.procMount: Unsupported value: "none": supported values: "Default", "Unmasked"`,
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
		want:   []string{`spec.percona.backup.bucket: Required value: backups need a bucket: set percona.backup.bucket`},
	},
	"BackupWithEmptyBucket": {
		reason: "An empty name is no bucket.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {enabled: true, backup: {enabled: true, bucket: ""}}}`,
		want:   []string{`spec.percona.backup.bucket: Required value: backups need a bucket: set percona.backup.bucket`},
	},
	"Schedules": {
		reason: "Four fields, and a word.",
		spec:   `{storage: {metadataSize: 10Gi}, percona: {backup: {fullSchedule: 0 2 * *, incrSchedule: "@daily"}}}`,
		want: []string{
			`spec.percona.backup.fullSchedule: Invalid value: "0 2 * *":` + badCron,
			`spec.percona.backup.incrSchedule: Invalid value: "@daily":` + badCron,
		},
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
