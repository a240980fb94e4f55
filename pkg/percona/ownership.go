package percona

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
)

// A managedFields entry's fieldsV1 is a tree. A key is ".", the node itself, or
// one of these followed by what it selects (structured-merge-diff v6
// fieldpath/serialize-pe.go). An empty node is a leaf, or a map or list of
// which only the node itself is owned.
const (
	fieldSelf  = "."
	fieldName  = "f:" // A map's key.
	fieldKey   = "k:" // A list's item by its keys, a JSON object.
	fieldValue = "v:" // A set's item, a JSON value.
	fieldIndex = "i:" // A list's item by its index.
)

// An ownership says who applies what of a live object.
type ownership struct {
	// known is false if there are no managedFields at all (an object that was
	// rendered or written by hand) or if they cannot be read.
	known bool
	// spec is what the manager owns of the spec; nil if it owns nothing.
	spec map[string]any
	// others are the specs' fields of all other managers.
	others []map[string]any
}

// ownershipOf reads a live object's managedFields. Entries of a subresource are
// not the manager's: applies go to the object itself.
func ownershipOf(live map[string]any, manager string) ownership {
	metadata, _ := live["metadata"].(map[string]any)
	managed, present := metadata["managedFields"]
	entries, ok := managed.([]any)
	if !present || !ok || len(entries) == 0 {
		return ownership{}
	}

	own := ownership{known: true}
	for _, e := range entries {
		entry, ok := e.(map[string]any)
		if !ok {
			return ownership{}
		}
		fields, _ := entry["fieldsV1"].(map[string]any)
		spec, isMap := fields[fieldName+"spec"].(map[string]any)

		subresource, _ := entry["subresource"].(string)
		if entry["manager"] != manager || entry["operation"] != "Apply" || subresource != "" {
			own.others = append(own.others, spec)
			continue
		}

		_, hasSpec := fields[fieldName+"spec"]
		if fields == nil || hasSpec && !isMap {
			return ownership{}
		}
		if hasSpec {
			own.spec = union(own.spec, spec)
		}
	}
	return own
}

// union merges the fields of two entries, one per API version.
func union(a, b map[string]any) map[string]any {
	if a == nil {
		return b
	}
	out := maps.Clone(a)
	for k, v := range b {
		left, isMap := out[k].(map[string]any)
		right, bothMaps := v.(map[string]any)
		if isMap && bothMaps {
			v = union(left, right)
		}
		out[k] = v
	}
	return out
}

// extract returns the part of a live value that is owned by fields, with the
// live values, and false if nothing of it is there. The path leads to fields
// from the spec's. An error means that the fields cannot be read.
func (o ownership) extract(live any, fields map[string]any, path []string) (any, bool, error) {
	if live == nil {
		return nil, false, nil
	}
	if isLeaf(fields) {
		return o.leaf(live, path), true, nil
	}

	switch live := live.(type) {
	case map[string]any:
		return o.extractMap(live, fields, path)
	case []any:
		return o.extractList(live, fields, path)
	default:
		return nil, false, nil // A node with children has become a scalar: not ours any more.
	}
}

func (o ownership) extractMap(live, fields map[string]any, path []string) (any, bool, error) {
	out := map[string]any{}
	for key, child := range fields {
		if key == fieldSelf {
			continue
		}
		name, isField := strings.CutPrefix(key, fieldName)
		node, isMap := child.(map[string]any)
		if !isField || !isMap {
			return nil, false, errors.Errorf("unknown managed field %q", key)
		}
		v, ok, err := o.extract(live[name], node, append(path, key))
		if err != nil {
			return nil, false, err
		}
		if ok {
			out[name] = v
		}
	}
	_, self := fields[fieldSelf]
	return out, self || len(out) > 0, nil
}

// extractList returns the owned items in the live order.
func (o ownership) extractList(live []any, fields map[string]any, path []string) (any, bool, error) {
	items := make([]any, len(live))
	whole := false
	for _, key := range slices.Sorted(maps.Keys(fields)) { // Two keys may select one item.
		node, isMap := fields[key].(map[string]any)
		if !isMap {
			return nil, false, errors.Errorf("unknown managed field %q", key)
		}

		var err error
		switch {
		case key == fieldSelf:
		case strings.HasPrefix(key, fieldKey):
			err = o.extractItem(items, live, key, node, path)
		case strings.HasPrefix(key, fieldValue):
			err = extractValue(items, live, key)
		case strings.HasPrefix(key, fieldIndex):
			whole = true // Items without identity cannot be sent one by one.
		default:
			err = errors.Errorf("unknown managed field %q", key)
		}
		if err != nil {
			return nil, false, err
		}
	}

	if whole {
		return clone(live), true, nil
	}
	items = slices.DeleteFunc(items, func(item any) bool { return item == nil })
	_, self := fields[fieldSelf]
	return items, self || len(items) > 0, nil
}

