package xpkg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	// metaGroup is the API group of the one manifest that says what the
	// package is. It comes first.
	metaGroup = "meta.pkg.crossplane.io/"

	// owner of the repositories that packages built together are published in.
	owner = "ghcr.io/dittofs/"

	sourceAnnotation      = "meta.crossplane.io/source"
	licenseAnnotation     = "meta.crossplane.io/license"
	descriptionAnnotation = "meta.crossplane.io/description"

	// ociLabels are what registries and engines read of an image:
	// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
	ociLabels = "org.opencontainers.image."
)

// contents of a package.
type contents struct {
	// stream of all manifests; the one that says what the package is comes
	// first.
	stream []byte

	name        string
	annotations map[string]string
	version     string
}

// Stream returns package.yaml: the manifest that says what the package is, and
// the others in the order of their paths.
func Stream(files fs.FS) ([]byte, error) {
	content, err := read(files, "")
	return content.stream, err
}

// read the manifests of a package. With a version, what it depends on of the
// same owner has to have that version at least.
func read(files fs.FS, version string) (contents, error) {
	meta, others, err := manifests(files)
	if err != nil {
		return contents{}, err
	}
	if version != "" {
		if meta, err = require(meta, version); err != nil {
			return contents{}, err
		}
	}
	var about struct {
		Metadata struct {
			Name        string            `json:"name"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(meta, &about); err != nil {
		return contents{}, err
	}
	return contents{
		stream:      bytes.Join(slices.Insert(others, 0, meta), []byte("\n---\n")),
		name:        about.Metadata.Name,
		annotations: about.Metadata.Annotations,
		version:     version,
	}, nil
}

// manifests of a folder: the one that says what the package is, and the others
// in the order of their paths.
func manifests(files fs.FS) (meta []byte, others [][]byte, err error) {
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
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
		return nil, nil, fmt.Errorf("cannot read the package's files: %w", err)
	}
	if meta == nil {
		return nil, nil, fmt.Errorf("no manifest says what the package is: there must be one of %s*", metaGroup)
	}
	return meta, others, nil
}

// require a version, or a newer one, of what a package depends on of the same
// owner: a Composition's Input may have a field that an older function refuses.
func require(meta []byte, version string) ([]byte, error) {
	var manifest map[string]any
	if err := yaml.Unmarshal(meta, &manifest); err != nil {
		return nil, err
	}
	spec, _ := manifest["spec"].(map[string]any)
	dependencies, _ := spec["dependsOn"].([]any)
	found := false
	for _, d := range dependencies {
		dependency, _ := d.(map[string]any)
		if repository, _ := dependency["package"].(string); strings.HasPrefix(repository, owner) {
			dependency["version"], found = ">="+version, true
		}
	}
	if !found {
		return meta, nil
	}
	changed, err := yaml.Marshal(manifest)
	return bytes.TrimSpace(changed), err
}

// labels that an image of the package has, beside Crossplane's own.
func (c contents) labels() map[string]string {
	labels := map[string]string{ociLabels + "title": c.name}
	if c.version != "" {
		labels[ociLabels+"version"] = c.version
	}
	if s := c.annotations[sourceAnnotation]; s != "" {
		labels[ociLabels+"source"] = "https://" + s
	}
	if s := c.annotations[licenseAnnotation]; s != "" {
		labels[ociLabels+"licenses"] = s
	}
	if s := c.annotations[descriptionAnnotation]; s != "" {
		labels[ociLabels+"description"] = strings.Join(strings.Fields(s), " ")
	}
	return labels
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
