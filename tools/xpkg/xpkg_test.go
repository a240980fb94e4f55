package xpkg

import (
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const (
	meta = "apiVersion: meta.pkg.crossplane.io/v1\nkind: Function\nmetadata: {name: f}"
	crd  = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}"
)

func files(contents map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, content := range contents {
		fs[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fs
}

func TestStream(t *testing.T) {
	cases := map[string]struct {
		reason string
		files  map[string]string
		want   string
		err    string
	}{
		"MetaFirst": {
			reason: "What the package is comes first, wherever it was; comments and other files stay out of the way.",
			files:  map[string]string{"a/crd.yaml": "# A CRD.\n---\n" + crd + "\n", "crossplane.yaml": "---\n" + meta + "\n---\n", "README.md": "not a manifest"},
			want:   meta + "\n---\n" + crd,
		},
		"NoMeta": {
			reason: "Without it Crossplane would refuse the package.",
			files:  map[string]string{"crd.yaml": crd},
			err:    "no manifest says what the package is",
		},
		"TwoMetas": {
			reason: "So it would with two.",
			files:  map[string]string{"a.yaml": meta, "b.yaml": meta},
			err:    "b.yaml: a package has one manifest",
		},
		"NotAManifest": {
			reason: "YAML that is no manifest is a mistake.",
			files:  map[string]string{"crossplane.yaml": meta, "values.yaml": "a: b"},
			err:    "values.yaml: a manifest without apiVersion and kind",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Stream(files(tc.files))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s\nStream: error %v, want %q", tc.reason, err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, string(got)); d != "" {
				t.Errorf("%s\nStream (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// TestBuild reads a package as Crossplane does: the annotated layer's file.
func TestBuild(t *testing.T) {
	source := files(map[string]string{"crossplane.yaml": meta})
	runtime := &Runtime{Binary: []byte("\x7fELF"), Architecture: "arm64"}
	img, err := Build(source, runtime)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, l := range manifest.Layers {
		if l.Annotations[layerKey] != baseLayer {
			continue
		}
		layer, err := img.LayerByDigest(l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		r, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, l.Digest.String())
		if !strings.Contains(string(content), packageFile) || !strings.Contains(string(content), meta) {
			t.Errorf("the annotated layer holds %q, want %s with the manifests", content, packageFile)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d layers are annotated, want one", len(found))
	}
	labels := map[string]string{layerKey + ":" + found[0]: baseLayer, "org.opencontainers.image.title": "f"}
	if d := cmp.Diff(labels, config.Config.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"linux", "arm64", "/function"}, []string{config.OS, config.Architecture, config.Config.Entrypoint[0]}); d != "" {
		t.Errorf("runtime (-want +got):\n%s", d)
	}

	again, err := Build(source, runtime)
	if err != nil {
		t.Fatal(err)
	}
	first, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("the same files give %s and %s", first, second)
	}
}
