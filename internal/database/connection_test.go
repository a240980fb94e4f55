package database

import (
	"encoding/base64"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// seen is the state of a server on an external PostgreSQL, with the Secret that
// leads there and a cluster of an earlier time.
func seen(t *testing.T, values map[string]string, cluster map[string]any) *observed.State {
	t.Helper()

	resource := func(content map[string]any) *fnv1.Resource {
		s, err := structpb.NewStruct(content)
		if err != nil {
			t.Fatal(err)
		}

		return &fnv1.Resource{Resource: s}
	}
	data := map[string]any{}
	for k, v := range values {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: resource(map[string]any{
				"metadata": map[string]any{"name": "files", "namespace": "team-a"},
				"spec": map[string]any{
					"storage":  map[string]any{"metadataSize": "1Gi"},
					"database": map[string]any{"type": "postgres", "postgresSecretRef": map[string]any{"name": "db"}},
				},
			}),
			Resources: map[string]*fnv1.Resource{"postgres-cluster": resource(cluster)},
		},
		RequiredResources: map[string]*fnv1.Resources{"secret/db": {Items: []*fnv1.Resource{resource(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "db", "namespace": "team-a"}, "data": data,
		})}}},
	}
	srv, err := server.Resolve(req)
	if err != nil {
		t.Fatal(err)
	}

	return observed.From(req, srv)
}

func TestPasswordOf(t *testing.T) {
	cases := map[string]struct {
		reason, uri, want string
	}{
		"Plain":      {"A URI carries a password.", "postgresql://u:secret@h:5432/d", "secret"},
		"Escaped":    {"It may have to be escaped.", "postgresql://u:p%40ss%2Fword@h/d", "p@ss/word"},
		"None":       {"It may carry none.", "postgresql://u@h/d", ""},
		"NoUser":     {"It may carry nobody.", "postgresql://h/d", ""},
		"Unreadable": {"It may be none.", "postgresql://u:p%zz@h/d", ""},
		"Empty":      {"There may be nothing.", "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := passwordOf(tc.uri); got != tc.want {
				t.Errorf("%s\npasswordOf(%q): want %q, got %q", tc.reason, tc.uri, tc.want, got)
			}
		})
	}
}

func TestExternalSSLMode(t *testing.T) {
	usual := map[string]string{"host": "h", "database": "d", "user": "u", "password": "p"}
	cases := map[string]struct {
		reason string
		field  v1alpha1.SSLMode
		key    string
		want   v1alpha1.SSLMode
	}{
		"Neither":  {"libpq's default.", "", "", v1alpha1.SSLModePrefer},
		"Key":      {"The Secret says so.", "", "require", v1alpha1.SSLModeRequire},
		"KeySpace": {"A line end in the Secret means nothing.", "", "require\n", v1alpha1.SSLModeRequire},
		"Field":    {"The field wins.", v1alpha1.SSLModeDisable, "require", v1alpha1.SSLModeDisable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			values := map[string]string{"sslmode": tc.key}
			maps.Copy(values, usual)
			c := external(v1alpha1.PostgresSecretRef{Name: "db", SSLMode: tc.field}, seen(t, values, nil).Secret("db"))
			if diff := cmp.Diff(tc.want, c.SSLMode); diff != "" {
				t.Errorf("%s\nexternal(...): -want, +got:\n%s", tc.reason, diff)
			}
			if !c.complete() || c.HasPort {
				t.Errorf("%s\nexternal(...): complete %t, has a port %t", tc.reason, c.complete(), c.HasPort)
			}
		})
	}
}

func TestLastBackup(t *testing.T) {
	done := func(at any) map[string]any { return map[string]any{"completionTime": at} }
	cases := map[string]struct {
		reason string
		status map[string]any
		want   string
	}{
		"None":      {"There was none.", nil, ""},
		"Scheduled": {"The newest counts.", map[string]any{"scheduledBackups": []any{done("2026-01-03T00:00:00Z"), done("2026-01-02T00:00:00Z")}}, "2026-01-03T00:00:00Z"},
		"Manual":    {"One that a person made counts.", map[string]any{"scheduledBackups": []any{done("2026-01-02T00:00:00Z")}, "manualBackup": done("2026-01-04T00:00:00Z")}, "2026-01-04T00:00:00Z"},
		"Running":   {"One that is not complete does not count.", map[string]any{"manualBackup": map[string]any{"startTime": "2026-01-04T00:00:00Z"}}, ""},
		"Garbage":   {"What cannot be read is none.", map[string]any{"scheduledBackups": []any{"x", done(7.0)}, "manualBackup": "x"}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := map[string]any{"status": map[string]any{"pgbackrest": tc.status}}
			if got := lastBackup(seen(t, nil, live).Cluster()); got != tc.want {
				t.Errorf("%s\nlastBackup(...): want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}
