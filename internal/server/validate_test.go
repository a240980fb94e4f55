package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// asked is a request for a server with this spec, under this Input.
func asked(tb testing.TB, spec, input string) *fnv1.RunFunctionRequest {
	tb.Helper()
	read := func(text string) map[string]any {
		out := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &out); err != nil {
			tb.Fatal(err)
		}

		return out
	}
	message := func(in map[string]any) *structpb.Struct {
		out, err := structpb.NewStruct(in)
		if err != nil {
			tb.Fatal(err)
		}

		return out
	}

	xr := read(spec)
	if _, ok := xr["storage"]; !ok {
		xr["storage"] = map[string]any{"metadataSize": "10Gi"}
	}

	return &fnv1.RunFunctionRequest{
		Input: message(read(input)),
		Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: message(map[string]any{
			"apiVersion": "dittofs.io/v1alpha1",
			"kind":       "DittoServer",
			"metadata":   map[string]any{"name": "files", "namespace": "team-a"},
			"spec":       xr,
		})}},
	}
}

// inAnyOrder of refusals; TestRefusalsAreStable holds that it is the same every
// time.
var inAnyOrder = cmpopts.SortSlices(func(a, b string) bool { return a < b }) //nolint:gochecknoglobals // A constant in all but syntax.

// refusals are what is wrong with a spec, in the order that a person is told.
func refusals(tb testing.TB, spec, input string) []string {
	tb.Helper()
	_, err := Resolve(asked(tb, spec, input))
	if err == nil {
		return nil
	}
	var all interface{ Errors() []error }
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	out := make([]string, 0, len(all.Errors()))
	for _, e := range all.Errors() {
		if _, ok := errors.AsType[*field.Error](e); !ok {
			tb.Errorf("%v names no field", e)
		}
		out = append(out, e.Error())
	}

	return out
}

