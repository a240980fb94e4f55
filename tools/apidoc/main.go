// Package main is a generator: it writes docs/api.md, the reference of every
// field that a person can set or read. What a field means, takes and defaults to
// comes from the generated schemas, whose rules have messages made for people;
// the order of the fields and the names of their types come from the Go types.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const intro = `<!-- Generated from apis/v1alpha1 and input/v1beta1 by tools/apidoc (go generate). Do not edit. -->

# API reference

Every field of a [DittoServer](#spec), of [what it reports](#status), and of the [function's Input](#input).

A field that is not set takes its default, or does what its description says of *Unset*.
Lines in italics say what is refused otherwise, by the API server or, for what no schema can check, by the function with the condition ` + "`ConfigReady=False InvalidSpec`" + `.
In a *list by* a key, no two items have the same key.

`

func main() {
	root := flag.String("root", "..", "folder of the function's module, which the paths below it are relative to")
	flag.Parse()

	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

// run reads the types and schemas under root and writes root's docs/api.md.
func run(root string) error {
	server, err := readTypes(filepath.Join(root, "apis", "v1alpha1"))
	if err != nil {
		return err
	}
	input, err := readTypes(filepath.Join(root, "input", "v1beta1"))
	if err != nil {
		return err
	}
	served, err := readSchema(filepath.Join(root, "configuration", "namespaced", "xrd.yaml"))
	if err != nil {
		return err
	}
	read, err := readSchema(filepath.Join(root, "package", "input", "dittoserver.fn.crossplane.io_inputs.yaml"))
	if err != nil {
		return err
	}
	for _, field := range []string{"apiVersion", "kind", "metadata"} {
		delete(read.Properties, field)
	}

	d := newDocument(intro)
	d.chapter(server, "DittoServerSpec", "spec", served.Properties["spec"],
		"What a person asks for: `apiVersion: dittofs.io/v1alpha1`, `kind: DittoServer`. Its names are those of the DittoFS operator's DittoServer, so that a manifest moves over by changing its `apiVersion`.")
	d.chapter(server, "DittoServerStatus", "status", served.Properties["status"],
		"What a person is told. Crossplane adds `status.conditions`, which say what goes on and what to do.")
	d.chapter(input, "Input", "input", read,
		"What a platform team decides once for all servers, in the Composition's step for this function: `apiVersion: dittoserver.fn.crossplane.io/v1beta1`, `kind: Input`. Every field is optional; an unknown field is refused.")

	path := filepath.Join(root, "docs", "api.md")
	if err := os.WriteFile(path, []byte(d.text()), 0o644); err != nil { //nolint:gosec // A source file, readable by all.
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// readSchema returns the schema of the one version in a definition, a
// composite resource's or a custom resource's: they have it in the same place.
func readSchema(path string) (extv1.JSONSchemaProps, error) {
	text, err := os.ReadFile(path) //nolint:gosec // A file of this repository.
	if err != nil {
		return extv1.JSONSchemaProps{}, err
	}
	def := struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema extv1.JSONSchemaProps `json:"openAPIV3Schema"` //nolint:tagliatelle // Kubernetes' name.
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}{}
	if err := yaml.Unmarshal(text, &def); err != nil {
		return extv1.JSONSchemaProps{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(def.Spec.Versions) != 1 {
		return extv1.JSONSchemaProps{}, fmt.Errorf("want one version in %s, found %d", path, len(def.Spec.Versions))
	}
	return def.Spec.Versions[0].Schema.OpenAPIV3Schema, nil
}
