package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A change that is refused must not reach the database by another way: the
// operator would make the user Secret lead there, and the next restart of the
// pod would follow it.
func TestR22RefusedChangeDoesNotReachTheCluster(t *testing.T) {
	s := servingOnPercona(t, withPercona("spec.percona.updatePolicy", "Always"))
	before := at(s.get(server.KeyCluster), "spec", "users")
	s.editXR("spec.percona.databaseName", "other")
	s.reconcile(t)
	rsp := s.response(t)
	if got := conditionOf(rsp, condition.TypeDatabaseReady); got != "False DatabaseChangeRefused" {
		t.Errorf("DatabaseReady: got %s", got)
	}
	if diff := cmp.Diff(before, at(s.get(server.KeyCluster), "spec", "users")); diff != "" {
		t.Errorf("The cluster's users follow a change that was refused: -want, +got:\n%s", diff)
	}
}

// A StatefulSet that somebody deleted, by mistake or to have it composed anew,
// comes back on the database that the server had, or not at all.
func TestR22DeletedStatefulSetKeepsItsDatabase(t *testing.T) {
	otherDB := edit(externalSecret(nil), "metadata.name", "other-db")
	cases := map[string]struct {
		reason  string
		on      *situation
		edits   []any
		back    []any
		witness string
	}{
		"OtherKind": {
			"Its status tells the kind.", serving(t, namespaced()),
			[]any{"spec.percona.enabled", true},
			[]any{"spec.percona.enabled", false},
			idOfKey(server.KeyConfig),
		},
		"OtherFile": {
			"Its ConfigMap tells the path.", serving(t, namespaced()),
			[]any{"spec.database.sqlite.path", "/data/controlplane/other.db"},
			[]any{"spec.database.sqlite.path", nil},
			idOfKey(server.KeyConfig),
		},
		"OtherSecret": {
			"Its status tells the Secret.", serving(t, onExternal(), externalSecret(nil), otherDB),
			[]any{"spec.database.postgresSecretRef.name", "other-db"},
			[]any{"spec.database.postgresSecretRef.name", externalSecretName},
			idOf("v1", "Secret", teamNamespace, externalSecretName),
		},
		"OtherName": {
			"Its user Secret tells the database.", servingOnPercona(t, withPercona("spec.percona.updatePolicy", "Always")),
			[]any{"spec.percona.databaseName", "other"},
			[]any{"spec.percona.databaseName", nil},
			idOf("v1", "Secret", teamNamespace, userSecretName),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := tc.on
			before := textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase)
			cluster := at(s.get(server.KeyCluster), "spec")
			s.editXR(tc.edits...)
			s.rest(t)
			s.remove(server.KeyStatefulSet)
			for _, unread := range []string{tc.witness, idOfKey(server.KeyStatefulSet), idOf("v1", "PersistentVolumeClaim", teamNamespace, "controlplane-"+serverName+"-0")} {
				unknown := s.clone().forget(server.KeyConfig).hide(unread).response(t)
				if composed(unknown, server.KeyStatefulSet) != nil {
					t.Errorf("%s\nThe StatefulSet is composed while %s is not read.", tc.reason, unread)
				}
				if users := fmt.Sprint(at(composed(unknown, server.KeyCluster), "spec", "users")); strings.Contains(users, "other") {
					t.Errorf("%s\nThe cluster is led elsewhere while %s is not read: %s", tc.reason, unread, users)
				}
			}
			rsp := s.rest(t)
			if got := conditionOf(rsp, condition.TypeDatabaseReady); got != "False DatabaseChangeRefused" {
				t.Errorf("%s\nDatabaseReady: got %s: %s", tc.reason, got, messageOf(rsp, condition.TypeDatabaseReady))
			}
			if !strings.Contains(messageOf(rsp, condition.TypeDatabaseReady), before) {
				t.Errorf("%s\nDatabaseReady does not say %s: %s", tc.reason, before, messageOf(rsp, condition.TypeDatabaseReady))
			}
			if composed(rsp, server.KeyStatefulSet) != nil {
				t.Errorf("%s\nThe StatefulSet is composed for a database that the server did not have.", tc.reason)
			}
			if diff := cmp.Diff(cluster, at(s.get(server.KeyCluster), "spec")); diff != "" {
				t.Errorf("%s\nThe cluster follows: -before, +after:\n%s", tc.reason, diff)
			}

			s.editXR(tc.back...)
			s.rest(t)
			if got := textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase); got != before {
				t.Errorf("%s\nThe StatefulSet comes back on %q, want %q", tc.reason, got, before)
			}
		})
	}
}