// extractItem puts the owned part of the item that key selects where it is in
// live. The keys that identify it are always part of it.
func (o ownership) extractItem(items, live []any, key string, node map[string]any, path []string) error {
	identity := map[string]any{}
	if err := json.Unmarshal([]byte(key[len(fieldKey):]), &identity); err != nil || len(identity) == 0 {
		return errors.Errorf("cannot read the managed list item %q", key)
	}

	i := slices.IndexFunc(live, func(item any) bool {
		m, ok := item.(map[string]any)
		return ok && contains(m, identity)
	})
	if i < 0 {
		return nil
	}

	out := map[string]any{}
	if !isLeaf(node) {
		v, _, err := o.extract(live[i], node, append(path, key))
		if err != nil {
			return err
		}
		if m, ok := v.(map[string]any); ok {
			out = m
		}
	}
	for k, v := range identity {
		out[k] = clone(v)
	}
	items[i] = out
	return nil
}

// extractValue puts the set's item that key selects where it is in live.
func extractValue(items, live []any, key string) error {
	var want any
	if err := json.Unmarshal([]byte(key[len(fieldValue):]), &want); err != nil {
		return errors.Errorf("cannot read the managed list item %q", key)
	}
	i := slices.IndexFunc(live, func(item any) bool { return equal(want, item) })
	if i >= 0 {
		items[i] = clone(live[i])
	}
	return nil
}

// leaf returns what to send for a node whose children are not listed. That is
// the whole live value of a scalar, or of an atomic map or list. But it can
// also be what is left of a map or list whose content others have taken over;
// sent whole, it would be taken back. Then they own something below it, which
// is impossible below an atomic one, and it is sent empty. (Nobody owns a
// default: below an empty map of ours it is sent with its value.)
func (o ownership) leaf(live any, path []string) any {
	switch live.(type) {
	case map[string]any:
		if o.ownedBelow(path) {
			return map[string]any{}
		}
	case []any:
		if o.ownedBelow(path) {
			return []any{}
		}
	}
	return clone(live)
}

// ownedBelow tells whether another manager owns anything below a node.
func (o ownership) ownedBelow(path []string) bool {
	for _, fields := range o.others {
		for _, key := range path {
			fields, _ = fields[key].(map[string]any)
		}
		if !isLeaf(fields) {
			return true
		}
	}
	return false
}

func isLeaf(fields map[string]any) bool {
	_, self := fields[fieldSelf]
	return len(fields) == 0 || self && len(fields) == 1
}

// contains tells whether a live item has all of the identifying keys.
func contains(item, identity map[string]any) bool {
	for k, v := range identity {
		if have, ok := item[k]; !ok || !equal(v, have) {
			return false
		}
	}
	return true
}

// clone returns a deep copy in which whole numbers are int64: in a protobuf
// Struct all numbers are floats.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	case nil, bool, string:
		return v
	default:
		if i, ok := integer(v); ok {
			return i
		}
		return v
	}
}

func cloneMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = clone(v)
	}
	return out
}

// integer returns a whole number of any type, and false for anything else. A
// float counts as whole as long as it can count by ones.
func integer(v any) (int64, bool) {
	const exact = 1 << 53
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case float64:
		if v < -exact || v > exact || v != float64(int64(v)) {
			return 0, false
		}
		return int64(v), true
	case json.Number:
		i, err := strconv.ParseInt(v.String(), 10, 64)
		return i, err == nil
	default:
		return 0, false
	}
}

// equal tells whether two values mean the same JSON.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case nil:
		return b == nil
	case string:
		b, ok := b.(string)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case float64:
		if b, ok := b.(float64); ok {
			return a == b
		}
	}

	i, ok := integer(a)
	j, bothWhole := integer(b)
	return ok && bothWhole && i == j
}
