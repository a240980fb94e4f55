package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A named Secret is one that a field of the spec leads to.
type namedSecret struct {
	reason string
	// field that names it, as messages do.
	field string
	// edits of the XR that need it.
	edits []any
	// values of the Secret, and the key among them that matters.
	values map[string]string
	key    string
	// rolls tells that a new value rolls the pod.
	rolls bool
	// optional tells that the pod starts without.
	optional bool
	// typ and the reasons of the condition that says what is missing:
	// ConfigReady, SecretNotFound and SecretKeyMissing if empty.
	typ, gone, lacks string
	// unseen tells that a running pod is not kept for it: it only matters when
	// the server first starts.
	unseen bool
	// apart tells that the pod does without it at all.
	apart bool
}

const longEnough = "0123456789abcdef0123456789abcdef"

// namedSecrets are all there are: TestEverySecretReferenceIsNamed holds the
// API's types to it.
func namedSecrets() map[string]namedSecret {
	name := func(edits ...any) []any { return edits }
	key := func(k string) object { return object{"name": "mine", "key": k} }
	ldap := name("spec.identity.ldap", object{
		"enabled": true, "url": "ldaps://dc.example.org", "baseDN": "DC=example,DC=org", "bindDN": "CN=reader",
		"bindPasswordSecretRef": object{"name": "ldap", "key": "password"},
	})
	kerberos := name("spec.identity.kerberos", object{
		"enabled": true, "servicePrincipal": "nfs/files.example.org@EXAMPLE.ORG", "keytabSecretRef": object{"name": "keytab", "key": "keytab"},
	})
	machine := append(slices.Clone(kerberos), "spec.identity.kerberos.machineAccount", object{
		"enabled": true, "accountName": "FILES$", "secretRef": object{"name": "machine", "key": "password"},
	})
	postgres := map[string]string{"host": "db.example.org", "database": "dittofs", "user": "dittofs", "password": "pass", "port": "5432"}
	external := name("spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": "mine"}})
	backup := name("spec.percona.enabled", true, "spec.percona.backup", object{"enabled": true, "bucket": "backups", "credentialsSecretRef": object{"name": "mine"}})

	secrets := map[string]namedSecret{
		"TokenKey": {
			reason: "The key that signs tokens is read at every start.", field: "spec.identity.jwt.secretRef", rolls: true,
			edits: name("spec.identity.jwt.secretRef", key("jwt")), values: map[string]string{"jwt": longEnough}, key: "jwt",
		},
		"AdminPassword": {
			reason: "The administrator's password is read on the first boot only.", field: "spec.identity.admin.passwordSecretRef", unseen: true,
			edits: name("spec.identity.admin.passwordSecretRef", key("pw")), values: map[string]string{"pw": "secret"}, key: "pw",
		},
		"Certificate": {
			reason: "The server reads a renewed certificate by itself.", field: "spec.controlPlane.certSecretName",
			edits: name("spec.controlPlane.certSecretName", "mine"), values: map[string]string{"tls.crt": "certificate", "tls.key": "key"}, key: "tls.crt",
		},
		"CertificateKey": {
			reason: "The server reads a renewed certificate by itself.", field: "spec.controlPlane.certSecretName",
			edits: name("spec.controlPlane.certSecretName", "mine"), values: map[string]string{"tls.crt": "certificate", "tls.key": "key"}, key: "tls.key",
		},
		"ClientCA": {
			reason: "The server reads its clients' authority when it starts.", field: "spec.controlPlane.clientCASecretName", rolls: true,
			edits:  name("spec.controlPlane.certSecretName", "tls", "spec.controlPlane.clientCASecretName", "mine"),
			values: map[string]string{"ca.crt": "authority"}, key: "ca.crt",
		},
		"LDAPPassword": {
			reason: "The server stores the bind password when it first starts with LDAP.", field: "spec.identity.ldap.bindPasswordSecretRef",
			edits: append(slices.Clone(ldap), "spec.identity.ldap.bindPasswordSecretRef", key("pw")), values: map[string]string{"pw": "secret"}, key: "pw",
		},
		"LDAPAuthority": {
			reason: "The server reads the authority's file whenever it connects.", field: "spec.identity.ldap.caSecretRef",
			edits: append(slices.Clone(ldap), "spec.identity.ldap.caSecretRef", object{"name": "mine"}), values: map[string]string{"ca.crt": "authority"}, key: "ca.crt",
		},
		"Keytab": {
			reason: "A keytab is read at the start, and again within a minute; the hash holds it (R3).", field: "spec.identity.kerberos.keytabSecretRef", rolls: true,
			edits: append(slices.Clone(kerberos), "spec.identity.kerberos.keytabSecretRef", key("keytab")), values: map[string]string{"keytab": "\x05\x02"}, key: "keytab",
		},
		"Krb5Conf": {
			reason: "krb5.conf is read at the start.", field: "spec.identity.kerberos.krb5ConfSecretRef", rolls: true,
			edits: append(slices.Clone(kerberos), "spec.identity.kerberos.krb5ConfSecretRef", key("conf")), values: map[string]string{"conf": "[libdefaults]"}, key: "conf",
		},
		"MachinePassword": {
			reason: "The password is read at the start, unless the server has stored the account.", field: "spec.identity.kerberos.machineAccount.secretRef", rolls: true,
			edits: append(slices.Clone(machine), "spec.identity.kerberos.machineAccount.secretRef", key("pw")), values: map[string]string{"pw": "secret"}, key: "pw",
		},
		"MachineKeytab": {
			reason: "The server has no use for it yet; the hash holds keytabs (R3).", field: "spec.identity.kerberos.machineAccount.keytabSecretRef", rolls: true,
			edits: append(slices.Clone(machine), "spec.identity.kerberos.machineAccount.keytabSecretRef", key("keytab")), values: map[string]string{"keytab": "\x05\x02"}, key: "keytab",
		},
		"MetricsToken": {
			reason: "The token is read at the start.", field: "spec.metrics.bearerTokenSecret", rolls: true,
			edits: name("spec.metrics", object{"enabled": true, "bearerTokenSecret": key("token")}), values: map[string]string{"token": "secret"}, key: "token",
		},
		"Environment": {
			reason: "A variable is set when the container starts.", field: "spec.pod.extraEnv[0]", rolls: true,
			edits:  name("spec.pod.extraEnv", []any{object{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": object{"secretKeyRef": key("aws")}}}),
			values: map[string]string{"aws": "secret"}, key: "aws",
		},
		"EnvironmentOptional": {
			reason: "A variable that may be missing.", field: "spec.pod.extraEnv[0]", rolls: true, optional: true,
			edits: name("spec.pod.extraEnv", []any{object{"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": object{
				"secretKeyRef": object{"name": "mine", "key": "aws", "optional": true},
			}}}),
			values: map[string]string{"aws": "secret"}, key: "aws",
		},
		"Volume": {
			reason: "The kubelet brings a new value to the file.", field: "spec.pod.extraVolumes[0]",
			edits: name("spec.pod.extraVolumes", []any{object{"name": "extra", "secret": object{
				"secretName": "mine", "items": []any{object{"key": "file", "path": "file.txt"}},
			}}}),
			values: map[string]string{"file": "text"}, key: "file",
		},
		"VolumeOptional": {
			reason: "A volume that may be empty.", field: "spec.pod.extraVolumes[0]", optional: true,
			edits: name("spec.pod.extraVolumes", []any{object{"name": "extra", "secret": object{
				"secretName": "mine", "optional": true, "items": []any{object{"key": "file", "path": "file.txt"}},
			}}}),
			values: map[string]string{"file": "text"}, key: "file",
		},
		"ExternalAuthority": {
			reason: "The authority is read when the server connects first.", field: "spec.database.postgresSecretRef.caSecretRef", rolls: true, gone: condition.ReasonCASecretNotFound,
			edits: name("spec.database", object{"type": "postgres", "postgresSecretRef": object{
				"name": "db", "sslMode": "verify-full", "caSecretRef": object{"name": "mine"},
			}}),
			values: map[string]string{"ca.crt": "authority"}, key: "ca.crt",
		},
		"BackupCredentials": {
			reason: "Backups need it; the pod does not.", field: "spec.percona.backup.credentialsSecretRef", apart: true,
			edits: backup, values: map[string]string{"s3.conf": "[global]"}, key: "s3.conf",
		},
		"RepoCredentials": {
			reason: "Backups need it; the pod does not.", field: "spec.percona.backup.repos[0].credentialsSecretRef", apart: true,
			edits: name("spec.percona.enabled", true, "spec.percona.backup", object{"enabled": true, "repos": []any{object{
				"name": "repo2", "gcs": object{"bucket": "b"}, "credentialsSecretRef": object{"name": "mine"},
			}}}),
			values: map[string]string{"gcs.conf": "[global]"}, key: "gcs.conf",
		},
	}
	for _, k := range []string{"host", "database", "user", "password"} {
		secrets["External"+strings.ToUpper(k[:1])+k[1:]] = namedSecret{
			reason: "The server connects when it starts.", field: "spec.database.postgresSecretRef", rolls: true,
			edits: external, values: postgres, key: k,
			typ: condition.TypeDatabaseReady, gone: condition.ReasonConnectionSecretNotFound, lacks: condition.ReasonConnectionSecretIncomplete,
		}
	}

	return secrets
}

// theOthers are the Secrets that the cases need beside their own.
func theOthers() []object {
	return []object{
		secret("ldap", map[string]string{"password": "secret"}),
		secret("keytab", map[string]string{"keytab": "\x05\x02"}),
		secret("machine", map[string]string{"password": "secret"}),
		secret("tls", map[string]string{"tls.crt": "certificate", "tls.key": "key"}),
		secret("db", map[string]string{"host": "db.example.org", "database": "dittofs", "user": "dittofs", "password": "pass"}),
	}
}

// withSecret is a server of a case in a cluster that has the Secret, or not.
func (n namedSecret) withSecret(values map[string]string) *situation {
	s := newSituation(namespaced(n.edits...)).add(theOthers()...)
	if values != nil {
		s.add(secret("mine", values))
	}

	return s
}

// without the key that matters, or with another value of it.
func (n namedSecret) without() map[string]string {
	values := map[string]string{"unrelated": "value"}
	for k, v := range n.values {
		if k != n.key {
			values[k] = v
		}
	}

	return values
}

func (n namedSecret) rotated() map[string]string {
	values := n.without()
	values[n.key] = n.values[n.key] + "-rotated"

	return values
}

// running is the server of a case in full service.
func (n namedSecret) running(t *testing.T) *situation {
	t.Helper()
	s := n.withSecret(n.values)
	s.rest(t)
	if s.get(server.KeyCluster) != nil {
		s.perconaIsReady()
		s.rest(t)
	}
	s.podIsReady()
	s.rest(t)

	return s
}

// tells holds what is said of a Secret that is missing, or lacks its key.
func (n namedSecret) tells(t *testing.T, rsp *fnv1.RunFunctionResponse, keyOnly bool) {
	t.Helper()
	typ, want := n.typ, n.gone
	if typ == "" {
		typ = condition.TypeConfigReady
	}
	if want == "" {
		want = condition.ReasonSecretNotFound
	}
	if keyOnly {
		want = n.lacks
		if want == "" {
			want = condition.ReasonSecretKeyMissing
		}
	}
	if diff := cmp.Diff("False "+want, conditionOf(rsp, typ)); diff != "" {
		t.Errorf("%s\n%s: -want, +got:\n%s", n.reason, typ, diff)
	}
	key := n.key
	if n.apart || !keyOnly && n.typ != "" {
		key = "" // Any key with that ending will do; all keys are missing.
	}
	if said := messageOf(rsp, typ); !contains(said, "Secret mine in namespace team-a", n.field, key) {
		t.Errorf("%s\nThe message does not name the object, the key and the field: %s", n.reason, said)
	}
}

// Every reference to a Secret: missing, without its key, rotated and restored
// (R1, R3, R16).
func TestEverySecretReference(t *testing.T) {
	for name, n := range namedSecrets() {
		t.Run(name, func(t *testing.T) {
			t.Run("MissingAtFirst", func(t *testing.T) { n.missingAtFirst(t, nil, false) })
			t.Run("KeyMissingAtFirst", func(t *testing.T) { n.missingAtFirst(t, n.without(), true) })
			t.Run("MissingLater", func(t *testing.T) { n.missingLater(t, nil, false) })
			t.Run("KeyMissingLater", func(t *testing.T) { n.missingLater(t, n.without(), true) })
			t.Run("Rotated", n.isRotated)
		})
	}
}

// missingAtFirst: a pod is not started without what it needs, and is once it
// is there.
func (n namedSecret) missingAtFirst(t *testing.T, values map[string]string, keyOnly bool) {
	t.Helper()
	s := n.withSecret(values)
	rsp := s.rest(t)
	if s.get(server.KeyCluster) != nil {
		s.perconaIsReady()
		rsp = s.rest(t)
	}
	if !n.optional {
		n.tells(t, rsp, keyOnly)
	}
	if got, want := s.get(server.KeyStatefulSet) != nil, n.optional || n.apart; got != want {
		t.Fatalf("%s\nA pod is started without: want %t, got %t", n.reason, want, got)
	}
	if readiness := rsp.GetDesired().GetComposite().GetReady(); !n.optional && !n.apart && readiness != fnv1.Ready_READY_FALSE {
		t.Errorf("%s\nThe XR is %s while its server is held back.", n.reason, readiness)
	}

	s.add(secret("mine", n.values))
	rsp = s.rest(t)
	if s.get(server.KeyStatefulSet) == nil {
		t.Fatalf("%s\nThe Secret is there, and no pod is started: %s", n.reason, messageOf(rsp, condition.TypeConfigReady))
	}
	if diff := cmp.Diff("True ConfigRendered", conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
		t.Errorf("%s\nConfigReady: -want, +got:\n%s", n.reason, diff)
	}
}

// missingLater: a running pod is kept as it is, through edits too, and goes on
// without a restart once the Secret is back.
func (n namedSecret) missingLater(t *testing.T, values map[string]string, keyOnly bool) {
	t.Helper()
	s := n.running(t)
	live := clone(s.get(server.KeyStatefulSet))

	s.removeSecret("mine")
	if values != nil {
		s.add(secret("mine", values))
	}
	rsp := s.rest(t)
	if !n.optional && !n.unseen {
		n.tells(t, rsp, keyOnly)
	}
	if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" && (!n.optional || !n.rolls) {
		t.Errorf("%s\nThe pod is restarted because a Secret is gone: -before, +after:\n%s", n.reason, diff)
	}
	if !n.optional && !n.unseen && !n.apart {
		s.editXR("spec.logging.level", "DEBUG", "spec.service.annotations", object{"a": "b"})
		s.rest(t)
		if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" {
			t.Errorf("%s\nAn edit restarts a pod that would not start: -before, +after:\n%s", n.reason, diff)
		}
		if textAt(s.get(server.KeyAPIService), "metadata", "annotations", "a") != "b" {
			t.Errorf("%s\nEverything else does not flow.", n.reason)
		}
		s.editXR("spec.logging.level", nil)
	}

	s.removeSecret("mine").add(secret("mine", n.values))
	rsp = s.rest(t)
	if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" {
		t.Errorf("%s\nThe same Secret is back, and the pod differs: -before, +after:\n%s", n.reason, diff)
	}
	if diff := cmp.Diff("True ConfigRendered", conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
		t.Errorf("%s\nConfigReady: -want, +got:\n%s", n.reason, diff)
	}
}

