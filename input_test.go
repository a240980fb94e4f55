package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func TestInvalidInputIsRefused(t *testing.T) {
	base := servingOnPercona(t, withPercona())
	backup := func(edits ...any) object {
		return edit(object{"enabled": true, "bucket": "backups"}, edits...)
	}
	// Edits of the XR, and of the Input under input.
	cases := map[string]struct {
		reason string
		edits  []any
		says   []string
	}{
		"MetadataSizeUnparsable":     {"No quantity.", []any{"spec.storage.metadataSize", "ten gigs"}, []string{"spec.storage.metadataSize", "ten gigs", "like 10Gi"}},
		"MetadataSizeNegative":       {"No size.", []any{"spec.storage.metadataSize", "-1Gi"}, []string{"spec.storage.metadataSize", "greater than zero"}},
		"MetadataSizeZero":           {"No size.", []any{"spec.storage.metadataSize", "0"}, []string{"spec.storage.metadataSize", "greater than zero"}},
		"MetadataSizeMissing":        {"It is required.", []any{"spec.storage.metadataSize", nil}, []string{"spec.storage.metadataSize", "Required"}},
		"MetadataSizeNumber":         {"A quantity is text here.", []any{"spec.storage.metadataSize", 10}, []string{"spec.storage.metadataSize"}},
		"StorageMissing":             {"It is required.", []any{"spec.storage", nil}, []string{"spec.storage.metadataSize", "Required"}},
		"SpecMissing":                {"It is required.", []any{"spec", nil}, []string{"spec.storage.metadataSize", "Required"}},
		"SpecText":                   {"A spec has fields.", []any{"spec", "minimal"}, []string{"spec.storage.metadataSize", "Required"}},
		"StorageText":                {"It has fields.", []any{"spec.storage", "10Gi"}, []string{"spec.storage"}},
		"ContentSizeUnparsable":      {"No quantity.", []any{"spec.storage.contentSize", "10 GB"}, []string{"spec.storage.contentSize", "like 10Gi"}},
		"ControlPlaneSize":           {"No quantity.", []any{"spec.storage.controlPlaneSize", "x"}, []string{"spec.storage.controlPlaneSize", "like 10Gi"}},
		"StorageClass":               {"No name.", []any{"spec.storage.storageClassName", "Fast_Disks"}, []string{"spec.storage.storageClassName"}},
		"DatabaseSizeUnparsable":     {"No quantity.", []any{"spec.percona.storageSize", "1e"}, []string{"spec.percona.storageSize", "like 10Gi"}},
		"DatabaseStorageClass":       {"No name.", []any{"spec.percona.storageClassName", "Fast_Disks"}, []string{"spec.percona.storageClassName"}},
		"RequestUnparsable":          {"No quantity.", []any{"spec.resources", object{"requests": object{"cpu": "lots"}}}, []string{"spec.resources.requests.cpu", "lots"}},
		"LimitUnparsable":            {"No quantity.", []any{"spec.resources", object{"limits": object{"memory": "1 Gi"}}}, []string{"spec.resources.limits.memory"}},
		"RequestAboveLimit":          {"A pod would be refused.", []any{"spec.resources", object{"requests": object{"cpu": "2"}, "limits": object{"cpu": "1"}}}, []string{"spec.resources.requests[cpu]", "limit 1"}},
		"RequestNegative":            {"A pod would be refused.", []any{"spec.resources", object{"requests": object{"cpu": "-2"}}}, []string{"spec.resources.requests[cpu]", "negative"}},
		"Claims":                     {"A pod without claims has none to offer.", []any{"spec.resources", object{"claims": []any{object{"name": "gpu"}}}}, []string{"spec.resources.claims", "remove it"}},
		"RepeatedSysctls":            {"A repeated key aborts the apply.", []any{"spec.podSecurityContext.sysctls", []any{object{"name": "net.ipv4.tcp_syncookies", "value": "1"}, object{"name": "net.ipv4.tcp_syncookies", "value": "0"}}}, []string{"spec.podSecurityContext.sysctls[1].name"}},
		"RepeatedPullSecrets":        {"A repeated key aborts the apply.", []any{"input.defaults.imagePullSecrets", []any{object{"name": "mirror"}, object{"name": "mirror"}}}, []string{"input.defaults.imagePullSecrets[1].name", "mirror"}},
		"ReplicasText":               {"No number.", []any{"spec.replicas", "one"}, []string{"spec.replicas"}},
		"ReplicasFraction":           {"No number of pods.", []any{"spec.replicas", 0.5}, []string{"spec.replicas"}},
		"EnabledText":                {"Neither true nor false.", []any{"spec.percona.enabled", "yes"}, []string{"spec.percona.enabled"}},
		"NameTooLong":                {"No derived name would fit.", []any{"metadata.name", "a-name-of-twenty-nine-letters"}, []string{"metadata.name", "28"}},
		"NameWithDots":               {"No label.", []any{"metadata.name", "files.example.org"}, []string{"metadata.name", "choose another name"}},
		"NameWithDigit":              {"A Service's name starts with a letter.", []any{"metadata.name", "1st"}, []string{"metadata.name", "choose another name"}},
		"NameOfCluster":              {"Database clusters are named so.", []any{"metadata.name", "files-postgres"}, []string{"metadata.name", "-postgres", "choose another name"}},
		"NameMissing":                {"Nothing could be named.", []any{"metadata.name", nil}, []string{"metadata.name"}},
		"NamespaceInvalid":           {"No namespace.", []any{"metadata.namespace", "Team A"}, []string{"metadata.namespace"}},
		"NamespaceMissing":           {"Nothing says where to compose.", []any{"metadata.namespace", nil}, []string{"metadata.namespace", "Required", "namespace in the Composition's input"}},
		"ClaimWithoutNamespace":      {"A claim is in a namespace.", []any{"metadata.namespace", nil, "spec.claimRef", object{"name": serverName}}, []string{"spec.claimRef.namespace", "Required"}},
		"ClaimWithoutName":           {"A claim has a name.", []any{"metadata.namespace", nil, "spec.claimRef", object{"namespace": teamNamespace}}, []string{"spec.claimRef.name"}},
		"ClaimNameTooLong":           {"No derived name would fit.", []any{"metadata.namespace", nil, "spec.claimRef", object{"namespace": teamNamespace, "name": "a-name-of-twenty-nine-letters"}}, []string{"spec.claimRef.name", "28"}},
		"PostgresWithoutSecret":      {"There is no database.", []any{"spec.percona.enabled", false, "spec.database.type", "postgres"}, []string{"spec.database.postgresSecretRef", "Required", "spec.percona.enabled: true"}},
		"TwoDatabases":               {"A server has one.", []any{"spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": "db"}}}, []string{"spec.database.postgresSecretRef", "spec.percona.enabled: false"}},
		"PostgresSecretUnnamed":      {"A Secret has a name.", []any{"spec.percona.enabled", false, "spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": ""}}}, []string{"spec.database.postgresSecretRef.name"}},
		"VerifyWithoutCA":            {"Nothing could be verified.", []any{"spec.percona.enabled", false, "spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": "db", "sslMode": "verify-ca"}}}, []string{"spec.database.postgresSecretRef.caSecretRef", "ca.crt"}},
		"SSLModeUnknown":             {"libpq does not know it.", []any{"spec.percona.sslMode", "strict"}, []string{"spec.percona.sslMode", "verify-full"}},
		"DatabaseTypeUnknown":        {"DittoFS does not know it.", []any{"spec.database.type", "mysql"}, []string{"spec.database.type", "postgres"}},
		"AllowChangeToUnknown":       {"There is no such kind.", []any{"spec.database.allowChangeTo", "mysql"}, []string{"spec.database.allowChangeTo", "external"}},
		"SQLiteElsewhere":            {"It would not be kept.", []any{"spec.database.sqlite.path", "/var/lib/ditto.db"}, []string{"spec.database.sqlite.path", "/data/controlplane/"}},
		"SQLiteOutside":              {"It would not be kept.", []any{"spec.database.sqlite.path", "/data/controlplane/../ditto.db"}, []string{"spec.database.sqlite.path"}},
		"BackupWithoutBucket":        {"Backups go nowhere.", []any{"spec.percona.backup", backup("bucket", nil)}, []string{"spec.percona.backup.bucket", "Required"}},
		"BackupScheduleUnparsable":   {"No cron expression.", []any{"spec.percona.backup", backup("fullSchedule", "daily")}, []string{"spec.percona.backup.fullSchedule", "0 2 * * *"}},
		"BackupScheduleOutOfRange":   {"There is no 25th hour.", []any{"spec.percona.backup", backup("incrSchedule", "0 25 * * *")}, []string{"spec.percona.backup.incrSchedule"}},
		"BackupSchedulesTogether":    {"One backup runs at a time.", []any{"spec.percona.backup", backup("incrSchedule", "0 2 * * *")}, []string{"spec.percona.backup.incrSchedule", "one backup runs at a time"}},
		"BackupRetention":            {"Nothing would be kept.", []any{"spec.percona.backup", backup("retentionDays", -1)}, []string{"spec.percona.backup.retentionDays"}},
		"BackupSecretUnnamed":        {"A Secret has a name.", []any{"spec.percona.backup", backup("credentialsSecretRef", object{"name": "S3"})}, []string{"spec.percona.backup.credentialsSecretRef.name"}},
		"EqualPortsNFS":              {"Two cannot listen on one port.", []any{"spec.adapters.nfs.port", 8080}, []string{"spec.adapters.nfs.port", "spec.controlPlane.port", "choose another"}},
		"EqualPortsSMB":              {"Two cannot listen on one port.", []any{"spec.adapters.smb.port", 12049}, []string{"spec.adapters.smb.port", "spec.adapters.nfs.port", "choose another"}},
		"EqualPortsThoughSwitched":   {"The server listens whatever is declared.", []any{"spec.adapters.smb", object{"enabled": false, "port": 8080}}, []string{"spec.adapters.smb.port"}},
		"PortTooLarge":               {"There is no such port.", []any{"spec.controlPlane.port", 70000}, []string{"spec.controlPlane.port", "65535"}},
		"PortNegative":               {"There is no such port.", []any{"spec.adapters.nfs.servicePort", -1}, []string{"spec.adapters.nfs.servicePort", "65535"}},
		"PortText":                   {"No number.", []any{"spec.adapters.smb.servicePort", "445"}, []string{"spec.adapters.smb.servicePort"}},
		"ServiceType":                {"There is no such type.", []any{"spec.service.type", "Public"}, []string{"spec.service.type", "LoadBalancer"}},
		"AdapterServiceType":         {"A name outside leads to no pod.", []any{"spec.adapterServices.type", "ExternalName"}, []string{"spec.adapterServices.type", "LoadBalancer"}},
		"PeerEmpty":                  {"It would admit everybody.", []any{"spec.networkPolicy.from", []any{object{}}}, []string{"spec.networkPolicy.from[0]", "podSelector"}},
		"PeerMixed":                  {"The API server refuses it.", []any{"spec.networkPolicy.from", []any{object{"ipBlock": object{"cidr": "10.0.0.0/8"}, "podSelector": object{}}}}, []string{"spec.networkPolicy.from[0]", "two peers"}},
		"PeerCIDR":                   {"No range of addresses.", []any{"spec.networkPolicy.from", []any{object{"ipBlock": object{"cidr": "10.0.0.0"}}}}, []string{"spec.networkPolicy.from[0].ipBlock.cidr", "192.0.2.0/24"}},
		"PeerExcept":                 {"No range of addresses.", []any{"spec.networkPolicy.from", []any{object{"ipBlock": object{"cidr": "10.0.0.0/8", "except": []any{"x"}}}}}, []string{"spec.networkPolicy.from[0].ipBlock.except[0]"}},
		"LogLevel":                   {"There is no such level.", []any{"spec.logging.level", "LOUD"}, []string{"spec.logging.level", "DEBUG"}},
		"LogFormat":                  {"There is no such format.", []any{"spec.logging.format", "xml"}, []string{"spec.logging.format", "json"}},
		"GracePeriod":                {"Data would be lost.", []any{"spec.terminationGracePeriodSeconds", 5}, []string{"spec.terminationGracePeriodSeconds", "36"}},
		"TokenDuration":              {"No duration.", []any{"spec.identity.jwt.accessTokenDuration", "soon"}, []string{"spec.identity.jwt.accessTokenDuration", "15m"}},
		"TokenDurationNegative":      {"Tokens would never be valid.", []any{"spec.identity.jwt.refreshTokenDuration", "-1h"}, []string{"spec.identity.jwt.refreshTokenDuration"}},
		"JWTReferenceWithoutKey":     {"A reference has a key.", []any{"spec.identity.jwt.secretRef", object{"name": "tokens"}}, []string{"spec.identity.jwt.secretRef.key"}},
		"AdminReferenceWithoutName":  {"A reference has a name.", []any{"spec.identity.admin.passwordSecretRef", object{"key": "p"}}, []string{"spec.identity.admin.passwordSecretRef.name"}},
		"ImageWithSpace":             {"No image.", []any{"spec.image", "dittofs latest"}, []string{"spec.image", "white space"}},
		"ImageFromElsewhere":         {"The platform forbids it.", []any{"spec.image", "evil.example.org/d:1", "input.policy.imageRegistries", []any{"registry.example.org"}}, []string{"spec.image", "registry.example.org"}},
		"ImageOfSimilarName":         {"A prefix ends at a slash.", []any{"spec.image", "registry.example.org.evil/d:1", "input.policy.imageRegistries", []any{"registry.example.org"}}, []string{"spec.image", "registry.example.org"}},
		"DatabaseImageElsewhere":     {"The platform forbids it.", []any{"spec.percona.images.pgBackRest", "evil.example.org/b:1", "input.policy.imageRegistries", []any{"registry.example.org/"}}, []string{"spec.percona.images.pgBackRest", "registry.example.org"}},
		"DatabaseReplicas":           {"Too many.", []any{"spec.percona.replicas", 9}, []string{"spec.percona.replicas", "1 to 5"}},
		"DatabaseName":               {"No name of a database.", []any{"spec.percona.databaseName", "Ditto-FS"}, []string{"spec.percona.databaseName"}},
		"DatabaseVersion":            {"It is not supported.", []any{"spec.percona.postgresVersion", 13}, []string{"spec.percona.postgresVersion", "14 to 18"}},
		"OperatorVersionOld":         {"It would force a proxy.", []any{"spec.percona.crVersion", "2.8.0"}, []string{"spec.percona.crVersion", "2.9.0"}},
		"OperatorVersionShort":       {"The operator would panic.", []any{"spec.percona.crVersion", "2.9"}, []string{"spec.percona.crVersion", "2.9.0"}},
		"UpdatePolicy":               {"There is no such policy.", []any{"spec.percona.updatePolicy", "Sometimes"}, []string{"spec.percona.updatePolicy", "Always"}},
		"InputFieldUnknown":          {"A field that is not known does nothing.", []any{"input.polling.quickly", "1s"}, []string{"quickly", "input"}},
		"InputTopLevelUnknown":       {"A field that is not known does nothing.", []any{"input.namspace", "x"}, []string{"namspace", "input"}},
		"InputDurationUnparsable":    {"No duration.", []any{"input.polling.waiting", "soon"}, []string{"soon", "input"}},
		"InputDurationShort":         {"The API server would be worn out.", []any{"input.polling.steady", "1ms"}, []string{"input.polling.steady", "1s"}},
		"InputTimeoutShort":          {"No database starts that fast.", []any{"input.waitForPostgres.timeout", "1s"}, []string{"input.waitForPostgres.timeout", "10s"}},
		"InputPodSecurity":           {"There is no such level.", []any{"input.policy.podSecurity", "strict"}, []string{"input.policy.podSecurity", "restricted"}},
		"InputVersion":               {"It is not supported.", []any{"input.percona.postgresVersion", 19}, []string{"input.percona.postgresVersion", "14 to 18"}},
		"PostgresSecretOfSQLite":     {"Nothing would follow it.", []any{"spec.percona.enabled", false, "spec.database.postgresSecretRef", object{"name": "db"}}, []string{"spec.database.type", "postgres"}},
		"ClientCAWithoutCertificate": {"Nobody would be asked for a certificate.", []any{"spec.controlPlane.clientCASecretName", "ca"}, []string{"spec.controlPlane.certSecretName", "Required"}},
		"DirectoryIncomplete":        {"The server would not start.", []any{"spec.identity.ldap.enabled", true}, []string{"spec.identity.ldap.url", "spec.identity.ldap.bindPasswordSecretRef"}},
		"EqualPortsMetrics":          {"Two cannot listen on one port.", []any{"spec.metrics", object{"enabled": true, "port": 1445}}, []string{"spec.metrics.port", "spec.adapters.smb.port", "choose another"}},
		"ConfigOfField":              {"It has a field.", []any{"spec.config", object{"Database": object{"type": "sqlite"}}}, []string{"spec.config.Database", "set spec.database"}},
		"ConfigText":                 {"It has settings.", []any{"spec.config", "gc: {}"}, []string{"spec.config", "must be an object"}},
		"VariableOfField":            {"It has a field.", []any{"spec.pod.extraEnv", []any{object{"name": "DITTOFS_DATABASE_TYPE", "value": "sqlite"}}}, []string{"spec.pod.extraEnv[0].name", "set that field instead"}},
		"RepeatedVariables":          {"A repeated key aborts the apply.", []any{"spec.pod.extraEnv", []any{object{"name": "A"}, object{"name": "A"}}}, []string{"spec.pod.extraEnv[1].name", "Duplicate"}},
		"MountOverData":              {"Data would be lost.", []any{"spec.pod", object{"extraVolumes": []any{object{"name": "a", "emptyDir": object{}}}, "extraVolumeMounts": []any{object{"name": "a", "mountPath": "/data"}}}}, []string{"spec.pod.extraVolumeMounts[0].mountPath", "choose another path"}},
		"ServiceAccount":             {"The platform has not allowed it.", []any{"spec.pod.serviceAccountName", "root"}, []string{"spec.pod.serviceAccountName", "policy.allowServiceAccount"}},
		"Overrides":                  {"The platform has not allowed it.", []any{"spec.percona.overrides", object{"pause": true}}, []string{"spec.percona.overrides", "policy.allowPerconaOverrides"}},
		"OverridesRefused":           {"No platform can allow it.", []any{"spec.percona.overrides", object{"standby": object{"enabled": true}}, "input.policy.allowPerconaOverrides", true}, []string{"spec.percona.overrides.standby", "Forbidden"}},
		"SnapshotPolicies":           {"Nothing would come of them.", []any{"spec.snapshotPolicies", []any{object{"share": "/export"}}}, []string{"spec.snapshotPolicies", "REST API"}},
		"Two":                        {"Both are named, in one Fatal.", []any{"spec.replicas", 4, "spec.logging.level", "LOUD"}, []string{"spec.replicas", "spec.logging.level"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			before := s.response(t)
			xr := object{"xr": s.xr, "input": input()}
			for i := 0; i+1 < len(tc.edits); i += 2 {
				path, _ := tc.edits[i].(string)
				root := "xr."
				if strings.HasPrefix(path, "input.") {
					root = ""
				}
				edit(xr, root+path, tc.edits[i+1])
			}
			s.xr, s.input = mapAt(xr, "xr"), mapAt(xr, "input")

			req, _, _ := s.settle(t)
			earlier := &fnv1.State{
				Composite: &fnv1.Resource{Resource: toStruct(object{"status": object{"note": "hello"}})},
				Resources: map[string]*fnv1.Resource{"earlier": {Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap"}), Ready: fnv1.Ready_READY_TRUE}},
			}
			req.Desired = proto.CloneOf(earlier)
			rsp := run(t, req)

			if len(rsp.GetResults()) != 1 || fatal(rsp) == "" {
				t.Fatalf("%s\nwant one Fatal, got %v", tc.reason, rsp.GetResults())
			}
			for _, text := range tc.says {
				if !strings.Contains(fatal(rsp), text) {
					t.Errorf("%s\nThe Fatal does not say %q: %s", tc.reason, text, fatal(rsp))
				}
			}
			if got := conditionOf(rsp, condition.TypeConfigReady); got != "False InvalidSpec" {
				t.Errorf("%s\nConfigReady: got %s", tc.reason, got)
			}
			if diff := cmp.Diff(fatal(rsp), messageOf(rsp, condition.TypeConfigReady)); diff != "" {
				t.Errorf("%s\nThe condition has another text: -fatal, +condition:\n%s", tc.reason, diff)
			}
			want, got := map[string]string{}, map[string]string{}
			for _, typ := range condition.Types() {
				if typ != condition.TypeConfigReady {
					want[typ] = conditionOf(before, typ) + ": " + messageOf(before, typ)
					got[typ] = conditionOf(rsp, typ) + ": " + messageOf(rsp, typ)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\nThe other conditions are not repeated: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(earlier, rsp.GetDesired(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nWhat earlier steps want is not passed on: -want, +got:\n%s", tc.reason, diff)
			}
			if rsp.GetMeta().GetTtl().AsDuration() <= 0 {
				t.Errorf("%s\nNobody looks again.", tc.reason)
			}
		})
	}
}

func TestValidInputIsNotRefused(t *testing.T) {
	cases := map[string]struct {
		reason string
		edits  []any
	}{
		"LongestName":         {"28 characters fit.", []any{"metadata.name", "a-name-of-28-letters-as-is-x"}},
		"BackupsOff":          {"What is off need not be complete.", []any{"spec.percona.backup", object{"fullSchedule": "0 2 * * *"}}},
		"CronNames":           {"Names of days are cron.", []any{"spec.percona.backup", object{"enabled": true, "bucket": "b", "fullSchedule": "0 2 * * SUN"}}},
		"OperatorManifest":    {"What the DittoFS operator knows and the server does not read is accepted.", []any{"spec.controlPlane.tls", true, "spec.identity.type", "local", "spec.identity.admin.username", "admin"}},
		"ImageFromRegistry":   {"The platform permits it.", []any{"spec.image", "registry.example.org/d:1", "input.policy.imageRegistries", []any{"registry.example.org"}}},
		"PlatformsOwnImages":  {"The platform's own defaults are not held to its policy.", []any{"input.policy.imageRegistries", []any{"registry.example.org"}, "input.percona.images", object{"pgBackRest": "mirror.example.org/b:1", "postgres": object{"16": "mirror.example.org/pg:16"}}, "input.defaults.image", "mirror.example.org/d:1"}},
		"DefaultsUnderPolicy": {"Nor are this function's.", []any{"input.policy.imageRegistries", []any{"registry.example.org"}}},
		"PeerIPv6":            {"Addresses come in two sorts.", []any{"spec.networkPolicy.from", []any{object{"ipBlock": object{"cidr": "2001:db8::/32"}}, object{"namespaceSelector": object{}, "podSelector": object{"matchLabels": object{"a": "b"}}}}}},
		"RequestsOnly":        {"Limits are no duty.", []any{"spec.resources", object{"requests": object{"cpu": "100m", "memory": "1Gi"}}}},
		"ExponentQuantity":    {"Quantities come in many sorts.", []any{"spec.storage.metadataSize", "1e10"}},
		"EmptyInput":          {"Everything in it is optional.", []any{"input.metadata", object{"name": "x"}}},
		"UnknownXRFields":     {"The schema prunes them; a newer one has more.", []any{"spec.crossplane", object{"compositionRef": object{"name": "x"}}, "spec.metrics", object{"enabled": true}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := object{"xr": withPercona(), "input": input()}
			for i := 0; i+1 < len(tc.edits); i += 2 {
				path, _ := tc.edits[i].(string)
				if !strings.HasPrefix(path, "input.") {
					path = "xr." + path
				}
				edit(root, path, tc.edits[i+1])
			}
			s := newSituation(mapAt(root, "xr"))
			s.input = mapAt(root, "input")
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Errorf("%s\nFatal: %s", tc.reason, text)
			}
			if composed(rsp, server.KeyCluster) == nil {
				t.Errorf("%s\nNo cluster is composed.", tc.reason)
			}
		})
	}
}

// TestOwnPlacesAreReserved holds the lists of volumes and paths that a person
// may not use against a pod that has everything: what is missing there would be
// a repeated key, which aborts the apply.
func TestOwnPlacesAreReserved(t *testing.T) {
	key := func(name, key string) object { return object{"name": name, "key": key} }
	s := serving(t, onExternal(
		"spec.storage.contentSize", "1Gi",
		"spec.database.postgresSecretRef.sslMode", "verify-ca", "spec.database.postgresSecretRef.caSecretRef", object{"name": "all"},
		"spec.controlPlane.certSecretName", "all", "spec.controlPlane.clientCASecretName", "all",
		"spec.identity.ldap", object{"enabled": true, "url": "ldaps://dc", "baseDN": "DC=a", "bindDN": "CN=a", "bindPasswordSecretRef": key("all", "password"), "caSecretRef": object{"name": "all"}},
		"spec.identity.kerberos", object{
			"enabled": true, "servicePrincipal": "nfs/a@B", "keytabSecretRef": key("all", "keytab"), "krb5ConfSecretRef": key("all", "krb5.conf"),
			"machineAccount": object{"enabled": true, "accountName": "A$", "keytabSecretRef": key("all", "keytab")},
		},
		"spec.metrics", object{"enabled": true, "bearerTokenSecret": key("all", "token")},
	), externalSecret(nil), secret("all", map[string]string{
		"ca.crt": "c", "tls.crt": "c", "tls.key": "c", "password": "c", "keytab": "c", "krb5.conf": "c", "token": "c",
	}))
	sts := s.get(server.KeyStatefulSet)
	if sts == nil {
		t.Fatalf("The server is not started: %s", messageOf(s.response(t), condition.TypeConfigReady))
	}

	var names, paths []string
	for _, v := range append(listAt(sts, "spec", "template", "spec", "volumes"), listAt(sts, "spec", "volumeClaimTemplates")...) {
		names = append(names, textAt(v, "name")+textAt(v, "metadata", "name"))
	}
	for _, m := range listAt(sts, "spec", "template", "spec", "containers", "name=dittofs", "volumeMounts") {
		paths = append(paths, textAt(m, "mountPath"))
	}
	if len(names) != 12 || len(paths) != 12 {
		t.Errorf("A pod with everything has 12 volumes, found %v and %v", names, paths)
	}

	refused := func(pod object) string {
		return fatal(s.clone().editXR("spec.pod", pod).response(t))
	}
	for _, name := range names {
		if text := refused(object{"extraVolumes": []any{object{"name": name, "emptyDir": object{}}}}); !strings.Contains(text, "extraVolumes[0].name") {
			t.Errorf("A second volume %s is not refused: %q", name, text)
		}
	}
	for _, path := range paths {
		pod := object{"extraVolumes": []any{object{"name": "mine", "emptyDir": object{}}}, "extraVolumeMounts": []any{object{"name": "mine", "mountPath": path}}}
		if text := refused(pod); !strings.Contains(text, "extraVolumeMounts[0].mountPath") {
			t.Errorf("A second mount at %s is not refused: %q", path, text)
		}
	}
}

func TestNoInputAtAll(t *testing.T) {
	for name, req := range map[string]*fnv1.RunFunctionRequest{
		"Empty":       {},
		"NoComposite": {Observed: &fnv1.State{}},
		"NoResource":  {Observed: &fnv1.State{Composite: &fnv1.Resource{}}},
		"EmptyXR":     {Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: &structpb.Struct{}}}},
		"NilObserved": {Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(namespaced())}, Resources: map[string]*fnv1.Resource{"statefulset": nil}}},
		"NilAnswer":   {Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(namespaced())}}, RequiredResources: map[string]*fnv1.Resources{"namespace": nil, "object/config": {Items: []*fnv1.Resource{nil}}}},
		"EmptyInput":  {Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(namespaced())}}, Input: &structpb.Struct{}},
	} {
		t.Run(name, func(t *testing.T) {
			if rsp := run(t, req); fatal(rsp) == "" && composed(rsp, server.KeyStatefulSet) != nil {
				t.Errorf("A StatefulSet is composed out of nothing: %v", composedKeys(rsp))
			}
		})
	}
}

