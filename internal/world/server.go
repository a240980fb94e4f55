package world

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/crossplane/function-sdk-go/errors"
)

// Times stand still, so that equal histories give equal objects.
const (
	birth = "2026-01-01T00:00:00Z"
	death = "2026-01-02T00:00:00Z"
)

// A Server is an API server with its storage. Clone it to try something out.
// A server must not be used from several goroutines; its clones may be.
type Server struct {
	kinds    map[schema.GroupVersionKind]*kind // Never written after NewServer.
	memo     *sync.Map                         // What a write gives, shared by all clones.
	unserved map[schema.GroupVersionKind]bool
	objects  map[Key]*Object
	births   map[Key]int
}

// NewServer returns an API server without objects that serves the core kinds
// and the composite resources. PerconaPGCluster is known but not served yet.
func NewServer(percona PerconaKind) (*Server, error) {
	kinds, err := newKinds(percona)
	if err != nil {
		return nil, err
	}

	return &Server{
		kinds:    kinds,
		memo:     &sync.Map{},
		unserved: map[schema.GroupVersionKind]bool{GVKCluster: true, GVKMonitor: true},
		objects:  map[Key]*Object{},
		births:   map[Key]int{},
	}, nil
}

// Clone returns a server that goes its own way from here on.
func (s *Server) Clone() *Server {
	return &Server{
		kinds:    s.kinds,
		memo:     s.memo,
		unserved: maps.Clone(s.unserved),
		objects:  maps.Clone(s.objects),
		births:   maps.Clone(s.births),
	}
}

// Serve a kind, as installing its CustomResourceDefinition does. The API
// server makes the group version's APIService by itself.
func (s *Server) Serve(gvk schema.GroupVersionKind) error {
	if !s.unserved[gvk] {
		return nil
	}
	delete(s.unserved, gvk)

	_, err := s.Apply(map[string]any{
		"apiVersion": GVKAPIService.GroupVersion().String(),
		"kind":       GVKAPIService.Kind,
		"metadata":   map[string]any{"name": gvk.Version + "." + gvk.Group},
		"spec":       map[string]any{"group": gvk.Group, "version": gvk.Version, "groupPriorityMinimum": int64(1000), "versionPriority": int64(100)},
	}, "kube-apiserver")

	return err
}

// Served tells whether a kind is served.
func (s *Server) Served(gvk schema.GroupVersionKind) bool {
	return s.kinds[gvk] != nil && !s.unserved[gvk]
}

