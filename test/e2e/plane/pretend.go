package plane

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// PretendedLabels of a namespace whose pods are all pretended, servers too.
func PretendedLabels() map[string]string {
	return map[string]string{"e2e.dittofs.io/pods": "pretended"}
}

// elsewhere keeps the rule that says where pods run off such namespaces, and
// allPretended is their own.
const (
	elsewhere = `{"spec": {"matchConstraints": {"namespaceSelector": {"matchExpressions": [
		{"key": "e2e.dittofs.io/pods", "operator": "NotIn", "values": ["pretended"]}]}}}}`

	allPretended = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata:
  name: pods-are-pretended
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {e2e.dittofs.io/pods: pretended}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
  failurePolicy: Fail
  reinvocationPolicy: Never
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
metadata:
  name: pods-are-pretended
spec:
  policyName: pods-are-pretended
`
)

// Pretend makes namespaces with PretendedLabels possible.
func (p *Plane) Pretend(ctx context.Context) error {
	if err := p.Client.ApplyYAML(ctx, []byte(allPretended)); err != nil {
		return err
	}
	policy := &unstructured.Unstructured{}
	policy.SetAPIVersion("admissionregistration.k8s.io/v1")
	policy.SetKind("MutatingAdmissionPolicy")
	policy.SetName("where-pods-run")
	return p.Client.Patch(ctx, policy, client.RawPatch(types.MergePatchType, []byte(elsewhere)))
}
