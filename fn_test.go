package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"sigs.k8s.io/yaml"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestStory is the life of one server on Percona, from nothing to a failover.
func TestStory(t *testing.T) {
	withoutStatefulSet := []string{
		"admin-credentials", "api-service", "config", "connection", "headless-service", "jwt-secret",
		"network-policy", "nfs-service", "postgres-cluster", "smb-service",
	}
	all := append(append([]string{}, withoutStatefulSet...), "statefulset")

	type told struct {
		Keys                                    []string
		Database, Config, Available, Progresses string
	}
	look := func(rsp *fnv1.RunFunctionResponse) told {
		return told{
			Keys: composedKeys(rsp), Database: conditionOf(rsp, condition.TypeDatabaseReady), Config: conditionOf(rsp, condition.TypeConfigReady),
			Available: conditionOf(rsp, condition.TypeAvailable), Progresses: conditionOf(rsp, condition.TypeProgressing),
		}
	}

	s := newSituation(withPercona())
	steps := []struct {
		what string
		do   func()
		want told
	}{
		{"first call", func() {}, told{withoutStatefulSet, "False PerconaCreating", "False SecretNotFound", "False WaitingForDatabase", "True WaitingForDatabase"}},
		{"Secrets stored", func() {}, told{withoutStatefulSet, "False PerconaCreating", "True ConfigRendered", "False WaitingForDatabase", "True WaitingForDatabase"}},
		{"cluster starts", func() { s.clusterState("initializing", 0) }, told{withoutStatefulSet, "False PerconaCreating", "True ConfigRendered", "False WaitingForDatabase", "True WaitingForDatabase"}},
		{"database ready", func() { s.perconaIsReady() }, told{all, "True PerconaReady", "True ConfigRendered", "False NoReplicasAvailable", "True RollingOut"}},
		{"pod starts", func() {}, told{all, "True PerconaReady", "True ConfigRendered", "False NoReplicasAvailable", "True Scaling"}},
		{"pod ready", func() { s.podIsReady() }, told{all, "True PerconaReady", "True ConfigRendered", "True MinimumReplicasAvailable", "False Converged"}},
		{"failover", func() { s.clusterState("initializing", 1) }, told{all, "False PerconaNotReady", "True ConfigRendered", "True MinimumReplicasAvailable", "False Converged"}},
		{"database back", func() { s.clusterState("ready", 1) }, told{all, "True PerconaReady", "True ConfigRendered", "True MinimumReplicasAvailable", "False Converged"}},
	}
	var hashes []string
	for _, step := range steps {
		step.do()
		rsp := s.reconcile(t)
		if diff := cmp.Diff(step.want, look(rsp)); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", step.what, diff)
		}
		if sts := composed(rsp, server.KeyStatefulSet); sts != nil {
			hashes = append(hashes, hashOf(sts))
		}
	}
	for _, h := range hashes {
		if h != hashes[0] {
			t.Errorf("Nothing happened that is a reason to restart the pod, and the hash changed: %v", hashes)
		}
	}
}

