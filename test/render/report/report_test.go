package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/render/engine"
	"github.com/dittofs/function-dittoserver/test/render/example"
)

func obj(kind string, fields map[string]any) unstructured.Unstructured {
	fields["kind"] = kind
	fields["metadata"] = map[string]any{"name": "x"}
	return unstructured.Unstructured{Object: fields}
}

// env of variables, each NAME=value.
func env(variables ...string) map[string]any {
	var list []any
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		list = append(list, map[string]any{"name": name, "value": value})
	}
	return map[string]any{"env": list}
}

func TestDiff(t *testing.T) {
	cases := map[string]struct {
		reason        string
		before, after unstructured.Unstructured
		want          []Change
	}{
		"Same": {
			reason: "No change is no line.",
			before: obj("A", env("A=1")), after: obj("A", env("A=1")),
		},
		"NamedItems": {
			reason: "An item that is put before others changes nothing but itself.",
			before: obj("A", env("A=1", "B=2")), after: obj("A", env("C=3", "A=1", "B=9")),
			want: []Change{{Path: "env[B].value", Old: "2", New: "9"}, {Path: "env[C].name", New: "C"}, {Path: "env[C].value", New: "3"}},
		},
		"ItemsByPosition": {
			reason: "Items without names are compared by position.",
			before: obj("A", map[string]any{"args": []any{"a", "b"}}), after: obj("A", map[string]any{"args": []any{"a", "c"}}),
			want: []Change{{Path: "args[1]", Old: "b", New: "c"}},
		},
		"KeysWithDots": {
			reason: "A key that is no simple word stands in brackets.",
			before: obj("A", map[string]any{"annotations": map[string]any{"a.io/b": "1"}}), after: obj("A", map[string]any{"annotations": map[string]any{"a.io/b": "2"}}),
			want: []Change{{Path: "annotations[a.io/b]", Old: "1", New: "2"}},
		},
		"Removed": {
			reason: "What is gone has no new value.",
			before: obj("A", map[string]any{"a": map[string]any{"b": "1", "c": float64(2)}}), after: obj("A", map[string]any{"a": map[string]any{"b": "1"}}),
			want: []Change{{Path: "a.c", Old: "2"}},
		},
		"Emptied": {
			reason: "A list that is emptied has lost its items.",
			before: obj("A", map[string]any{"a": []any{"b"}}), after: obj("A", map[string]any{"a": []any{}}),
			want: []Change{{Path: "a[0]", Old: "b"}},
		},
		"Secret": {
			reason: "A Secret's values are not shown, only that they changed (R19).",
			before: obj("Secret", map[string]any{"data": map[string]any{"a": "b25l", "b": "b25l"}}), after: obj("Secret", map[string]any{"data": map[string]any{"a": "dHdv", "b": "b25l"}}),
			want: []Change{{Path: "data.a", Old: "(hidden)", New: "(hidden)"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, Diff(tc.before, tc.after)); d != "" {
				t.Errorf("%s\nDiff (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

func TestExample(t *testing.T) {
	const password = "c2VjcmV0LXZhbHVl"
	condition := func(status string) map[string]any {
		return map[string]any{"type": "Available", "status": status, "reason": "Because", "message": "of this"}
	}
	xr := func(status string) unstructured.Unstructured {
		return obj("XR", map[string]any{"status": map[string]any{"phase": "Running", "conditions": []any{condition(status)}}})
	}
	secret := obj("Secret", map[string]any{"data": map[string]any{"password": password}})
	config := func(value string) unstructured.Unstructured {
		return obj("ConfigMap", map[string]any{"data": map[string]any{"config": value}})
	}
	unready := engine.Event{Type: "Normal", Reason: "ComposeResources", Message: `Composed resource "config" is not yet ready`}
	steps := []example.Step{
		{
			Stage:  example.Stage{Name: "1-first-call"},
			Output: engine.Output{CompositeResource: xr("False"), Composed: []unstructured.Unstructured{secret, config("a")}, Events: []engine.Event{unready}},
		},
		{
			Stage:  example.Stage{Name: "2-running"},
			Output: engine.Output{CompositeResource: xr("True"), Composed: []unstructured.Unstructured{config("b")}, Deleted: []unstructured.Unstructured{secret}},
		},
	}
	var out bytes.Buffer
	if err := New(&out, false, "Crossplane").Example(&example.Example{Name: "test", CompositeResource: xr("False")}, steps); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{
		"Example test, rendered by Crossplane",
		"    kind: XR",
		"Stage 1: first call",
		"Crossplane would create 2 objects, change nothing and delete nothing:",
		"+ Secret x\n      password (12 characters)",
		"  ~ Available        False  Because",
		"ComposeResources: Composed resources are not yet ready: config",
		"Stage 2: running",
		"Crossplane would create nothing, change 1 object and delete 1 object:",
		"~ ConfigMap x\n      data.config: a → b",
		"- Secret x",
		"  ~ Available        True   Because",
		"phase  Running",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	for _, bad := range []string{password, "secret-value", "\x1b"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the report must not hold %q:\n%s", bad, out.String())
		}
	}
}

func TestWrap(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     string
		want   []string
	}{
		"Empty":    {reason: "There is always a line.", in: "", want: []string{""}},
		"Fits":     {reason: "What fits stays.", in: "one two", want: []string{"one two"}},
		"Broken":   {reason: "Lines break between words.", in: "one two three four", want: []string{"one two", "three four"}},
		"LongWord": {reason: "A word is never broken.", in: "a abcdefghijklmn b", want: []string{"a", "abcdefghijklmn", "b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, wrap(tc.in, 10)); d != "" {
				t.Errorf("%s\nwrap (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}
