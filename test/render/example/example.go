// Package example reads the examples in example/ and renders their stages, one
// after the other, as they would follow each other in a cluster.
package example

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/render/engine"
)

// The files of an example's folder, and of a stage's.
const (
	FileXR          = "xr.yaml"
	FileComposition = "composition.yaml"
	FileFunctions   = "functions.yaml"
	FileXRD         = "xrd.yaml"

	// FileStatus holds what the cluster added since the stage before. Written
	// by hand.
	FileStatus = "status.yaml"
	// FileRequired holds the objects that the function may ask for. Written by
	// hand.
	FileRequired = "required.yaml"
	// FileObserved holds the composed objects that exist. Generated.
	FileObserved = "observed.yaml"
	// FileExpected holds what the stage renders. Generated.
	FileExpected = "expected.yaml"

	dirStages = "stages"
)

// An Example is a DittoServer with all that it takes to render it.
type Example struct {
	Name, Dir string

	CompositeResource unstructured.Unstructured
	Composition       unstructured.Unstructured
	Definition        unstructured.Unstructured

	// Functions are the names of the Functions in functions.yaml.
	Functions []string

	Stages []Stage
}

// A Stage in the life of an example.
type Stage struct {
	// Name of the stage's folder, like 2-database-ready.
	Name, Dir string

	// Status is what the cluster added to the composed objects since the stage
	// before: partial objects, found by kind and name.
	Status []unstructured.Unstructured

	// Required are the objects that exist and that the function may ask for.
	Required []unstructured.Unstructured
}

// Title of the stage, like "database ready".
func (s Stage) Title() string {
	_, title, _ := strings.Cut(s.Name, "-")
	return strings.ReplaceAll(title, "-", " ")
}

// Names of the examples in the folder, sorted.
func Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list the examples: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Load an example from its folder.
func Load(dir string) (*Example, error) {
	e := &Example{Name: filepath.Base(dir), Dir: dir}
	var err error
	if e.CompositeResource, err = readObject(filepath.Join(dir, FileXR)); err != nil {
		return nil, err
	}
	if e.Composition, err = readObject(filepath.Join(dir, FileComposition)); err != nil {
		return nil, err
	}
	if e.Definition, err = readObject(filepath.Join(dir, FileXRD)); err != nil {
		return nil, err
	}
	functions, err := ReadObjects(filepath.Join(dir, FileFunctions))
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		e.Functions = append(e.Functions, f.GetName())
	}

	stages, err := os.ReadDir(filepath.Join(dir, dirStages))
	if err != nil {
		return nil, fmt.Errorf("cannot list the stages: %w", err)
	}
	for _, entry := range stages {
		s := Stage{Name: entry.Name(), Dir: filepath.Join(dir, dirStages, entry.Name())}
		if s.Status, err = readIfThere(filepath.Join(s.Dir, FileStatus)); err != nil {
			return nil, err
		}
		if s.Required, err = readIfThere(filepath.Join(s.Dir, FileRequired)); err != nil {
			return nil, err
		}
		e.Stages = append(e.Stages, s)
	}
	return e, nil
}

// A Renderer renders one reconcile.
type Renderer interface {
	Render(ctx context.Context, in engine.Input) (engine.Output, error)
}

// A Step is a stage with what went into it and what came out.
type Step struct {
	Stage  Stage
	Input  engine.Input
	Output engine.Output
}

// Render all stages with a function that listens at address. What a stage
// gives exists in the next one, with the status that the cluster adds.
//
// A function generates some Secrets in the first stage. With freeze their
// values are replaced by ones that are always the same, so that all that
// follows can be repeated to the byte.
func (e *Example) Render(ctx context.Context, r Renderer, address string, freeze bool) ([]Step, error) {
	in := engine.Input{
		CompositeResource: e.CompositeResource,
		Composition:       e.Composition,
		Definition:        e.Definition,
		Functions:         map[string]string{},
	}
	for _, name := range e.Functions {
		in.Functions[name] = address
	}

	var exists []unstructured.Unstructured
	steps := make([]Step, 0, len(e.Stages))
	for i, stage := range e.Stages {
		var err error
		if in.Observed, err = patchAll(exists, stage.Status); err != nil {
			return nil, fmt.Errorf("cannot prepare stage %s: %w", stage.Name, err)
		}
		in.Required = stage.Required
		out, err := render(ctx, r, in)
		if err != nil {
			return nil, fmt.Errorf("cannot render stage %s: %w", stage.Name, err)
		}
		if freeze && i == 0 {
			if out.Composed, err = frozen(ctx, r, in, out.Composed); err != nil {
				return nil, fmt.Errorf("cannot freeze stage %s: %w", stage.Name, err)
			}
		}
		steps = append(steps, Step{Stage: stage, Input: in, Output: out})

		exists = withStatus(out.Composed, in.Observed)
		in.CompositeResource = out.CompositeResource
	}
	return steps, nil
}

