// Package render holds the golden tests: every stage of every example, rendered
// by Crossplane's own engine and by the one of the last CLI that has another.
package render

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/render/engine"
	"github.com/dittofs/function-dittoserver/test/render/example"
	"github.com/dittofs/function-dittoserver/test/render/function"
	"github.com/dittofs/function-dittoserver/test/render/report"
	"github.com/dittofs/function-dittoserver/test/render/toolchain"
)

var update = flag.Bool("update", false, "rewrite the generated files of the examples' stages") //nolint:gochecknoglobals // How the flag package works.

// buildTimeout is what building Crossplane may take on a slow machine, with
// nothing cached.
const buildTimeout = 60 * time.Minute

// A fixture is what all tests share: programs that are built, and the function
// that runs.
type fixture struct {
	root    string
	engine  engine.Engine
	crank   string
	address string
}

var shared fixture //nolint:gochecknoglobals // Made once, in TestMain, and only read afterwards.

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()

	progress := toolchain.NewProgress(os.Stderr, false)
	if shared.root, err = toolchain.Root(ctx); err != nil {
		return 0, err
	}
	if shared.engine.Binary, err = toolchain.Crossplane(shared.root).Build(ctx, progress); err != nil {
		return 0, err
	}
	if shared.crank, err = toolchain.Crank(shared.root).Build(ctx, progress); err != nil {
		return 0, err
	}
	binary, err := toolchain.Function(ctx, shared.root, progress)
	if err != nil {
		return 0, err
	}
	process, err := function.Start(ctx, binary)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	shared.address = process.Address

	return m.Run(), nil
}

