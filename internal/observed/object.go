package observed

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// A Presence is what is known about an object.
type Presence int

// What can be known about an object.
const (
	// Unknown: asked for, not answered yet, or the answer cannot be used.
	Unknown Presence = iota
	// Absent: answered, not there.
	Absent
	// Found: it is there.
	Found
)

// An Object is the answer to a question for one object. It is read where it
// lies in the request: most of an object, its managedFields above all, nobody
// looks at, and unpacking it would cost more than all the rest.
//
// Whatever the object holds, reading it never fails: what is not there, or not
// of the type that is asked for, is empty.
type Object struct {
	Presence Presence
	// Composed tells that Crossplane passed it as an observed composed
	// resource, rather than because it was asked for.
	Composed bool

	content *structpb.Struct
}

func found(r *fnv1.Resource) Object {
	return Object{Presence: Found, content: r.GetResource()}
}

// Live tells that the object exists.
func (o Object) Live() bool { return o.Presence == Found }

// value at a path of field names, or nil.
func (o Object) value(path ...string) *structpb.Value {
	fields := o.content.GetFields()
	for i, name := range path {
		v, ok := fields[name]
		if !ok {
			return nil
		}
		if i == len(path)-1 {
			return v
		}
		fields = v.GetStructValue().GetFields()
	}

	return nil
}

// Text at a path.
func (o Object) Text(path ...string) string { return o.value(path...).GetStringValue() }

// Int at a path.
func (o Object) Int(path ...string) int64 { return int64(o.value(path...).GetNumberValue()) }

// Bool at a path.
func (o Object) Bool(path ...string) bool { return o.value(path...).GetBoolValue() }

// Raw value at a path as it lies in the request, not to be written to; nil if
// there is none.
func (o Object) Raw(path ...string) *structpb.Value { return o.value(path...) }

// Keys of the object at a path.
func (o Object) Keys(path ...string) []string {
	return slices.Sorted(maps.Keys(o.value(path...).GetStructValue().GetFields()))
}

// List at a path.
func (o Object) List(path ...string) []*structpb.Value {
	return o.value(path...).GetListValue().GetValues()
}

// Items at a path: the objects in a list.
func (o Object) Items(path ...string) []Object {
	var items []Object
	for _, v := range o.List(path...) {
		if s := v.GetStructValue(); s != nil {
			items = append(items, Object{Presence: Found, content: s})
		}
	}

	return items
}

// Item of a name in a list of objects at a path.
func (o Object) Item(name string, path ...string) Object {
	for _, item := range o.Items(path...) {
		if item.Text("name") == name {
			return item
		}
	}

	return Object{}
}

// Applied is what tells who applied what of the object, unpacked: its spec and
// its managedFields. It is nil if there is no object; numbers are float64.
func (o Object) Applied() map[string]any {
	if o.content == nil {
		return nil
	}

	return map[string]any{
		"metadata": map[string]any{"managedFields": o.value("metadata", "managedFields").AsInterface()},
		"spec":     o.value("spec").AsInterface(),
	}
}

// Name of the object.
func (o Object) Name() string { return o.Text("metadata", "name") }

// UID of the object.
func (o Object) UID() types.UID { return types.UID(o.Text("metadata", "uid")) }

// ResourceVersion of the object.
func (o Object) ResourceVersion() string { return o.Text("metadata", "resourceVersion") }

// Label of the object.
func (o Object) Label(name string) string { return o.Text("metadata", "labels", name) }

// Annotation of the object.
func (o Object) Annotation(name string) string { return o.Text("metadata", "annotations", name) }

// DeletionTimestamp of the object, nil unless it is being deleted.
func (o Object) DeletionTimestamp() *metav1.Time {
	text := o.Text("metadata", "deletionTimestamp")
	if text == "" {
		return nil
	}
	// Whatever it says, there is one.
	t, _ := time.Parse(time.RFC3339, text)

	return &metav1.Time{Time: t}
}

// Controller of the object, and whether it has one.
func (o Object) Controller() (owner Object, ok bool) {
	for _, ref := range o.Items("metadata", "ownerReferences") {
		if ref.Bool("controller") {
			return ref, true
		}
	}

	return Object{}, false
}

// NamespaceOwner of the object, and whether it has one.
func (o Object) NamespaceOwner() (owner Object, ok bool) {
	for _, ref := range o.Items("metadata", "ownerReferences") {
		if ref.Text("kind") == "Namespace" && ref.Text("apiVersion") == "v1" {
			return ref, true
		}
	}

	return Object{}, false
}
