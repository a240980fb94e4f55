package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/condition"
)

// TestOperatorManifests holds the promise that a manifest of the DittoFS
// operator moves over by changing its apiVersion: what its samples use, and
// every field that its DittoServer has (dittofs v0.29.0,
// k8s/dittofs-operator/config/samples and api/v1alpha1/dittoserver_types.go).
func TestOperatorManifests(t *testing.T) {
	const secrets = `
identity:
  jwt: {secretRef: {name: dittofs-jwt-secret, key: secret}}
  admin: {username: admin, passwordSecretRef: {name: dittofs-admin-secret, key: password}}`

	cases := map[string]struct {
		reason string
		name   string
		spec   string
		want   []string
	}{
		"Basic": {
			reason: "SQLite, and Secrets of one's own.",
			name:   "dittoserver-sample",
			spec: `
image: marmos91c/dittofs:latest
replicas: 1
storage: {metadataSize: 10Gi, contentSize: 50Gi}
database: {type: sqlite, sqlite: {path: /data/controlplane/controlplane.db}}
controlPlane: {port: 8080}
service: {type: ClusterIP}` + secrets,
		},
		"S3": {
			reason: "Resources, or nothing but what is required.",
			name:   "dittoserver-aws-s3",
			spec: `
image: marmos91c/dittofs:latest
replicas: 1
storage: {metadataSize: 10Gi}
resources: {limits: {cpu: "2", memory: 4Gi}, requests: {cpu: 500m, memory: 1Gi}}` + secrets,
		},
		"WithSecrets": {
			reason: "A PostgreSQL that exists, named with a key that the operator requires and ignores.",
			name:   "dittofs-server-with-secrets",
			spec: `
storage: {metadataSize: 1Gi, contentSize: 1Gi}
database: {type: postgres, postgresSecretRef: {name: postgres-credentials, key: connection-string}}
identity:
  type: memory
  jwt: {secretRef: {name: dittofs-jwt-secret, key: jwt-signing-key}, accessTokenDuration: 15m, refreshTokenDuration: 168h}
  admin: {username: admin, passwordSecretRef: {name: dittofs-admin-secret, key: password}}`,
		},
		"Percona": {
			reason: "A PostgreSQL cluster, and the API on a load balancer.",
			name:   "dittofs-percona",
			spec: `
storage: {metadataSize: 10Gi, contentSize: 50Gi}
percona: {enabled: true, replicas: 1, storageSize: 10Gi, databaseName: dittofs}
identity: {type: memory, jwt: {secretRef: {name: dittofs-percona-jwt, key: secret}}}
service: {type: LoadBalancer}`,
		},
		"TLS": {
			reason: "The API over HTTPS.",
			name:   "dittoserver-tls-sample",
			spec: `
storage: {metadataSize: 10Gi, contentSize: 50Gi}
controlPlane: {port: 8080, tls: true, certSecretName: dittofs-controlplane-tls}` + secrets,
		},
		"EveryField": {
			reason: "All that an operator's manifest can say of a server without PostgreSQL.",
			name:   "everything",
			spec: `
image: marmos91c/dittofs:v0.29.0
replicas: 0
storage: {metadataSize: 10Gi, contentSize: 1Ti, controlPlaneSize: 512Mi, storageClassName: fast}
database: {type: sqlite, sqlite: {path: /data/controlplane/controlplane.db}}
controlPlane: {port: 443, tls: true, certSecretName: tls, clientCASecretName: clients}
identity:
  type: memory
  jwt: {secretRef: {name: jwt, key: secret}, accessTokenDuration: 1h, refreshTokenDuration: 24h}
  admin: {username: root, passwordSecretRef: {name: admin, key: password}}
  ldap:
    enabled: true
    url: ldaps://dc.example.com:636
    startTLS: false
    allowPlaintext: false
    baseDN: DC=example,DC=com
    bindDN: CN=svc,DC=example,DC=com
    bindPasswordSecretRef: {name: ldap, key: password}
    userAttr: sAMAccountName
    realm: EXAMPLE.COM
    idmap: rfc2307
    nestedGroups: true
    caCertFile: /etc/ldap/ca.crt
    insecureSkipVerify: false
  kerberos:
    enabled: true
    servicePrincipal: nfs/server.example.com@EXAMPLE.COM
    realm: EXAMPLE.COM
    netbiosDomain: EXAMPLE
    dnsDomain: example.com
    keytabSecretRef: {name: krb, key: keytab}
    krb5ConfSecretRef: {name: krb, key: krb5.conf}
    krb5Conf: /etc/krb5.conf
    machineAccount:
      enabled: true
      accountName: DITTOFS$
      secretRef: {name: machine, key: password}
      keytabSecretRef: {name: machine, key: keytab}
      dcAddress: ["dc1.example.com:445"]
adapterDiscovery: {pollingInterval: 30s}
adapterServices: {type: NodePort, annotations: {a: b}}
service: {type: LoadBalancer, annotations: {a: b}}
metrics:
  enabled: true
  port: 9090
  path: /metrics
  bearerTokenSecret: {name: metrics, key: token}
  serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}
logging: {level: DEBUG, format: text, output: stderr}
resources: {limits: {memory: 1Gi}}
terminationGracePeriodSeconds: 36
securityContext: {runAsUser: 1000}
podSecurityContext: {fsGroup: 1000}`,
		},
		"EveryFieldOfPercona": {
			reason: "The same with a PostgreSQL cluster and its backups, the schedules that the operator has by default among them.",
			name:   "everything",
			spec: `
storage: {metadataSize: 10Gi}
percona:
  enabled: true
  deleteWithServer: true
  replicas: 5
  storageSize: 10Gi
  storageClassName: fast
  databaseName: dittofs
  backup:
    enabled: true
    credentialsSecretRef: {name: pgbackrest}
    bucket: backups
    endpoint: https://s3.example.com
    region: eu-west-1
    fullSchedule: 0 2 * * *
    incrSchedule: 0 * * * *
    retentionDays: 7`,
		},
		"SnapshotPolicies": {
			reason: "The operator could not make them effective either, but did not say so.",
			name:   "snapshots",
			spec: `
storage: {metadataSize: 10Gi}
snapshotPolicies: [{share: /export, interval: 1h, keepLast: 24, ttl: 168h, enabled: true, namePrefix: scheduled}]`,
			want: []string{`spec.snapshotPolicies: Forbidden: not supported: the server takes snapshot policies over its REST API only, PUT /api/v1/shares/{name}/snapshot-policy; remove the field`},
		},
		"PostgresOfSQLite": {
			reason: "The operator used PostgreSQL though the type says SQLite, and warned at most.",
			name:   "postgres",
			spec: `
storage: {metadataSize: 10Gi}
database: {type: sqlite, postgresSecretRef: {name: postgres, key: url}}`,
			want: []string{`spec.database.type: Invalid value: database.postgresSecretRef is used with database.type: postgres only: set that, or remove the reference`},
		},
		"LongName": {
			reason: "Names derived from it would not fit, those of the PostgreSQL cluster's pods first.",
			name:   "dittofs-s3-smb-server-with-secrets",
			spec:   `storage: {metadataSize: 1Gi}`,
			want:   []string{`metadata.name: Invalid value: must have at most 28 characters, so that the names derived from it fit`},
		},
	}

	vs := validators(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"Namespaced", "Claim"} {
				got := messages(vs[kind].Validate(object(t, vs[kind], tc.name, tc.spec)))
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("\n%s\n%s: -want, +got:\n%s", tc.reason, kind, diff)
				}
			}
		})
	}
}

