package world

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// A fake function answers with what its test wants.
type fake struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	answer func(*fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse
}

func (f *fake) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f.answer(req), nil
}

func percona(t *testing.T) PerconaKind {
	t.Helper()
	v := crdtest.PerconaPGCluster(t)

	return PerconaKind{Converter: crdtest.PerconaTypeConverter(t), Default: v.Default, Validate: v.Validate}
}

func newWorld(t *testing.T, legacy bool, answer func(*fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse) *World {
	t.Helper()
	w, err := New(Config{Percona: percona(t), Function: &fake{answer: answer}, Namespace: "team-a", Name: "files", Legacy: legacy})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.CreateXR(map[string]any{"storage": map[string]any{"metadataSize": "10Gi"}}); err != nil {
		t.Fatal(err)
	}

	return w
}

func object(apiVersion, kind, name string, fields map[string]any) map[string]any {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": "team-a", "name": name}}
	maps.Copy(o, fields)

	return o
}

func configMap(name string, data map[string]any) map[string]any {
	return object("v1", "ConfigMap", name, map[string]any{"data": data})
}

func statefulSet(image string) map[string]any {
	labels := map[string]any{"app": "x"}

	return object("apps/v1", "StatefulSet", "files", map[string]any{"spec": map[string]any{
		"serviceName": "files-headless",
		"selector":    map[string]any{"matchLabels": labels},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels},
			"spec": map[string]any{"containers": []any{map[string]any{
				"name": "dittofs", "image": image,
				"env": []any{map[string]any{"name": "KEY", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "files-key", "key": "key"}}}},
				"volumeMounts": []any{map[string]any{
					"name": "metadata", "mountPath": "/data",
				}},
			}}},
		},
		"volumeClaimTemplates": []any{map[string]any{
			"metadata": map[string]any{"name": "metadata"},
			"spec":     map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}},
		}},
	}})
}

func cluster(spec map[string]any) map[string]any {
	s := map[string]any{
		"postgresVersion": 16, "image": "postgres:16",
		"users":     []any{map[string]any{"name": "dittofs", "databases": []any{"dittofs"}}},
		"instances": []any{map[string]any{"name": "instance1", "dataVolumeClaimSpec": map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}}},
		"backups":   map[string]any{"enabled": false, "pgbackrest": map[string]any{"image": "pgbackrest:2"}},
	}
	maps.Copy(s, spec)

	return object("pgv2.percona.com/v2", "PerconaPGCluster", "files-postgres", map[string]any{"spec": s})
}

func with(content map[string]any, value any, path ...string) map[string]any {
	out := decodedMap(content)
	set(out, value, path...)

	return out
}

// kindOf an error, in the words of the API.
func kindOf(err error) string {
	switch {
	case err == nil:
		return ""
	case kerrors.IsInvalid(err):
		return "Invalid"
	case kerrors.IsConflict(err):
		return "Conflict"
	case kerrors.IsNotFound(err):
		return "NotFound"
	case kerrors.IsBadRequest(err):
		return "BadRequest"
	case meta.IsNoMatchError(err):
		return "NoMatch"
	}

	return "other"
}