// frozen objects of the first stage: with generated values that are always the
// same, and the hash that the function computes when it finds those.
func frozen(ctx context.Context, r Renderer, in engine.Input, composed []unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	out := Freeze(composed)
	in.Observed = slices.DeleteFunc(slices.Clone(out), func(o unstructured.Unstructured) bool {
		return len(generatedKeys(engine.ResourceName(o))) == 0
	})
	again, err := render(ctx, r, in)
	if err != nil {
		return nil, err
	}
	for _, o := range again.Composed {
		hash, found := configHash(o)
		i := slices.IndexFunc(out, func(f unstructured.Unstructured) bool { return same(f, o) })
		if found && i >= 0 {
			setConfigHash(out[i], hash)
		}
	}
	return out, nil
}

func render(ctx context.Context, r Renderer, in engine.Input) (engine.Output, error) {
	out, err := r.Render(ctx, in)
	if err != nil {
		return engine.Output{}, err
	}
	if out.Fatal != "" {
		return engine.Output{}, errors.New(out.Fatal)
	}
	out.CompositeResource = applied(in.CompositeResource, out)
	return out, nil
}

// applied is the composite resource as the API server would have it after a
// reconcile. The engine returns what Crossplane applies to it: references in
// the spec, and the status. The uid is the one that the engine made up.
func applied(xr unstructured.Unstructured, out engine.Output) unstructured.Unstructured {
	xr = *xr.DeepCopy()
	for _, o := range out.Composed {
		if owner := metav1.GetControllerOf(&o); owner != nil {
			xr.SetUID(owner.UID)
		}
	}
	change := out.CompositeResource.DeepCopy().Object
	delete(change, "metadata")
	delete(xr.Object, "status")
	merge(xr.Object, change)

	conditions, _, _ := unstructured.NestedSlice(xr.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok {
			c["lastTransitionTime"] = "2024-01-01T00:00:00Z" // As the Crossplane CLI prints it.
		}
	}
	if len(conditions) > 0 {
		_ = unstructured.SetNestedSlice(xr.Object, conditions, "status", "conditions")
	}
	return xr
}

// withStatus returns the applied objects with the status that each one had.
func withStatus(applied, before []unstructured.Unstructured) []unstructured.Unstructured {
	out := make([]unstructured.Unstructured, 0, len(applied))
	for _, o := range applied {
		o = *o.DeepCopy()
		i := slices.IndexFunc(before, func(b unstructured.Unstructured) bool { return same(o, b) })
		if i >= 0 && before[i].Object["status"] != nil {
			o.Object["status"] = before[i].DeepCopy().Object["status"]
		}
		out = append(out, o)
	}
	return out
}

// patchAll returns the objects with the patches of the same kind and name
// merged in.
func patchAll(objects, patches []unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	out := make([]unstructured.Unstructured, 0, len(objects))
	for _, o := range objects {
		out = append(out, *o.DeepCopy())
	}
	for _, p := range patches {
		i := slices.IndexFunc(out, func(o unstructured.Unstructured) bool { return same(o, p) })
		if i < 0 {
			return nil, fmt.Errorf("%s has %s %s, which does not exist yet", FileStatus, p.GetKind(), p.GetName())
		}
		merge(out[i].Object, p.DeepCopy().Object)
	}
	return out, nil
}

// merge a JSON merge patch (RFC 7386) into an object.
func merge(into, patch map[string]any) {
	for k, v := range patch {
		if v == nil {
			delete(into, k)
			continue
		}
		vm, isMap := v.(map[string]any)
		im, wasMap := into[k].(map[string]any)
		if isMap && wasMap {
			merge(im, vm)
			continue
		}
		into[k] = v
	}
}

// same tells whether two objects of one namespace are the same one.
func same(a, b unstructured.Unstructured) bool {
	return a.GroupVersionKind() == b.GroupVersionKind() && a.GetName() == b.GetName()
}

func readObject(path string) (unstructured.Unstructured, error) {
	objects, err := ReadObjects(path)
	if err != nil {
		return unstructured.Unstructured{}, err
	}
	if len(objects) != 1 {
		return unstructured.Unstructured{}, fmt.Errorf("%s must hold one object, it holds %d", path, len(objects))
	}
	return objects[0], nil
}

func readIfThere(path string) ([]unstructured.Unstructured, error) {
	objects, err := ReadObjects(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return objects, err
}

// ReadObjects of a YAML stream. Numbers are float64, as they are when they
// come out of the engine.
func ReadObjects(path string) ([]unstructured.Unstructured, error) {
	b, err := os.ReadFile(path) //nolint:gosec // A file of an example.
	if err != nil {
		return nil, err
	}
	var out []unstructured.Unstructured
	for doc := range bytes.SplitSeq(append([]byte("\n"), b...), []byte("\n---\n")) {
		o := map[string]any{}
		if err := yaml.Unmarshal(doc, &o); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		if len(o) > 0 {
			out = append(out, unstructured.Unstructured{Object: o})
		}
	}
	return out, nil
}

// Marshal objects to a YAML stream.
func Marshal(objects ...unstructured.Unstructured) (string, error) {
	var out strings.Builder
	for _, o := range objects {
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			return "", fmt.Errorf("cannot marshal %s %q: %w", o.GetKind(), o.GetName(), err)
		}
		_, _ = out.WriteString("---\n")
		_, _ = out.Write(b)
	}
	return out.String(), nil
}
