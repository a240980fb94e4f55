package redact

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestNamed(t *testing.T) {
	for name, want := range map[string]bool{
		// pgBackRest's options.
		"repo1-cipher-pass": true, "repo1-s3-key": true, "repo1-s3-key-secret": true, "repo2-s3-token": true, "repo1-azure-key": true,
		"repo1-gcs-key": true, "repo1-sftp-private-key-passphrase": true, "tls-pass": true,
		"repo1-path": false, "repo1-cipher-type": false, "repo1-s3-key-type": false, "repo1-retention-full": false, "compress-type": false,
		// Fields and variables.
		"password": true, "PGPASSWORD": true, "AWS_SECRET_ACCESS_KEY": true, "apiKey": true, "accessToken": true, "TOKEN": true, "anon.secret": true,
		"passwordSecretRef": true, "secretRef": true, "credentials": true, "pass": true,
		"topologyKey": false, "key": false, "name": false, "value": false, "secretName": false, "bypass": false, "storageClassName": false,
		"work_mem": false, "max_connections": false, "shared_preload_libraries": false, "": false,
	} {
		if got := Named(name); got != want {
			t.Errorf("Named(%q): want %t, got %t", name, want, got)
		}
	}
}

func TestValue(t *testing.T) {
	cases := map[string]struct {
		reason string
		name   string
		value  any
		want   any
	}{
		"Plain":      {reason: "Most values help to find what is meant.", name: "image", value: "registry.example.org:5000/a:1", want: "registry.example.org:5000/a:1"},
		"Number":     {reason: "So do numbers.", name: "replicas", value: int64(3), want: int64(3)},
		"Nothing":    {reason: "Nothing stays nothing, whatever it is called.", name: "password", value: nil, want: nil},
		"Switch":     {reason: "Two values are no secret.", name: "serviceAccountToken", value: true, want: true},
		"Named":      {reason: "A name tells.", name: "repo1-cipher-pass", value: "x", want: Hidden},
		"NamedPIN":   {reason: "Also of a number.", name: "password", value: int64(1234), want: Hidden},
		"URL":        {reason: "A URL can have a password in it.", name: "endpoint", value: "https://me:x@s3.example.org", want: Hidden},
		"PlainURL":   {reason: "Most have none.", name: "endpoint", value: "https://s3.example.org/a@b", want: "https://s3.example.org/a@b"},
		"Assignment": {reason: "A connection string has one.", name: "primary_conninfo", value: "host=a password=x", want: Hidden},
		"PEM":        {reason: "So has a file.", name: "data", value: "-----BEGIN RSA PRIVATE KEY-----", want: Hidden},
		"Variables": {
			reason: "The environment is full of them, whatever they are called.",
			name:   "sidecars",
			value: []any{map[string]any{
				"name": "a", "args": []any{"--log", "x"}, "command": []any{"x"}, "image": "i",
				"env": []any{map[string]any{"name": "PLAIN", "value": "x"}, map[string]any{"name": "B", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}}},
			}},
			want: []any{map[string]any{
				"name": "a", "args": []any{Hidden, Hidden}, "command": []any{Hidden}, "image": "i",
				"env": []any{map[string]any{"name": "PLAIN", "value": Hidden}, map[string]any{"name": "B", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}}},
			}},
		},
		"Toleration": {
			reason: "A value that belongs to a key is a label's.",
			name:   "tolerations",
			value:  []any{map[string]any{"key": "a", "value": "b"}},
			want:   []any{map[string]any{"key": "a", "value": "b"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Value(tc.name, tc.value)); diff != "" {
				t.Errorf("%s\nValue(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValueLeavesItsArgument(t *testing.T) {
	in := map[string]any{"password": "x", "env": []any{map[string]any{"name": "A", "value": "x"}}, "args": []any{"x"}}
	want := map[string]any{"password": "x", "env": []any{map[string]any{"name": "A", "value": "x"}}, "args": []any{"x"}}
	Value("", in)
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("Value(...) changes what it is given: -before, +after:\n%s", diff)
	}
}

func TestBad(t *testing.T) {
	path := field.NewPath("spec", "a")
	for value, want := range map[any]string{
		"x": `spec.a: Invalid value: "x": wrong`, int64(7): `spec.a: Invalid value: 7: wrong`, nil: `spec.a: Invalid value: null: wrong`,
		"password=x": `spec.a: Invalid value: wrong`,
	} {
		if got := field.Invalid(path, Bad("a", value), "wrong").Error(); got != want {
			t.Errorf("Bad(%v): want %s, got %s", value, want, got)
		}
	}
	for _, value := range []any{map[string]any{"a": "x"}, []any{"x"}} {
		if got, want := field.Invalid(path, Bad("a", value), "wrong").Error(), "spec.a: Invalid value: wrong"; got != want {
			t.Errorf("Bad(%v): want %s, got %s", value, want, got)
		}
	}
}
