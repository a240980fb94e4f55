package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A cluster that is lost is created again on the volumes that are left: a
// restore would write over them, and a StorageClass is no longer needed.
func TestClusterIsCreatedOnWhatIsLeft(t *testing.T) {
	from := object{"cluster": object{"name": "archive-postgres"}, "targetTime": "2026-05-01T12:00:00Z"}
	xr := withPercona("spec.percona.storageClassName", "fast", "spec.percona.restoreFrom", from)

	s := newSituation(xr)
	if at(composed(s.rest(t), server.KeyCluster), "spec", "dataSource") == nil {
		t.Fatal("A new cluster is not filled.")
	}

	lost := map[string]func(*situation){
		"EverReady":      func(s *situation) { s.removeSecret("files-postgres-pguser-dittofs") },
		"UserSecretLeft": func(s *situation) { setField(s.xr, nil, "status", "database", "everReady") },
	}
	for name, lose := range lost {
		t.Run(name, func(t *testing.T) {
			s := servingOnPercona(t, xr)
			s.remove(server.KeyCluster)
			lose(s)
			delete(s.objects, idOf("storage.k8s.io/v1", "StorageClass", "", "fast"))
			sent := composed(s.response(t), server.KeyCluster)
			if sent == nil {
				t.Fatal("The cluster is not created again: its data stays where nobody reaches it.")
			}
			if got := at(sent, "spec", "dataSource"); got != nil {
				t.Errorf("A restore would write over the volumes that are left: %v", got)
			}

			rsp := s.rest(t)
			if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "False ChangeRefused" {
				t.Errorf("Nothing says that the restore is not repeated: DatabaseUpToDate is %s", got)
			}
		})
	}

	// As long as it is not known what is left, nothing is created.
	s = newSituation(xr).hide(idOf("v1", "Secret", teamNamespace, "files-postgres-pguser-dittofs"))
	if composed(s.response(t), server.KeyCluster) != nil {
		t.Error("A cluster is created before it is known whether another one was there.")
	}
}

// The server stores where the files of LDAP and Kerberos are when it first
// starts with them, and does not start without them afterwards.
func TestFilesThatTheServerHasStored(t *testing.T) {
	s := serving(t, namespaced(
		"spec.identity.ldap", object{
			"enabled": true, "url": "ldaps://dc", "baseDN": "DC=a", "bindDN": "CN=a",
			"bindPasswordSecretRef": object{"name": "krb", "key": "pw"}, "caSecretRef": object{"name": "ca"},
		},
		"spec.identity.kerberos", object{
			"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG",
			"keytabSecretRef": object{"name": "krb", "key": "kt"}, "krb5ConfSecretRef": object{"name": "krb", "key": "conf"},
		}), secret("krb", map[string]string{"kt": "1", "conf": "2", "pw": "3"}), secret("ca", map[string]string{"ca.crt": "4"}))
	before := secretMounts(s)
	volumes := at(podTemplate(s.get(server.KeyStatefulSet)), "spec", "volumes")

	s.editXR("spec.identity", nil)
	s.rest(t)
	if diff := cmp.Diff(before, secretMounts(s)); diff != "" {
		t.Errorf("Files that the server has stored the paths of are gone: -before, +after:\n%s", diff)
	}
	if diff := cmp.Diff(volumes, at(podTemplate(s.get(server.KeyStatefulSet)), "spec", "volumes")); diff != "" {
		t.Errorf("The volumes: -before, +after:\n%s", diff)
	}

	live := clone(s.get(server.KeyStatefulSet))
	s.removeSecret("krb").editXR("spec.logging.level", "DEBUG")
	rsp := s.rest(t)
	if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" {
		t.Errorf("The pod is restarted without what it needs: -before, +after:\n%s", diff)
	}
	if got, said := conditionOf(rsp, condition.TypeConfigReady), messageOf(rsp, condition.TypeConfigReady); got != "False SecretKeyMissing" || !contains(said, "Secret krb", "REST API") {
		t.Errorf("ConfigReady is %s: %s", got, said)
	}
}