// TestObjects looks at what is composed for a server with all defaults.
func TestObjects(t *testing.T) {
	rsp := serving(t, namespaced("spec.service", object{"type": "LoadBalancer", "annotations": object{"a": "b"}}, "spec.storage.contentSize", "100Gi", "spec.storage.storageClassName", "fast",
		"spec.networkPolicy.from", []any{object{"ipBlock": object{"cidr": "10.0.0.0/8"}}})).response(t)
	labels := func(component string) object {
		return object{
			"app": "dittofs-server", "instance": "files", "dittofs.io/server": "files",
			"app.kubernetes.io/name": "dittofs", "app.kubernetes.io/instance": "files",
			"app.kubernetes.io/managed-by": "crossplane", "app.kubernetes.io/component": component,
		}
	}
	meta := func(name, component string) object {
		return object{"name": name, "namespace": teamNamespace, "labels": labels(component)}
	}
	selector := object{"app": "dittofs-server", "instance": "files"}
	service := func(name string, spec object) object {
		spec["selector"] = selector

		return object{"apiVersion": "v1", "kind": "Service", "metadata": meta(name, "service"), "spec": spec}
	}
	port := func(name string, port float64, target any) []any {
		return []any{object{"name": name, "port": port, "targetPort": target, "protocol": "TCP"}}
	}
	admitted := func(port any) object { return object{"port": port, "protocol": "TCP"} }

	want := map[server.Key]object{
		server.KeyHeadlessService: service("files-headless", object{"clusterIP": "None", "ports": port("api", 8080, "api")}),
		server.KeyAPIService: edit(service("files-api", object{"type": "LoadBalancer", "ports": port("api", 8080, "api")}),
			"metadata.annotations", object{"a": "b"}),
		server.KeyNFSService: service("files-adapter-nfs", object{"type": "ClusterIP", "ports": port("nfs", 2049, 12049.0)}),
		server.KeySMBService: service("files-adapter-smb", object{"type": "ClusterIP", "ports": port("smb", 445, 1445.0)}),
		server.KeyNetworkPolicy: {
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("files-baseline", "network-policy"),
			"spec": object{
				"podSelector": object{"matchLabels": selector}, "policyTypes": []any{"Ingress"},
				"ingress": []any{object{
					"from":  []any{object{"ipBlock": object{"cidr": "10.0.0.0/8"}}},
					"ports": []any{admitted("api"), admitted(12049.0), admitted(1445.0)},
				}},
			},
		},
	}
	for k, o := range want {
		if diff := cmp.Diff(o, composed(rsp, k)); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", k, diff)
		}
	}

	sts := composed(rsp, server.KeyStatefulSet)
	claim := func(name, size string) object {
		return object{"metadata": object{"name": name}, "spec": object{"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "fast", "resources": object{"requests": object{"storage": size}}}}
	}
	probe := func(path string, delay any, period, failures float64) object {
		return edit(object{"httpGet": object{"path": path, "port": "api"}, "periodSeconds": period, "timeoutSeconds": 5.0, "failureThreshold": failures}, "initialDelaySeconds", delay)
	}
	hardened := object{"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": object{"drop": []any{"ALL"}}, "seccompProfile": object{"type": "RuntimeDefault"}}
	container := object{
		"name": "dittofs", "image": "docker.io/marmos91c/dittofs:v0.29.0",
		"command": []any{"/app/dfs"}, "args": []any{"start", "--foreground", "--config", "/config/config.yaml"},
		"ports":        []any{object{"name": "api", "containerPort": 8080.0, "protocol": "TCP"}},
		"startupProbe": probe("/health", nil, 5, 30), "livenessProbe": probe("/health", 15.0, 10, 3), "readinessProbe": probe("/health/ready", 10.0, 5, 3),
		"lifecycle":       object{"preStop": object{"exec": object{"command": []any{"sh", "-c", "sleep 5"}}}},
		"securityContext": hardened,
		"volumeMounts": []any{
			object{"name": "config", "mountPath": "/config", "readOnly": true},
			object{"name": "controlplane", "mountPath": "/data/controlplane"},
			object{"name": "metadata", "mountPath": "/data/store/metadata"},
			object{"name": "content", "mountPath": "/data/store/block"},
		},
		"env": at(podTemplate(sts), "spec", "containers", "0", "env"), // R10 looks at it.
	}
	wantSet := object{
		"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("files", "server"),
		"spec": object{
			"replicas": 1.0, "serviceName": "files-headless", "podManagementPolicy": "Parallel", "selector": object{"matchLabels": selector},
			"persistentVolumeClaimRetentionPolicy": object{"whenDeleted": "Retain", "whenScaled": "Retain"},
			"volumeClaimTemplates":                 []any{claim("controlplane", "1Gi"), claim("metadata", "10Gi"), claim("content", "100Gi")},
			"template": object{
				"metadata": object{"labels": labels("server"), "annotations": object{server.AnnotationConfigHash: hashOf(sts), server.AnnotationDatabase: "sqlite:/data/controlplane/controlplane.db"}},
				"spec": object{
					"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 105.0,
					"securityContext": object{
						"fsGroup": 65532.0, "fsGroupChangePolicy": "OnRootMismatch", "runAsNonRoot": true, "runAsUser": 65532.0, "runAsGroup": 65532.0,
						"seccompProfile": object{"type": "RuntimeDefault"},
					},
					"containers": []any{container},
					"volumes":    []any{object{"name": "config", "configMap": object{"name": "files-config"}}},
				},
			},
		},
	}
	// The live claim templates have what an API server fills in.
	got := clone(sts)
	for _, c := range listAt(got, "spec", "volumeClaimTemplates") {
		if c, ok := c.(object); ok {
			edit(c, "apiVersion", nil, "kind", nil, "spec.volumeMode", nil)
		}
	}
	edit(got, "spec.template.spec.restartPolicy", nil)
	if diff := cmp.Diff(wantSet, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}

	wantFile := object{
		"controlplane": object{"host": "0.0.0.0", "port": 8080.0, "jwt": object{"access_token_duration": "15m", "refresh_token_duration": "168h"}},
		"database":     object{"type": "sqlite", "sqlite": object{"path": "/data/controlplane/controlplane.db"}},
		"logging":      object{"format": "json", "level": "INFO", "output": "stdout"}, "shutdown_timeout": "30s",
	}
	file := object{}
	if err := yaml.Unmarshal([]byte(textAt(composed(rsp, server.KeyConfig), "data", "config.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantFile, file); diff != "" {
		t.Errorf("config.yaml: -want, +got:\n%s", diff)
	}
}

func TestSwitchedOffObjectsAreNotComposed(t *testing.T) {
	s := serving(t, namespaced()).editXR("spec.adapters", object{"nfs": object{"enabled": false}, "smb": object{"enabled": false}}, "spec.networkPolicy.enabled", false)
	want := []string{"admin-credentials", "api-service", "config", "connection", "headless-service", "jwt-secret", "statefulset"}
	if diff := cmp.Diff(want, composedKeys(s.response(t))); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}

	s.editXR("spec.networkPolicy.enabled", true)
	ports := at(composed(s.response(t), server.KeyNetworkPolicy), "spec", "ingress", "0", "ports")
	if diff := cmp.Diff(any([]any{object{"port": "api", "protocol": "TCP"}}), ports); diff != "" {
		t.Errorf("The policy admits what is switched off: -want, +got:\n%s", diff)
	}
}

func TestEarlierStepsArePassedOn(t *testing.T) {
	for name, s := range map[string]*situation{"Serving": serving(t, claimed()), "Waiting": waiting(t, withPercona())} {
		t.Run(name, func(t *testing.T) {
			req, _, _ := s.settle(t)
			earlier := &fnv1.Resource{Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "earlier"}}), Ready: fnv1.Ready_READY_TRUE}
			req.Desired = &fnv1.State{
				Composite: &fnv1.Resource{
					Resource:          toStruct(object{"metadata": object{"labels": object{"a": "b"}}, "status": object{"note": "hello", "phase": "Unknown"}}),
					ConnectionDetails: map[string][]byte{"note": []byte("hello")},
				},
				Resources: map[string]*fnv1.Resource{"earlier": earlier},
			}
			req.Context = toStruct(object{"note": "hello"})
			before := proto.CloneOf(req)
			rsp := run(t, req)

			if diff := cmp.Diff(before, req, protocmp.Transform()); diff != "" {
				t.Errorf("The request is written to: -before, +after:\n%s", diff)
			}
			if diff := cmp.Diff(earlier, rsp.GetDesired().GetResources()["earlier"], protocmp.Transform()); diff != "" {
				t.Errorf("-want, +got:\n%s", diff)
			}
			xr := rsp.GetDesired().GetComposite()
			if textAt(xr.GetResource().AsMap(), "metadata", "labels", "a") != "b" || textAt(reported(rsp), "note") != "hello" || string(xr.GetConnectionDetails()["note"]) != "hello" {
				t.Errorf("What an earlier step wants of the XR is lost: %v", xr)
			}
			if textAt(reported(rsp), "phase") == "Unknown" {
				t.Error("A status field of this function is another step's.")
			}
			if diff := cmp.Diff(before.GetContext(), rsp.GetContext(), protocmp.Transform()); diff != "" {
				t.Errorf("The context is lost: -want, +got:\n%s", diff)
			}
		})
	}

	t.Run("SameKey", func(t *testing.T) {
		s := serving(t, namespaced())
		req, _, _ := s.settle(t)
		req.Desired = &fnv1.State{Resources: map[string]*fnv1.Resource{"config": {Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap"})}}}
		want := proto.CloneOf(req.GetDesired())
		rsp := run(t, req)
		if text := fatal(rsp); text == "" || !contains(text, `"config"`, "another name") {
			t.Errorf("want a Fatal that names the resource and the remedy, got %q", text)
		}
		if diff := cmp.Diff(want, rsp.GetDesired(), protocmp.Transform()); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
	})
}

// TestDefaultsMakeNoDifference holds that a raw XR and one that an API server
// has defaulted give the same answer.
func TestDefaultsMakeNoDifference(t *testing.T) {
	for name, s := range map[string]*situation{"SQLite": serving(t, namespaced()), "Percona": servingOnPercona(t, withPercona())} {
		t.Run(name, func(t *testing.T) {
			want := s.response(t)
			spec := v1alpha1.DittoServerSpec{}
			b, err := json.Marshal(s.xr["spec"])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &spec); err != nil {
				t.Fatal(err)
			}
			spec.SetDefaults()
			if b, err = json.Marshal(spec); err != nil {
				t.Fatal(err)
			}
			defaulted := object{}
			if err := json.Unmarshal(b, &defaulted); err != nil {
				t.Fatal(err)
			}
			got := s.clone().editXR("spec", defaulted).response(t)
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("-raw, +defaulted:\n%s", diff)
			}
		})
	}
}