func TestApply(t *testing.T) {
	owner := func(uid string, controller bool) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "Owner", "name": uid, "uid": uid, "controller": controller}
	}

	cases := map[string]struct {
		reason string
		have   map[string]any // Made by another manager before, by an update.
		first  map[string]any // Applied by us before.
		edit   func(content map[string]any)
		apply  map[string]any
		want   map[string]any // Fields by path, nil: absent.
		err    string
		same   bool // The apply changes nothing, not even the version.
	}{
		"Create": {
			reason: "An apply makes what is not there and fills in defaults.",
			apply:  object("v1", "Service", "files", map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"port": 80.0}}}}),
			want:   map[string]any{"spec.type": "ClusterIP", "metadata.resourceVersion": "1000001"},
		},
		"Again": {
			reason: "An apply that changes nothing moves no resourceVersion.",
			first:  statefulSet("a"), apply: statefulSet("a"), same: true,
		},
		"Pruned": {
			reason: "What we applied and no longer apply goes.",
			first:  configMap("c", map[string]any{"a": "1", "b": "2"}), apply: configMap("c", map[string]any{"a": "1"}),
			want: map[string]any{"data.a": "1", "data.b": nil},
		},
		"Taken": {
			reason: "What somebody else took over stays when we stop sending it.",
			first:  configMap("c", map[string]any{"a": "1", "b": "2"}),
			edit:   func(c map[string]any) { set(c, "3", "data", "b") },
			apply:  configMap("c", map[string]any{"a": "1"}),
			want:   map[string]any{"data.b": "3"},
		},
		"Forced": {
			reason: "What we send wins, whoever wrote it.",
			first:  configMap("c", map[string]any{"a": "1"}),
			edit:   func(c map[string]any) { set(c, "3", "data", "a") },
			apply:  configMap("c", map[string]any{"a": "1"}),
			want:   map[string]any{"data.a": "1"},
		},
		"Adopted": {
			reason: "An object that nobody controls is taken over, fields and all.",
			have:   configMap("c", map[string]any{"theirs": "1"}),
			apply:  with(configMap("c", map[string]any{"ours": "2"}), []any{owner("us", true)}, "metadata", "ownerReferences"),
			want:   map[string]any{"data.theirs": "1", "data.ours": "2"},
		},
		"SecondController": {
			reason: "An object that somebody else controls is not.",
			have:   with(configMap("c", nil), []any{owner("them", true)}, "metadata", "ownerReferences"),
			apply:  with(configMap("c", nil), []any{owner("us", true)}, "metadata", "ownerReferences"),
			err:    "Invalid",
		},
		"SecondOwner": {
			reason: "Owners that do not control are merged by UID.",
			have:   with(configMap("c", nil), []any{owner("them", true)}, "metadata", "ownerReferences"),
			apply:  with(configMap("c", nil), []any{owner("us", false)}, "metadata", "ownerReferences"),
			want:   map[string]any{"metadata.ownerReferences.1.uid": "us"},
		},
		"StaleVersion": {
			reason: "A resourceVersion in the object is a precondition.",
			first:  configMap("c", nil), apply: with(configMap("c", nil), "7", "metadata", "resourceVersion"), err: "Conflict",
		},
		"RightVersion": {
			reason: "It is met by the live one.",
			first:  configMap("c", nil), apply: with(configMap("c", map[string]any{"a": "1"}), "1000001", "metadata", "resourceVersion"),
			want: map[string]any{"data.a": "1", "metadata.resourceVersion": "1000002"},
		},
		"UIDOfNothing": {
			reason: "A uid says that the object exists.",
			apply:  with(configMap("c", nil), "dead", "metadata", "uid"), err: "Conflict",
		},
		"OtherUID": {
			reason: "A uid is immutable.",
			first:  configMap("c", nil), apply: with(configMap("c", nil), "dead", "metadata", "uid"), err: "Invalid",
		},
		"ManagedFields": {
			reason: "managedFields are not for clients.",
			first:  configMap("c", nil), apply: with(configMap("c", nil), []any{map[string]any{"manager": "us"}}, "metadata", "managedFields"), err: "BadRequest",
		},
		"ImmutableSecret": {
			reason: "An immutable Secret refuses other data (R4).",
			first:  object("v1", "Secret", "s", map[string]any{"immutable": true, "data": map[string]any{"k": "YQ=="}}),
			apply:  object("v1", "Secret", "s", map[string]any{"immutable": true, "data": map[string]any{"k": "Yg=="}}), err: "Invalid",
		},
		"ImmutableClaims": {
			reason: "The claim templates of a StatefulSet are immutable (R5).",
			first:  statefulSet("a"),
			apply: with(statefulSet("a"), []any{map[string]any{
				"metadata": map[string]any{"name": "metadata"}, "spec": map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "2Gi"}}},
			}}, "spec", "volumeClaimTemplates"), err: "Invalid",
		},
		"MutableTemplate": {
			reason: "The pod template is not, and its change counts a generation.",
			first:  statefulSet("a"), apply: statefulSet("b"),
			want: map[string]any{"metadata.generation": int64(2), "spec.template.spec.containers.0.image": "b"},
		},
		"UnknownMount": {
			reason: "A mount needs its volume.",
			apply:  with(statefulSet("a"), []any{}, "spec", "volumeClaimTemplates"), err: "Invalid",
		},
		"Status": {
			reason: "The status is another endpoint's.",
			first:  statefulSet("a"), apply: with(statefulSet("a"), map[string]any{"replicas": int64(7)}, "status"), same: true,
		},
		"UnknownField": {
			reason: "A field that the schema does not know is a plain error.",
			apply:  with(cluster(nil), true, "spec", "nonsense"), err: "other",
		},
		"InvalidCluster": {
			reason: "A PerconaPGCluster is judged by its real definition.",
			apply:  cluster(map[string]any{"postgresVersion": 19}), err: "Invalid",
		},
		"Cluster": {
			reason: "The definition's defaults are filled in.",
			apply:  cluster(nil), want: map[string]any{"spec.port": int64(5432), "spec.instances.0.replicas": int64(1)},
		},
		"Unserved": {
			reason: "A kind that is not served has no mapping.",
			apply:  object("example.org/v1", "Nonsense", "n", nil), err: "NoMatch",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := NewServer(percona(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Serve(GVKCluster); err != nil {
				t.Fatal(err)
			}
			key := KeyOf(tc.apply)
			if tc.have != nil {
				if _, err := s.Update(tc.have, "them"); err != nil {
					t.Fatal(err)
				}
			}
			if tc.first != nil {
				if _, err := s.Apply(tc.first, "us"); err != nil {
					t.Fatal(err)
				}
			}
			if tc.edit != nil {
				if err := s.Edit(key, "them", tc.edit); err != nil {
					t.Fatal(err)
				}
			}

			before := s.Find(key)
			got, err := s.Apply(tc.apply, "us")
			if diff := cmp.Diff(tc.err, kindOf(err)); diff != "" {
				t.Errorf("%s\nApply(): -want, +got error:\n%s\n%v", tc.reason, diff, err)
			}
			if tc.same && got != before {
				t.Errorf("%s\nApply(): changed the object: %s", tc.reason, cmp.Diff(before.Content(), got.Content()))
			}
			for path, want := range tc.want {
				if diff := cmp.Diff(want, dig(got.Value(), strings.Split(path, "."))); diff != "" {
					t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, path, diff)
				}
			}
		})
	}
}