// A pod that is kept keeps the file that it was started with, also when the
// next one is stored already; and clients are told what it speaks.
func TestKeptPodKeepsItsFile(t *testing.T) {
	certificate := secret("tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
	s := serving(t, namespaced(), certificate)
	file := textAt(s.get(server.KeyConfig), "data", "config.yaml")
	s.editXR("spec.controlPlane.certSecretName", "tls")
	s.reconcile(t) // The file is stored, the pod waits.
	if !strings.Contains(textAt(s.get(server.KeyConfig), "data", "config.yaml"), "tls") {
		t.Fatal("The file is not stored first.")
	}
	if got := textAt(s.xr, "status", "endpoints", "api"); !strings.HasPrefix(got, "http://") {
		t.Errorf("The pod speaks HTTP still, and clients are told %s", got)
	}

	s.removeSecret("tls")
	s.rest(t)
	if diff := cmp.Diff(file, textAt(s.get(server.KeyConfig), "data", "config.yaml")); diff != "" {
		t.Errorf("The pod that is kept would start with a file that it cannot read: -before, +after:\n%s", diff)
	}
	if got := secretValue(s.get(server.KeyConnection), "api-url"); !strings.HasPrefix(got, "http://") {
		t.Errorf("The pod is kept on HTTP, and clients are told %s", got)
	}

	// Once the Secret is back it goes on, and nothing is left behind.
	s.add(certificate)
	s.rest(t)
	if len(secretMounts(s)) != 1 || !strings.HasPrefix(secretValue(s.get(server.KeyConnection), "api-url"), "https://") {
		t.Errorf("TLS is not on: mounts %v", secretMounts(s))
	}
	if got := mapAt(s.get(server.KeyConfig), "data"); len(got) != 1 {
		t.Errorf("More than the one file is left: %v", got)
	}

	// A pod that runs with the new file keeps that.
	next := textAt(s.get(server.KeyConfig), "data", "config.yaml")
	s.removeSecret("tls").editXR("spec.logging.level", "DEBUG")
	s.rest(t)
	if diff := cmp.Diff(next, textAt(s.get(server.KeyConfig), "data", "config.yaml")); diff != "" {
		t.Errorf("The file of a pod that is kept changes: -before, +after:\n%s", diff)
	}
	if got := secretValue(s.get(server.KeyConnection), "api-url"); !strings.HasPrefix(got, "https://") {
		t.Errorf("The pod is kept on HTTPS, and clients are told %s", got)
	}
}

// An edit that is taken back before the pod follows leaves no trace.
func TestEditThatIsTakenBack(t *testing.T) {
	s := serving(t, namespaced())
	config, live := clone(s.get(server.KeyConfig)), clone(s.get(server.KeyStatefulSet))
	s.editXR("spec.logging.level", "DEBUG")
	s.reconcile(t)
	s.editXR("spec.logging.level", nil)
	s.rest(t)
	if diff := cmp.Diff(mapAt(config, "data"), mapAt(s.get(server.KeyConfig), "data")); diff != "" {
		t.Errorf("The ConfigMap: -before, +after:\n%s", diff)
	}
	if diff := rolls(live, s.get(server.KeyStatefulSet)); diff != "" {
		t.Errorf("The pod: -before, +after:\n%s", diff)
	}
}

// A default that a person had changed is a default again when that is taken
// back (R24 keeps only those that nobody set).
func TestTimeoutThatIsTakenBack(t *testing.T) {
	s := serving(t, namespaced("spec.config", object{"shutdown_timeout": "20s"}))
	if got := at(configOf(t, s), "shutdown_timeout"); got != "20s" {
		t.Fatalf("shutdown_timeout: got %v", got)
	}
	s.editXR("spec.config", nil)
	s.rest(t)
	if got := at(configOf(t, s), "shutdown_timeout"); got != "30s" {
		t.Errorf("The setting is gone, and its value stays: %v", got)
	}
	if got := at(composed(s.response(t), server.KeyConfig), "metadata", "annotations", "dittofs.io/shutdown-timeout"); got != nil {
		t.Errorf("It is still marked as a person's: %v", got)
	}
}
