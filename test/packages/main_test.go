// Package packages holds the packages that make build builds to what Crossplane
// and people expect of them.
package packages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/dittofs/function-dittoserver/test/render/toolchain"
)

const (
	root = "../.."

	// version that the packages are built with: one that no file names.
	version = "v9.8.7"

	// refName tells the packages of a layout apart.
	refName = "org.opencontainers.image.ref.name"
)

// built is the folder of the packages, crank the Crossplane CLI.
var built, crank string //nolint:gochecknoglobals // What all tests look at.

func TestMain(m *testing.M) {
	code, err := prepare(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepare(ctx context.Context, m *testing.M) (code int, err error) {
	if built, err = os.MkdirTemp("", "packages-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(built)

	if crank, err = toolchain.Crank(root).Build(ctx, toolchain.NewProgress(os.Stderr, false)); err != nil {
		return 0, err
	}
	if err := build(ctx, root, built); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// build the packages of a checkout, as a person does.
func build(ctx context.Context, checkout, to string) error {
	cmd := exec.CommandContext(ctx, "make", "build", "VERSION="+version, "PACKAGES="+to)
	cmd.Dir = checkout
	// This may be run by make itself.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make build: %w\n%s", err, out)
	}
	return nil
}

// images of a built package by architecture; one for all is under "".
func images(t *testing.T, repository string) map[string]v1.Image {
	t.Helper()
	folder, err := layout.FromPath(filepath.Join(built, "oci"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := folder.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		if d.Annotations[refName] == repository+":"+version {
			return imagesOf(t, all, d)
		}
	}
	t.Fatalf("%s was not built", repository)
	return nil
}

func imagesOf(t *testing.T, all v1.ImageIndex, d v1.Descriptor) map[string]v1.Image {
	t.Helper()
	if d.MediaType.IsImage() {
		img, err := all.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]v1.Image{"": img}
	}
	index, err := all.ImageIndex(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		out[m.Platform.Architecture] = img
	}
	return out
}