// isRotated: a new value rolls the pod if that makes it effective, and not if
// it does not.
func (n namedSecret) isRotated(t *testing.T) {
	t.Helper()
	s := n.running(t)
	before := hashOf(s.get(server.KeyStatefulSet))

	s.removeSecret("mine").add(secret("mine", n.rotated()))
	s.rest(t)
	if got := hashOf(s.get(server.KeyStatefulSet)) != before; got != n.rolls {
		t.Errorf("%s\nA new value rolls the pod: want %t, got %t", n.reason, n.rolls, got)
	}

	s.removeSecret("mine").add(secret("mine", n.values))
	s.rest(t)
	if after := hashOf(s.get(server.KeyStatefulSet)); after != before {
		t.Errorf("%s\nThe old value is back, and the hash is another: %s, %s", n.reason, before, after)
	}
}

// A rotation that needs no restart and one that does are told apart by the
// table above: here it is made sure that no reference is missing in it.
func TestEverySecretReferenceIsNamed(t *testing.T) {
	named := map[string]bool{
		// Held by the tests of R1, R3 and R10.
		"spec.database.postgresSecretRef": true,
		// Kubernetes pulls without a Secret that is not there.
		"spec.pod.imagePullSecrets[]": true,
		// Sent with csi.nodePublishSecretRef in the next test.
		"spec.pod.extraVolumes[].csi.nodePublishSecretRef": true,
		// Read when a cluster is created: TestSecretOfARestore.
		"spec.percona.restoreFrom.repo.credentialsSecretRef": true,
		// Ignored, as its description says.
		"spec.pod.extraEnv[].valueFrom.configMapKeyRef": true,
	}
	for _, n := range namedSecrets() {
		named[strings.ReplaceAll(strings.ReplaceAll(n.field, "[0]", "[]"), "extraEnv[]", "extraEnv[].valueFrom.secretKeyRef")] = true
	}
	named["spec.pod.extraVolumes[].secret"] = named["spec.pod.extraVolumes[]"]

	for _, path := range secretReferences("spec", reflect.TypeFor[v1alpha1.DittoServerSpec]()) {
		if !named[path] {
			t.Errorf("%s refers to a Secret, and is in no test of missing and rotated ones.", path)
		}
	}
}

