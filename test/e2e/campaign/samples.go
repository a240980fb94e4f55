package campaign

import (
	_ "embed" // For the table.
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// The kinds of servers that a campaign walks.
const (
	SQLite   = "sqlite"   // Under the default Composition.
	Mover    = "mover"    // On SQLite, and may move.
	External = "external" // On a PostgreSQL that a Secret leads to.
	Percona  = "percona"  // With a database of its own, which follows the spec.
)

// Bases are the specs that the servers start with.
func Bases() map[string]map[string]any {
	base := func(more map[string]any) map[string]any {
		spec := map[string]any{"storage": map[string]any{"metadataSize": "1Gi"}}
		maps.Copy(spec, more)
		return spec
	}
	return map[string]map[string]any{
		SQLite: base(nil),
		Mover:  base(map[string]any{"database": map[string]any{"allowChangeTo": "sqlite"}}),
		External: base(map[string]any{"database": map[string]any{
			"type": "postgres", "allowChangeTo": "external", "postgresSecretRef": map[string]any{"name": "pg"},
		}}),
		Percona: base(map[string]any{"percona": map[string]any{"enabled": true, "updatePolicy": "Always", "storageSize": "10Gi"}}),
	}
}

//go:embed samples.yaml
var table []byte

// A Sample is something that a spec can say; see samples.yaml.
type Sample struct {
	Path    string         `json:"path"`
	Value   any            `json:"value"`
	With    map[string]any `json:"with"`
	For     []string       `json:"for"`
	Quiet   bool           `json:"quiet"`
	Stuck   bool           `json:"stuck"`
	Unlike  string         `json:"unlike"`
	Refused bool           `json:"refused"`
	Names   string         `json:"names"`
}

// Samples of the table.
func Samples() ([]Sample, error) {
	var samples []Sample
	if err := yaml.UnmarshalStrict(table, &samples); err != nil {
		return nil, fmt.Errorf("cannot read the samples: %w", err)
	}
	for i := range samples {
		samples[i].Value = whole(samples[i].Value)
		samples[i].With, _ = whole(samples[i].With).(map[string]any)
	}
	return samples, nil
}

// whole numbers are integers, as they are in an unstructured object.
func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = whole(v[name])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return value
}

// Suits tells whether a server can have the sample.
func (s *Sample) Suits(server string) bool {
	return len(s.For) == 0 || slices.Contains(s.For, server)
}

// Into a spec.
func (s *Sample) Into(spec map[string]any) {
	merge(spec, s.With)
	at, steps := spec, strings.Split(s.Path, ".")
	for _, step := range steps[:len(steps)-1] {
		below, ok := at[step].(map[string]any)
		if !ok {
			below = map[string]any{}
			at[step] = below
		}
		at = below
	}
	last := steps[len(steps)-1]
	if value, ok := s.Value.(map[string]any); ok && len(value) > 0 {
		if have, ok := at[last].(map[string]any); ok {
			merge(have, value)
			return
		}
	}
	at[last] = clone(s.Value)
}

func merge(into, from map[string]any) {
	for name, value := range from {
		a, isMap := into[name].(map[string]any)
		b, both := value.(map[string]any)
		if isMap && both {
			merge(a, b)
			continue
		}
		into[name] = clone(value)
	}
}

// Clashes tells whether two samples cannot be in one spec, or would mean
// something else together.
func (s *Sample) Clashes(other *Sample) bool {
	if s.area() == other.area() {
		return true
	}
	for _, a := range s.paths() {
		for _, b := range other.paths() {
			if strings.HasPrefix(a+".", b+".") || strings.HasPrefix(b+".", a+".") {
				return true
			}
		}
	}
	return false
}

// area of the spec in which one thing decides what another means.
func (s *Sample) area() string {
	first, rest, _ := strings.Cut(s.Path, ".")
	second, _, _ := strings.Cut(rest, ".")
	switch first {
	case "pod", "percona", "identity", "adapters", "storage", "logging", "service", "adapterServices", "networkPolicy":
		return s.Path[:len(strings.TrimSuffix(first+"."+second, "."))]
	default:
		return first
	}
}

// paths that the sample sets.
func (s *Sample) paths() []string {
	return append(below("", s.With), s.Path)
}

func below(path string, object map[string]any) []string {
	var paths []string
	for name, value := range object {
		at := strings.TrimPrefix(path+"."+name, ".")
		if fields, ok := value.(map[string]any); ok {
			paths = append(paths, below(at, fields)...)
			continue
		}
		paths = append(paths, at)
	}
	return paths
}

// String for people: the path and the value.
func (s *Sample) String() string {
	const enough = 160
	text := Text(s.Value)
	if len(text) > enough {
		text = text[:enough] + "..."
	}
	if len(s.With) > 0 {
		text += " with " + Text(s.With)
	}
	return s.Path + " = " + text
}
