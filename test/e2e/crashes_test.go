package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/plane"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// TestFunctionCrash tells that the function may die at any moment.
func TestFunctionCrash(t *testing.T) {
	const (
		crashes = 8
		later   = 30 * time.Millisecond // A reconcile takes some 100.
	)
	s := earth.Scenario(t)
	survive(s, crashes, later, func(ctx context.Context) error {
		name, err := functionPod(ctx, s)
		if err != nil {
			return err
		}
		return s.Node.Crash(plane.CrossplaneNamespace, name)
	})
}

// TestCrossplaneCrash tells that Crossplane may die at any moment.
func TestCrossplaneCrash(t *testing.T) {
	const (
		crashes = 6
		later   = 700 * time.Millisecond // It takes a second or two to begin.
	)
	s := earth.Scenario(t)
	survive(s, crashes, later, func(ctx context.Context) error { return s.Plane.CrashCrossplane(ctx) })
}

// TestAPIServerCrash tells that the API server may die at any moment.
func TestAPIServerCrash(t *testing.T) {
	const (
		crashes = 3
		later   = 100 * time.Millisecond
	)
	s := earth.Scenario(t)
	survive(s, crashes, later, s.Plane.CrashAPIServer)
}

// survive crashes while edits are reconciled: the last edit comes true, another
// server can be made meanwhile, and nothing is replaced. The server that there
// is answers all the time. Each crash comes a little later after its edit than
// the one before.
func survive(s *world.Scenario, crashes int, later time.Duration, crash func(context.Context) error) {
	s.Helper()
	s.Apply(percona)
	waitForServer(s, "files")
	before := take(s, "files")
	made := inventory(s)
	stop := serve(s)

	step := ""
	for i := range crashes {
		step = fmt.Sprint(i)
		edit := percona + "  service: {annotations: {example.org/step: " + fmt.Sprintf("%q", step) + "}}\n"
		if i == crashes-1 {
			edit += "---" + more
		}
		s.Eventually("the server is edited", func(ctx context.Context) error {
			return s.ApplyYAMLIn(ctx, s.Namespace, []byte(edit))
		})
		time.Sleep(time.Duration(i) * later)
		s.Eventually("there is a crash", crash)
	}
	waitForAnnotation(s, step)
	s.Eventually("the other server, made at the last crash, is ready", func(ctx context.Context) error {
		return errors.Join(podReady(ctx, s, "more-0"), s.ConditionIs(ctx, world.DittoServer, "more", "Ready", "True"))
	})
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error { return healthy(ctx, s) })
	s.Throughout(quiet, "the server is as it was", before.same)
	for object, uid := range inventory(s) {
		if made[object] != uid {
			s.Errorf("%s is %s, was %q: want nothing replaced or new", object, uid, made[object])
		}
		delete(made, object)
	}
	for object := range made {
		s.Errorf("%s is gone", object)
	}
	stop()
}

// more is another server.
const more = `
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: more}
spec:
  storage: {metadataSize: 1Gi}
`

// inventory of what is composed of the server.
func inventory(s *world.Scenario) map[string]types.UID {
	s.Helper()
	composed, err := composedOf(s.Context(), s, "files")
	if err != nil {
		s.Fatal(err)
	}
	uids := map[string]types.UID{}
	for _, u := range composed {
		uids[u.GetKind()+" "+u.GetName()] = u.GetUID()
	}
	return uids
}

// composedOf a server are these objects, as its XR names them.
func composedOf(ctx context.Context, s *world.Scenario, name string) ([]*unstructured.Unstructured, error) {
	xr, err := s.Find(ctx, world.DittoServer, name)
	if err != nil {
		return nil, err
	}
	refs, _, err := unstructured.NestedSlice(xr.Object, "spec", "crossplane", "resourceRefs")
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("DittoServer %s has no composed resources", name)
	}
	var composed []*unstructured.Unstructured
	for _, item := range refs {
		ref := &unstructured.Unstructured{}
		ref.Object, _ = item.(map[string]any)
		name, _, _ := unstructured.NestedString(ref.Object, "name")
		u, err := s.Find(ctx, schema.FromAPIVersionAndKind(ref.GetAPIVersion(), ref.GetKind()), name)
		if err != nil {
			return nil, err
		}
		composed = append(composed, u)
	}
	return composed, nil
}

// functionPod is the pod of the function.
func functionPod(ctx context.Context, s *world.Scenario) (string, error) {
	var pods corev1.PodList
	if err := s.List(ctx, &pods, client.InNamespace(plane.CrossplaneNamespace), client.HasLabels{"pkg.crossplane.io/function"}); err != nil {
		return "", err
	}
	if len(pods.Items) != 1 {
		return "", fmt.Errorf("the function has %d pods, want one", len(pods.Items))
	}
	return pods.Items[0].Name, nil
}
