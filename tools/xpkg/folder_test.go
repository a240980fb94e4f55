package xpkg

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"sigs.k8s.io/yaml"
)

func decoded(t *testing.T, manifest string) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal([]byte(manifest), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// written packages: a function and a configuration of a version.
func written(t *testing.T, dir, version, binary string) []Package {
	t.Helper()
	function, err := New(files(map[string]string{"crossplane.yaml": meta}), version, Runtime{Binary: []byte(binary), Architecture: "amd64"}, arm64)
	if err != nil {
		t.Fatal(err)
	}
	config, err := New(files(map[string]string{"crossplane.yaml": configuration}), version)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, function, config); err != nil {
		t.Fatal(err)
	}
	return []Package{function, config}
}

// loopback is a registry without TLS, for as long as the test runs.
func loopback(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/dittofs"
}

// TestPush pulls what was pushed, as each architecture does.
func TestPush(t *testing.T) {
	dir, repository := t.TempDir(), loopback(t)
	packages := written(t, dir, "v0.1.0", "\x7fELF")

	pushed, err := Push(t.Context(), dir, repository+"/")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		repository + "/f@" + digest(t, packages[0]).String(),
		repository + "/configuration-f@" + digest(t, packages[1]).String(),
	}
	if d := cmp.Diff(want, pushed); d != "" {
		t.Errorf("Push (-want +got):\n%s", d)
	}

	for arch, img := range packages[0].Images {
		got := pull(t, repository+"/f:v0.1.0", arch)
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", arch, err)
		}
		if got, want := imageDigest(t, got), imageDigest(t, img); got != want {
			t.Errorf("%s: pulled %s, want %s", arch, got, want)
		}
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if got, want := imageDigest(t, pull(t, repository+"/configuration-f:v0.1.0", arch)), digest(t, packages[1]); got != want {
			t.Errorf("the configuration on %s: pulled %s, want %s", arch, got, want)
		}
	}
}

func pull(t *testing.T, reference, arch string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(t.Context()), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func imageDigest(t *testing.T, img v1.Image) v1.Hash {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPushAgain holds that what people run is never replaced under its name.
func TestPushAgain(t *testing.T) {
	cases := map[string]struct {
		reason  string
		version string
		second  string
		err     string
	}{
		"Same":       {reason: "A release that was cut short is done again.", version: "v0.1.0", second: "\x7fELF"},
		"Released":   {reason: "A released version keeps its content.", version: "v0.1.0", second: "\x7fELF 2", err: "this version was released as sha256:"},
		"PreRelease": {reason: "One that was not may change.", version: "v0.1.0-rc.1", second: "\x7fELF 2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir, repository := t.TempDir(), loopback(t)
			written(t, dir, tc.version, "\x7fELF")
			if _, err := Push(t.Context(), dir, repository); err != nil {
				t.Fatal(err)
			}
			second := written(t, dir, tc.version, tc.second)
			_, err := Push(t.Context(), dir, repository)
			if got := text(err); (tc.err == "") != (err == nil) || !strings.Contains(got, tc.err) {
				t.Fatalf("%s\nPush: error %q, want %q", tc.reason, got, tc.err)
			}
			if got, want := imageDigest(t, pull(t, repository+"/f:"+tc.version, "amd64")), imageDigest(t, second[0].Images["amd64"]); (got == want) != (tc.err == "") {
				t.Errorf("%s\nthe registry has %s, built was %s", tc.reason, got, want)
			}
		})
	}
}

// TestPushNothing holds the error of a push without a build.
func TestPushNothing(t *testing.T) {
	if _, err := Push(t.Context(), t.TempDir(), "127.0.0.1:1/dittofs"); err == nil || !strings.Contains(err.Error(), "nothing was built") {
		t.Errorf("Push: error %v, want that nothing was built", err)
	}
}

// TestWrite reads the files as the Crossplane CLI does, and holds that an
// earlier build leaves nothing behind.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	written(t, dir, "v0.1.0", "\x7fELF 1")
	packages := written(t, dir, "v0.2.0", "\x7fELF 2")

	for file, want := range map[string]v1.Image{
		"f-amd64.xpkg":         packages[0].Images["amd64"],
		"f-arm64.xpkg":         packages[0].Images["arm64"],
		"configuration-f.xpkg": packages[1].Images[""],
	} {
		got, err := tarball.ImageFromPath(filepath.Join(dir, file), nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		config, err := want.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		found, err := got.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if found != config {
			t.Errorf("%s: config %s, want %s", file, found, config)
		}
	}
	digests, err := os.ReadFile(filepath.Join(dir, "digests.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := digest(t, packages[0]).String() + "  f:v0.2.0\n" + digest(t, packages[1]).String() + "  configuration-f:v0.2.0\n"
	if d := cmp.Diff(want, string(digests)); d != "" {
		t.Errorf("digests.txt (-want +got):\n%s", d)
	}
	pushed, err := Push(t.Context(), dir, loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(pushed) != 2 {
		t.Errorf("pushed %v, want what was built last", pushed)
	}
}
