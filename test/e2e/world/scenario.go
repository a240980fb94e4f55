package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/node"
)

const (
	// Timeout of what is waited for, unless a scenario says otherwise. Nothing
	// takes so long on an idle machine.
	Timeout = 3 * time.Minute

	eventuallyPoll = 200 * time.Millisecond

	dumpTimeout = 30 * time.Second
)

// Kinds that scenarios look at. The Percona operator makes a PostgresCluster of
// each PerconaPGCluster.
var (
	DittoServer = schema.GroupVersionKind{Group: "dittofs.io", Version: "v1alpha1", Kind: "DittoServer"}      //nolint:gochecknoglobals // A name.
	PGCluster   = schema.GroupVersionKind{Group: "pgv2.percona.com", Version: "v2", Kind: "PerconaPGCluster"} //nolint:gochecknoglobals // A name.

	PostgresCluster = schema.GroupVersionKind{Group: "postgres-operator.crunchydata.com", Version: "v1beta1", Kind: "PostgresCluster"} //nolint:gochecknoglobals // A name.
)

// A Scenario is a story in a namespace of its own. What is left at its end is
// kept in a folder of its name.
type Scenario struct {
	testing.TB
	*World

	// Namespace that it happens in.
	Namespace string

	// Folder for what it leaves to be read.
	Folder string
}

// Scenario begins a story.
func (w *World) Scenario(t *testing.T) *Scenario {
	t.Helper()
	name := strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(strings.TrimPrefix(t.Name(), "Test"), "-"))
	s := &Scenario{TB: t, World: w, Namespace: name, Folder: filepath.Join(w.Out, name)}
	if err := errors.Join(os.RemoveAll(s.Folder), os.MkdirAll(s.Folder, 0o755)); err != nil { //nolint:gosec // To be read by everyone.
		t.Fatal(err)
	}
	// Every pod of a story has to pass Kubernetes' strictest level.
	if err := w.Create(t.Context(), namespace(name, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// Step of the story: a line of progress.
func (s *Scenario) Step(format string, args ...any) { //nolint:goprintffuncname // Step reads better in a story.
	s.Helper()
	s.Say("%s: %s", s.Namespace, fmt.Sprintf(format, args...))
}

// Apply manifests in the scenario's namespace, as a user does with kubectl.
func (s *Scenario) Apply(manifests string) {
	s.Helper()
	if err := s.ApplyYAMLIn(s.Context(), s.Namespace, []byte(manifests)); err != nil {
		s.Fatal(err)
	}
}

// Eventually the check gives no error. The error says what is missing.
func (s *Scenario) Eventually(what string, check func(ctx context.Context) error) {
	s.Helper()
	s.Within(Timeout, what, check)
}

// Within some time the check gives no error.
func (s *Scenario) Within(timeout time.Duration, what string, check func(ctx context.Context) error) {
	s.Helper()
	began := time.Now()
	err := cluster.Poll(s.Context(), timeout, eventuallyPoll, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		return err == nil, err
	})
	if err != nil {
		s.Fatalf("not within %s: %s: %v", timeout, what, err)
	}
	s.Step("%s (%.1fs)", what, time.Since(began).Seconds())
}

// Throughout some time the check gives no error.
func (s *Scenario) Throughout(d time.Duration, what string, check func(ctx context.Context) error) {
	s.Helper()
	err := cluster.Poll(s.Context(), d, eventuallyPoll, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && ctx.Err() == nil {
			return true, err
		}
		return false, nil
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("not all the time: %s: %v", what, err)
	}
	s.Step("%s (for %s)", what, d)
}

// Find an object of the namespace.
func (s *Scenario) Find(ctx context.Context, gvk schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u, s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, u)
}

// StatefulSet of the namespace.
func (s *Scenario) StatefulSet(ctx context.Context, name string) (*appsv1.StatefulSet, error) {
	var object appsv1.StatefulSet
	return &object, s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &object)
}

// Pod of the namespace.
func (s *Scenario) Pod(ctx context.Context, name string) (*corev1.Pod, error) {
	var object corev1.Pod
	return &object, s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &object)
}

// Secret of the namespace.
func (s *Scenario) Secret(ctx context.Context, name string) (*corev1.Secret, error) {
	var object corev1.Secret
	return &object, s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &object)
}

// VolumeFolder is where the data of a claim is.
func (s *Scenario) VolumeFolder(ctx context.Context, claim string) (string, error) {
	var object corev1.PersistentVolumeClaim
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: claim}, &object); err != nil {
		return "", err
	}
	var volume corev1.PersistentVolume
	if err := s.Get(ctx, client.ObjectKey{Name: object.Spec.VolumeName}, &volume); err != nil {
		return "", err
	}
	if volume.Spec.HostPath == nil {
		return "", fmt.Errorf("the volume of claim %s is no folder", claim)
	}
	return volume.Spec.HostPath.Path, nil
}

// Absent is an error if an object is there.
func (s *Scenario) Absent(ctx context.Context, object client.Object, name string) error {
	err := s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("%T %s is there", object, name)
	}
}

// Log of a container, over all its starts.
func (s *Scenario) Log(pod, container string) (string, error) {
	content, err := os.ReadFile(filepath.Join(node.LogFolder(s.Logs, s.Namespace, pod), container+".log")) //nolint:gosec // Ours.
	return string(content), err
}

// Keep something to be read afterwards, as a file of the scenario's folder.
func (s *Scenario) Keep(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.Folder, name), []byte(content), 0o644); err != nil { //nolint:gosec // To be read by everyone.
		s.Error(err)
	}
}

// ConditionIs checks a condition of an object.
func (s *Scenario) ConditionIs(ctx context.Context, gvk schema.GroupVersionKind, name, condition, status string) error {
	u, err := s.Find(ctx, gvk, name)
	if err != nil {
		return err
	}
	if got := Condition(u, condition); string(got.Status) != status {
		return fmt.Errorf("%s %s: %s is %s, %s: %s", gvk.Kind, name, condition, got.Status, got.Reason, got.Message)
	}
	return nil
}

// Condition of an object; empty if it has none of that type.
func Condition(u *unstructured.Unstructured, name string) metav1.Condition {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok || fields["type"] != name {
			continue
		}
		var c metav1.Condition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &c); err == nil {
			return c
		}
	}
	return metav1.Condition{}
}

// end the story: keep what there is, and clear up.
func (s *Scenario) end() {
	ctx, cancel := context.WithTimeout(context.Background(), dumpTimeout)
	defer cancel()
	if err := s.dump(ctx); err != nil {
		s.Errorf("cannot keep what is left: %v", err)
	}
	if s.Failed() {
		s.Step("FAILED; what is left is in %s", s.Folder)
		return // It stays there too, to be looked at.
	}
	if err := s.Delete(ctx, namespace(s.Namespace, nil)); err != nil {
		s.Error(err)
	}
}
