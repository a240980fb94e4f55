package main

import (
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
	s := serving(t, namespaced())
	s.editXR("spec.percona.enabled", true)
	s.reconcile(t)
	s.remove(server.KeyStatefulSet)
	rsp := s.response(t)
	if got := conditionOf(rsp, condition.TypeDatabaseReady); got != "False DatabaseChangeRefused" {
		t.Errorf("DatabaseReady: got %s: %s", got, messageOf(rsp, condition.TypeDatabaseReady))
	}
	for _, k := range []server.Key{server.KeyCluster, server.KeyStatefulSet} {
		if composed(rsp, k) != nil {
			t.Errorf("%s is composed for a database that the server did not have.", k)
		}
	}

	s.editXR("spec.percona.enabled", false)
	if composed(s.response(t), server.KeyStatefulSet) == nil {
		t.Error("The StatefulSet does not come back on the database that the server had.")
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
	s := newSituation(namespaced())
	s.add(object{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{
			"name": "files-config", "namespace": teamNamespace,
			"ownerReferences": []any{object{"apiVersion": "dittofs.io/v1alpha1", "kind": "DittoServer", "name": serverName, "uid": "gone", "controller": true}},
		},
	})
	text := fatal(s.response(t))
	if !strings.Contains(text, "wait a moment") || strings.Contains(text, "orphan") {
		t.Errorf("Fatal: %s", text)
	}
}
