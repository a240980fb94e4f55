package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// What the server of the tests is called, and what it needs.
const (
	teamNamespace = "team-a"
	serverName    = "files"
	claimedName   = "files-x7k2p"

	serverUID    = "0a1b2c3d-0000-4000-8000-000000000001"
	namespaceUID = "0a1b2c3d-0000-4000-8000-000000000002"

	userPassword = "pg-9fQ2vX7zLm4"
)

// An object as an API server has it, or a part of one.
type object = map[string]any

// A situation is a cluster in a few maps: the composite resource, every other
// object, and which of them Crossplane has composed. It has next to no field
// management: what is applied replaces what was there. See internal/world for
// a faithful model.
type situation struct {
	xr    object
	input object
	// objects by id.
	objects map[string]object
	// composed are the ids of what the XR refers to, by key.
	composed map[string]string
	// unanswered are the ids that nobody has looked for yet.
	unanswered map[string]bool
	// versions is the last resourceVersion and the last UID.
	versions int
}

// newSituation of an XR in a cluster that has a namespace and StorageClasses,
// and serves PerconaPGClusters.
func newSituation(xr object) *situation {
	return bareSituation(xr).add(
		storageClass("fast"), storageClass("slow"), storageClass("platform"),
		object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": teamNamespace, "uid": namespaceUID}, "status": object{"phase": "Active"}},
		object{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": object{"name": percona.APIService}},
	)
}

// bareSituation of an XR with nothing around it, as when it is rendered
// offline.
func bareSituation(xr object) *situation {
	return &situation{xr: clone(xr), objects: map[string]object{}, composed: map[string]string{}, unanswered: map[string]bool{}, versions: 100}
}

// storageClass that volumes can be claimed from.
func storageClass(name string) object {
	return object{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": object{"name": name}, "provisioner": "csi.example.org"}
}

// namespaced is a DittoServer as an API server has it. Edits are pairs of a
// dotted path and a value.
func namespaced(edits ...any) object {
	return edit(object{
		"apiVersion": "dittofs.io/v1alpha1",
		"kind":       "DittoServer",
		"metadata": object{
			"name": serverName, "namespace": teamNamespace, "uid": serverUID,
			"creationTimestamp": "2026-01-02T03:04:05Z", "resourceVersion": "7",
		},
		"spec": object{"storage": object{"metadataSize": "10Gi"}},
	}, edits...)
}

// withPercona is a DittoServer with a PostgreSQL cluster of its own.
func withPercona(edits ...any) object {
	return edit(namespaced("spec.percona.enabled", true), edits...)
}

// claimed is an XDittoServer that stands behind a claim.
func claimed(edits ...any) object {
	return edit(clusterScoped(
		"metadata.name", claimedName,
		"spec.claimRef", object{"apiVersion": "dittofs.io/v1alpha1", "kind": "DittoServer", "name": serverName, "namespace": teamNamespace},
	), edits...)
}

// clusterScoped is an XDittoServer that has neither namespace nor claim.
func clusterScoped(edits ...any) object {
	return edit(namespaced("kind", "XDittoServer", "metadata.namespace", nil), edits...)
}

// offline is an XR as somebody has it in a file.
func offline(xr object) object {
	return edit(xr, "metadata.uid", nil, "metadata.creationTimestamp", nil, "metadata.resourceVersion", nil)
}

// input of the function.
func input(edits ...any) object {
	return edit(object{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input"}, edits...)
}

// secret as an API server has it; the values are in clear text here.
func secret(name string, values map[string]string) object {
	data := object{}
	for k, v := range values {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}

	return object{"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": name, "namespace": teamNamespace}, "type": "Opaque", "data": data}
}

// userSecret that Percona makes for the server, with a password.
func userSecret(password string) object {
	host := serverName + "-postgres-primary." + teamNamespace + ".svc"

	return secret(percona.SecretName(serverName), map[string]string{
		"host": host, "port": "5432", "dbname": "dittofs", "user": "dittofs", "password": password,
		"uri":      (&url.URL{Scheme: "postgresql", User: url.UserPassword("dittofs", password), Host: host + ":5432", Path: "dittofs"}).String(),
		"verifier": "SCRAM-SHA-256$4096:c2FsdA==$a2V5",
	})
}

// caSecret that Percona makes for the server's cluster.
func caSecret(ca string) object {
	return secret(percona.CASecretName(serverName), map[string]string{"ca.crt": ca, "tls.crt": "certificate", "tls.key": "private key of the cluster"})
}

// edit an object: pairs of a dotted path and a value. The value nil removes
// the field.
func edit(o object, edits ...any) object {
	for i := 0; i+1 < len(edits); i += 2 {
		path, _ := edits[i].(string)
		value := edits[i+1]
		if m, ok := value.(object); ok {
			value = clone(m)
		}
		setField(o, value, strings.Split(path, ".")...)
	}

	return o
}

// setField sets a value at a path, or removes it if the value is nil. The
// index of a list that is there can be in the path.
func setField(o, value any, path ...string) {
	for _, name := range path[:len(path)-1] {
		if m, ok := o.(object); ok && m[name] == nil {
			m[name] = object{}
		}
		o = at(o, name)
	}

	last := path[len(path)-1]
	switch o := o.(type) {
	case object:
		o[last] = value
		if value == nil {
			delete(o, last)
		}
	case []any:
		i, _ := strconv.Atoi(last)
		o[i] = value
	}
}

// at is what is at a path, nil if there is nothing. A path element is the name
// of a field, the index of a list, or name=<name of a list's item>.
func at(v any, path ...string) any {
	for _, name := range path {
		switch here := v.(type) {
		case object:
			v = here[name]
		case []any:
			v = item(here, name)
		default:
			return nil
		}
	}

	return v
}

func item(list []any, which string) any {
	if name, ok := strings.CutPrefix(which, "name="); ok {
		for _, v := range list {
			if at(v, "name") == name {
				return v
			}
		}

		return nil
	}
	i, err := strconv.Atoi(which)
	if err != nil || i >= len(list) {
		return nil
	}

	return list[i]
}

// textAt is the text at a path, empty if there is none.
func textAt(v any, path ...string) string {
	s, _ := at(v, path...).(string)

	return s
}

// mapAt is the map at a path, nil if there is none.
func mapAt(v any, path ...string) object {
	m, _ := at(v, path...).(object)

	return m
}

// listAt is the list at a path, nil if there is none.
func listAt(v any, path ...string) []any {
	l, _ := at(v, path...).([]any)

	return l
}

func idOf(apiVersion, kind, namespace, name string) string {
	return strings.Join([]string{apiVersion, kind, namespace, name}, " ")
}

func idOfObject(o object) string {
	return idOf(textAt(o, "apiVersion"), textAt(o, "kind"), textAt(o, "metadata", "namespace"), textAt(o, "metadata", "name"))
}

func idOfKey(k server.Key) string {
	id := (&server.Server{Name: serverName}).Identity(k)

	return idOf(id.APIVersion, id.Kind, teamNamespace, id.Name)
}

// clone of an object. Its numbers become float64, as a function gets them.
func clone(o object) object {
	if o == nil {
		return nil
	}

	return toStruct(o).AsMap()
}

func toStruct(o object) *structpb.Struct {
	s, err := structpb.NewStruct(o)
	if err != nil {
		panic(fmt.Sprintf("cannot encode an object of a test: %v", err))
	}

	return s
}

// clone of a situation, which goes its own way from here on.
func (s *situation) clone() *situation {
	c := &situation{
		xr: clone(s.xr), input: clone(s.input), objects: map[string]object{},
		composed: maps.Clone(s.composed), unanswered: maps.Clone(s.unanswered), versions: s.versions,
	}
	for id, o := range s.objects {
		c.objects[id] = clone(o)
	}

	return c
}

// withInput of the function.
func (s *situation) withInput(edits ...any) *situation {
	s.input = input(edits...)

	return s
}

// editXR as a person does.
func (s *situation) editXR(edits ...any) *situation {
	edit(s.xr, edits...)

	return s
}

// add objects that others made, or replace them.
func (s *situation) add(objects ...object) *situation {
	for _, o := range objects {
		o = clone(o)
		s.stamp(o, s.objects[idOfObject(o)])
		s.objects[idOfObject(o)] = o
	}

	return s
}

// stamp an object as an API server does; before is what it replaces, or nil.
func (s *situation) stamp(o, before object) {
	s.versions++
	for name, value := range map[string]string{
		"uid":               fmt.Sprintf("0a1b2c3d-0000-4000-9000-%012d", s.versions),
		"creationTimestamp": "2026-01-02T03:04:05Z",
	} {
		if old := textAt(before, "metadata", name); old != "" {
			value = old
		}
		if textAt(o, "metadata", name) == "" {
			setField(o, value, "metadata", name)
		}
	}
	setField(o, strconv.Itoa(s.versions), "metadata", "resourceVersion")
}

// get the live object of a key, nil if there is none.
func (s *situation) get(k server.Key) object { return s.objects[idOfKey(k)] }

// remove the objects of keys, as a person does.
func (s *situation) remove(keys ...server.Key) *situation {
	for _, k := range keys {
		delete(s.objects, idOfKey(k))
		delete(s.composed, string(k))
	}

	return s
}

// removeOther object, by kind and name.
func (s *situation) removeOther(apiVersion, kind, name string) *situation {
	delete(s.objects, idOf(apiVersion, kind, teamNamespace, name))

	return s
}

// removeSecret of a name.
func (s *situation) removeSecret(name string) *situation {
	return s.removeOther("v1", "Secret", name)
}

// removePercona operator: its kinds are no longer served.
func (s *situation) removePercona() *situation {
	delete(s.objects, idOf("apiregistration.k8s.io/v1", "APIService", "", percona.APIService))

	return s
}

// forget that objects are composed: they are live, and the XR does not refer
// to them (yet).
func (s *situation) forget(keys ...server.Key) *situation {
	for _, k := range keys {
		delete(s.composed, string(k))
	}

	return s
}

// recreateXR after the old one was deleted: what it controlled is gone unless
// it has another owner, and the rest is nobody's.
func (s *situation) recreateXR(xr object) {
	old := textAt(s.xr, "metadata", "uid")
	for id, o := range s.objects {
		refs := listAt(o, "metadata", "ownerReferences")
		left := slices.DeleteFunc(slices.Clone(refs), func(r any) bool { return textAt(r, "uid") == old })
		switch {
		case len(left) == len(refs):
		case len(left) == 0:
			delete(s.objects, id)
		default:
			setField(o, left, "metadata", "ownerReferences")
			s.add(o)
		}
	}
	s.composed = map[string]string{}
	s.xr = edit(clone(xr), "metadata.uid", "4e5f6a7b-0000-4000-8000-000000000009")
}

// hide objects by id, so that nobody answers whether they exist.
func (s *situation) hide(ids ...string) *situation {
	for _, id := range ids {
		s.unanswered[id] = true
	}

	return s
}

// edit the live object of a key.
func (s *situation) edit(k server.Key, edits ...any) *situation {
	return s.add(edit(clone(s.get(k)), edits...))
}

// takeOver fields of the cluster's spec, as a person does with kubectl: pairs
// of a dotted path and a value. Lists are addressed by index.
func (s *situation) takeOver(edits ...any) *situation {
	s.edit(server.KeyCluster, edits...)
	cluster := clone(s.get(server.KeyCluster))
	managers := listAt(cluster, "metadata", "managedFields")
	for i := 0; i+1 < len(edits); i += 2 {
		path, _ := edits[i].(string)
		fields, here := mapAt(managers, "0", "fieldsV1"), any(cluster)
		names := strings.Split(path, ".")
		for n, name := range names {
			step := "f:" + name
			if _, isList := here.([]any); isList {
				step = fmt.Sprintf(`k:{"name":%q}`, textAt(here, name, "name"))
			}
			here = at(here, name)
			if n == len(names)-1 {
				delete(fields, step)

				break
			}
			fields = mapAt(fields, step)
		}
	}

	return s.add(cluster)
}

// Requests.

// request of the situation with no required resources in it, as in the first
// call of a reconcile.
func (s *situation) request() *fnv1.RunFunctionRequest {
	req := &fnv1.RunFunctionRequest{
		Meta:     &fnv1.RequestMeta{Tag: "test"},
		Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(s.xr)}, Resources: map[string]*fnv1.Resource{}},
	}
	if s.input != nil {
		req.Input = toStruct(s.input)
	}
	for k, id := range s.composed {
		if o, ok := s.objects[id]; ok {
			req.Observed.Resources[k] = &fnv1.Resource{Resource: toStruct(o)}
		}
	}

	return req
}

// answer what a response asks for, as Crossplane does.
func (s *situation) answer(t testing.TB, rsp *fnv1.RunFunctionResponse) map[string]*fnv1.Resources {
	t.Helper()

	served := s.objects[idOf("apiregistration.k8s.io/v1", "APIService", "", percona.APIService)] != nil
	out := map[string]*fnv1.Resources{}
	for name, sel := range rsp.GetRequirements().GetResources() {
		if sel.GetMatchName() == "" {
			t.Fatalf("requirement %q asks for no single object: Crossplane would fetch all of them", name)
		}
		if textAt(s.xr, "metadata", "creationTimestamp") != "" && sel.GetKind() == percona.Kind && !served {
			t.Fatalf("requirement %q asks for a kind that is not served: Crossplane would abort the reconcile (R8)", name)
		}
		id := idOf(sel.GetApiVersion(), sel.GetKind(), sel.GetNamespace(), sel.GetMatchName())
		if s.unanswered[id] {
			continue
		}
		out[name] = &fnv1.Resources{}
		if o, ok := s.objects[id]; ok {
			out[name].Items = []*fnv1.Resource{{Resource: toStruct(o)}}
		}
	}

	return out
}

// newFunction under test.
func newFunction() *Function { return &Function{log: logging.NewNopLogger()} }

// run the function once.
func run(t testing.TB, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
	t.Helper()

	rsp, err := newFunction().RunFunction(context.Background(), req)
	if err != nil {
		t.Fatalf("RunFunction(...): %v", err)
	}

	return rsp
}

// maxRounds of requirements that Crossplane makes (crossplane v2.4.0
// internal/xfn/required_resources.go).
const maxRounds = 6

// settle plays Crossplane's loop over requirements. It returns the last request
// and its response, and how many calls it took to know what to ask for.
func (s *situation) settle(t testing.TB) (*fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse, int) {
	t.Helper()

	req := s.request()
	var before *fnv1.Requirements
	for calls := range maxRounds {
		rsp := run(t, req)
		if fatal(rsp) != "" || before != nil && proto.Equal(before, rsp.GetRequirements()) {
			return req, rsp, calls
		}
		before = rsp.GetRequirements()
		req = s.request()
		req.RequiredResources = s.answer(t, rsp)
	}
	t.Fatalf("the requirements did not settle in %d calls", maxRounds)

	return nil, nil, 0
}

// response that the requirements settle on.
func (s *situation) response(t testing.TB) *fnv1.RunFunctionResponse {
	t.Helper()
	_, rsp, _ := s.settle(t)

	return rsp
}

// reconcile settles and applies.
func (s *situation) reconcile(t testing.TB) *fnv1.RunFunctionResponse {
	t.Helper()
	rsp := s.response(t)
	s.apply(t, rsp)

	return rsp
}

// rest reconciles until nothing changes any more.
func (s *situation) rest(t testing.TB) *fnv1.RunFunctionResponse {
	t.Helper()

	for range 10 {
		version, xr := s.versions, clone(s.xr)
		rsp := s.reconcile(t)
		if s.versions == version && cmp.Equal(xr, clone(s.xr)) {
			return rsp
		}
	}
	t.Fatal("the situation does not come to rest")

	return nil
}

// apply a response, as Crossplane does: what is no longer desired is deleted,
// the rest applied, and the XR gets its status and conditions.
func (s *situation) apply(t testing.TB, rsp *fnv1.RunFunctionResponse) {
	t.Helper()

	s.writeConditions(rsp)
	if fatal(rsp) != "" {
		return
	}
	for k, id := range maps.Clone(s.composed) {
		if _, ok := rsp.GetDesired().GetResources()[k]; !ok {
			delete(s.objects, id)
			delete(s.composed, k)
			s.versions++
		}
	}
	for _, k := range composedKeys(rsp) {
		s.applyOne(t, k, rsp.GetDesired().GetResources()[k].GetResource().AsMap())
	}
	conditions := at(s.xr, "status", "conditions")
	s.xr["status"] = reported(rsp)
	setField(s.xr, conditions, "status", "conditions")
}

func (s *situation) applyOne(t testing.TB, key string, sent object) {
	t.Helper()

	id, isCluster := idOfObject(sent), textAt(sent, "kind") == percona.Kind
	before := s.objects[id]
	for _, f := range []string{"uid", "resourceVersion"} {
		if v := textAt(sent, "metadata", f); v != "" && v != textAt(before, "metadata", f) {
			t.Fatalf("%s: the API server would answer 409: %s is %q, not %q", key, f, textAt(before, "metadata", f), v)
		}
	}

	after := clone(before)
	if after == nil {
		after = object{}
	}
	if isCluster {
		setField(after, []any{object{
			"manager": s.fieldManager(), "operation": "Apply", "apiVersion": sent["apiVersion"], "fieldsType": "FieldsV1",
			"fieldsV1": fieldsOf(object{"spec": sent["spec"]}),
		}}, "metadata", "managedFields")
	}
	setField(sent, append(slices.Clone(listAt(sent, "metadata", "ownerReferences")), object{
		"apiVersion": s.xr["apiVersion"], "kind": s.xr["kind"], "name": at(s.xr, "metadata", "name"), "uid": at(s.xr, "metadata", "uid"),
		"controller": true, "blockOwnerDeletion": true,
	}), "metadata", "ownerReferences")
	setField(sent, textAt(s.xr, "metadata", "name"), "metadata", "labels", "crossplane.io/composite")
	setField(sent, key, "metadata", "annotations", server.AnnotationKey)
	merge(after, sent, isCluster)
	fillIn(after)

	s.composed[key] = id
	if before != nil && cmp.Equal(before, clone(after)) {
		return
	}
	s.stamp(after, before)
	s.objects[id] = clone(after)
}

// merge what is sent into what there is. Only a deep merge keeps what others
// own; lists of named objects merge by name then.
func merge(into, from object, deep bool) {
	for k, v := range from {
		nested, isMap := v.(object)
		there, hasMap := into[k].(object)
		switch {
		case isMap && hasMap && (deep || k == "metadata" || k == "labels" || k == "annotations"):
			merge(there, nested, deep)
		case deep && k != "ownerReferences" && isNamed(v) && isNamed(into[k]):
			into[k] = mergeLists(listAt(into, k), listAt(from, k))
		default:
			into[k] = v
		}
	}
}

func isNamed(v any) bool {
	list, ok := v.([]any)

	return ok && len(list) > 0 && textAt(list, "0", "name") != ""
}

func mergeLists(into, from []any) []any {
	for i, v := range from {
		there, ok := item(into, "name="+textAt(v, "name")).(object)
		if !ok {
			into = append(into, v)

			continue
		}
		merge(there, mapAt(from, strconv.Itoa(i)), true)
	}

	return into
}

// fillIn some of what an API server fills in.
func fillIn(o object) {
	switch textAt(o, "kind") {
	case "Service":
		if at(o, "spec", "clusterIP") == nil {
			edit(o, "spec.clusterIP", "10.0.0.7", "spec.sessionAffinity", "None")
		}
	case "StatefulSet":
		edit(o, "spec.revisionHistoryLimit", 10.0, "spec.template.spec.restartPolicy", "Always")
		mapAt(o, "spec", "template", "metadata")["creationTimestamp"] = nil
		for i := range listAt(o, "spec", "volumeClaimTemplates") {
			claim := mapAt(o, "spec", "volumeClaimTemplates", strconv.Itoa(i))
			edit(claim, "apiVersion", "v1", "kind", "PersistentVolumeClaim", "spec.volumeMode", "Filesystem", "status.phase", "Pending")
			mapAt(claim, "metadata")["creationTimestamp"] = nil
		}
	}
}

// fieldManager that Crossplane applies with (crossplane v2.4.0
// internal/controller/apiextensions/composite, ComposedFieldOwnerName).
func (s *situation) fieldManager() string {
	group, _, _ := strings.Cut(textAt(s.xr, "apiVersion"), "/")
	sum := sha256.Sum256([]byte(textAt(s.xr, "metadata", "name") + textAt(s.xr, "kind") + "." + group))

	return "apiextensions.crossplane.io/composed/" + hex.EncodeToString(sum[:])
}

// fieldsOf an object as managedFields have them.
func fieldsOf(v any) object {
	out := object{}
	switch v := v.(type) {
	case object:
		for k, e := range v {
			out["f:"+k] = fieldsOf(e)
		}
	case []any:
		if !isNamed(v) {
			return out
		}
		for _, e := range v {
			fields := fieldsOf(e)
			fields["."] = object{}
			out[fmt.Sprintf(`k:{"name":%q}`, textAt(e, "name"))] = fields
		}
	}

	return out
}

func (s *situation) writeConditions(rsp *fnv1.RunFunctionResponse) {
	var conditions []any
	for _, c := range rsp.GetConditions() {
		conditions = append(conditions, object{
			"type": c.GetType(), "status": statusText(c.GetStatus()), "reason": c.GetReason(), "message": c.GetMessage(),
			"lastTransitionTime": "2026-01-02T03:04:05Z",
		})
	}
	setField(s.xr, conditions, "status", "conditions")
}

func statusText(s fnv1.Status) string {
	switch s {
	case fnv1.Status_STATUS_CONDITION_TRUE:
		return "True"
	case fnv1.Status_STATUS_CONDITION_FALSE:
		return "False"
	default:
		return "Unknown"
	}
}

// What others do.

// clusterState as the Percona operator reports it, with a number of ready
// PostgreSQL pods.
func (s *situation) clusterState(state string, pods int) *situation {
	return s.edit(server.KeyCluster, "status", object{"state": state, "postgres": object{"ready": pods, "size": 1}})
}

// perconaIsReady: the operator has done its work for the first time.
func (s *situation) perconaIsReady() *situation {
	return s.clusterState("ready", 1).add(userSecret(userPassword), caSecret("certificate of the authority"))
}

// podIsReady: the StatefulSet controller and the kubelet have done theirs.
func (s *situation) podIsReady() {
	for _, c := range listAt(s.get(server.KeyStatefulSet), "spec", "volumeClaimTemplates") {
		s.add(object{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim",
			"metadata": object{"name": textAt(c, "metadata", "name") + "-" + serverName + "-0", "namespace": teamNamespace},
			"spec":     mapAt(c, "spec"),
		})
	}

	s.edit(server.KeyStatefulSet, "metadata.generation", 1, "status", object{
		"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "currentReplicas": 1,
	})
}

// Stages in the life of a server.

// waiting for its database: the cluster has been created, and Percona works.
func waiting(t testing.TB, xr object) *situation {
	t.Helper()

	s := newSituation(xr)
	s.rest(t)
	s.clusterState("initializing", 0)
	s.rest(t)

	return s
}

// servingOnPercona with everything observed and at rest.
func servingOnPercona(t testing.TB, xr object) *situation {
	t.Helper()

	s := waiting(t, xr)
	s.perconaIsReady()
	s.rest(t)
	s.podIsReady()
	s.rest(t)

	return s
}

// serving without Percona, with everything observed and at rest. The objects
// are there from the start.
func serving(t testing.TB, xr object, objects ...object) *situation {
	t.Helper()

	s := newSituation(xr).add(objects...)
	s.rest(t)
	s.podIsReady()
	s.rest(t)

	return s
}

// Answers of the function.

// composedKeys of a response, sorted.
func composedKeys(rsp *fnv1.RunFunctionResponse) []string {
	return slices.Sorted(maps.Keys(rsp.GetDesired().GetResources()))
}

// composed object of a key, nil if it is not desired.
func composed(rsp *fnv1.RunFunctionResponse, k server.Key) object {
	r, ok := rsp.GetDesired().GetResources()[string(k)]
	if !ok {
		return nil
	}

	return r.GetResource().AsMap()
}

// readiness of a composed object: TRUE, FALSE or UNSPECIFIED.
func readiness(rsp *fnv1.RunFunctionResponse, k server.Key) string {
	return strings.TrimPrefix(rsp.GetDesired().GetResources()[string(k)].GetReady().String(), "READY_")
}

// secretValue of a key of a composed or live Secret, in clear text.
func secretValue(secret object, key string) string {
	b, _ := base64.StdEncoding.DecodeString(textAt(secret, "data", key))

	return string(b)
}

// podTemplate of a composed or live StatefulSet.
func podTemplate(sts object) object { return mapAt(sts, "spec", "template") }

// hashOf a composed or live StatefulSet's inputs.
func hashOf(sts object) string {
	return textAt(podTemplate(sts), "metadata", "annotations", server.AnnotationConfigHash)
}

// conditionOf a type as "Status Reason", empty if it is not reported.
func conditionOf(rsp *fnv1.RunFunctionResponse, typ string) string {
	for _, c := range rsp.GetConditions() {
		if c.GetType() == typ {
			return statusText(c.GetStatus()) + " " + c.GetReason()
		}
	}

	return ""
}

// messageOf a condition.
func messageOf(rsp *fnv1.RunFunctionResponse, typ string) string {
	for _, c := range rsp.GetConditions() {
		if c.GetType() == typ {
			return c.GetMessage()
		}
	}

	return ""
}

// fatal result of a response, empty if there is none.
func fatal(rsp *fnv1.RunFunctionResponse) string {
	for _, r := range rsp.GetResults() {
		if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			return r.GetMessage()
		}
	}

	return ""
}

// resultsOf a response, as "SEVERITY Reason".
func resultsOf(rsp *fnv1.RunFunctionResponse) []string {
	var out []string
	for _, r := range rsp.GetResults() {
		out = append(out, strings.TrimPrefix(r.GetSeverity().String(), "SEVERITY_")+" "+r.GetReason())
	}

	return out
}

// reported status of the XR in a response.
func reported(rsp *fnv1.RunFunctionResponse) object {
	return mapAt(rsp.GetDesired().GetComposite().GetResource().AsMap(), "status")
}

// contains tells whether a text has all of the parts.
func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}
