package world

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	kerrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// What Crossplane calls things (crossplane v2.4.0 composition_functions.go,
// crossplane-runtime v2.3.1 pkg/xcrd).
const (
	ManagerXR       = "apiextensions.crossplane.io/composite"
	managerComposed = "apiextensions.crossplane.io/composed"
	managerCore     = "crossplane"

	LabelComposite      = "crossplane.io/composite"
	LabelClaimName      = "crossplane.io/claim-name"
	LabelClaimNamespace = "crossplane.io/claim-namespace"
	AnnotationName      = "crossplane.io/composition-resource-name"

	finalizerXR = "composite.apiextensions.crossplane.io"

	// maxIterations of the requirements loop (required_resources.go).
	maxIterations = 5
)

// systemConditions are Crossplane's own; a function's are dropped.
//
//nolint:gochecknoglobals // A set, never written.
var systemConditions = map[string]bool{"Ready": true, "Synced": true, "Healthy": true, "UpToDate": true, "Responsive": true}

// Crossplane is one composite resource's controller.
type Crossplane struct {
	Function fnv1.FunctionRunnerServiceServer
	Input    *structpb.Struct
	XR       Key
	// Before24 deletes what no XR controls, and seeds no requirements, as
	// Crossplane did before v2.4.
	Before24 bool

	// tracked requirements of the last reconcile (dependency/tracker.go).
	tracked map[string]*fnv1.ResourceSelector
}

// Clone returns a controller with a memory of its own.
func (c *Crossplane) Clone() *Crossplane {
	out := *c

	return &out
}

// Forget what is only in memory, as a restart of Crossplane does.
func (c *Crossplane) Forget() { c.tracked = nil }

// Faults of one reconcile.
type Faults struct {
	// Stale holds older versions of objects that the cache still has; nil is
	// an object that the cache does not have yet. Secrets are always read
	// live, and so is a composed object that the cache does not have.
	Stale map[Key]*Object
	// Crash says after how many writes the process dies; negative: never.
	Crash int
	// Order that n objects are applied in; nil: sorted.
	Order func(n int) []int
}

// NoFaults is a reconcile in which nothing goes wrong.
func NoFaults() Faults { return Faults{Crash: -1} }

// A Call of the function.
type Call struct {
	Request  *fnv1.RunFunctionRequest
	Response *fnv1.RunFunctionResponse
}

// A Write that reached the API server.
type Write struct {
	Verb   string // apply, update, delete, refs, status, conditions.
	Name   string // Of the composed resource; empty for the XR.
	Key    Key
	Before *Object // Nil: there was none.
	After  *Object // Nil: there is none any more, or the write failed.
	Err    error
}

// Changed tells whether the write changed anything.
func (w Write) Changed() bool { return w.Err == nil && w.Before != w.After }

// An Outcome of a reconcile.
type Outcome struct {
	// XR as it was observed, nil if there was none.
	XR *Object
	// Observed composed resources by name.
	Observed map[string]*Object
	Calls    []Call
	Writes   []Write
	// Fatal is the message of a fatal result.
	Fatal string
	// Crashed tells that the process died on the way.
	Crashed bool
	// Err that ended the reconcile, Fatal included.
	Err error
	// Unsynced names of composed resources, sorted.
	Unsynced []string
	// Results that became events: severity and message.
	Results []string
}

// Final returns the call whose response counted, nil if there was none.
func (o *Outcome) Final() *Call {
	if len(o.Calls) == 0 {
		return nil
	}

	return &o.Calls[len(o.Calls)-1]
}

// errCrash ends a reconcile without a trace.
var errCrash = errors.New("the process died")

// reconcile is one reconcile on its way.
type reconcile struct {
	*Crossplane

	server *Server
	faults Faults
	out    *Outcome
}

// Reconcile the composite resource once. Errors of the controller itself are
// in the outcome; the returned error is one of the model.
func (c *Crossplane) Reconcile(ctx context.Context, s *Server, f Faults) (*Outcome, error) {
	r := &reconcile{Crossplane: c, server: s, faults: f, out: &Outcome{Observed: map[string]*Object{}}}

	err := r.run(ctx)
	if errors.Is(err, errCrash) {
		r.out.Crashed = true
		c.Forget()

		return r.out, nil
	}

	return r.out, err
}

