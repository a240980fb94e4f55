package xpkg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/mod/semver"
)

const (
	// ociFolder has all packages as an OCI image layout, which is what
	// registries' tools copy from.
	ociFolder = "oci"

	// digestsFile says what Write has built.
	digestsFile = "digests.txt"

	// refName is the annotation by which a layout tells its images apart.
	refName = ociLabels + "ref.name"
)

// Write packages into a folder: each image as a file, NAME-ARCHITECTURE.xpkg or
// NAME.xpkg, as the Crossplane CLI reads it; all of them as the OCI image layout
// oci, in which each has the reference NAME:VERSION; and their digests, in
// digests.txt. What an earlier Write left is replaced.
func Write(dir string, packages ...Package) error {
	oci := filepath.Join(dir, ociFolder)
	if err := os.RemoveAll(oci); err != nil {
		return err
	}
	if err := os.MkdirAll(oci, 0o755); err != nil { //nolint:gosec // What is built is for everybody.
		return err
	}
	images, err := layout.Write(oci, empty.Index)
	if err != nil {
		return fmt.Errorf("cannot make the folder's layout: %w", err)
	}
	var digests strings.Builder
	for _, p := range packages {
		if err := p.write(dir, images); err != nil {
			return fmt.Errorf("cannot write %s: %w", p.Name, err)
		}
		digest, err := p.Digest()
		if err != nil {
			return err
		}
		fmt.Fprintf(&digests, "%s  %s:%s\n", digest, p.Name, p.Version)
	}
	return os.WriteFile(filepath.Join(dir, digestsFile), []byte(digests.String()), 0o644) //nolint:gosec // For everybody.
}

func (p Package) write(dir string, images layout.Path) error {
	for _, arch := range slices.Sorted(maps.Keys(p.Images)) {
		file := strings.TrimSuffix(p.Name+"-"+arch, "-") + ".xpkg"
		if err := tarball.WriteToFile(filepath.Join(dir, file), nil, p.Images[arch]); err != nil {
			return err
		}
	}
	reference := layout.WithAnnotations(map[string]string{refName: p.Name + ":" + p.Version})
	if p.Index != nil {
		return images.AppendIndex(p.Index, reference)
	}
	return images.AppendImage(p.Images[""], reference)
}

// Push the packages that Write left in a folder to a registry and owner, such
// as ghcr.io/dittofs. It returns their references by digest. A registry on a
// loopback address is spoken to without TLS. A version that was released is
// never replaced by another content; a pre-release is.
func Push(ctx context.Context, dir, registry string) ([]string, error) {
	images, err := layout.FromPath(filepath.Join(dir, ociFolder))
	if err != nil {
		return nil, fmt.Errorf("nothing was built in %s: %w", dir, err)
	}
	all, err := images.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, err
	}
	// The function comes first in the layout: who sees a configuration can
	// have what it depends on.
	var pushed []string
	for _, d := range manifest.Manifests {
		tag, err := name.NewTag(strings.TrimSuffix(registry, "/")+"/"+d.Annotations[refName], name.StrictValidation)
		if err != nil {
			return pushed, err
		}
		if err := push(ctx, all, d, tag); err != nil {
			return pushed, fmt.Errorf("cannot push %s: %w", tag, err)
		}
		pushed = append(pushed, tag.Context().Digest(d.Digest.String()).Name())
	}
	return pushed, nil
}

func push(ctx context.Context, all v1.ImageIndex, d v1.Descriptor, tag name.Tag) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	present, err := published(tag, options...)
	if err != nil {
		return err
	}
	if present != nil && *present == d.Digest {
		return nil
	}
	if present != nil && semver.Prerelease(tag.TagStr()) == "" {
		return fmt.Errorf("this version was released as %s, which is not what was built (%s): give it another version", present, d.Digest)
	}

	if d.MediaType.IsIndex() {
		index, err := all.ImageIndex(d.Digest)
		if err != nil {
			return err
		}
		return remote.WriteIndex(tag, index, options...)
	}
	img, err := all.Image(d.Digest)
	if err != nil {
		return err
	}
	return remote.Write(tag, img, options...)
}

// published digest of a tag; nil if there is none. A registry may refuse to say
// so of a repository that does not exist: whether it may be written is then
// found out by writing.
func published(tag name.Tag, options ...remote.Option) (*v1.Hash, error) {
	d, err := remote.Head(tag, options...)
	if err == nil {
		return &d.Digest, nil
	}
	var answer *transport.Error
	if errors.As(err, &answer) && slices.Contains([]int{http.StatusNotFound, http.StatusForbidden}, answer.StatusCode) {
		return nil, nil //nolint:nilnil // There is none, and that is no error.
	}
	return nil, err
}
