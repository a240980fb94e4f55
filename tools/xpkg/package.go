package xpkg

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/mod/semver"
)

// A Package is what one reference in a registry leads to, whatever the
// architecture of who pulls it.
type Package struct {
	// Name of the repository.
	Name string

	// Version is the tag, such as v0.1.0.
	Version string

	// Images by architecture. One without a name is for all of them: nothing
	// in it runs.
	Images map[string]v1.Image

	// Index of the images; nil if there is one for all architectures.
	Index v1.ImageIndex
}

// New makes a package of a version from the YAML files of a folder and its
// subfolders, with an image for each runtime.
func New(files fs.FS, version string, runtimes ...Runtime) (Package, error) {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return Package{}, fmt.Errorf("%q is no version like v0.1.0 or v0.1.0-rc.1: Crossplane compares versions", version)
	}
	content, err := read(files, version)
	if err != nil {
		return Package{}, err
	}
	p := Package{Name: content.name, Version: version, Images: map[string]v1.Image{}}
	if len(runtimes) == 0 {
		p.Images[""], err = build(content, nil)
		return p, err
	}

	runtimes = slices.SortedFunc(slices.Values(runtimes), func(a, b Runtime) int { return cmp.Compare(a.Architecture, b.Architecture) })
	var addenda []mutate.IndexAddendum
	for _, r := range runtimes {
		img, err := build(content, &r)
		if err != nil {
			return Package{}, err
		}
		p.Images[r.Architecture] = img
		platform := &v1.Platform{OS: runtimeOS, Architecture: r.Architecture}
		addenda = append(addenda, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), addenda...)
	annotated, ok := mutate.Annotations(index, content.labels()).(v1.ImageIndex)
	if !ok {
		return Package{}, fmt.Errorf("cannot annotate the index: %T is none", annotated)
	}
	p.Index = annotated
	return p, nil
}

// Digest of the package: of its index, if there is one.
func (p Package) Digest() (v1.Hash, error) {
	if p.Index != nil {
		return p.Index.Digest()
	}
	return p.Images[""].Digest()
}
