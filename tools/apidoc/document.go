package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// kubernetes is the reference of the types of k8s.io/api, of the version that
// go.mod has.
const kubernetes = "https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.35/#"

// unlinked are the characters of a heading that are not in a link to it.
var unlinked = regexp.MustCompile(`[^a-z0-9 -]`)

// A document is made of chapters, of which each has a section for every object.
type document struct {
	out strings.Builder

	// Of the chapter.
	types  types
	uses   map[string]int
	shared map[string]extv1.JSONSchemaProps
}

func newDocument(intro string) *document {
	d := &document{}
	d.out.WriteString(intro)
	return d
}

func (d *document) text() string { return strings.TrimSpace(d.out.String()) + "\n" }

// chapter about the object of a type. A type that is used once is described
// under its path, others together at the end, under their names.
func (d *document) chapter(known types, typ, path string, schema extv1.JSONSchemaProps, about string) {
	d.types, d.uses, d.shared = known, map[string]int{}, map[string]extv1.JSONSchemaProps{}
	d.count(typ)

	fmt.Fprintf(&d.out, "## %s\n\n%s\n\n", path, about)
	d.table(typ, path, schema)
	d.rules(schema)
	d.sections(typ, path, schema)

	done := map[string]bool{}
	for len(done) < len(d.shared) {
		for _, name := range sortedKeys(d.shared) {
			if !done[name] {
				done[name] = true
				d.section(name, name, d.shared[name])
			}
		}
	}
}

// count how often types are used.
func (d *document) count(typ string) {
	for _, f := range d.types[typ].fields {
		if _, ok := d.types[f.typ]; !ok || f.pkg != "" {
			continue
		}
		d.uses[f.typ]++
		if d.uses[f.typ] == 1 {
			d.count(f.typ)
		}
	}
}

// sections about the objects below one of a type.
func (d *document) sections(typ, path string, schema extv1.JSONSchemaProps) {
	for _, f := range d.types[typ].fields {
		s, ok := schema.Properties[f.name]
		if !ok || !d.isOurs(f) {
			continue
		}
		below, suffix := object(s)
		if len(below.Properties) == 0 {
			continue
		}
		if d.uses[f.typ] > 1 {
			d.shared[f.typ] = below
			continue
		}
		d.section(f.typ, path+"."+f.name+suffix, below)
	}
}

func (d *document) section(typ, path string, schema extv1.JSONSchemaProps) {
	fmt.Fprintf(&d.out, "### %s\n\n", strings.NewReplacer("[", `\[`, "]", `\]`).Replace(path))
	if doc := aboutType(typ, d.types[typ].doc); doc != "" {
		fmt.Fprintf(&d.out, "%s\n\n", doc)
	}
	d.table(typ, path, schema)
	d.rules(schema)
	d.sections(typ, path, schema)
}

// rules that concern more than one field of an object.
func (d *document) rules(schema extv1.JSONSchemaProps) {
	for _, r := range schema.XValidations {
		where := ""
		if r.FieldPath != "" {
			where = "`" + strings.TrimPrefix(r.FieldPath, ".") + "`: "
		}
		fmt.Fprintf(&d.out, "- %s*%s*\n", where, escape(r.Message))
	}
	if len(schema.XValidations) > 0 {
		d.out.WriteString("\n")
	}
}

// table of the fields of an object.
func (d *document) table(typ, path string, schema extv1.JSONSchemaProps) {
	d.out.WriteString("| Field | Type | Default | Description |\n| --- | --- | --- | --- |\n")
	for _, f := range d.types[typ].fields {
		s, ok := schema.Properties[f.name]
		if !ok {
			continue
		}
		name := "`" + f.name + "`"
		if slices.Contains(schema.Required, f.name) {
			name += "<br>required"
		}
		description := inline(s.Description)
		if limits := limitsOf(s, d.isOurs(f)); len(limits) > 0 {
			description += "<br>*" + strings.Join(limits, "; ") + "*"
		}
		fmt.Fprintf(&d.out, "| %s | %s | %s | %s |\n", name, d.typeOf(f, path, s), defaultOf(s), description)
	}
	d.out.WriteString("\n")
}

// isOurs tells that a field's type is described here.
func (d *document) isOurs(f structField) bool {
	_, ok := d.types[f.typ]
	return ok && f.pkg == ""
}

// typeOf a field, with a link to what describes it.
func (d *document) typeOf(f structField, path string, s extv1.JSONSchemaProps) string {
	below, suffix := object(s)
	name := scalar(below)
	switch {
	case below.Type != "object":
	case f.pkg == "k8s.io/api/core/v1":
		name = link(f.typ, kubernetes+strings.ToLower(f.typ)+"-v1-core")
	case f.pkg == "k8s.io/api/networking/v1":
		name = link(f.typ, kubernetes+strings.ToLower(f.typ)+"-v1-networking-k8s-io")
	case len(below.Properties) == 0:
		name = "object of any shape"
	case d.uses[f.typ] > 1:
		name = link(f.typ, "#"+anchor(f.typ))
	default:
		name = link("object", "#"+anchor(path+"."+f.name+suffix))
	}

	switch suffix {
	case "[]":
		if len(s.XListMapKeys) > 0 {
			return "list by `" + strings.Join(s.XListMapKeys, "` and `") + "` of " + name
		}
		return "list of " + name
	case "{}":
		return "map of " + name
	}
	return name
}

