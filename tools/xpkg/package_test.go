package xpkg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const configuration = `apiVersion: meta.pkg.crossplane.io/v1
kind: Configuration
metadata:
  name: configuration-f
  annotations:
    meta.crossplane.io/source: github.com/dittofs/f
    meta.crossplane.io/license: Apache-2.0
    meta.crossplane.io/description: |
      What it is,
      in two lines.
spec:
  dependsOn:
  - apiVersion: pkg.crossplane.io/v1
    kind: Function
    package: ghcr.io/dittofs/f
    version: ">=v0.1.0"
  - apiVersion: pkg.crossplane.io/v1
    kind: Function
    package: ghcr.io/somebody/else
    version: ">=v0.1.0"`

var (
	amd64 = Runtime{Binary: []byte("\x7fELF amd64"), Architecture: "amd64"} //nolint:gochecknoglobals // A constant in all but syntax.
	arm64 = Runtime{Binary: []byte("\x7fELF arm64"), Architecture: "arm64"} //nolint:gochecknoglobals // A constant in all but syntax.
)

// TestNewVersion holds which versions a package can have.
func TestNewVersion(t *testing.T) {
	cases := map[string]struct {
		reason  string
		version string
		err     string
	}{
		"Release":    {reason: "A release.", version: "v0.1.0"},
		"PreRelease": {reason: "What comes before a release, or follows one.", version: "v0.1.0-rc.1"},
		"NoV":        {reason: "Tags begin with a v.", version: "0.1.0", err: "is no version"},
		"Short":      {reason: "A tag that moves is none of a package's.", version: "v0.1", err: "is no version"},
		"Commit":     {reason: "Crossplane compares versions; a commit is none.", version: "1a2b3c4", err: "is no version"},
		"Build":      {reason: "A tag cannot have a plus.", version: "v0.1.0+linux", err: "is no version"},
		"None":       {reason: "It has to have one.", err: "is no version"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New(files(map[string]string{"crossplane.yaml": meta}), tc.version)
			if got := text(err); (tc.err == "") != (err == nil) || !strings.Contains(got, tc.err) {
				t.Errorf("%s\nNew: error %q, want %q", tc.reason, got, tc.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestNewDependency holds that a configuration wants the function that it was
// built with, or a newer one, and that nothing else of its manifests is changed.
func TestNewDependency(t *testing.T) {
	source := files(map[string]string{"crossplane.yaml": configuration})
	content, err := read(source, "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(configuration, ">=v0.1.0", ">=v0.2.0", 1)
	if d := cmp.Diff(decoded(t, want), decoded(t, string(content.stream))); d != "" {
		t.Errorf("package.yaml (-want +got):\n%s", d)
	}

	unpinned, err := Stream(source)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(configuration, string(unpinned)); d != "" {
		t.Errorf("without a version (-want +got):\n%s", d)
	}
}

// TestNewIndex holds that one reference serves every architecture, in the same
// order and with the same digest whatever the order that they were given in.
func TestNewIndex(t *testing.T) {
	source := files(map[string]string{"crossplane.yaml": meta})
	p, err := New(source, "v0.1.0", arm64, amd64)
	if err != nil {
		t.Fatal(err)
	}
	index, err := p.Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []v1.Platform
	for _, m := range index.Manifests {
		got = append(got, *m.Platform)
	}
	if d := cmp.Diff([]v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}, got); d != "" {
		t.Errorf("platforms (-want +got):\n%s", d)
	}
	again, err := New(source, "v0.1.0", amd64, arm64)
	if err != nil {
		t.Fatal(err)
	}
	if first, second := digest(t, p), digest(t, again); first != second {
		t.Errorf("the same files give %s and %s", first, second)
	}
	other, err := New(source, "v0.2.0", amd64, arm64)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, other) == digest(t, p) {
		t.Error("another version has the same digest: it does not tell its version")
	}
}

func digest(t *testing.T, p Package) v1.Hash {
	t.Helper()
	d, err := p.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNewLabels holds what a registry is told of a package: as labels, and as
// annotations of the image.
func TestNewLabels(t *testing.T) {
	p, err := New(files(map[string]string{"crossplane.yaml": configuration}), "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"org.opencontainers.image.title":       "configuration-f",
		"org.opencontainers.image.description": "What it is, in two lines.",
		"org.opencontainers.image.source":      "https://github.com/dittofs/f",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     "v0.2.0",
	}
	manifest, err := p.Images[""].Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, manifest.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	config, err := p.Images[""].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for key := range config.Config.Labels {
		if strings.HasPrefix(key, layerKey) {
			delete(config.Config.Labels, key)
		}
	}
	if d := cmp.Diff(want, config.Config.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
}