// run follows reconciler.go Reconcile.
func (r *reconcile) run(ctx context.Context) error {
	xr, err := r.read(r.XR)
	if err != nil || xr == nil {
		return err
	}
	r.out.XR = xr

	if xr.Deleting() {
		_, err := r.write("update", "", r.XR, func() (*Object, error) { return r.server.Update(withoutFinalizer(xr), managerCore) })

		return quiet(err)
	}
	if !slices.Contains(list(xr.Value("metadata", "finalizers")), any(finalizerXR)) {
		content := xr.Content()
		set(content, append(list(at(content, "metadata", "finalizers")), finalizerXR), "metadata", "finalizers")
		if xr, err = r.write("update", "", r.XR, func() (*Object, error) { return r.server.Update(content, managerCore) }); err != nil {
			return quiet(err)
		}
	}

	composed, err := r.compose(ctx, xr)
	if errors.Is(err, errCrash) {
		return err
	}
	if kerrors.IsConflict(err) {
		r.out.Err = err

		return nil
	}
	if err != nil {
		r.out.Err = err

		return r.reportFailure(xr, composed)
	}

	return r.report(composed)
}

// composition is what compose hands to the reconciler.
type composition struct {
	xr         *Object
	conditions []map[string]any
	ready      map[string]bool
	unsynced   []string
	xrReady    fnv1.Ready
}

// compose follows composition_functions.go Compose.
func (r *reconcile) compose(ctx context.Context, xr *Object) (*composition, error) {
	c := &composition{ready: map[string]bool{}}

	req, err := r.request(xr)
	if err != nil {
		return c, err
	}
	rsp, err := r.call(ctx, req)
	if err != nil {
		return c, err
	}

	for _, cond := range rsp.GetConditions() {
		if systemConditions[cond.GetType()] {
			continue
		}
		c.conditions = append(c.conditions, map[string]any{
			"type": cond.GetType(), "status": conditionStatus(cond.GetStatus()), "reason": cond.GetReason(),
			"message": cond.GetMessage(), "lastTransitionTime": birth,
		})
	}
	for _, res := range rsp.GetResults() {
		if res.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			r.out.Fatal = res.GetMessage()

			return c, errors.Errorf("pipeline step returned a fatal result: %s", res.GetMessage())
		}
		r.out.Results = append(r.out.Results, fmt.Sprintf("%s %s", res.GetSeverity(), res.GetMessage()))
	}

	desired, err := r.desired(xr, rsp.GetDesired())
	if err != nil {
		return c, err
	}
	names := slices.Sorted(maps.Keys(desired))

	if err := r.collect(desired); err != nil {
		return c, err
	}
	refs := r.refs(xr, names, desired)
	if _, err := r.write("refs", "", r.XR, func() (*Object, error) { return r.server.Apply(refs, ManagerXR) }); err != nil {
		return c, errors.Wrap(err, "cannot update composed resource references")
	}

	for _, i := range r.order(len(names)) {
		name, content := names[i], desired[names[i]]
		_, err := r.write("apply", name, KeyOf(content), func() (*Object, error) { return r.server.Apply(content, FieldManager(xr)) })
		c.ready[name] = rsp.GetDesired().GetResources()[name].GetReady() == fnv1.Ready_READY_TRUE
		if kerrors.IsInvalid(err) {
			c.unsynced = append(c.unsynced, name)

			continue
		}
		if err != nil {
			return c, errors.Wrapf(err, "cannot apply composed resource %q", name)
		}
	}
	slices.Sort(c.unsynced)
	r.out.Unsynced = c.unsynced

	c.xr, err = r.write("status", "", r.XR, func() (*Object, error) {
		return r.server.ApplyStatus(statusOf(xr, rsp.GetDesired().GetComposite().GetResource()), ManagerXR)
	})
	if err != nil {
		return c, errors.Wrap(err, "cannot apply composite resource status")
	}
	c.xrReady = rsp.GetDesired().GetComposite().GetReady()
	r.tracked = maps.Clone(rsp.GetRequirements().GetResources())

	return c, nil
}

