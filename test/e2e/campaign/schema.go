// Package campaign makes up what a person does to a DittoServer, in the manner
// of Acto (Gu et al., SOSP 2023): from the schema and a table of samples it
// draws sequences of changes, of their reverses and of mistakes, and says what
// has to be the same afterwards. The story is in campaign_test.go one folder up.
package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// A Schema of a field, as far as a campaign reads it.
type Schema struct {
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Enum                 []any              `json:"enum"`
	Minimum              *int64             `json:"minimum"`
	Maximum              *int64             `json:"maximum"`
	MinLength            *int               `json:"minLength"`
	MaxLength            *int               `json:"maxLength"`
	MaxItems             *int               `json:"maxItems"`
	MaxProperties        *int               `json:"maxProperties"`
	Properties           map[string]*Schema `json:"properties"`
	Items                *Schema            `json:"items"`
	AdditionalProperties *Schema            `json:"additionalProperties"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string"`
	Open                 bool               `json:"x-kubernetes-preserve-unknown-fields"`
}

// ReadSpec reads the schema of spec from a definition's file.
func ReadSpec(path string) (*Schema, error) {
	content, err := os.ReadFile(path) //nolint:gosec // The definition of this checkout.
	if err != nil {
		return nil, err
	}
	var xrd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema *Schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &xrd); err != nil {
		return nil, fmt.Errorf("cannot read the definition: %w", err)
	}
	if len(xrd.Spec.Versions) == 0 || xrd.Spec.Versions[0].Schema.OpenAPIV3Schema == nil {
		return nil, errors.New("the definition has no schema")
	}
	return xrd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"], nil
}

// Leaves are the properties that have none below them, by their paths: a.b for
// what is in an object, a[].b for what is in a list of objects.
func (s *Schema) Leaves() map[string]*Schema {
	leaves := map[string]*Schema{}
	s.walk("", func(path string, leaf *Schema) { leaves[path] = leaf })
	return leaves
}

func (s *Schema) walk(path string, visit func(string, *Schema)) {
	switch {
	case len(s.Properties) > 0:
		for name, child := range s.Properties {
			child.walk(strings.TrimPrefix(path+"."+name, "."), visit)
		}
	case s.Items != nil && len(s.Items.Properties) > 0:
		s.Items.walk(path+"[]", visit)
	default:
		visit(path, s)
	}
}

// A Place is where a value has a leaf: indices are said.
type Place struct {
	Leaf   string
	Schema *Schema
	Steps  []any
}

// Places of the leaves that a spec sets, in their order.
func (s *Schema) Places(spec map[string]any) []Place {
	return s.places("", nil, spec)
}

func (s *Schema) places(path string, steps []any, value any) []Place {
	switch v := value.(type) {
	case map[string]any:
		if len(s.Properties) == 0 {
			break
		}
		var places []Place
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if child := s.Properties[name]; child != nil {
				places = append(places, child.places(strings.TrimPrefix(path+"."+name, "."), append(slices.Clone(steps), name), v[name])...)
			}
		}
		return places
	case []any:
		if s.Items == nil || len(s.Items.Properties) == 0 {
			break
		}
		var places []Place
		for i, item := range v {
			places = append(places, s.Items.places(path+"[]", append(slices.Clone(steps), i), item)...)
		}
		return places
	}
	return []Place{{Leaf: path, Schema: s, Steps: steps}}
}

// With is a copy of a spec that has another value at the place.
func (p Place) With(spec map[string]any, value any) map[string]any {
	out := Copy(spec)
	var at any = out
	for i, step := range p.Steps {
		last := i == len(p.Steps)-1
		switch step := step.(type) {
		case string:
			fields, _ := at.(map[string]any)
			if last {
				fields[step] = value
			}
			at = fields[step]
		case int:
			items, _ := at.([]any)
			at = items[step]
		}
	}
	return out
}

// Field is the name of the leaf.
func (p Place) Field() string {
	name := strings.TrimSuffix(p.Leaf, "[]")
	return name[strings.LastIndex(name, ".")+1:]
}

// A Mistake is a value that the schema refuses.
type Mistake struct {
	Value any
	Why   string
}

// Mistakes that can be made with a leaf: each type is mistaken, and each bound
// that it has is crossed.
func (s *Schema) Mistakes() []Mistake {
	return slices.Concat(s.wrongTypes(), s.numbersOutOfBounds(), s.lengthsOutOfBounds(), s.wrongMaps())
}

func (s *Schema) wrongTypes() []Mistake {
	var list []Mistake
	switch s.Type {
	case "string":
		list = []Mistake{{[]any{"a"}, "a list"}, {map[string]any{"a": "b"}, "an object"}, {int64(12), "a number"}}
	case "integer":
		list = []Mistake{{"twelve", "a text"}, {1.5, "a fraction"}, {1e30, "beyond 64 bits"}}
	case "boolean":
		list = []Mistake{{"a", "a text"}, {int64(1), "a number"}}
	case "array":
		list = []Mistake{{"a", "a text"}, {map[string]any{"a": "b"}, "an object"}}
	case "object":
		list = []Mistake{{"a", "a text"}, {[]any{"a"}, "a list"}}
	}
	if s.IntOrString {
		list = append(list, Mistake{map[string]any{"a": "b"}, "an object"}, Mistake{"some", "no quantity"})
	}
	if len(s.Enum) > 0 {
		list = append(list, Mistake{"Nonsense", "none of its values"})
	}
	return list
}

func (s *Schema) numbersOutOfBounds() []Mistake {
	var list []Mistake
	if s.Minimum != nil {
		list = append(list, Mistake{*s.Minimum - 1, "below its minimum"})
	}
	if s.Maximum != nil {
		list = append(list, Mistake{*s.Maximum + 1, "above its maximum"})
	}
	if s.Format == "int32" && s.Maximum == nil {
		list = append(list, Mistake{int64(1) << 40, "beyond 32 bits"}) //nolint:mnd // Any number of more than 32 bits.
	}
	return list
}

func (s *Schema) lengthsOutOfBounds() []Mistake {
	var list []Mistake
	if s.MinLength != nil && *s.MinLength > 0 {
		list = append(list, Mistake{strings.Repeat("a", *s.MinLength-1), "too short"})
	}
	if s.MaxLength != nil {
		list = append(list, Mistake{strings.Repeat("a", *s.MaxLength+1), "too long"})
	}
	if s.MaxItems != nil && s.Items != nil && s.Items.Type == "string" {
		list = append(list, Mistake{slices.Repeat([]any{"a"}, *s.MaxItems+1), "too many"})
	}
	return list
}

func (s *Schema) wrongMaps() []Mistake {
	if s.AdditionalProperties == nil {
		return nil
	}
	list := []Mistake{{map[string]any{"a": map[string]any{"b": "c"}}, "a value of the wrong type"}}
	if s.MaxProperties != nil {
		many := map[string]any{}
		for i := range *s.MaxProperties + 1 {
			many[fmt.Sprintf("a%d", i)] = "1"
		}
		list = append(list, Mistake{many, "too many"})
	}
	return list
}

// Copy of a JSON object.
func Copy(object map[string]any) map[string]any {
	out, _ := clone(object).(map[string]any)
	return out
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			out[name] = clone(item)
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			out = append(out, clone(item))
		}
		return out
	default:
		return v
	}
}

// Text of a JSON value, always the same for the same.
func Text(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
