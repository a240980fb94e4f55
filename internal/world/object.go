package world

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Key says which object is meant, through all its versions and even after it
// was deleted and made again.
type Key struct {
	schema.GroupVersionKind

	Namespace string
	Name      string
}

// String returns kind, namespace and name.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}

	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// KeyOf an object's content.
func KeyOf(content map[string]any) Key {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)

	return Key{
		GroupVersionKind: schema.FromAPIVersionAndKind(apiVersion, kind),
		Namespace:        text(content, "metadata", "namespace"),
		Name:             text(content, "metadata", "name"),
	}
}

// An Object is one version of an object. It never changes: a write makes a new
// one. Its content has the types that an API server's JSON decoder gives.
type Object struct {
	content map[string]any

	once  sync.Once
	proto *structpb.Struct
	err   error

	abstractOnce sync.Once
	abstract     []byte
}

// newObject takes the content over.
func newObject(content map[string]any) *Object { return &Object{content: content} }

// Key of the object.
func (o *Object) Key() Key { return KeyOf(o.content) }

// Content returns a copy of the object for the caller to change.
func (o *Object) Content() map[string]any { return runtime.DeepCopyJSON(o.content) }

// Text at a path; empty if there is none or it is no string. A nil object has
// none.
func (o *Object) Text(path ...string) string {
	if o == nil {
		return ""
	}

	return text(o.content, path...)
}

// Number at a path; zero if there is none.
func (o *Object) Number(path ...string) int64 {
	if o == nil {
		return 0
	}
	n, _ := at(o.content, path...).(int64)

	return n
}

// Value at a path, nil if there is none. The caller must not change it.
func (o *Object) Value(path ...string) any {
	if o == nil {
		return nil
	}

	return at(o.content, path...)
}

// UID of the object; empty for nil.
func (o *Object) UID() string { return o.Text("metadata", "uid") }

// ResourceVersion of the object; empty for nil.
func (o *Object) ResourceVersion() string { return o.Text("metadata", "resourceVersion") }

// Deleting tells whether the object waits for its finalizers.
func (o *Object) Deleting() bool { return o.Text("metadata", "deletionTimestamp") != "" }

// Controller returns the UID of the object's controller; empty without one.
func (o *Object) Controller() string {
	for _, r := range list(o.Value("metadata", "ownerReferences")) {
		ref, _ := r.(map[string]any)
		if is, _ := ref["controller"].(bool); is {
			return text(ref, "uid")
		}
	}

	return ""
}

// Struct returns the object as Crossplane passes it to a function: whole,
// managedFields included (crossplane v2.4.0 internal/xfn/utils.go AsStruct).
// It is shared by all requests, so that a function that changes its request is
// found out.
func (o *Object) Struct() (*structpb.Struct, error) {
	o.once.Do(func() { o.proto, o.err = structpb.NewStruct(o.content) })

	return o.proto, o.err
}

// at returns what is at a path of maps, nil if the path leads nowhere.
func at(m map[string]any, path ...string) any {
	var v any = m
	for _, p := range path {
		next, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = next[p]
	}

	return v
}

func text(m map[string]any, path ...string) string {
	s, _ := at(m, path...).(string)

	return s
}

func list(v any) []any {
	l, _ := v.([]any)

	return l
}

// child returns the map under a key and makes it if there is none.
func child(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}

	return m
}

// set a value at a path, making the maps on the way.
func set(m map[string]any, value any, path ...string) {
	child(m, path[:len(path)-1]...)[path[len(path)-1]] = value
}

// orSet sets a value where there is none yet.
func orSet(m map[string]any, key string, value any) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

// decoded returns a deep copy with the types that an API server's JSON decoder
// gives: a whole number is an int64, however it was sent.
func decoded(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = decoded(e)
		}

		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = decoded(e)
		}

		return out
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}

		return v
	case int:
		return int64(v)
	default:
		return v
	}
}

func decodedMap(m map[string]any) map[string]any {
	out, _ := decoded(m).(map[string]any)

	return out
}

// resourceOf returns the plural by which an API server calls a kind.
func resourceOf(kind string) string {
	k := strings.ToLower(kind)
	if p, ok := strings.CutSuffix(k, "y"); ok {
		return p + "ies"
	}
	if strings.HasSuffix(k, "s") {
		return k + "es"
	}

	return k + "s"
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
