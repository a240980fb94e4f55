package observed

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

func object(t *testing.T, content map[string]any) Object {
	t.Helper()

	s, err := structpb.NewStruct(content)
	if err != nil {
		t.Fatal(err)
	}

	return found(&fnv1.Resource{Resource: s})
}

func TestObject(t *testing.T) {
	o := object(t, map[string]any{
		"text": "t", "number": 7, "true": true, "list": []any{map[string]any{"name": "a"}, "b", map[string]any{"name": 7}}, "map": map[string]any{"text": "u"},
	})
	type values struct {
		Text  string
		Int   int64
		Bool  bool
		List  int
		Items int
		Keys  []string
		Value any
	}

	cases := map[string]struct {
		reason string
		object Object
		path   []string
		want   values
	}{
		"Text":   {"A text is nothing else.", o, []string{"text"}, values{Text: "t", Value: "t"}},
		"Number": {"A number is nothing else.", o, []string{"number"}, values{Int: 7, Value: 7.0}},
		"Bool":   {"A truth is nothing else.", o, []string{"true"}, values{Bool: true, Value: true}},
		"List":   {"What is no object in a list is no item.", o, []string{"list"}, values{List: 3, Items: 2, Value: []any{map[string]any{"name": "a"}, "b", map[string]any{"name": 7.0}}}},
		"Map":    {"A map is no list.", o, []string{"map"}, values{Keys: []string{"text"}, Value: map[string]any{"text": "u"}}},
		"Nested": {"A path leads through maps.", o, []string{"map", "text"}, values{Text: "u", Value: "u"}},
		"Beyond": {"A path ends where there is no map.", o, []string{"text", "x"}, values{}},
		"Absent": {"There is nothing there.", o, []string{"x", "y"}, values{}},
		"None":   {"There is nothing in an object that is not there.", Object{}, []string{"text"}, values{}},
		"Empty":  {"There is nothing in an answer without an object.", found(nil), []string{"text"}, values{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := tc.object
			got := values{o.Text(tc.path...), o.Int(tc.path...), o.Bool(tc.path...), len(o.List(tc.path...)), len(o.Items(tc.path...)), o.Keys(tc.path...), o.Raw(tc.path...).AsInterface()}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if o.Item("a", "list").Text("name") != "a" || o.Item("b", "list").Live() || o.Item("7", "list").Live() {
		t.Error("Item(...): the one with the name, and no other.")
	}
}

func TestApplied(t *testing.T) {
	managed := []any{map[string]any{"manager": "us"}}
	cases := map[string]struct {
		reason string
		object Object
		want   map[string]any
	}{
		"None": {"There is no object.", Object{Presence: Absent}, nil},
		"Bare": {"Neither is there.", object(t, map[string]any{"kind": "k"}), map[string]any{"metadata": map[string]any{"managedFields": nil}, "spec": nil}},
		"Full": {
			"What else there is tells nothing of who applied what.",
			object(t, map[string]any{"metadata": map[string]any{"name": "n", "managedFields": managed}, "spec": map[string]any{"n": 1}, "status": map[string]any{"n": 2}}),
			map[string]any{"metadata": map[string]any{"managedFields": managed}, "spec": map[string]any{"n": 1.0}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.object.Applied()); diff != "" {
				t.Errorf("%s\nApplied(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSecretValue(t *testing.T) {
	type value struct {
		Value string
		OK    bool
	}
	cases := map[string]struct {
		reason string
		data   any
		want   value
	}{
		"Readable":  {"Data is base64.", map[string]any{"k": "aGk="}, value{"hi", true}},
		"Missing":   {"There is no such key.", map[string]any{"x": "aGk="}, value{}},
		"Empty":     {"An empty value is none.", map[string]any{"k": ""}, value{}},
		"NotBase64": {"What cannot be read is none.", map[string]any{"k": "%%%"}, value{}},
		"NotText":   {"What cannot be read is none.", map[string]any{"k": 7.0}, value{}},
		"NoData":    {"A Secret may be empty.", nil, value{}},
		"NotMap":    {"What cannot be read is none.", []any{"k"}, value{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := value{}
			got.Value, got.OK = Secret{Name: "s", Object: object(t, map[string]any{"data": tc.data})}.Value("k")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nValue(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// state of a namespaced server called files, with required resources.
func state(t *testing.T, answers map[string]map[string]any) *State {
	t.Helper()

	xr, err := structpb.NewStruct(map[string]any{
		"apiVersion": "dittofs.io/v1alpha1", "kind": "DittoServer",
		"metadata": map[string]any{"name": "files", "namespace": "team-a", "uid": "u-1", "creationTimestamp": "2026-01-02T03:04:05Z"},
		"spec":     map[string]any{"storage": map[string]any{"metadataSize": "1Gi"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}, RequiredResources: map[string]*fnv1.Resources{}}
	for name, content := range answers {
		req.RequiredResources[name] = &fnv1.Resources{}
		if content == nil {
			continue
		}
		s, err := structpb.NewStruct(content)
		if err != nil {
			t.Fatal(err)
		}
		req.RequiredResources[name].Items = []*fnv1.Resource{{Resource: s}}
	}
	srv, err := server.Resolve(req)
	if err != nil {
		t.Fatal(err)
	}

	return From(req, srv)
}

func TestForeignObjectsAreNotRead(t *testing.T) {
	s := state(t, map[string]map[string]any{"object/jwt-secret": {
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "files-jwt-secret", "namespace": "team-a"},
		"data": map[string]any{"jwt-secret": "aGk="},
	}})
	o := s.Get(server.KeyJWTSecret)
	if !o.Live() {
		t.Error("Get(...): somebody else's object is there.")
	}
	if v, ok := SecretValue(o, "jwt-secret"); ok {
		t.Errorf("Get(...): somebody else's Secret is read: %q", v)
	}
	if s.MayCompose(server.KeyJWTSecret) {
		t.Error("MayCompose(...): somebody else's object is ours.")
	}
	if err := s.Taken(); err == nil || !strings.Contains(err.Error(), "kubectl -n team-a annotate secret files-jwt-secret") {
		t.Errorf("Taken(): want what to do, got %v", err)
	}
}

func TestRequirements(t *testing.T) {
	namespace := "team-a"
	got := state(t, nil).Requirements().GetResources()
	want := &fnv1.ResourceSelector{ApiVersion: "apps/v1", Kind: "StatefulSet", Namespace: &namespace, Match: &fnv1.ResourceSelector_MatchName{MatchName: "files"}}
	if diff := cmp.Diff(want, got["object/statefulset"], protocmp.Transform()); diff != "" {
		t.Errorf("Requirements(): -want, +got:\n%s", diff)
	}
	want = &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "Namespace", Match: &fnv1.ResourceSelector_MatchName{MatchName: "team-a"}}
	if diff := cmp.Diff(want, got["namespace"], protocmp.Transform()); diff != "" {
		t.Errorf("Requirements(): -want, +got:\n%s", diff)
	}
}

func TestPresence(t *testing.T) {
	found := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "team-a", "uid": "n-1"}}
	cases := map[string]struct {
		reason  string
		answers map[string]map[string]any
		want    Presence
	}{
		"Unanswered": {"Nobody has looked.", nil, Unknown},
		"Absent":     {"Somebody has looked, and there is none.", map[string]map[string]any{"namespace": nil}, Absent},
		"Found":      {"It is there.", map[string]map[string]any{"namespace": found}, Found},
		"Other":      {"It is another one.", map[string]map[string]any{"namespace": {"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "team-b"}}}, Unknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := state(t, tc.answers)
			if s.Namespace.Presence != tc.want {
				t.Errorf("%s\nwant %d, got %d", tc.reason, tc.want, s.Namespace.Presence)
			}
			if _, ok := s.NamespaceOwner(Object{}); ok != (tc.want == Found) {
				t.Errorf("%s\nNamespaceOwner(...): got %t", tc.reason, ok)
			}
		})
	}
}