// dig follows a path through maps and lists.
func dig(v any, path []string) any {
	for _, p := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[p]
		case []any:
			i := int(p[0] - '0')
			if i >= len(c) {
				return nil
			}
			v = c[i]
		}
	}

	return v
}

func TestDeletion(t *testing.T) {
	s, err := NewServer(percona(t))
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Apply(with(configMap("c", nil), []any{"keep"}, "metadata", "finalizers"), "us")
	if err != nil {
		t.Fatal(err)
	}
	k := o.Key()

	if got := kindOf(s.Delete(k, "dead")); got != "Conflict" {
		t.Errorf("Delete() with another UID: want Conflict, got %q", got)
	}
	if err := s.Delete(k, o.UID()); err != nil || !s.Find(k).Deleting() {
		t.Fatalf("Delete() with a finalizer: want an object that waits, got %v, error %v", s.Find(k), err)
	}
	if _, err := s.Apply(with(configMap("c", nil), []any{"keep", "more"}, "metadata", "finalizers"), "us"); kindOf(err) != "Invalid" {
		t.Errorf("Apply() of a new finalizer on a deleted object: want Invalid, got %v", err)
	}
	if _, err := s.Apply(configMap("c", nil), "us"); err != nil || s.Find(k) != nil {
		t.Errorf("Apply() without the last finalizer: want the object gone, got %v, error %v", s.Find(k), err)
	}
	again, err := s.Apply(configMap("c", nil), "us")
	if err != nil || again.UID() == o.UID() || again.ResourceVersion() == o.ResourceVersion() {
		t.Errorf("Apply() after the deletion: want another UID and version, got %q and %q, error %v", again.UID(), again.ResourceVersion(), err)
	}
}