// Keys of all objects, sorted.
func (s *Server) Keys() []Key {
	return slices.SortedFunc(maps.Keys(s.objects), func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
}

// Find returns an object, nil if there is none.
func (s *Server) Find(k Key) *Object { return s.objects[k] }

// Get returns an object. The error is a NoKindMatchError for a kind that is
// not served, and NotFound.
func (s *Server) Get(k Key) (*Object, error) {
	kd, err := s.kind(k.GroupVersionKind)
	if err != nil {
		return nil, err
	}
	if o := s.objects[k]; o != nil {
		return o, nil
	}

	return nil, kerrors.NewNotFound(kd.groupResource(), k.Name)
}

// List the objects of a kind in a namespace (empty: all) that have all the
// labels, sorted.
func (s *Server) List(gvk schema.GroupVersionKind, namespace string, labels map[string]string) ([]*Object, error) {
	if _, err := s.kind(gvk); err != nil {
		return nil, err
	}

	var found []*Object
	for _, k := range s.Keys() {
		if k.GroupVersionKind != gvk || (namespace != "" && k.Namespace != namespace) {
			continue
		}
		if hasLabels(s.objects[k], labels) {
			found = append(found, s.objects[k])
		}
	}

	return found, nil
}

func hasLabels(o *Object, labels map[string]string) bool {
	for k, v := range labels {
		if o.Text("metadata", "labels", k) != v {
			return false
		}
	}

	return true
}

// Apply an object by forced server-side apply. Errors are those of an API
// server: Invalid (422), Conflict (409) if uid or resourceVersion in the
// object do not match, BadRequest, or a plain one (500) for what server-side
// apply itself refuses.
func (s *Server) Apply(content map[string]any, manager string) (*Object, error) {
	return s.apply(content, manager, false)
}

// ApplyStatus applies the status of an object.
func (s *Server) ApplyStatus(content map[string]any, manager string) (*Object, error) {
	return s.apply(content, manager, true)
}

// request to write is what a write is remembered by: equal input gives equal
// output.
type request struct {
	live    *Object
	uid     string
	manager string
	apply   bool
	status  bool
	sum     [sha256.Size]byte
}

type result struct {
	object *Object // Nil if the write removed the last finalizer.
	err    error
}

func (s *Server) apply(content map[string]any, manager string, status bool) (*Object, error) {
	return s.write(content, request{manager: manager, apply: true, status: status})
}

func (s *Server) write(content map[string]any, r request) (*Object, error) {
	k := KeyOf(content)
	kd, err := s.kind(k.GroupVersionKind)
	if err != nil {
		return nil, err
	}
	if err := kd.checkName(k); err != nil {
		return nil, err
	}

	data, err := json.Marshal(content)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot encode %s", k)
	}
	r.live, r.uid, r.sum = s.objects[k], s.nextUID(k), sha256.Sum256(data)
	if known, ok := s.memo.Load(r); ok {
		return s.commit(k, known.(result)) //nolint:forcetypeassert // Nothing else is stored.
	}

	do := kd.update
	if r.apply {
		do = kd.apply
	}
	out := result{}
	out.object, out.err = do(r.live, decodedMap(content), r.uid, r.manager, r.status)
	s.memo.Store(r, out)

	return s.commit(k, out)
}

// Update replaces an object, or makes it. A resourceVersion in the content is
// a precondition. The status of a kind that has the subresource is kept.
func (s *Server) Update(content map[string]any, manager string) (*Object, error) {
	return s.update(content, manager, false)
}

// UpdateStatus replaces the status of an object, and nothing else.
func (s *Server) UpdateStatus(content map[string]any, manager string) (*Object, error) {
	return s.update(content, manager, true)
}

func (s *Server) update(content map[string]any, manager string, status bool) (*Object, error) {
	live := s.objects[KeyOf(content)]
	if live != nil && reflect.DeepEqual(content, live.content) {
		return live, nil // What changes nothing changes no owner of a field either.
	}

	return s.write(content, request{manager: manager, status: status})
}

// Edit reads an object, lets f change it and updates it. It does nothing for
// an object that does not exist.
func (s *Server) Edit(k Key, manager string, f func(content map[string]any)) error {
	return s.edit(k, manager, f, s.Update)
}

// EditStatus is Edit for the status.
func (s *Server) EditStatus(k Key, manager string, f func(content map[string]any)) error {
	return s.edit(k, manager, f, s.UpdateStatus)
}

func (s *Server) edit(k Key, manager string, f func(map[string]any), write func(map[string]any, string) (*Object, error)) error {
	o := s.objects[k]
	if o == nil {
		return nil
	}
	content := o.Content()
	f(content)
	_, err := write(content, manager)

	return err
}

// Delete an object. With finalizers it only gets its deletionTimestamp. A uid
// that is not empty is a precondition: Conflict if it does not match.
func (s *Server) Delete(k Key, uid string) error {
	kd, err := s.kind(k.GroupVersionKind)
	if err != nil {
		return err
	}
	o := s.objects[k]
	if o == nil {
		return kerrors.NewNotFound(kd.groupResource(), k.Name)
	}
	if uid != "" && uid != o.UID() {
		return kerrors.NewConflict(kd.groupResource(), k.Name, errors.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid, o.UID()))
	}
	if len(list(o.Value("metadata", "finalizers"))) == 0 {
		delete(s.objects, k)

		return nil
	}
	if o.Deleting() {
		return nil
	}

	content := o.Content()
	set(content, death, "metadata", "deletionTimestamp")
	set(content, int64(0), "metadata", "deletionGracePeriodSeconds")
	kd.number(content, o)
	s.objects[k] = newObject(content)

	return nil
}

