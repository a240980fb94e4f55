package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/util/jsonpath"
	"k8s.io/kubectl/pkg/cmd"
)

// cobraCommand checks a command against the tree of commands that its program
// is made of: there is such a command, with such flags, and it takes that many
// arguments.
func cobraCommand(root *cobra.Command, args []string) error {
	_, err := parse(root, args)

	return err
}

// parse a command's arguments as its program does.
func parse(root *cobra.Command, args []string) (*cobra.Command, error) {
	command, rest, err := root.Find(args)
	if err != nil {
		return nil, err
	}
	if err := command.ParseFlags(rest); err != nil {
		return nil, err
	}
	if command.Deprecated != "" {
		return nil, fmt.Errorf("%s is deprecated: %s", command.CommandPath(), command.Deprecated)
	}
	if words := command.Flags().Args(); command.HasSubCommands() && len(words) > 0 && command.Args == nil && !slices.Contains(ownArguments, command.Name()) {
		return nil, fmt.Errorf("%s has no command %s", command.CommandPath(), words[0])
	}

	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		return nil, err
	}

	return command, nil
}

// ownArguments are the commands that take arguments, and have commands below.
var ownArguments = []string{"apply"} //nolint:gochecknoglobals // Read only.

// kubectl checks a command with kubectl's own parser, and what it is about:
// kinds, the names of a server's objects, fields, conditions and manifests.
func (c *Checker) kubectl(command Command) error {
	root := cmd.NewKubectlCommand(cmd.KubectlOptions{
		ConfigFlags: genericclioptions.NewConfigFlags(false),
		IOStreams:   genericiooptions.NewTestIOStreamsDiscard(),
	})
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	parsed, err := parse(root, command.Words[1:])
	if err != nil {
		return err
	}

	words := parsed.Flags().Args()
	if dash := parsed.ArgsLenAtDash(); dash >= 0 {
		words = words[:dash] // What follows runs in a pod.
	}
	found := []error{c.files(parsed, command)}

	var about []kind
	switch verb := strings.TrimPrefix(parsed.CommandPath(), "kubectl "); verb {
	case "get", "describe", "delete", "patch", "annotate", "label", "edit", "scale", "wait", "port-forward",
		"rollout status", "rollout restart":
		about, err = c.objects(words)
		found = append(found, err)
	case "logs", "exec":
		about, err = c.objects(append([]string{"pod"}, withoutKind(words)...))
		found = append(found, err)
	case "explain":
		found = append(found, c.explained(words))
	case "auth can-i":
		if len(words) > 1 {
			_, err = c.kinds.named(words[1])
			found = append(found, err)
		}
	}

	return errors.Join(append(found, c.options(parsed, about, words)...)...)
}

// withoutKind of a pod: "pod/files-0" or "files-0".
func withoutKind(words []string) []string {
	out := slices.Clone(words)
	for i, w := range out {
		out[i] = strings.TrimPrefix(strings.TrimPrefix(w, "pods/"), "pod/")
	}

	return out[:min(1, len(out))]
}

// objects that a command is about: "kind,kind name...", "kind/name...".
func (c *Checker) objects(words []string) ([]kind, error) {
	var out []kind
	var found []error
	look := func(named string) []kind {
		var kinds []kind
		for n := range strings.SplitSeq(named, ",") {
			k, err := c.kinds.named(n)
			if err != nil {
				found = append(found, err)

				continue
			}
			kinds = append(kinds, k)
		}

		return kinds
	}

	var current []kind
	for i, w := range words {
		named, name, slash := strings.Cut(w, "/")
		switch {
		case strings.Contains(w, "="), strings.HasSuffix(w, "-"), w == substituted, len(current) == 0 && i > 0 && !slash:
			// A label, an annotation, a port.
		case slash:
			kinds := look(named)
			out = append(out, kinds...)
			found = append(found, c.kinds.object(kinds, name))
		case i == 0:
			current = look(w)
			out = append(out, current...)
		default:
			found = append(found, c.kinds.object(current, w))
		}
	}

	return out, errors.Join(found...)
}

