package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/tools/xpkg"
)

// A manifest that says what a package is.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec spec `json:"spec"`
}

type spec struct {
	Crossplane   map[string]string   `json:"crossplane,omitempty"`
	Capabilities []string            `json:"capabilities,omitempty"`
	DependsOn    []map[string]string `json:"dependsOn,omitempty"`
}

// TestPackages reads the built packages as Crossplane does.
func TestPackages(t *testing.T) {
	crossplane := map[string]string{"version": ">=v2.0.0-0"}
	depends := []map[string]string{{"apiVersion": "pkg.crossplane.io/v1", "kind": "Function", "package": "ghcr.io/dittofs/function-dittoserver", "version": ">=" + version}}

	cases := map[string]struct {
		reason string
		kind   string
		spec   spec
		kinds  []string
		arches []string
	}{
		"function-dittoserver": {
			reason: "The function, for both architectures, with the definition of its Input.",
			kind:   "Function",
			spec:   spec{Crossplane: crossplane, Capabilities: []string{"composition"}},
			kinds:  []string{"CustomResourceDefinition"},
			arches: []string{"amd64", "arm64"},
		},
		"configuration-dittoserver": {
			reason: "The namespaced flavour, which wants the function that it was built with.",
			kind:   "Configuration",
			spec:   spec{Crossplane: crossplane, DependsOn: depends},
			kinds:  []string{"Composition", "CompositeResourceDefinition"},
			arches: []string{""},
		},
		"configuration-dittoserver-claim": {
			reason: "The flavour with claims.",
			kind:   "Configuration",
			spec:   spec{Crossplane: crossplane, DependsOn: depends},
			kinds:  []string{"Composition", "CompositeResourceDefinition"},
			arches: []string{""},
		},
	}
	for repository, tc := range cases {
		t.Run(repository, func(t *testing.T) {
			all := images(t, repository)
			if d := cmp.Diff(tc.arches, slices.Sorted(maps.Keys(all))); d != "" {
				t.Errorf("%s\narchitectures (-want +got):\n%s", tc.reason, d)
			}
			var streams []string
			for _, arch := range slices.Sorted(maps.Keys(all)) {
				streams = append(streams, baseLayer(t, all[arch]))
			}
			if len(slices.Compact(slices.Clone(streams))) != 1 {
				t.Errorf("%s\nthe architectures have different manifests", tc.reason)
			}

			about, kinds := parse(t, streams[0])
			if about.APIVersion != "meta.pkg.crossplane.io/v1" || about.Kind != tc.kind || about.Metadata.Name != repository {
				t.Errorf("%s\ngot %s %s %s", tc.reason, about.APIVersion, about.Kind, about.Metadata.Name)
			}
			if d := cmp.Diff(tc.spec, about.Spec); d != "" {
				t.Errorf("%s\nspec (-want +got):\n%s", tc.reason, d)
			}
			if d := cmp.Diff(tc.kinds, kinds); d != "" {
				t.Errorf("%s\nother manifests (-want +got):\n%s", tc.reason, d)
			}
			for _, key := range []string{"maintainer", "source", "license", "description", "readme"} {
				if strings.TrimSpace(about.Metadata.Annotations["meta.crossplane.io/"+key]) == "" {
					t.Errorf("%s\nno annotation meta.crossplane.io/%s", tc.reason, key)
				}
			}
		})
	}
}

// baseLayer is package.yaml of an image: in the one layer that Crossplane's
// annotation and label mark, and alone there.
func baseLayer(t *testing.T, img v1.Image) string {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range m.Layers {
		if d.Annotations["io.crossplane.xpkg"] != "base" {
			continue
		}
		if config.Config.Labels["io.crossplane.xpkg:"+d.Digest.String()] != "base" {
			t.Errorf("the layer %s has Crossplane's annotation and no label", d.Digest)
		}
		layer, err := img.LayerByDigest(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range filesOf(t, layer) {
			if name != "package.yaml" {
				t.Errorf("the package's layer has a file %s", name)
			}
			found = append(found, string(file.content))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d files in layers with Crossplane's annotation, want package.yaml", len(found))
	}
	return found[0]
}

type file struct {
	header  tar.Header
	content []byte
}

func filesOf(t *testing.T, layer v1.Layer) map[string]file {
	t.Helper()
	r, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]file{}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		out[header.Name] = file{header: *header, content: content}
	}
}

