package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// started is a server whose StatefulSet has been composed, with the Secrets
// that it needs.
func started(t *testing.T, xr object, secrets ...object) *situation {
	t.Helper()
	s := newSituation(xr).add(secrets...)
	if rsp := s.rest(t); s.get(server.KeyStatefulSet) == nil {
		t.Fatalf("The server is not started: %s", messageOf(rsp, condition.TypeConfigReady))
	}

	return s
}

// configOf a server, as its loader parses it.
func configOf(t *testing.T, s *situation) object {
	t.Helper()
	config := object{}
	if err := yaml.Unmarshal([]byte(textAt(s.get(server.KeyConfig), "data", "config.yaml")), &config); err != nil {
		t.Fatal(err)
	}

	return config
}

func serverContainer(s *situation) object {
	return mapAt(podTemplate(s.get(server.KeyStatefulSet)), "spec", "containers", "name=dittofs")
}

func TestTLS(t *testing.T) {
	certificate := secret("tls", map[string]string{"tls.crt": "certificate", "tls.key": "key"})
	authority := secret("clients", map[string]string{"ca.crt": "authority"})
	httpGet := func(scheme string) object {
		get := object{"path": "/health/ready", "port": "api"}
		if scheme != "" {
			get["scheme"] = scheme
		}

		return object{"httpGet": get}
	}

	cases := map[string]struct {
		reason  string
		edits   []any
		secrets []object
		tls     any
		probe   object
		mounts  []string
		url     string
	}{
		"Plain": {
			reason: "Without a certificate the API speaks HTTP.",
			probe:  httpGet(""), url: "http://files-api.team-a.svc:8080",
		},
		"TLS": {
			reason: "With one it speaks HTTPS, and so do the probes.",
			edits:  []any{"spec.controlPlane.certSecretName", "tls"}, secrets: []object{certificate},
			tls:   object{"cert_file": "/tls/tls.crt", "key_file": "/tls/tls.key"},
			probe: httpGet("HTTPS"), mounts: []string{"tls-cert=/tls"}, url: "https://files-api.team-a.svc:8080",
		},
		"MutualTLS": {
			reason: "The kubelet has no certificate: the probes only see whether the port is open.",
			edits:  []any{"spec.controlPlane", object{"certSecretName": "tls", "clientCASecretName": "clients"}}, secrets: []object{certificate, authority},
			tls:   object{"cert_file": "/tls/tls.crt", "key_file": "/tls/tls.key", "client_ca": "/tls-client-ca/ca.crt"},
			probe: object{"tcpSocket": object{"port": "api"}}, mounts: []string{"tls-cert=/tls", "tls-client-ca=/tls-client-ca"}, url: "https://files-api.team-a.svc:8080",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := started(t, namespaced(tc.edits...), tc.secrets...)
			if diff := cmp.Diff(tc.tls, at(configOf(t, s), "controlplane", "tls")); diff != "" {
				t.Errorf("%s\ncontrolplane.tls: -want, +got:\n%s", tc.reason, diff)
			}
			c := serverContainer(s)
			for _, probe := range []string{"readinessProbe", "livenessProbe", "startupProbe"} {
				got := clone(mapAt(c, probe))
				for _, timing := range []string{"initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold"} {
					delete(got, timing)
				}
				want := clone(tc.probe)
				if probe != "readinessProbe" && want["httpGet"] != nil {
					setField(want, "/health", "httpGet", "path")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, probe, diff)
				}
			}
			if diff := cmp.Diff(tc.mounts, secretMounts(s)); diff != "" {
				t.Errorf("%s\nMounts: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.url, textAt(s.xr, "status", "endpoints", "api")); diff != "" {
				t.Errorf("%s\nstatus.endpoints.api: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.url, secretValue(s.get(server.KeyConnection), "api-url")); diff != "" {
				t.Errorf("%s\nThe connection Secret: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// secretMounts of the server's container: what is mounted from Secrets, where.
func secretMounts(s *situation) []string {
	var out []string
	volumes := mapAt(podTemplate(s.get(server.KeyStatefulSet)), "spec")
	for _, m := range listAt(serverContainer(s), "volumeMounts") {
		name := textAt(m, "name")
		if at(volumes, "volumes", "name="+name, "secret") != nil {
			out = append(out, name+"="+textAt(m, "mountPath"))
		}
	}

	return out
}

func TestDirectory(t *testing.T) {
	s := started(t, namespaced(
		"spec.identity.ldap", object{
			"enabled": true, "url": "ldap://dc.example.org", "startTLS": true, "baseDN": "DC=example", "bindDN": "CN=reader", "idmap": "rid", "nestedGroups": true,
			"userAttr": "uid", "realm": "EXAMPLE.ORG", "insecureSkipVerify": true, "caCertFile": "/nowhere",
			"bindPasswordSecretRef": object{"name": "ldap", "key": "password"}, "caSecretRef": object{"name": "ca"},
		},
		"spec.identity.kerberos", object{
			"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG", "netbiosDomain": "EXAMPLE", "dnsDomain": "example.org",
			"keytabSecretRef": object{"name": "krb", "key": "kt"}, "krb5ConfSecretRef": object{"name": "krb", "key": "conf"},
			"machineAccount": object{
				"enabled": true, "accountName": "FILES$", "dcAddress": []any{"dc1", "dc2:445"},
				"secretRef": object{"name": "krb", "key": "pw"}, "keytabSecretRef": object{"name": "krb", "key": "mkt"},
			},
		}),
		secret("ldap", map[string]string{"password": "bind-password"}), secret("ca", map[string]string{"ca.crt": "authority"}),
		secret("krb", map[string]string{"kt": "1", "conf": "2", "pw": "machine-password", "mkt": "3"}))

	want := object{
		"ldap": object{
			"enabled": true, "url": "ldap://dc.example.org", "start_tls": true, "base_dn": "DC=example", "bind_dn": "CN=reader", "idmap": "rid", "nested_groups": true,
			"user_attr": "uid", "realm": "EXAMPLE.ORG", "tls": object{"ca_cert_file": "/ldap-ca/ca.crt", "insecure_skip_verify": true},
		},
		"kerberos": object{
			"enabled": true, "service_principal": "nfs/files@EXAMPLE.ORG", "netbios_domain": "EXAMPLE", "dns_domain": "example.org",
			"keytab_path": "/kerberos/dittofs.keytab", "krb5_conf": "/kerberos-krb5/krb5.conf",
			"machine_account": object{
				"enabled": true, "account_name": "FILES$", "dc_address": []any{"dc1", "dc2:445"}, "keytab_path": "/kerberos-machine/machine.keytab",
			},
		},
	}
	config := configOf(t, s)
	if diff := cmp.Diff(want, object{"ldap": config["ldap"], "kerberos": config["kerberos"]}); diff != "" {
		t.Errorf("config.yaml: -want, +got:\n%s", diff)
	}
	for _, password := range []string{"bind-password", "machine-password"} {
		if strings.Contains(textAt(s.get(server.KeyConfig), "data", "config.yaml"), password) {
			t.Errorf("A ConfigMap holds a password: %s", password)
		}
	}
	for env, ref := range map[string]object{
		"DITTOFS_LDAP_BIND_PASSWORD":              {"name": "ldap", "key": "password"},
		"DITTOFS_KERBEROS_MACHINE_ACCOUNT_SECRET": {"name": "krb", "key": "pw"},
	} {
		if diff := cmp.Diff(ref, mapAt(serverContainer(s), "env", "name="+env, "valueFrom", "secretKeyRef")); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", env, diff)
		}
	}
	mounts := []string{"ldap-ca=/ldap-ca", "kerberos-keytab=/kerberos", "kerberos-krb5=/kerberos-krb5", "kerberos-machine-keytab=/kerberos-machine"}
	if diff := cmp.Diff(mounts, secretMounts(s)); diff != "" {
		t.Errorf("Mounts: -want, +got:\n%s", diff)
	}
	volumes := mapAt(podTemplate(s.get(server.KeyStatefulSet)), "spec")
	for volume, want := range map[string]object{
		"kerberos-keytab":         {"secretName": "krb", "defaultMode": float64(0o440), "items": []any{object{"key": "kt", "path": "dittofs.keytab"}}},
		"kerberos-krb5":           {"secretName": "krb", "items": []any{object{"key": "conf", "path": "krb5.conf"}}},
		"kerberos-machine-keytab": {"secretName": "krb", "defaultMode": float64(0o440), "items": []any{object{"key": "mkt", "path": "machine.keytab"}}},
	} {
		if diff := cmp.Diff(want, mapAt(volumes, "volumes", "name="+volume, "secret")); diff != "" {
			t.Errorf("Volume %s: -want, +got:\n%s", volume, diff)
		}
	}

	// What is not switched on is not there.
	off := started(t, namespaced("spec.identity.ldap", object{"url": "ldaps://dc"}, "spec.identity.kerberos", object{"realm": "EXAMPLE.ORG"}))
	for _, section := range []string{"ldap", "kerberos", "metrics"} {
		if got := configOf(t, off)[section]; got != nil {
			t.Errorf("%s is not enabled, and is configured: %v", section, got)
		}
	}
}

// monitoringAPI is there once the Prometheus operator is installed.
var monitoringAPI = object{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": object{"name": "v1.monitoring.coreos.com"}} //nolint:gochecknoglobals // Never written.

func TestMetrics(t *testing.T) {
	xr := namespaced("spec.metrics", object{
		"enabled": true, "port": 9191, "path": "/m", "bearerTokenSecret": object{"name": "metrics", "key": "token"},
		"serviceMonitor": object{"enabled": true, "interval": "30s", "labels": object{"release": "prometheus", "instance": "mine"}},
	})
	s := started(t, xr, monitoringAPI, secret("metrics", map[string]string{"token": "secret"}))
	rsp := s.response(t)

	want := object{"enabled": true, "host": "0.0.0.0", "port": 9191, "path": "/m", "auth": "token", "token_file": "/metrics-token/token"}
	if diff := cmp.Diff(want, mapAt(configOf(t, s), "metrics")); diff != "" {
		t.Errorf("config.yaml: -want, +got:\n%s", diff)
	}
	svc := composed(rsp, server.KeyMetricsService)
	if diff := cmp.Diff(object{"prometheus.io/scrape": "true", "prometheus.io/port": "9191", "prometheus.io/path": "/m"}, mapAt(svc, "metadata", "annotations")); diff != "" {
		t.Errorf("The Service's annotations: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff([]any{object{"name": "metrics", "port": 9191.0, "targetPort": 9191.0, "protocol": "TCP"}}, listAt(svc, "spec", "ports")); diff != "" {
		t.Errorf("The Service's ports: -want, +got:\n%s", diff)
	}
	if typ := textAt(svc, "spec", "type"); typ != "" && typ != "ClusterIP" {
		t.Errorf("Metrics are served by a Service of type %s.", typ)
	}
	monitor := composed(rsp, server.KeyServiceMonitor)
	spec := object{
		"selector":          object{"matchLabels": object{"dittofs.io/server": "files", "dittofs.io/metrics-service": "true"}},
		"namespaceSelector": object{"matchNames": []any{"team-a"}},
		"endpoints": []any{object{
			"port": "metrics", "path": "/m", "interval": "30s", "authorization": object{"credentials": object{"name": "metrics", "key": "token"}},
		}},
	}
	if diff := cmp.Diff(spec, mapAt(monitor, "spec")); diff != "" {
		t.Errorf("The ServiceMonitor: -want, +got:\n%s", diff)
	}
	for name, value := range mapAt(monitor, "spec", "selector", "matchLabels") {
		if got := at(svc, "metadata", "labels", name); got != value {
			t.Errorf("The ServiceMonitor selects %s=%v, the Service has %v", name, value, got)
		}
	}
	if labels := mapAt(monitor, "metadata", "labels"); labels["release"] != "prometheus" || labels["instance"] != "files" {
		t.Errorf("A person's labels are missing, or win over the server's own: %v", labels)
	}
	if got := at(composed(rsp, server.KeyNetworkPolicy), "spec", "ingress", "0", "ports", "3", "port"); got != 9191.0 {
		t.Errorf("The NetworkPolicy does not admit scrapers: %v", at(composed(rsp, server.KeyNetworkPolicy), "spec", "ingress"))
	}

	s.editXR("spec.metrics", nil)
	s.rest(t)
	for _, k := range []server.Key{server.KeyMetricsService, server.KeyServiceMonitor} {
		if s.get(k) != nil {
			t.Errorf("Metrics are switched off, and %s stays.", k)
		}
	}
}

// A ServiceMonitor is composed only where its kind is served: Crossplane aborts
// the whole XR otherwise (R8).
func TestR08ServiceMonitor(t *testing.T) {
	xr := namespaced("spec.metrics", object{"enabled": true, "serviceMonitor": object{"enabled": true}})

	s := newSituation(xr)
	rsp := s.rest(t)
	if composed(rsp, server.KeyServiceMonitor) != nil || rsp.GetRequirements().GetResources()["object/service-monitor"] != nil {
		t.Error("The kind is not served, and is composed or asked for.")
	}
	if s.get(server.KeyStatefulSet) == nil || composed(rsp, server.KeyMetricsService) == nil {
		t.Error("The server waits for its monitoring.")
	}
	if diff := cmp.Diff("False PrometheusOperatorNotInstalled", conditionOf(rsp, condition.TypeMonitoringReady)); diff != "" {
		t.Errorf("MonitoringReady: -want, +got:\n%s", diff)
	}
	if rsp.GetDesired().GetComposite().GetReady() != fnv1.Ready_READY_FALSE {
		t.Error("Something is held back, and the XR is ready.")
	}

	s.add(monitoringAPI)
	rsp = s.rest(t)
	if composed(rsp, server.KeyServiceMonitor) == nil {
		t.Error("The Prometheus operator is installed, and nothing is composed.")
	}
	if diff := cmp.Diff("True ServiceMonitorComposed", conditionOf(rsp, condition.TypeMonitoringReady)); diff != "" {
		t.Errorf("MonitoringReady: -want, +got:\n%s", diff)
	}

	// Composed before, it stays, whatever is known of its API (R2).
	s.hide(idOf("apiregistration.k8s.io/v1", "APIService", "", "v1.monitoring.coreos.com"))
	if composed(s.response(t), server.KeyServiceMonitor) == nil {
		t.Error("It is not known whether the kind is served, and the ServiceMonitor is let go of.")
	}

	// Another one of the name is somebody else's (R23).
	foreign := newSituation(xr).add(monitoringAPI, object{"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": object{"name": "files-metrics", "namespace": teamNamespace}})
	if got := fatal(foreign.response(t)); !contains(got, "ServiceMonitor files-metrics", "kubectl -n team-a annotate servicemonitor.monitoring.coreos.com files-metrics") {
		t.Errorf("Somebody else's ServiceMonitor is taken over: %q", got)
	}

	for name, edits := range map[string][]any{
		"NoMetrics": {"spec.metrics.enabled", false},
		"NoMonitor": {"spec.metrics.serviceMonitor.enabled", false},
	} {
		rsp := newSituation(clone(xr)).editXR(edits...).add(monitoringAPI).rest(t)
		if composed(rsp, server.KeyServiceMonitor) != nil || rsp.GetRequirements().GetResources()["api/servicemonitors"] != nil || conditionOf(rsp, condition.TypeMonitoringReady) != "True NotRequested" {
			t.Errorf("%s: nobody asks for a ServiceMonitor: %s", name, conditionOf(rsp, condition.TypeMonitoringReady))
		}
	}
}

// A claim template cannot be corrected: nothing is claimed from a StorageClass
// that does not exist.
func TestStorageClassNotFound(t *testing.T) {
	cases := map[string]struct {
		reason  string
		edits   []any
		class   string
		cluster bool
	}{
		"Server":   {"The server's own volumes.", []any{"spec.storage.storageClassName", "typo"}, "typo", false},
		"Database": {"The database's volumes.", []any{"spec.percona", object{"enabled": true, "storageClassName": "typo"}}, "typo", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSituation(namespaced(tc.edits...))
			rsp := s.rest(t)
			if s.get(server.KeyStatefulSet) != nil || s.get(server.KeyCluster) != nil {
				t.Errorf("%s\nVolumes are claimed from a StorageClass that does not exist.", tc.reason)
			}
			if diff := cmp.Diff("False StorageClassNotFound", conditionOf(rsp, condition.TypeStorageUpToDate)); diff != "" {
				t.Errorf("%s\nStorageUpToDate: -want, +got:\n%s", tc.reason, diff)
			}
			if said := messageOf(rsp, condition.TypeStorageUpToDate); !contains(said, "StorageClass typo", "kubectl get storageclass") {
				t.Errorf("%s\nThe message does not say what to do: %s", tc.reason, said)
			}
			if rsp.GetDesired().GetComposite().GetReady() != fnv1.Ready_READY_FALSE {
				t.Errorf("%s\nThe XR is ready.", tc.reason)
			}
			if said := messageOf(rsp, condition.TypeDatabaseReady); tc.cluster && !contains(said, "StorageClass typo") {
				t.Errorf("%s\nDatabaseReady does not say what the cluster waits for: %s", tc.reason, said)
			}

			s.add(storageClass(tc.class))
			rsp = s.rest(t)
			if s.get(server.KeyStatefulSet) == nil && s.get(server.KeyCluster) == nil {
				t.Errorf("%s\nThe StorageClass is there, and nothing is claimed.", tc.reason)
			}
			if diff := cmp.Diff("True Matches", conditionOf(rsp, condition.TypeStorageUpToDate)); diff != "" {
				t.Errorf("%s\nStorageUpToDate: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	// A volume that has been claimed needs its StorageClass no more.
	s := serving(t, namespaced("spec.storage.storageClassName", "fast"))
	s.removeOther("storage.k8s.io/v1", "StorageClass", "fast").remove(server.KeyStatefulSet)
	s.rest(t)
	if s.get(server.KeyStatefulSet) == nil {
		t.Error("The volumes are claimed, and the StatefulSet waits for their StorageClass.")
	}
}

func TestConfigIsMergedLast(t *testing.T) {
	base := configOf(t, started(t, namespaced()))

	cases := map[string]struct {
		reason string
		config object
		want   func(object)
	}{
		"None":    {"Nothing is merged.", nil, func(object) {}},
		"NewKeys": {"What has no field is added.", object{"gc": object{"interval": "1h", "workers": 3}}, func(c object) { c["gc"] = object{"interval": "1h", "workers": 3} }},
		"Nested": {
			"A section is merged key by key.",
			object{"controlplane": object{"read_timeout": "20s"}},
			func(c object) { setField(c, "20s", "controlplane", "read_timeout") },
		},
		"Scalar": {"A value is replaced.", object{"shutdown_timeout": "20s"}, func(c object) { c["shutdown_timeout"] = "20s" }},
		"Types": {
			"Numbers, lists and texts stay what they are.",
			object{"snapshot": object{"n": 1048576, "f": 0.5, "on": true, "text": "yes", "list": []any{"a", 1}}},
			func(c object) {
				c["snapshot"] = object{"n": 1048576, "f": 0.5, "on": true, "text": "yes", "list": []any{"a", 1}}
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := started(t, namespaced("spec.config", any(tc.config)))
			want := object{}
			maps.Copy(want, configOf(t, started(t, namespaced())))
			tc.want(want)
			if diff := cmp.Diff(want, configOf(t, s)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if diff := cmp.Diff(base, configOf(t, started(t, namespaced("spec.config", object{})))); diff != "" {
		t.Errorf("An empty object is not the same as none: -want, +got:\n%s", diff)
	}
}

func TestPodKnobs(t *testing.T) {
	s := newSituation(namespaced("spec.pod", object{
		"labels":                    object{"team": "a"},
		"annotations":               object{"example.org/note": "x"},
		"nodeSelector":              object{"disk": "ssd"},
		"tolerations":               []any{object{"key": "files", "operator": "Exists", "effect": "NoSchedule"}},
		"affinity":                  object{"podAntiAffinity": object{"requiredDuringSchedulingIgnoredDuringExecution": []any{object{"topologyKey": "kubernetes.io/hostname", "labelSelector": object{"matchLabels": object{"app": "other"}}}}}},
		"topologySpreadConstraints": []any{object{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": object{"matchLabels": object{"app": "dittofs-server"}}}},
		"priorityClassName":         "high",
		"imagePullSecrets":          []any{object{"name": "own"}, object{"name": "platform"}},
		"imagePullPolicy":           "Always",
		"serviceAccountName":        "files",
		"extraEnv":                  []any{object{"name": "AWS_REGION", "value": "eu-central-1"}, object{"name": "NODE", "valueFrom": object{"fieldRef": object{"fieldPath": "spec.nodeName"}}}},
		"extraVolumes":              []any{object{"name": "scratch", "emptyDir": object{"sizeLimit": "1Gi"}}, object{"name": "ca", "configMap": object{"name": "ca"}}},
		"extraVolumeMounts":         []any{object{"name": "scratch", "mountPath": "/scratch"}, object{"name": "ca", "mountPath": "/etc/ssl/extra", "readOnly": true}},
	})).add(
		object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "ca", "namespace": teamNamespace}},
		object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "files", "namespace": teamNamespace}},
		object{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": object{"name": "high"}, "value": 1000},
	).withInput("defaults.imagePullSecrets", []any{object{"name": "platform"}}, "policy.allowServiceAccount", true)
	s.rest(t)
	template := podTemplate(s.get(server.KeyStatefulSet))
	if template == nil {
		t.Fatal("The server is not started.")
	}
	spec := mapAt(template, "spec")

	for _, tc := range []struct {
		reason    string
		want, got any
	}{
		{"labels", "a", at(template, "metadata", "labels", "team")},
		{"the server's own labels", "files", at(template, "metadata", "labels", "instance")},
		{"annotations", "x", at(template, "metadata", "annotations", "example.org/note")},
		{"nodeSelector", object{"disk": "ssd"}, spec["nodeSelector"]},
		{"tolerations", []any{object{"key": "files", "operator": "Exists", "effect": "NoSchedule"}}, spec["tolerations"]},
		{"affinity", "kubernetes.io/hostname", at(spec, "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "0", "topologyKey")},
		{"topologySpreadConstraints", "zone", at(spec, "topologySpreadConstraints", "0", "topologyKey")},
		{"priorityClassName", "high", spec["priorityClassName"]},
		{"imagePullSecrets", []any{object{"name": "platform"}, object{"name": "own"}}, spec["imagePullSecrets"]},
		{"imagePullPolicy", "Always", at(spec, "containers", "name=dittofs", "imagePullPolicy")},
		{"serviceAccountName", "files", spec["serviceAccountName"]},
		{"serviceAccountName by its old name, which the API server fills in else, and nobody takes away", "files", spec["serviceAccount"]},
		{"the account's token", false, spec["automountServiceAccountToken"]},
		{"extraEnv", "eu-central-1", at(spec, "containers", "name=dittofs", "env", "name=AWS_REGION", "value")},
		{"extraEnv from a field", "spec.nodeName", at(spec, "containers", "name=dittofs", "env", "name=NODE", "valueFrom", "fieldRef", "fieldPath")},
		{"extraVolumes", object{"sizeLimit": "1Gi"}, at(spec, "volumes", "name=scratch", "emptyDir")},
		{"extraVolumes from a ConfigMap", "ca", at(spec, "volumes", "name=ca", "configMap", "name")},
		{"extraVolumeMounts", "/etc/ssl/extra", at(spec, "containers", "name=dittofs", "volumeMounts", "name=ca", "mountPath")},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
		}
	}

	// What is taken back is gone.
	s.editXR("spec.pod", nil)
	s.rest(t)
	after := podTemplate(s.get(server.KeyStatefulSet))
	for _, path := range [][]string{{"metadata", "labels", "team"}, {"spec", "nodeSelector"}, {"spec", "tolerations"}, {"spec", "affinity"}, {"spec", "serviceAccountName"}, {"spec", "serviceAccount"}} {
		if got := at(after, path...); got != nil {
			t.Errorf("%s stays: %v", strings.Join(path, "."), got)
		}
	}
}

// An affinity that says nothing is none: sent, it would restart the pod.
func TestEmptyAffinity(t *testing.T) {
	s := started(t, namespaced())
	live := s.get(server.KeyStatefulSet)
	s.editXR("spec.pod", object{"affinity": object{}})
	if diff := rolls(live, composed(s.response(t), server.KeyStatefulSet)); diff != "" {
		t.Errorf("The pod is restarted: -live, +sent:\n%s", diff)
	}
}

// A PerconaPGCluster has a crVersion from its beginning: the Percona operator
// 2.9.0 does not survive one without. A live one keeps its own (R24).
func TestCRVersion(t *testing.T) {
	cases := map[string]struct {
		reason string
		edits  []any
		input  []any
		want   string
	}{
		"Default":  {reason: "The release that the images belong to.", want: percona.DefaultCRVersion},
		"Platform": {reason: "A platform team knows its operator.", input: []any{"percona.crVersion", "3.0.0"}, want: "3.0.0"},
		"Spec":     {reason: "The spec has the last word.", edits: []any{"spec.percona.crVersion", "2.10.0"}, input: []any{"percona.crVersion", "3.0.0"}, want: "2.10.0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSituation(withPercona(tc.edits...)).withInput(tc.input...)
			s.rest(t)
			if got := textAt(s.get(server.KeyCluster), "spec", "crVersion"); got != tc.want {
				t.Errorf("%s\ncrVersion is %q, want %q", tc.reason, got, tc.want)
			}
		})
	}

	for _, policy := range []string{"OnCreate", "Always"} {
		s := servingOnPercona(t, withPercona("spec.percona.updatePolicy", policy))
		setField(s.get(server.KeyCluster), "3.0.0", "spec", "crVersion")
		got := s.response(t)
		if sent := composed(got, server.KeyCluster); textAt(sent, "spec", "crVersion") == percona.DefaultCRVersion {
			t.Errorf("%s: the default is sent to a live cluster of version 3.0.0", policy)
		}
	}
}

// The init container pulls from where the server does.
func TestPullPolicyOfTheInitContainer(t *testing.T) {
	s := servingOnPercona(t, withPercona("spec.pod.imagePullPolicy", "Never"))
	for _, list := range []string{"containers", "initContainers"} {
		for _, c := range listAt(podTemplate(s.get(server.KeyStatefulSet)), "spec", list) {
			if got := textAt(c, "imagePullPolicy"); got != "Never" {
				t.Errorf("%s %s: imagePullPolicy is %q", list, textAt(c, "name"), got)
			}
		}
	}
}

// Somebody's webhook may rewrite what pods are made of, for good: a server that
// runs so is ready all the same (R15).
func TestReadyBehindAWebhook(t *testing.T) {
	s := servingOnPercona(t, withPercona("spec.image", "marmos91c/dittofs:v0.29.0", "spec.pod.annotations", object{"example.org/note": "ours"}))
	for name, edit := range map[string][]any{
		"image": {"spec.template.spec.containers.0.image", "mirror.example.org/dittofs:v0.29.0"},
		"annotation": {"spec.template.metadata.annotations", object{
			"example.org/note": "theirs", server.AnnotationConfigHash: hashOf(s.get(server.KeyStatefulSet)),
			server.AnnotationDatabase: textAt(podTemplate(s.get(server.KeyStatefulSet)), "metadata", "annotations", server.AnnotationDatabase),
		}},
	} {
		rsp := s.clone().edit(server.KeyStatefulSet, edit...).response(t)
		if got := conditionOf(rsp, condition.TypeProgressing); got != "False Converged" {
			t.Errorf("Another %s than ours is live, and Progressing is %s", name, got)
		}
		if got := rsp.GetDesired().GetResources()[string(server.KeyStatefulSet)].GetReady(); got != fnv1.Ready_READY_TRUE {
			t.Errorf("Another %s than ours is live, and the StatefulSet is %s", name, got)
		}
	}
}

// A StatefulSet that is about to change says so in the same call.
func TestProgressingOnceThePodRolls(t *testing.T) {
	s := servingOnPercona(t, withPercona())
	if got := conditionOf(s.response(t), condition.TypeProgressing); got != "False Converged" {
		t.Fatalf("Nothing happens, and Progressing is %s", got)
	}
	s.removeSecret("files-postgres-pguser-dittofs").add(userSecret("another"))
	rsp := s.response(t)
	if got := conditionOf(rsp, condition.TypeProgressing); got != "True RollingOut" {
		t.Errorf("The pod is restarted, and Progressing is %s", got)
	}
	if rsp.GetMeta().GetTtl().GetSeconds() != 15 {
		t.Errorf("A rollout is awaited, and looked at after %d s", rsp.GetMeta().GetTtl().GetSeconds())
	}
}
