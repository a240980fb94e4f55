// Package xpkg builds Crossplane packages: OCI images with a layer that holds
// package.yaml. It needs neither Docker nor the Crossplane CLI, and the same
// files always give the same digest.
package xpkg

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// Crossplane finds a package's layer by this annotation, or, in an image
	// that was loaded from a file, which has no annotations, by this label and
	// the layer's digest.
	layerKey  = "io.crossplane.xpkg"
	baseLayer = "base"

	// packageFile is the stream of manifests in the package's layer.
	packageFile = "package.yaml"

	// runtimeFile is where a function's image has its binary; the Dockerfile
	// does the same.
	runtimeFile = "function"
	runtimeUser = "65532:65532"
	runtimeOS   = "linux"

	fileMode = 0o644
	execMode = 0o755
)

// runtimePorts are of function calls (mTLS), metrics and health.
var runtimePorts = []string{"9443/tcp", "8080/tcp", "8081/tcp"} //nolint:gochecknoglobals // A constant in all but syntax.

// A Runtime is the program that a function package carries.
type Runtime struct {
	// Binary is static and runs on linux.
	Binary []byte

	// Architecture that it runs on, as Go calls it.
	Architecture string
}

// Build a package from the YAML files of a folder and its subfolders. With a
// runtime the package is also the image that Crossplane runs. The package has
// no version: see New.
func Build(files fs.FS, runtime *Runtime) (v1.Image, error) {
	content, err := read(files, "")
	if err != nil {
		return nil, err
	}
	return build(content, runtime)
}

func build(content contents, runtime *Runtime) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if runtime != nil {
		var err error
		if img, err = withRuntime(img, *runtime); err != nil {
			return nil, err
		}
	}
	layer, err := newLayer(packageFile, content.stream, fileMode)
	if err != nil {
		return nil, err
	}
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, Annotations: map[string]string{layerKey: baseLayer}})
	if err != nil {
		return nil, fmt.Errorf("cannot append the package's layer: %w", err)
	}
	img, err = configure(img, func(c *v1.ConfigFile) {
		c.Config.Labels = content.labels()
		c.Config.Labels[layerKey+":"+digest.String()] = baseLayer
	})
	if err != nil {
		return nil, err
	}
	// A registry shows people the annotations, a container engine the labels.
	annotated, ok := mutate.Annotations(img, content.labels()).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("cannot annotate the image: %T is none", annotated)
	}
	return annotated, nil
}

// withRuntime makes the image one that runs.
func withRuntime(img v1.Image, runtime Runtime) (v1.Image, error) {
	layer, err := newLayer(runtimeFile, runtime.Binary, execMode)
	if err != nil {
		return nil, err
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, fmt.Errorf("cannot append the runtime's layer: %w", err)
	}
	return configure(img, func(c *v1.ConfigFile) {
		c.OS, c.Architecture = runtimeOS, runtime.Architecture
		c.Config.Entrypoint = []string{"/" + runtimeFile}
		c.Config.User = runtimeUser
		c.Config.ExposedPorts = map[string]struct{}{}
		for _, port := range runtimePorts {
			c.Config.ExposedPorts[port] = struct{}{}
		}
	})
}

func configure(img v1.Image, change func(*v1.ConfigFile)) (v1.Image, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	change(config)
	return mutate.ConfigFile(img, config)
}

// newLayer of one file, which belongs to root. No time is written, so that it is
// the same every time.
func newLayer(name string, content []byte, mode int64) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}