// kind that is served.
func (s *Server) kind(gvk schema.GroupVersionKind) (*kind, error) {
	if !s.Served(gvk) {
		return nil, &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
	}

	return s.kinds[gvk], nil
}

// nextUID is what the object will be called if the write creates it.
func (s *Server) nextUID(k Key) string {
	if s.objects[k] != nil {
		return ""
	}
	h := sha256.Sum256([]byte(k.String()))

	return fmt.Sprintf("%x-%x-4000-8000-%012x", h[:4], h[4:6], s.births[k]+1)
}

// commit the outcome of a write.
func (s *Server) commit(k Key, r result) (*Object, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.object == nil {
		delete(s.objects, k)

		return nil, nil //nolint:nilnil // The write succeeded and the object is gone.
	}
	if s.objects[k] == nil {
		s.births[k]++
	}
	s.objects[k] = r.object

	return r.object, nil
}

func (k *kind) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.gvk.Group, Resource: resourceOf(k.gvk.Kind)}
}

func (k *kind) checkName(key Key) error {
	if key.Name == "" || (key.Namespace == "") != k.cluster {
		return kerrors.NewBadRequest(fmt.Sprintf("%q has no name, or a namespace that does not fit its scope", key))
	}

	return nil
}

// apply gives the object that an apply makes of the live one (nil: none), and
// nil if nothing is left of it.
func (k *kind) apply(live *Object, patch map[string]any, uid, manager string, status bool) (*Object, error) {
	key := KeyOf(patch)
	sentUID, sentVersion := text(patch, "metadata", "uid"), text(patch, "metadata", "resourceVersion")

	base := map[string]any{"apiVersion": patch["apiVersion"], "kind": patch["kind"]}
	if live != nil {
		base = live.Content()
	}
	if live == nil && status {
		return nil, kerrors.NewNotFound(k.groupResource(), key.Name)
	}
	if live == nil && sentUID != "" {
		// k8s.io/apiserver v0.35.3 pkg/endpoints/handlers/patch.go applyPatch.
		return nil, kerrors.NewConflict(k.groupResource(), key.Name, errors.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", sentUID))
	}

	manage := k.main
	if status {
		manage = k.status
	}
	out, err := manage.Apply(&unstructured.Unstructured{Object: base}, &unstructured.Unstructured{Object: patch}, manager, true)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot apply %s", key)
	}

	return k.finish(live, contentOf(out), uid, sentVersion, status)
}

// update gives the object that an update makes of the live one.
func (k *kind) update(live *Object, content map[string]any, uid, manager string, status bool) (*Object, error) {
	key := KeyOf(content)
	sentVersion := text(content, "metadata", "resourceVersion")

	base := map[string]any{"apiVersion": content["apiVersion"], "kind": content["kind"]}
	if live != nil {
		base = live.Content()
		// Fields that no client writes; an empty uid is filled in.
		orSet(child(content, "metadata"), "uid", live.UID())
		set(content, sentVersion, "metadata", "resourceVersion")
	}
	if live == nil && (status || sentVersion != "") {
		return nil, kerrors.NewNotFound(k.groupResource(), key.Name)
	}
	if live != nil && sentVersion != "" && sentVersion != live.ResourceVersion() {
		return nil, kerrors.NewConflict(k.groupResource(), key.Name, errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}

	k.fill(content)
	manage := k.main
	if status {
		manage = k.status
	}
	out, err := manage.Update(&unstructured.Unstructured{Object: base}, &unstructured.Unstructured{Object: content}, manager)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot update %s", key)
	}

	return k.finish(live, contentOf(out), uid, "", status)
}