func TestCollectGarbage(t *testing.T) {
	ref := func(o *Object, controller bool) map[string]any {
		k := o.Key()

		return map[string]any{"apiVersion": k.GroupVersion().String(), "kind": k.Kind, "name": k.Name, "uid": o.UID(), "controller": controller}
	}

	w := newWorld(t, false, nil)
	xr, ns := w.Observe(), w.Server.Find(Key{GroupVersionKind: GVKNamespace, Name: "team-a"})
	for name, refs := range map[string][]any{"dependent": {ref(xr, true)}, "anchored": {ref(xr, true), ref(ns, false)}, "free": nil} {
		content := configMap(name, nil)
		if refs != nil {
			set(content, refs, "metadata", "ownerReferences")
		}
		if _, err := w.Server.Apply(content, "us"); err != nil {
			t.Fatal(err)
		}
	}

	if did, err := CollectGarbage(w.Server); did || err != nil {
		t.Errorf("CollectGarbage() with all owners alive: did %v, error %v", did, err)
	}
	if err := w.Server.Delete(xr.Key(), ""); err != nil {
		t.Fatal(err)
	}
	if did, err := CollectGarbage(w.Server); !did || err != nil {
		t.Errorf("CollectGarbage() with a dead owner: did %v, error %v", did, err)
	}

	got := map[string]int{}
	for _, k := range w.Server.Keys() {
		if k.GroupVersionKind == GVKConfigMap {
			got[k.Name] = len(list(w.Server.Find(k).Value("metadata", "ownerReferences")))
		}
	}
	if diff := cmp.Diff(map[string]int{"anchored": 1, "free": 0}, got); diff != "" {
		t.Errorf("objects that are left, and how many owners they have: -want, +got:\n%s", diff)
	}
}

func TestClone(t *testing.T) {
	w := newWorld(t, false, nil)
	c := w.Clone()
	if err := c.EditXR(int64(0), "replicas"); err != nil {
		t.Fatal(err)
	}
	if got := w.Observe().Value("spec", "replicas"); got != nil {
		t.Errorf("a change in a clone reached the original: replicas %v", got)
	}
	if got := c.Observe().Value("spec", "replicas"); got != int64(0) {
		t.Errorf("the change did not reach the clone: replicas %v", got)
	}
}

func resources(contents map[string]map[string]any) map[string]*fnv1.Resource {
	out := map[string]*fnv1.Resource{}
	for name, c := range contents {
		s, err := structpb.NewStruct(c)
		if err != nil {
			return nil
		}
		out[name] = &fnv1.Resource{Resource: s, Ready: fnv1.Ready_READY_TRUE}
	}

	return out
}

// compose answers with these resources.
func compose(contents map[string]map[string]any) *fnv1.RunFunctionResponse {
	return &fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: resources(contents)}}
}

