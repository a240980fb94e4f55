package plane

// storageClass whose volumes the controller manager makes: one folder each.
const storageClass = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kubernetes.io/host-path
reclaimPolicy: Delete
volumeBindingMode: Immediate
`

// nodes are one whose pods kwok pretends to run, and the rule that sends each
// pod there or to the node whose pods run for real. Users' manifests say
// nothing about it.
const nodes = `
apiVersion: v1
kind: Node
metadata:
  name: pretended
  annotations: {node.alpha.kubernetes.io/ttl: "0"}
  labels: {kubernetes.io/hostname: pretended, kubernetes.io/os: linux, kubernetes.io/arch: amd64, e2e.dittofs.io/pods: pretended}
status:
  capacity: {cpu: 1k, memory: 1Ti, pods: 1M, ephemeral-storage: 1Ti}
  allocatable: {cpu: 1k, memory: 1Ti, pods: 1M, ephemeral-storage: 1Ti}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata:
  name: where-pods-run
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
  failurePolicy: Fail
  reinvocationPolicy: Never
  variables:
  - name: labels
    expression: 'has(object.metadata.labels) ? object.metadata.labels : {}'
  - name: real
    expression: >-
      ('app' in variables.labels && variables.labels['app'] == 'dittofs-server') ||
      'pkg.crossplane.io/function' in variables.labels ||
      'pgv2.percona.com/control-plane' in variables.labels
  - name: where
    expression: 'variables.real ? "real" : "pretended"'
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        has(object.spec.nodeSelector) ?
        [JSONPatch{op: "add", path: "/spec/nodeSelector/e2e.dittofs.io~1pods", value: variables.where}] :
        [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"e2e.dittofs.io/pods": variables.where}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata:
  name: where-pods-run
spec:
  policyName: where-pods-run
`
