// Command xpkg builds a Crossplane package file from a folder of manifests:
//
//	go run ./cmd/xpkg -root ../../configuration/namespaced -o configuration.xpkg
//
// With -binary the package carries the function's program and is the image that
// Crossplane runs. It prints the digest, which depends on the input alone.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dittofs/function-dittoserver/tools/xpkg"
)

func main() {
	root := flag.String("root", "", "`folder` of the package's manifests")
	binary := flag.String("binary", "", "the function's static `binary`, to carry along")
	arch := flag.String("arch", runtime.GOARCH, "`architecture` that the binary runs on")
	out := flag.String("o", "", "`file` to write")
	flag.Parse()
	if err := build(*root, *binary, *arch, *out); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "xpkg:", err)
		os.Exit(1)
	}
}

func build(root, binary, arch, out string) error {
	if root == "" || out == "" {
		return errors.New("-root and -o are required")
	}
	var program *xpkg.Runtime
	if binary != "" {
		content, err := os.ReadFile(binary) //nolint:gosec // Named by the person who runs this.
		if err != nil {
			return err
		}
		program = &xpkg.Runtime{Binary: content, Architecture: arch}
	}
	img, err := xpkg.Build(os.DirFS(root), program)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(out, nil, img); err != nil {
		return fmt.Errorf("cannot write %s: %w", out, err)
	}
	_, err = fmt.Fprintln(os.Stdout, digest)
	return err
}