func TestValidateConfig(t *testing.T) {
	cases := map[string]struct {
		reason string
		config string
		want   []string
	}{
		"Settings": {
			reason: "Settings that have no field, at any depth.",
			config: `{gc: {interval: 1h}, controlplane: {read_timeout: 5s, idle_timeout: 1m}, shutdown_timeout: 20s, snapshot: null, blockstore: {local: [{path: /a}]}}`,
		},
		"TimeoutWithoutUnit": {
			reason: "The server takes a bare number for nanoseconds, and cuts every connection.",
			config: `{shutdown_timeout: 30}`,
			want:   []string{`spec.config.shutdown_timeout: Invalid value: 30: must be a duration greater than zero with units, like 30s`},
		},
		"TimeoutBeyondTheGracePeriod": {
			reason: "The kubelet would kill the server while it writes.",
			config: `{shutdown_timeout: 2m}`,
			want:   []string{`spec.config.shutdown_timeout: Invalid value: "2m": the server would be killed before it has ended: set spec.terminationGracePeriodSeconds to 370 or more, or choose a shorter time`},
		},
		"Text": {
			reason: "A file has settings.",
			config: `"gc: {}"`,
			want:   []string{`spec.config: Invalid value: must be an object, like the server's config.yaml`},
		},
		"List": {
			reason: "A list has no names.",
			config: `[gc]`,
			want:   []string{`spec.config: Invalid value: must be an object, like the server's config.yaml`},
		},
		"Fields": {
			reason: "Two places for one setting would be a guess which one holds.",
			config: `{database: {type: sqlite}, admin: {}, ldap: null, kerberos: {}, metrics: {}, logging: {}, controlplane: {host: a, port: 1, jwt: {}, tls: {}, read_timeout: 5s}}`,
			want: []string{
				`spec.config.admin: Forbidden: this setting belongs to the function and cannot be set here: set spec.identity.admin, and remove what has no field there`,
				`spec.config.controlplane.host: Forbidden: this setting belongs to the function and cannot be set here: the server listens on all addresses of its pod; remove it`,
				`spec.config.controlplane.jwt: Forbidden: this setting belongs to the function and cannot be set here: set spec.identity.jwt, and remove what has no field there`,
				`spec.config.controlplane.port: Forbidden: this setting belongs to the function and cannot be set here: set spec.controlPlane.port`,
				`spec.config.controlplane.tls: Forbidden: this setting belongs to the function and cannot be set here: set spec.controlPlane.certSecretName and clientCASecretName, and remove what has no field there`,
				`spec.config.database: Forbidden: this setting belongs to the function and cannot be set here: set spec.database or spec.percona, and remove what has no field there`,
				`spec.config.kerberos: Forbidden: this setting belongs to the function and cannot be set here: set spec.identity.kerberos, and remove what has no field there`,
				`spec.config.ldap: Forbidden: this setting belongs to the function and cannot be set here: set spec.identity.ldap, and remove what has no field there`,
				`spec.config.logging: Forbidden: this setting belongs to the function and cannot be set here: set spec.logging, and remove what has no field there`,
				`spec.config.metrics: Forbidden: this setting belongs to the function and cannot be set here: set spec.metrics, and remove what has no field there`,
			},
		},
		"FieldsInCapitals": {
			reason: "The server's loader does not tell upper and lower case apart.",
			config: `{DataBase: {type: sqlite}, controlplane: {Port: 1}}`,
			want: []string{
				`spec.config.DataBase: Forbidden: this setting belongs to the function and cannot be set here: set spec.database or spec.percona, and remove what has no field there`,
				`spec.config.controlplane.Port: Forbidden: this setting belongs to the function and cannot be set here: set spec.controlPlane.port`,
			},
		},
		"Dots": {
			reason: "Nor a dot from the way down, and YAML takes << for something else.",
			config: `{database.type: sqlite, gc: {a.b: 1}, "<<": {database: {}}, "": 1}`,
			want: []string{
				`spec.config.gc[a.b]: Invalid value: "a.b": must be the name of one setting, without dots: write what is below it as an object`,
				`spec.config[<<]: Invalid value: "<<": must be the name of one setting, without dots: write what is below it as an object`,
				`spec.config[]: Invalid value: "": must be the name of one setting, without dots: write what is below it as an object`,
				`spec.config[database.type]: Invalid value: "database.type": must be the name of one setting, without dots: write what is below it as an object`,
			},
		},
		"Secrets": {
			reason: "Whoever may read a DittoServer or a ConfigMap could read them.",
			config: `{blockstore: {Password: a, remotes: [{secret: b}, {keys: {TOKEN: c}}]}, tokens: {max: 1}, secret_name: x}`,
			want: []string{
				`spec.config.blockstore.Password: Forbidden: a DittoServer is no place for secrets: put it into a Secret, and refer to that in spec.pod.extraEnv as DITTOFS_BLOCKSTORE_PASSWORD`,
				`spec.config.blockstore.remotes[0].secret: Forbidden: a DittoServer is no place for secrets: put it into a Secret`,
				`spec.config.blockstore.remotes[1].keys.TOKEN: Forbidden: a DittoServer is no place for secrets: put it into a Secret`,
			},
		},
		"Repeated": {
			reason: "It would be a matter of chance which of them the server reads.",
			config: `{gc: {Interval: 1h, interval: 2h}}`,
			want:   []string{`spec.config.gc.interval: Invalid value: "interval": is the same setting as Interval: the server does not tell upper and lower case apart, remove one`},
		},
		"RepeatedOurs": {
			reason: "The same of what the function itself writes.",
			config: `{ControlPlane: {read_timeout: 5s}, SHUTDOWN_TIMEOUT: 1m}`,
			want: []string{
				`spec.config.ControlPlane: Invalid value: "ControlPlane": must be in lower case, as the function writes it: controlplane`,
				`spec.config.SHUTDOWN_TIMEOUT: Invalid value: "SHUTDOWN_TIMEOUT": must be in lower case, as the function writes it: shutdown_timeout`,
			},
		},
		"NoControlPlane": {
			reason: "The port would be gone, and with it every probe.",
			config: `{controlplane: null}`,
			want:   []string{`spec.config.controlplane: Invalid value: must be an object: what the function says in it would be lost`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, refusals(t, "config: "+tc.config, "{}"), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidatePod(t *testing.T) {
	const (
		field     = ` belongs to the function and cannot be set here: where a field says the same (in database, controlPlane, identity, metrics, logging or percona), set that field instead, else remove the variable`
		oneValue  = `a value comes from exactly one source: configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef`
		inside    = `must be a path inside the volume, without '/' at its beginning and without '..'`
		below     = `must be an absolute path below /, without ':', '.' and '..', and without '/' at its end`
		elsewhere = `, where the server has something of its own: choose another path`
		ownName   = ` is the name of one of the server's own volumes: choose another name`
	)
	cases := map[string]struct {
		reason string
		pod    string
		want   []string
	}{
		"Variables": {
			reason: "Upper and lower case are different variables, and so is a longer name.",
			pod:    `{extraEnv: [{name: database_url}, {name: DITTOFS_GC_INTERVAL, value: 1h}, {name: DITTOFS_DATABASE}, {name: MY_DITTOFS_LDAP_URL}, {name: a-b.c}]}`,
		},
		"OwnVariables": {
			reason: "The server would run on something else than its conditions say.",
			pod: `
extraEnv:
- {name: DATABASE_URL}
- {name: DITTOFS_DATABASE_TYPE}
- {name: DITTOFS_CONTROLPLANE_SECRET}
- {name: DITTOFS_ADMIN_INITIAL_PASSWORD}
- {name: DITTOFS_LDAP_URL}
- {name: DITTOFS_KERBEROS_KEYTAB}
- {name: DITTOFS_METRICS_ENABLED}
- {name: DITTOFS_LOGGING_LEVEL}`,
			want: []string{
				`spec.pod.extraEnv[0].name: Forbidden: DATABASE_URL` + field,
				`spec.pod.extraEnv[1].name: Forbidden: DITTOFS_DATABASE_TYPE` + field,
				`spec.pod.extraEnv[2].name: Forbidden: DITTOFS_CONTROLPLANE_SECRET` + field,
				`spec.pod.extraEnv[3].name: Forbidden: DITTOFS_ADMIN_INITIAL_PASSWORD` + field,
				`spec.pod.extraEnv[4].name: Forbidden: DITTOFS_LDAP_URL` + field,
				`spec.pod.extraEnv[5].name: Forbidden: DITTOFS_KERBEROS_KEYTAB` + field,
				`spec.pod.extraEnv[6].name: Forbidden: DITTOFS_METRICS_ENABLED` + field,
				`spec.pod.extraEnv[7].name: Forbidden: DITTOFS_LOGGING_LEVEL` + field,
			},
		},
		"RepeatedVariable": {
			reason: "A repeated key aborts the apply.",
			pod:    `{extraEnv: [{name: A, value: b}, {name: A, value: c}]}`,
			want:   []string{`spec.pod.extraEnv[1].name: Duplicate value: "A"`},
		},
		"Values": {
			reason: "A variable has one value.",
			pod: `
extraEnv:
- {name: BOTH, value: a, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: NONE, valueFrom: {}}
- {name: TWO, valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}
- {name: FILE, valueFrom: {fileKeyRef: {volumeName: a, path: b, key: c}}}`,
			want: []string{
				`spec.pod.extraEnv[0].value: Forbidden: a variable has one value: set either value or valueFrom, not both`,
				`spec.pod.extraEnv[1].valueFrom: Invalid value: "0 sources": ` + oneValue,
				`spec.pod.extraEnv[2].valueFrom: Invalid value: "2 sources": ` + oneValue,
				`spec.pod.extraEnv[3].valueFrom.fileKeyRef: Forbidden: no container of the pod could write the file: use secretKeyRef or configMapKeyRef`,
			},
		},
		"Sources": {
			reason: "The pod would be refused, or wait for ever.",
			pod: `
extraEnv:
- {name: A, valueFrom: {fieldRef: {fieldPath: spec.containers}}}
- {name: B, valueFrom: {resourceFieldRef: {resource: limits.gpu, divisor: "-1"}}}
- {name: C, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
- {name: D, valueFrom: {resourceFieldRef: {resource: requests.memory}}}`,
			want: []string{
				`spec.pod.extraEnv[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.containers": must be a field that a pod can know of itself, like metadata.name, metadata.labels['app'], spec.nodeName or status.podIP`,
				`spec.pod.extraEnv[1].valueFrom.resourceFieldRef.resource: Invalid value: "limits.gpu": must be a resource of the container, like limits.cpu or requests.memory`,
			},
		},
		"OwnVolumes": {
			reason: "A repeated key aborts the apply, and one that is repeated later would do so then.",
			pod: `
extraVolumes:
- {name: config, emptyDir: {}}
- {name: tls-cert, emptyDir: {}}
- {name: tls-client-ca, emptyDir: {}}
- {name: metrics-token, emptyDir: {}}
- {name: kerberos-keytab, emptyDir: {}}
- {name: kerberos-krb5, emptyDir: {}}
- {name: kerberos-machine-keytab, emptyDir: {}}
- {name: ldap-ca, emptyDir: {}}
- {name: postgres-ca, emptyDir: {}}
- {name: controlplane, emptyDir: {}}
- {name: metadata, emptyDir: {}}
- {name: content, emptyDir: {}}`,
			want: []string{
				`spec.pod.extraVolumes[0].name: Forbidden: config` + ownName,
				`spec.pod.extraVolumes[10].name: Forbidden: metadata` + ownName,
				`spec.pod.extraVolumes[11].name: Forbidden: content` + ownName,
				`spec.pod.extraVolumes[1].name: Forbidden: tls-cert` + ownName,
				`spec.pod.extraVolumes[2].name: Forbidden: tls-client-ca` + ownName,
				`spec.pod.extraVolumes[3].name: Forbidden: metrics-token` + ownName,
				`spec.pod.extraVolumes[4].name: Forbidden: kerberos-keytab` + ownName,
				`spec.pod.extraVolumes[5].name: Forbidden: kerberos-krb5` + ownName,
				`spec.pod.extraVolumes[6].name: Forbidden: kerberos-machine-keytab` + ownName,
				`spec.pod.extraVolumes[7].name: Forbidden: ldap-ca` + ownName,
				`spec.pod.extraVolumes[8].name: Forbidden: postgres-ca` + ownName,
				`spec.pod.extraVolumes[9].name: Forbidden: controlplane` + ownName,
			},
		},
		"Volumes": {
			reason: "The pod would be refused.",
			pod: `
extraVolumes:
- {name: a, configMap: {name: a, defaultMode: 512, items: [{key: a/b, path: ../a, mode: -1}]}}
- {name: a, secret: {secretName: a, items: [{key: a, path: /a}]}}
- {name: b, hostPath: {path: /}}
- {name: c, emptyDir: {medium: Disk, sizeLimit: "-1"}}
- {name: d, csi: {driver: "", nodePublishSecretRef: {name: a}}, emptyDir: {}}`,
			want: []string{
				`spec.pod.extraVolumes[0].configMap.defaultMode: Invalid value: 512: must be the mode of a file, 0 to 0777; in JSON, which has no octal numbers, 0 to 511`,
				`spec.pod.extraVolumes[0].configMap.items[0].key: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
				`spec.pod.extraVolumes[0].configMap.items[0].mode: Invalid value: -1: must be the mode of a file, 0 to 0777; in JSON, which has no octal numbers, 0 to 511`,
				`spec.pod.extraVolumes[0].configMap.items[0].path: Invalid value: "../a": ` + inside,
				`spec.pod.extraVolumes[1].name: Duplicate value: "a"`,
				`spec.pod.extraVolumes[1].secret.items[0].path: Invalid value: "/a": ` + inside,
				`spec.pod.extraVolumes[2]: Invalid value: "0 sources": a volume has exactly one source: configMap, secret, emptyDir, persistentVolumeClaim or csi`,
				`spec.pod.extraVolumes[3].emptyDir.medium: Unsupported value: "Disk": supported values: "Memory", "HugePages"`,
				`spec.pod.extraVolumes[3].emptyDir.sizeLimit: Invalid value: "-1": must not be negative`,
				`spec.pod.extraVolumes[4].csi.driver: Required value: say which driver makes the volume`,
				`spec.pod.extraVolumes[4]: Invalid value: "2 sources": a volume has exactly one source: configMap, secret, emptyDir, persistentVolumeClaim or csi`,
			},
		},
		"Mounts": {
			reason: "Beside the server's own, also if a name begins alike.",
			pod: `
extraVolumes: [{name: a, emptyDir: {}}]
extraVolumeMounts:
- {name: a, mountPath: /configuration}
- {name: a, mountPath: /data/store/cache, subPath: a/b..c}
- {name: a, mountPath: /.hidden, subPathExpr: $(POD)}
- {name: a, mountPath: /ro, readOnly: true, recursiveReadOnly: Enabled, mountPropagation: None}`,
		},
		"OwnMounts": {
			reason: "The server would not find what it is to read, or lose what it writes.",
			pod: `
extraVolumes: [{name: a, emptyDir: {}}]
extraVolumeMounts:
- {name: a, mountPath: /config}
- {name: a, mountPath: /data}
- {name: a, mountPath: /data/store}
- {name: a, mountPath: /data/store/block/x}
- {name: a, mountPath: /app/dfs}
- {name: a, mountPath: /kerberos-machine}`,
			want: []string{
				`spec.pod.extraVolumeMounts[0].mountPath: Forbidden: /config is at, above or below /config` + elsewhere,
				`spec.pod.extraVolumeMounts[1].mountPath: Forbidden: /data is at, above or below /data/controlplane` + elsewhere,
				`spec.pod.extraVolumeMounts[2].mountPath: Forbidden: /data/store is at, above or below /data/store/block` + elsewhere,
				`spec.pod.extraVolumeMounts[3].mountPath: Forbidden: /data/store/block/x is at, above or below /data/store/block` + elsewhere,
				`spec.pod.extraVolumeMounts[4].mountPath: Forbidden: /app/dfs is at, above or below /app` + elsewhere,
				`spec.pod.extraVolumeMounts[5].mountPath: Forbidden: /kerberos-machine is at, above or below /kerberos-machine` + elsewhere,
			},
		},
		"BadMounts": {
			reason: "A repeated path aborts the apply; the others no pod can have.",
			pod: `
extraVolumes: [{name: a, emptyDir: {}}]
extraVolumeMounts:
- {name: a, mountPath: /a}
- {name: a, mountPath: /a, subPath: b}
- {name: a, mountPath: relative}
- {name: a, mountPath: /}
- {name: a, mountPath: /b/}
- {name: a, mountPath: /b/../c}
- {name: a, mountPath: "/b:c"}
- {name: metadata, mountPath: /mine}
- {name: a, mountPath: /d, subPath: ../e, subPathExpr: /f}
- {name: a, mountPath: /g, mountPropagation: Bidirectional}
- {name: a, mountPath: /h, recursiveReadOnly: Enabled}`,
			want: []string{
				`spec.pod.extraVolumeMounts[10].recursiveReadOnly: Forbidden: needs readOnly: true, and no mountPropagation`,
				`spec.pod.extraVolumeMounts[1].mountPath: Duplicate value: "/a"`,
				`spec.pod.extraVolumeMounts[2].mountPath: Invalid value: "relative": ` + below,
				`spec.pod.extraVolumeMounts[3].mountPath: Invalid value: "/": ` + below,
				`spec.pod.extraVolumeMounts[4].mountPath: Invalid value: "/b/": ` + below,
				`spec.pod.extraVolumeMounts[5].mountPath: Invalid value: "/b/../c": ` + below,
				`spec.pod.extraVolumeMounts[6].mountPath: Invalid value: "/b:c": ` + below,
				`spec.pod.extraVolumeMounts[7].name: Invalid value: "metadata": is none of pod.extraVolumes: correct it, or add the volume`,
				`spec.pod.extraVolumeMounts[8].subPathExpr: Forbidden: a mount has one path inside its volume: set either subPath or subPathExpr, not both`,
				`spec.pod.extraVolumeMounts[8].subPathExpr: Invalid value: "/f": ` + inside,
				`spec.pod.extraVolumeMounts[8].subPath: Invalid value: "../e": ` + inside,
				`spec.pod.extraVolumeMounts[9].mountPropagation: Forbidden: only a privileged container may mount for others: choose another propagation`,
			},
		},
		"OwnLabels": {
			reason: "The StatefulSet finds its pods by the first two, and the function its objects by the others.",
			pod: `
labels: {app: a, instance: a, app.kubernetes.io/name: a, app.kubernetes.io/instance: a, app.kubernetes.io/managed-by: a, app.kubernetes.io/component: a, dittofs.io/x: a, app.kubernetes.io/version: fine}
annotations: {dittofs.io/config-hash: a, app: fine}`,
			want: []string{
				`spec.pod.annotations[dittofs.io/config-hash]: Forbidden: this annotation is the server's own: choose another name`,
				`spec.pod.labels[app.kubernetes.io/component]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[app.kubernetes.io/instance]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[app.kubernetes.io/managed-by]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[app.kubernetes.io/name]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[app]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[dittofs.io/x]: Forbidden: this label is the server's own: choose another name`,
				`spec.pod.labels[instance]: Forbidden: this label is the server's own: choose another name`,
			},
		},
		"Tolerations": {
			reason: "The pod would be refused.",
			pod: `
tolerations:
- {operator: Exists}
- {key: a, value: b, effect: NoExecute, tolerationSeconds: 5}
- {value: b}
- {key: a, operator: Exists, value: b}
- {key: a, effect: NoSchedule, tolerationSeconds: 5}`,
			want: []string{
				`spec.pod.tolerations[2].key: Required value: say which taint is tolerated, or set operator: Exists for all of them`,
				`spec.pod.tolerations[3].value: Forbidden: operator Exists takes no value: remove it`,
				`spec.pod.tolerations[4].tolerationSeconds: Forbidden: only effect NoExecute takes a time: remove it, or set effect: NoExecute`,
			},
		},
		"Spread": {
			reason: "Two constraints of one key abort the apply; the others no pod can have.",
			pod: `
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}
- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}
- {maxSkew: 0, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, matchLabelKeys: [app]}
- {maxSkew: 1, topologyKey: host, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchExpressions: [{key: a, operator: In}]}, matchLabelKeys: [b, b]}`,
			want: []string{
				`spec.pod.topologySpreadConstraints[1].minDomains: Invalid value: 2: must be at least 1, and only whenUnsatisfiable: DoNotSchedule takes it`,
				`spec.pod.topologySpreadConstraints[2].matchLabelKeys: Forbidden: completes a labelSelector: set that, or remove this`,
				`spec.pod.topologySpreadConstraints[2].maxSkew: Invalid value: 0: must be at least 1`,
				`spec.pod.topologySpreadConstraints[2].topologyKey: Duplicate value: "zone with DoNotSchedule"`,
				`spec.pod.topologySpreadConstraints[3].labelSelector.matchExpressions[0].values: Required value: must be specified when ` + "`operator`" + ` is 'In' or 'NotIn'`,
				`spec.pod.topologySpreadConstraints[3].matchLabelKeys[1]: Duplicate value: "b"`,
			},
		},
		"Affinity": {
			reason: "What the API server would refuse of it.",
			pod: `
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions: [{key: cores, operator: Gt, values: [many]}, {key: disk, operator: Exists}]
        matchFields: [{key: metadata.uid, operator: In, values: [a, b]}]
    preferredDuringSchedulingIgnoredDuringExecution:
    - {weight: 0, preference: {matchExpressions: [{key: disk, operator: In, values: [ssd]}]}}
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: "", labelSelector: {}}]
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution: [{weight: 101, podAffinityTerm: {topologyKey: zone, namespaces: [A], mismatchLabelKeys: [app]}}]`,
			want: []string{
				`spec.pod.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be 1 to 100`,
				`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: Invalid value: "cores": is no requirement that a node can meet: spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values[0]: Invalid value: "many": for 'Gt', 'Lt' operators, the value must be an integer`,
				`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: Unsupported value: "metadata.uid": supported values: "metadata.name"`,
				`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values: Invalid value: ["a","b"]: must be the name of one node`,
				`spec.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must be non-empty`,
				`spec.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
				`spec.pod.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.mismatchLabelKeys: Forbidden: completes a labelSelector: set that, or remove this`,
				`spec.pod.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.namespaces[0]: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
				`spec.pod.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be 1 to 100`,
			},
		},
		"EmptyNodeAffinity": {
			reason: "No node is among none.",
			pod:    `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}`,
			want:   []string{`spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: say which nodes, or remove it`},
		},
		"PullSecrets": {
			reason: "A repeated key aborts the apply; one that the platform names too does not, both are merged.",
			pod:    `{imagePullSecrets: [{name: platform}, {name: mine}, {name: mine}]}`,
			want:   []string{`spec.pod.imagePullSecrets[2].name: Duplicate value: "mine"`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := strings.ReplaceAll("\n"+strings.TrimPrefix(tc.pod, "\n"), "\n", "\n  ")
			if diff := cmp.Diff(tc.want, refusals(t, "pod: "+pod, "{defaults: {imagePullSecrets: [{name: platform}]}}"), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateIdentity(t *testing.T) {
	const directory = `url: ldaps://dc, baseDN: DC=a, bindDN: CN=a, bindPasswordSecretRef: {name: a, key: b}`
	const kerberos = `enabled: true, servicePrincipal: nfs/a@B, keytabSecretRef: {name: a, key: b}`

	cases := map[string]struct {
		reason string
		spec   string
		want   []string
	}{
		"Off": {
			reason: "What is off need not be complete.",
			spec:   `{identity: {ldap: {url: nonsense}, kerberos: {realm: "@"}}}`,
		},
		"ClientCA": {
			reason: "Without TLS nobody is asked for a certificate.",
			spec:   `{controlPlane: {clientCASecretName: ca}}`,
			want:   []string{`spec.controlPlane.certSecretName: Required value: client certificates are only asked for over TLS: name the Secret of the server's own certificate, or remove clientCASecretName`},
		},
		"Directory": {
			reason: "All that there has to be.",
			spec:   `{identity: {ldap: {enabled: true, ` + directory + `}}}`,
		},
		"DirectoryInClear": {
			reason: "The server does not start so.",
			spec:   `{identity: {ldap: {enabled: true, url: "ldap://dc:389", baseDN: DC=a, bindDN: CN=a, bindPasswordSecretRef: {name: a, key: b}}}}`,
			want:   []string{`spec.identity.ldap.url: Invalid value: "ldap://dc:389": sends the bind password in clear text: use ldaps://, or set startTLS or, if you must, allowPlaintext`},
		},
		"EmptyDirectory": {
			reason: "Nor without any of these.",
			spec:   `{identity: {ldap: {enabled: true, baseDN: " ", userAttr: "(cn)"}}}`,
			want: []string{
				`spec.identity.ldap.baseDN: Required value: LDAP needs the entry that searches start at, like DC=example,DC=org`,
				`spec.identity.ldap.bindDN: Required value: LDAP needs an account to search with`,
				`spec.identity.ldap.bindPasswordSecretRef: Required value: LDAP needs the password of bindDN, the server does not start without: name the Secret and its key`,
				`spec.identity.ldap.url: Required value: LDAP needs the URL of a directory, like ldaps://dc.example.org:636`,
				`spec.identity.ldap.userAttr: Invalid value: "(cn)": must be the name of an attribute: letters, digits and '-', beginning with a letter`,
			},
		},
		"Kerberos": {
			reason: "All that there has to be, with two sources of krb5.conf: the Secret wins, as it did with the operator.",
			spec:   `{identity: {kerberos: {` + kerberos + `, krb5Conf: /etc/krb5.conf, krb5ConfSecretRef: {name: a, key: b}, machineAccount: {enabled: true, accountName: A$, keytabSecretRef: {name: a, key: b}}}}}`,
		},
		"EmptyKerberos": {
			reason: "A service has a name and a key.",
			spec:   `{identity: {kerberos: {enabled: true, netbiosDomain: EXAMPLE.ORGANISATION, krb5Conf: krb5.conf}}}`,
			want: []string{
				`spec.identity.kerberos.keytabSecretRef: Required value: Kerberos needs the keytab of the server's principal: name the Secret and its key`,
				`spec.identity.kerberos.krb5Conf: Invalid value: "krb5.conf": must be an absolute path`,
				`spec.identity.kerberos.netbiosDomain: Invalid value: "EXAMPLE.ORGANISATION": must be the short name of a domain, like EXAMPLE, without '.', '@', '/' and spaces`,
				`spec.identity.kerberos.netbiosDomain: Too long: may not be more than 15 bytes`,
				`spec.identity.kerberos.servicePrincipal: Required value: Kerberos needs the server's own principal, like nfs/files.example.org@EXAMPLE.ORG`,
			},
		},
		"MachineAccount": {
			reason: "An account has a name and a credential.",
			spec:   `{identity: {kerberos: {` + kerberos + `, machineAccount: {enabled: true, dcAddress: [""]}}}}`,
			want: []string{
				`spec.identity.kerberos.machineAccount.accountName: Required value: a machine account has a name, like FILES$`,
				`spec.identity.kerberos.machineAccount.dcAddress[0]: Required value: a domain controller is a host, or host:port`,
				`spec.identity.kerberos.machineAccount.secretRef: Required value: a machine account needs its password or its keytab: set secretRef or keytabSecretRef`,
			},
		},
		"MachineAccountAlone": {
			reason: "The server reads it with Kerberos only.",
			spec:   `{identity: {kerberos: {machineAccount: {enabled: true, accountName: A$, secretRef: {name: a, key: b}}}}}`,
			want:   []string{`spec.identity.kerberos.machineAccount.enabled: Invalid value: true: the machine account is part of Kerberos: set spec.identity.kerberos.enabled: true, or switch the machine account off`},
		},
		"Metrics": {
			reason: "Ports, a path and a time that cannot be.",
			spec:   `{metrics: {enabled: true, port: 12049, path: metrics, bearerTokenSecret: {name: a}, serviceMonitor: {interval: "30", labels: {"": b}}}}`,
			want: []string{
				`spec.metrics.bearerTokenSecret.key: Invalid value: "": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
				`spec.metrics.path: Invalid value: "metrics": must be the path of a URL, like /metrics`,
				`spec.metrics.port: Invalid value: 12049: the server already listens on this port, see spec.adapters.nfs.port; choose another`,
				`spec.metrics.serviceMonitor.interval: Invalid value: "30": must be a Prometheus duration, like 30s or 1m30s`,
				`spec.metrics.serviceMonitor.labels: Invalid value: "": name part must be non-empty`,
				`spec.metrics.serviceMonitor.labels: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			},
		},
		"MetricsOff": {
			reason: "What is off listens nowhere.",
			spec:   `{metrics: {port: 8080}}`,
		},
		"PostgresOfSQLite": {
			reason: "A reference that nothing follows would be a server on another database than its owner believes.",
			spec:   `{database: {postgresSecretRef: {name: db}}}`,
			want:   []string{`spec.database.type: Invalid value: "sqlite": database.postgresSecretRef is used with type postgres only: set that, or remove the reference`},
		},
		"SnapshotPolicies": {
			reason: "The server takes them over its REST API only.",
			spec:   `{snapshotPolicies: [{anything: [1]}]}`,
			want:   []string{`spec.snapshotPolicies: Forbidden: not supported: the server takes snapshot policies over its REST API only, PUT /api/v1/shares/{name}/snapshot-policy; remove the field`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, refusals(t, tc.spec, "{}"), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidatePercona(t *testing.T) {
	cases := map[string]struct {
		reason  string
		percona string
		want    []string
	}{
		"Off": {
			reason:  "What is off need not be complete.",
			percona: `{enabled: false, walStorageSize: nonsense, restoreFrom: {}}`,
		},
		"Pods": {
			reason:  "Pods that the API server would refuse, or that cannot be.",
			percona: `{walStorageSize: 5 GB, synchronous: true, pgBouncer: {replicas: 17, resources: {requests: {cpu: 2}, limits: {cpu: 1}}}, resources: {requests: {memory: -1Gi}}, scheduling: {antiAffinity: Always, nodeSelector: {a: "-"}, tolerations: [{}], priorityClassName: "-"}, parameters: {Work_Mem: "1"}}`,
			want: []string{
				`spec.percona.parameters[Work_Mem]: Invalid value: "Work_Mem": must be the name of a parameter of PostgreSQL, in lower case, like max_connections`,
				`spec.percona.pgBouncer.replicas: Invalid value: 17: must be 1 to 16`,
				`spec.percona.pgBouncer.resources.requests[cpu]: Invalid value: "2": must not be more than the limit 1`,
				`spec.percona.resources.requests[memory]: Invalid value: "-1Gi": must not be negative`,
				`spec.percona.scheduling.antiAffinity: Unsupported value: "Always": supported values: "Preferred", "Required"`,
				`spec.percona.scheduling.nodeSelector: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`spec.percona.scheduling.priorityClassName: Invalid value: "-": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
				`spec.percona.scheduling.tolerations[0].key: Required value: say which taint is tolerated, or set operator: Exists for all of them`,
				`spec.percona.synchronous: Invalid value: true: a synchronous cluster needs a second PostgreSQL pod to wait for: set spec.percona.replicas to 2 or more`,
				`spec.percona.walStorageSize: Invalid value: "5 GB": must be a quantity greater than zero, like 10Gi`,
			},
		},
		"Repos": {
			reason:  "Each has a name, a place and times of its own.",
			percona: `{backup: {enabled: true, repos: [{name: repo1, s3: {bucket: a}}, {name: repo2, gcs: {bucket: a}}, {name: repo3, azure: {container: a}, credentialsSecretRef: {name: a}}, {name: repo4, volume: {size: 1Gi}}]}}`,
		},
		"BadRepos": {
			reason:  "Names, places, sizes and times that cannot be.",
			percona: `{backup: {enabled: true, bucket: a, repos: [{name: main, s3: {bucket: " "}}, {name: repo2}, {name: repo2, azure: {container: a}, gcs: {bucket: a}}, {name: repo3, volume: {size: 0Gi}, credentialsSecretRef: {name: a}, retentionDays: 0, fullSchedule: daily, incrSchedule: "@hourly"}]}}`,
			want: []string{
				`spec.percona.backup.repos: Forbidden: bucket is short for a first repository: set either bucket or repos, not both`,
				`spec.percona.backup.repos[0].name: Unsupported value: "main": supported values: "repo1", "repo2", "repo3", "repo4"`,
				`spec.percona.backup.repos[0].s3.bucket: Required value: backups need somewhere to go: name a bucket`,
				`spec.percona.backup.repos[1]: Invalid value: "0 places": a repository is in exactly one place: s3, gcs, azure or volume`,
				`spec.percona.backup.repos[2]: Invalid value: "2 places": a repository is in exactly one place: s3, gcs, azure or volume`,
				`spec.percona.backup.repos[2].credentialsSecretRef: Required value: Azure needs to know the storage account: name a Secret with a key that ends in .conf, with repo2-azure-account, and repo2-azure-key or repo2-azure-key-type`,
				`spec.percona.backup.repos[2].name: Duplicate value: "repo2"`,
				`spec.percona.backup.repos[3].credentialsSecretRef: Forbidden: a volume needs no credentials: remove it`,
				`spec.percona.backup.repos[3].fullSchedule: Invalid value: "daily": must be a cron expression of five fields, like 0 2 * * *: expected exactly 5 fields, found 1: [daily]`,
				`spec.percona.backup.repos[3].incrSchedule: Invalid value: "@hourly": must be a cron expression of five fields, like 0 2 * * *: parser does not accept descriptors: @hourly`,
				`spec.percona.backup.repos[3].retentionDays: Invalid value: 0: must be 1 to 9999999`,
				`spec.percona.backup.repos[3].volume.size: Invalid value: "0Gi": must be a quantity greater than zero, like 10Gi`,
			},
		},
		"ReposTogether": {
			reason:  "One backup runs at a time, also if another repository's time is one that nobody chose.",
			percona: `{backup: {enabled: true, repos: [{name: repo1, gcs: {bucket: a}, fullSchedule: "15  2 * * *", incrSchedule: "0 5 * * *"}, {name: repo2, gcs: {bucket: b}}, {name: repo3, gcs: {bucket: c}, incrSchedule: "0 5 * * *"}]}}`,
			want: []string{
				`spec.percona.backup.repos[0].fullSchedule: Invalid value: "15  2 * * *": must not start together with spec.percona.backup.repos[1].fullSchedule (15 2 * * * by default), for example on Sunday 1 January at 02:15 UTC: one backup runs at a time, so choose another minute, or leave out that hour`,
				`spec.percona.backup.repos[2].incrSchedule: Invalid value: "0 5 * * *": must not start together with spec.percona.backup.repos[0].incrSchedule (0 5 * * *), for example on Sunday 1 January at 05:00 UTC: one backup runs at a time, so choose another minute, or leave out that hour`,
			},
		},
		"FlatTogether": {
			reason:  "The same of the flat fields, however the blanks are set.",
			percona: `{backup: {enabled: true, bucket: a, incrSchedule: "0  2 * * *"}}`,
			want:    []string{`spec.percona.backup.incrSchedule: Invalid value: "0  2 * * *": must not start together with spec.percona.backup.fullSchedule (0 2 * * *), for example on Sunday 1 January at 02:00 UTC: one backup runs at a time, so choose another minute, or leave out that hour`},
		},
		"Restore": {
			reason:  "From a repository, as it was at a time.",
			percona: `{restoreFrom: {repo: {path: /a, gcs: {bucket: a}}, targetTime: "2026-05-01T12:00:00+02:00"}}`,
		},
		"RestoreFromNowhere": {
			reason:  "Data comes from one place.",
			percona: `{restoreFrom: {targetTime: "1970-01-01T00:00:00Z"}}`,
			want: []string{
				`spec.percona.restoreFrom.targetTime: Invalid value: "1970-01-01T00:00:00Z": must be a time of RFC 3339, like 2026-05-01T12:00:00Z`,
				`spec.percona.restoreFrom: Invalid value: "": data comes from one place: set either restoreFrom.cluster or restoreFrom.repo`,
			},
		},
		"RestoreFromTwo": {
			reason:  "From one, and from one that can be read.",
			percona: `{restoreFrom: {cluster: {name: A, repo: main}, repo: {name: repo5, path: a, volume: {size: 1Gi}}, targetTime: 2026-02-30T00:00:00Z}}`,
			want: []string{
				`spec.percona.restoreFrom.cluster.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
				`spec.percona.restoreFrom.cluster.repo: Unsupported value: "main": supported values: "repo1", "repo2", "repo3", "repo4"`,
				`spec.percona.restoreFrom.repo.name: Unsupported value: "repo5": supported values: "repo1", "repo2", "repo3", "repo4"`,
				`spec.percona.restoreFrom.repo.path: Invalid value: "a": must be an absolute path of letters, digits, '/', '.', '_' and '-'`,
				`spec.percona.restoreFrom.repo.volume: Forbidden: a volume is read through the cluster that it belongs to: set restoreFrom.cluster`,
				`spec.percona.restoreFrom.targetTime: Invalid value: "2026-02-30T00:00:00Z": must be a time of RFC 3339, like 2026-05-01T12:00:00Z`,
				`spec.percona.restoreFrom: Invalid value: "": data comes from one place: set either restoreFrom.cluster or restoreFrom.repo`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			percona := tc.percona
			if name != "Off" {
				percona = strings.Replace(percona, "{", "{enabled: true, ", 1)
			}
			if diff := cmp.Diff(tc.want, refusals(t, "percona: "+percona, "{}"), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPolicy: what a platform has to allow is refused until it does, and the
// refusal says where.
func TestPolicy(t *testing.T) {
	const (
		account   = `pod: {serviceAccountName: files}`
		overrides = `percona: {enabled: true, overrides: {backups: {pgbackrest: {image: other.example.org/b:1}}, pmm: {enabled: false, image: registry.example.org/pmm:3}}}`
	)
	cases := map[string]struct {
		reason string
		spec   string
		input  string
		want   []string
	}{
		"NoAccount": {
			reason: "A server has the rights of its namespace's default account, which are none.",
			spec:   account,
			input:  `{}`,
			want:   []string{`spec.pod.serviceAccountName: Forbidden: the platform does not allow a DittoServer to choose its service account: remove it, or set policy.allowServiceAccount in the Composition's input for this function`},
		},
		"Account": {
			reason: "The platform allows it.",
			spec:   account,
			input:  `{policy: {allowServiceAccount: true}}`,
		},
		"NoOverrides": {
			reason: "Overrides can be anything.",
			spec:   overrides,
			input:  `{policy: {allowServiceAccount: true}}`,
			want:   []string{`spec.percona.overrides: Forbidden: the platform does not allow a DittoServer to change its PerconaPGCluster at will: remove it, or set policy.allowPerconaOverrides in the Composition's input for this function`},
		},
		"NoOverridesThoughOff": {
			reason: "They would be in force once the cluster is switched on.",
			spec:   `percona: {overrides: {openshift: true}}`,
			input:  `{}`,
			want:   []string{`spec.percona.overrides: Forbidden: the platform does not allow a DittoServer to change its PerconaPGCluster at will: remove it, or set policy.allowPerconaOverrides in the Composition's input for this function`},
		},
		"EmptyOverrides": {
			reason: "Nothing is no change.",
			spec:   `percona: {enabled: true, overrides: {}}`,
			input:  `{}`,
		},
		"Overrides": {
			reason: "The platform allows it.",
			spec:   overrides,
			input:  `{policy: {allowPerconaOverrides: true}}`,
		},
		"OverriddenImages": {
			reason: "Registries hold for every image that is not the platform's own choice.",
			spec:   overrides,
			input:  `{policy: {allowPerconaOverrides: true, imageRegistries: [registry.example.org]}}`,
			want:   []string{`spec.percona.overrides.backups.pgbackrest.image: Unsupported value: "other.example.org/b:1": supported values: "registry.example.org"`},
		},
		"OverridesAsText": {
			reason: "A cluster's spec has fields.",
			spec:   `percona: {enabled: true, overrides: "pause: true"}`,
			input:  `{policy: {allowPerconaOverrides: true}}`,
			want:   []string{`spec.percona.overrides: Invalid value: must be an object, like the spec of a PerconaPGCluster`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, refusals(t, tc.spec, tc.input), inAnyOrder); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRefusalsAreStable: a condition's text is to be the same on every call
// (R18), though maps come in any order.
func TestRefusalsAreStable(t *testing.T) {
	const spec = `
resources: {requests: {a: -1, b: -1, c: -1, d: -1}}
service: {annotations: {"a/": x, "b/": x, "c/": x, "d/": x}}
pod: {labels: {a: "-a", b: "-b", c: "-c", d: "-d"}, nodeSelector: {a: "-a", b: "-b", c: "-c", d: "-d"}}`

	first := refusals(t, spec, "{}")
	if len(first) < 16 {
		t.Errorf("Only so much is refused: %v", first)
	}
	for range 20 {
		if diff := cmp.Diff(first, refusals(t, spec, "{}")); diff != "" {
			t.Fatalf("-first, +later:\n%s", diff)
		}
	}
}