// secretReferences in a type, by the names of types and fields.
func secretReferences(path string, typ reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Pointer:
		return secretReferences(path, typ.Elem())
	case reflect.Slice:
		return secretReferences(path+"[]", typ.Elem())
	case reflect.Struct:
	default:
		if strings.HasSuffix(path, "SecretName") {
			return []string{path}
		}

		return nil
	}
	if typ == reflect.TypeFor[runtime.RawExtension]() {
		return nil
	}

	var paths []string
	if strings.Contains(typ.Name(), "Secret") || strings.HasSuffix(path, "SecretRef") {
		paths = append(paths, path)
	}
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			paths = append(paths, secretReferences(path, f.Type)...)
		case name != "" && name != "secretName":
			paths = append(paths, secretReferences(path+"."+name, f.Type)...)
		}
	}

	return paths
}

// What has no keys of its own is needed too.
func TestSecretOfACSIVolume(t *testing.T) {
	s := newSituation(namespaced("spec.pod.extraVolumes", []any{object{"name": "extra", "csi": object{
		"driver": "csi.example.org", "nodePublishSecretRef": object{"name": "mine"},
	}}}))
	rsp := s.rest(t)
	if got := conditionOf(rsp, condition.TypeConfigReady); got != "False SecretNotFound" || s.get(server.KeyStatefulSet) != nil {
		t.Errorf("The driver's Secret is missing: ConfigReady is %s, the pod is started: %t", got, s.get(server.KeyStatefulSet) != nil)
	}
	s.add(secret("mine", nil))
	s.rest(t)
	if s.get(server.KeyStatefulSet) == nil {
		t.Error("The driver's Secret is there, and no pod is started.")
	}
}

