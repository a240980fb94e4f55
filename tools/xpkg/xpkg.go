// Package xpkg builds Crossplane packages: OCI images with a layer that holds
// package.yaml. It needs neither Docker nor the Crossplane CLI, and the same
// files always give the same digest.
package xpkg

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"
)

const (
	// Crossplane finds a package's layer by this annotation, or, in an image
	// that was loaded from a file, which has no annotations, by this label and
	// the layer's digest.
	layerKey  = "io.crossplane.xpkg"
	baseLayer = "base"

	// packageFile is the stream of manifests in the package's layer.
	packageFile = "package.yaml"

	// metaGroup is the API group of the one manifest that says what the
	// package is. It comes first.
	metaGroup = "meta.pkg.crossplane.io/"

	// runtimeFile is where a function's image has its binary; the Dockerfile
	// does the same.
	runtimeFile = "function"
	runtimeUser = "65532:65532"
	runtimePort = "9443/tcp"

	fileMode = 0o644
	execMode = 0o755
)

// A Runtime is the program that a function package carries.
type Runtime struct {
	// Binary is static and runs on linux.
	Binary []byte

	// Architecture that it runs on, as Go calls it.
	Architecture string
}

// Build a package from the YAML files of a folder and its subfolders. With a
// runtime the package is also the image that Crossplane runs.
func Build(files fs.FS, runtime *Runtime) (v1.Image, error) {
	stream, err := Stream(files)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if runtime != nil {
		if img, err = withRuntime(img, *runtime); err != nil {
			return nil, err
		}
	}
	layer, err := newLayer(packageFile, stream, fileMode)
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
	return configure(img, func(c *v1.ConfigFile) {
		c.Config.Labels = map[string]string{layerKey + ":" + digest.String(): baseLayer}
	})
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
		c.OS, c.Architecture = "linux", runtime.Architecture
		c.Config.Entrypoint = []string{"/" + runtimeFile}
		c.Config.User = runtimeUser
		c.Config.ExposedPorts = map[string]struct{}{runtimePort: {}}
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

// newLayer of one file. No time is written, so that it is the same every time.
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

// Stream returns package.yaml: the manifest that says what the package is, and
// the others in the order of their paths.
func Stream(files fs.FS) ([]byte, error) {
	var meta []byte
	var others [][]byte
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)) {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for _, doc := range documents(content) {
			group, err := apiVersion(doc)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", name, err)
			case group == "":
			case !strings.HasPrefix(group, metaGroup):
				others = append(others, doc)
			case meta != nil:
				return fmt.Errorf("%s: a package has one manifest of %s*, this is another", name, metaGroup)
			default:
				meta = doc
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the package's files: %w", err)
	}
	if meta == nil {
		return nil, fmt.Errorf("no manifest says what the package is: there must be one of %s*", metaGroup)
	}
	return bytes.Join(slices.Insert(others, 0, meta), []byte("\n---\n")), nil
}

// documents of a YAML stream.
func documents(stream []byte) [][]byte {
	var docs [][]byte
	for doc := range bytes.SplitSeq(slices.Concat([]byte("\n"), stream, []byte("\n")), []byte("\n---\n")) {
		docs = append(docs, bytes.TrimSpace(doc))
	}
	return docs
}

// apiVersion of a manifest; empty if there is none in the document, but
// comments.
func apiVersion(doc []byte) (string, error) {
	var manifest *struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(doc, &manifest); err != nil {
		return "", err
	}
	if manifest == nil {
		return "", nil
	}
	if manifest.APIVersion == "" || manifest.Kind == "" {
		return "", errors.New("a manifest without apiVersion and kind")
	}
	return manifest.APIVersion, nil
}
