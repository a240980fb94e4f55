package percona

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/redact"
)

// Paths of a PerconaPGCluster's spec that have rules of their own.
const (
	pathVersion = "postgresVersion"
	pathImage   = "image"
	pathPause   = "pause"
	pathRepos   = "backups.pgbackrest.repos"
	pathGlobal  = "backups.pgbackrest.global"
	pathDynamic = "patroni.dynamicConfiguration"
)

// isListMap tells which lists the operator's schema merges by name. All other
// lists that a DittoServer asks for are replaced whole, but for one set.
func isListMap(path string) bool {
	return path == "instances" || path == "users" || path == pathRepos ||
		strings.HasSuffix(path, ".tablespaceVolumes") || strings.HasSuffix(path, ".resources.claims")
}

// isSet tells which lists it merges value by value.
func isSet(path string) bool {
	return strings.HasPrefix(path, "users[") && strings.HasSuffix(path, "].databases") ||
		strings.HasSuffix(path, "[].exitCodes.values")
}

// isClaim tells whether a path leads to the claim of a volume.
func isClaim(path string) bool {
	return strings.HasSuffix(path, "olumeClaimSpec")
}

func isRequest(path string) bool {
	return strings.HasSuffix(path, "olumeClaimSpec.resources.requests.storage")
}

// isFixed tells which fields of a claim cannot change once there is a volume,
// nor be added: unset, the cluster's default class was taken.
func isFixed(field string) bool {
	return field == "storageClassName" || field == "accessModes"
}

// repoOfPath returns the repository whose place in a bucket a path leads to.
func repoOfPath(path string) (string, bool) {
	option, ok := strings.CutPrefix(path, pathGlobal+".")
	repo, isPath := strings.CutSuffix(option, suffixPath)
	return repo, ok && isPath && isRepo(repo)
}

// isWritten tells what the operator's controllers write.
func isWritten(path string) bool {
	return path == pathPause || path == "backups.pgbackrest.manual" || path == "backups.pgbackrest.restore"
}

func isImage(path string) bool {
	return path == pathImage || path == "backups.pgbackrest.image" || path == "proxy.pgBouncer.image"
}

// same tells whether live has what is wanted.
func same(path string, want, have any) bool {
	if equal(want, have) {
		return true
	}
	switch {
	case path == pathVersion:
		w, ok := version(want)
		h, known := version(have)
		return ok && known && w == h
	case isSet(path):
		w, _ := want.([]any)
		h, _ := have.([]any)
		return !slices.ContainsFunc(w, func(v any) bool {
			return !slices.ContainsFunc(h, func(o any) bool { return equal(v, o) })
		})
	case isQuantity(path):
		w, ok := quantity(want)
		h, known := quantity(have)
		return ok && known && w.Cmp(h) == 0
	default:
		return false
	}
}

func isQuantity(path string) bool {
	return strings.Contains(path, ".resources.requests") || strings.Contains(path, ".resources.limits")
}

// shrinks tells whether a volume of the live size must stay as it is: a smaller
// one is wanted, or the live size is not understood.
func shrinks(want, have any) bool {
	if have == nil {
		return false
	}
	w, ok := quantity(want)
	h, known := quantity(have)
	return !ok || !known || w.Cmp(h) < 0
}

// quantity reads what an API server accepts as one: text or a number.
func quantity(v any) (resource.Quantity, bool) {
	if s, ok := v.(string); ok {
		q, err := resource.ParseQuantity(s)
		return q, err == nil
	}
	if i, ok := integer(v); ok {
		return *resource.NewQuantity(i, resource.DecimalSI), true
	}
	return resource.Quantity{}, false
}

// version reads a major version, which untrusted input may write as text.
func version(v any) (int64, bool) {
	if s, ok := v.(string); ok {
		i, err := strconv.ParseInt(s, 10, 32)
		return i, err == nil
	}
	return integer(v)
}

// nameOf returns the name of an item of a list that is merged by name.
func nameOf(item any) (string, bool) {
	m, _ := item.(map[string]any)
	name, ok := m["name"].(string)
	return name, ok
}

// named returns the item of that name.
func named(items []any, name string) (map[string]any, bool) {
	for _, item := range items {
		m, _ := item.(map[string]any)
		if n, ok := m["name"].(string); ok && n == name {
			return m, true
		}
	}
	return nil, false
}

// join appends a key to a path. One that could be misread is put in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, ".[]") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// lastKey of a path.
func lastKey(path string) string {
	if inner, bracket := strings.CutSuffix(path, "]"); bracket {
		return inner[strings.LastIndex(inner, "[")+1:]
	}
	return path[strings.LastIndex(path, ".")+1:]
}

// shown is the value at a path as a message has it, without what may be a
// secret: whoever may read a server's conditions need not be allowed to read
// its cluster.
func shown(path string, v any) string { return text(redact.Value(lastKey(path), v)) }

// text shows a value in a message: short, and the same every time.
func text(v any) string {
	const limit = 200

	var s string
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		s = v
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
			s = strconv.Quote(v)
		}
	default:
		data, err := json.Marshal(clone(v)) // Sorts a map's keys.
		if err != nil {
			return "?"
		}
		s = string(data)
	}

	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}