// A cluster is filled when it is created; until it has been ready, it is said
// what is missing for that.
func TestSecretOfARestore(t *testing.T) {
	s := newSituation(withPercona("spec.percona.restoreFrom", object{"repo": object{
		"s3": object{"bucket": "backups"}, "path": "/pgbackrest/team-a/former/repo1", "credentialsSecretRef": object{"name": "mine"},
	}}))
	rsp := s.rest(t)
	if s.get(server.KeyCluster) == nil {
		t.Fatal("The cluster waits for a Secret that only the operator reads.")
	}
	if got, said := conditionOf(rsp, condition.TypeConfigReady), messageOf(rsp, condition.TypeConfigReady); got != "False SecretNotFound" ||
		!contains(said, "Secret mine in namespace team-a", "spec.percona.restoreFrom.repo.credentialsSecretRef", "filled") {
		t.Errorf("Nothing says what the restore waits for: %s: %s", got, said)
	}
	s.add(secret("mine", map[string]string{"s3.conf": "[global]"}))
	if got := conditionOf(s.rest(t), condition.TypeConfigReady); got != "True ConfigRendered" {
		t.Errorf("The Secret is there, and ConfigReady is %s", got)
	}
	s.perconaIsReady()
	s.rest(t)
	s.removeSecret("mine")
	if got := conditionOf(s.rest(t), condition.TypeConfigReady); got != "True ConfigRendered" {
		t.Errorf("The Secret has been read, and ConfigReady is %s", got)
	}
}

