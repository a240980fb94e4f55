package world

import (
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// Config of a world.
type Config struct {
	// Percona is what the API server knows about a PerconaPGCluster.
	Percona PerconaKind
	// Function under test.
	Function fnv1.FunctionRunnerServiceServer
	// Input of the function, or nil.
	Input *structpb.Struct
	// Namespace and Name of the server.
	Namespace, Name string
	// Legacy: the composite resource is cluster-scoped and stands behind a
	// claim of that name.
	Legacy bool
	// Before24: see Crossplane.
	Before24 bool
}

// A World is an API server with everything around it that matters to one
// composite resource.
type World struct {
	Server     *Server
	Crossplane *Crossplane
	Config     Config
}

// New returns a world with a namespace and nothing else in it.
func New(c Config) (*World, error) {
	s, err := NewServer(c.Percona)
	if err != nil {
		return nil, err
	}
	if _, err := s.Update(map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": c.Namespace},
		"spec": map[string]any{"finalizers": []any{"kubernetes"}}, "status": map[string]any{"phase": "Active"},
	}, "kubectl-create"); err != nil {
		return nil, err
	}

	xr := Key{GroupVersionKind: GVKServer, Namespace: c.Namespace, Name: c.Name}
	if c.Legacy {
		// Crossplane appends five characters to a claim's name.
		xr = Key{GroupVersionKind: GVKLegacyServer, Name: c.Name + "-x7k2p"}
	}

	return &World{
		Server:     s,
		Crossplane: &Crossplane{Function: c.Function, Input: c.Input, XR: xr, Before24: c.Before24},
		Config:     c,
	}, nil
}

// Clone returns a world that goes its own way from here on.
func (w *World) Clone() *World {
	return &World{Server: w.Server.Clone(), Crossplane: w.Crossplane.Clone(), Config: w.Config}
}

// CreateXR makes the composite resource with that spec.
func (w *World) CreateXR(spec map[string]any) error {
	k := w.Crossplane.XR
	labels := map[string]any{LabelComposite: k.Name}
	spec = decodedMap(spec)
	if w.Config.Legacy {
		labels[LabelClaimName] = w.Config.Name
		labels[LabelClaimNamespace] = w.Config.Namespace
		spec["claimRef"] = map[string]any{
			"apiVersion": k.GroupVersion().String(), "kind": "DittoServer", "name": w.Config.Name, "namespace": w.Config.Namespace,
		}
	}
	md := map[string]any{"name": k.Name, "labels": labels}
	if k.Namespace != "" {
		md["namespace"] = k.Namespace
	}

	_, err := w.Server.Update(map[string]any{
		"apiVersion": k.GroupVersion().String(), "kind": k.Kind, "metadata": md, "spec": spec,
	}, "kubectl-create")

	return err
}

// EditXR sets a field of the composite resource's spec, as a person does.
func (w *World) EditXR(value any, path ...string) error {
	return w.Server.Edit(w.Crossplane.XR, "kubectl-edit", func(content map[string]any) {
		set(content, value, append([]string{"spec"}, path...)...)
	})
}

// Observe the composite resource, nil if there is none.
func (w *World) Observe() *Object { return w.Server.Find(w.Crossplane.XR) }

// Key of an object in the server's namespace.
func (w *World) Key(apiVersion, kind, name string) Key {
	return KeyOf(map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": w.Config.Namespace, "name": name},
	})
}

// Condition of the composite resource: status, reason and message, empty if it
// has none of that type.
func Condition(xr *Object, kind string) (status, reason, message string) {
	for _, c := range list(xr.Value("status", "conditions")) {
		if text(mapOf(c), "type") == kind {
			return text(mapOf(c), "status"), text(mapOf(c), "reason"), text(mapOf(c), "message")
		}
	}

	return "", "", ""
}