// finish does what follows in every write: system fields, subresources,
// validation, and nothing at all if nothing changed.
func (k *kind) finish(live *Object, next map[string]any, uid, sentVersion string, status bool) (*Object, error) {
	key := KeyOf(next)
	md := child(next, "metadata")

	if live != nil && sentVersion != "" && sentVersion != live.ResourceVersion() {
		return nil, kerrors.NewConflict(k.groupResource(), key.Name, errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	}
	if live != nil && text(md, "uid") != live.UID() {
		return nil, k.invalid(key, field.Invalid(field.NewPath("metadata", "uid"), text(md, "uid"), "field is immutable"))
	}

	if status {
		kept := live.Content()
		kept["status"] = next["status"]
		child(kept, "metadata")["managedFields"] = md["managedFields"]
		if kept["status"] == nil {
			delete(kept, "status")
		}
		next, md = kept, child(kept, "metadata")
	}
	if !status && k.statusResource {
		delete(next, "status")
		if v := live.Value("status"); v != nil {
			next["status"] = runtime.DeepCopyJSONValue(v)
		}
	}

	if live == nil {
		md["uid"] = uid
		md["creationTimestamp"] = birth
		delete(md, "deletionTimestamp")
		delete(md, "resourceVersion")
		delete(md, "generation")
	}
	if live != nil {
		for _, f := range []string{"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"} {
			delete(md, f)
			if v := live.Value("metadata", f); v != nil {
				md[f] = v
			}
		}
	}
	stopClock(md)

	if errs := k.judge(next, live); len(errs) > 0 {
		return nil, k.invalid(key, errs...)
	}
	if live != nil && reflect.DeepEqual(next, live.content) {
		return live, nil
	}
	if live.Deleting() && len(list(md["finalizers"])) == 0 {
		return nil, nil //nolint:nilnil // The last finalizer is gone, and so is the object.
	}
	k.number(next, live)

	return newObject(next), nil
}

// number sets the version of a changed object, and its generation.
func (k *kind) number(next map[string]any, live *Object) {
	md := child(next, "metadata")

	version := int64(1)
	if live != nil {
		v, _ := strconv.ParseInt(live.ResourceVersion(), 10, 64)
		version = v + 1
	}
	if live == nil {
		// A new object of an old name never repeats a version.
		uid := text(md, "uid")
		n, _ := strconv.ParseInt(uid[strings.LastIndex(uid, "-")+1:], 16, 64)
		version += n * 1_000_000
	}
	md["resourceVersion"] = strconv.FormatInt(version, 10)

	if !k.generation {
		return
	}
	generation := int64(1)
	if live != nil {
		generation = live.Number("metadata", "generation")
		if !reflect.DeepEqual(intent(next), intent(live.content)) || text(md, "deletionTimestamp") != live.Text("metadata", "deletionTimestamp") {
			generation++
		}
	}
	md["generation"] = generation
}

// intent is what the generation counts: all but metadata and status.
func intent(content map[string]any) map[string]any {
	m := maps.Clone(content)
	delete(m, "metadata")
	delete(m, "status")

	return m
}

// stopClock sets all times of the field managers to the same one, and their
// order to one that does not depend on it.
func stopClock(md map[string]any) {
	managed := list(md["managedFields"])
	for _, e := range managed {
		if m, ok := e.(map[string]any); ok {
			m["time"] = birth
		}
	}
	order := func(e any) string {
		m := mapOf(e)

		return text(m, "operation") + " " + text(m, "manager") + " " + text(m, "subresource")
	}
	slices.SortFunc(managed, func(a, b any) int { return strings.Compare(order(a), order(b)) })
}

func (k *kind) invalid(key Key, errs ...*field.Error) error {
	return kerrors.NewInvalid(k.gvk.GroupKind(), key.Name, errs)
}

// contentOf what a field manager returns.
func contentOf(o runtime.Object) map[string]any {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return map[string]any{}
	}
	// Typed managedFields come in types that are not JSON's.
	return decodedMap(u.Object)
}
