package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestValidateKubernetes: what an API server would refuse of the StatefulSet or
// its pod is refused by the field that it comes from.
func TestValidateKubernetes(t *testing.T) {
	const (
		qualified = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
		resource  = `must be cpu, memory, ephemeral-storage, hugepages-<size>, or have the prefix of who provides it, like example.org/gpu`
		equal     = `must be equal to the limit, which has to be set: what is no CPU, memory or storage is not overcommitted`
		fields    = `must be a field that a pod can know of itself, like metadata.name, metadata.labels['app'], spec.nodeName or status.podIP`
		bytes     = `must be 1, or 1 with a unit, like 1k, 1M, 1Ki or 1Mi`
		id        = `must be 0 to 2147483647`
		needs     = `type Localhost needs the profile's name on the node`
		only      = `only type Localhost takes it: remove it, or set type: Localhost`
		sysctl    = `must be the name of a setting of the kernel, like net.ipv4.tcp_syncookies`
		all       = `a container that is privileged or has the capability CAP_SYS_ADMIN has all privileges already: set it to true, or remove the other`
		linux     = `the server runs on Linux: remove it`
		twice     = ` is in labelSelector or mismatchLabelKeys as well: remove it there or here`
		inside    = `must be a path inside the volume, without '/' at its beginning and without '..'`
	)
	cases := map[string]struct {
		reason string
		spec   string
		want   []string
	}{
		"Resources": {
			reason: "What a container can have.",
			spec: `
resources:
  requests: {cpu: 100m, memory: 1Gi, ephemeral-storage: 1Gi, hugepages-2Mi: 4Mi, example.org/gpu: 2}
  limits: {memory: 2Gi, hugepages-2Mi: 4Mi, example.org/gpu: 2, example.org/fpga: 1}`,
		},
		"ResourceNames": {
			reason: "What nobody provides.",
			spec:   `resources: {requests: {nonsense: 1, "-": 1}, limits: {nonsense: 1, "-": 1, storage: 1Gi, requests.example.org/gpu: 1}}`,
			want: []string{
				`spec.resources.limits[-]: Invalid value: "-": ` + qualified,
				`spec.resources.limits[nonsense]: Invalid value: "nonsense": ` + resource,
				`spec.resources.limits[requests.example.org/gpu]: Invalid value: "requests.example.org/gpu": ` + resource,
				`spec.resources.limits[storage]: Invalid value: "storage": ` + resource,
				`spec.resources.requests[-]: Invalid value: "-": ` + qualified,
				`spec.resources.requests[nonsense]: Invalid value: "nonsense": ` + resource,
			},
		},
		"Devices": {
			reason: "A device is neither shared nor divided.",
			spec:   `resources: {requests: {example.org/gpu: 1, example.org/fpga: 1}, limits: {example.org/gpu: 2, example.org/nic: 500m}}`,
			want: []string{
				`spec.resources.limits[example.org/nic]: Invalid value: "500m": must be a whole number: a device is not divided`,
				`spec.resources.requests[example.org/fpga]: Invalid value: "1": ` + equal,
				`spec.resources.requests[example.org/gpu]: Invalid value: "1": ` + equal,
			},
		},
		"HugePages": {
			reason: "Huge pages come in pages, and with something else.",
			spec:   `resources: {limits: {hugepages-2Mi: 3Mi, hugepages-x: 1}}`,
			want: []string{
				`spec.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": must be a multiple of the size of the page`,
				`spec.resources.limits[hugepages-x]: Invalid value: "1": must be a multiple of the size of the page`,
				`spec.resources: Forbidden: huge pages need a request or limit of cpu or memory beside them: set one`,
			},
		},
		"Claims": {
			reason: "A pod without claims has none to offer.",
			spec:   `resources: {claims: [{name: gpu}]}`,
			want:   []string{`spec.resources.claims: Forbidden: the server's pod claims no devices: remove it`},
		},
		"DatabaseResources": {
			reason: "The database's pods are pods too.",
			spec:   `percona: {enabled: true, resources: {limits: {nonsense: 1}}, pgBouncer: {resources: {limits: {nonsense: 1}}}}`,
			want: []string{
				`spec.percona.pgBouncer.resources.limits[nonsense]: Invalid value: "nonsense": ` + resource,
				`spec.percona.resources.limits[nonsense]: Invalid value: "nonsense": ` + resource,
			},
		},
		"Fields": {
			reason: "All that a variable can be.",
			spec: `
pod:
  extraEnv:
  - {name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['example.org/Note']"}}}
  - {name: B, valueFrom: {fieldRef: {fieldPath: "metadata.labels['example.org/Tier']"}}}
  - {name: C, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
  - {name: D, valueFrom: {fieldRef: {fieldPath: status.hostIPs}}}
  - {name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
  - {name: F, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi, containerName: dittofs}}}
  - {name: G, valueFrom: {resourceFieldRef: {resource: requests.ephemeral-storage, divisor: "0"}}}
  - {name: H, valueFrom: {resourceFieldRef: {resource: requests.hugepages-2Mi, divisor: 1k}}}`,
		},
		"BadFields": {
			reason: "What it cannot be.",
			spec: `
pod:
  extraEnv:
  - {name: A, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: "metadata.annotations['not valid']"}}}
  - {name: B, valueFrom: {fieldRef: {fieldPath: "metadata.labels['']"}}}
  - {name: C, valueFrom: {fieldRef: {fieldPath: "spec.nodeName['a']"}}}
  - {name: D, valueFrom: {fieldRef: {fieldPath: "metadata.labels"}}}
  - {name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1k}}}
  - {name: F, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1m, containerName: nope}}}
  - {name: G, valueFrom: {resourceFieldRef: {resource: requests.hugepages-2Mi, divisor: "2"}}}
  - {name: H, valueFrom: {resourceFieldRef: {resource: cpu}}}`,
			want: []string{
				`spec.pod.extraEnv[0].valueFrom.fieldRef.apiVersion: Unsupported value: "v2": supported values: "v1"`,
				`spec.pod.extraEnv[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.annotations['not valid']": ` + qualified,
				`spec.pod.extraEnv[1].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.labels['']": ` + qualified,
				`spec.pod.extraEnv[1].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.labels['']": name part must be non-empty`,
				`spec.pod.extraEnv[2].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nodeName['a']": ` + fields,
				`spec.pod.extraEnv[3].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.labels": ` + fields,
				`spec.pod.extraEnv[4].valueFrom.resourceFieldRef.divisor: Invalid value: "1k": must be 1 or 1m`,
				`spec.pod.extraEnv[5].valueFrom.resourceFieldRef.containerName: Unsupported value: "nope": supported values: "dittofs"`,
				`spec.pod.extraEnv[5].valueFrom.resourceFieldRef.divisor: Invalid value: "1m": ` + bytes,
				`spec.pod.extraEnv[6].valueFrom.resourceFieldRef.divisor: Invalid value: "2": ` + bytes,
				`spec.pod.extraEnv[7].valueFrom.resourceFieldRef.resource: Invalid value: "cpu": must be a resource of the container, like limits.cpu or requests.memory`,
			},
		},
		"Contexts": {
			reason: "What a security context can be.",
			spec: `
securityContext: {runAsUser: 0, runAsGroup: 2147483647, procMount: Default, seccompProfile: {type: Localhost, localhostProfile: a/b.json}, privileged: true, capabilities: {add: [CAP_SYS_ADMIN]}}
podSecurityContext: {fsGroup: 0, supplementalGroups: [0, 5], appArmorProfile: {type: Localhost, localhostProfile: a}, seccompProfile: {type: Unconfined}, sysctls: [{name: net/ipv4/tcp_syncookies, value: "1"}, {name: kernel.shm_rmid_forced, value: "0"}]}`,
		},
		"IDs": {
			reason: "Users and groups are numbers of 31 bits.",
			spec: `
securityContext: {runAsUser: -1, runAsGroup: 2147483648}
podSecurityContext: {runAsUser: -5, runAsGroup: -1, fsGroup: -1, supplementalGroups: [1, -1]}`,
			want: []string{
				`spec.podSecurityContext.fsGroup: Invalid value: -1: ` + id,
				`spec.podSecurityContext.runAsGroup: Invalid value: -1: ` + id,
				`spec.podSecurityContext.runAsUser: Invalid value: -5: ` + id,
				`spec.podSecurityContext.supplementalGroups[1]: Invalid value: -1: ` + id,
				`spec.securityContext.runAsGroup: Invalid value: 2147483648: ` + id,
				`spec.securityContext.runAsUser: Invalid value: -1: ` + id,
			},
		},
		"NoProfile": {
			reason: "A profile on the node has a name.",
			spec: `
securityContext: {seccompProfile: {type: Localhost}, appArmorProfile: {type: Localhost}}
podSecurityContext: {seccompProfile: {type: Localhost, localhostProfile: ""}, appArmorProfile: {type: Localhost, localhostProfile: " a"}}`,
			want: []string{
				`spec.podSecurityContext.appArmorProfile.localhostProfile: Invalid value: " a": must be the name of a profile without white space around it, of at most 4095 bytes`,
				`spec.podSecurityContext.seccompProfile.localhostProfile: Required value: ` + needs,
				`spec.securityContext.appArmorProfile.localhostProfile: Required value: ` + needs,
				`spec.securityContext.seccompProfile.localhostProfile: Required value: ` + needs,
			},
		},
		"ProfileOfAnotherType": {
			reason: "No other has one, and none leads out of its folder.",
			spec: `
securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}, appArmorProfile: {type: Unconfined, localhostProfile: a}}
podSecurityContext: {seccompProfile: {type: Localhost, localhostProfile: a/../b}}`,
			want: []string{
				`spec.podSecurityContext.seccompProfile.localhostProfile: Invalid value: "a/../b": must be a path below the kubelet's folder of profiles, without '/' at its beginning and without '..'`,
				`spec.securityContext.appArmorProfile.localhostProfile: Forbidden: ` + only,
				`spec.securityContext.seccompProfile.localhostProfile: Forbidden: ` + only,
			},
		},
		"Privileges": {
			reason: "A container cannot be kept from what it has.",
			spec:   `securityContext: {privileged: true, allowPrivilegeEscalation: false, procMount: Unmasked, windowsOptions: {runAsUserName: a}}`,
			want: []string{
				`spec.securityContext.allowPrivilegeEscalation: Invalid value: false: ` + all,
				`spec.securityContext.procMount: Unsupported value: "Unmasked": supported values: "Default"`,
				`spec.securityContext.windowsOptions: Forbidden: ` + linux,
			},
		},
		"Capability": {
			reason: "Nor by what is set where nothing is.",
			spec:   `{securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}, podSecurityContext: {windowsOptions: {}, sysctls: [{name: ""}, {name: Net.a}]}}`,
			want: []string{
				`spec.podSecurityContext.sysctls[0].name: Invalid value: "": ` + sysctl,
				`spec.podSecurityContext.sysctls[1].name: Invalid value: "Net.a": ` + sysctl,
				`spec.podSecurityContext.windowsOptions: Forbidden: ` + linux,
				`spec.securityContext.allowPrivilegeEscalation: Invalid value: false: ` + all,
			},
		},
		"LabelKeys": {
			reason: "The pod's own value is added to the selector, which may not ask about it itself.",
			spec: `
pod:
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: a}}, matchLabelKeys: [tier, app]}
  affinity:
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: zone, labelSelector: {matchExpressions: [{key: app, operator: Exists}]}, matchLabelKeys: [app]}
      - {topologyKey: zone, labelSelector: {}, matchLabelKeys: [tier], mismatchLabelKeys: [tier]}
      - {topologyKey: zone, labelSelector: {matchLabels: {app: a}}, matchLabelKeys: [tier], mismatchLabelKeys: [app]}`,
			want: []string{
				`spec.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]: Forbidden: app` + twice,
				`spec.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].matchLabelKeys[0]: Forbidden: tier` + twice,
				`spec.pod.topologySpreadConstraints[0].matchLabelKeys[1]: Forbidden: app` + twice,
			},
		},
		"Drivers": {
			reason: "A driver has the name of a host, in any case.",
			spec: `
pod:
  extraVolumes:
  - {name: a, csi: {driver: CSI.example.org}}
  - {name: b, csi: {driver: "not a driver!"}}
  - {name: c, csi: {driver: ` + strings.Repeat("a.", 32) + `b}}`,
			want: []string{
				`spec.pod.extraVolumes[1].csi.driver: Invalid value: "not a driver!": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
				`spec.pod.extraVolumes[2].csi.driver: Invalid value: "` + strings.Repeat("a.", 32) + `b": must have at most 63 characters`,
			},
		},
		"ReservedFiles": {
			reason: "The kubelet keeps names that begin with two dots for itself.",
			spec:   `pod: {extraVolumes: [{name: a, secret: {secretName: a, items: [{key: a, path: ..data}, {key: a, path: a..b}]}}]}`,
			want:   []string{`spec.pod.extraVolumes[0].secret.items[0].path: Invalid value: "..data": ` + inside},
		},
		"Annotations": {
			reason: "What Kubernetes reads of annotations, if it can.",
			spec:   `pod: {annotations: {container.apparmor.security.beta.kubernetes.io/dittofs: localhost/a, controller.kubernetes.io/pod-deletion-cost: "-5"}}`,
		},
		"BadAnnotations": {
			reason: "What it cannot read, or does not take any more.",
			spec: `
podSecurityContext: {appArmorProfile: {type: RuntimeDefault}}
pod:
  annotations:
    container.apparmor.security.beta.kubernetes.io/dittofs: runtime/default
    container.apparmor.security.beta.kubernetes.io/nope: runtime/default
    controller.kubernetes.io/pod-deletion-cost: "+5"
    kubernetes.io/config.mirror: a
    scheduler.alpha.kubernetes.io/tolerations: "[]"
    seccomp.security.alpha.kubernetes.io/pod: unconfined
    container.seccomp.security.alpha.kubernetes.io/dittofs: unconfined`,
			want: []string{
				`spec.pod.annotations[container.apparmor.security.beta.kubernetes.io/dittofs]: Forbidden: the field appArmorProfile says it already: remove the annotation`,
				`spec.pod.annotations[container.apparmor.security.beta.kubernetes.io/nope]: Forbidden: names a container that is not a person's to confine: only dittofs is`,
				`spec.pod.annotations[container.seccomp.security.alpha.kubernetes.io/dittofs]: Forbidden: Kubernetes takes it for the seccomp profile no more: set seccompProfile in spec.podSecurityContext or spec.securityContext`,
				`spec.pod.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+5": must be a whole number of 32 bits`,
				`spec.pod.annotations[kubernetes.io/config.mirror]: Forbidden: the kubelet gives it to its own pods: remove it`,
				`spec.pod.annotations[scheduler.alpha.kubernetes.io/tolerations]: Forbidden: set spec.pod.tolerations`,
				`spec.pod.annotations[seccomp.security.alpha.kubernetes.io/pod]: Forbidden: Kubernetes takes it for the seccomp profile no more: set seccompProfile in spec.podSecurityContext or spec.securityContext`,
			},
		},
		"BadAppArmor": {
			reason: "A profile has a place.",
			spec:   `pod: {annotations: {container.apparmor.security.beta.kubernetes.io/dittofs: mine}}`,
			want:   []string{`spec.pod.annotations[container.apparmor.security.beta.kubernetes.io/dittofs]: Invalid value: "mine": must be runtime/default, unconfined or localhost/<profile>`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, refusals(t, tc.spec, "{policy: {podSecurity: privileged}}"), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