// load all examples.
func load(t *testing.T) []*example.Example {
	t.Helper()
	dir := filepath.Join(shared.root, "example")
	names, err := example.Names(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []*example.Example
	for _, name := range names {
		e, err := example.Load(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func render(t *testing.T, e *example.Example, freeze bool) []example.Step {
	t.Helper()
	steps, err := e.Render(t.Context(), shared.engine, shared.address, freeze)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestStages compares what Crossplane's engine gives with the stages' expected
// output: once with the values that the function generated, and once with
// values that stay the same, which make up the stages' inputs.
func TestStages(t *testing.T) {
	for _, e := range load(t) {
		t.Run(e.Name, func(t *testing.T) {
			live, frozen := render(t, e, false), render(t, e, true)
			liveMask, frozenMask := example.NewMask(), example.NewMask()
			for i, stage := range e.Stages {
				got := expected(t, live[i], liveMask)
				compareFile(t, filepath.Join(stage.Dir, example.FileExpected), got)
				if d := cmp.Diff(lines(got), lines(expected(t, frozen[i], frozenMask))); d != "" {
					t.Errorf("stage %s depends on the values of generated Secrets (-generated +frozen):\n%s", stage.Name, d)
				}
				if i == 0 {
					continue // Its inputs are the example's, written by hand.
				}
				inputs, err := frozen[i].Inputs()
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range slices.Sorted(maps.Keys(inputs)) {
					compareFile(t, filepath.Join(stage.Dir, name), inputs[name])
				}
			}
		})
	}
}

func expected(t *testing.T, s example.Step, mask *example.Mask) string {
	t.Helper()
	out, err := s.Expected(mask)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func lines(text string) []string {
	return strings.Split(text, "\n")
}

// compareFile with what it should hold, or write it with -update.
func compareFile(t *testing.T, path, content string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\nrun: go test -update", err)
	}
	if d := cmp.Diff(lines(string(want)), lines(content)); d != "" {
		t.Errorf("%s is not what is rendered now (-file +rendered); if that is meant, run go test -update:\n%s", path, d)
	}
}

// TestNothingIsDeleted: in no stage of any example does Crossplane delete
// anything, and what was composed once is composed in all later stages (R1).
func TestNothingIsDeleted(t *testing.T) {
	for _, e := range load(t) {
		t.Run(e.Name, func(t *testing.T) {
			var before []string
			for _, s := range render(t, e, false) {
				for _, o := range s.Output.Deleted {
					t.Errorf("stage %s deletes %s %s", s.Stage.Name, o.GetKind(), o.GetName())
				}
				var now []string
				for _, o := range s.Output.Composed {
					now = append(now, engine.ResourceName(o))
				}
				for _, name := range before {
					if !slices.Contains(now, name) {
						t.Errorf("stage %s does not compose %s any more", s.Stage.Name, name)
					}
				}
				before = now
			}
		})
	}
}

// TestPercona holds the Percona examples to what is said about them.
func TestPercona(t *testing.T) {
	for _, e := range load(t) {
		if e.Name != "percona" && e.Name != "percona-backup" {
			continue // The others do not tell of rotation and failover.
		}
		if len(e.Stages) != 4 {
			t.Fatalf("%s: want four stages, got %d", e.Name, len(e.Stages))
		}
		t.Run(e.Name, func(t *testing.T) {
			steps := render(t, e, false)
			t.Run("FirstCall", func(t *testing.T) { firstCall(t, steps[0].Output) })
			t.Run("DatabaseReady", func(t *testing.T) { databaseReady(t, steps[1].Output) })
			t.Run("PasswordRotated", func(t *testing.T) { passwordRotated(t, steps[1].Output, steps[2].Output) })
			t.Run("DatabaseFailingOver", func(t *testing.T) { failingOver(t, steps[2].Output, steps[3].Output) })
		})
	}
}

// firstCall composes the PostgreSQL cluster, and no StatefulSet (R1).
func firstCall(t *testing.T, out engine.Output) {
	t.Helper()
	object(t, out, "PerconaPGCluster", "files-postgres")
	for _, o := range out.Composed {
		if o.GetKind() == "StatefulSet" {
			t.Errorf("StatefulSet %s is composed before its database is ready", o.GetName())
		}
	}
	got := conditionOf(out, "DatabaseReady")
	want := map[string]string{"status": "False", "reason": "PerconaCreating"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("condition DatabaseReady (-want +got):\n%s", d)
	}
}

// databaseReady composes a StatefulSet that waits for the database, and stores
// its data there over verified TLS (R10, R11, R12).
func databaseReady(t *testing.T, out engine.Output) {
	t.Helper()
	sts := object(t, out, "StatefulSet", "files")

	inits := namesAt(sts, "spec", "template", "spec", "initContainers")
	if d := cmp.Diff([]string{"wait-for-postgres"}, inits); d != "" {
		t.Errorf("init containers (-want +got):\n%s", d)
	}

	secret := func(key string) string { return "files-postgres-pguser-dittofs/" + key }
	want := map[string]string{
		"DATABASE_URL":                            secret("uri"),
		"DITTOFS_DATABASE_POSTGRES_HOST":          secret("host"),
		"DITTOFS_DATABASE_POSTGRES_PORT":          secret("port"),
		"DITTOFS_DATABASE_POSTGRES_DATABASE":      secret("dbname"),
		"DITTOFS_DATABASE_POSTGRES_USER":          secret("user"),
		"DITTOFS_DATABASE_TYPE":                   "postgres",
		"DITTOFS_DATABASE_POSTGRES_PASSWORD":      secret("password"),
		"DITTOFS_DATABASE_POSTGRES_SSLMODE":       "verify-full",
		"DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT": "/postgres-ca/ca.crt",
	}
	got := environment(sts)
	maps.DeleteFunc(got, func(name, _ string) bool {
		return name != "DATABASE_URL" && !strings.HasPrefix(name, "DITTOFS_DATABASE_")
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the server's environment (-want +got):\n%s", d)
	}

	hash := hashOf(sts)
	if b, err := hex.DecodeString(hash); err != nil || len(b) != 32 {
		t.Errorf("%s is %q, want 64 hex digits", example.AnnotationConfigHash, hash)
	}
}

// passwordRotated changes the hash, which restarts the pod, and nothing else
// (R3).
func passwordRotated(t *testing.T, before, now engine.Output) {
	t.Helper()
	path := "StatefulSet/files spec.template.metadata.annotations[" + example.AnnotationConfigHash + "]"
	if d := cmp.Diff([]string{path}, differences(before, now)); d != "" {
		t.Errorf("what a new password changes (-want +got):\n%s", d)
	}
}

// failingOver changes nothing (R1, R2, R3).
func failingOver(t *testing.T, before, now engine.Output) {
	t.Helper()
	if d := cmp.Diff([]string(nil), differences(before, now)); d != "" {
		t.Errorf("what a failover changes (-want +got):\n%s", d)
	}
}

// differences between the composed objects of two stages: kind/name and path.
func differences(before, now engine.Output) []string {
	key := func(o unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }
	objects := map[string][2]unstructured.Unstructured{}
	for _, o := range before.Composed {
		objects[key(o)] = [2]unstructured.Unstructured{o}
	}
	for _, o := range now.Composed {
		objects[key(o)] = [2]unstructured.Unstructured{objects[key(o)][0], o}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(objects)) {
		for _, c := range report.Diff(objects[k][0], objects[k][1]) {
			out = append(out, k+" "+c.Path)
		}
	}
	return out
}

func object(t *testing.T, out engine.Output, kind, name string) unstructured.Unstructured {
	t.Helper()
	for _, o := range out.Composed {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return unstructured.Unstructured{}
}

func conditionOf(out engine.Output, conditionType string) map[string]string {
	conditions, _, _ := unstructured.NestedSlice(out.CompositeResource.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == conditionType {
			return map[string]string{"status": fmt.Sprint(c["status"]), "reason": fmt.Sprint(c["reason"])}
		}
	}
	return nil
}

// environment of the server's container: values, and secret/key for those from
// a Secret.
func environment(sts unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	containers, _, _ := unstructured.NestedSlice(sts.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		c, _ := c.(map[string]any)
		if c["name"] != "dittofs" {
			continue
		}
		env, _, _ := unstructured.NestedSlice(c, "env")
		for _, e := range env {
			e, _ := e.(map[string]any)
			value, isValue := e["value"].(string)
			secret, _, _ := unstructured.NestedString(e, "valueFrom", "secretKeyRef", "name")
			key, _, _ := unstructured.NestedString(e, "valueFrom", "secretKeyRef", "key")
			if !isValue {
				value = secret + "/" + key
			}
			out[fmt.Sprint(e["name"])] = value
		}
	}
	return out
}

func namesAt(o unstructured.Unstructured, path ...string) []string {
	items, _, _ := unstructured.NestedSlice(o.Object, path...)
	var out []string
	for _, item := range items {
		m, _ := item.(map[string]any)
		out = append(out, fmt.Sprint(m["name"]))
	}
	return out
}

func hashOf(sts unstructured.Unstructured) string {
	hash, _, _ := unstructured.NestedString(sts.Object, "spec", "template", "metadata", "annotations", example.AnnotationConfigHash)
	return hash
}

// TestRefusal: an invalid spec of a running server is refused with its path,
// and Crossplane applies and deletes nothing (R9).
func TestRefusal(t *testing.T) {
	for _, e := range load(t) {
		t.Run(e.Name, func(t *testing.T) {
			steps := render(t, e, false)
			last := steps[len(steps)-1]
			in := last.Input
			in.CompositeResource = *last.Output.CompositeResource.DeepCopy()
			if err := unstructured.SetNestedField(in.CompositeResource.Object, "plenty", "spec", "storage", "metadataSize"); err != nil {
				t.Fatal(err)
			}
			out, err := shared.engine.Render(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if want := "spec.storage.metadataSize"; !strings.Contains(out.Fatal, want) {
				t.Errorf("fatal result %q, want one that names %s", out.Fatal, want)
			}
			if len(out.Composed)+len(out.Deleted) > 0 {
				t.Errorf("%d objects are applied and %d deleted, want none", len(out.Composed), len(out.Deleted))
			}
			want := told(last.Output.CompositeResource)
			want["condition ConfigReady"] = told(out.CompositeResource)["condition ConfigReady"]
			if d := cmp.Diff(want, told(out.CompositeResource)); d != "" {
				t.Errorf("status (-before +refused):\n%s", d)
			}
			ready := map[string]string{"status": "False", "reason": "InvalidSpec"}
			if d := cmp.Diff(ready, conditionOf(out, "ConfigReady")); d != "" {
				t.Errorf("condition ConfigReady (-want +got):\n%s", d)
			}
		})
	}
}

// TestCrank renders every stage on its own with the CLI v2.2, from the files as
// they lie there, the way the examples' README says. It composes objects with
// code of its own; they must be the same. What it cannot tell: deletions, events
// and the composite resource's spec. Its lookups ignore namespaces.
func TestCrank(t *testing.T) {
	for _, e := range load(t) {
		steps := render(t, e, true)
		for i, s := range steps {
			t.Run(e.Name+"/"+s.Stage.Name, func(t *testing.T) {
				xr := filepath.Join(s.Stage.Dir, example.FileXR)
				if i == 0 {
					// The engine makes up a uid that the function uses (R7, backups);
					// the CLI makes up none.
					xr = withUID(t, e, steps[0].Output)
				}
				got := crank(t, e, s.Stage, xr)
				want := s.Output
				if i == 0 { // Secrets are generated here.
					got.Composed = example.NewMask().Apply(got.Composed)
					want.Composed = example.NewMask().Apply(want.Composed)
				}
				if d := cmp.Diff(byName(want.Composed), byName(got.Composed)); d != "" {
					t.Errorf("composed objects (-core +crank):\n%s", d)
				}
				if d := cmp.Diff(told(want.CompositeResource), told(got.CompositeResource)); d != "" {
					t.Errorf("status (-core +crank):\n%s", d)
				}
			})
		}
	}
}

// withUID writes the example's composite resource with the uid that the engine
// made up, and returns the file's path.
func withUID(t *testing.T, e *example.Example, out engine.Output) string {
	t.Helper()
	xr := *e.CompositeResource.DeepCopy()
	xr.SetUID(out.CompositeResource.GetUID())
	content, err := example.Marshal(xr)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), example.FileXR)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// crank renders one stage. Flags for files that the stage does not have are
// left out.
func crank(t *testing.T, e *example.Example, s example.Stage, xr string) engine.Output {
	t.Helper()
	args := []string{
		"render", xr, filepath.Join(e.Dir, example.FileComposition), filepath.Join(e.Dir, example.FileFunctions),
		"--xrd=" + filepath.Join(e.Dir, example.FileXRD),
		"--function-annotations=render.crossplane.io/runtime-development-target=" + shared.address,
	}
	for name, option := range map[string]string{example.FileObserved: "--observed-resources=", example.FileRequired: "--required-resources="} {
		if path := filepath.Join(s.Dir, name); exists(path) {
			args = append(args, option+path)
		}
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), shared.crank, args...)
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("crank %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}

	path := filepath.Join(t.TempDir(), "rendered.yaml")
	if err := os.WriteFile(path, stdout, 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := example.ReadObjects(path)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Output{CompositeResource: objects[0], Composed: objects[1:]}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// byName of the composed resource: the objects' fields.
func byName(objects []unstructured.Unstructured) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, o := range objects {
		out[engine.ResourceName(o)] = o.Object
	}
	return out
}

// told is the part of a composite resource's status that the function writes,
// conditions by type and without times.
func told(xr unstructured.Unstructured) map[string]any {
	status, _, _ := unstructured.NestedMap(xr.Object, "status")
	conditions, _, _ := unstructured.NestedSlice(status, "conditions")
	delete(status, "conditions")
	delete(status, "claimConditionTypes")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		delete(c, "lastTransitionTime")
		if name := fmt.Sprint(c["type"]); !slices.Contains([]string{"Ready", "Synced", "Responsive"}, name) {
			status["condition "+name] = c
		}
	}
	return status
}

// TestFilesBelongTogether: an example's XRD is the one that is shipped, and
// its composition is for that XRD's kind.
func TestFilesBelongTogether(t *testing.T) {
	for _, e := range load(t) {
		t.Run(e.Name, func(t *testing.T) {
			path, err := filepath.EvalSymlinks(filepath.Join(e.Dir, example.FileXRD))
			if err != nil {
				t.Fatal(err)
			}
			shipped, err := filepath.EvalSymlinks(filepath.Join(shared.root, "configuration"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(path, shipped+string(filepath.Separator)) {
				t.Errorf("%s is a copy, want a link into configuration/", path)
			}

			kind, _, _ := unstructured.NestedString(e.Definition.Object, "spec", "names", "kind")
			composes, _, _ := unstructured.NestedString(e.Composition.Object, "spec", "compositeTypeRef", "kind")
			want := []string{kind, kind}
			if d := cmp.Diff(want, []string{composes, e.CompositeResource.GetKind()}); d != "" {
				t.Errorf("kinds of composition and composite resource (-XRD +files):\n%s", d)
			}

			steps, _, _ := unstructured.NestedSlice(e.Composition.Object, "spec", "pipeline")
			var calls []string
			for _, s := range steps {
				s, _ := s.(map[string]any)
				name, _, _ := unstructured.NestedString(s, "functionRef", "name")
				calls = append(calls, name)
			}
			if d := cmp.Diff(e.Functions, calls); d != "" {
				t.Errorf("functions (-functions.yaml +composition.yaml):\n%s", d)
			}
		})
	}
}