// Whatever else a person has the pod refer to is needed like a Secret: the pod
// would not start without, and a running one is kept (R1, R3).
func TestEveryOtherReference(t *testing.T) {
	configMap := func(keys ...string) object {
		data := object{}
		for _, k := range keys {
			data[k] = "value"
		}

		return object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "mine", "namespace": teamNamespace}, "data": data}
	}
	namespacedObject := func(kind string) object {
		return object{"apiVersion": "v1", "kind": kind, "metadata": object{"name": "mine", "namespace": teamNamespace}}
	}

	cases := map[string]struct {
		reason   string
		edits    []any
		field    string
		object   object
		optional bool
	}{
		"Environment": {
			reason: "A variable from a ConfigMap.", field: "spec.pod.extraEnv[0]", object: configMap("key"),
			edits: []any{"spec.pod.extraEnv", []any{object{"name": "A", "valueFrom": object{"configMapKeyRef": object{"name": "mine", "key": "key"}}}}},
		},
		"EnvironmentOptional": {
			reason: "One that may be missing.", object: configMap("key"), optional: true,
			edits: []any{"spec.pod.extraEnv", []any{object{"name": "A", "valueFrom": object{"configMapKeyRef": object{"name": "mine", "key": "key", "optional": true}}}}},
		},
		"Volume": {
			reason: "A volume of a ConfigMap.", field: "spec.pod.extraVolumes[0]", object: configMap(),
			edits: []any{"spec.pod.extraVolumes", []any{object{"name": "extra", "configMap": object{"name": "mine"}}}},
		},
		"VolumeOptional": {
			reason: "One that may be empty.", object: configMap(), optional: true,
			edits: []any{"spec.pod.extraVolumes", []any{object{"name": "extra", "configMap": object{"name": "mine", "optional": true}}}},
		},
		"VolumeKey": {
			reason: "A file of a ConfigMap.", field: "spec.pod.extraVolumes[0]", object: configMap("key"),
			edits: []any{"spec.pod.extraVolumes", []any{object{"name": "extra", "configMap": object{"name": "mine", "items": []any{object{"key": "key", "path": "file"}}}}}},
		},
		"Claim": {
			reason: "A claim that exists already.", field: "spec.pod.extraVolumes[0]", object: namespacedObject("PersistentVolumeClaim"),
			edits: []any{"spec.pod.extraVolumes", []any{object{"name": "extra", "persistentVolumeClaim": object{"claimName": "mine"}}}},
		},
		"ServiceAccount": {
			reason: "Kubernetes refuses the pod without.", field: "spec.pod.serviceAccountName", object: namespacedObject("ServiceAccount"),
			edits: []any{"spec.pod.serviceAccountName", "mine"},
		},
		"PriorityClass": {
			reason: "Kubernetes refuses the pod without.", field: "spec.pod.priorityClassName",
			object: object{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": object{"name": "mine"}, "value": 1},
			edits:  []any{"spec.pod.priorityClassName", "mine"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSituation(namespaced(tc.edits...)).withInput("policy.allowServiceAccount", true)
			rsp := s.rest(t)
			if got := s.get(server.KeyStatefulSet) != nil; got != tc.optional {
				t.Fatalf("%s\nA pod is started without: want %t, got %t", tc.reason, tc.optional, got)
			}
			kind := textAt(tc.object, "kind")
			if said := messageOf(rsp, condition.TypeConfigReady); !tc.optional && !contains(said, kind+" mine", tc.field) {
				t.Errorf("%s\nThe message does not name object and field: %s", tc.reason, said)
			}

			s.add(tc.object)
			rsp = s.rest(t)
			if got := conditionOf(rsp, condition.TypeConfigReady); got != "True ConfigRendered" || s.get(server.KeyStatefulSet) == nil {
				t.Fatalf("%s\nIt is there, ConfigReady is %s", tc.reason, got)
			}
			s.podIsReady()
			s.rest(t)

			// An edit that leads nowhere leaves a running pod alone.
			live := clone(s.get(server.KeyStatefulSet))
			delete(s.objects, idOfObject(tc.object))
			rsp = s.rest(t)
			if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" {
				t.Errorf("%s\nThe pod is restarted because something is gone: -before, +after:\n%s", tc.reason, diff)
			}
			if got := conditionOf(rsp, condition.TypeConfigReady); !tc.optional && got != "False ReferenceNotFound" {
				t.Errorf("%s\nConfigReady is %s", tc.reason, got)
			}
		})
	}
}

