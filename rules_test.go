package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	xplogging "github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Names of objects that the tests read often.
const (
	userSecretName = serverName + "-postgres-pguser-dittofs"
	caSecretName   = serverName + "-postgres-cluster-cert"

	jwtKey = "0123456789abcdef0123456789abcdef"
)

// externalSecretName is what an external Secret of the tests is called.
const externalSecretName = "legacy-db"

// onExternal is a DittoServer on a PostgreSQL that a Secret leads to.
func onExternal(edits ...any) object {
	return edit(namespaced("spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": externalSecretName}}), edits...)
}

// externalSecret with some values in place of the usual ones; an empty one is
// left out.
func externalSecret(values map[string]string) object {
	all := map[string]string{"host": "db.example.org", "database": "ditto", "user": "app", "password": "external-password"}
	maps.Copy(all, values)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })

	return secret(externalSecretName, all)
}

// sameTemplate compares a composed pod template with the live one, in which an
// API server prints nulls.
func sameTemplate(live, got object) string {
	return cmp.Diff(stripNulls(podTemplate(live)), stripNulls(podTemplate(got)))
}

// rolls tells how applying a composed StatefulSet changes the live pod
// template, once an API server has filled in what it fills in.
func rolls(live, sent object) string {
	sent = clone(sent)
	fillIn(sent)

	return sameTemplate(live, sent)
}

func stripNulls(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for k, e := range v {
			if e != nil {
				out[k] = stripNulls(e)
			}
		}

		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, stripNulls(e))
		}

		return out
	}

	return v
}

