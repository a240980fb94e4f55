// Package main is a generator: it reads the Go type of the DittoServer with
// controller-gen's own schema generator and writes the two composite resource
// definitions that Crossplane can serve it from, one for namespaced composite
// resources and one for claims.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/yaml"
)

const header = "# Generated from apis/v1alpha1 by tools/xrdgen (go generate). Do not edit.\n"

func main() {
	root := flag.String("root", "..", "folder of the function's module, which the paths below it are relative to")
	flag.Parse()

	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "xrdgen:", err)
		os.Exit(1)
	}
}

// run reads apis/v1alpha1 under root and writes the two definitions under
// root's configuration folder.
func run(root string) error {
	c, err := readCRD(root, "./apis/v1alpha1")
	if err != nil {
		return fmt.Errorf("cannot read the API types: %w", err)
	}

	for path, build := range map[string]func(extv1.CustomResourceDefinition) (xrd, error){
		"configuration/namespaced/xrd.yaml": namespaced,
		"configuration/claim/xrd.yaml":      claim,
	} {
		def, err := build(c)
		if err != nil {
			return fmt.Errorf("cannot build %s: %w", path, err)
		}
		out, err := yaml.Marshal(def)
		if err != nil {
			return fmt.Errorf("cannot write %s as YAML: %w", path, err)
		}
		if err := os.WriteFile(filepath.Join(root, path), append([]byte(header), out...), 0o644); err != nil { //nolint:gosec // A source file, readable by all.
			return fmt.Errorf("cannot write %s: %w", path, err)
		}
	}
	return nil
}

// readCRD returns the one CustomResourceDefinition that controller-gen makes
// of the package pkg in the module at root.
func readCRD(root, pkg string) (extv1.CustomResourceDefinition, error) {
	var generator genall.Generator = crd.Generator{}
	rt, err := genall.Generators{&generator}.ForRootsWithConfig(&packages.Config{Dir: root}, pkg)
	if err != nil {
		return extv1.CustomResourceDefinition{}, err
	}

	out := memory{files: map[string]*bytes.Buffer{}}
	rt.OutputRules = genall.OutputRules{Default: out}
	if failed := rt.Run(); failed {
		return extv1.CustomResourceDefinition{}, errors.New("controller-gen failed, see above")
	}
	if len(out.files) != 1 {
		return extv1.CustomResourceDefinition{}, fmt.Errorf("want one root type in %s, found %d", pkg, len(out.files))
	}

	c := extv1.CustomResourceDefinition{}
	for name, file := range out.files {
		if err := yaml.UnmarshalStrict(file.Bytes(), &c); err != nil {
			return extv1.CustomResourceDefinition{}, fmt.Errorf("cannot read %s: %w", name, err)
		}
	}
	return c, nil
}

// memory is an output rule of controller-gen that keeps what is written.
type memory struct {
	files map[string]*bytes.Buffer
}

// Open returns a writer into the file at path.
func (m memory) Open(_ *loader.Package, path string) (io.WriteCloser, error) {
	m.files[path] = &bytes.Buffer{}
	return nopCloser{m.files[path]}, nil
}

type nopCloser struct{ io.Writer }

// Close has nothing to close.
func (nopCloser) Close() error { return nil }
