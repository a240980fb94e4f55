package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hidden stands for a Secret's value.
const hidden = "(hidden)"

// A Change of one field of an object. Old or New is empty where the field was
// added or removed.
type Change struct {
	Path, Old, New string
}

// Diff lists what differs between two versions of an object, by path. Items of
// a list are known by their name, where all have one, else by their position.
// Secrets' values are hidden.
func Diff(before, after unstructured.Unstructured) []Change {
	var changes []Change
	diff("", before.Object, after.Object, &changes)
	for i, c := range changes {
		if after.GetKind() != "Secret" || !strings.HasPrefix(c.Path, "data") {
			continue
		}
		changes[i].Old = hide(c.Old)
		changes[i].New = hide(c.New)
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes
}

func hide(value string) string {
	if value == "" {
		return ""
	}
	return hidden
}

// diff of two values at a path. What is missing counts as empty, so that
// something new is listed field by field.
func diff(path string, before, after any, changes *[]Change) {
	b, beforeIs := fields(before)
	a, afterIs := fields(after)
	if (beforeIs || before == nil) && (afterIs || after == nil) && len(a)+len(b) > 0 {
		for k, v := range b {
			diff(join(path, k), v, a[k], changes)
		}
		for k, v := range a {
			if _, found := b[k]; !found {
				diff(join(path, k), nil, v, changes)
			}
		}
		return
	}
	old, is := text(before), text(after)
	if old != is {
		*changes = append(*changes, Change{Path: path, Old: old, New: is})
	}
}

// fields of a map, or a list's items by name or position; false for any other
// value.
func fields(value any) (map[string]any, bool) {
	if m, ok := value.(map[string]any); ok {
		return m, true
	}
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	named := !slices.ContainsFunc(list, func(item any) bool { return nameOf(item) == "" })
	out := map[string]any{}
	for i, item := range list {
		if named {
			out["["+nameOf(item)+"]"] = item
			continue
		}
		out[fmt.Sprintf("[%d]", i)] = item
	}
	return out, true
}

func nameOf(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// join a path and a key. A key that is no simple word is put into brackets.
func join(path, key string) string {
	if strings.HasPrefix(key, "[") {
		return path + key
	}
	if strings.ContainsAny(key, "./") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// text of a value, empty for none.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}