// object that a schema is of, or that its list or map is of, and [] or {} for
// those.
func object(s extv1.JSONSchemaProps) (below extv1.JSONSchemaProps, suffix string) {
	switch {
	case s.Items != nil && s.Items.Schema != nil:
		return *s.Items.Schema, "[]"
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return *s.AdditionalProperties.Schema, "{}"
	}
	return s, ""
}

func scalar(s extv1.JSONSchemaProps) string {
	if len(s.Enum) == 0 {
		return s.Type
	}
	values := make([]string, 0, len(s.Enum))
	for _, v := range s.Enum {
		values = append(values, "`"+strings.Trim(string(v.Raw), `"`)+"`")
	}
	return strings.Join(values, ", ")
}

func defaultOf(s extv1.JSONSchemaProps) string {
	if s.Default == nil || string(s.Default.Raw) == "{}" {
		return ""
	}
	var text string
	if err := json.Unmarshal(s.Default.Raw, &text); err != nil {
		text = string(s.Default.Raw)
	}
	return "`" + text + "`"
}

// limitsOf a field, in words. The rules of an object with a section of its own
// are there.
func limitsOf(s extv1.JSONSchemaProps, elsewhere bool) []string {
	var out []string
	add := func(format string, values ...any) { out = append(out, fmt.Sprintf(format, values...)) }

	below, suffix := object(s)
	if suffix != "" || !elsewhere {
		for _, r := range s.XValidations {
			add("%s", escape(r.Message))
		}
	}
	if suffix != "" && !elsewhere {
		for _, r := range below.XValidations {
			of := "each"
			if r.FieldPath != "" {
				of = strings.TrimPrefix(r.FieldPath, ".") + " of each"
			}
			add("%s: %s", of, escape(r.Message))
		}
	}
	return append(out, boundsOf(s)...)
}

// boundsOf a number, a text, a list or a map.
func boundsOf(s extv1.JSONSchemaProps) []string {
	var out []string
	add := func(format string, values ...any) { out = append(out, fmt.Sprintf(format, values...)) }

	switch {
	case s.Minimum != nil && s.Maximum != nil:
		add("%.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		add("at least %.0f", *s.Minimum)
	case s.Maximum != nil:
		add("at most %.0f", *s.Maximum)
	}
	switch {
	case s.MinLength == nil:
	case *s.MinLength == 1:
		add("not empty")
	default:
		add("at least %d characters", *s.MinLength)
	}
	if s.MaxLength != nil {
		add("at most %d characters", *s.MaxLength)
	}
	if s.MaxItems != nil {
		add("at most %d items", *s.MaxItems)
	}
	if s.MaxProperties != nil {
		add("at most %d entries", *s.MaxProperties)
	}

	return out
}

// aboutType is a Go type's comment, as a text about the object.
func aboutType(typ, doc string) string {
	doc, _, _ = strings.Cut(doc, "\n+") // Markers.
	begin := regexp.MustCompile(`^(An? )?` + typ + ` (is|are|has)? ?`)
	switch m := begin.FindStringSubmatch(doc); {
	case m == nil, m[2] == "" && strings.HasPrefix(doc[len(m[0]):], "for "):
		return paragraphs(doc)
	case m[2] == "are":
		doc = "They are " + doc[len(m[0]):]
	case m[2] != "":
		doc = "It " + m[2] + " " + doc[len(m[0]):]
	default:
		doc = "It " + doc[len(m[0]):]
	}
	return paragraphs(doc)
}

// paragraphs of a comment, each in one line.
func paragraphs(text string) string {
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, b := range blocks {
		blocks[i] = escape(strings.Join(strings.Fields(b), " "))
	}
	return strings.Join(blocks, "\n\n")
}

// inline is a description in one line, as a table's cell has it. What is
// indented is kept as it is.
func inline(text string) string {
	var out strings.Builder
	for i, b := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(b, "\t") {
			lines := strings.Split(b, "\n")
			for j := range lines {
				lines[j] = escape(strings.TrimPrefix(lines[j], "\t"))
			}
			out.WriteString("<pre>" + strings.Join(lines, "<br>") + "</pre>")
			continue
		}
		if i > 0 && !strings.HasSuffix(out.String(), "</pre>") {
			out.WriteString("<br>")
		}
		out.WriteString(escape(strings.Join(strings.Fields(b), " ")))
	}
	return out.String()
}

// escape what Markdown and HTML would take for their own.
func escape(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", `\|`, "*", `\*`, "[", `\[`, "]", `\]`).Replace(text)
}

func link(text, target string) string { return "[" + text + "](" + target + ")" }

// anchor of a heading, as GitHub makes it.
func anchor(heading string) string {
	return unlinked.ReplaceAllString(strings.ToLower(heading), "")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
