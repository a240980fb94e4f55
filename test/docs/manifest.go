package docs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// Manifests checks YAML that a person is to apply, or to put into a manifest:
// whole objects, or a part of a DittoServer's, which begins with spec.
func (c *Checker) Manifests(text string) error {
	var found []error
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(found...)
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(document)) > 0 {
			found = append(found, c.manifest(document))
		}
	}
}

func (c *Checker) manifest(text []byte) error {
	obj := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &obj); err != nil {
		return err
	}
	apiVersion, _ := obj["apiVersion"].(string)
	name, _ := obj["kind"].(string)
	if apiVersion == "" && name == "" && len(obj) == 1 && obj["spec"] != nil {
		k, err := c.kinds.named(dittoServer)
		if err != nil {
			return err
		}

		return k.decode(text)
	}

	k, ok := c.kinds.of(schema.FromAPIVersionAndKind(apiVersion, name))
	if !ok {
		return fmt.Errorf("nothing is known of the kind %s %s", apiVersion, name)
	}
	switch {
	case k.group == v1alpha1.GroupVersion.Group:
		return c.server(obj)
	case k.typ == nil:
		return fmt.Errorf("nothing is known of the fields of %s", k.kind)
	}
	if err := k.decode(text); err != nil {
		return err
	}
	if k.kind == "Composition" {
		return input(text)
	}

	return nil
}

// server checks a DittoServer as an API server does that has the definition.
func (c *Checker) server(obj map[string]any) error {
	text, err := os.ReadFile(filepath.Join(c.root, "configuration", "namespaced", "xrd.yaml"))
	if err != nil {
		return err
	}
	xrd := &xpv1.CompositeResourceDefinition{}
	if err := yaml.Unmarshal(text, xrd); err != nil {
		return err
	}
	var crd *extv1.CustomResourceDefinition
	if crd, err = xcrd.ForCompositeResource(xrd); err != nil {
		return err
	}
	validator, err := crdtest.New(crd, v1alpha1.GroupVersion.Version)
	if err != nil {
		return err
	}

	return validator.Validate(obj)
}

// input of the function, in a Composition's steps that have one of its kind.
func input(text []byte) error {
	composition := &xpv1.Composition{}
	if err := yaml.Unmarshal(text, composition); err != nil {
		return err
	}
	for _, step := range composition.Spec.Pipeline {
		if step.Input == nil || !strings.Contains(string(step.Input.Raw), "dittoserver.fn.crossplane.io") {
			continue
		}
		if err := yaml.UnmarshalStrict(step.Input.Raw, &v1beta1.Input{}); err != nil {
			return fmt.Errorf("input of the step %s: %w", step.Step, err)
		}
	}

	return nil
}