// parse package.yaml: what says what the package is, and the other manifests'
// kinds.
func parse(t *testing.T, stream string) (about manifest, kinds []string) {
	t.Helper()
	for i, doc := range strings.Split(stream, "\n---\n") {
		var m manifest
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			about = m
			continue
		}
		kinds = append(kinds, m.Kind)
	}
	return about, kinds
}

// TestLint holds the packages to Crossplane's own linter: the CLI builds none
// that has errors.
func TestLint(t *testing.T) {
	for _, repository := range []string{"function-dittoserver", "configuration-dittoserver", "configuration-dittoserver-claim"} {
		t.Run(repository, func(t *testing.T) {
			all := images(t, repository)
			stream := baseLayer(t, all[slices.Sorted(maps.Keys(all))[0]])
			if out, err := lint(t, stream); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestLintRefuses holds that the linter finds what no package may have.
func TestLintRefuses(t *testing.T) {
	all := images(t, "configuration-dittoserver")
	stream := baseLayer(t, all[""]) + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: none"
	if out, err := lint(t, stream); err == nil {
		t.Errorf("a configuration with a ConfigMap is built: %s", out)
	}
}

func lint(t *testing.T, stream string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "crossplane.yaml"), []byte(stream), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), crank, "xpkg", "build", "--package-root="+dir, "--package-file="+filepath.Join(t.TempDir(), "built.xpkg")).CombinedOutput()
}

// TestExtract holds that Crossplane's own code finds the same package.yaml in
// the files, in a registry, and in the Dockerfile's image, whose layers have no
// annotation.
func TestExtract(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://") + "/dittofs"
	if _, err := xpkg.Push(t.Context(), built, host); err != nil {
		t.Fatal(err)
	}
	program := images(t, "function-dittoserver")["amd64"]
	function := baseLayer(t, program)
	pushPlain(t, program, host+"/docker:"+version)

	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"AMD64":    {reason: "The file for one architecture.", args: []string{"--from-xpkg", filepath.Join(built, "function-dittoserver-amd64.xpkg")}, want: function},
		"ARM64":    {reason: "And for the other.", args: []string{"--from-xpkg", filepath.Join(built, "function-dittoserver-arm64.xpkg")}, want: function},
		"Registry": {reason: "The reference that serves both.", args: []string{host + "/function-dittoserver:" + version}, want: function},
		"Docker":   {reason: "An image as Docker builds it.", args: []string{host + "/docker:" + version}, want: function},
		"Namespaced": {
			reason: "A configuration.",
			args:   []string{host + "/configuration-dittoserver:" + version},
			want:   baseLayer(t, images(t, "configuration-dittoserver")[""]),
		},
		"Claim": {
			reason: "The other.",
			args:   []string{"--from-xpkg", filepath.Join(built, "configuration-dittoserver-claim.xpkg")},
			want:   baseLayer(t, images(t, "configuration-dittoserver-claim")[""]),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "package.gz")
			out, err := exec.CommandContext(t.Context(), crank, slices.Concat([]string{"xpkg", "extract", "--output", to}, tc.args)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s\n%v: %s", tc.reason, err, out)
			}
			compressed, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			r, err := gzip.NewReader(bytes.NewReader(compressed))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, string(got)); d != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// pushPlain pushes an image's files as a container builder does: layers without
// annotations.
func pushPlain(t *testing.T, img v1.Image, reference string) {
	t.Helper()
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, plain, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}