// TestOffline renders on somebody's machine: there is nobody to ask, and
// nothing that comes later.
func TestOffline(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		rsp := bareSituation(offline(namespaced())).response(t)
		if composed(rsp, server.KeyStatefulSet) == nil {
			t.Errorf("The StatefulSet is not shown: %v", rsp.GetConditions())
		}
	})
	t.Run("Percona", func(t *testing.T) {
		s := bareSituation(offline(withPercona()))
		first := s.response(t)
		if composed(first, server.KeyCluster) == nil || composed(first, server.KeyStatefulSet) != nil {
			t.Fatalf("want the cluster and no StatefulSet, got %v", composedKeys(first))
		}
		s.apply(t, first)
		s.edit(server.KeyCluster, "metadata.managedFields", nil)
		s.perconaIsReady()
		rsp := s.response(t)
		if composed(rsp, server.KeyStatefulSet) == nil {
			t.Errorf("The StatefulSet is not shown: %v", rsp.GetConditions())
		}
		for _, k := range composedKeys(rsp) {
			if refs := at(composed(rsp, server.Key(k)), "metadata", "ownerReferences"); refs != nil {
				t.Errorf("%s has an owner that nobody knows: %v", k, refs)
			}
		}
		if at(composed(first, server.KeyCluster), "metadata", "uid") != nil {
			t.Error("The cluster has a uid before it exists.")
		}
	})
}