func TestR01CreationIsGated(t *testing.T) {
	base := waiting(t, withPercona())
	complete := func(s *situation) { s.perconaIsReady() }
	without := func(key string) func(s *situation) {
		return func(s *situation) {
			s.perconaIsReady()
			o := userSecret(userPassword)
			setField(o, nil, "data", key)
			s.add(o)
		}
	}
	byReference := func(edits ...any) func(s *situation) {
		return func(s *situation) {
			s.perconaIsReady()
			s.editXR("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}, "spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"})
			s.add(secret("tokens", map[string]string{"k": jwtKey}), secret("root", map[string]string{"p": "admin-password"}))
			for i := 0; i+1 < len(edits); i += 2 {
				name, _ := edits[i].(string)
				s.removeSecret(name)
				if o, ok := edits[i+1].(object); ok {
					s.add(o)
				}
			}
		}
	}

	cases := map[string]struct {
		reason string
		do     func(s *situation)
		want   bool
	}{
		"Initializing": {"The cluster is not ready.", func(*situation) {}, false},
		"Complete":     {"The cluster is ready and every key is found.", complete, true},
		"StateUnknown": {"A state that no operator reports is not ready.", func(s *situation) { complete(s); s.clusterState("wonderful", 1) }, false},
		"NoState":      {"A cluster without status is not ready.", func(s *situation) { complete(s); s.edit(server.KeyCluster, "status", nil) }, false},
		"NeverReady":   {"One pod that is ready does not do before the cluster has ever been.", func(s *situation) { complete(s); s.clusterState("initializing", 1) }, false},
		"BeingDeleted": {"The state of a cluster that is being deleted is no longer kept up.", func(s *situation) {
			complete(s)
			s.edit(server.KeyCluster, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z")
		}, false},
		"NoUserSecret": {"The pod could not be started.", func(s *situation) { complete(s); s.removeSecret(userSecretName) }, false},
		"NoHost":       {"The key host is needed.", without("host"), false},
		"NoPort":       {"The key port is needed.", without("port"), false},
		"NoDatabase":   {"The key dbname is needed.", without("dbname"), false},
		"NoUser":       {"The key user is needed.", without("user"), false},
		"NoPassword":   {"The key password is needed.", without("password"), false},
		"NoURI":        {"The key uri is needed, for DATABASE_URL.", without("uri"), false},
		"NoVerifier":   {"No pod reads the key verifier.", without("verifier"), true},
		"NoCA":         {"verify-full needs the authority's certificate.", func(s *situation) { complete(s); s.removeSecret(caSecretName) }, false},
		"CAWithoutKey": {"verify-full needs the authority's certificate.", func(s *situation) { complete(s); s.add(secret(caSecretName, map[string]string{"tls.crt": "c"})) }, false},
		"NoCANeeded": {"require verifies nothing.", func(s *situation) {
			complete(s)
			s.removeSecret(caSecretName)
			s.editXR("spec.percona.sslMode", "require")
		}, true},
		"References":       {"What the references lead to is there.", byReference(), true},
		"NoJWTSecret":      {"The pod could not be started.", byReference("tokens", nil), false},
		"JWTKeyMissing":    {"The pod could not be started.", byReference("tokens", secret("tokens", map[string]string{"other": jwtKey})), false},
		"JWTKeyTooShort":   {"The server would exit.", byReference("tokens", secret("tokens", map[string]string{"k": jwtKey[1:]})), false},
		"NoAdminSecret":    {"The pod could not be started.", byReference("root", nil), false},
		"AdminKeyMissing":  {"The pod could not be started.", byReference("root", secret("root", map[string]string{"q": "x"})), false},
		"NoGeneratedJWT":   {"It is made first, and found afterwards.", func(s *situation) { complete(s); s.remove(server.KeyJWTSecret) }, false},
		"NoGeneratedAdmin": {"It is made first, and found afterwards.", func(s *situation) { complete(s); s.remove(server.KeyAdminCredentials, server.KeyConnection) }, false},
		"UserSecretUnknown": {"Nobody has looked for it yet.", func(s *situation) {
			complete(s)
			s.hide(idOf("v1", "Secret", teamNamespace, userSecretName))
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			tc.do(s)
			rsp := s.response(t)
			if got := composed(rsp, server.KeyStatefulSet) != nil; got != tc.want {
				t.Errorf("%s\nStatefulSet composed: want %t, got %t; conditions: %v", tc.reason, tc.want, got, rsp.GetConditions())
			}
			if composed(rsp, server.KeyCluster) == nil {
				t.Errorf("%s\nThe cluster was let go of.", tc.reason)
			}
			if !tc.want && rsp.GetDesired().GetComposite().GetReady() != fnv1.Ready_READY_FALSE {
				t.Errorf("%s\nThe XR is not explicitly unready while its StatefulSet is held back (R15).", tc.reason)
			}
		})
	}
}

func TestR01FirstCallHasNoStatefulSet(t *testing.T) {
	rsp := newSituation(withPercona()).response(t)
	want := []string{
		"admin-credentials", "api-service", "config", "connection", "headless-service", "jwt-secret",
		"network-policy", "nfs-service", "postgres-cluster", "smb-service",
	}
	if diff := cmp.Diff(want, composedKeys(rsp)); diff != "" {
		t.Errorf("A server that waits for its database has everything but the StatefulSet: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff("False PerconaCreating", conditionOf(rsp, condition.TypeDatabaseReady)); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

// harm is what can happen to a server that runs on Percona.
func harm() map[string]func(s *situation) {
	return map[string]func(s *situation){
		"Initializing":       func(s *situation) { s.clusterState("initializing", 0) },
		"Paused":             func(s *situation) { s.clusterState("paused", 0) },
		"Stopping":           func(s *situation) { s.clusterState("stopping", 0) },
		"NoState":            func(s *situation) { s.edit(server.KeyCluster, "status", nil) },
		"BeingDeleted":       func(s *situation) { s.edit(server.KeyCluster, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z") },
		"ClusterDeleted":     func(s *situation) { s.remove(server.KeyCluster) },
		"OperatorGone":       func(s *situation) { s.remove(server.KeyCluster).removePercona() },
		"UserSecretDeleted":  func(s *situation) { s.removeSecret(userSecretName) },
		"UserSecretEmpty":    func(s *situation) { s.add(secret(userSecretName, nil)) },
		"UserSecretRotating": func(s *situation) { s.add(edit(userSecret(userPassword), "data.password", "bmV3")) },
		"CADeleted":          func(s *situation) { s.removeSecret(caSecretName) },
		"JWTSecretDeleted":   func(s *situation) { s.remove(server.KeyJWTSecret) },
		"JWTSecretEmpty":     func(s *situation) { s.edit(server.KeyJWTSecret, "data", nil) },
		"AdminDeleted":       func(s *situation) { s.remove(server.KeyAdminCredentials) },
		"AdminLost":          func(s *situation) { s.remove(server.KeyAdminCredentials, server.KeyConnection) },
		"ConfigDeleted":      func(s *situation) { s.remove(server.KeyConfig) },
		"ServicesDeleted":    func(s *situation) { s.remove(server.KeyAPIService, server.KeyNFSService) },
		"JWTReferenceEmpty":  func(s *situation) { s.editXR("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}) },
		"AdminReference": func(s *situation) {
			s.editXR("spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"})
		},
		"PerconaOff":    func(s *situation) { s.editXR("spec.percona.enabled", false) },
		"OtherDatabase": func(s *situation) { s.editXR("spec.percona.databaseName", "other") },
		"External": func(s *situation) {
			s.editXR("spec.percona.enabled", false, "spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": "elsewhere"}})
		},
		"NamespaceUnknown":  func(s *situation) { s.hide(idOf("v1", "Namespace", "", teamNamespace)) },
		"APIServiceUnknown": func(s *situation) { s.hide(idOf("apiregistration.k8s.io/v1", "APIService", "", percona.APIService)) },
		"StatusLost":        func(s *situation) { s.editXR("status", nil) },
	}
}

func TestR01ExistenceIsNeverGated(t *testing.T) {
	base := servingOnPercona(t, withPercona())

	for name, do := range harm() {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			do(s)
			before := slices.Sorted(maps.Keys(s.composed))
			rsp := s.response(t)

			if text := fatal(rsp); text != "" {
				t.Fatalf("Fatal: %s", text)
			}
			if composed(rsp, server.KeyStatefulSet) == nil {
				t.Fatal("The StatefulSet left desired state: Crossplane would delete the running server.")
			}
			for _, k := range before {
				if composed(rsp, server.Key(k)) == nil {
					t.Errorf("%s left desired state: Crossplane would delete it.", k)
				}
			}
			if got := at(composed(rsp, server.KeyStatefulSet), "spec", "replicas"); got != 1.0 {
				t.Errorf("replicas: want 1, got %v", got)
			}
			if diff := rolls(s.get(server.KeyStatefulSet), composed(rsp, server.KeyStatefulSet)); diff != "" {
				t.Errorf("The pod is rolled: -live, +sent:\n%s", diff)
			}

			// Nor does any call of the requirements loop let go of anything.
			first := run(t, s.request())
			for _, k := range before {
				if composed(first, server.Key(k)) == nil {
					t.Errorf("%s is not desired in the first call.", k)
				}
			}
		})
	}
}

func TestR01RestoredAfterItWasReady(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(s *situation)
		want   bool
	}{
		"OnePodAnswers":    {"The database has been ready before and one pod answers.", func(s *situation) { s.clusterState("initializing", 1) }, true},
		"NoPodAnswers":     {"Nothing answers.", func(s *situation) { s.clusterState("initializing", 0) }, false},
		"SecretIncomplete": {"Everything that the pod needs must be there.", func(s *situation) { s.clusterState("initializing", 1).add(secret(userSecretName, nil)) }, false},
		"NeverReady":       {"status.database.everReady was never reported.", func(s *situation) { s.clusterState("initializing", 1).editXR("status.database.everReady", nil) }, false},
	}
	base := servingOnPercona(t, withPercona()).remove(server.KeyStatefulSet)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			tc.do(s)
			if got := composed(s.response(t), server.KeyStatefulSet) != nil; got != tc.want {
				t.Errorf("%s\nStatefulSet composed: want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}

func TestR02UnknownIsNotAbsent(t *testing.T) {
	servers := map[string]*situation{
		"Percona":  servingOnPercona(t, withPercona()),
		"External": serving(t, onExternal(), externalSecret(nil)),
		"SQLite":   serving(t, namespaced()),
		"References": serving(t, onExternal("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}, "spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}),
			externalSecret(nil), secret("tokens", map[string]string{"k": jwtKey}), secret("root", map[string]string{"p": "x"})),
	}
	check := func(t *testing.T, s *situation, rsp *fnv1.RunFunctionResponse) {
		t.Helper()
		if text := fatal(rsp); text != "" {
			t.Fatalf("Fatal: %s", text)
		}
		for k, id := range s.composed {
			sent := composed(rsp, server.Key(k))
			if sent == nil {
				t.Errorf("%s left desired state.", k)

				continue
			}
			if textAt(sent, "kind") != "Secret" {
				continue
			}
			if diff := cmp.Diff(s.objects[id]["data"], sent["data"]); diff != "" {
				t.Errorf("Secret %s is changed: -live, +sent:\n%s", k, diff)
			}
		}
		if diff := rolls(s.get(server.KeyStatefulSet), composed(rsp, server.KeyStatefulSet)); diff != "" {
			t.Errorf("The pod is rolled: -live, +sent:\n%s", diff)
		}
		for _, k := range composedKeys(rsp) {
			if _, known := s.composed[k]; !known {
				t.Errorf("%s is composed, though nobody knows whether it exists.", k)
			}
		}
	}

	for name, base := range servers {
		t.Run(name+"/NothingAnswered", func(t *testing.T) { check(t, base, run(t, base.request())) })

		first := run(t, base.request())
		for requirement, sel := range first.GetRequirements().GetResources() {
			t.Run(name+"/"+requirement, func(t *testing.T) {
				s := base.clone().hide(idOf(sel.GetApiVersion(), sel.GetKind(), sel.GetNamespace(), sel.GetMatchName()))
				check(t, s, s.response(t))
			})
		}

		// After a restore of the XR nothing is observed as composed, and the
		// first call knows nothing at all.
		t.Run(name+"/NothingObserved", func(t *testing.T) {
			s := base.clone()
			s.composed = map[string]string{}
			if keys := composedKeys(run(t, s.request())); len(keys) > 0 {
				t.Errorf("composed in the dark: %v", keys)
			}
		})
	}
}

func TestR02WrongAnswersAreNone(t *testing.T) {
	base := servingOnPercona(t, withPercona())
	req, want, _ := base.settle(t)

	cases := map[string]struct {
		reason string
		answer string
		items  []*fnv1.Resource
	}{
		"OtherSecret":    {"An answer to another question is none.", "secret/" + userSecretName, []*fnv1.Resource{{Resource: toStruct(secret("other", nil))}}},
		"OtherKind":      {"An answer to another question is none.", "secret/" + userSecretName, []*fnv1.Resource{{Resource: toStruct(edit(userSecret("x"), "kind", "ConfigMap"))}}},
		"OtherNamespace": {"An answer to another question is none.", "secret/" + userSecretName, []*fnv1.Resource{{Resource: toStruct(edit(userSecret("x"), "metadata.namespace", "team-b"))}}},
		"Empty":          {"An object without content is none.", "secret/" + userSecretName, []*fnv1.Resource{{}}},
		"EmptyNamespace": {"An object without content is none.", "namespace", []*fnv1.Resource{{}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := proto.CloneOf(req)
			if _, asked := req.GetRequiredResources()[tc.answer]; !asked {
				t.Fatalf("%q is not asked for", tc.answer)
			}
			req.RequiredResources[tc.answer] = &fnv1.Resources{Items: tc.items}
			rsp := run(t, req)
			if diff := cmp.Diff(composedKeys(want), composedKeys(rsp)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			if diff := rolls(base.get(server.KeyStatefulSet), composed(rsp, server.KeyStatefulSet)); diff != "" {
				t.Errorf("%s\nThe pod is rolled: -live, +sent:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestR02UnknownCreatesNothingPrecious(t *testing.T) {
	all := map[string]string{
		"Namespace":   idOf("v1", "Namespace", "", teamNamespace),
		"APIService":  idOf("apiregistration.k8s.io/v1", "APIService", "", percona.APIService),
		"Cluster":     idOfKey(server.KeyCluster),
		"JWT":         idOfKey(server.KeyJWTSecret),
		"Admin":       idOfKey(server.KeyAdminCredentials),
		"Connection":  idOfKey(server.KeyConnection),
		"StatefulSet": idOfKey(server.KeyStatefulSet),
		"Claim":       idOf("v1", "PersistentVolumeClaim", teamNamespace, "controlplane-files-0"),
	}
	cases := map[string]struct {
		reason string
		hidden string
		never  []server.Key
	}{
		"Namespace":   {"Nothing would outlive the server.", all["Namespace"], []server.Key{server.KeyCluster, server.KeyJWTSecret, server.KeyAdminCredentials}},
		"APIService":  {"The kind may not be served.", all["APIService"], []server.Key{server.KeyCluster}},
		"Cluster":     {"There may be a cluster, and an administrator in it.", all["Cluster"], []server.Key{server.KeyCluster, server.KeyAdminCredentials}},
		"JWT":         {"There may be a key.", all["JWT"], []server.Key{server.KeyJWTSecret}},
		"Admin":       {"There may be a password.", all["Admin"], []server.Key{server.KeyAdminCredentials, server.KeyCluster}},
		"Connection":  {"There may be a password.", all["Connection"], []server.Key{server.KeyAdminCredentials, server.KeyConnection, server.KeyCluster}},
		"StatefulSet": {"A server may have run.", all["StatefulSet"], []server.Key{server.KeyAdminCredentials, server.KeyStatefulSet}},
		"Claim":       {"A server may have run.", all["Claim"], []server.Key{server.KeyAdminCredentials}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := newSituation(withPercona()).hide(tc.hidden).response(t)
			for _, k := range tc.never {
				if composed(rsp, k) != nil {
					t.Errorf("%s\n%s is composed.", tc.reason, k)
				}
			}
			if rsp.GetDesired().GetComposite().GetReady() != fnv1.Ready_READY_FALSE {
				t.Errorf("%s\nThe XR is not explicitly unready.", tc.reason)
			}
		})
	}
}

func TestR03PodsRestartWhenItMakesSomethingEffective(t *testing.T) {
	onPercona := servingOnPercona(t, withPercona())
	references := serving(t, onExternal(
		"spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"},
		"spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"},
		"spec.database.postgresSecretRef.sslMode", "verify-ca", "spec.database.postgresSecretRef.caSecretRef", object{"name": "legacy-ca"},
	), externalSecret(map[string]string{"port": "5433"}), secret("legacy-ca", map[string]string{"ca.crt": "ca"}), secret("tokens", map[string]string{"k": jwtKey, "k2": "x"}), secret("root", map[string]string{"p": "x"}))

	user := func(key, v string) func(s *situation) {
		return func(s *situation) {
			s.add(edit(userSecret(userPassword), "data."+key, textAt(secret("", map[string]string{key: v}), "data", key)))
		}
	}
	xr := func(edits ...any) func(s *situation) { return func(s *situation) { s.editXR(edits...) } }

	cases := map[string]struct {
		reason string
		on     *situation
		do     func(s *situation)
		want   bool
	}{
		"Nothing":              {"Nothing changed.", onPercona, func(*situation) {}, false},
		"PasswordRotated":      {"The server reads it when it starts.", onPercona, func(s *situation) { s.add(userSecret("another")) }, true},
		"PasswordEscapedInURI": {"A password that the URI has to escape is one as well.", onPercona, func(s *situation) { s.add(userSecret("p@ss/w:rd %2")) }, true},
		"Host":                 {"The server reads it when it starts.", onPercona, user("host", "elsewhere"), true},
		"Port":                 {"The server reads it when it starts.", onPercona, user("port", "6432"), true},
		"User":                 {"The server reads it when it starts.", onPercona, user("user", "other"), true},
		"DatabaseName":         {"A Secret that leads to another database is not followed: that would be a change of database (R22).", onPercona, user("dbname", "other"), false},
		"Verifier":             {"No pod reads it.", onPercona, user("verifier", "SCRAM-SHA-256$other"), false},
		"NewKey":               {"No pod reads it.", onPercona, user("jdbc-uri", "jdbc:postgresql://x"), false},
		"SecretMetadata": {"Metadata is not content.", onPercona, func(s *situation) {
			s.add(edit(userSecret(userPassword), "metadata.annotations", object{"a": "b"}, "metadata.labels", object{"c": "d"}, "metadata.generation", 7))
		}, false},
		"CARotated":           {"The server would no longer trust the database.", onPercona, func(s *situation) { s.add(caSecret("another authority")) }, true},
		"CertificateRenewed":  {"Only the authority is mounted.", onPercona, func(s *situation) { s.add(edit(caSecret("certificate of the authority"), "data.tls.crt", nil)) }, false},
		"JWTKeyRotated":       {"Tokens are signed with it.", references, func(s *situation) { s.add(secret("tokens", map[string]string{"k": "x" + jwtKey, "k2": "x"})) }, true},
		"OtherKeyOfJWTSecret": {"No pod reads it.", references, func(s *situation) { s.add(secret("tokens", map[string]string{"k": jwtKey, "k2": "y"})) }, false},
		"AdminPassword":       {"The server reads it on its first boot only.", references, func(s *situation) { s.add(secret("root", map[string]string{"p": "another"})) }, false},
		"AdminSecretDeleted":  {"The server reads it on its first boot only, and the pod that runs has it.", references, func(s *situation) { s.removeSecret("root") }, false},
		"AdminReferenceChanged": {"Another reference makes nothing effective.", references, func(s *situation) {
			s.editXR("spec.identity.admin.passwordSecretRef.name", "root2").add(secret("root2", map[string]string{"p": "y"}))
		}, false},
		"AdminReferenceRemoved": {"Another reference makes nothing effective.", references, xr("spec.identity.admin.passwordSecretRef", nil), false},
		"AdminReferenceAdded": {"Another reference makes nothing effective.", onPercona, func(s *situation) {
			s.editXR("spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}).add(secret("root", map[string]string{"p": "y"}))
		}, false},
		"ExternalPassword":    {"The server reads it when it starts.", references, func(s *situation) { s.add(externalSecret(map[string]string{"port": "5433", "password": "other"})) }, true},
		"ExternalPort":        {"The server reads it when it starts.", references, func(s *situation) { s.add(externalSecret(map[string]string{"port": "6432"})) }, true},
		"ExternalPortRemoved": {"The server falls back to 5432.", references, func(s *situation) { s.add(externalSecret(nil)) }, true},
		"ExternalOtherKey":    {"No pod reads it.", references, func(s *situation) { s.add(externalSecret(map[string]string{"port": "5433", "note": "hello"})) }, false},
		"ExternalCA":          {"The server would no longer trust the database.", references, func(s *situation) { s.add(secret("legacy-ca", map[string]string{"ca.crt": "ca2"})) }, true},
		"LogLevel":            {"The server reads its file when it starts.", onPercona, xr("spec.logging.level", "DEBUG"), true},
		"TokenDuration":       {"The server reads its file when it starts.", onPercona, xr("spec.identity.jwt.accessTokenDuration", "30m"), true},
		"Port of the API":     {"The server reads its file when it starts.", onPercona, xr("spec.controlPlane.port", 9090), true},
		"Image":               {"Another image is another pod.", onPercona, xr("spec.image", "docker.io/marmos91c/dittofs:v0.30.0"), true},
		"SSLMode":             {"A change rolls the pod.", onPercona, xr("spec.percona.sslMode", "verify-ca"), true},
		"XRMetadata":          {"Generation and annotations of the XR mean nothing.", onPercona, xr("metadata.generation", 9, "metadata.resourceVersion", "99", "metadata.annotations", object{"a": "b"}, "metadata.labels", object{"c": "d"}), false},
		"Replicas":            {"The StatefulSet scales by itself.", onPercona, xr("spec.replicas", 0), false},
		"ServiceAnnotations":  {"Services are not in the pod.", onPercona, xr("spec.service", object{"type": "LoadBalancer", "annotations": object{"a": "b"}}), false},
		"Adapters":            {"Services are not in the pod.", onPercona, xr("spec.adapters", object{"nfs": object{"port": 12050}, "smb": object{"enabled": false}}), false},
		"NetworkPolicy":       {"It is not in the pod.", onPercona, xr("spec.networkPolicy.enabled", false), false},
		"DatabaseSize":        {"It is the cluster's.", onPercona, xr("spec.percona.replicas", 3, "spec.percona.storageSize", "20Gi", "spec.percona.updatePolicy", "Always"), false},
		"DeleteWithServer":    {"It is the cluster's.", onPercona, xr("spec.percona.deleteWithServer", true), false},
		"InertFields":         {"They have no effect, so they restart nothing.", onPercona, xr("spec.controlPlane.tls", true, "spec.identity.type", "ldap", "spec.identity.admin.username", "root"), false},
		"DefaultsSpelledOut":  {"A default that is written down is the same as one that is not.", onPercona, xr("spec.logging", object{"level": "INFO", "format": "json", "output": "stdout"}, "spec.controlPlane.port", 8080, "spec.terminationGracePeriodSeconds", 105, "spec.percona.sslMode", "verify-full"), false},
		"StatefulSetAnnotations": {"What others write on the StatefulSet means nothing.", onPercona, func(s *situation) {
			s.edit(server.KeyStatefulSet, "metadata.annotations.note", "x", "metadata.generation", 5)
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := tc.on.clone()
			live := s.get(server.KeyStatefulSet)
			tc.do(s)
			s.reconcile(t)
			s.reconcile(t)
			got := s.response(t)
			if text := fatal(got); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			diff := rolls(live, composed(got, server.KeyStatefulSet))
			if (diff != "") != tc.want {
				t.Errorf("%s\nThe pod is rolled: want %t, -live, +sent:\n%s", tc.reason, tc.want, diff)
			}
			if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(hashOf(composed(got, server.KeyStatefulSet))) {
				t.Errorf("%s\nnot 64 hexadecimal digits: %q", tc.reason, hashOf(composed(got, server.KeyStatefulSet)))
			}
		})
	}
}

func TestR03OnlyTheHashDiffersAfterARotation(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	before := s.response(t)
	after := s.add(userSecret("rotated")).response(t)

	if hashOf(composed(before, server.KeyStatefulSet)) == hashOf(composed(after, server.KeyStatefulSet)) {
		t.Error("The hash did not change.")
	}
	path := "desired.resources.statefulset.resource.spec.template.metadata.annotations." + server.AnnotationConfigHash
	masked := proto.CloneOf(after)
	mapFields := masked.GetDesired().GetResources()["statefulset"].GetResource()
	sts := mapFields.AsMap()
	setField(sts, hashOf(composed(before, server.KeyStatefulSet)), "spec", "template", "metadata", "annotations", server.AnnotationConfigHash)
	masked.Desired.Resources["statefulset"].Resource = toStruct(sts)
	// The live one is ready, but does not know of the rotation yet (R15).
	if got := masked.GetDesired().GetResources()["statefulset"].GetReady(); got != fnv1.Ready_READY_FALSE {
		t.Errorf("The StatefulSet that is about to be rolled out is %s, want it not to be ready.", got)
	}
	masked.Desired.Resources["statefulset"].Ready = fnv1.Ready_READY_TRUE
	if diff := cmp.Diff(before.GetDesired(), masked.GetDesired(), protocmp.Transform()); diff != "" {
		t.Errorf("More than %s changed: -before, +after:\n%s", path, diff)
	}
	if text := secretValue(s.objects[idOf("v1", "Secret", teamNamespace, userSecretName)], "password"); strings.Contains(after.String(), text) {
		t.Error("The password is in the response (R19).")
	}
}

func TestR03InputsAreFramed(t *testing.T) {
	hash := func(user, password string) string {
		values := map[string]string{"user": user, "password": password}

		return hashOf(serving(t, onExternal("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}), externalSecret(values), secret("tokens", map[string]string{"k": jwtKey})).get(server.KeyStatefulSet))
	}
	cases := map[string]struct {
		reason         string
		user, password string
	}{
		"Neighbours": {"A character moved from one value to the next.", "a", "bc"},
		"Names":      {"One value has the name of the next in it.", "z", "xpostgres/usery"},
	}
	others := map[string][2]string{"Neighbours": {"ab", "c"}, "Names": {"ypostgres/userz", "x"}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			other := others[name]
			if hash(tc.user, tc.password) == hash(other[0], other[1]) {
				t.Errorf("%s\nTwo lists of values have the same hash: names and values must be framed by their lengths.", tc.reason)
			}
			if again := hash(tc.user, tc.password); again != hash(tc.user, tc.password) {
				t.Errorf("%s\nThe same values have two hashes.", tc.reason)
			}
		})
	}
}

func TestR03TemplateIsKeptWhole(t *testing.T) {
	onPercona := servingOnPercona(t, withPercona())
	external := serving(t, onExternal("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}), externalSecret(nil), secret("tokens", map[string]string{"k": jwtKey}))
	sqlite := serving(t, namespaced())
	without := func(key string) func(s *situation) {
		return func(s *situation) { s.add(edit(userSecret(userPassword), "data."+key, nil)) }
	}

	cases := map[string]struct {
		reason string
		on     *situation
		do     func(s *situation)
		want   string
	}{
		"UserSecretGone": {"A pod could not be started without it.", onPercona, func(s *situation) { s.removeSecret(userSecretName) }, "False SecretNotFound"},
		"HostGone":       {"A pod could not be started without it.", onPercona, without("host"), "False SecretKeyMissing"},
		"URIGone":        {"A pod could not be started without it.", onPercona, without("uri"), "False SecretKeyMissing"},
		"NotBase64":      {"What cannot be read is not used.", onPercona, func(s *situation) { s.add(edit(userSecret(userPassword), "data.host", "%%%")) }, "False SecretKeyMissing"},
		"NotText":        {"What cannot be read is not used.", onPercona, func(s *situation) { s.add(edit(userSecret(userPassword), "data.host", 7)) }, "False SecretKeyMissing"},
		"Rotating": {"The uri does not carry the password yet.", onPercona, func(s *situation) {
			s.add(edit(userSecret("another"), "data.uri", textAt(userSecret(userPassword), "data", "uri")))
		}, "False SecretKeyMissing"},
		"CAGone":               {"A pod would hang on the volume.", onPercona, func(s *situation) { s.removeSecret(caSecretName) }, "False CASecretNotFound"},
		"CAKeyGone":            {"A pod would hang on the volume.", onPercona, func(s *situation) { s.add(secret(caSecretName, map[string]string{"tls.crt": "x"})) }, "False SecretKeyMissing"},
		"JWTReferenceGone":     {"A pod could not be started without it.", external, func(s *situation) { s.removeSecret("tokens") }, "False SecretNotFound"},
		"JWTReferenceNoKey":    {"A pod could not be started without it.", external, func(s *situation) { s.add(secret("tokens", map[string]string{"x": jwtKey})) }, "False SecretKeyMissing"},
		"JWTReferenceShort":    {"The server would exit.", external, func(s *situation) { s.add(secret("tokens", map[string]string{"k": "short"})) }, "False SecretInvalid"},
		"ExternalGone":         {"A pod could not be started without it.", external, func(s *situation) { s.removeSecret(externalSecretName) }, "False SecretNotFound"},
		"ExternalNoUser":       {"A pod could not be started without it.", external, func(s *situation) { s.add(externalSecret(map[string]string{"user": ""})) }, "False SecretKeyMissing"},
		"ExternalNeedsCA":      {"The Secret asks for a check that nothing makes possible.", external, func(s *situation) { s.add(externalSecret(map[string]string{"sslmode": "verify-full"})) }, "False SecretInvalid"},
		"ExternalSSLMode":      {"The pod would never get a connection.", external, func(s *situation) { s.add(externalSecret(map[string]string{"sslmode": "bogus"})) }, "False SecretInvalid"},
		"JWTUnreadable":        {"It is restored by a person, not made anew.", sqlite, func(s *situation) { s.edit(server.KeyJWTSecret, "data", object{"jwt-secret": "%%%"}) }, "False SecretKeyMissing"},
		"JWTBeingMadeAnew":     {"A pod could not be started before it is there.", sqlite, func(s *situation) { s.remove(server.KeyJWTSecret) }, "False SecretNotFound"},
		"ChangeRefused":        {"Another database is refused (R22).", onPercona, func(s *situation) { s.editXR("spec.percona.enabled", false) }, "False InvalidSpec"},
		"NewReferenceNotYet":   {"The new one refers to what is not there.", onPercona, func(s *situation) { s.editXR("spec.identity.jwt.secretRef", object{"name": "later", "key": "k"}) }, "False SecretNotFound"},
		"UserSecretUnanswered": {"Nobody has looked for it yet.", onPercona, func(s *situation) { s.hide(idOf("v1", "Secret", teamNamespace, userSecretName)) }, "False SecretNotFound"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := tc.on.clone()
			sts, file := s.get(server.KeyStatefulSet), textAt(s.get(server.KeyConfig), "data", "config.yaml")
			// Edits that would all roll the pod, and some that do not touch it.
			s.editXR(
				"spec.logging.level", "DEBUG", "spec.image", "docker.io/marmos91c/dittofs:v0.31.0", "spec.terminationGracePeriodSeconds", 200,
				"spec.resources", object{"requests": object{"cpu": "1"}},
				"spec.replicas", 0, "spec.service.annotations", object{"team": "a"}, "spec.networkPolicy.enabled", true,
			)
			tc.do(s)
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			if diff := sameTemplate(sts, composed(rsp, server.KeyStatefulSet)); diff != "" {
				t.Errorf("%s\nThe pod template is not kept: -live, +sent:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(file, textAt(composed(rsp, server.KeyConfig), "data", "config.yaml")); diff != "" {
				t.Errorf("%s\nA restart would mix the old pod with a new file: -live, +sent:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
				t.Errorf("%s\nConfigReady: -want, +got:\n%s\n%s", tc.reason, diff, messageOf(rsp, condition.TypeConfigReady))
			}
			if got := at(composed(rsp, server.KeyStatefulSet), "spec", "replicas"); got != 0.0 {
				t.Errorf("%s\nreplicas do not flow: want 0, got %v", tc.reason, got)
			}
			if got := textAt(composed(rsp, server.KeyAPIService), "metadata", "annotations", "team"); got != "a" {
				t.Errorf("%s\nother objects do not flow: want annotation a, got %q", tc.reason, got)
			}
			if rsp.GetDesired().GetComposite().GetReady() != fnv1.Ready_READY_FALSE {
				t.Errorf("%s\nThe XR is ready though its pod is held back (R15).", tc.reason)
			}
		})
	}
}

func TestR03KeptTemplateRecovers(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	s.editXR("spec.logging.level", "DEBUG").removeSecret(userSecretName)
	s.rest(t)
	s.add(userSecret("after the failure"))
	rsp := s.rest(t)
	if !strings.Contains(textAt(s.get(server.KeyConfig), "data", "config.yaml"), "DEBUG") {
		t.Error("The new configuration never came.")
	}
	if got := conditionOf(rsp, condition.TypeConfigReady); got != "True ConfigRendered" {
		t.Errorf("ConfigReady: got %s", got)
	}
}

func TestR04SecretsAreMadeOnce(t *testing.T) {
	s := newSituation(withPercona())
	first := s.reconcile(t)
	jwt := secretValue(composed(first, server.KeyJWTSecret), "jwt-secret")
	password := secretValue(composed(first, server.KeyAdminCredentials), "password")

	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(jwt) {
		t.Errorf("The JWT key is to be 43 URL-safe characters: %q", jwt)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{20,}$`).MatchString(password) {
		t.Errorf("The password is to be URL-safe and long: %q", password)
	}
	if got := secretValue(composed(first, server.KeyAdminCredentials), "username"); got != "admin" {
		t.Errorf("username: want admin, got %q", got)
	}
	other := newSituation(withPercona()).response(t)
	if secretValue(composed(other, server.KeyJWTSecret), "jwt-secret") == jwt || secretValue(composed(other, server.KeyAdminCredentials), "password") == password {
		t.Error("Two servers have the same secrets.")
	}

	s.perconaIsReady()
	s.rest(t)
	s.podIsReady()
	s.rest(t)
	check := func(t *testing.T, reason string, rsp *fnv1.RunFunctionResponse) {
		t.Helper()
		for key, want := range map[server.Key]map[string]string{
			server.KeyJWTSecret:        {"jwt-secret": jwt},
			server.KeyAdminCredentials: {"username": "admin", "password": password},
		} {
			o := composed(rsp, key)
			got := map[string]string{}
			for k := range mapAt(o, "data") {
				got[k] = secretValue(o, k)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s: -want, +got:\n%s", reason, key, diff)
			}
			if o["immutable"] != true {
				t.Errorf("%s\n%s is not immutable: a write from a stale view could rotate it.", reason, key)
			}
		}
	}
	check(t, "They stay as they were made.", s.response(t))

	for name, tc := range map[string]struct {
		reason string
		do     func(s *situation)
	}{
		"ReferencesStale": {"They are live, and the XR does not refer to them yet.", func(s *situation) { s.forget(server.KeyJWTSecret, server.KeyAdminCredentials) }},
		"JWTReplaced": {"A generated Secret stays when a reference replaces it.", func(s *situation) {
			s.editXR("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}).add(secret("tokens", map[string]string{"k": jwtKey}))
		}},
		"AdminReplaced": {"A generated Secret stays when a reference replaces it.", func(s *situation) {
			s.editXR("spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}).add(secret("root", map[string]string{"p": "x"}))
		}},
		"ReferenceDangling": {"A generated Secret stays when a reference replaces it.", func(s *situation) { s.editXR("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}) }},
		"AdminDeleted":      {"The password is restored from the connection Secret.", func(s *situation) { s.remove(server.KeyAdminCredentials) }},
		"ServerDeleted":     {"The next server of the same name finds them.", func(s *situation) { s.recreateXR(withPercona()) }},
		"StatefulSetGone":   {"A server that has run keeps its secrets.", func(s *situation) { s.remove(server.KeyStatefulSet) }},
		"ConnectionDeleted": {"It is made from the credentials, not the other way round.", func(s *situation) { s.remove(server.KeyConnection) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.clone()
			tc.do(s)
			check(t, tc.reason, s.response(t))
			if got := secretValue(composed(s.response(t), server.KeyConnection), "password"); got != password {
				t.Errorf("%s\nconnection: want the password %q, got %q", tc.reason, password, got)
			}
		})
	}
}

func TestR04DeletingTheJWTSecretRotatesIt(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	key, hash := secretValue(s.get(server.KeyJWTSecret), "jwt-secret"), hashOf(s.get(server.KeyStatefulSet))
	s.remove(server.KeyJWTSecret)
	s.rest(t)
	if got := secretValue(s.get(server.KeyJWTSecret), "jwt-secret"); got == "" || got == key {
		t.Errorf("The key did not change: %q", got)
	}
	if got := hashOf(s.get(server.KeyStatefulSet)); got == hash {
		t.Error("The pod was not rolled.")
	}
}

func TestR04SecretsWithOtherContentAreReturnedAsTheyAre(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	s.edit(server.KeyJWTSecret, "data", object{"jwt-secret": textAt(secret("", map[string]string{"v": jwtKey}), "data", "v"), "note": "aGk="})
	rsp := s.response(t)
	if diff := cmp.Diff(s.get(server.KeyJWTSecret)["data"], composed(rsp, server.KeyJWTSecret)["data"]); diff != "" {
		t.Errorf("-live, +sent:\n%s", diff)
	}
}

func TestR04AdminPasswordLost(t *testing.T) {
	lost := servingOnPercona(t, withPercona()).remove(server.KeyAdminCredentials, server.KeyConnection)
	claims := func(s *situation) {
		for _, c := range []string{"controlplane", "metadata", "content"} {
			s.removeOther("v1", "PersistentVolumeClaim", c+"-files-0")
		}
	}
	uncontrolled := func(s *situation) {
		s.edit(server.KeyCluster, "metadata.ownerReferences", nil).forget(server.KeyCluster)
	}

	cases := map[string]struct {
		reason  string
		do      func(s *situation)
		want    string
		witness string
		made    bool
	}{
		"StatefulSetLive": {"A server that runs knows its password already.", func(s *situation) { claims(s); s.remove(server.KeyCluster) }, "False AdminPasswordLost", "StatefulSet files", false},
		"ClaimLive":       {"The password is in the data.", func(s *situation) { s.remove(server.KeyStatefulSet, server.KeyCluster) }, "False AdminPasswordLost", "PersistentVolumeClaim controlplane-files-0", false},
		"ClusterReady":    {"The password is in the database.", func(s *situation) { claims(s); s.remove(server.KeyStatefulSet) }, "False AdminPasswordLost", "PerconaPGCluster files-postgres", false},
		"ClusterSurvived": {"The password is in the database of an earlier server.", func(s *situation) {
			claims(s)
			s.remove(server.KeyStatefulSet).editXR("status", nil)
			uncontrolled(s)
		}, "False AdminPasswordLost", "PerconaPGCluster files-postgres", false},
		"ClusterNeverReady": {"A first apply was cut short between the cluster and the Secret.", func(s *situation) {
			claims(s)
			s.remove(server.KeyStatefulSet).editXR("status", nil).clusterState("initializing", 0)
		}, "False SecretNotFound", "", true},
		"NothingLive": {"No server has run: a new password is right.", func(s *situation) {
			claims(s)
			s.remove(server.KeyStatefulSet, server.KeyCluster).editXR("status", nil)
		}, "False SecretNotFound", "", true},
		"StatefulSetUnknown": {"It is not known whether a server has run.", func(s *situation) {
			claims(s)
			s.remove(server.KeyStatefulSet, server.KeyCluster).hide(idOfKey(server.KeyStatefulSet))
		}, "False SecretNotFound", "", false},
		"ReferenceNamed": {"A person names the password.", func(s *situation) {
			s.remove(server.KeyStatefulSet).editXR("spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}).add(secret("root", map[string]string{"p": "x"}))
		}, "True ConfigRendered", "", false},
		"Restored": {"A person restores it from a backup.", func(s *situation) {
			s.add(edit(secret("files-admin-bootstrap-credentials", map[string]string{"username": "admin", "password": "restored"}),
				"metadata.labels", object{server.LabelServer: serverName}, "metadata.annotations", object{server.AnnotationKey: "admin-credentials"}))
		}, "True ConfigRendered", "", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := lost.clone()
			tc.do(s)
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
				t.Errorf("%s\nConfigReady: -want, +got:\n%s\n%s", tc.reason, diff, messageOf(rsp, condition.TypeConfigReady))
			}
			if !strings.Contains(messageOf(rsp, condition.TypeConfigReady), tc.witness) {
				t.Errorf("%s\nThe message does not name %s: %s", tc.reason, tc.witness, messageOf(rsp, condition.TypeConfigReady))
			}
			if got := composed(rsp, server.KeyAdminCredentials) != nil; got != tc.made {
				t.Errorf("%s\nadmin-credentials composed: want %t, got %t", tc.reason, tc.made, got)
			}
			if tc.witness != "" && composed(rsp, server.KeyConnection) != nil && at(composed(rsp, server.KeyConnection), "data", "password") != nil {
				t.Errorf("%s\nThe connection Secret has a password that nobody knows.", tc.reason)
			}
			for k := range s.composed {
				if composed(rsp, server.Key(k)) == nil {
					t.Errorf("%s\n%s left desired state.", tc.reason, k)
				}
			}
		})
	}
}

func TestR05ImmutableFieldsFollowTheLiveObject(t *testing.T) {
	s := serving(t, namespaced())
	claim := clone(mapAt(s.get(server.KeyStatefulSet), "spec", "volumeClaimTemplates", "0"))
	s.edit(server.KeyStatefulSet,
		"spec.selector", object{"matchLabels": object{"app": "dittofs-server", "instance": serverName, "legacy": "yes"}},
		"spec.serviceName", "another-headless",
		"spec.podManagementPolicy", "OrderedReady",
		"spec.volumeClaimTemplates", []any{
			claim,
			edit(clone(claim), "metadata.name", "metadata", "spec.resources.requests.storage", "10Gi"),
			edit(clone(claim), "metadata.name", "content", "spec.resources.requests.storage", "5Gi"),
			edit(clone(claim), "metadata.name", "scratch", "spec.resources.requests.storage", "1Gi"),
		})
	s.editXR("spec.logging.level", "DEBUG")
	live := s.get(server.KeyStatefulSet)
	s.reconcile(t) // Stores the file that the new pod starts with.
	sent := composed(s.response(t), server.KeyStatefulSet)

	for _, f := range []string{"selector", "serviceName", "podManagementPolicy"} {
		if diff := cmp.Diff(at(live, "spec", f), at(sent, "spec", f)); diff != "" {
			t.Errorf("spec.%s: -live, +sent:\n%s", f, diff)
		}
	}
	var want []any
	for _, c := range listAt(live, "spec", "volumeClaimTemplates") {
		c, _ := stripNulls(c).(object)
		delete(c, "status")
		want = append(want, c)
	}
	if diff := cmp.Diff(want, listAt(sent, "spec", "volumeClaimTemplates")); diff != "" {
		t.Errorf("spec.volumeClaimTemplates: -live, +sent:\n%s", diff)
	}
	if got := textAt(podTemplate(sent), "spec", "containers", "name=dittofs", "volumeMounts", "name=content", "mountPath"); got != "/data/store/block" {
		t.Errorf("The mounts do not follow the claims in force: content is mounted at %q", got)
	}
	if at(podTemplate(sent), "spec", "containers", "name=dittofs", "volumeMounts", "name=scratch") != nil {
		t.Error("A claim that means nothing to the server is mounted.")
	}
	if hashOf(live) == hashOf(sent) {
		t.Error("Everything else does not flow: the log level did not change the hash.")
	}
}

func TestR05StorageUpToDate(t *testing.T) {
	base := serving(t, namespaced("spec.storage.contentSize", "50Gi", "spec.storage.storageClassName", "fast"))
	recreate := "kubectl -n team-a delete statefulset files --cascade=orphan"

	cases := map[string]struct {
		reason string
		edits  []any
		want   string
		says   []string
	}{
		"Matches":      {"Nothing else is asked for.", nil, "True Matches", nil},
		"Canonical":    {"The same size in other words is the same.", []any{"spec.storage.metadataSize", "10240Mi"}, "True Matches", nil},
		"Larger":       {"Volumes grow by the hand of a person.", []any{"spec.storage.metadataSize", "20Gi"}, "False ExpansionRequired", []string{"metadata", "10Gi", "20Gi", "kubectl -n team-a patch pvc metadata-files-0", `"storage":"20Gi"`, recreate}},
		"Smaller":      {"Volumes do not shrink.", []any{"spec.storage.controlPlaneSize", "500Mi"}, "False ImmutableFieldChanged", []string{"controlplane", "spec.storage"}},
		"NoContent":    {"A claim is not given up by an edit.", []any{"spec.storage.contentSize", nil}, "False ImmutableFieldChanged", []string{"content", recreate, "content-files-0"}},
		"OtherClass":   {"A volume does not move.", []any{"spec.storage.storageClassName", "slow"}, "False ImmutableFieldChanged", []string{"fast", "slow", "spec.storage.storageClassName"}},
		"NoClassAsked": {"Nobody asks for a class.", []any{"spec.storage.storageClassName", nil}, "True Matches", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone().editXR(tc.edits...).editXR("spec.service.annotations", object{"team": "a"})
			rsp := s.response(t)
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeStorageUpToDate)); diff != "" {
				t.Errorf("%s\nStorageUpToDate: -want, +got:\n%s", tc.reason, diff)
			}
			for _, text := range tc.says {
				if !strings.Contains(messageOf(rsp, condition.TypeStorageUpToDate), text) {
					t.Errorf("%s\nThe message does not say %q: %s", tc.reason, text, messageOf(rsp, condition.TypeStorageUpToDate))
				}
			}
			if diff := rolls(s.get(server.KeyStatefulSet), composed(rsp, server.KeyStatefulSet)); diff != "" {
				t.Errorf("%s\nThe pod changes, though its volumes cannot: -live, +sent:\n%s", tc.reason, diff)
			}
			if textAt(composed(rsp, server.KeyAPIService), "metadata", "annotations", "team") != "a" {
				t.Errorf("%s\nEverything else does not flow.", tc.reason)
			}
		})
	}

	t.Run("NewVolume", func(t *testing.T) {
		s := serving(t, namespaced()).editXR("spec.storage.contentSize", "50Gi")
		rsp := s.response(t)
		if got := conditionOf(rsp, condition.TypeStorageUpToDate); got != "False ImmutableFieldChanged" {
			t.Errorf("A volume is not added to a live StatefulSet: got %s", got)
		}
		if !strings.Contains(messageOf(rsp, condition.TypeStorageUpToDate), recreate) {
			t.Errorf("The message does not say %q: %s", recreate, messageOf(rsp, condition.TypeStorageUpToDate))
		}
		// What the message says works.
		s.remove(server.KeyStatefulSet)
		s.rest(t)
		s.podIsReady()
		if got := conditionOf(s.rest(t), condition.TypeStorageUpToDate); got != "True Matches" {
			t.Errorf("The remedy does not help: got %s", got)
		}
	})
}

// The remedy of StorageUpToDate deletes the StatefulSet, which takes a moment:
// what is sent meanwhile is what the next one is made of.
func TestR05StatefulSetThatIsBeingDeleted(t *testing.T) {
	s := serving(t, namespaced())
	s.editXR("spec.storage.metadataSize", "20Gi", "spec.storage.contentSize", "5Gi")
	s.edit(server.KeyStatefulSet, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z", "metadata.finalizers", []any{"orphan"})
	sent := composed(s.response(t), server.KeyStatefulSet)
	if sent == nil {
		t.Fatal("It leaves desired state: Crossplane would delete it, and its pod with it.")
	}
	sizes := map[string]string{}
	for _, c := range listAt(sent, "spec", "volumeClaimTemplates") {
		sizes[textAt(c, "metadata", "name")] = textAt(c, "spec", "resources", "requests", "storage")
	}
	if diff := cmp.Diff(map[string]string{"controlplane": "1Gi", "metadata": "20Gi", "content": "5Gi"}, sizes); diff != "" {
		t.Errorf("The next one would have the old volumes: -want, +got:\n%s", diff)
	}
	if got := textAt(podTemplate(sent), "spec", "containers", "name=dittofs", "volumeMounts", "name=content", "mountPath"); got != "/data/store/block" {
		t.Errorf("The new volume is not mounted: %q", got)
	}
}

func TestR06LiveClusterIsLeftToTheUser(t *testing.T) {
	base := servingOnPercona(t, withPercona())

	t.Run("SendsExactlyWhatIsOwned", func(t *testing.T) {
		live, sent := base.get(server.KeyCluster), composed(base.response(t), server.KeyCluster)
		if diff := cmp.Diff(live["spec"], sent["spec"]); diff != "" {
			t.Errorf("With everything owned, everything is sent as it is: -live, +sent:\n%s", diff)
		}
		if got := textAt(sent, "metadata", "resourceVersion"); got == "" || got != textAt(live, "metadata", "resourceVersion") {
			t.Errorf("metadata.resourceVersion: want the live %q, so that a stale view meets a conflict, got %q", textAt(live, "metadata", "resourceVersion"), got)
		}
		// A uid ends up in the XR's references, and stops everything.
		for _, f := range []string{"uid", "managedFields", "generation", "creationTimestamp"} {
			if at(sent, "metadata", f) != nil {
				t.Errorf("metadata.%s is sent", f)
			}
		}
		if sent["status"] != nil {
			t.Error("status is sent")
		}
	})

	cases := map[string]struct {
		reason string
		do     func(s *situation)
		// absent and present are paths in what is sent.
		absent  []string
		present map[string]any
		want    string
		says    []string
	}{
		"ReplicasTakenOver": {
			reason:  "A field that a person took over is not sent, so it is neither reverted nor pruned.",
			do:      func(s *situation) { s.takeOver("spec.instances.0.replicas", 3.0) },
			absent:  []string{"spec.instances.0.replicas"},
			present: map[string]any{"spec.instances.0.name": "instance1"},
			want:    "False SpecDiffers", says: []string{"spec.instances[instance1].replicas", "asked for 1", "has 3", "updatePolicy: Always"},
		},
		"VersionTakenOver": {
			reason: "An upgrade is not reverted, and the images of the old version are not sent.",
			do: func(s *situation) {
				s.takeOver("spec.postgresVersion", 17.0, "spec.image", "docker.io/percona/percona-distribution-postgresql:17.9-1")
			},
			absent: []string{"spec.postgresVersion", "spec.image"},
			want:   "True Matches",
		},
		"BackupTakenOver": {
			reason: "A backup that a person switched on stays.",
			do:     func(s *situation) { s.takeOver("spec.backups.enabled", true) },
			absent: []string{"spec.backups.enabled"},
			want:   "False SpecDiffers", says: []string{"spec.backups.enabled"},
		},
		"FieldAdded": {
			reason: "What others add is theirs.",
			do: func(s *situation) {
				s.takeOver("spec.patroni", object{"dynamicConfiguration": object{"postgresql": object{}}})
			},
			absent: []string{"spec.patroni"},
			want:   "True Matches",
		},
		"Paused": {
			reason: "A pause that a person sets stays, and is said.",
			do:     func(s *situation) { s.takeOver("spec.pause", true) },
			absent: []string{"spec.pause"},
			want:   "True Matches",
		},
		"OperatorWrites": {
			reason: "What the operator writes itself is never sent, whoever is said to own it.",
			do: func(s *situation) {
				s.edit(server.KeyCluster, "spec.pause", true, "spec.backups.pgbackrest.manual", object{"repoName": "repo1"}, "spec.backups.pgbackrest.restore", object{"enabled": true})
				setField(s.get(server.KeyCluster), fieldsOf(object{"spec": s.get(server.KeyCluster)["spec"]}), "metadata", "managedFields", "0", "fieldsV1")
			},
			absent: []string{"spec.pause", "spec.backups.pgbackrest.manual", "spec.backups.pgbackrest.restore"},
			want:   "True Matches",
		},
		"XRReplicas": {
			reason:  "What the XR asks and the cluster lacks is never silent.",
			do:      func(s *situation) { s.editXR("spec.percona.replicas", 3) },
			present: map[string]any{"spec.instances.0.replicas": 1.0},
			want:    "False SpecDiffers", says: []string{"spec.instances[instance1].replicas", "asked for 3", "has 1", "updatePolicy: Always"},
		},
		"XRVersion": {
			reason:  "The version of a live cluster is never changed.",
			do:      func(s *situation) { s.editXR("spec.percona.postgresVersion", 17) },
			present: map[string]any{"spec.postgresVersion": 16.0, "spec.image": "docker.io/percona/percona-distribution-postgresql:16.13-1"},
			want:    "False ChangeRefused", says: []string{"spec.postgresVersion", "asked for 17", "has 16", "PerconaPGUpgrade"},
		},
		"XRShrinks": {
			reason:  "A volume never shrinks.",
			do:      func(s *situation) { s.editXR("spec.percona.storageSize", "5Gi") },
			present: map[string]any{"spec.instances.0.dataVolumeClaimSpec.resources.requests.storage": "10Gi"},
			want:    "False ChangeRefused", says: []string{"asked for 5Gi", "has 10Gi", "at least 10Gi"},
		},
		"NoManagedFields": {
			reason: "Without managedFields the wanted fields are sent with their live values.",
			do: func(s *situation) {
				s.edit(server.KeyCluster, "metadata.managedFields", nil, "spec.instances.0.replicas", 2.0)
			},
			present: map[string]any{"spec.instances.0.replicas": 2.0},
			want:    "False SpecDiffers",
		},
		"AnotherManagersFields": {
			reason: "What Crossplane applied for another XR is not this one's.",
			do: func(s *situation) {
				s.edit(server.KeyCluster, "metadata.managedFields.0.manager", "apiextensions.crossplane.io/composed/0000")
			},
			absent: []string{"spec"},
			want:   "True Matches",
		},
		"AlwaysEnforces": {
			reason: "updatePolicy Always sends the full spec.",
			do: func(s *situation) {
				s.takeOver("spec.instances.0.replicas", 3.0).editXR("spec.percona.updatePolicy", "Always")
			},
			present: map[string]any{"spec.instances.0.replicas": 1.0},
			want:    "True Matches",
		},
		"AlwaysGrows": {
			reason: "A volume may grow.",
			do: func(s *situation) {
				s.editXR("spec.percona.updatePolicy", "Always", "spec.percona.storageSize", "20Gi")
			},
			present: map[string]any{"spec.instances.0.dataVolumeClaimSpec.resources.requests.storage": "20Gi"},
			want:    "True Matches",
		},
		"AlwaysNeverShrinks": {
			reason:  "A volume never shrinks under any policy.",
			do:      func(s *situation) { s.editXR("spec.percona.updatePolicy", "Always", "spec.percona.storageSize", "5Gi") },
			present: map[string]any{"spec.instances.0.dataVolumeClaimSpec.resources.requests.storage": "10Gi"},
			want:    "False ChangeRefused",
		},
		"AlwaysNeverUpgrades": {
			reason: "Neither version nor images of another version are sent under any policy.",
			do: func(s *situation) {
				s.editXR("spec.percona.updatePolicy", "Always", "spec.percona.postgresVersion", 17)
			},
			present: map[string]any{"spec.postgresVersion": 16.0, "spec.image": "docker.io/percona/percona-distribution-postgresql:16.13-1"},
			want:    "False ChangeRefused",
		},
		"AlwaysAfterUpgrade": {
			reason: "After an upgrade the observed version and images rule.",
			do: func(s *situation) {
				s.takeOver("spec.postgresVersion", 17.0, "spec.image", "docker.io/percona/percona-distribution-postgresql:17.9-1").
					editXR("spec.percona.updatePolicy", "Always", "spec.percona.postgresVersion", 16)
			},
			present: map[string]any{"spec.postgresVersion": 17.0, "spec.image": "docker.io/percona/percona-distribution-postgresql:17.9-1"},
			want:    "False ChangeRefused",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			tc.do(s)
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			sent := composed(rsp, server.KeyCluster)
			for _, path := range tc.absent {
				if got := at(sent, strings.Split(path, ".")...); got != nil {
					t.Errorf("%s\n%s is sent: %v", tc.reason, path, got)
				}
			}
			for path, want := range tc.present {
				if diff := cmp.Diff(want, at(sent, strings.Split(path, ".")...)); diff != "" {
					t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, path, diff)
				}
			}
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeDatabaseUpToDate)); diff != "" {
				t.Errorf("%s\nDatabaseUpToDate: -want, +got:\n%s\n%s", tc.reason, diff, messageOf(rsp, condition.TypeDatabaseUpToDate))
			}
			for _, text := range tc.says {
				if !strings.Contains(messageOf(rsp, condition.TypeDatabaseUpToDate), text) {
					t.Errorf("%s\nThe message does not say %q: %s", tc.reason, text, messageOf(rsp, condition.TypeDatabaseUpToDate))
				}
			}
			if labels := mapAt(sent, "metadata", "labels"); labels[server.LabelServer] != serverName {
				t.Errorf("%s\nLabels do not follow the XR: %v", tc.reason, labels)
			}
			if s.get(server.KeyCluster) == nil || sent == nil {
				t.Errorf("%s\nThe cluster is let go of.", tc.reason)
			}
		})
	}
}

func TestR06RepositoryPathFollowsTheLiveCluster(t *testing.T) {
	xr := withPercona("spec.percona.backup", object{"enabled": true, "bucket": "backups"})
	s := servingOnPercona(t, xr)
	path := func(o object) any { return at(o, "spec", "backups", "pgbackrest", "global", "repo1-path") }
	if diff := cmp.Diff("/pgbackrest/team-a/files-0a1b2c3d/repo1", path(s.get(server.KeyCluster))); diff != "" {
		t.Errorf("A new cluster's backups are kept apart by the XR's UID: -want, +got:\n%s", diff)
	}
	s.recreateXR(edit(clone(xr), "spec.percona.updatePolicy", "Always"))
	rsp := s.response(t)
	if diff := cmp.Diff(path(s.get(server.KeyCluster)), path(composed(rsp, server.KeyCluster))); diff != "" {
		t.Errorf("A cluster that survived keeps its repository: -live, +sent:\n%s", diff)
	}
	if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "True Matches" {
		t.Errorf("DatabaseUpToDate: got %s: %s", got, messageOf(rsp, condition.TypeDatabaseUpToDate))
	}
}

func TestR07DataOutlivesTheServer(t *testing.T) {
	second := []any{object{"apiVersion": "v1", "kind": "Namespace", "name": teamNamespace, "uid": namespaceUID}}
	deletePVC := []any{"percona.com/delete-pvc"}

	type ends struct {
		Owners, Finalizers any
		OnDelete           string
		UpToDate           string
	}
	cases := map[string]struct {
		reason string
		s      *situation
		want   ends
	}{
		"Created": {
			reason: "A new cluster has a second owner, the Namespace, from the start.",
			s:      newSituation(withPercona()),
			want:   ends{Owners: second, UpToDate: "True Matches"},
		},
		"CreatedToBeDeleted": {
			reason: "With deleteWithServer it has none, and the operator deletes its volumes.",
			s:      newSituation(withPercona("spec.percona.deleteWithServer", true)),
			want:   ends{Finalizers: deletePVC, UpToDate: "True Matches"},
		},
		"Retained": {
			reason: "What is in force is reported.",
			s:      servingOnPercona(t, withPercona()),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True Matches"},
		},
		"Deleted": {
			reason: "What is in force is reported.",
			s:      servingOnPercona(t, withPercona("spec.percona.deleteWithServer", true)),
			want:   ends{Finalizers: deletePVC, OnDelete: "Delete", UpToDate: "True Matches"},
		},
		"SwitchedToDelete": {
			reason: "The live object differs until it is applied, and that is said.",
			s:      servingOnPercona(t, withPercona()).editXR("spec.percona.deleteWithServer", true),
			want:   ends{Finalizers: deletePVC, OnDelete: "Retain", UpToDate: "False OnDeleteDiffers"},
		},
		"SwitchedToRetain": {
			reason: "The live object differs until it is applied, and that is said.",
			s:      servingOnPercona(t, withPercona("spec.percona.deleteWithServer", true)).editXR("spec.percona.deleteWithServer", false),
			want:   ends{Owners: second, OnDelete: "Delete", UpToDate: "False OnDeleteDiffers"},
		},
		"AlwaysToo": {
			reason: "The second owner follows the XR under both policies.",
			s:      servingOnPercona(t, withPercona("spec.percona.updatePolicy", "Always")),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True Matches"},
		},
		"NamespaceUnknown": {
			reason: "The reference is copied from the live object.",
			s:      servingOnPercona(t, withPercona()).hide(idOf("v1", "Namespace", "", teamNamespace)),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True Matches"},
		},
		"Off": {
			reason: "Switching Percona off does not drop the cluster.",
			s:      servingOnPercona(t, withPercona()).editXR("spec.percona.enabled", false),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
		"OffToBeDeleted": {
			reason: "Switching Percona off does not drop the cluster under deleteWithServer either.",
			s:      servingOnPercona(t, withPercona("spec.percona.deleteWithServer", true)).editXR("spec.percona.enabled", false),
			want:   ends{Finalizers: deletePVC, OnDelete: "Delete", UpToDate: "True NotManaged"},
		},
		"OffAndForgotten": {
			reason: "A cluster that the XR does not refer to is found by what was reported.",
			s:      servingOnPercona(t, withPercona()).editXR("spec.percona.enabled", false).forget(server.KeyCluster),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
		"OffWithoutStatus": {
			reason: "It is found by what the server runs on, too.",
			s:      servingOnPercona(t, withPercona()).editXR("spec.percona.enabled", false, "status", nil).forget(server.KeyCluster),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
		"OffBeforeItRan": {
			reason: "A cluster that no server has used is not dropped either.",
			s:      waiting(t, withPercona()).editXR("spec.percona.enabled", false, "status", nil),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
		"OffBeforeItRanAndForgotten": {
			reason: "It is found by what was reported alone.",
			s:      waiting(t, withPercona()).editXR("spec.percona.enabled", false).forget(server.KeyCluster),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
		"OffUnderAlways": {
			reason: "A cluster that is switched off is not written to any more.",
			s:      servingOnPercona(t, withPercona("spec.percona.updatePolicy", "Always")).editXR("spec.percona.enabled", false, "spec.percona.replicas", 3),
			want:   ends{Owners: second, OnDelete: "Retain", UpToDate: "True NotManaged"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			o := composed(rsp, server.KeyCluster)
			if o == nil {
				t.Fatalf("%s\nThe cluster is not desired: Crossplane would delete it.", tc.reason)
			}
			got := ends{
				Owners: at(o, "metadata", "ownerReferences"), Finalizers: at(o, "metadata", "finalizers"),
				OnDelete: textAt(reported(rsp), "database", "onDelete"), UpToDate: conditionOf(rsp, condition.TypeDatabaseUpToDate),
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			if replicas := at(o, "spec", "instances", "0", "replicas"); replicas != 1.0 {
				t.Errorf("%s\nreplicas: want 1, got %v", tc.reason, replicas)
			}
			for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials} {
				owners := at(composed(rsp, k), "metadata", "ownerReferences")
				if diff := cmp.Diff(any(second), owners); diff != "" {
					t.Errorf("%s\n%s outlives the server always: -want, +got:\n%s", tc.reason, k, diff)
				}
			}
			sts := composed(rsp, server.KeyStatefulSet)
			if sts == nil {
				return
			}
			if diff := cmp.Diff(object{"whenDeleted": "Retain", "whenScaled": "Retain"}, mapAt(sts, "spec", "persistentVolumeClaimRetentionPolicy")); diff != "" {
				t.Errorf("%s\nThe server's own volumes are retained: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("Switching", func(t *testing.T) {
		s := servingOnPercona(t, withPercona())
		for value, want := range map[bool]string{true: "Delete", false: "Retain"} {
			s := s.clone().editXR("spec.percona.deleteWithServer", value)
			rsp := s.rest(t)
			if got := textAt(reported(rsp), "database", "onDelete"); got != want {
				t.Errorf("deleteWithServer %t: want %s in force, got %s", value, want, got)
			}
			if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "True Matches" {
				t.Errorf("deleteWithServer %t: got %s: %s", value, got, messageOf(rsp, condition.TypeDatabaseUpToDate))
			}
		}
	})
}

func TestR07NextServerAdoptsWhatIsLeft(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	s.takeOver("spec.instances.0.replicas", 3.0)
	s.rest(t)
	cluster, jwt, admin := s.get(server.KeyCluster), s.get(server.KeyJWTSecret), s.get(server.KeyAdminCredentials)

	s.recreateXR(withPercona())
	if s.get(server.KeyCluster) == nil || s.get(server.KeyJWTSecret) == nil || s.get(server.KeyAdminCredentials) == nil {
		t.Fatal("The cluster or a generated Secret did not outlive the server.")
	}
	if s.get(server.KeyStatefulSet) != nil {
		t.Fatal("The StatefulSet outlived the server.")
	}
	s.rest(t)

	for k, before := range map[server.Key]object{server.KeyCluster: cluster, server.KeyJWTSecret: jwt, server.KeyAdminCredentials: admin} {
		for _, f := range []string{"spec", "data"} {
			if diff := cmp.Diff(before[f], s.get(k)[f]); diff != "" {
				t.Errorf("%s: %s changed: -before, +after:\n%s", k, f, diff)
			}
		}
		if diff := cmp.Diff(textAt(before, "metadata", "uid"), textAt(s.get(k), "metadata", "uid")); diff != "" {
			t.Errorf("%s is another object: -before, +after:\n%s", k, diff)
		}
	}
	s.podIsReady()
	rsp := s.rest(t)
	if got := conditionOf(rsp, condition.TypeAvailable); got != "True MinimumReplicasAvailable" {
		t.Errorf("The new server does not run: %s", got)
	}
}

func TestR07NothingIsCreatedThatWouldNotOutlive(t *testing.T) {
	references := []any{"spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}, "spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}}
	for name, xr := range map[string]object{"Generated": withPercona(), "References": withPercona(references...)} {
		t.Run(name, func(t *testing.T) {
			s := newSituation(xr).add(secret("tokens", map[string]string{"k": jwtKey}), secret("root", map[string]string{"p": "x"}))
			if composed(s.response(t), server.KeyCluster) == nil {
				t.Fatal("The cluster is not created although the Namespace is known.")
			}
			rsp := s.hide(idOf("v1", "Namespace", "", teamNamespace)).response(t)
			for _, k := range []server.Key{server.KeyCluster, server.KeyJWTSecret, server.KeyAdminCredentials} {
				if composed(rsp, k) != nil {
					t.Errorf("%s is created while the Namespace is unknown.", k)
				}
			}
		})
	}
}

func TestR08OptionalKindsAreComposedWhereTheyAreServed(t *testing.T) {
	offlineXR := func() object { return offline(withPercona()) }
	cases := map[string]struct {
		reason string
		s      *situation
		want   bool
		ready  string
	}{
		"Served":          {"The APIService is found.", newSituation(withPercona()), true, "False PerconaCreating"},
		"NotServed":       {"An unserved kind makes Crossplane abort.", newSituation(withPercona()).removePercona(), false, "False PerconaOperatorNotInstalled"},
		"NotServedLater":  {"It is composed: the kind was served, and dropping it would delete it.", servingOnPercona(t, withPercona()).removePercona(), true, "True PerconaReady"},
		"NotAsked":        {"The feature is off.", newSituation(namespaced()), false, "True Embedded"},
		"Offline":         {"There is no API server to ask.", bareSituation(offlineXR()), true, "False PerconaCreating"},
		"NamespaceGone":   {"The XR was made by an API server, so this is no rendering, and nothing can be composed there.", bareSituation(withPercona()), false, ""},
		"HalfOffline":     {"A Namespace was found, so this is no rendering.", newSituation(offlineXR()).removePercona(), false, "False PerconaOperatorNotInstalled"},
		"NamespaceUnsaid": {"Nobody has looked for the Namespace.", bareSituation(offlineXR()).hide(idOf("v1", "Namespace", "", teamNamespace)), false, "False PerconaCreating"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, rsp, calls := tc.s.settle(t)
			if got := composed(rsp, server.KeyCluster) != nil; got != tc.want {
				t.Errorf("%s\nPerconaPGCluster composed: want %t, got %t", tc.reason, tc.want, got)
			}
			if got := conditionOf(rsp, condition.TypeDatabaseReady); got != tc.ready {
				t.Errorf("%s\nDatabaseReady: want %s, got %s: %s", tc.reason, tc.ready, got, messageOf(rsp, condition.TypeDatabaseReady))
			}
			if calls > 3 {
				t.Errorf("%s\nIt took %d calls to know what to ask for.", tc.reason, calls)
			}
			for name, sel := range rsp.GetRequirements().GetResources() {
				if sel.GetKind() == "CustomResourceDefinition" {
					t.Errorf("%s\n%s asks for a CRD: PerconaPGCluster's is 3 MB", tc.reason, name)
				}
				if sel.GetKind() == "APIService" && !strings.Contains(tc.s.request().String(), "percona") {
					t.Errorf("%s\n%s is asked for though the feature is off", tc.reason, name)
				}
			}
			if len(rsp.GetRequirements().GetSchemas()) > 0 {
				t.Errorf("%s\nschemas are asked for", tc.reason)
			}
		})
	}

	t.Run("SaysWhatToInstall", func(t *testing.T) {
		rsp := newSituation(withPercona()).removePercona().response(t)
		if text := messageOf(rsp, condition.TypeDatabaseReady); !strings.Contains(text, "Percona Operator for PostgreSQL") || !strings.Contains(text, "2.9") {
			t.Errorf("The message does not say which operator to install: %s", text)
		}
	})
	t.Run("FollowsTheInstallation", func(t *testing.T) {
		s := newSituation(withPercona()).removePercona()
		s.rest(t)
		s.add(object{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": object{"name": percona.APIService}})
		s.rest(t)
		if s.get(server.KeyCluster) == nil {
			t.Error("The cluster is not created once the operator is installed.")
		}
	})
	t.Run("SecondRound", func(t *testing.T) {
		// The kind is asked for only once it is known to be served, and not at
		// all when the cluster is observed.
		asks := func(rsp *fnv1.RunFunctionResponse) bool {
			for _, sel := range rsp.GetRequirements().GetResources() {
				if sel.GetKind() == percona.Kind {
					return true
				}
			}

			return false
		}
		s := newSituation(withPercona())
		if asks(run(t, s.request())) {
			t.Error("The cluster is asked for in the first round.")
		}
		if !asks(s.response(t)) {
			t.Error("The cluster is not asked for in the second round.")
		}
		s.rest(t)
		if asks(s.response(t)) {
			t.Error("The cluster is asked for though it is observed.")
		}
	})
}

func TestR09InvalidInputChangesNothing(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	before := s.response(t)
	req, _, _ := s.editXR("spec.storage.metadataSize", "ten").settle(t)
	earlier := &fnv1.State{Resources: map[string]*fnv1.Resource{"earlier": {Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "e"}}), Ready: fnv1.Ready_READY_TRUE}}}
	req.Desired = earlier
	rsp := run(t, req)

	if len(rsp.GetResults()) != 1 || fatal(rsp) == "" {
		t.Fatalf("want one Fatal, got %v", rsp.GetResults())
	}
	if !strings.Contains(fatal(rsp), "spec.storage.metadataSize") || !strings.Contains(fatal(rsp), "10Gi") {
		t.Errorf("The Fatal has no field path or remedy: %s", fatal(rsp))
	}
	if diff := cmp.Diff("False InvalidSpec", conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(fatal(rsp), messageOf(rsp, condition.TypeConfigReady)); diff != "" {
		t.Errorf("The condition has another text than the Fatal: -fatal, +condition:\n%s", diff)
	}
	for _, c := range before.GetConditions() {
		if c.GetType() == condition.TypeConfigReady {
			continue
		}
		i := slices.IndexFunc(rsp.GetConditions(), func(d *fnv1.Condition) bool { return d.GetType() == c.GetType() })
		if i < 0 {
			t.Errorf("%s is not repeated.", c.GetType())

			continue
		}
		if diff := cmp.Diff(c, rsp.GetConditions()[i], protocmp.Transform()); diff != "" {
			t.Errorf("%s is not repeated as it was: -before, +got:\n%s", c.GetType(), diff)
		}
	}
	if diff := cmp.Diff(earlier, rsp.GetDesired(), protocmp.Transform()); diff != "" {
		t.Errorf("What earlier steps want is not passed on untouched: -want, +got:\n%s", diff)
	}

	// Crossplane applies nothing after a Fatal, and all is well once the spec
	// is corrected.
	objects := s.clone().objects
	s.apply(t, rsp)
	if diff := cmp.Diff(objects, s.objects); diff != "" {
		t.Errorf("-before, +after:\n%s", diff)
	}
	s.editXR("spec.storage.metadataSize", "10Gi")
	if diff := cmp.Diff(before.GetDesired(), s.response(t).GetDesired(), protocmp.Transform()); diff != "" {
		t.Errorf("It does not recover: -before, +after:\n%s", diff)
	}
}

// environment of a container: the plain value of a variable, or where it comes
// from as <secret>/<key>, with a question mark if it is optional.
func environment(container any) map[string]string {
	out := map[string]string{}
	for _, e := range listAt(container, "env") {
		ref := mapAt(e, "valueFrom", "secretKeyRef")
		out[textAt(e, "name")] = textAt(e, "value")
		if ref != nil {
			out[textAt(e, "name")] = textAt(ref, "name") + "/" + textAt(ref, "key")
		}
		if ref["optional"] == true {
			out[textAt(e, "name")] += "?"
		}
	}

	return out
}

func TestR10ServerReallyUsesTheDatabase(t *testing.T) {
	cases := map[string]struct {
		reason string
		s      *situation
		want   map[string]string
		config object
	}{
		"Percona": {
			reason: "The server reads its own variables; DATABASE_URL is for other tools.",
			s:      servingOnPercona(t, withPercona()),
			want: map[string]string{
				"DITTOFS_CONTROLPLANE_SECRET":             "files-jwt-secret/jwt-secret",
				"DITTOFS_ADMIN_INITIAL_PASSWORD":          "files-admin-bootstrap-credentials/password?",
				"DITTOFS_DATABASE_POSTGRES_HOST":          userSecretName + "/host",
				"DITTOFS_DATABASE_POSTGRES_PORT":          userSecretName + "/port",
				"DITTOFS_DATABASE_POSTGRES_DATABASE":      userSecretName + "/dbname",
				"DITTOFS_DATABASE_POSTGRES_USER":          userSecretName + "/user",
				"DITTOFS_DATABASE_POSTGRES_PASSWORD":      userSecretName + "/password",
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":       "verify-full",
				"DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT": "/postgres-ca/ca.crt",
				"DATABASE_URL":                            userSecretName + "/uri",
				"DITTOFS_DATABASE_TYPE":                   "postgres",
			},
			config: object{"type": "postgres"},
		},
		"External": {
			reason: "An external database is reached by the keys of its Secret.",
			s:      serving(t, onExternal("spec.database.postgresSecretRef.key", "ignored"), externalSecret(map[string]string{"port": "6432", "sslmode": "require"})),
			want: map[string]string{
				"DITTOFS_CONTROLPLANE_SECRET":        "files-jwt-secret/jwt-secret",
				"DITTOFS_ADMIN_INITIAL_PASSWORD":     "files-admin-bootstrap-credentials/password?",
				"DITTOFS_DATABASE_POSTGRES_HOST":     externalSecretName + "/host",
				"DITTOFS_DATABASE_POSTGRES_PORT":     externalSecretName + "/port",
				"DITTOFS_DATABASE_POSTGRES_DATABASE": externalSecretName + "/database",
				"DITTOFS_DATABASE_POSTGRES_USER":     externalSecretName + "/user",
				"DITTOFS_DATABASE_POSTGRES_PASSWORD": externalSecretName + "/password",
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":  "require",
				"DITTOFS_DATABASE_TYPE":              "postgres",
			},
			config: object{"type": "postgres"},
		},
		"ExternalDefaults": {
			reason: "Port and sslmode have defaults, and a field beats the Secret's key.",
			s: serving(t, onExternal("spec.database.postgresSecretRef.sslMode", "verify-ca", "spec.database.postgresSecretRef.caSecretRef", object{"name": "legacy-ca"}),
				externalSecret(map[string]string{"sslmode": "require"}), secret("legacy-ca", map[string]string{"ca.crt": "ca"})),
			want: map[string]string{
				"DITTOFS_CONTROLPLANE_SECRET":             "files-jwt-secret/jwt-secret",
				"DITTOFS_ADMIN_INITIAL_PASSWORD":          "files-admin-bootstrap-credentials/password?",
				"DITTOFS_DATABASE_POSTGRES_HOST":          externalSecretName + "/host",
				"DITTOFS_DATABASE_POSTGRES_PORT":          "5432",
				"DITTOFS_DATABASE_POSTGRES_DATABASE":      externalSecretName + "/database",
				"DITTOFS_DATABASE_POSTGRES_USER":          externalSecretName + "/user",
				"DITTOFS_DATABASE_POSTGRES_PASSWORD":      externalSecretName + "/password",
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":       "verify-ca",
				"DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT": "/postgres-ca/ca.crt",
				"DITTOFS_DATABASE_TYPE":                   "postgres",
			},
			config: object{"type": "postgres"},
		},
		"SQLite": {
			reason: "SQLite is a file on the control plane's volume.",
			s: serving(t, namespaced("spec.database.sqlite.path", "/data/controlplane/my.db",
				"spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}, "spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}),
				secret("tokens", map[string]string{"k": jwtKey}), secret("root", map[string]string{"p": "x"})),
			want:   map[string]string{"DITTOFS_CONTROLPLANE_SECRET": "tokens/k", "DITTOFS_ADMIN_INITIAL_PASSWORD": "root/p", "DITTOFS_DATABASE_TYPE": "sqlite"},
			config: object{"type": "sqlite", "sqlite": object{"path": "/data/controlplane/my.db"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			if diff := cmp.Diff(tc.want, environment(at(podTemplate(composed(rsp, server.KeyStatefulSet)), "spec", "containers", "name=dittofs"))); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			var config struct {
				Database object `json:"database"`
			}
			if err := yaml.Unmarshal([]byte(textAt(composed(rsp, server.KeyConfig), "data", "config.yaml")), &config); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.config, config.Database); diff != "" {
				t.Errorf("%s\nconfig.yaml: -want, +got:\n%s", tc.reason, diff)
			}
			for key, value := range mapAt(composed(rsp, server.KeyConfig), "data") {
				if strings.Contains(fmt.Sprint(value), "password") {
					t.Errorf("%s\nThere is a password in %s (R19):\n%s", tc.reason, key, value)
				}
			}
		})
	}
}

func TestR11OnlyTheCertificateIsMounted(t *testing.T) {
	for mode, verified := range map[string]bool{"": true, "verify-full": true, "verify-ca": true, "require": false} {
		t.Run("Mode "+mode, func(t *testing.T) {
			rsp := servingOnPercona(t, withPercona("spec.percona.sslMode", mode)).response(t)
			pod := mapAt(podTemplate(composed(rsp, server.KeyStatefulSet)), "spec")
			var volumes []any
			for _, v := range listAt(pod, "volumes") {
				if at(v, "secret") != nil || at(v, "projected") != nil {
					volumes = append(volumes, v)
				}
			}
			var want []any
			mount := any(nil)
			if verified {
				want = []any{object{"name": "postgres-ca", "secret": object{"secretName": caSecretName, "items": []any{object{"key": "ca.crt", "path": "ca.crt"}}}}}
				mount = object{"name": "postgres-ca", "mountPath": "/postgres-ca", "readOnly": true}
			}
			if diff := cmp.Diff(want, volumes); diff != "" {
				t.Errorf("volumes from Secrets: -want, +got:\n%s", diff)
			}
			for _, path := range [][]string{{"containers", "name=dittofs"}, {"initContainers", "name=wait-for-postgres"}} {
				if diff := cmp.Diff(mount, at(at(pod, path...), "volumeMounts", "name=postgres-ca")); diff != "" {
					t.Errorf("%v: -want, +got:\n%s", path, diff)
				}
			}
			if strings.Contains(rsp.String(), "cluster-ca-cert") {
				t.Error("The Secret with the authority's private key is mentioned.")
			}
		})
	}
}

func TestR12WaitContainer(t *testing.T) {
	s := servingOnPercona(t, withPercona("spec.resources", object{"limits": object{"memory": "1Gi"}}))
	container := mapAt(podTemplate(composed(s.response(t), server.KeyStatefulSet)), "spec", "initContainers", "name=wait-for-postgres")
	want := map[string]string{
		"PGHOST": userSecretName + "/host", "PGPORT": userSecretName + "/port", "PGDATABASE": userSecretName + "/dbname",
		"PGUSER": userSecretName + "/user", "PGPASSWORD": userSecretName + "/password",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/postgres-ca/ca.crt",
		"PGCONNECT_TIMEOUT": "5", "WAIT_SECONDS": "300",
	}
	if diff := cmp.Diff(want, environment(container)); diff != "" {
		t.Errorf("The query is made with the server's own credentials and TLS: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff("docker.io/library/postgres:16-alpine", container["image"]); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	security := object{
		"runAsNonRoot": true, "runAsUser": 65532.0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		"capabilities": object{"drop": []any{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"},
	}
	if diff := cmp.Diff(security, mapAt(container, "securityContext")); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if diff := cmp.Diff("FallbackToLogsOnError", container["terminationMessagePolicy"]); diff != "" {
		t.Errorf("The last line is to be seen on the pod: -want, +got:\n%s", diff)
	}
	if at(podTemplate(composed(serving(t, namespaced()).response(t), server.KeyStatefulSet)), "spec", "initContainers") != nil {
		t.Error("A server on SQLite waits for PostgreSQL.")
	}

	s.withInput("waitForPostgres", object{"image": "registry.example.org/postgres:17", "timeout": "90s"})
	container = mapAt(podTemplate(composed(s.response(t), server.KeyStatefulSet)), "spec", "initContainers", "name=wait-for-postgres")
	if diff := cmp.Diff("registry.example.org/postgres:17", container["image"]); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if diff := cmp.Diff("90", environment(container)["WAIT_SECONDS"]); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

func TestR12WaitScript(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	command := listAt(podTemplate(composed(s.response(t), server.KeyStatefulSet)), "spec", "initContainers", "name=wait-for-postgres", "command")
	if diff := cmp.Diff([]any{"sh", "-c"}, command[:2]); diff != "" {
		t.Fatalf("-want, +got:\n%s", diff)
	}
	script, _ := command[2].(string)

	cases := map[string]struct {
		reason        string
		isReady, psql string
		wait          string
		fails         bool
		last          string
	}{
		"Answers":     {"Both succeed.", "exit 0", "exit 0", "10", false, ""},
		"NotReady":    {"No server answers, whatever a query would say.", "exit 2", "echo 'connection refused' >&2; exit 2", "0", true, "connection refused"},
		"NoLogin":     {"pg_isready does not log in, so a query has to.", "exit 0", "echo 'FATAL: password authentication failed' >&2; exit 2", "0", true, "password authentication failed"},
		"OnlyQuery":   {"Both have to succeed.", "exit 2", "exit 0", "0", true, "cannot be used"},
		"Patient":     {"What comes in time is waited for.", `[ -e "$DIR/again" ] || { touch "$DIR/again"; exit 2; }`, "exit 0", "60", false, ""},
		"QueryIsReal": {"The query is select 1.", "exit 0", `case "$*" in *"select 1"*) exit 0;; esac; echo "got $*" >&2; exit 1`, "0", false, ""},
	}
	// A program cannot be started while a process that was forked meanwhile has
	// it open for writing: all are written before the first is started.
	dirs := map[string]string{}
	for name, tc := range cases {
		dirs[name] = t.TempDir()
		for tool, body := range map[string]string{"pg_isready": tc.isReady, "psql": tc.psql} {
			if err := os.WriteFile(filepath.Join(dirs[name], tool), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dirs[name]
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "DIR=" + dir, "PGHOST=db.example.org", "PGPORT=5432", "WAIT_SECONDS=" + tc.wait}
			out, err := cmd.CombinedOutput()
			if (err != nil) != tc.fails {
				t.Fatalf("%s\nwant failure %t, got %v:\n%s", tc.reason, tc.fails, err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			last := lines[len(lines)-1]
			if !strings.Contains(last, tc.last) || !strings.Contains(last, "db.example.org:5432") {
				t.Errorf("%s\nThe last line is not clear: %q", tc.reason, last)
			}
		})
	}
}

// expectStarts checks what the kubelet does before it starts a container
// (kubernetes v1.37 pkg/kubelet/kuberuntime/security_context_others.go).
func expectStarts(t *testing.T, pod object) {
	t.Helper()
	for _, c := range append(listAt(pod, "containers"), listAt(pod, "initContainers")...) {
		effective := func(name string) any {
			if v := at(c, "securityContext", name); v != nil {
				return v
			}

			return at(pod, "securityContext", name)
		}
		if effective("runAsNonRoot") == true && effective("runAsUser") == 0.0 {
			t.Errorf("Container %s is root and must not be: it never starts.", textAt(c, "name"))
		}
	}
}

func TestR13PodSecurity(t *testing.T) {
	const forbidden = "spec.securityContext"
	cases := map[string]struct {
		reason string
		level  string
		edits  []any
		want   string
		says   string
	}{
		"Default":            {"The default is restricted, and what is composed passes.", "", nil, "", ""},
		"Baseline":           {"What passes restricted passes baseline.", "baseline", nil, "", ""},
		"Escalation":         {"restricted forbids privilege escalation.", "", []any{"spec.securityContext.allowPrivilegeEscalation", true}, forbidden, "allowPrivilegeEscalation"},
		"EscalationBaseline": {"baseline permits it.", "baseline", []any{"spec.securityContext.allowPrivilegeEscalation", true}, "", ""},
		"Privileged":         {"baseline forbids privileged containers.", "baseline", []any{"spec.securityContext.privileged", true, "spec.securityContext.allowPrivilegeEscalation", true}, forbidden, "privileged"},
		"PrivilegedAllowed":  {"privileged permits everything.", "privileged", []any{"spec.securityContext.privileged", true, "spec.securityContext.allowPrivilegeEscalation", true}, "", ""},
		"Root":               {"restricted forbids root.", "", []any{"spec.securityContext.runAsUser", 0}, forbidden, "runAsUser"},
		"RootPod":            {"restricted forbids root.", "", []any{"spec.podSecurityContext.runAsUser", 0}, "spec.podSecurityContext", "runAsUser"},
		"RootNotSaid":        {"restricted wants runAsNonRoot.", "", []any{"spec.podSecurityContext.runAsNonRoot", false, "spec.securityContext.runAsNonRoot", false}, forbidden, "runAsNonRoot"},
		"RootAllowed":        {"baseline permits root, whatever the rest of the pod is.", "baseline", []any{"spec.securityContext.runAsUser", 0}, "", ""},
		"RootAllowedPod":     {"baseline permits root.", "baseline", []any{"spec.podSecurityContext.runAsUser", 0}, "", ""},
		"RootRuledOut":       {"The kubelet would never start it.", "baseline", []any{"spec.securityContext.runAsUser", 0, "spec.podSecurityContext.runAsNonRoot", true}, "spec.securityContext.runAsUser", "runAsNonRoot"},
		"RootPodRuledOut":    {"The kubelet would never start it.", "privileged", []any{"spec.podSecurityContext", object{"runAsUser": 0, "runAsNonRoot": true}}, "spec.podSecurityContext.runAsUser", "runAsNonRoot"},
		"Capability":         {"restricted permits one capability.", "", []any{"spec.securityContext.capabilities", object{"add": []any{"NET_BIND_SERVICE"}}}, "", ""},
		"CapabilityToo":      {"restricted forbids the others.", "", []any{"spec.securityContext.capabilities", object{"add": []any{"SYS_ADMIN"}}}, forbidden, "SYS_ADMIN"},
		"Unconfined":         {"restricted forbids no seccomp profile.", "", []any{"spec.podSecurityContext.seccompProfile", object{"type": "Unconfined"}}, "spec.podSecurityContext", "seccomp"},
		"AppArmor":           {"baseline forbids no AppArmor profile, which an annotation still says.", "baseline", []any{"spec.pod.annotations", object{"container.apparmor.security.beta.kubernetes.io/dittofs": "unconfined"}}, "Pod Security level baseline", "container.apparmor.security.beta.kubernetes.io"},
		"Annotation":         {"Other annotations mean nothing here.", "", []any{"spec.pod.annotations", object{"example.org/a": "b"}}, "", ""},
		"OtherUser":          {"A user's setting wins where it passes.", "", []any{"spec.podSecurityContext.runAsUser", 1000, "spec.podSecurityContext.fsGroup", 2000}, "", ""},
		"Sysctl":             {"baseline forbids unsafe sysctls.", "baseline", []any{"spec.podSecurityContext.sysctls", []any{object{"name": "kernel.msgmax", "value": "1"}}}, "spec.podSecurityContext", "sysctls"},
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := servingOnPercona(t, withPercona())
			if tc.level != "" {
				s.withInput("policy.podSecurity", tc.level)
			}
			rsp := s.editXR(tc.edits...).response(t)
			if tc.want != "" {
				for _, text := range []string{tc.want, tc.says} {
					if !strings.Contains(fatal(rsp), text) {
						t.Errorf("%s\nThe Fatal does not say %q: %q", tc.reason, text, fatal(rsp))
					}
				}

				return
			}
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			expectStarts(t, mapAt(podTemplate(composed(rsp, server.KeyStatefulSet)), "spec"))
			if tc.level == "privileged" {
				return
			}
			b, err := json.Marshal(podTemplate(composed(rsp, server.KeyStatefulSet)))
			if err != nil {
				t.Fatal(err)
			}
			pod := &corev1.PodTemplateSpec{}
			if err := yaml.UnmarshalStrict(b, pod); err != nil {
				t.Fatalf("%s\nThe pod is none: %v", tc.reason, err)
			}
			level := api.Level(tc.level)
			if level == "" {
				level = api.LevelRestricted
			}
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s\nPod Security admission refuses it: %s", tc.reason, result.ForbiddenDetail())
			}
		})
	}

	t.Run("Backfilled", func(t *testing.T) {
		s := servingOnPercona(t, withPercona("spec.podSecurityContext", object{"runAsUser": 1000, "fsGroup": 2000}, "spec.securityContext", object{"readOnlyRootFilesystem": true}))
		pod := mapAt(podTemplate(composed(s.response(t), server.KeyStatefulSet)), "spec")
		want := object{
			"runAsUser": 1000.0, "fsGroup": 2000.0, "runAsGroup": 65532.0, "runAsNonRoot": true,
			"fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": object{"type": "RuntimeDefault"},
		}
		if diff := cmp.Diff(want, mapAt(pod, "securityContext")); diff != "" {
			t.Errorf("The rest is filled in: -want, +got:\n%s", diff)
		}
		want = object{
			"readOnlyRootFilesystem": true, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
			"capabilities": object{"drop": []any{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"},
		}
		if diff := cmp.Diff(want, mapAt(pod, "containers", "name=dittofs", "securityContext")); diff != "" {
			t.Errorf("The rest is filled in: -want, +got:\n%s", diff)
		}
	})
	t.Run("PodProfile", func(t *testing.T) {
		profile := object{"type": "Localhost", "localhostProfile": "dittofs.json"}
		s := servingOnPercona(t, withPercona("spec.podSecurityContext.seccompProfile", profile))
		pod := mapAt(podTemplate(composed(s.response(t), server.KeyStatefulSet)), "spec")
		for _, c := range append(listAt(pod, "containers"), listAt(pod, "initContainers")...) {
			if diff := cmp.Diff(any(profile), at(c, "securityContext", "seccompProfile")); diff != "" {
				t.Errorf("A container hides the pod's profile: -want, +got:\n%s", diff)
			}
		}
	})
}

func TestR14OneServer(t *testing.T) {
	for replicas, valid := range map[int]bool{-1: false, 0: true, 1: true, 2: false, 100: false} {
		rsp := serving(t, namespaced()).editXR("spec.replicas", replicas).response(t)
		if got := fatal(rsp) == ""; got != valid {
			t.Errorf("replicas %d: want valid %t, got %t: %s", replicas, valid, got, fatal(rsp))
		}
		if valid && at(composed(rsp, server.KeyStatefulSet), "spec", "replicas") != float64(replicas) {
			t.Errorf("replicas %d: got %v", replicas, at(composed(rsp, server.KeyStatefulSet), "spec", "replicas"))
		}
		if !valid && !strings.Contains(fatal(rsp), "spec.replicas") {
			t.Errorf("replicas %d: no field path: %s", replicas, fatal(rsp))
		}
	}
}

func TestR15ReadinessIsExplicit(t *testing.T) {
	base := servingOnPercona(t, withPercona())
	unready := func(keys ...string) []string { return keys }

	cases := map[string]struct {
		reason string
		s      *situation
		want   []string
		xr     string
	}{
		"Serving":      {"Everything is.", base.clone(), nil, "UNSPECIFIED"},
		"FirstCall":    {"Nothing exists, and the StatefulSet is held back.", newSituation(withPercona()), unready("admin-credentials", "api-service", "config", "connection", "headless-service", "jwt-secret", "network-policy", "nfs-service", "postgres-cluster", "smb-service"), "FALSE"},
		"Waiting":      {"Only the cluster is not, and the StatefulSet is held back.", waiting(t, withPercona()), unready("postgres-cluster"), "FALSE"},
		"ClusterReady": {"The StatefulSet does not exist yet.", waiting(t, withPercona()).perconaIsReady(), unready("statefulset"), "UNSPECIFIED"},
		"Restarting":   {"A database pod that restarts is not an outage of the server.", base.clone().clusterState("initializing", 1), nil, "UNSPECIFIED"},
		"NoPod":        {"No PostgreSQL pod is ready.", base.clone().clusterState("initializing", 0), unready("postgres-cluster"), "UNSPECIFIED"},
		"Paused":       {"paused is not ready.", base.clone().clusterState("paused", 1), unready("postgres-cluster"), "UNSPECIFIED"},
		"Stopping":     {"stopping is not ready.", base.clone().clusterState("stopping", 1), unready("postgres-cluster"), "UNSPECIFIED"},
		"BeingDeleted": {"A cluster that is being deleted is not ready, whatever its state.", base.clone().edit(server.KeyCluster, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z"), unready("postgres-cluster"), "UNSPECIFIED"},
		"RestartingAtFirst": {
			"Before a StatefulSet is live, only ready counts.",
			waiting(t, withPercona()).clusterState("initializing", 1), unready("postgres-cluster"), "FALSE",
		},
		"PodNotReady": {"The pod is not ready.", base.clone().edit(server.KeyStatefulSet, "status.readyReplicas", nil), unready("statefulset"), "UNSPECIFIED"},
		"PodOld":      {"The pod is not of the newest template.", base.clone().edit(server.KeyStatefulSet, "status.updatedReplicas", nil), unready("statefulset"), "UNSPECIFIED"},
		"NotObserved": {"The controller has not seen the newest template.", base.clone().edit(server.KeyStatefulSet, "metadata.generation", 2), unready("statefulset"), "UNSPECIFIED"},
		"NoStatus":    {"Nothing is known of the pod.", base.clone().edit(server.KeyStatefulSet, "status", nil), unready("statefulset"), "UNSPECIFIED"},
		"Stopped": {
			"A server that is to be stopped and has no pod is as it is to be.",
			base.clone().editXR("spec.replicas", 0).edit(server.KeyStatefulSet, "status", object{"observedGeneration": 1, "replicas": 0}), nil, "UNSPECIFIED",
		},
		"Stopping server": {"The pod is still there.", base.clone().editXR("spec.replicas", 0), unready("statefulset"), "UNSPECIFIED"},
		"ServiceGone":     {"An object that is not live is not ready.", base.clone().remove(server.KeyNFSService), unready("nfs-service"), "UNSPECIFIED"},
		"OfflinePercona":  {"Nothing is live offline.", bareSituation(offline(withPercona())), unready("admin-credentials", "api-service", "config", "connection", "headless-service", "jwt-secret", "network-policy", "nfs-service", "postgres-cluster", "smb-service"), "FALSE"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			var got []string
			for _, k := range composedKeys(rsp) {
				switch readiness(rsp, server.Key(k)) {
				case "FALSE":
					got = append(got, k)
				case "UNSPECIFIED":
					t.Errorf("%s\n%s has no explicit readiness.", tc.reason, k)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nunready: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.xr, strings.TrimPrefix(rsp.GetDesired().GetComposite().GetReady().String(), "READY_")); diff != "" {
				t.Errorf("%s\nXR: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestR16Conditions(t *testing.T) {
	onPercona := servingOnPercona(t, withPercona())
	stopped := object{"observedGeneration": 1, "replicas": 0}

	type told map[string]string
	healthy := told{
		"Available": "True MinimumReplicasAvailable", "ConfigReady": "True ConfigRendered", "DatabaseReady": "True PerconaReady",
		"DatabaseUpToDate": "True Matches", "MonitoringReady": "True NotRequested", "Progressing": "False Converged", "StorageUpToDate": "True Matches",
	}
	but := func(pairs ...string) told {
		out := maps.Clone(healthy)
		for i := 0; i+1 < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}

		return out
	}
	waits := []string{"Available", "False WaitingForDatabase", "Progressing", "True WaitingForDatabase"}
	external := func(values map[string]string) *situation {
		return newSituation(onExternal("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"})).add(secret("tokens", map[string]string{"k": jwtKey}), externalSecret(values))
	}

	cases := map[string]struct {
		reason string
		s      *situation
		want   told
		says   map[string][]string
	}{
		"Serving":  {"All is well.", onPercona, healthy, map[string][]string{"DatabaseReady": {"files-postgres"}}},
		"SQLite":   {"There is no database to manage.", serving(t, namespaced()), but("DatabaseReady", "True Embedded", "DatabaseUpToDate", "True NotManaged"), nil},
		"External": {"The database is another's.", serving(t, onExternal(), externalSecret(nil)), but("DatabaseReady", "True External", "DatabaseUpToDate", "True NotManaged"), map[string][]string{"DatabaseReady": {externalSecretName}}},
		"FirstCall": {
			"The Secrets are being made and the cluster created.", newSituation(withPercona()),
			but(append(waits, "ConfigReady", "False SecretNotFound", "DatabaseReady", "False PerconaCreating")...),
			map[string][]string{"ConfigReady": {"files-jwt-secret", "files-admin-bootstrap-credentials"}, "DatabaseReady": {"files-postgres"}},
		},
		"NotInstalled": {
			"The operator is missing.", newSituation(withPercona()).removePercona(),
			but(append(waits, "ConfigReady", "False SecretNotFound", "DatabaseReady", "False PerconaOperatorNotInstalled", "DatabaseUpToDate", "True NotManaged")...),
			map[string][]string{"DatabaseReady": {"install"}},
		},
		"Waiting":         {"The cluster is being created.", waiting(t, withPercona()), but(append(waits, "DatabaseReady", "False PerconaCreating")...), map[string][]string{"DatabaseReady": {"initializing"}}},
		"NobodyWatches":   {"No operator has said anything.", waiting(t, withPercona()).edit(server.KeyCluster, "status", nil), but(append(waits, "DatabaseReady", "False PerconaCreating")...), map[string][]string{"DatabaseReady": {"operator watches this namespace"}}},
		"NoUserSecret":    {"The cluster is ready before its Secret is there.", waiting(t, withPercona()).perconaIsReady().removeSecret(userSecretName), but(append(waits, "DatabaseReady", "False ConnectionSecretNotFound")...), map[string][]string{"DatabaseReady": {userSecretName, teamNamespace}}},
		"HalfUserSecret":  {"The Secret has not all keys.", waiting(t, withPercona()).perconaIsReady().add(edit(userSecret("x"), "data.uri", nil)), but(append(waits, "DatabaseReady", "False ConnectionSecretIncomplete")...), map[string][]string{"DatabaseReady": {userSecretName, "uri"}}},
		"Rotating":        {"The Secret is being written.", onPercona.clone().add(edit(userSecret("x"), "data.password", "bmV3")), but("ConfigReady", "False SecretKeyMissing", "DatabaseReady", "False ConnectionSecretIncomplete"), map[string][]string{"DatabaseReady": {userSecretName, "rotated"}, "ConfigReady": {userSecretName}}},
		"NoCA":            {"The authority is missing.", waiting(t, withPercona()).perconaIsReady().removeSecret(caSecretName), but(append(waits, "ConfigReady", "False CASecretNotFound")...), map[string][]string{"ConfigReady": {caSecretName, "ca.crt"}}},
		"Failover":        {"A database pod restarts; the server runs.", onPercona.clone().clusterState("initializing", 1), but("DatabaseReady", "False PerconaNotReady"), map[string][]string{"DatabaseReady": {"initializing", "keeps running"}}},
		"FailoverStopped": {"No server runs that could keep running.", onPercona.clone().clusterState("initializing", 0).edit(server.KeyStatefulSet, "status", stopped).editXR("spec.replicas", 0), but("Available", "True Stopped", "DatabaseReady", "False PerconaNotReady"), map[string][]string{"DatabaseReady": {"initializing", "fails over", "!keeps running"}}},
		"FailoverRotating": {
			"The pod is kept because of the Secret, not of the cluster.", onPercona.clone().clusterState("initializing", 1).add(edit(userSecret("x"), "data.password", "bmV3")),
			but("ConfigReady", "False SecretKeyMissing", "DatabaseReady", "False PerconaNotReady"),
			map[string][]string{"ConfigReady": {userSecretName, "rotated", "is kept"}},
		},
		"Moving": {
			"The database that it may move to is not ready.", serving(t, namespaced(), userSecret("x"), caSecret("certificate of the authority")).editXR("spec.percona.enabled", true, "spec.database", object{"type": "postgres", "allowChangeTo": "percona"}),
			but("ConfigReady", "False WaitingForDatabase", "DatabaseReady", "False PerconaCreating"),
			map[string][]string{"ConfigReady": {"see DatabaseReady", "is kept"}},
		},
		"PasswordLost": {
			"The cluster waits for the administrator's password.", onPercona.clone().remove(server.KeyAdminCredentials, server.KeyConnection, server.KeyStatefulSet, server.KeyCluster),
			but(append(waits, "ConfigReady", "False AdminPasswordLost", "DatabaseReady", "False PerconaCreating", "DatabaseUpToDate", "True NotManaged")...),
			map[string][]string{"DatabaseReady": {"see ConfigReady"}},
		},
		"Paused":          {"Somebody paused the database.", onPercona.clone().clusterState("paused", 0), but("DatabaseReady", "False PerconaPaused"), map[string][]string{"DatabaseReady": {"paused", "spec.pause: false"}}},
		"Stopping":        {"Somebody paused the database.", onPercona.clone().clusterState("stopping", 0), but("DatabaseReady", "False PerconaPaused"), map[string][]string{"DatabaseReady": {"stopping"}}},
		"BeingDeleted":    {"Somebody deletes the database.", onPercona.clone().edit(server.KeyCluster, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z"), but("DatabaseReady", "False PerconaNotReady"), map[string][]string{"DatabaseReady": {"being deleted", "on the volumes that are left"}}},
		"BeingDestroyed":  {"Somebody deletes the database with its volumes.", servingOnPercona(t, withPercona("spec.percona.deleteWithServer", true)).edit(server.KeyCluster, "metadata.deletionTimestamp", "2026-01-02T03:04:05Z"), but("DatabaseReady", "False PerconaNotReady"), map[string][]string{"DatabaseReady": {"being deleted", "volumes with it"}}},
		"Refused":         {"The spec leads to another database.", onPercona.clone().editXR("spec.percona.enabled", false), but("ConfigReady", "False InvalidSpec", "DatabaseReady", "False DatabaseChangeRefused", "DatabaseUpToDate", "True NotManaged"), map[string][]string{"DatabaseReady": {"percona:files-postgres/dittofs", "sqlite:/data/controlplane/controlplane.db", "spec.database.allowChangeTo: sqlite"}}},
		"JWTNotFound":     {"A reference leads nowhere.", external(nil).removeSecret("tokens"), but("Available", "False WaitingForConfig", "Progressing", "True RollingOut", "ConfigReady", "False SecretNotFound", "DatabaseReady", "True External", "DatabaseUpToDate", "True NotManaged"), map[string][]string{"ConfigReady": {"tokens", "spec.identity.jwt.secretRef", "key k", teamNamespace}}},
		"ExternalMissing": {"The external Secret is missing.", external(nil).removeSecret(externalSecretName), but(append(waits, "ConfigReady", "False SecretNotFound", "DatabaseReady", "False ConnectionSecretNotFound", "DatabaseUpToDate", "True NotManaged")...), map[string][]string{"DatabaseReady": {externalSecretName}}},
		"RollingOut":      {"The pod is not of the newest template.", onPercona.clone().edit(server.KeyStatefulSet, "status.updatedReplicas", nil), but("Progressing", "True RollingOut"), nil},
		"PodFails":        {"The pod is not available.", onPercona.clone().edit(server.KeyStatefulSet, "status.readyReplicas", 0, "status.availableReplicas", 0), but("Available", "False NoReplicasAvailable", "Progressing", "True RollingOut"), map[string][]string{"Available": {"kubectl -n team-a describe pod files-0"}}},
		"Scaling":         {"The server is being stopped.", onPercona.clone().editXR("spec.replicas", 0), but("Progressing", "True Scaling"), nil},
		"Stopped":         {"The server is stopped.", onPercona.clone().editXR("spec.replicas", 0).edit(server.KeyStatefulSet, "status", stopped), but("Available", "True Stopped"), nil},
		"Starting":        {"The server is being started.", onPercona.clone().edit(server.KeyStatefulSet, "status", stopped), but("Available", "False NoReplicasAvailable", "Progressing", "True Scaling"), nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			got, types := told{}, []string{}
			for _, c := range rsp.GetConditions() {
				got[c.GetType()] = statusText(c.GetStatus()) + " " + c.GetReason()
				types = append(types, c.GetType())
				if c.GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
					t.Errorf("%s\n%s is not told to the claim.", tc.reason, c.GetType())
				}
				if c.GetMessage() == "" {
					t.Errorf("%s\n%s has no message.", tc.reason, c.GetType())
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			if !slices.IsSorted(types) || len(types) != len(got) {
				t.Errorf("%s\nThe conditions are not sorted, or one comes twice: %v", tc.reason, types)
			}
			for typ, texts := range tc.says {
				for _, text := range texts {
					// What begins with ! must not be said.
					text, not := strings.CutPrefix(text, "!")
					if strings.Contains(messageOf(rsp, typ), text) == not {
						t.Errorf("%s\n%s, is %q to be said? %t: %s", tc.reason, typ, text, !not, messageOf(rsp, typ))
					}
				}
			}
			if reasons := slices.DeleteFunc(slices.Collect(maps.Values(got)), knownReason); len(reasons) > 0 {
				t.Errorf("%s\nNot in the contract: %v", tc.reason, reasons)
			}

			// Each call has all of them, the first of a reconcile too, and the
			// text does not change as long as nothing does.
			if n := len(run(t, tc.s.request()).GetConditions()); n != len(tc.want) {
				t.Errorf("%s\nThe first call has %d conditions.", tc.reason, n)
			}
			if diff := cmp.Diff(rsp.GetConditions(), tc.s.response(t).GetConditions(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nThe text is not stable: -first, +second:\n%s", tc.reason, diff)
			}
		})
	}
}

// knownReason of the API contract, as "Status Reason".
func knownReason(r string) bool {
	known := map[string]string{
		"True": "PerconaReady External Embedded Matches NotManaged ConfigRendered NotRequested MinimumReplicasAvailable Stopped WaitingForDatabase RollingOut Scaling",
		"False": "PerconaOperatorNotInstalled PerconaCreating PerconaNotReady PerconaPaused ConnectionSecretNotFound ConnectionSecretIncomplete DatabaseChangeRefused " +
			"SpecDiffers ChangeRefused OnDeleteDiffers SecretNotFound SecretKeyMissing SecretInvalid CASecretNotFound AdminPasswordLost NameTaken InvalidSpec " +
			"WaitingForDatabase WaitingForConfig NoReplicasAvailable Converged ExpansionRequired ImmutableFieldChanged",
	}
	status, reason, _ := strings.Cut(r, " ")

	return slices.Contains(strings.Fields(known[status]), reason)
}

func TestR16Status(t *testing.T) {
	endpoints := object{"api": "http://files-api.team-a.svc:8080", "nfs": "files-adapter-nfs.team-a.svc:2049", "smb": "files-adapter-smb.team-a.svc:445"}
	cases := map[string]struct {
		reason string
		s      *situation
		want   object
	}{
		"FirstCall": {
			reason: "Nothing runs yet.",
			s:      newSituation(withPercona()),
			want: object{
				"phase": "Pending", "replicas": 0.0, "readyReplicas": 0.0, "availableReplicas": 0.0, "perconaClusterName": "files-postgres",
				"database": object{"type": "percona", "secretName": userSecretName}, "endpoints": endpoints,
			},
		},
		"Serving": {
			reason: "Everything is told.",
			s: servingOnPercona(t, withPercona()).edit(server.KeyCluster, "status.pgbackrest", object{
				"scheduledBackups": []any{object{"completionTime": "2026-01-02T02:00:09Z"}, object{"completionTime": "2026-01-03T02:00:09Z"}, object{"startTime": "2026-01-04T02:00:00Z"}},
				"manualBackup":     object{"completionTime": "2026-01-02T11:00:00Z"},
			}),
			want: object{
				"phase": "Running", "replicas": 1.0, "readyReplicas": 1.0, "availableReplicas": 1.0, "perconaClusterName": "files-postgres",
				"database": object{
					"type": "percona", "state": "ready", "host": "files-postgres-primary.team-a.svc", "secretName": userSecretName,
					"everReady": true, "onDelete": "Retain", "lastBackup": "2026-01-03T02:00:09Z",
				},
				"endpoints": endpoints,
			},
		},
		"Stopped": {
			reason: "A stopped server is no failure.",
			s:      serving(t, namespaced()).editXR("spec.replicas", 0).edit(server.KeyStatefulSet, "status", object{"observedGeneration": 1}),
			want: object{
				"phase": "Stopped", "replicas": 0.0, "readyReplicas": 0.0, "availableReplicas": 0.0,
				"database": object{"type": "sqlite"}, "endpoints": endpoints,
			},
		},
		"External": {
			reason: "The connection's Secret is named.",
			s:      serving(t, onExternal("spec.adapters", object{"smb": object{"enabled": false}, "nfs": object{"servicePort": 12049}}, "spec.controlPlane.port", 9090), externalSecret(nil)),
			want: object{
				"phase": "Running", "replicas": 1.0, "readyReplicas": 1.0, "availableReplicas": 1.0,
				"database":  object{"type": "external", "host": "db.example.org", "secretName": externalSecretName},
				"endpoints": object{"api": "http://files-api.team-a.svc:9090", "nfs": "files-adapter-nfs.team-a.svc:12049"},
			},
		},
		"Refused": {
			reason: "What is told is what runs.",
			s:      serving(t, namespaced()).editXR("spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": externalSecretName}}),
			want: object{
				"phase": "Running", "replicas": 1.0, "readyReplicas": 1.0, "availableReplicas": 1.0,
				"database": object{"type": "sqlite"}, "endpoints": endpoints,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			if diff := cmp.Diff(tc.want, reported(rsp)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			xr := rsp.GetDesired().GetComposite().GetResource().AsMap()
			if diff := cmp.Diff([]string{"apiVersion", "kind", "status"}, slices.Sorted(maps.Keys(xr))); diff != "" {
				t.Errorf("%s\nOf the XR only the status is this function's: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestR17EventsOnlyOnTransitions(t *testing.T) {
	s := newSituation(withPercona())
	steps := []struct {
		reason string
		do     func()
		want   []string
	}{
		{"The first words about a new server are conditions.", func() {}, nil},
		{"The Secrets are there.", func() {}, []string{"NORMAL ConfigRendered"}},
		{"Nothing happens.", func() {}, nil},
		{"The cluster starts, as it has to.", func() { s.clusterState("initializing", 0) }, nil},
		{"The cluster is ready.", func() { s.perconaIsReady() }, []string{"NORMAL PerconaReady"}},
		{"Nothing happens.", func() {}, nil},
		{"The pod is ready.", func() { s.podIsReady() }, []string{"NORMAL MinimumReplicasAvailable", "NORMAL Converged"}},
		{"Nothing happens.", func() {}, nil},
		{"The database fails over.", func() { s.clusterState("initializing", 1) }, []string{"WARNING PerconaNotReady"}},
		{"It is still failing over.", func() {}, nil},
		{"It is back.", func() { s.clusterState("ready", 1) }, []string{"NORMAL PerconaReady"}},
		{"Nothing happens.", func() {}, nil},
	}
	for i, step := range steps {
		step.do()
		rsp := s.reconcile(t)
		if diff := cmp.Diff(step.want, resultsOf(rsp)); diff != "" {
			t.Errorf("step %d: %s\n-want, +got:\n%s", i, step.reason, diff)
		}
		for _, r := range rsp.GetResults() {
			if r.GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
				t.Errorf("step %d: %s\nThe claim does not get %s.", i, step.reason, r.GetReason())
			}
		}
	}
}

func TestR18Determinism(t *testing.T) {
	bytes := func(m proto.Message) string {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}

		return string(b)
	}
	for name, s := range map[string]*situation{
		"Serving":   servingOnPercona(t, withPercona("spec.percona.backup", object{"enabled": true, "bucket": "b", "credentialsSecretRef": object{"name": "s3"}})),
		"Waiting":   waiting(t, withPercona()),
		"External":  serving(t, onExternal(), externalSecret(nil)),
		"Claim":     serving(t, claimed()),
		"Lost":      servingOnPercona(t, withPercona()).remove(server.KeyAdminCredentials, server.KeyConnection),
		"Differing": servingOnPercona(t, withPercona()).editXR("spec.percona.replicas", 3, "spec.percona.storageSize", "20Gi", "spec.percona.postgresVersion", 17, "spec.percona.backup", object{"enabled": true, "bucket": "b"}),
		"Storage":   serving(t, namespaced("spec.storage.contentSize", "1Gi")).editXR("spec.storage", object{"metadataSize": "20Gi", "controlPlaneSize": "2Gi", "storageClassName": "fast"}),
		"Invalid":   serving(t, namespaced()).editXR("spec.storage.metadataSize", "x", "spec.replicas", 7, "spec.logging.level", "LOUD", "spec.resources", object{"requests": object{"cpu": "2", "memory": "2Gi", "ephemeral-storage": "2Gi"}, "limits": object{"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}}),
		"Foreign":   newSituation(namespaced()).add(object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "files-api", "namespace": teamNamespace}}, object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "files-config", "namespace": teamNamespace}}),
	} {
		t.Run(name, func(t *testing.T) {
			req, want, calls := s.settle(t)
			if calls > 2 {
				t.Errorf("The requirements settle in %d rounds.", calls)
			}
			before := bytes(req)
			for range 8 {
				if got := run(t, proto.CloneOf(req)); bytes(got) != bytes(want) {
					t.Fatalf("The same request gives two answers: -first, +second:\n%s", cmp.Diff(want, got, protocmp.Transform()))
				}
			}
			if bytes(req) != before {
				t.Error("The request is written to.")
			}

			// What the API server fills in of what is wanted makes no
			// difference: a raw XR and a defaulted one give the same.
			if run(t, req).GetMeta().GetTag() != "test" {
				t.Error("The tag of the request is lost.")
			}
		})
	}
}

func TestR18RequirementsDependOnTheStateAlone(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	first := run(t, s.request()).GetRequirements()
	want := s.response(t).GetRequirements()
	if diff := cmp.Diff(want, first, protocmp.Transform()); diff != "" {
		t.Errorf("Once the cluster is observed, everything is asked for in one round: -want, +got:\n%s", diff)
	}
	s.add(userSecret("another"))
	if diff := cmp.Diff(want, s.response(t).GetRequirements(), protocmp.Transform()); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}

	var asked []string
	for _, sel := range newSituation(withPercona("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"})).response(t).GetRequirements().GetResources() {
		if sel.GetKind() != "Namespace" && sel.GetKind() != "APIService" && sel.GetNamespace() != teamNamespace {
			t.Errorf("%s %s is asked for in namespace %q", sel.GetKind(), sel.GetMatchName(), sel.GetNamespace())
		}
		asked = append(asked, sel.GetKind()+" "+sel.GetMatchName())
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{
		"APIService v2.pgv2.percona.com", "ConfigMap files-config", "Namespace team-a", "NetworkPolicy files-baseline", "PerconaPGCluster files-postgres",
		"PersistentVolumeClaim controlplane-files-0", "Secret files-admin-bootstrap-credentials", "Secret files-connection", "Secret files-jwt-secret",
		"Secret files-postgres-cluster-cert", "Secret files-postgres-pguser-dittofs", "Secret tokens",
		"Service files-adapter-nfs", "Service files-adapter-smb", "Service files-api", "Service files-headless", "StatefulSet files",
	}, asked); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

// A transcript keeps everything that is logged.
type transcript struct{ lines *[]string }

func (r transcript) Info(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprintf("%s %v", msg, kv))
}

func (r transcript) Debug(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprintf("%s %v", msg, kv))
}

func (r transcript) WithValues(kv ...any) xplogging.Logger {
	*r.lines = append(*r.lines, fmt.Sprintf("%v", kv))

	return r
}

func TestR19SecretsStaySecret(t *testing.T) {
	const mark = "zq7"
	marked := func(text string) string { return mark + text + strings.Repeat("x", 40) }
	all := map[string]*situation{
		"Percona": servingOnPercona(t, withPercona()).add(userSecret(marked("pg")), edit(caSecret(marked("ca")), "data.tls.key", "enE3")),
		"Rotating": servingOnPercona(t, withPercona()).add(edit(userSecret(marked("pg")), "data.password",
			textAt(secret("", map[string]string{"v": marked("new")}), "data", "v"))),
		"References": serving(t, onExternal("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}, "spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}),
			externalSecret(map[string]string{"password": marked("pw"), "user": marked("user"), "database": marked("db")}), secret("tokens", map[string]string{"k": marked("jwt")}), secret("root", map[string]string{"p": marked("admin")})),
		"ShortKey": serving(t, namespaced("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}), secret("tokens", map[string]string{"k": marked("jwt")})).
			add(secret("tokens", map[string]string{"k": mark})),
		"Claim": serving(t, claimed("spec.identity.admin.passwordSecretRef", object{"name": "root", "key": "p"}), secret("root", map[string]string{"p": marked("admin")})),
		"Invalid": serving(t, namespaced("spec.identity.jwt.secretRef", object{"name": "tokens", "key": "k"}), secret("tokens", map[string]string{"k": marked("jwt")})).
			editXR("spec.replicas", 5),
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			req, _, _ := s.settle(t)
			var lines []string
			f := &Function{log: transcript{lines: &lines}}
			rsp, err := f.RunFunction(context.Background(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines {
				if strings.Contains(line, mark) {
					t.Errorf("logged: %s", line)
				}
				for _, o := range s.objects {
					for k := range mapAt(o, "data") {
						if v := textAt(o, "data", k); textAt(o, "kind") == "Secret" && len(v) > 20 && strings.Contains(line, v) {
							t.Errorf("logged: key %s of Secret %s", k, textAt(o, "metadata", "name"))
						}
					}
				}
			}
			visible := decoded(rsp.GetDesired())
			for _, c := range rsp.GetConditions() {
				visible += c.GetMessage()
			}
			for _, r := range rsp.GetResults() {
				visible += r.GetMessage()
			}
			for k, v := range rsp.GetDesired().GetComposite().GetConnectionDetails() {
				visible += k + string(v)
			}
			if i := strings.Index(visible, mark); i >= 0 {
				t.Errorf("in the response: %s", visible[max(0, i-100):min(len(visible), i+100)])
			}
		})
	}

	t.Run("Generated", func(t *testing.T) {
		// What was generated is in its own Secret, and a password in the
		// connection as well.
		s := servingOnPercona(t, withPercona())
		rsp := s.response(t)
		for value, where := range map[string][]string{
			secretValue(s.get(server.KeyJWTSecret), "jwt-secret"):      {"jwt-secret"},
			secretValue(s.get(server.KeyAdminCredentials), "password"): {"admin-credentials", "connection"},
			userPassword: nil,
		} {
			var got []string
			for _, k := range composedKeys(rsp) {
				if strings.Contains(decoded(&fnv1.State{Resources: map[string]*fnv1.Resource{k: rsp.GetDesired().GetResources()[k]}}), value) {
					got = append(got, k)
				}
			}
			if diff := cmp.Diff(where, got); diff != "" {
				t.Errorf("-want, +got:\n%s", diff)
			}
			if value == "" || strings.Contains(fmt.Sprint(rsp.GetConditions(), rsp.GetResults(), rsp.GetDesired().GetComposite()), value) {
				t.Error("A value is told, or there is none.")
			}
		}
	})
}

// decoded text of a state, with the data of Secrets in clear text beside it.
func decoded(s *fnv1.State) string {
	text := fmt.Sprint(s.GetComposite().GetResource().AsMap())
	for _, r := range s.GetResources() {
		o := r.GetResource().AsMap()
		text += fmt.Sprint(o)
		for k := range mapAt(o, "data") {
			text += secretValue(o, k)
		}
	}

	return text
}

func TestR19Connection(t *testing.T) {
	generated := serving(t, namespaced())
	password := secretValue(generated.get(server.KeyAdminCredentials), "password")
	usual := map[string]string{
		"api-url": "http://files-api.team-a.svc:8080", "nfs-endpoint": "files-adapter-nfs.team-a.svc:2049", "smb-endpoint": "files-adapter-smb.team-a.svc:445", "username": "admin",
	}
	with := func(pairs ...string) map[string]string {
		out := maps.Clone(usual)
		for i := 0; i+1 < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		maps.DeleteFunc(out, func(_, v string) bool { return v == "" })

		return out
	}
	root := object{"name": "root", "key": "p"}

	claim := serving(t, claimed())
	cases := map[string]struct {
		reason  string
		s       *situation
		want    map[string]string
		details bool
	}{
		"Generated": {"A password that was generated is handed out.", generated, with("password", password), false},
		"Reference": {"Of a person's Secret only the name is handed out.", serving(t, namespaced("spec.identity.admin.passwordSecretRef", root), secret("root", map[string]string{"p": "x"})), with("password-secret-name", "root", "password-secret-key", "p"), false},
		"NoAdapter": {"What is switched off has no endpoint.", generated.clone().editXR("spec.adapters", object{"nfs": object{"enabled": false}, "smb": object{"enabled": false}}), with("password", password, "nfs-endpoint", "", "smb-endpoint", ""), false},
		"Claim":     {"A claim gets the same as connection details.", claim, with("password", secretValue(claim.get(server.KeyAdminCredentials), "password")), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.s.response(t)
			got := map[string]string{}
			for k := range mapAt(composed(rsp, server.KeyConnection), "data") {
				got[k] = secretValue(composed(rsp, server.KeyConnection), k)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			details := map[string]string{}
			for k, v := range rsp.GetDesired().GetComposite().GetConnectionDetails() {
				details[k] = string(v)
			}
			want := map[string]string{}
			if tc.details {
				want = tc.want
			}
			if diff := cmp.Diff(want, details); diff != "" {
				t.Errorf("%s\nconnection details: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestR20WaitingIsCheap(t *testing.T) {
	onPercona := servingOnPercona(t, withPercona())
	polling := []any{"polling", object{"waiting": "5s", "steady": "10m"}}
	cases := map[string]struct {
		reason string
		s      *situation
		want   time.Duration
	}{
		"FirstCall":     {"Everything is awaited.", newSituation(withPercona()), 15 * time.Second},
		"Waiting":       {"The cluster is awaited.", waiting(t, withPercona()), 15 * time.Second},
		"NotInstalled":  {"The operator is awaited.", newSituation(withPercona()).removePercona(), 15 * time.Second},
		"Serving":       {"Nothing is awaited; a rotation is to be noticed.", onPercona, time.Minute},
		"SQLite":        {"Nothing is awaited.", serving(t, namespaced()), time.Minute},
		"External":      {"Nothing is awaited; a rotation is to be noticed.", serving(t, onExternal(), externalSecret(nil)), time.Minute},
		"Rotating":      {"The new URI is awaited.", onPercona.clone().add(edit(userSecret("x"), "data.password", "bmV3")), 15 * time.Second},
		"SecretGone":    {"A Secret is awaited.", onPercona.clone().removeSecret(userSecretName), 15 * time.Second},
		"Failover":      {"The database is awaited.", onPercona.clone().clusterState("initializing", 1), 15 * time.Second},
		"RollingOut":    {"The pod is awaited.", onPercona.clone().edit(server.KeyStatefulSet, "status.readyReplicas", nil), 15 * time.Second},
		"Invalid":       {"A correction is awaited.", onPercona.clone().editXR("spec.replicas", 9), 15 * time.Second},
		"InputWaiting":  {"The platform team decides.", waiting(t, withPercona()).withInput(polling...), 5 * time.Second},
		"InputSteady":   {"The platform team decides.", onPercona.clone().withInput(polling...), 10 * time.Minute},
		"WaitingOnly":   {"The other keeps its default.", onPercona.clone().withInput("polling", object{"waiting": "5s"}), time.Minute},
		"DiffersSteady": {"A person is told what differs; nothing is awaited.", onPercona.clone().editXR("spec.percona.replicas", 3), time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.s.response(t).GetMeta().GetTtl().AsDuration(); got != tc.want {
				t.Errorf("%s\nwant %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestR22RunningServerKeepsItsDatabase(t *testing.T) {
	sqlite, external, onPercona := serving(t, namespaced()), serving(t, onExternal(), externalSecret(nil)), servingOnPercona(t, withPercona())
	toSQLite := []any{"spec.percona.enabled", false, "spec.database", object{"type": "sqlite"}}
	toExternal := []any{"spec.percona.enabled", false, "spec.database", object{"type": "postgres", "postgresSecretRef": object{"name": "other-db"}}}
	toPercona := []any{"spec.percona.enabled", true, "spec.database", object{"type": "postgres"}}
	allow := func(edits []any, kind string) []any {
		return append(slices.Clone(edits), "spec.database.allowChangeTo", kind)
	}
	otherDB := edit(externalSecret(nil), "metadata.name", "other-db")
	// asLegacy is a server without the annotation that tells what it runs on.
	asLegacy := func(s *situation) *situation {
		s = s.clone()
		delete(mapAt(s.get(server.KeyStatefulSet), "spec", "template", "metadata", "annotations"), server.AnnotationDatabase)

		return s
	}
	withURL := func(s *situation) *situation {
		s = asLegacy(s)
		container := mapAt(podTemplate(s.get(server.KeyStatefulSet)), "spec", "containers", "name=dittofs")
		container["env"] = append(listAt(container, "env"), object{"name": "DATABASE_URL", "valueFrom": object{"secretKeyRef": object{"name": userSecretName, "key": "uri"}}})

		return s
	}

	cases := map[string]struct {
		reason string
		on     *situation
		edits  []any
		want   string
		// moved tells that the pod is rolled to the new database.
		moved bool
	}{
		"SQLiteToExternal":  {"Nobody allowed it.", sqlite, toExternal, "False DatabaseChangeRefused", false},
		"SQLiteToPercona":   {"Nobody allowed it.", sqlite, toPercona, "False DatabaseChangeRefused", false},
		"SQLiteToFile":      {"Another file is another database.", sqlite, []any{"spec.database.sqlite.path", "/data/controlplane/other.db"}, "False DatabaseChangeRefused", false},
		"ExternalToSQLite":  {"Nobody allowed it.", external, toSQLite, "False DatabaseChangeRefused", false},
		"ExternalToPercona": {"Nobody allowed it.", external, toPercona, "False DatabaseChangeRefused", false},
		"ExternalToOther":   {"Another Secret is another database.", external, toExternal, "False DatabaseChangeRefused", false},
		"PerconaToSQLite":   {"Nobody allowed it.", onPercona, toSQLite, "False DatabaseChangeRefused", false},
		"PerconaToExternal": {"Nobody allowed it.", onPercona, toExternal, "False DatabaseChangeRefused", false},
		"PerconaToName":     {"Another name is another database.", onPercona, []any{"spec.percona.databaseName", "other"}, "False DatabaseChangeRefused", false},
		"AllowedOther":      {"Another kind than the one that is allowed.", sqlite, allow(toExternal, "percona"), "False DatabaseChangeRefused", false},

		"AllowedToExternal":  {"The kind is allowed, and its Secret is there.", sqlite, allow(toExternal, "external"), "True External", true},
		"AllowedToSQLite":    {"The kind is allowed.", external, allow(toSQLite, "sqlite"), "True Embedded", true},
		"AllowedFromPercona": {"The kind is allowed.", onPercona, allow(toSQLite, "sqlite"), "True Embedded", true},
		"AllowedFile":        {"The kind is allowed.", sqlite, allow([]any{"spec.database.sqlite.path", "/data/controlplane/other.db"}, "sqlite"), "True Embedded", true},
		"AllowedToPercona":   {"The new database is gated: it is not there yet.", sqlite, allow(toPercona, "percona"), "False PerconaCreating", false},

		"LegacySQLite":             {"Without the annotation a server without a host runs on SQLite.", asLegacy(sqlite), nil, "True Embedded", true},
		"LegacySQLiteToExternal":   {"Without the annotation a server without a host runs on SQLite.", asLegacy(sqlite), toExternal, "False DatabaseChangeRefused", false},
		"LegacyURLMeansNothing":    {"The server does not read DATABASE_URL.", withURL(sqlite), toPercona, "False DatabaseChangeRefused", false},
		"LegacyExternal":           {"Without the annotation a server with a host runs on that.", asLegacy(external), nil, "True External", true},
		"LegacyExternalToSQLite":   {"Without the annotation a server with a host runs on that.", asLegacy(external), toSQLite, "False DatabaseChangeRefused", false},
		"LegacyExternalToOther":    {"The Secret of the host tells which.", asLegacy(external), toExternal, "False DatabaseChangeRefused", false},
		"LegacySQLiteFromItsFile":  {"The file that runs is the one in the ConfigMap.", asLegacy(sqlite).edit(server.KeyConfig, "data", object{"config.yaml": "database: {type: sqlite, sqlite: {path: /data/controlplane/old.db}}"}), nil, "False DatabaseChangeRefused", false},
		"LegacySQLiteBrokenConfig": {"A ConfigMap that cannot be read tells nothing.", asLegacy(sqlite).edit(server.KeyConfig, "data", object{"config.yaml": ":::"}), nil, "True Embedded", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := tc.on.clone().add(otherDB).editXR(tc.edits...).editXR("spec.logging.level", "DEBUG")
			live := s.get(server.KeyStatefulSet)
			s.reconcile(t) // Stores the file that the new pod starts with.
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeDatabaseReady)); diff != "" {
				t.Errorf("%s\nDatabaseReady: -want, +got:\n%s\n%s", tc.reason, diff, messageOf(rsp, condition.TypeDatabaseReady))
			}
			diff := sameTemplate(live, composed(rsp, server.KeyStatefulSet))
			if (diff != "") != tc.moved {
				t.Errorf("%s\nThe pod is rolled: want %t, -live, +sent:\n%s", tc.reason, tc.moved, diff)
			}
			if got := conditionOf(rsp, condition.TypeConfigReady); strings.HasPrefix(got, "True") != tc.moved {
				t.Errorf("%s\nConfigReady: got %s", tc.reason, got)
			}
			for k := range s.composed {
				if composed(rsp, server.Key(k)) == nil {
					t.Errorf("%s\n%s left desired state.", tc.reason, k)
				}
			}
			if refused := tc.want == "False DatabaseChangeRefused"; refused && composed(rsp, server.KeyCluster) != nil && tc.on.get(server.KeyCluster) == nil {
				t.Errorf("%s\nA cluster is created for a server that may not use it.", tc.reason)
			}
			want := textAt(podTemplate(live), "metadata", "annotations", server.AnnotationDatabase)
			if !tc.moved && textAt(podTemplate(composed(rsp, server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase) != want {
				t.Errorf("%s\nThe annotation does not tell what runs.", tc.reason)
			}
		})
	}

	t.Run("Annotation", func(t *testing.T) {
		for want, s := range map[string]*situation{
			"sqlite:/data/controlplane/controlplane.db": sqlite,
			"external:" + externalSecretName:            external,
			"percona:files-postgres/dittofs":            onPercona,
		} {
			if diff := cmp.Diff(want, textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase)); diff != "" {
				t.Errorf("-want, +got:\n%s", diff)
			}
		}
	})
	t.Run("GatedAsForANewServer", func(t *testing.T) {
		s := sqlite.clone().editXR(allow(toPercona, "percona")...)
		s.rest(t)
		before := hashOf(s.get(server.KeyStatefulSet))
		s.clusterState("initializing", 0).add(userSecret(userPassword), caSecret("certificate of the authority"))
		s.rest(t)
		if hashOf(s.get(server.KeyStatefulSet)) != before {
			t.Error("The server moved to a database that is not ready.")
		}
		s.perconaIsReady()
		rsp := s.rest(t)
		if got := textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase); got != "percona:files-postgres/dittofs" {
			t.Errorf("The server did not move: %s, %s", got, messageOf(rsp, condition.TypeConfigReady))
		}
		if !strings.Contains(textAt(s.get(server.KeyConfig), "data", "config.yaml"), "type: postgres") {
			t.Error("The file did not move with it.")
		}
	})
	t.Run("SaysWhatToDo", func(t *testing.T) {
		text := messageOf(onPercona.clone().editXR(toSQLite...).response(t), condition.TypeDatabaseReady)
		for _, want := range []string{"percona:files-postgres/dittofs", "sqlite:/data/controlplane/controlplane.db", "empty", "spec.database.allowChangeTo: sqlite"} {
			if !strings.Contains(text, want) {
				t.Errorf("The message does not say %q: %s", want, text)
			}
		}
	})
}

func TestR23AdoptOnlyWithProof(t *testing.T) {
	owner := func(uid string) []any {
		return []any{object{"apiVersion": "apps/v1", "kind": "Deployment", "name": "other", "uid": uid, "controller": true}}
	}
	label := object{server.LabelServer: serverName}
	key := func(k server.Key) object { return object{server.AnnotationKey: string(k)} }
	adopt := func(k server.Key, name string) object {
		return object{server.AnnotationAdopt: name, server.AnnotationKey: string(k)}
	}

	cases := map[string]struct {
		reason string
		meta   func(k server.Key) object
		taken  bool
	}{
		"Bare":      {"Somebody else made it.", func(server.Key) object { return object{} }, true},
		"LabelOnly": {"A label alone is no proof.", func(server.Key) object { return object{"labels": label} }, true},
		"KeyOnly":   {"An annotation alone is no proof.", func(k server.Key) object { return object{"annotations": key(k)} }, true},
		"OtherKey":  {"It was composed under another key.", func(server.Key) object { return object{"labels": label, "annotations": key("other")} }, true},
		"OtherServer": {"It is another server's.", func(k server.Key) object {
			return object{"labels": object{server.LabelServer: "other"}, "annotations": key(k)}
		}, true},
		"ControlledByOther": {"Another controller has it.", func(k server.Key) object {
			return object{"labels": label, "annotations": adopt(k, serverName), "ownerReferences": owner("0a1b2c3d-0000-4000-8000-0000000000ff")}
		}, true},
		"ControlledByNobody": {"A controller without UID is not this XR.", func(server.Key) object { return object{"ownerReferences": owner("")} }, true},
		"AdoptedByName":      {"It was given to another server.", func(k server.Key) object { return object{"annotations": adopt(k, "other")} }, true},
		"AdoptedWithoutKey":  {"Crossplane would be wedged if its first apply failed.", func(server.Key) object { return object{"annotations": object{server.AnnotationAdopt: serverName}} }, true},

		"ControlledByUs": {"It is this XR's, and the XR does not refer to it yet.", func(server.Key) object { return object{"ownerReferences": owner(serverUID)} }, false},
		"Survivor":       {"An earlier server of the same name left it.", func(k server.Key) object { return object{"labels": label, "annotations": key(k)} }, false},
		"Adopted":        {"A person gave it to this server.", func(k server.Key) object { return object{"annotations": adopt(k, serverName)} }, false},
	}
	srv := &server.Server{Name: serverName}
	running := mapAt(serving(t, namespaced()).get(server.KeyStatefulSet), "spec")
	for name, tc := range cases {
		for _, k := range []server.Key{
			server.KeyCluster, server.KeyJWTSecret, server.KeyAdminCredentials, server.KeyConfig, server.KeyHeadlessService, server.KeyAPIService,
			server.KeyNFSService, server.KeySMBService, server.KeyNetworkPolicy, server.KeyConnection, server.KeyStatefulSet,
		} {
			t.Run(name+"/"+string(k), func(t *testing.T) {
				id := srv.Identity(k)
				meta := tc.meta(k)
				meta["name"], meta["namespace"] = id.Name, teamNamespace
				o := object{"apiVersion": id.APIVersion, "kind": id.Kind, "metadata": meta}
				switch id.Kind {
				case "Secret":
					o["data"] = object{"jwt-secret": "b2xk", "password": "b2xk", "username": "b2xk"}
				case "StatefulSet":
					o["spec"] = running
				}
				// A cluster that is left is taken over only with the password in it.
				root := object{"name": "root", "key": "p"}
				s := newSituation(withPercona("spec.identity.admin.passwordSecretRef", root)).add(o, secret("root", map[string]string{"p": "x"}))
				first, rsp := run(t, s.request()), s.response(t)

				if composed(first, k) != nil {
					t.Errorf("%s\nIt is composed before anybody has looked whose it is.", tc.reason)
				}
				if !tc.taken {
					if text := fatal(rsp); text != "" {
						t.Fatalf("%s\nFatal: %s", tc.reason, text)
					}
					if composed(rsp, k) == nil {
						t.Errorf("%s\nIt is not composed: %s", tc.reason, messageOf(rsp, condition.TypeConfigReady))
					}

					return
				}
				want := []string{
					id.Kind, id.Name, "namespace team-a", "metadata.name",
					"annotate", server.AnnotationAdopt + "=" + serverName, server.AnnotationKey + "=" + string(k),
				}
				for _, text := range want {
					if !strings.Contains(fatal(rsp), text) {
						t.Errorf("%s\nThe Fatal does not say %q: %q", tc.reason, text, fatal(rsp))
					}
				}
				if got := conditionOf(rsp, condition.TypeConfigReady); got != "False NameTaken" {
					t.Errorf("%s\nConfigReady: got %s", tc.reason, got)
				}
				if diff := cmp.Diff(fatal(rsp), messageOf(rsp, condition.TypeConfigReady)); diff != "" {
					t.Errorf("%s\n-fatal, +condition:\n%s", tc.reason, diff)
				}
				if keys := composedKeys(rsp); len(keys) > 0 {
					t.Errorf("%s\nComposed: %v", tc.reason, keys)
				}
				// The requirements stay: what is taken today may be free
				// tomorrow.
				if len(rsp.GetRequirements().GetResources()) == 0 {
					t.Errorf("%s\nNothing is asked for.", tc.reason)
				}
			})
		}
	}

	t.Run("OfflineWithoutUID", func(t *testing.T) {
		// An XR that is rendered has no UID: it controls nothing.
		o := object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "files-config", "namespace": teamNamespace, "ownerReferences": owner("")}}
		if rsp := bareSituation(offline(namespaced())).add(o).response(t); conditionOf(rsp, condition.TypeConfigReady) != "False NameTaken" {
			t.Errorf("It is taken over: %v", composedKeys(rsp))
		}
	})
	t.Run("Observed", func(t *testing.T) {
		for name, edits := range map[string][]any{
			"Name":      {"metadata.name", "files-other"},
			"Namespace": {"metadata.namespace", "team-b"},
			"Kind":      {"kind", "Secret"},
			"Group":     {"apiVersion", "other.example.org/v1"},
			"NoName":    {"metadata.name", nil},
		} {
			s := serving(t, namespaced())
			req, _, _ := s.settle(t)
			req.Observed.Resources["config"].Resource = toStruct(edit(clone(s.get(server.KeyConfig)), edits...))
			rsp := run(t, req)
			if !strings.Contains(fatal(rsp), "config") || !strings.Contains(fatal(rsp), "metadata.name") {
				t.Errorf("%s: an observed object that is not the derived one: want a Fatal, got %q", name, fatal(rsp))
			}
		}
		// Another version of the same group and kind is the same object.
		s := serving(t, namespaced())
		req, want, _ := s.settle(t)
		req.Observed.Resources["statefulset"].Resource.Fields["apiVersion"] = toStruct(object{"v": "apps/v2"}).GetFields()["v"]
		if diff := cmp.Diff(composedKeys(want), composedKeys(run(t, req))); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
	})
	t.Run("ClaimRefOfANamespacedXR", func(t *testing.T) {
		// Who may edit a namespaced XR must not reach another namespace by it.
		xr := namespaced("spec.claimRef", object{"name": "other", "namespace": "team-b"})
		rsp := newSituation(xr).response(t)
		for _, k := range composedKeys(rsp) {
			o := composed(rsp, server.Key(k))
			if ns := textAt(o, "metadata", "namespace"); ns != teamNamespace || !strings.HasPrefix(textAt(o, "metadata", "name"), serverName) {
				t.Errorf("%s is composed as %s in %s", k, textAt(o, "metadata", "name"), ns)
			}
		}
		if len(rsp.GetDesired().GetComposite().GetConnectionDetails()) > 0 {
			t.Error("It has connection details.")
		}
		if fatal(rsp) != "" {
			t.Errorf("Fatal: %s", fatal(rsp))
		}
	})
	t.Run("Claim", func(t *testing.T) {
		for name, s := range map[string]*situation{
			"Claim":         newSituation(claimed()),
			"InputTooMuch":  newSituation(claimed()).withInput("namespace", "elsewhere"),
			"ClusterScoped": newSituation(clusterScoped()).withInput("namespace", teamNamespace),
		} {
			rsp := s.response(t)
			for _, k := range composedKeys(rsp) {
				o := composed(rsp, server.Key(k))
				if ns := textAt(o, "metadata", "namespace"); ns != teamNamespace || !strings.HasPrefix(textAt(o, "metadata", "name"), serverName) || strings.Contains(textAt(o, "metadata", "name"), claimedName) {
					t.Errorf("%s: %s is composed as %s in %s", name, k, textAt(o, "metadata", "name"), ns)
				}
			}
			if fatal(rsp) != "" || len(composedKeys(rsp)) == 0 {
				t.Errorf("%s: Fatal: %s", name, fatal(rsp))
			}
		}
	})
}

func TestR24UpgradingTheFunctionRestartsNothing(t *testing.T) {
	const old, oldWait, oldDB = "docker.io/marmos91c/dittofs:v0.27.0", "docker.io/library/postgres:15-alpine", "docker.io/percona/percona-distribution-postgresql:16.9-1"
	base := servingOnPercona(t, withPercona("spec.percona.updatePolicy", "Always"))
	sts := base.get(server.KeyStatefulSet)
	mapAt(podTemplate(sts), "spec", "containers", "name=dittofs")["image"] = old
	mapAt(podTemplate(sts), "spec", "initContainers", "name=wait-for-postgres")["image"] = oldWait
	base.add(sts).edit(server.KeyConfig, "data", object{"config.yaml": strings.Replace(textAt(base.get(server.KeyConfig), "data", "config.yaml"), "shutdown_timeout: 30s", "shutdown_timeout: 25s", 1)})
	base.edit(server.KeyCluster, "spec.image", oldDB, "spec.backups.pgbackrest.image", "docker.io/percona/percona-pgbackrest:2.50.0-1")

	type images struct{ Server, Wait, Database, Backup, Timeout string }
	look := func(rsp *fnv1.RunFunctionResponse) images {
		pod, cluster := mapAt(podTemplate(composed(rsp, server.KeyStatefulSet)), "spec"), composed(rsp, server.KeyCluster)
		timeout := regexp.MustCompile(`shutdown_timeout: (\S+)`).FindStringSubmatch(textAt(composed(rsp, server.KeyConfig), "data", "config.yaml"))

		return images{
			Server: textAt(pod, "containers", "name=dittofs", "image"), Wait: textAt(pod, "initContainers", "name=wait-for-postgres", "image"),
			Database: textAt(cluster, "spec", "image"), Backup: textAt(cluster, "spec", "backups", "pgbackrest", "image"), Timeout: timeout[1],
		}
	}
	running := images{old, oldWait, oldDB, "docker.io/percona/percona-pgbackrest:2.50.0-1", "25s"}
	with := func(change func(i *images)) images {
		i := running
		change(&i)

		return i
	}

	cases := map[string]struct {
		reason string
		do     func(s *situation)
		want   images
	}{
		"NobodySet": {"A default follows the live object.", func(*situation) {}, running},
		"XRSets":    {"What the XR sets is sent.", func(s *situation) { s.editXR("spec.image", "docker.io/marmos91c/dittofs:v0.30.0") }, with(func(i *images) { i.Server = "docker.io/marmos91c/dittofs:v0.30.0" })},
		"InputSets": {"What the platform team sets is sent.", func(s *situation) { s.withInput("defaults", object{"image": "docker.io/marmos91c/dittofs:v0.31.0"}) }, with(func(i *images) { i.Server = "docker.io/marmos91c/dittofs:v0.31.0" })},
		"XRBeforeInput": {"The XR wins over the platform's default.", func(s *situation) {
			s.editXR("spec.image", "r.example.org/d:1").withInput("defaults", object{"image": "r.example.org/d:2"})
		}, with(func(i *images) { i.Server = "r.example.org/d:1" })},
		"InputSetsWait": {"What the platform team sets is sent.", func(s *situation) { s.withInput("waitForPostgres", object{"image": "r.example.org/pg:16"}) }, with(func(i *images) { i.Wait = "r.example.org/pg:16" })},
		"XRSetsDatabase": {"What the XR sets is sent.", func(s *situation) {
			s.editXR("spec.percona.images.postgres", "docker.io/percona/percona-distribution-postgresql:16.12-1")
		}, with(func(i *images) { i.Database = "docker.io/percona/percona-distribution-postgresql:16.12-1" })},
		"InputSetsDatabase": {"What the platform team sets is sent.", func(s *situation) {
			s.withInput("percona", object{"images": object{"postgres": object{"16": "r.example.org/pg:16.5"}, "pgBackRest": "r.example.org/backrest:1"}})
		}, with(func(i *images) { i.Database, i.Backup = "r.example.org/pg:16.5", "r.example.org/backrest:1" })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone()
			tc.do(s)
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			if diff := cmp.Diff(tc.want, look(rsp)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
			if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "True Matches" {
				t.Errorf("%s\nDatabaseUpToDate: got %s: %s", tc.reason, got, messageOf(rsp, condition.TypeDatabaseUpToDate))
			}
		})
	}

	t.Run("Version", func(t *testing.T) {
		s := servingOnPercona(t, withPercona("spec.percona.postgresVersion", 15, "spec.percona.updatePolicy", "Always"))
		rsp := s.editXR("spec.percona.postgresVersion", nil).response(t)
		if got := at(composed(rsp, server.KeyCluster), "spec", "postgresVersion"); got != 15.0 {
			t.Errorf("A version that nobody sets any more follows the live cluster: got %v", got)
		}
		if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "True Matches" {
			t.Errorf("DatabaseUpToDate: got %s: %s", got, messageOf(rsp, condition.TypeDatabaseUpToDate))
		}
	})
	t.Run("NewServer", func(t *testing.T) {
		s := servingOnPercona(t, withPercona())
		want := images{"docker.io/marmos91c/dittofs:v0.29.0", "docker.io/library/postgres:16-alpine", "docker.io/percona/percona-distribution-postgresql:16.13-1", "docker.io/percona/percona-pgbackrest:2.58.0-1", "30s"}
		if diff := cmp.Diff(want, look(s.response(t))); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
	})
}