// request with everything that is observed.
func (r *reconcile) request(xr *Object) (*fnv1.RunFunctionRequest, error) {
	observed := map[string]*fnv1.Resource{}
	for _, ref := range list(xr.Value(refsPath(xr)...)) {
		k := refKey(mapOf(ref), xr)
		o, err := r.read(k)
		if err != nil {
			return nil, errors.Wrap(err, "cannot get composed resource")
		}
		if o == nil {
			o = r.server.Find(k) // The cache does not have it: ask the API server.
		}
		if o == nil {
			continue
		}
		if c := o.Controller(); c != "" && c != xr.UID() {
			continue
		}
		name := o.Text("metadata", "annotations", AnnotationName)
		if name == "" {
			return nil, errors.New("encountered composed resource without required \"" + AnnotationName + "\" annotation")
		}
		p, err := o.Struct()
		if err != nil {
			return nil, errors.Wrapf(err, "cannot encode %s", k)
		}
		r.out.Observed[name] = o
		observed[name] = &fnv1.Resource{Resource: p}
	}

	p, err := xr.Struct()
	if err != nil {
		return nil, errors.Wrap(err, "cannot encode the composite resource")
	}
	req := &fnv1.RunFunctionRequest{
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: p}, Resources: observed},
		Desired:           &fnv1.State{},
		Context:           &structpb.Struct{Fields: map[string]*structpb.Value{}},
		Input:             r.Input,
		Credentials:       map[string]*fnv1.Credentials{},
		RequiredResources: map[string]*fnv1.Resources{},
		Meta:              &fnv1.RequestMeta{Capabilities: []fnv1.Capability{fnv1.Capability_CAPABILITY_CAPABILITIES, fnv1.Capability_CAPABILITY_REQUIRED_RESOURCES}},
	}
	if r.Before24 {
		return req, nil
	}

	// Seeds are a best effort.
	for name, sel := range r.tracked {
		if res, err := r.fetch(sel); err == nil {
			req.RequiredResources[name] = res
		}
	}

	return req, nil
}

// call the function until its requirements are stable (required_resources.go).
func (r *reconcile) call(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	seeds := req.GetRequiredResources()

	var last *fnv1.Requirements
	for i := 0; i <= maxIterations; i++ {
		req = &fnv1.RunFunctionRequest{
			Observed: req.GetObserved(), Desired: req.GetDesired(), Context: req.GetContext(), Input: req.GetInput(),
			Credentials: req.GetCredentials(), RequiredResources: req.GetRequiredResources(), Meta: req.GetMeta(),
		}
		rsp, err := r.Function.RunFunction(ctx, req)
		if err != nil {
			return nil, errors.Wrap(err, "cannot run pipeline step")
		}
		r.out.Calls = append(r.out.Calls, Call{Request: req, Response: rsp})
		if slices.ContainsFunc(rsp.GetResults(), func(res *fnv1.Result) bool { return res.GetSeverity() == fnv1.Severity_SEVERITY_FATAL }) {
			return rsp, nil
		}
		if proto.Equal(rsp.GetRequirements(), last) {
			return rsp, nil
		}

		next := maps.Clone(seeds)
		for name, sel := range rsp.GetRequirements().GetResources() {
			res, err := r.fetch(sel)
			if err != nil {
				return nil, errors.Wrapf(err, "fetching resources for %s", name)
			}
			next[name] = res
		}
		same := func(a, b *fnv1.Resources) bool { return proto.Equal(a, b) }
		if i == 0 && !r.Before24 && maps.EqualFunc(req.GetRequiredResources(), next, same) {
			return rsp, nil
		}

		last = rsp.GetRequirements()
		req.RequiredResources = next
		req.Context = rsp.GetContext()
	}

	return nil, errors.Errorf("requirements didn't stabilize after the maximum number of iterations (%d)", maxIterations)
}

