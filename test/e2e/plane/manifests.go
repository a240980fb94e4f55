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

// databaseReady is the stage of kwok for a pod of PostgreSQL, heavier than that
// for any pod. Its containers are ready, and have no state: the operator executes
// commands in those that run, and in here there is nothing that could answer.
const databaseReady = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: database-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  weight: 1
  selector:
    matchLabels: {postgres-operator.crunchydata.com/data: postgres}
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Pending]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ Quote $now }}
      conditions:
      {{ range $type := list "Initialized" "ContainersReady" "Ready" }}
      - {type: {{ $type }}, status: "True", lastTransitionTime: {{ Quote $now }}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ Quote .name }}, image: {{ Quote .image }}, ready: true, restartCount: 0, state: {}}
      {{ end }}
      {{ range NodeIPsWith .spec.nodeName }}
      hostIP: {{ Quote . }}
      {{ end }}
      {{ range PodIPsWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace }}
      podIP: {{ Quote . }}
      podIPs: [{ip: {{ Quote . }}}]
      {{ end }}
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