// The server's own claims come with its pod: nobody waits for them.
func TestOwnClaimIsNoReference(t *testing.T) {
	s := newSituation(namespaced("spec.pod.extraVolumes", []any{object{"name": "again", "persistentVolumeClaim": object{"claimName": "metadata-files-0"}}}))
	s.rest(t)
	if s.get(server.KeyStatefulSet) == nil {
		t.Error("The server waits for a claim that only comes with its pod.")
	}
}

// A token key that is too short keeps the server from starting.
func TestShortTokenKey(t *testing.T) {
	s := newSituation(namespaced("spec.identity.jwt.secretRef", object{"name": "mine", "key": "jwt"})).add(secret("mine", map[string]string{"jwt": "short"}))
	rsp := s.rest(t)
	if got := conditionOf(rsp, condition.TypeConfigReady); got != "False SecretInvalid" || s.get(server.KeyStatefulSet) != nil {
		t.Errorf("The key is too short: ConfigReady is %s, the pod is started: %t", got, s.get(server.KeyStatefulSet) != nil)
	}
	if said := messageOf(rsp, condition.TypeConfigReady); !contains(said, "Secret mine", "key jwt", "spec.identity.jwt.secretRef", "32") || strings.Contains(said, "short") {
		t.Errorf("The message does not say what to do, or says too much: %s", said)
	}
}