// explained checks the path of kubectl explain.
func (c *Checker) explained(words []string) error {
	for _, w := range words {
		named, path, _ := strings.Cut(w, ".")
		k, err := c.kinds.named(named)
		if err != nil {
			return err
		}
		if path == "" {
			continue
		}
		if err := k.has(strings.Split(path, ".")); err != nil {
			return err
		}
	}

	return nil
}

// yours are the files that a reader writes, by the document's own words.
var yours = []string{"files.yaml", "files-secrets.yaml", "team-a.yaml"} //nolint:gochecknoglobals // Read only.

// files that a command reads: they are in the repository, or in the script.
func (c *Checker) files(parsed *cobra.Command, command Command) error {
	flag := parsed.Flags().Lookup("filename")
	if flag == nil || !flag.Changed {
		return nil
	}
	names, err := parsed.Flags().GetStringSlice("filename")
	if err != nil {
		return err
	}

	var found []error
	for _, name := range names {
		switch {
		case name == "-" && command.Input != "":
			found = append(found, c.Manifests(command.Input))
		case name == "-" && command.Piped, strings.HasPrefix(name, "https://"), slices.Contains(yours, name):
		default:
			_, err := os.Stat(filepath.Join(c.root, command.Folder, name))
			found = append(found, err)
		}
	}

	return errors.Join(found...)
}

// options checks the values of options that speak of fields.
func (c *Checker) options(parsed *cobra.Command, about []kind, words []string) []error {
	var found []error
	value := func(name string) string {
		if f := parsed.Flags().Lookup(name); f != nil && f.Changed {
			return strings.Trim(f.Value.String(), "[]")
		}

		return ""
	}

	if s := value("selector"); s != "" {
		_, err := labels.Parse(s)
		found = append(found, err)
	}
	if template, ok := strings.CutPrefix(value("output"), "jsonpath="); ok {
		found = append(found, jsonPaths(about, template, len(words) > 1 || strings.Contains(strings.Join(words, " "), "/")))
	}
	if columns, ok := strings.CutPrefix(value("output"), "custom-columns="); ok {
		for column := range strings.SplitSeq(columns, ",") {
			_, path, _ := strings.Cut(column, ":")
			found = append(found, jsonPaths(about, "{"+path+"}", true))
		}
	}
	if parsed.Name() == "wait" {
		found = append(found, waited(about, value("for")))
	}
	if parsed.Name() == "annotate" {
		found = append(found, annotated(words))
	}
	if parsed.Name() == "patch" {
		patch, typ := value("patch"), value("type")
		// The value of a flag of one text is not a list.
		if f := parsed.Flags().Lookup("patch"); f != nil {
			patch = f.Value.String()
		}
		for _, k := range about {
			found = append(found, k.patched(typ, patch))
		}
	}

	return found
}

// waited checks what kubectl wait waits for.
func waited(about []kind, what string) error {
	if path, ok := strings.CutPrefix(what, "jsonpath="); ok {
		template, _, _ := strings.Cut(path, "=")

		return jsonPaths(about, strings.Trim(template, "'"), true)
	}
	if what == "delete" || what == "create" {
		return nil
	}
	typ, ok := strings.CutPrefix(what, "condition=")
	if !ok {
		return fmt.Errorf("kubectl wait cannot wait for %q", what)
	}
	typ, _, _ = strings.Cut(typ, "=")
	for _, k := range about {
		if k.conditions != nil && !slices.Contains(k.conditions, typ) {
			return fmt.Errorf("a %s has no condition %s", k.kind, typ)
		}
	}

	return nil
}

// annotations that the documents tell people to set: Crossplane's, the
// function's and the Percona operator's.
//
//nolint:gochecknoglobals // Read only.
var annotations = []string{
	"crossplane.io/paused", "crossplane.io/composition-resource-name", "dittofs.io/adopt",
	"pgv2.percona.com/authorizeBackupRemoval",
}

