package percona

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// A secret that is found wherever it turns up.
const secretMark = "zq7mark"

// TestDifferencesKeepSecrets: a difference says where it is, and shows the values
// that are no secret.
func TestDifferencesKeepSecrets(t *testing.T) {
	marked := func(which string) map[string]any {
		value := secretMark + which
		return map[string]any{
			"port": map[string]any{"wanted": int64(5433), "live": int64(5434)}[which],
			"backups": map[string]any{"pgbackrest": map[string]any{"global": map[string]any{
				"repo1-cipher-pass": value, "repo1-s3-key": value, "repo1-s3-key-secret": value, "repo2-s3-token": value, "archive-timeout": which,
			}}},
			"proxy": map[string]any{"pgBouncer": map[string]any{
				"sidecars": []any{map[string]any{"name": "a", "args": []any{"--password", value}, "env": []any{map[string]any{"name": "PLAIN", "value": value}}}},
			}},
			"patroni": map[string]any{"dynamicConfiguration": map[string]any{
				"postgresql": map[string]any{
					"parameters":     map[string]any{"vault.api_key": value, "primary_conninfo": "password=" + value},
					"authentication": map[string]any{"superuser": map[string]any{"password": value}},
				},
			}},
			"dataSource": map[string]any{"pgbackrest": map[string]any{"global": map[string]any{"repo1-s3-key-secret": value}}},
		}
	}
	live := map[string]any{"spec": marked("live")}

	for _, policy := range []v1alpha1.UpdatePolicy{v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways} {
		for name, wanted := range map[string]map[string]any{"Other": marked("wanted"), "Nothing": {}} {
			t.Run(fmt.Sprint(policy, name), func(t *testing.T) {
				_, diffs := Send(live, Wanted{Spec: wanted}, "us", policy)
				if text := fmt.Sprintf("%+v", diffs); strings.Contains(text, secretMark) {
					t.Errorf("Send(...) tells a secret: %s", text)
				}
				if policy == v1alpha1.UpdateOnCreate && name == "Other" {
					want := "{Path:spec.backups.pgbackrest.global.repo1-cipher-pass Want:(not shown) Have:(not shown)"
					plain := "{Path:spec.backups.pgbackrest.global.archive-timeout Want:wanted Have:live"
					if text := fmt.Sprintf("%+v", diffs); !strings.Contains(text, want) || !strings.Contains(text, plain) {
						t.Errorf("Send(...): want %s and %s, got %s", want, plain, text)
					}
				}
			})
		}
	}
}

// TestOverridesKeepSecrets: what is refused is named, and shown only if it can
// be no secret.
func TestOverridesKeepSecrets(t *testing.T) {
	for name, patch := range map[string]string{
		"Text":       `"SECRET"`,
		"List":       `["SECRET"]`,
		"Instances":  `{"instances": {"password": "SECRET"}}`,
		"Option":     `{"backups": {"pgbackrest": {"global": {"repo1-cipher-pass": ["SECRET"]}}}}`,
		"Sidecars":   `{"proxy": {"pgBouncer": {"sidecars": [{"name": "a", "env": [{"name": "A", "value": "SECRET"}], "ports": [{"containerPort": "SECRET"}]}]}}}`,
		"Unknown":    `{"proxy": {"pgBouncer": {"password": "SECRET"}}}`,
		"Map":        `{"backups": {"pgbackrest": {"env": {"A": "SECRET"}}}}`,
		"Duplicates": `{"proxy": {"pgBouncer": {"image": "x", "sidecars": [{"name": "a", "env": [{"name": "A", "value": "SECRET"}, {"name": "A", "value": "SECRET"}]}]}}}`,
		"Lines":      `{"patroni": {"dynamicConfiguration": {"postgresql": {"parameters": {"vault.pem": "SECRET\nSECRET"}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			ds := server(v1alpha1.PerconaSpec{Overrides: overrides(strings.ReplaceAll(patch, "SECRET", secretMark))})
			_, err := BuildPerconaPGClusterSpec(ds)
			if err == nil {
				t.Fatalf("%s is not refused", patch)
			}
			if strings.Contains(err.Error(), secretMark) {
				t.Errorf("BuildPerconaPGClusterSpec(...) tells a secret: %v", err)
			}
		})
	}
}