// fetch what a selector selects; nil if a name is not found.
func (r *reconcile) fetch(sel *fnv1.ResourceSelector) (*fnv1.Resources, error) {
	gvk := schema.FromAPIVersionAndKind(sel.GetApiVersion(), sel.GetKind())

	var found []*Object
	if _, ok := sel.GetMatch().(*fnv1.ResourceSelector_MatchName); ok {
		o, err := r.read(Key{GroupVersionKind: gvk, Namespace: sel.GetNamespace(), Name: sel.GetMatchName()})
		if err != nil {
			return nil, errors.Wrap(err, "cannot get required resource by name")
		}
		if o == nil {
			return nil, nil //nolint:nilnil // As Crossplane has it.
		}
		found = []*Object{o}
	}
	if found == nil {
		var err error
		if found, err = r.server.List(gvk, sel.GetNamespace(), sel.GetMatchLabels().GetLabels()); err != nil {
			return nil, errors.Wrap(err, "cannot list required resources")
		}
	}

	res := &fnv1.Resources{}
	for _, o := range found {
		p, err := o.Struct()
		if err != nil {
			return nil, errors.Wrap(err, "cannot encode required resource")
		}
		res.Items = append(res.Items, &fnv1.Resource{Resource: p})
	}

	return res, nil
}

// read an object as the cache has it, nil if it has none. Secrets are not
// cached.
func (r *reconcile) read(k Key) (*Object, error) {
	o, err := r.server.Get(k)
	if err != nil && !kerrors.IsNotFound(err) {
		return nil, err
	}
	if old, stale := r.faults.Stale[k]; stale && k.GroupVersionKind != GVKSecret {
		return old, nil
	}

	return o, nil
}

// desired resources with the metadata that Crossplane adds
// (composition_render.go RenderComposedResourceMetadata).
func (r *reconcile) desired(xr *Object, state *fnv1.State) (map[string]map[string]any, error) {
	desired := map[string]map[string]any{}
	for name, res := range state.GetResources() {
		content := decodedMap(res.GetResource().AsMap())
		md := child(content, "metadata")

		if o := r.out.Observed[name]; o != nil {
			md["name"] = o.Text("metadata", "name")
			md["namespace"] = o.Text("metadata", "namespace")
		}
		k := KeyOf(content)
		kd, err := r.server.kind(k.GroupVersionKind)
		if err != nil {
			return nil, errors.Wrapf(err, "cannot get the REST mapping of resource %q", name)
		}
		if ns := xr.Text("metadata", "namespace"); ns != "" {
			if kd.cluster {
				return nil, errors.Errorf("composed resource %q is cluster scoped, the composite resource is not", name)
			}
			md["namespace"] = ns
		}
		if k.Name == "" {
			return nil, errors.Errorf("composed resource %q has no name: the model generates none", name)
		}

		set(content, name, "metadata", "annotations", AnnotationName)
		set(content, xr.Text("metadata", "labels", LabelComposite), "metadata", "labels", LabelComposite)
		for _, l := range []string{LabelClaimName, LabelClaimNamespace} {
			if v := xr.Text("metadata", "labels", l); v != "" {
				set(content, v, "metadata", "labels", l)
			}
		}
		if err := addController(md, xr); err != nil {
			return nil, errors.Wrapf(err, "cannot render metadata of composed resource %q", name)
		}
		if text(md, "uid") != "" {
			// It goes into the reference, and the XR's schema does not know it
			// there (composition_functions.go UpdateResourceRefs): nothing is
			// composed any more. Seen on a real control plane.
			return nil, errors.Errorf("cannot update composed resource references: %s of %q: field not declared in schema", strings.Join(append(refsPath(xr), "uid"), "."), name)
		}
		desired[name] = content
	}

	return desired, nil
}

// addController makes the XR the controller.
func addController(md map[string]any, xr *Object) error {
	ours := map[string]any{
		"apiVersion": xr.Text("apiVersion"), "kind": xr.Text("kind"), "name": xr.Text("metadata", "name"),
		"uid": xr.UID(), "controller": true, "blockOwnerDeletion": true,
	}

	refs := []any{}
	for _, e := range list(md["ownerReferences"]) {
		ref := mapOf(e)
		if is, _ := ref["controller"].(bool); is && text(ref, "uid") != xr.UID() {
			return errors.Errorf("it is already controlled by %s %s", text(ref, "kind"), text(ref, "name"))
		}
		if text(ref, "uid") != xr.UID() {
			refs = append(refs, ref)
		}
	}
	md["ownerReferences"] = append(refs, ours)

	return nil
}