func annotated(words []string) error {
	for _, w := range words {
		name, _, set := strings.Cut(w, "=")
		if !set {
			if !strings.Contains(w, "/") || !strings.HasSuffix(w, "-") {
				continue
			}
			name = strings.TrimSuffix(w, "-")
		}
		if !slices.Contains(annotations, name) {
			return fmt.Errorf("the documents may not speak of the annotation %s", name)
		}
	}

	return nil
}

// jsonPaths checks that kinds have the fields of a JSONPath template; of one
// object, or of a list of them.
func jsonPaths(about []kind, template string, one bool) error {
	parsed, err := jsonpath.Parse("", template)
	if err != nil {
		return err
	}
	if len(about) != 1 {
		return errors.New("a JSONPath is for objects of one kind")
	}
	k := about[0]
	if !one {
		k = k.list()
	}

	return nodes(k, parsed.Root.Nodes)
}

// nodes of a template, each of which starts at the object.
func nodes(k kind, list []jsonpath.Node) error {
	var each []string // What range goes through.
	for _, n := range list {
		l, ok := n.(*jsonpath.ListNode)
		if !ok {
			continue
		}
		path, ranges := slices.Clone(each), false
		for _, step := range l.Nodes {
			switch s := step.(type) {
			case *jsonpath.IdentifierNode:
				ranges = s.Name == "range"
				if !ranges {
					path = nil // The end of it.
				}
				each = nil
			case *jsonpath.TextNode:
				// Between fields.
			case *jsonpath.FieldNode:
				if s.Value != "" {
					path = append(path, s.Value)
				}
			case *jsonpath.ArrayNode, *jsonpath.FilterNode, *jsonpath.WildcardNode:
				path = append(path, item)
			default:
				return fmt.Errorf("the documents have no need of %s in a JSONPath", step)
			}
		}
		if err := k.has(path); err != nil {
			return err
		}
		if ranges {
			each = path
		}
	}

	return nil
}

// patched checks that a patch has fields of the kind only.
func (k kind) patched(typ, patch string) error {
	if typ != "json" {
		if k.typ == nil {
			return fmt.Errorf("nothing is known of the fields of %s", k.kind)
		}

		return k.decode([]byte(patch))
	}

	var operations []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal([]byte(patch), &operations); err != nil {
		return err
	}
	for _, o := range operations {
		if !slices.Contains([]string{"add", "remove", "replace", "test"}, o.Op) {
			return fmt.Errorf("a patch has no operation %q", o.Op)
		}
		var path []string
		for step := range strings.SplitSeq(strings.TrimPrefix(o.Path, "/"), "/") {
			if regexp.MustCompile(`^(\d+|-)$`).MatchString(step) {
				step = item
			}
			path = append(path, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		}
		if err := k.has(path); err != nil {
			return err
		}
	}

	return nil
}

// item is the step of a path into a list.
const item = "[]"

// has a field at that path.
func (k kind) has(path []string) error {
	if k.typ == nil {
		return fmt.Errorf("nothing is known of the fields of %s", k.kind)
	}
	typ := k.typ
	for i, step := range path {
		next, ok := below(typ, step)
		if !ok {
			if slices.Contains(k.more, strings.Join(path[:i+1], ".")) {
				return nil // Crossplane's own.
			}

			return fmt.Errorf("a %s has no field %s", k.kind, strings.Join(path[:i+1], "."))
		}
		typ = next
	}

	return nil
}

// below a type, what JSON calls so.
func below(typ reflect.Type, step string) (reflect.Type, bool) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() { //nolint:exhaustive // Nothing is below the others.
	case reflect.Slice:
		return typ.Elem(), step == item
	case reflect.Map:
		return typ.Elem(), true
	case reflect.Interface:
		return typ, true
	case reflect.Struct:
		return member(typ, step)
	}

	return nil, false
}

func member(typ reflect.Type, step string) (reflect.Type, bool) {
	for field := range typ.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == step && name != "" {
			return field.Type, true
		}
		if name == "" && (strings.Contains(options, "inline") || field.Anonymous) {
			if found, ok := below(field.Type, step); ok {
				return found, true
			}
		}
	}

	return nil, false
}