func reconcileOnce(t *testing.T, w *World, f Faults) *Outcome {
	t.Helper()
	out, err := w.Crossplane.Reconcile(context.Background(), w.Server, f)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func TestReconcile(t *testing.T) {
	both := map[string]map[string]any{"one": configMap("one", map[string]any{"a": "1"}), "two": configMap("two", nil)}

	for _, legacy := range []bool{false, true} {
		t.Run(fmt.Sprintf("legacy %v", legacy), func(t *testing.T) {
			want := both
			fatal := false
			w := newWorld(t, legacy, func(*fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
				rsp := compose(want)
				rsp.Conditions = []*fnv1.Condition{{Type: "Fine", Status: fnv1.Status_STATUS_CONDITION_TRUE, Reason: "Yes"}, {Type: "Ready", Status: fnv1.Status_STATUS_CONDITION_FALSE}}
				if fatal {
					rsp.Conditions = nil
					rsp.Results = []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_FATAL, Message: "no"}}
				}

				return rsp
			})
			one := w.Key("v1", "ConfigMap", "one")

			out := reconcileOnce(t, w, NoFaults())
			if out.Err != nil || len(out.Observed) != 0 {
				t.Fatalf("first reconcile: error %v, observed %v", out.Err, out.Observed)
			}
			o := w.Server.Find(one)
			if o.Controller() != w.Observe().UID() || o.Text("metadata", "annotations", AnnotationName) != "one" || o.Text("metadata", "labels", LabelComposite) != w.Crossplane.XR.Name {
				t.Errorf("the composed object lacks Crossplane's metadata: %v", o.Value("metadata"))
			}
			if s, _, _ := Condition(w.Observe(), "Ready"); s != "True" {
				t.Errorf("the XR is not ready: %v", w.Observe().Value("status"))
			}

			// The second reconcile is the first that has conditions to keep.
			reconcileOnce(t, w, NoFaults())
			before := w.Server.Keys()
			versions := func() (v []string) {
				for _, k := range w.Server.Keys() {
					v = append(v, w.Server.Find(k).ResourceVersion())
				}

				return v
			}
			was := versions()
			out = reconcileOnce(t, w, NoFaults())
			if diff := cmp.Diff(was, versions()); diff != "" || len(out.Observed) != 2 {
				t.Errorf("third reconcile: observed %d, versions -want, +got:\n%s", len(out.Observed), diff)
			}

			fatal, want = true, nil
			out = reconcileOnce(t, w, NoFaults())
			if diff := cmp.Diff(before, w.Server.Keys()); diff != "" || out.Fatal != "no" {
				t.Errorf("a fatal result: %q, objects -want, +got:\n%s", out.Fatal, diff)
			}
			if s, r, _ := Condition(w.Observe(), "Fine"); s != "Unknown" || r != "FatalError" {
				t.Errorf("a condition that is missing after a fatal result: want Unknown FatalError, got %s %s", s, r)
			}

			fatal, want = false, map[string]map[string]any{"two": both["two"]}
			if err := w.Server.Edit(w.Key("v1", "ConfigMap", "two"), "them", func(c map[string]any) { set(c, []any{}, "metadata", "ownerReferences") }); err != nil {
				t.Fatal(err)
			}
			out = reconcileOnce(t, w, NoFaults())
			if w.Server.Find(one) != nil || !slices.ContainsFunc(out.Writes, func(w Write) bool { return w.Verb == "delete" && w.Name == "one" }) {
				t.Errorf("an object that is not desired any more is still there; writes %v", out.Writes)
			}
		})
	}
}