// A place in an object.
type place []string

// places of all values in an object, sorted.
func places(v any, prefix place) []place {
	var out []place
	switch v := v.(type) {
	case object:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, places(v[k], append(slices.Clone(prefix), k))...)
		}
	case []any:
		for i := range v {
			out = append(out, places(v[i], append(slices.Clone(prefix), strconv.Itoa(i)))...)
		}
	}
	if len(prefix) > 0 {
		out = append(out, prefix)
	}

	return out
}

// garbage that can stand where something else belongs.
func garbage() []any {
	return []any{
		nil, "garbage", "7", 7, -1.5, true,
		[]any{},
		object{},
		[]any{nil, "x", 7, object{}},
		object{"name": 7, "x": []any{object{}}},
		[]any{[]any{}},
		"",
	}
}

// identity tells whether a place says which object this is, or whose.
func identity(p place) bool {
	if len(p) == 1 {
		return p[0] == "metadata" || p[0] == "kind" || p[0] == "apiVersion"
	}

	return p[0] == "metadata" && slices.Contains([]string{"name", "namespace", "ownerReferences", "labels", "annotations", "uid"}, p[1])
}

func TestGarbageInObservedObjects(t *testing.T) {
	situations := map[string]struct {
		*situation

		// each is how many sorts of garbage every place gets.
		each int
	}{
		"Percona":  {servingOnPercona(t, withPercona("spec.percona.backup", object{"enabled": true, "bucket": "b"})), 2},
		"Waiting":  {waiting(t, withPercona()), 1},
		"External": {serving(t, onExternal("spec.database.postgresSecretRef.sslMode", "verify-ca", "spec.database.postgresSecretRef.caSecretRef", object{"name": "legacy-ca"}), externalSecret(nil), secret("legacy-ca", map[string]string{"ca.crt": "ca"})), 1},
	}
	for name, s := range situations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, _, _ := s.settle(t)
			n := 0
			check := func(what string, p place, g any) {
				n++
				where := fmt.Sprintf("%s: %s = %v", what, strings.Join(p, "."), g)
				rsp, err := guarded(req)
				if err != nil {
					t.Errorf("%s: %v", where, err)

					return
				}
				if text := fatal(rsp); text != "" {
					if !identity(p) && what != "XR" {
						t.Errorf("%s: Fatal: %s", where, text)
					}

					return
				}
				for k := range s.composed {
					if composed(rsp, server.Key(k)) == nil {
						t.Errorf("%s: %s left desired state", where, k)
					}
				}
			}

			spoil := func(what string, r *fnv1.Resource) {
				whole, kept := r.GetResource().AsMap(), r.GetResource()
				all := places(whole, nil)
				for i, p := range all {
					// Every place gets some of the garbage, neighbours get other.
					for j := range s.each {
						g := garbage()[(i*5+j*4)%len(garbage())]
						o := clone(whole)
						setField(o, g, p...)
						r.Resource = toStruct(o)
						check(what, p, g)
					}
				}
				r.Resource = kept
			}
			for _, k := range slices.Sorted(maps.Keys(req.GetObserved().GetResources())) {
				spoil("observed "+k, req.GetObserved().GetResources()[k])
			}
			for _, k := range slices.Sorted(maps.Keys(req.GetRequiredResources())) {
				for _, r := range req.GetRequiredResources()[k].GetItems() {
					spoil("required "+k, r)
				}
			}
			spoil("XR", req.GetObserved().GetComposite())
			t.Logf("%d requests with garbage", n)
		})
	}
}

