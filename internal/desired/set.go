// Package desired is the set of resources that are wanted, and its way into
// the response. Crossplane applies with forced server-side apply: every field
// that is sent is owned and enforced, every field that is no longer sent is
// removed. What keeps that clean lives here, once.
package desired

import (
	"maps"
	"reflect"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// An Object that is wanted.
type Object struct {
	Key server.Key
	// Content as it is sent.
	Content *structpb.Struct
	// Ready tells that the live object is (R15).
	Ready bool
	// Err that kept the object from being built.
	Err error
}

// New is the object that an apply configuration describes. Apply
// configurations have pointers for fields, so that what was not set is not
// sent.
func New(k server.Key, applyConfiguration any, ready bool) Object {
	v, err := encode(reflect.ValueOf(applyConfiguration))
	if err == nil && v.GetStructValue() == nil {
		err = errors.New("it is no object")
	}

	return Object{Key: k, Content: v.GetStructValue(), Ready: ready, Err: errors.Wrapf(err, "cannot encode %T", applyConfiguration)}
}

// FromMap is the object that a map describes.
func FromMap(k server.Key, content map[string]any, ready bool) Object {
	s, err := structpb.NewStruct(content)

	return Object{Key: k, Content: s, Ready: ready, Err: errors.Wrap(err, "cannot encode it")}
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
		ready := fnv1.Ready_READY_FALSE
		if o.Ready {
			ready = fnv1.Ready_READY_TRUE
		}
		resources[string(o.Key)] = &fnv1.Resource{Resource: o.Content, Ready: ready}
	}
	rsp.Desired = &fnv1.State{Composite: before.GetComposite(), Resources: resources}

	return nil
}

// WithoutNulls is a copy of v without nulls: an API server prints them for what
// is not set, and no applied object holds them. It is nil for a null.
func WithoutNulls(v *structpb.Value) *structpb.Value {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		out := make(map[string]*structpb.Value, len(kind.StructValue.GetFields()))
		for name, value := range kind.StructValue.GetFields() {
			if value = WithoutNulls(value); value != nil {
				out[name] = value
			}
		}

		return structpb.NewStructValue(&structpb.Struct{Fields: out})
	case *structpb.Value_ListValue:
		out := make([]*structpb.Value, 0, len(kind.ListValue.GetValues()))
		for _, value := range kind.ListValue.GetValues() {
			if value = WithoutNulls(value); value != nil {
				out = append(out, value)
			}
		}

		return structpb.NewListValue(&structpb.ListValue{Values: out})
	case *structpb.Value_NullValue, nil:
		return nil
	}

	return v
}
