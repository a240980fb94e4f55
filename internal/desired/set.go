// Package desired is the set of resources that are wanted, and its way into
// the response. Crossplane applies with forced server-side apply: every field
// that is sent is owned and enforced, every field that is no longer sent is
// removed. What keeps that clean lives here, once.
package desired

import (
	"maps"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// An Object that is wanted.
type Object struct {
	Key server.Key
	// Content as it is sent, unstructured.
	Content map[string]any
	// Ready tells that the live object is (R15).
	Ready bool
	// Err that kept the object from being built.
	Err error
}

// New is the object that an apply configuration describes. Apply
// configurations have pointers for fields, so that what was not set is not
// sent.
func New(k server.Key, applyConfiguration any, ready bool) Object {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(applyConfiguration)

	return Object{Key: k, Content: m, Ready: ready, Err: errors.Wrapf(err, "cannot convert %T", applyConfiguration)}
}

// A Set of wanted objects.
type Set struct {
	may     func(server.Key) bool
	objects []Object
	held    []server.Key
}

// NewSet takes only what may be composed.
func NewSet(may func(server.Key) bool) *Set { return &Set{may: may} }

// Add objects to the set. Those that may not be composed yet are held back.
func (s *Set) Add(objects ...Object) {
	for _, o := range objects {
		if !s.may(o.Key) {
			s.held = append(s.held, o.Key)

			continue
		}
		s.objects = append(s.objects, o)
	}
}

// Held lists the keys of objects that are wanted and may not be composed yet.
func (s *Set) Held() []server.Key { return s.held }

// Unready lists the keys of objects that are not ready, in the order in which
// they were added.
func (s *Set) Unready() []server.Key {
	var keys []server.Key
	for _, o := range s.objects {
		if !o.Ready {
			keys = append(keys, o.Key)
		}
	}

	return keys
}

// Into the response go all objects of the set, beside what earlier steps of
// the pipeline want, which stays untouched. The request's own state is not
// written to.
func (s *Set) Into(rsp *fnv1.RunFunctionResponse) error {
	before := rsp.GetDesired()
	resources := maps.Clone(before.GetResources())
	if resources == nil {
		resources = make(map[string]*fnv1.Resource, len(s.objects))
	}

	for _, o := range s.objects {
		if o.Err != nil {
			return errors.Wrapf(o.Err, "cannot build the composed resource %q", o.Key)
		}
		if _, taken := resources[string(o.Key)]; taken {
			return errors.Errorf("an earlier step of the pipeline already composes a resource %q: give that one another name", o.Key)
		}
		content, err := structpb.NewStruct(o.Content)
		if err != nil {
			return errors.Wrapf(err, "cannot encode the composed resource %q", o.Key)
		}
		ready := fnv1.Ready_READY_FALSE
		if o.Ready {
			ready = fnv1.Ready_READY_TRUE
		}
		resources[string(o.Key)] = &fnv1.Resource{Resource: content, Ready: ready}
	}
	rsp.Desired = &fnv1.State{Composite: before.GetComposite(), Resources: resources}

	return nil
}

// WithoutNulls is a copy of v without nulls: an API server prints them for what
// is not set, and no applied object holds them.
func WithoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			if value != nil {
				out[name] = WithoutNulls(value)
			}
		}

		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, value := range v {
			if value != nil {
				out = append(out, WithoutNulls(value))
			}
		}

		return out
	}

	return v
}