// A server whose StatefulSet and whose database's Secret are gone can be started
// again with another Secret: the one that was may have been renamed, or was
// never there.
func TestR22SecretThatIsGoneHoldsNothing(t *testing.T) {
	s := serving(t, onExternal(), externalSecret(nil), edit(externalSecret(nil), "metadata.name", "renamed"))
	s.remove(server.KeyStatefulSet).removeSecret(externalSecretName)
	s.rest(t)
	s.editXR("spec.database.postgresSecretRef.name", "renamed")
	rsp := s.rest(t)
	if got := textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase); got != "external:renamed" {
		t.Errorf("The StatefulSet is on %q, and DatabaseReady says %s", got, messageOf(rsp, condition.TypeDatabaseReady))
	}
}

// A server reads its administrator's password on its first boot. Composed anew,
// its StatefulSet refers to that one as before, and so does what people are told.
func TestR04RecreatedServerKeepsItsFirstPassword(t *testing.T) {
	root := secret("root", map[string]string{"p": "a person's"})
	ref := "spec.identity.admin.passwordSecretRef"
	cases := map[string]struct {
		reason string
		on     *situation
		edits  []any
	}{
		"GeneratedThenNamed": {"The generated password is in force.", serving(t, namespaced(), root), []any{ref, object{"name": "root", "key": "p"}}},
		"NamedThenOther": {
			"The first person's password is in force.", serving(t, namespaced(ref, object{"name": "root", "key": "p"}), root, secret("other", map[string]string{"p": "another's"})),
			[]any{ref, object{"name": "other", "key": "p"}},
		},
		"NamedThenNone": {"A person's password is in force.", serving(t, namespaced(ref, object{"name": "root", "key": "p"}), root), []any{ref, nil}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := tc.on
			s.editXR(tc.edits...)
			s.rest(t)
			template, details := podTemplate(s.get(server.KeyStatefulSet)), at(s.get(server.KeyConnection), "data")
			s.remove(server.KeyStatefulSet)
			if sent := composed(s.clone().forget(server.KeyConnection).hide(idOfKey(server.KeyConnection)).response(t), server.KeyStatefulSet); sent != nil && cmp.Diff(template, podTemplate(sent)) != "" {
				t.Errorf("%s\nIt is started with another password while it is not known which was first.", tc.reason)
			}
			s.rest(t)
			if diff := cmp.Diff(template, podTemplate(s.get(server.KeyStatefulSet))); diff != "" {
				t.Errorf("%s\nThe pod is restarted: -before, +after:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(details, at(s.get(server.KeyConnection), "data")); diff != "" {
				t.Errorf("%s\nPeople are told another password: -before, +after:\n%s", tc.reason, diff)
			}
		})
	}
}

// A pod is restarted for a new file only once the ConfigMap holds it: applied in
// one go, and cut short between the two, it would start with the old one, and
// nothing would restart it again.
func TestR03PodWaitsForItsFile(t *testing.T) {
	s := serving(t, namespaced())
	live := s.get(server.KeyStatefulSet)
	s.editXR("spec.logging.level", "DEBUG")

	first := s.response(t)
	if diff := sameTemplate(live, composed(first, server.KeyStatefulSet)); diff != "" {
		t.Errorf("The pod is restarted before its file is stored: -live, +sent:\n%s", diff)
	}
	if file := textAt(composed(first, server.KeyConfig), "data", "config.yaml"); !strings.Contains(file, "DEBUG") {
		t.Errorf("The file is not stored:\n%s", file)
	}
	if got := conditionOf(first, condition.TypeProgressing); got != "True RollingOut" {
		t.Errorf("Progressing: got %s", got)
	}

	s.apply(t, first)
	if sameTemplate(live, composed(s.response(t), server.KeyStatefulSet)) == "" {
		t.Error("The pod is not restarted once its file is stored.")
	}
}

// An earlier server's objects that are still being let go of are no reason to
// tell a person to delete the new server.
func TestR23EarlierServerOfTheName(t *testing.T) {
	for name, tc := range map[string]struct {
		xr    object
		owner object
	}{
		"XR":    {namespaced(), object{"kind": "DittoServer", "name": serverName}},
		"Claim": {claimed(), object{"kind": "XDittoServer", "name": serverName + "-b8w4m"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSituation(tc.xr)
			owner := edit(tc.owner, "apiVersion", "dittofs.io/v1alpha1", "uid", "gone", "controller", true)
			s.add(object{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{
					"name": "files-config", "namespace": teamNamespace, "labels": object{server.LabelServer: serverName}, "ownerReferences": []any{owner},
				},
			})
			text := fatal(s.response(t))
			if !strings.Contains(text, "wait a moment") || strings.Contains(text, "orphan") {
				t.Errorf("Fatal: %s", text)
			}
		})
	}
}