// guarded run of the function: a panic is an error.
func guarded(req *fnv1.RunFunctionRequest) (rsp *fnv1.RunFunctionResponse, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p) //nolint:err113 // It is only printed.
		}
	}()

	return newFunction().RunFunction(context.Background(), req)
}

func TestGarbageDoesNotRollThePod(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	req, _, _ := s.settle(t)
	live := s.get(server.KeyStatefulSet)

	// Numbers where text belongs, text where objects belong, and so on; but no
	// text in place of a Secret's text, which would be another value.
	spoil := func(what string, r *fnv1.Resource) {
		kept := r.GetResource()
		for _, p := range places(kept.AsMap(), nil) {
			for _, g := range []any{nil, 7, []any{"x"}, object{"x": 7}} {
				o := kept.AsMap()
				setField(o, g, p...)
				r.Resource = toStruct(o)
				rsp := run(t, req)
				if fatal(rsp) != "" {
					continue
				}
				if diff := rolls(live, composed(rsp, server.KeyStatefulSet)); diff != "" {
					t.Errorf("%s: %s = %v rolls the pod: -live, +sent:\n%s", what, strings.Join(p, "."), g, diff)
				}
			}
		}
		r.Resource = kept
	}
	for _, answer := range []string{"secret/" + userSecretName, "secret/" + caSecretName, "namespace"} {
		items := req.GetRequiredResources()[answer].GetItems()
		if len(items) != 1 {
			t.Fatalf("%s is not answered", answer)
		}
		spoil(answer, items[0])
	}
	for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials, server.KeyConnection} {
		spoil(string(k), req.GetObserved().GetResources()[string(k)])
	}
}
