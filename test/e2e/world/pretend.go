package world

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
)

// pretendTimeout is how long the policy may take.
const pretendTimeout = time.Minute

// pretended pods: whatever another policy says of them. It is asked again if
// that changed a pod afterwards.
const pretended = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: where-pods-are-pretended}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {e2e.dittofs.io/pods: pretended}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        has(object.spec.nodeSelector) ?
        [JSONPatch{op: "add", path: "/spec/nodeSelector/e2e.dittofs.io~1pods", value: "pretended"}] :
        [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"e2e.dittofs.io/pods": "pretended"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: where-pods-are-pretended}
spec: {policyName: where-pods-are-pretended}
`

// PretendPods of the scenario's namespace, those of DittoFS included: they are
// ready at once, and do nothing.
func (s *Scenario) PretendPods(ctx context.Context) error {
	if err := s.ApplyYAML(ctx, []byte(pretended)); err != nil {
		return fmt.Errorf("cannot pretend pods: %w", err)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"labels": {"e2e.dittofs.io/pods": "pretended"}}}`))
	object := &corev1.Namespace{}
	object.Name = s.Namespace
	if err := s.Patch(ctx, object, patch); err != nil {
		return err
	}
	// A policy is not in force at once.
	return cluster.Poll(ctx, pretendTimeout, installPoll, func(ctx context.Context) (bool, error) {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = s.Namespace, "probe"
		pod.Labels = map[string]string{"app": "dittofs-server"}
		// It is refused otherwise where the namespace enforces Pod Security.
		yes, no := true, false
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
		pod.Spec.Containers = []corev1.Container{{Name: "probe", Image: "probe", SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}}}
		if err := s.Create(ctx, pod, client.DryRunAll); err != nil {
			return false, err
		}
		if got := pod.Spec.NodeSelector["e2e.dittofs.io/pods"]; got != "pretended" {
			return false, fmt.Errorf("a pod would go to a node of pods that are %s", got)
		}
		return true, nil
	})
}