// collect deletes at once what is observed and not desired
// (composition_functions.go GarbageCollectComposedResources).
func (r *reconcile) collect(desired map[string]map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(r.out.Observed)) {
		o := r.out.Observed[name]
		if _, ok := desired[name]; ok {
			continue
		}
		if o.Controller() == "" && !r.Before24 {
			continue
		}

		content := o.Content()
		labels := mapOf(at(content, "metadata", "labels"))
		for _, l := range []string{LabelComposite, LabelClaimName, LabelClaimNamespace} {
			delete(labels, l)
		}
		if _, err := r.write("update", name, o.Key(), func() (*Object, error) { return r.server.Update(content, managerCore) }); notFoundIsFine(err) != nil {
			return errors.Wrapf(err, "cannot remove the labels of composed resource %q", name)
		}
		if _, err := r.write("delete", name, o.Key(), func() (*Object, error) {
			err := r.server.Delete(o.Key(), o.UID())

			return r.server.Find(o.Key()), err
		}); notFoundIsFine(err) != nil {
			return errors.Wrapf(err, "cannot delete composed resource %q", name)
		}
	}

	return nil
}

// refs to everything that is desired, for the XR.
func (r *reconcile) refs(xr *Object, names []string, desired map[string]map[string]any) map[string]any {
	refs := make([]any, 0, len(names))
	for _, n := range names {
		k := KeyOf(desired[n])
		ref := map[string]any{"apiVersion": k.GroupVersion().String(), "kind": k.Kind, "name": k.Name}
		if xr.Text("metadata", "namespace") == "" && k.Namespace != "" {
			ref["namespace"] = k.Namespace
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })

	content := bare(xr)
	set(content, refs, refsPath(xr)...)

	return content
}

// order in which n objects are applied.
func (r *reconcile) order(n int) []int {
	if r.faults.Order != nil {
		return r.faults.Order(n)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}

	return order
}

// write to the API server, unless the process dies before.
func (r *reconcile) write(verb, name string, k Key, do func() (*Object, error)) (*Object, error) {
	if r.faults.Crash == 0 {
		return nil, errCrash
	}
	r.faults.Crash--

	before := r.server.Find(k)
	after, err := do()
	r.out.Writes = append(r.out.Writes, Write{Verb: verb, Name: name, Key: k, Before: before, After: after, Err: err})

	return after, err
}

// report a composition that went well (reconciler.go).
func (r *reconcile) report(c *composition) error {
	content := c.xr.Content()
	setConditions(content, c.conditions...)

	synced, ready := condition("Synced", "True", "ReconcileSuccess", ""), condition("Ready", "True", "Available", "")
	if len(c.unsynced) > 0 {
		synced = condition("Synced", "False", "ReconcileError", "Unsynced resources: "+strings.Join(c.unsynced, ", "))
	}
	var unready []string
	for n, ok := range c.ready {
		if !ok {
			unready = append(unready, n)
		}
	}
	slices.Sort(unready)
	if len(unready) > 0 {
		ready = condition("Ready", "False", "Creating", "Unready resources: "+strings.Join(unready, ", "))
	}
	switch c.xrReady {
	case fnv1.Ready_READY_TRUE:
		ready = condition("Ready", "True", "Available", "")
	case fnv1.Ready_READY_FALSE:
		ready = condition("Ready", "False", "Creating", "")
	case fnv1.Ready_READY_UNSPECIFIED:
	}
	setConditions(content, synced, ready)

	return r.writeConditions(content)
}

// reportFailure keeps the conditions that came with a fatal result and sets
// all others to Unknown.
func (r *reconcile) reportFailure(xr *Object, c *composition) error {
	content := xr.Content()
	setConditions(content, c.conditions...)

	seen := map[string]bool{}
	for _, cond := range c.conditions {
		seen[text(cond, "type")] = true
	}
	for _, e := range list(at(content, "status", "conditions")) {
		t := text(mapOf(e), "type")
		if !systemConditions[t] && !seen[t] {
			setConditions(content, condition(t, "Unknown", "FatalError", "A fatal error occurred before the status of this condition could be determined."))
		}
	}

	msg := "cannot compose resources: " + r.out.Err.Error()
	if kerrors.IsInvalid(r.out.Err) {
		msg = "cannot compose resources: an error occurred while applying: see events"
	}
	setConditions(content, condition("Synced", "False", "ReconcileError", msg))

	return r.writeConditions(content)
}

