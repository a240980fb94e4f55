package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const objectsPath = "docs/objects.md"

// TestDocsObjectsAreAll holds the document to what is composed: every key has a
// row with the object's kind and name, and there is no other row.
func TestDocsObjectsAreAll(t *testing.T) {
	srv := &server.Server{Name: "<n>", Spec: v1alpha1.DittoServerSpec{Metrics: v1alpha1.MetricsSpec{Enabled: new(true)}}}
	srv.Spec.SetDefaults()
	want, got := map[string]string{}, map[string]string{}
	for _, k := range append(srv.Keys(), server.KeyCluster, server.KeyServiceMonitor) {
		want[string(k)] = srv.Identity(k).Kind + " " + srv.Identity(k).Name
	}
	for _, cells := range documentRows(t, objectsPath)[""] {
		if len(cells) != 5 || slices.Contains(cells, "") {
			t.Errorf("%s: a row has a key, a kind, a name, a purpose and a time: %q", objectsPath, cells)

			continue
		}
		got[strings.Trim(cells[0], "`")] = cells[1] + " " + strings.Trim(cells[2], "`")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", objectsPath, diff)
	}
}

// TestDocsSecretsAreAll holds the document to the keys of the Secrets that are
// composed, for a password that is generated and for a person's own.
func TestDocsSecretsAreAll(t *testing.T) {
	generated := started(t, namespaced())
	own := started(t, namespaced("spec.identity.admin.passwordSecretRef", object{"name": "mine", "key": "pw"}),
		secret("mine", map[string]string{"pw": "secret"}))

	want, got := map[string][]string{}, map[string][]string{}
	for _, k := range []server.Key{server.KeyConnection, server.KeyAdminCredentials, server.KeyJWTSecret} {
		o := generated.get(k)
		keys := maps.Clone(mapAt(o, "data"))
		maps.Copy(keys, mapAt(own.get(k), "data"))
		name := strings.Replace(textAt(o, "metadata", "name"), serverName, "<n>", 1)
		want[name] = slices.Sorted(maps.Keys(keys))
	}
	for _, cells := range documentRows(t, objectsPath)["Secrets"] {
		if len(cells) != 3 || slices.Contains(cells, "") {
			t.Errorf("%s: a row has a Secret, a key and a value: %q", objectsPath, cells)

			continue
		}
		name := strings.Trim(cells[0], "`")
		got[name] = append(got[name], strings.Trim(cells[1], "`"))
		slices.Sort(got[name])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", objectsPath, diff)
	}
}
