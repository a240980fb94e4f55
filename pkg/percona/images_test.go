package percona

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// TestDefaultImages holds the table to the one that the operator is tested
// with.
func TestDefaultImages(t *testing.T) {
	dir, err := crdtest.ModuleDir("github.com/percona/percona-postgresql-operator/v2")
	if err != nil {
		t.Fatal(err)
	}
	if version, ok := strings.CutPrefix(filepath.Base(dir), "v2@v"); ok && version != DefaultCRVersion {
		t.Errorf("DefaultCRVersion is %s, want that of the module, %s", DefaultCRVersion, version)
	}
	data, err := os.ReadFile(filepath.Join(dir, "e2e-tests", "release_versions"))
	if err != nil {
		t.Fatal(err)
	}
	released := map[string]string{}
	for line := range strings.Lines(string(data)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		released[k] = v
	}

	for version := int32(12); version <= 20; version++ {
		n := strconv.Itoa(int(version))
		want := DefaultImages(0) // pgBackRest and PgBouncer know no versions.
		if _, ok := released["IMAGE_POSTGRESQL"+n]; ok {
			want = v1alpha1.PerconaImages{
				Postgres:   "docker.io/" + released["IMAGE_POSTGRESQL"+n],
				PGBackRest: "docker.io/" + released["IMAGE_BACKREST"+n],
				PGBouncer:  "docker.io/" + released["IMAGE_PGBOUNCER"+n],
			}
		}
		if diff := cmp.Diff(want, DefaultImages(version)); diff != "" {
			t.Errorf("DefaultImages(%d): -want, +got:\n%s", version, diff)
		}
	}
}

func TestPostgresMajor(t *testing.T) {
	type want struct {
		major int32
		ok    bool
	}
	cases := map[string]struct {
		reason string
		image  string
		want   want
	}{
		"Default":       {reason: "The tag starts with it.", image: DefaultImages(17).Postgres, want: want{17, true}},
		"OldName":       {reason: "Up to operator 2.7 it followed ppg.", image: "percona/percona-postgresql-operator:2.5.1-ppg15.10-postgres", want: want{15, true}},
		"Mirror":        {reason: "A registry's port is not a tag.", image: "registry.example.org:5000/pg:18", want: want{18, true}},
		"MirrorNoTag":   {reason: "A registry's port is not a tag, also without a tag.", image: "registry.example.org:16000/pg", want: want{}},
		"Digest":        {reason: "A digest says nothing, but a tag beside it counts.", image: "pg:16.13-1@sha256:17aa", want: want{16, true}},
		"DigestOnly":    {reason: "A digest says nothing.", image: "pg@sha256:17aa", want: want{}},
		"Date":          {reason: "Four digits are a date.", image: "pg:2024.1", want: want{}},
		"OwnScheme":     {reason: "A tag that starts otherwise is not guessed at.", image: "crunchy-postgres:ubi8-16.4-0", want: want{}},
		"PPGWithout":    {reason: "ppg without a version says nothing.", image: "pg:16-ppg", want: want{}},
		"SingleDigit":   {reason: "One digit is too short for a version that is served.", image: "pg:9.6", want: want{}},
		"Empty":         {reason: "No image has no version.", image: "", want: want{}},
		"OnlySeparator": {reason: "An empty tag says nothing.", image: "/:", want: want{}},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			major, ok := PostgresMajor(tc.image)
			if diff := cmp.Diff(tc.want, want{major, ok}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("\n%s\nPostgresMajor(%q): -want, +got:\n%s", tc.reason, tc.image, diff)
			}
		})
	}
}
