package percona

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mergeKeys returns the keys that tell the items of a list apart for the
// operator's schema, none for a list that is replaced whole (percona v2.9.0
// config/crd/bases/pgv2.percona.com_perconapgclusters.yaml). In the path, what
// is between the brackets of an item does not matter.
func mergeKeys(path string) []string {
	if isListMap(path) {
		return []string{"name"}
	}
	for _, containers := range []string{".sidecars[].", ".initContainers[]."} {
		_, list, _ := strings.Cut(path, containers)
		switch list {
		case "env":
			return []string{"name"}
		case "ports":
			return []string{"containerPort", "protocol"}
		case "volumeMounts":
			return []string{"mountPath"}
		case "volumeDevices":
			return []string{"devicePath"}
		}
	}
	return nil
}

// unique refuses what is in a list of a cluster's spec twice. To server-side
// apply that is no invalid object but a failed request, and Crossplane stops at
// it. at is the value's path in the DittoServer, path that in the spec.
func unique(at *field.Path, path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		if path == pathDynamic {
			return nil // Patroni's own business: no schema merges its lists.
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := unique(childOf(at, key), join(path, key), v[key]); err != nil {
				return err
			}
		}
	case []any:
		return uniqueItems(at, path, v)
	}
	return nil
}

func uniqueItems(at *field.Path, path string, items []any) error {
	keys, set := mergeKeys(path), isSet(path)
	seen := map[string]bool{}
	for i, item := range items {
		here, below := at.Index(i), path+"[]"
		if name, ok := nameOf(item); ok && isListMap(path) {
			here, below = at.Key(name), path+"["+name+"]"
		}

		m, _ := item.(map[string]any)
		id, first := text(item), item
		if len(keys) > 0 {
			id, first = identity(m, keys), m[keys[0]]
		}
		switch {
		case len(keys) > 0 && (first == nil || first == ""):
			return field.Required(at.Index(i).Child(keys[0]), "items of this list are told apart by it")
		case len(keys) > 0 && seen[id]:
			return field.Duplicate(at.Index(i).Child(keys[0]), first)
		case set && seen[id]:
			return field.Duplicate(at.Index(i), item)
		}
		seen[id] = true

		if err := unique(here, below, item); err != nil {
			return err
		}
	}
	return nil
}

// identity of an item of a list that is merged by these keys. Of them, the
// schema has a default for a port's protocol alone.
func identity(item map[string]any, keys []string) string {
	values := make([]string, len(keys))
	for i, key := range keys {
		values[i] = text(item[key])
		if key == "protocol" && item[key] == nil {
			values[i] = "TCP"
		}
	}
	return strings.Join(values, "/")
}
