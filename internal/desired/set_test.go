package desired

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func all(server.Key) bool { return true }

func TestNew(t *testing.T) {
	got := New(server.KeyConfig, corev1ac.ConfigMap("files-config", "team-a").WithData(map[string]string{"a": "b"}), true)
	want := FromMap(server.KeyConfig, map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "files-config", "namespace": "team-a"},
		"data":     map[string]any{"a": "b"},
	}, true)
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("New(...): what was not set is not sent: -want, +got:\n%s", diff)
	}
	if New(server.KeyConfig, "text", true).Err == nil {
		t.Error("New(...): want an error for what is no object")
	}
}

func TestSet(t *testing.T) {
	s := NewSet(func(k server.Key) bool { return k != server.KeyConnection })
	s.Add(
		FromMap(server.KeyConfig, map[string]any{"kind": "ConfigMap"}, true),
		FromMap(server.KeyConnection, map[string]any{"kind": "Secret"}, false),
		FromMap(server.KeyStatefulSet, map[string]any{"kind": "StatefulSet"}, false),
	)
	if diff := cmp.Diff([]server.Key{server.KeyConnection}, s.Held()); diff != "" {
		t.Errorf("Held(): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff([]server.Key{server.KeyStatefulSet}, s.Unready()); diff != "" {
		t.Errorf("Unready(): -want, +got:\n%s", diff)
	}

	earlier := &fnv1.Resource{Resource: &structpb.Struct{}, Ready: fnv1.Ready_READY_TRUE}
	before := &fnv1.State{Resources: map[string]*fnv1.Resource{"earlier": earlier}}
	kept := proto.CloneOf(before)
	rsp := &fnv1.RunFunctionResponse{Desired: before}
	if err := s.Into(rsp); err != nil {
		t.Fatalf("Into(...): %v", err)
	}
	want := &fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{
		"earlier":     earlier,
		"config":      {Resource: &structpb.Struct{Fields: map[string]*structpb.Value{"kind": structpb.NewStringValue("ConfigMap")}}, Ready: fnv1.Ready_READY_TRUE},
		"statefulset": {Resource: &structpb.Struct{Fields: map[string]*structpb.Value{"kind": structpb.NewStringValue("StatefulSet")}}, Ready: fnv1.Ready_READY_FALSE},
	}}}
	if diff := cmp.Diff(want, rsp, protocmp.Transform()); diff != "" {
		t.Errorf("Into(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(kept, before, protocmp.Transform()); diff != "" {
		t.Errorf("Into(...) writes to what was given: -before, +after:\n%s", diff)
	}
}

func TestIntoErrors(t *testing.T) {
	cases := map[string]struct {
		reason string
		object Object
		want   string
	}{
		"NotBuilt":     {"An object that could not be built is named.", Object{Key: server.KeyConfig, Err: errors.New("boom")}, `"config": boom`},
		"NotEncodable": {"A value that no JSON has cannot be sent.", FromMap(server.KeyConfig, map[string]any{"f": func() {}}, false), `"config"`},
		"Taken":        {"An earlier step uses the key.", FromMap("earlier", map[string]any{}, false), `"earlier"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{"earlier": {}}}}
			want := proto.CloneOf(rsp)
			s := NewSet(all)
			s.Add(tc.object)
			err := s.Into(rsp)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\nInto(...): want an error with %q, got %v", tc.reason, tc.want, err)
			}
			if diff := cmp.Diff(want, rsp, protocmp.Transform()); diff != "" {
				t.Errorf("%s\nInto(...): nothing is to be sent: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestWithoutNulls(t *testing.T) {
	in := mustValue(t, map[string]any{"a": nil, "b": map[string]any{"c": nil, "d": 1.0}, "e": []any{nil, "f", map[string]any{"g": nil}}, "h": ""})
	before := proto.CloneOf(in)
	want := mustValue(t, map[string]any{"b": map[string]any{"d": 1.0}, "e": []any{"f", map[string]any{}}, "h": ""})
	if diff := cmp.Diff(want, WithoutNulls(in), protocmp.Transform()); diff != "" {
		t.Errorf("WithoutNulls(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, in, protocmp.Transform()); diff != "" {
		t.Errorf("WithoutNulls(...) writes to what was given: -want, +got:\n%s", diff)
	}
	if got := WithoutNulls(structpb.NewNullValue()); got != nil {
		t.Errorf("WithoutNulls(null): want nil, got %v", got)
	}
}

// What is encoded is what encoding/json makes of it.
func TestEncode(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     any
	}{
		"Secret": {"Bytes are base64, an immutable false stays.", corev1ac.Secret("s", "ns").WithData(map[string][]byte{"k": []byte("v"), "empty": {}}).WithImmutable(false)},
		"Pod": {"Lists, embedded sources, ports by name and number, quantities.", corev1ac.PodSpec().
			WithAutomountServiceAccountToken(false).
			WithContainers(corev1ac.Container().WithName("c").WithCommand("sh", "").
				WithEnv(corev1ac.EnvVar().WithName("E").WithValue("")).
				WithResources(corev1ac.ResourceRequirements().WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1024Mi"), corev1.ResourceCPU: resource.MustParse("0.5")})).
				WithLivenessProbe(corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().WithPort(intstr.FromString("api"))).WithPeriodSeconds(0)).
				WithReadinessProbe(corev1ac.Probe().WithTCPSocket(corev1ac.TCPSocketAction().WithPort(intstr.FromInt32(8080)))).
				WithSecurityContext(corev1ac.SecurityContext().WithRunAsUser(65532).WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")))).
			WithVolumes(corev1ac.Volume().WithName("v").WithSecret(corev1ac.SecretVolumeSource().WithSecretName("s").WithItems(corev1ac.KeyToPath().WithKey("k").WithPath("p"))))},
		"Claim":  {"A claim template has no kind.", (&corev1ac.PersistentVolumeClaimApplyConfiguration{}).WithName("c").WithSpec(corev1ac.PersistentVolumeClaimSpec().WithAccessModes(corev1.ReadWriteOnce))},
		"Status": {"Zeros that are not to be left out stay.", &v1alpha1.DittoServerStatus{Phase: v1alpha1.PhasePending, Database: &v1alpha1.DatabaseStatus{}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			got := New("k", tc.in, false)
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if diff := cmp.Diff(want, got.Content.AsMap()); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func mustValue(t *testing.T, v any) *structpb.Value {
	t.Helper()
	out, err := structpb.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}

	return out
}