// TestOperatorWebhook goes through what the DittoFS operator's admission
// webhook checked (dittofs v0.29.0,
// k8s/dittofs-operator/api/v1alpha1/dittoserver_webhook.go), which no shipped
// installation had switched on. Here the schema refuses it. What takes a look at
// other objects is left to the reason of a condition; those specs are accepted.
func TestOperatorWebhook(t *testing.T) {
	type want struct {
		// Refused is what the API server says.
		Refused []string
		// Reason of the condition that says so instead.
		Reason string
	}
	refused := func(messages ...string) want { return want{Refused: messages} }

	cases := map[string]struct {
		check string
		spec  string
		want  want
	}{
		"MetadataSize": {
			check: "storage.metadataSize is required",
			spec:  `{storage: {metadataSize: ""}}`,
			want:  refused(`spec.storage.metadataSize: Invalid value: "": must be a quantity greater than zero, like 10Gi`),
		},
		"JWTKey": {
			check: "identity.jwt.secretRef.key is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {jwt: {secretRef: {name: jwt}}}}`,
			want:  refused(`spec.identity.jwt.secretRef.key: Required value`),
		},
		"Port": {
			check: "controlPlane.port must be between 1 and 65535",
			spec:  `{storage: {metadataSize: 1Gi}, controlPlane: {port: 65536}}`,
			want:  refused(`spec.controlPlane.port: Invalid value: 65536: spec.controlPlane.port in body should be less than or equal to 65535`),
		},
		"ClientCA": {
			check: "controlPlane.clientCASecretName requires controlPlane.certSecretName",
			spec:  `{storage: {metadataSize: 1Gi}, controlPlane: {clientCASecretName: ca}}`,
			want:  refused(`spec.controlPlane.certSecretName: Required value: client certificates are only asked for over TLS: set controlPlane.certSecretName as well`),
		},
		"KerberosPrincipal": {
			check: "identity.kerberos.servicePrincipal is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, keytabSecretRef: {name: a, key: b}}}}`,
			want:  refused(`spec.identity.kerberos.servicePrincipal: Required value: Kerberos needs the server's own principal: set identity.kerberos.servicePrincipal, like nfs/files.example.org@EXAMPLE.ORG`),
		},
		"KerberosKeytab": {
			check: "identity.kerberos.keytabSecretRef is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B}}}`,
			want:  refused(`spec.identity.kerberos.keytabSecretRef: Required value: Kerberos needs the keytab of the server's principal: set identity.kerberos.keytabSecretRef`),
		},
		"KerberosKeytabKey": {
			check: "identity.kerberos.keytabSecretRef.key is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a}}}}`,
			want:  refused(`spec.identity.kerberos.keytabSecretRef.key: Required value`),
		},
		"Krb5ConfKey": {
			check: "identity.kerberos.krb5ConfSecretRef.key is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a, key: b}, krb5ConfSecretRef: {name: a}}}}`,
			want:  refused(`spec.identity.kerberos.krb5ConfSecretRef.key: Required value`),
		},
		"MachineAccountName": {
			check: "identity.kerberos.machineAccount.accountName is required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a, key: b}, machineAccount: {enabled: true, secretRef: {name: a, key: b}}}}}`,
			want:  refused(`spec.identity.kerberos.machineAccount.accountName: Required value: a machine account has a name: set identity.kerberos.machineAccount.accountName, like FILES$`),
		},
		"MachineAccountCredential": {
			check: "identity.kerberos.machineAccount requires a secretRef or keytabSecretRef",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a, key: b}, machineAccount: {enabled: true, accountName: A$}}}}`,
			want:  refused(`spec.identity.kerberos.machineAccount.secretRef: Required value: a machine account needs its password or its keytab: set secretRef or keytabSecretRef`),
		},
		"MachineAccountKeys": {
			check: "identity.kerberos.machineAccount.secretRef.key and .keytabSecretRef.key are required",
			spec:  `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a, key: b}, machineAccount: {enabled: true, accountName: A$, secretRef: {name: a}, keytabSecretRef: {name: a}}}}}`,
			want:  refused(`spec.identity.kerberos.machineAccount.keytabSecretRef.key: Required value`, `spec.identity.kerberos.machineAccount.secretRef.key: Required value`),
		},
		"BackupBucket": {
			check: "percona.backup.bucket is required",
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: true}}}`,
			want:  refused(`spec.percona.backup.bucket: Required value: backups need somewhere to go: set percona.backup.bucket, or percona.backup.repos`),
		},
		"BackupEndpoint": {
			check: "percona.backup.endpoint is required: here AWS' own is the default",
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: true, bucket: a}}}`,
		},
		"StorageClasses": {
			check: "the StorageClasses exist",
			spec:  `{storage: {metadataSize: 1Gi, storageClassName: a}, percona: {enabled: true, storageClassName: b}}`,
			want:  want{Reason: condition.ReasonStorageClassNotFound},
		},
		"PerconaOperator": {
			check: "the Percona operator's definitions are installed",
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true}}`,
			want:  want{Reason: condition.ReasonPerconaOperatorNotInstalled},
		},
		"WarningPostgresOfSQLite": {
			check: "warning: database.postgresSecretRef is set but database.type is sqlite",
			spec:  `{storage: {metadataSize: 1Gi}, database: {type: sqlite, postgresSecretRef: {name: a}}}`,
			want:  refused(`spec.database.type: Invalid value: database.postgresSecretRef is used with database.type: postgres only: set that, or remove the reference`),
		},
		"WarningTwoDatabases": {
			check: "warning: both percona.enabled and database.postgresSecretRef are set",
			spec:  `{storage: {metadataSize: 1Gi}, database: {type: postgres, postgresSecretRef: {name: a}}, percona: {enabled: true}}`,
			want:  refused(`spec.database.postgresSecretRef: Forbidden: a server has one database: set either database.postgresSecretRef or percona.enabled, not both`),
		},
		"WarningTLS": {
			check: "warning: controlPlane.certSecretName is set and controlPlane.tls is not: the latter has no effect",
			spec:  `{storage: {metadataSize: 1Gi}, controlPlane: {certSecretName: a, tls: false}}`,
		},
		"WarningPort": {
			check: "warning: ports below 1024 are privileged: whether they are is up to the container runtime",
			spec:  `{storage: {metadataSize: 1Gi}, controlPlane: {port: 443}}`,
		},
		"WarningCredentials": {
			check: "warning: percona.backup.credentialsSecretRef is not set: the pods' own identity is used",
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: true, bucket: a}}}`,
		},
		"WarningCredentialsSecret": {
			check: "warning: the Secret of percona.backup.credentialsSecretRef exists",
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: true, bucket: a, credentialsSecretRef: {name: a}}}}`,
			want:  want{Reason: condition.ReasonSecretNotFound},
		},
	}

	vs := validators(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for kind, v := range vs {
				got := messages(v.Validate(object(t, v, "files", tc.spec)))
				if diff := cmp.Diff(tc.want.Refused, got); diff != "" {
					t.Errorf("\nThe webhook checked: %s\n%s: -want, +got:\n%s", tc.check, kind, diff)
				}
			}
			if tc.want.Reason != "" {
				t.Logf("%s: left to a condition, reason %s", tc.check, tc.want.Reason)
			}
		})
	}
}