func (r *reconcile) writeConditions(content map[string]any) error {
	_, err := r.write("conditions", "", r.XR, func() (*Object, error) { return r.server.UpdateStatus(content, managerCore) })
	if errors.Is(err, errCrash) {
		return err
	}

	return quiet(err)
}

// Refers tells whether the composite resource has a reference to an object.
func (c *Crossplane) Refers(s *Server, k Key) bool {
	xr := s.Find(c.XR)
	if xr == nil {
		return false
	}

	return slices.ContainsFunc(list(xr.Value(refsPath(xr)...)), func(ref any) bool { return refKey(mapOf(ref), xr) == k })
}

// FieldManager that Crossplane applies an XR's composed resources with
// (composition_functions.go ComposedFieldOwnerName).
func FieldManager(xr *Object) string {
	k := xr.Key()

	return fmt.Sprintf("%s/%x", managerComposed, sha256.Sum256([]byte(k.Name+k.GroupKind().String())))
}

// refsPath of an XR: a LegacyCluster one has them at another place.
func refsPath(xr *Object) []string {
	if xr.Key().GroupVersionKind == GVKLegacyServer {
		return []string{"spec", "resourceRefs"}
	}

	return []string{"spec", "crossplane", "resourceRefs"}
}

func refKey(ref map[string]any, xr *Object) Key {
	ns := text(ref, "namespace")
	if own := xr.Text("metadata", "namespace"); own != "" {
		ns = own
	}

	return Key{GroupVersionKind: schema.FromAPIVersionAndKind(text(ref, "apiVersion"), text(ref, "kind")), Namespace: ns, Name: text(ref, "name")}
}

// bare identity of an object, to apply fields to.
func bare(o *Object) map[string]any {
	k := o.Key()
	md := map[string]any{"name": k.Name}
	if k.Namespace != "" {
		md["namespace"] = k.Namespace
	}

	return map[string]any{"apiVersion": k.GroupVersion().String(), "kind": k.Kind, "metadata": md}
}

// statusOf the XR that the function wants, with the conditions that are there.
func statusOf(xr *Object, want *structpb.Struct) map[string]any {
	content := decodedMap(want.AsMap())
	maps.Copy(content, bare(xr))
	set(content, xr.UID(), "metadata", "uid")
	if conditions := list(xr.Value("status", "conditions")); len(conditions) > 0 {
		set(content, decoded(conditions), "status", "conditions")
	}

	return content
}

func withoutFinalizer(o *Object) map[string]any {
	content := o.Content()
	left := slices.DeleteFunc(list(at(content, "metadata", "finalizers")), func(f any) bool { return f == finalizerXR })
	set(content, left, "metadata", "finalizers")
	if len(left) == 0 {
		delete(child(content, "metadata"), "finalizers")
	}

	return content
}

func condition(kind, status, reason, message string) map[string]any {
	c := map[string]any{"type": kind, "status": status, "reason": reason, "lastTransitionTime": birth}
	if message != "" {
		c["message"] = message
	}

	return c
}

// setConditions replaces the conditions of those types, and adds new ones.
func setConditions(content map[string]any, conditions ...map[string]any) {
	for _, c := range conditions {
		if c["message"] == "" {
			delete(c, "message")
		}
		have := list(at(content, "status", "conditions"))
		i := slices.IndexFunc(have, func(e any) bool { return text(mapOf(e), "type") == text(c, "type") })
		if i >= 0 {
			have[i] = c

			continue
		}
		set(content, append(have, c), "status", "conditions")
	}
}

func conditionStatus(s fnv1.Status) string {
	switch s {
	case fnv1.Status_STATUS_CONDITION_TRUE:
		return "True"
	case fnv1.Status_STATUS_CONDITION_FALSE:
		return "False"
	case fnv1.Status_STATUS_CONDITION_UNKNOWN, fnv1.Status_STATUS_CONDITION_UNSPECIFIED:
	}

	return "Unknown"
}

// quiet drops the errors that only make Crossplane try again.
func quiet(err error) error {
	if kerrors.IsConflict(err) || kerrors.IsNotFound(err) {
		return nil
	}

	return err
}

func notFoundIsFine(err error) error {
	if kerrors.IsNotFound(err) {
		return nil
	}

	return err
}