func TestReconcileErrors(t *testing.T) {
	cases := map[string]struct {
		reason   string
		have     []map[string]any
		contents map[string]map[string]any
		err      string // A part of the error; empty: none.
		unsynced []string
		synced   string // Status and a part of the message.
		left     []string
	}{
		"Invalid": {
			reason: "What is invalid is unsynced, all others are applied.",
			have: []map[string]any{with(object("v1", "Secret", "s", map[string]any{"immutable": true, "data": map[string]any{"k": "YQ=="}}),
				"a", "metadata", "annotations", AnnotationName)},
			contents: map[string]map[string]any{"a": object("v1", "Secret", "s", map[string]any{"data": map[string]any{"k": "Yg=="}}), "b": configMap("b", nil)},
			unsynced: []string{"a"}, synced: "False Unsynced resources: a", left: []string{"b"},
		},
		"Wedged": {
			reason:   "An object that lacks the annotation, because its first apply failed, blocks the XR for ever.",
			have:     []map[string]any{object("v1", "Secret", "s", map[string]any{"immutable": true, "data": map[string]any{"k": "YQ=="}})},
			contents: map[string]map[string]any{"a": object("v1", "Secret", "s", map[string]any{"data": map[string]any{"k": "Yg=="}}), "b": configMap("b", nil)},
			err:      "without required", synced: "False without required", left: []string{"b"},
		},
		"Conflict": {
			reason:   "A conflict aborts, and only makes Crossplane try again.",
			have:     []map[string]any{with(configMap("a", nil), map[string]any{"crossplane.io/composition-resource-name": "a"}, "metadata", "annotations")},
			contents: map[string]map[string]any{"a": with(configMap("a", nil), "1", "metadata", "resourceVersion"), "b": configMap("b", nil)},
			err:      "the object has been modified", left: []string{"a"},
		},
		"UID": {
			reason:   "A uid ends up in the references, whose schema does not know it.",
			contents: map[string]map[string]any{"a": with(configMap("a", nil), "dead", "metadata", "uid"), "b": configMap("b", nil)},
			err:      "field not declared in schema", synced: "False cannot update composed resource references", left: nil,
		},
		"Other": {
			reason:   "Any other error aborts and is reported.",
			contents: map[string]map[string]any{"a": with(configMap("a", nil), "text", "nonsense"), "b": configMap("b", nil)},
			err:      "nonsense", synced: "False nonsense", left: nil,
		},
		"Unserved": {
			reason:   "An unserved kind aborts before anything is written.",
			contents: map[string]map[string]any{"a": cluster(nil), "b": configMap("b", nil)},
			err:      "no matches for kind", synced: "False no matches", left: nil,
		},
		"ControlledByAnother": {
			reason: "An object of somebody else's makes ours unsynced.",
			have: []map[string]any{with(configMap("a", nil), []any{map[string]any{
				"apiVersion": "v1", "kind": "Other", "name": "other", "uid": "other", "controller": true,
			}}, "metadata", "ownerReferences")},
			contents: map[string]map[string]any{"a": configMap("a", nil), "b": configMap("b", nil)},
			unsynced: []string{"a"}, synced: "False Unsynced", left: []string{"a", "b"},
		},
		"ClusterScoped": {
			reason:   "A namespaced XR composes nothing cluster-scoped.",
			contents: map[string]map[string]any{"a": {"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "n"}}},
			err:      "cluster scoped", synced: "False cluster scoped",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false, func(*fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse { return compose(tc.contents) })
			for _, o := range tc.have {
				if _, err := w.Server.Update(o, "them"); err != nil {
					t.Fatal(err)
				}
			}
			// The first one only gets to write the references: its report
			// conflicts with them.
			reconcileOnce(t, w, NoFaults())
			out := reconcileOnce(t, w, NoFaults())

			if (out.Err == nil) != (tc.err == "") || (out.Err != nil && !strings.Contains(out.Err.Error(), tc.err)) {
				t.Errorf("%s\nReconcile(): want error %q, got %v", tc.reason, tc.err, out.Err)
			}
			if diff := cmp.Diff(tc.unsynced, out.Unsynced); diff != "" {
				t.Errorf("%s\nReconcile(): -want, +got unsynced:\n%s", tc.reason, diff)
			}
			status, _, msg := Condition(w.Observe(), "Synced")
			wantStatus, wantMsg, _ := strings.Cut(tc.synced, " ")
			if status != wantStatus || !strings.Contains(msg, wantMsg) {
				t.Errorf("%s\nSynced: want %q, got %s %q", tc.reason, tc.synced, status, msg)
			}
			var left []string
			for _, k := range w.Server.Keys() {
				if k.GroupVersionKind == GVKConfigMap {
					left = append(left, k.Name)
				}
			}
			if diff := cmp.Diff(tc.left, left); diff != "" {
				t.Errorf("%s\nconfig maps: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRequirements(t *testing.T) {
	want := func(name string) *fnv1.ResourceSelector {
		ns := "team-a"

		return &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "Secret", Namespace: &ns, Match: &fnv1.ResourceSelector_MatchName{MatchName: name}}
	}

	cases := map[string]struct {
		reason   string
		before24 bool
		asks     func(req *fnv1.RunFunctionRequest) map[string]*fnv1.ResourceSelector
		calls    []int // In the first and the second reconcile.
		err      string
	}{
		"Two rounds": {
			reason: "What the second round asks for is answered in the third call, and seeded in the next reconcile.",
			asks: func(req *fnv1.RunFunctionRequest) map[string]*fnv1.ResourceSelector {
				asks := map[string]*fnv1.ResourceSelector{"a": want("there")}
				if len(req.GetRequiredResources()["a"].GetItems()) == 1 {
					asks["b"] = want("missing")
				}

				return asks
			},
			calls: []int{3, 1},
		},
		"No seeds": {
			reason:   "Before v2.4 every reconcile starts with nothing.",
			before24: true,
			asks: func(*fnv1.RunFunctionRequest) map[string]*fnv1.ResourceSelector {
				return map[string]*fnv1.ResourceSelector{"a": want("there")}
			},
			calls: []int{2, 2},
		},
		"Restless": {
			reason: "Requirements that never settle are an error.",
			asks: func(req *fnv1.RunFunctionRequest) map[string]*fnv1.ResourceSelector {
				return map[string]*fnv1.ResourceSelector{fmt.Sprint(req.GetRequiredResources()): want("there")}
			},
			calls: []int{6, 6}, err: "stabilize",
		},
		"Unserved": {
			reason: "A kind that is not served cannot be asked for.",
			asks: func(*fnv1.RunFunctionRequest) map[string]*fnv1.ResourceSelector {
				s := want("x")
				s.ApiVersion, s.Kind = "pgv2.percona.com/v2", "PerconaPGCluster"

				return map[string]*fnv1.ResourceSelector{"a": s}
			},
			calls: []int{1, 1}, err: "no matches for kind",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false, func(req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
				return &fnv1.RunFunctionResponse{Requirements: &fnv1.Requirements{Resources: tc.asks(req)}}
			})
			w.Crossplane.Before24 = tc.before24
			if _, err := w.Server.Update(object("v1", "Secret", "there", nil), "them"); err != nil {
				t.Fatal(err)
			}

			var calls []int
			for range tc.calls {
				out := reconcileOnce(t, w, NoFaults())
				calls = append(calls, len(out.Calls))
				if (out.Err == nil) != (tc.err == "") || (out.Err != nil && !strings.Contains(out.Err.Error(), tc.err)) {
					t.Errorf("%s\nReconcile(): want error %q, got %v", tc.reason, tc.err, out.Err)
				}
			}
			if diff := cmp.Diff(tc.calls, calls); diff != "" {
				t.Errorf("%s\ncalls: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	contents := map[string]map[string]any{"a": configMap("a", nil), "b": configMap("b", nil)}
	w := newWorld(t, false, func(*fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse { return compose(contents) })

	// Finalizer, refs, two applies, status, conditions: six writes.
	verbs := []string{"update", "refs", "apply", "apply", "status", "conditions"}
	for n := range len(verbs) + 1 {
		c := w.Clone()
		f := NoFaults()
		f.Crash = n
		f.Order = func(n int) []int { return []int{n - 1, n - 2} }
		out := reconcileOnce(t, c, f)

		var got []string
		for _, write := range out.Writes {
			got = append(got, write.Verb)
		}
		if diff := cmp.Diff(verbs[:n], got, cmp.Transformer("empty", func(s []string) string { return fmt.Sprint(s) })); diff != "" || out.Crashed != (n < len(verbs)) {
			t.Errorf("a crash after %d writes: crashed %v, writes -want, +got:\n%s", n, out.Crashed, diff)
		}
		if n == 3 && (c.Server.Find(c.Key("v1", "ConfigMap", "b")) == nil || c.Server.Find(c.Key("v1", "ConfigMap", "a")) != nil) {
			t.Error("the order of applies was not kept")
		}
		reconcileOnce(t, c, NoFaults())
		reconcileOnce(t, c, NoFaults())
		if got := reconcileOnce(t, c, NoFaults()); len(got.Observed) != 2 || slices.ContainsFunc(got.Writes, Write.Changed) {
			t.Errorf("a crash after %d writes does not heal: %v", n, got.Writes)
		}
	}

	reconcileOnce(t, w, NoFaults())
	old := w.Server.Find(w.Key("v1", "ConfigMap", "a"))
	if err := w.Server.Edit(old.Key(), "them", func(c map[string]any) { set(c, "1", "data", "new") }); err != nil {
		t.Fatal(err)
	}
	for reason, stale := range map[string]map[Key]*Object{
		"an old version":                     {old.Key(): old},
		"absent, so the API server is asked": {old.Key(): nil},
	} {
		f := NoFaults()
		f.Stale = stale
		got := reconcileOnce(t, w, f).Observed["a"].Text("data", "new")
		if want := map[bool]string{true: "", false: "1"}[stale[old.Key()] != nil]; got != want {
			t.Errorf("%s: want %q observed, got %q", reason, want, got)
		}
	}
}

// settle lets a step run until it has nothing to do.
func settle(t *testing.T, step func() (bool, error)) {
	t.Helper()
	for range 100 {
		did, err := step()
		if err != nil {
			t.Fatal(err)
		}
		if !did {
			return
		}
	}
	t.Fatal("it never settles")
}

func TestCluster(t *testing.T) {
	w := newWorld(t, false, nil)
	s := w.Server
	if err := s.Serve(GVKCluster); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(with(cluster(nil), []any{finalizerDeletePVC}, "metadata", "finalizers"), "us"); err != nil {
		t.Fatal(err)
	}
	k := w.Key("pgv2.percona.com/v2", "PerconaPGCluster", "files-postgres")
	user := w.Key("v1", "Secret", "files-postgres-pguser-dittofs")
	step := func() (bool, error) { return StepCluster(s, k) }

	check := func(reason, state string, ready int64) {
		t.Helper()
		settle(t, step)
		c := s.Find(k)
		if c.Text("status", "state") != state || c.Number("status", "postgres", "ready") != ready {
			t.Errorf("%s: want %s with %d ready, got %v", reason, state, ready, c.Value("status"))
		}
	}

	check("a new cluster", "ready", 1)
	if s.Find(k).Text("spec", "crVersion") == "" {
		t.Error("the operator pinned no version")
	}

	before := s.Find(user)
	if err := s.Edit(user, "them", func(c map[string]any) { set(c, "bmV3", "data", "password") }); err != nil {
		t.Fatal(err)
	}
	check("a rotated password", "ready", 1)
	if after := s.Find(user); after.Text("data", "uri") == before.Text("data", "uri") || after.Text("data", "password") != "bmV3" {
		t.Errorf("the URI does not follow the password: %v", after.Value("data"))
	}

	for _, pause := range []bool{true, false} {
		if err := s.Edit(k, "them", func(c map[string]any) { set(c, pause, "spec", "pause") }); err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprintf("pause %v", pause), map[bool]string{true: "paused", false: "ready"}[pause], map[bool]int64{true: 0, false: 1}[pause])
	}

	if err := s.Delete(k, ""); err != nil {
		t.Fatal(err)
	}
	settle(t, step)
	if s.Find(k) != nil || s.Find(user) != nil || s.Find(w.Key("v1", "PersistentVolumeClaim", "files-postgres-instance1-pgdata")) != nil {
		t.Error("delete-pvc left something behind")
	}
	if s.Find(w.Key("v1", "Secret", "files-postgres-cluster-cert")) == nil {
		t.Error("the certificate belongs to nobody and must outlive the cluster")
	}
}

func TestStatefulSet(t *testing.T) {
	w := newWorld(t, false, nil)
	s := w.Server
	if _, err := s.Apply(statefulSet("a"), "us"); err != nil {
		t.Fatal(err)
	}
	k := w.Key("apps/v1", "StatefulSet", "files")
	step := func() (bool, error) { return StepStatefulSet(s, k) }

	settle(t, step)
	if s.Find(k).Number("status", "readyReplicas") != 0 || s.Find(w.Key("v1", "PersistentVolumeClaim", "metadata-files-0")) == nil {
		t.Errorf("without its Secret: want a claim and no ready pod, got %v", s.Find(k).Value("status"))
	}
	if _, err := s.Update(object("v1", "Secret", "files-key", map[string]any{"data": map[string]any{"key": "YQ=="}}), "them"); err != nil {
		t.Fatal(err)
	}
	settle(t, step)
	if s.Find(k).Number("status", "readyReplicas") != 1 {
		t.Errorf("with its Secret: want a ready pod, got %v", s.Find(k).Value("status"))
	}

	if _, err := s.Apply(statefulSet("b"), "us"); err != nil {
		t.Fatal(err)
	}
	if did, err := step(); !did || err != nil || s.Find(k).Number("status", "readyReplicas") != 0 {
		t.Errorf("a new template: want a rolling pod, got %v, error %v", s.Find(k).Value("status"), err)
	}
	settle(t, step)
	if got := s.Find(k); got.Number("status", "readyReplicas") != 1 || got.Text("status", "currentRevision") != got.Text("status", "updateRevision") {
		t.Errorf("a new template: want it rolled out, got %v", got.Value("status"))
	}
}
