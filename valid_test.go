package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"
	kjson "sigs.k8s.io/json"

	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// A stage is a world with one server in it, files in namespace team-a, that
// remembers every call of the function.
type stage struct {
	*world.World

	*recorder

	tb stageTB
	// writes that Crossplane made and that the API server refused.
	refused []world.Write
}

// A recorder is the function, with a copy of every call of it.
type recorder struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	calls []world.Call
}

// RunFunction as the function does.
func (r *recorder) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	before := proto.CloneOf(req)
	rsp, err := (&Function{log: logging.NewNopLogger()}).RunFunction(ctx, req)
	if !proto.Equal(before, req) {
		return nil, errors.New("the request was written to")
	}
	r.calls = append(r.calls, world.Call{Request: before, Response: rsp})

	return rsp, err
}

// stageTB is what a stage needs of a test, one of package rapid included.
type stageTB interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A script is what a stage starts with.
type script struct {
	// spec of the server, and the function's input; nil for none.
	spec, input map[string]any
	// unserved: the Percona operator is not installed.
	unserved bool
	// legacy: the server is a claim's.
	legacy bool
}

// A theatre has worlds that are made once and cloned for each stage: what an
// API server knows about its kinds takes a moment to read.
type theatre struct{ modern, legacy *world.World }

func newTheatre(tb testing.TB) *theatre {
	tb.Helper()
	v := crdtest.PerconaPGCluster(tb)
	build := func(legacy bool) *world.World {
		w, err := world.New(world.Config{
			Percona:   world.PerconaKind{Converter: crdtest.PerconaTypeConverter(tb), Default: v.Default, Validate: v.Validate},
			Namespace: "team-a", Name: "files", Legacy: legacy,
		})
		if err != nil {
			tb.Fatal(err)
		}

		return w
	}

	return &theatre{modern: build(false), legacy: build(true)}
}

// stage that a script starts on.
func (h *theatre) stage(tb stageTB, in script) *stage {
	tb.Helper()
	w := h.modern
	if in.legacy {
		w = h.legacy
	}
	s := &stage{World: w.Clone(), recorder: &recorder{}, tb: tb}
	s.Crossplane.Function = s.recorder
	if in.input != nil {
		p, err := structpb.NewStruct(in.input)
		s.must(err)
		s.Crossplane.Input = p
	}
	if !in.unserved {
		s.must(s.Server.Serve(world.GVKCluster))
		s.must(s.Server.Serve(world.GVKMonitor))
	}
	for _, class := range []string{"fast", "slow", "platform", "a.b-c"} {
		_, err := s.Server.Update(storageClass(class), "somebody")
		s.must(err)
	}
	s.must(s.CreateXR(in.spec))

	return s
}

func (s *stage) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *stage) key(k server.Key) world.Key {
	id := (&server.Server{Name: s.Config.Name}).Identity(k)

	return s.Key(id.APIVersion, id.Kind, id.Name)
}

func (s *stage) find(k server.Key) *world.Object { return s.Server.Find(s.key(k)) }

func (s *stage) cluster() *world.Object { return s.find(server.KeyCluster) }

func (s *stage) secret(name string) world.Key { return s.Key("v1", "Secret", name) }

// reconcile once.
func (s *stage) reconcile() *world.Outcome {
	s.tb.Helper()
	out, err := s.Crossplane.Reconcile(context.Background(), s.Server, world.NoFaults())
	s.must(err)
	s.must(out.Err)
	s.refused = append(s.refused, slices.DeleteFunc(slices.Clone(out.Writes), func(w world.Write) bool { return w.Err == nil })...)

	return out
}

// act lets each controller beside Crossplane do its next thing, and tells
// whether there was any.
func (s *stage) act() bool {
	s.tb.Helper()
	did := false
	for _, step := range []func() (bool, error){
		func() (bool, error) { return world.StepCluster(s.Server, s.key(server.KeyCluster)) },
		func() (bool, error) { return world.StepStatefulSet(s.Server, s.key(server.KeyStatefulSet)) },
		func() (bool, error) { return world.CollectGarbage(s.Server) },
	} {
		moved, err := step()
		s.must(err)
		did = did || moved
	}

	return did
}

// start the database, no further than to its first state.
func (s *stage) start() {
	s.tb.Helper()
	for moved := true; moved && s.cluster().Text("status", "state") != "initializing"; {
		moved = s.act()
	}
}

// settle: let everybody act and reconcile until nothing changes any more.
func (s *stage) settle() {
	s.tb.Helper()
	for range 20 {
		moved := false
		for s.act() {
			moved = true
		}
		for _, w := range s.reconcile().Writes {
			moved = moved || w.Changed()
		}
		if !moved {
			return
		}
	}
	s.tb.Fatal("the world does not come to rest")
}

// edit an object as a person does.
func (s *stage) edit(k world.Key, f func(content map[string]any)) {
	s.tb.Helper()
	s.must(s.Server.Edit(k, "kubectl-edit", f))
}

// create an object as a person does.
func (s *stage) create(content map[string]any) {
	s.tb.Helper()
	_, err := s.Server.Update(content, "kubectl-create")
	s.must(err)
}

// createSecret with those values.
func (s *stage) createSecret(name string, values map[string]string) {
	s.tb.Helper()
	data := map[string]any{}
	for k, v := range values {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	s.create(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "data": data,
		"metadata": map[string]any{"name": name, "namespace": s.Config.Namespace},
	})
}

// says: what the last response says about a condition, as type=reason.
func (s *stage) says(typ string) string {
	for _, c := range s.calls[len(s.calls)-1].Response.GetConditions() {
		if c.GetType() == typ {
			return typ + "=" + c.GetReason()
		}
	}

	return ""
}

// within a map of maps, at a path.
func within(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m, _ = m[p].(map[string]any)
	}

	return m
}

// percona spec of a server, with storage.
func onPercona(percona map[string]any) map[string]any {
	percona["enabled"] = true

	return map[string]any{"storage": map[string]any{"metadataSize": "10Gi", "contentSize": "100Gi"}, "percona": percona}
}

func onSQLite() map[string]any {
	return map[string]any{"storage": map[string]any{"metadataSize": "10Gi"}}
}

// everything that a spec can say, for a server on its own PostgreSQL.
func everything() map[string]any {
	return map[string]any{
		"image":   "registry.example.org/dittofs/dittofs:v0.29.0",
		"storage": map[string]any{"metadataSize": "10Gi", "contentSize": "1Ti", "controlPlaneSize": "2Gi", "storageClassName": "fast"},
		"service": map[string]any{"type": "LoadBalancer", "annotations": map[string]any{"example.org/scheme": "internal"}},
		"adapterServices": map[string]any{
			"type": "LoadBalancer", "annotations": map[string]any{"example.org/scheme": "internal"},
		},
		"networkPolicy": map[string]any{"from": []any{
			map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.0/8", "except": []any{"10.1.0.0/16"}}},
			map[string]any{"namespaceSelector": map[string]any{}, "podSelector": map[string]any{"matchLabels": map[string]any{"app": "client"}}},
		}},
		"resources": map[string]any{
			"requests": map[string]any{"cpu": "0.5", "memory": "1024Mi"},
			"limits":   map[string]any{"cpu": 2, "memory": "2Gi", "example.org/gpu": "1"},
		},
		"securityContext":    map[string]any{"readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}, "add": []any{"NET_BIND_SERVICE"}}},
		"podSecurityContext": map[string]any{"runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": []any{3000, 4000}, "sysctls": []any{map[string]any{"name": "net.ipv4.tcp_syncookies", "value": "1"}}},
		"controlPlane":       map[string]any{"certSecretName": "own", "clientCASecretName": "own"},
		"identity":           everyIdentity(),
		"metrics": map[string]any{
			"enabled": true, "bearerTokenSecret": ofOwn("token"),
			"serviceMonitor": map[string]any{"enabled": true, "interval": "30s", "labels": map[string]any{"release": "prometheus"}},
		},
		"config": map[string]any{"shutdown_timeout": "5s", "gc": map[string]any{"interval": "1h"}, "controlplane": map[string]any{"read_timeout": "20s"}},
		"pod":    everyKnob(),
		"percona": map[string]any{
			"enabled": true, "replicas": 3, "storageSize": "20Gi", "storageClassName": "fast", "databaseName": "files", "postgresVersion": 17,
			"crVersion": "2.9.0", "sslMode": "verify-ca", "walStorageSize": "0.5Ti", "synchronous": true,
			"pgBouncer": map[string]any{"enabled": true, "replicas": 2, "resources": map[string]any{"requests": map[string]any{"cpu": "0.1"}}},
			"resources": map[string]any{"requests": map[string]any{"memory": "1024Mi"}, "limits": map[string]any{"memory": "2Gi"}},
			"scheduling": map[string]any{
				"antiAffinity": "Preferred", "nodeSelector": map[string]any{"disk": "ssd"}, "priorityClassName": "high",
				"tolerations": []any{map[string]any{"key": "db", "operator": "Exists"}},
			},
			"parameters": map[string]any{"max_connections": "200"},
			"backup": map[string]any{"enabled": true, "repos": []any{
				map[string]any{"name": "repo1", "s3": map[string]any{"bucket": "backups", "region": "eu-central-1"}, "credentialsSecretRef": map[string]any{"name": "own"}, "retentionDays": 14},
				map[string]any{"name": "repo2", "gcs": map[string]any{"bucket": "backups"}},
				map[string]any{"name": "repo3", "azure": map[string]any{"container": "backups"}, "credentialsSecretRef": map[string]any{"name": "own"}},
				map[string]any{"name": "repo4", "volume": map[string]any{"size": "0.5Ti", "storageClassName": "slow"}},
			}},
			"restoreFrom": map[string]any{"cluster": map[string]any{"name": "archive-postgres"}, "targetTime": "2026-01-02T03:04:05Z"},
			"overrides":   map[string]any{"tlsOnly": true, "instances": []any{map[string]any{"name": "instance1", "topologySpreadConstraints": []any{}}}},
		},
	}
}

// everyPermission that a platform can give.
func everyPermission() map[string]any {
	return map[string]any{"allowServiceAccount": true, "allowPerconaOverrides": true}
}

// ofOwn is a reference to a key of the Secret own, which has all that a spec
// can lead to. Objects of other kinds are called so too.
func ofOwn(key string) map[string]any { return map[string]any{"name": "own", "key": key} }

func (s *stage) createOwn() {
	for kind, apiVersion := range map[string]string{"ServiceAccount": "v1", "PersistentVolumeClaim": "v1", "PriorityClass": "scheduling.k8s.io/v1"} {
		o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "own", "namespace": "team-a"}}
		if kind == "PriorityClass" {
			delete(within(o, "metadata"), "namespace")
			o["value"] = int64(1000)
		}
		s.create(o)
	}
	s.createSecret("own", map[string]string{
		"jwt": strings.Repeat("k", 40), "admin": "clear text", "tls.crt": "certificate", "tls.key": "key", "ca.crt": "authority",
		"ldap": "clear text", "keytab": "keytab", "krb5": "[libdefaults]", "machine": "clear text", "token": "clear text", "env": "clear text", "s3.conf": "[global]",
	})
}

func everyIdentity() map[string]any {
	return map[string]any{
		"ldap": map[string]any{
			"enabled": true, "url": "ldaps://dc.example.org", "baseDN": "DC=example", "bindDN": "CN=reader", "bindPasswordSecretRef": ofOwn("ldap"),
			"caSecretRef": map[string]any{"name": "own"},
		},
		"kerberos": map[string]any{
			"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG", "keytabSecretRef": ofOwn("keytab"), "krb5ConfSecretRef": ofOwn("krb5"),
			"machineAccount": map[string]any{"enabled": true, "accountName": "FILES$", "secretRef": ofOwn("machine"), "keytabSecretRef": ofOwn("keytab"), "dcAddress": []any{"dc1"}},
		},
	}
}

// everyKnob of the pod, with what is easily lost on the way: empty objects that
// mean something.
func everyKnob() map[string]any {
	selector := map[string]any{"matchLabels": map[string]any{"app": "dittofs-server"}}

	return map[string]any{
		"labels": map[string]any{"team": "a"}, "annotations": map[string]any{"example.org/note": "x"}, "nodeSelector": map[string]any{"disk": "ssd"},
		"tolerations":               []any{map[string]any{"operator": "Exists"}, map[string]any{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 60}},
		"topologySpreadConstraints": []any{map[string]any{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}},
		"affinity": map[string]any{
			"nodeAffinity": map[string]any{"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
				"weight": 10, "preference": map[string]any{"matchExpressions": []any{map[string]any{"key": "cores", "operator": "Gt", "values": []any{"4"}}}},
			}}},
			"podAntiAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{"topologyKey": "zone", "labelSelector": selector, "namespaceSelector": map[string]any{}}}},
		},
		"priorityClassName": "own", "imagePullSecrets": []any{map[string]any{"name": "mine"}}, "imagePullPolicy": "Always", "serviceAccountName": "own",
		"extraEnv": []any{
			map[string]any{"name": "A", "value": "b"},
			map[string]any{"name": "EMPTY"},
			map[string]any{"name": "S", "valueFrom": map[string]any{"secretKeyRef": ofOwn("env")}},
			map[string]any{"name": "N", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "spec.nodeName"}}},
		},
		"extraVolumes": []any{
			map[string]any{"name": "scratch", "emptyDir": map[string]any{}},
			map[string]any{"name": "extra", "secret": map[string]any{"secretName": "own", "defaultMode": 256, "items": []any{map[string]any{"key": "env", "path": "env"}}}},
			map[string]any{"name": "map", "configMap": map[string]any{"name": "map", "optional": true}},
			map[string]any{"name": "claim", "persistentVolumeClaim": map[string]any{"claimName": "own", "readOnly": true}},
			map[string]any{"name": "driver", "csi": map[string]any{"driver": "csi.example.org", "volumeAttributes": map[string]any{"a": "b"}}},
		},
		"extraVolumeMounts": []any{
			map[string]any{"name": "scratch", "mountPath": "/scratch"},
			map[string]any{"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"},
			map[string]any{"name": "extra", "mountPath": "/extra", "readOnly": true},
		},
	}
}

// A play is what happens on a stage, and what the function says at its end.
type play struct {
	reason string
	script script
	play   func(s *stage)
	want   string // A condition, as type=reason.
}

func plays() map[string]play {
	settled := func(s *stage) { s.settle() }
	userSecret := func(s *stage) world.Key { return s.secret("files-postgres-pguser-dittofs") }
	setPassword := func(s *stage) {
		s.edit(userSecret(s), func(c map[string]any) {
			within(c, "data")["password"] = base64.StdEncoding.EncodeToString([]byte("another"))
		})
	}
	recreate := func(s *stage) {
		s.settle()
		spec := within(s.Observe().Content(), "spec")
		delete(spec, "crossplane")
		s.must(s.Server.Delete(s.Crossplane.XR, ""))
		s.reconcile()
		for moved := true; moved; {
			moved = s.act()
		}
		s.must(s.CreateXR(spec))
		s.settle()
	}

	return map[string]play{
		"FirstCall": {
			reason: "Nothing is there yet.",
			script: script{spec: onPercona(map[string]any{})},
			play:   func(s *stage) { s.reconcile() },
			want:   "DatabaseReady=PerconaCreating",
		},
		"OperatorNotInstalled": {
			reason: "The PerconaPGCluster is not served.",
			script: script{spec: onPercona(map[string]any{}), unserved: true},
			play:   settled,
			want:   "DatabaseReady=PerconaOperatorNotInstalled",
		},
		"Waiting": {
			reason: "The database comes up.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.reconcile()
				s.reconcile()
				s.start()
				s.reconcile()
			},
			want: "DatabaseReady=PerconaCreating",
		},
		"Ready":  {reason: "Everything runs.", script: script{spec: onPercona(map[string]any{})}, play: settled, want: "Available=MinimumReplicasAvailable"},
		"SQLite": {reason: "A server without PostgreSQL.", script: script{spec: onSQLite()}, play: settled, want: "DatabaseReady=Embedded"},
		"Claim": {
			reason: "The XR is cluster-scoped and stands behind a claim.",
			script: script{spec: onPercona(map[string]any{}), legacy: true},
			play:   settled,
			want:   "Available=MinimumReplicasAvailable",
		},
		"Everything": {
			reason: "All that a spec can say.",
			script: script{spec: everything(), input: map[string]any{
				"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input",
				"defaults": map[string]any{"imagePullSecrets": []any{map[string]any{"name": "registry"}}}, "policy": everyPermission(),
			}},
			play: func(s *stage) {
				s.createOwn()
				s.settle()
			},
			want: "Available=MinimumReplicasAvailable",
		},
		"External": {
			reason: "A PostgreSQL that a Secret leads to.",
			script: script{spec: map[string]any{
				"storage":  map[string]any{"metadataSize": "10Gi"},
				"database": map[string]any{"type": "postgres", "postgresSecretRef": map[string]any{"name": "pg", "sslMode": "verify-full", "caSecretRef": map[string]any{"name": "pg-ca"}}},
			}},
			play: func(s *stage) {
				s.createSecret("pg", map[string]string{"host": "db.example.org", "port": "5433", "database": "files", "user": "files", "password": "clear text"})
				s.createSecret("pg-ca", map[string]string{"ca.crt": "a certificate"})
				s.settle()
			},
			want: "DatabaseReady=External",
		},
		"OwnSecrets": {
			reason: "The token key and the password are a person's.",
			script: script{spec: map[string]any{
				"storage": map[string]any{"metadataSize": "10Gi"},
				"identity": map[string]any{
					"jwt":   map[string]any{"secretRef": map[string]any{"name": "own", "key": "jwt"}},
					"admin": map[string]any{"passwordSecretRef": map[string]any{"name": "own", "key": "admin"}},
				},
			}},
			play: func(s *stage) {
				s.createOwn()
				s.settle()
			},
			want: "ConfigReady=ConfigRendered",
		},
		"Always": {
			reason: "The cluster's whole spec is enforced, over a person's edit.",
			script: script{spec: onPercona(map[string]any{"updatePolicy": "Always"})},
			play: func(s *stage) {
				s.settle()
				s.edit(s.key(server.KeyCluster), func(c map[string]any) { within(c, "spec")["port"] = int64(5433) })
				s.settle()
			},
			want: "DatabaseUpToDate=Matches",
		},
		"Edited": {
			reason: "A person changed the cluster, and the XR asks for something else again.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				s.edit(s.key(server.KeyCluster), func(c map[string]any) {
					instances, _ := within(c, "spec")["instances"].([]any)
					instance, _ := instances[0].(map[string]any)
					instance["replicas"] = int64(3)
				})
				s.must(s.EditXR("20Gi", "percona", "storageSize"))
				s.settle()
			},
			want: "DatabaseUpToDate=SpecDiffers",
		},
		"DeleteWithServer": {
			reason: "The database goes with the server.",
			script: script{spec: onPercona(map[string]any{"deleteWithServer": true})},
			play:   settled,
			want:   "DatabaseUpToDate=Matches",
		},
		"SwitchedOff": {
			reason: "Percona is switched off under a running server.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				s.must(s.EditXR(false, "percona", "enabled"))
				s.settle()
			},
			want: "DatabaseReady=DatabaseChangeRefused",
		},
		"MovedToPercona": {
			reason: "A running server moves to another database.",
			script: script{spec: onSQLite()},
			play: func(s *stage) {
				s.settle()
				s.must(s.EditXR(map[string]any{"enabled": true}, "percona"))
				s.must(s.EditXR("percona", "database", "allowChangeTo"))
				s.settle()
			},
			want: "DatabaseReady=PerconaReady",
		},
		"Rotating": {
			reason: "The password was changed, the URI not yet: the template is kept.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				setPassword(s)
				s.reconcile()
			},
			want: "DatabaseReady=ConnectionSecretIncomplete",
		},
		"Rotated": {
			reason: "The password was changed and the pod restarted.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				setPassword(s)
				s.settle()
			},
			want: "Progressing=Converged",
		},
		"KeptTemplate": {
			reason: "What the new template would refer to is gone, and the spec asks for another one.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				s.must(s.Server.Delete(userSecret(s), ""))
				s.must(s.EditXR("DEBUG", "logging", "level"))
				s.reconcile()
			},
			want: "DatabaseReady=ConnectionSecretNotFound",
		},
		"Restarting": {
			reason: "The database restarts under a running server.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				s.must(s.Server.EditStatus(s.key(server.KeyCluster), "percona-postgresql-operator", func(c map[string]any) {
					within(c, "status")["state"] = "initializing"
				}))
				s.reconcile()
			},
			want: "DatabaseReady=PerconaNotReady",
		},
		"Paused": {
			reason: "A person paused the database.",
			script: script{spec: onPercona(map[string]any{})},
			play: func(s *stage) {
				s.settle()
				s.edit(s.key(server.KeyCluster), func(c map[string]any) { within(c, "spec")["pause"] = true })
				s.settle()
			},
			want: "DatabaseReady=PerconaPaused",
		},
		"Stopped": {
			reason: "There are no replicas.",
			script: script{spec: onSQLite()},
			play: func(s *stage) {
				s.settle()
				s.must(s.EditXR(0, "replicas"))
				s.settle()
			},
			want: "Available=Stopped",
		},
		"OtherStorage": {
			reason: "The claim templates cannot follow the spec.",
			script: script{spec: onSQLite()},
			play: func(s *stage) {
				s.settle()
				s.must(s.EditXR(map[string]any{"metadataSize": "20Gi", "contentSize": "1Ti"}, "storage"))
				s.settle()
			},
			want: "StorageUpToDate=ImmutableFieldChanged",
		},
		"FewerThings": {
			reason: "Adapters and the policy are switched off again.",
			script: script{spec: onSQLite()},
			play: func(s *stage) {
				s.settle()
				s.must(s.EditXR(false, "adapters", "nfs", "enabled"))
				s.must(s.EditXR(false, "networkPolicy", "enabled"))
				s.settle()
			},
			want: "Progressing=Converged",
		},
		"Survivor": {
			reason: "The server was deleted and made again, its database and Secrets are still there.",
			script: script{spec: onPercona(map[string]any{})},
			play:   recreate,
			want:   "Available=MinimumReplicasAvailable",
		},
		"Adopted": {
			reason: "A person gave the server a StatefulSet, a ConfigMap and a Secret that somebody else made.",
			script: script{spec: onSQLite()},
			play: func(s *stage) {
				adopted := map[string]any{"dittofs.io/adopt": "files"}
				annotated := func(k server.Key, name string) map[string]any {
					a := maps.Clone(adopted)
					a["crossplane.io/composition-resource-name"] = string(k)

					return map[string]any{"name": name, "namespace": "team-a", "annotations": a}
				}
				s.create(map[string]any{
					"apiVersion": "v1", "kind": "Secret", "metadata": annotated(server.KeyJWTSecret, "files-jwt-secret"),
					"data": map[string]any{"jwt-secret": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 43)))},
				})
				s.create(map[string]any{
					"apiVersion": "v1", "kind": "Secret", "metadata": annotated(server.KeyAdminCredentials, "files-admin-bootstrap-credentials"),
					"data": map[string]any{"username": "YWRtaW4=", "password": "YWRtaW4="},
				})
				s.create(map[string]any{
					"apiVersion": "v1", "kind": "ConfigMap", "metadata": annotated(server.KeyConfig, "files-config"),
					"data": map[string]any{"config.yaml": "database:\n  type: sqlite\nshutdown_timeout: 20s\n"},
				})
				selector := map[string]any{"app": "dittofs-server", "instance": "files"}
				s.create(map[string]any{
					"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": annotated(server.KeyStatefulSet, "files"),
					"spec": map[string]any{
						"serviceName": "files-headless", "selector": map[string]any{"matchLabels": selector},
						"template": map[string]any{
							"metadata": map[string]any{"labels": selector},
							"spec":     map[string]any{"containers": []any{map[string]any{"name": "dittofs", "image": "docker.io/marmos91c/dittofs:v0.28.0"}}},
						},
						"volumeClaimTemplates": []any{map[string]any{
							"metadata": map[string]any{"name": "metadata"},
							"spec":     map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "10Gi"}}},
						}},
					},
				})
				s.settle()
			},
			want: "StorageUpToDate=ImmutableFieldChanged",
		},
	}
}

// TestValid plays what can happen to a server, and holds every response to what
// an API server accepts, and to what server-side apply needs.
func TestValid(t *testing.T) {
	t.Parallel()

	house, r := newTheatre(t), newReferee(t)

	for name, tc := range plays() {
		t.Run(name, func(t *testing.T) {
			s := house.stage(t, tc.script)
			tc.play(s)
			typ, _, _ := strings.Cut(tc.want, "=")
			if got := s.says(typ); got != tc.want {
				t.Errorf("%s\n-want, +got:\n-%s\n+%s", tc.reason, tc.want, got)
			}
			for _, w := range s.refused {
				t.Errorf("%s\nThe API server refused %s of %s: %v", tc.reason, w.Verb, w.Key, w.Err)
			}
			for i, c := range s.calls {
				if err := r.judge(c, api.LevelRestricted); err != nil {
					t.Errorf("%s\ncall %d of %d: %v", tc.reason, i+1, len(s.calls), err)
				}
			}
		})
	}
}

// TestValidOffline renders without an API server: everything is composed at
// once.
func TestValidOffline(t *testing.T) {
	r := newReferee(t)
	for name, spec := range map[string]map[string]any{"Percona": onPercona(map[string]any{}), "SQLite": onSQLite(), "Everything": everything()} {
		t.Run(name, func(t *testing.T) {
			xr, err := structpb.NewStruct(map[string]any{
				"apiVersion": "dittofs.io/v1alpha1", "kind": "DittoServer", "metadata": map[string]any{"name": "files", "namespace": "team-a"}, "spec": spec,
			})
			if err != nil {
				t.Fatal(err)
			}
			input, err := structpb.NewStruct(map[string]any{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input", "policy": everyPermission()})
			if err != nil {
				t.Fatal(err)
			}
			req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}, Input: input}
			var rsp *fnv1.RunFunctionResponse
			for range 3 {
				rsp, err = (&Function{log: logging.NewNopLogger()}).RunFunction(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.judge(world.Call{Request: req, Response: rsp}, api.LevelRestricted); err != nil {
					t.Error(err)
				}
				req.RequiredResources = map[string]*fnv1.Resources{}
				for name := range rsp.GetRequirements().GetResources() {
					req.RequiredResources[name] = &fnv1.Resources{}
				}
			}
			if want := server.KeyCluster; name == "Percona" && rsp.GetDesired().GetResources()[string(want)] == nil {
				t.Errorf("%s is not composed offline", want)
			}
		})
	}
}

// TestValidAtRandom plays the beginning of servers with random specs, and the
// whole life of some.
func TestValidAtRandom(t *testing.T) {
	t.Parallel()

	house, r := newTheatre(t), newReferee(t)

	rapid.Check(t, func(t *rapid.T) {
		in := randomScript(t)
		s := house.stage(t, in)
		s.createSecret("pg", map[string]string{"host": "db.example.org", "database": "files", "user": "files", "password": "clear text", "sslmode": "require"})
		s.createSecret("ca", map[string]string{"ca.crt": "a certificate"})
		s.createOwn()
		s.reconcile()
		s.reconcile()
		// A whole life takes long; what a spec says is mostly composed at once.
		if rapid.IntRange(0, 3).Draw(t, "life") == 0 {
			s.settle()
			if got := s.says("Progressing"); got != "Progressing=Converged" {
				t.Errorf("%s: %v", got, s.calls[len(s.calls)-1].Response.GetResults())
			}
		}
		for _, w := range s.refused {
			t.Errorf("The API server refused %s of %s: %v", w.Verb, w.Key, w.Err)
		}
		level := api.LevelRestricted
		if p, _ := within(in.input, "policy")["podSecurity"].(string); p != "" {
			level = api.Level(p)
		}
		for _, c := range s.calls {
			if err := r.judge(c, level); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestReferee holds the referee to its own rules: each is broken once.
func TestReferee(t *testing.T) {
	s := newTheatre(t).stage(t, script{spec: onPercona(map[string]any{})})
	s.settle()
	r, last := newReferee(t), s.calls[len(s.calls)-1]

	pod := func(sts map[string]any) map[string]any { return within(sts, "spec", "template", "spec") }
	container := func(sts map[string]any) map[string]any {
		list, _ := pod(sts)["containers"].([]any)
		c, _ := list[0].(map[string]any)

		return c
	}

	cases := map[string]struct {
		reason string
		key    server.Key
		live   bool // The object exists already.
		change func(want map[string]any)
		want   string
	}{
		"Untouched":      {reason: "What the function sends is valid.", key: server.KeyStatefulSet, live: true},
		"UntouchedNew":   {reason: "So it is for a new object.", key: server.KeyStatefulSet},
		"Status":         {reason: "A status is never sent.", key: server.KeyStatefulSet, change: func(o map[string]any) { o["status"] = map[string]any{"replicas": int64(1)} }, want: "it has a status"},
		"ServerMetadata": {reason: "The API server's metadata is not sent.", key: server.KeyConfig, change: func(o map[string]any) { within(o, "metadata")["uid"] = "1" }, want: "metadata.uid is the API server's"},
		"Null": {
			reason: "A null is owned.", key: server.KeyStatefulSet,
			change: func(o map[string]any) { within(o, "spec", "template", "metadata")["creationTimestamp"] = nil },
			want:   "spec.template.metadata.creationTimestamp is null",
		},
		"Empty": {
			reason: "An empty object is owned.", key: server.KeyStatefulSet,
			change: func(o map[string]any) { container(o)["resources"] = map[string]any{} }, want: "spec.template.spec.containers[0].resources is empty",
		},
		"EmptyList": {reason: "An empty list is owned.", key: server.KeyAPIService, change: func(o map[string]any) { within(o, "spec")["externalIPs"] = []any{} }, want: "spec.externalIPs is empty"},
		"Zero": {
			reason: "A zero is owned.", key: server.KeyAPIService,
			change: func(o map[string]any) { within(o, "spec")["healthCheckNodePort"] = int64(0) }, want: "spec.healthCheckNodePort is 0",
		},
		"False":     {reason: "So is a false.", key: server.KeyStatefulSet, change: func(o map[string]any) { pod(o)["hostIPC"] = false }, want: "spec.template.spec.hostIPC is false"},
		"EmptyText": {reason: "So is an empty text.", key: server.KeyAPIService, change: func(o map[string]any) { within(o, "spec")["loadBalancerIP"] = "" }, want: "spec.loadBalancerIP is empty"},
		"UnknownField": {
			reason: "The API server does not know the field.", key: server.KeyNetworkPolicy,
			change: func(o map[string]any) { within(o, "spec")["egres"] = []any{"x"} }, want: ".spec.egres: field not declared in schema",
		},
		"WrongType": {
			reason: "A port is a number.", key: server.KeyAPIService,
			change: func(o map[string]any) {
				ports, _ := within(o, "spec")["ports"].([]any)
				port, _ := ports[0].(map[string]any)
				port["port"] = "http"
			},
			want: "expected numeric",
		},
		"DuplicateKey": {
			reason: "For server-side apply a repeated key is a failed request.", key: server.KeyStatefulSet,
			change: func(o map[string]any) {
				env, _ := container(o)["env"].([]any)
				container(o)["env"] = append(env, env[0])
			},
			want: "duplicate entries for key",
		},
		"PodSecurity": {
			reason: "The level restricted forbids it.", key: server.KeyStatefulSet,
			change: func(o map[string]any) { pod(o)["hostNetwork"] = true }, want: "host namespaces (hostNetwork=true)",
		},
		"Cluster": {
			reason: "The definition asks for instances.", key: server.KeyCluster,
			change: func(o map[string]any) { delete(within(o, "spec"), "instances") }, want: "spec.instances",
		},
		"ClusterUnknownField": {
			reason: "The definition does not know it.", key: server.KeyCluster, live: true,
			change: func(o map[string]any) { within(o, "spec")["replicas"] = int64(1) }, want: ".spec.replicas: field not declared in schema",
		},
		"StaleCluster": {
			reason: "The resourceVersion is the one that was observed.", key: server.KeyCluster, live: true,
			change: func(o map[string]any) { within(o, "metadata")["resourceVersion"] = "1" }, want: "metadata.resourceVersion is the API server's",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want, err := contentOf(last.Response.GetDesired().GetResources()[string(tc.key)])
			if err != nil {
				t.Fatal(err)
			}
			var live map[string]any
			if tc.live {
				if live, err = contentOf(liveOf(last.Request, string(tc.key), want)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.key == server.KeyCluster && !tc.live {
				delete(within(want, "metadata"), "resourceVersion")
			}
			if tc.change != nil {
				tc.change(want)
			}
			got := ""
			if err := r.object(tc.key, want, live, api.LevelRestricted); err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tc.want) || (tc.want == "" && got != "") {
				t.Errorf("%s\n-want, +got:\n-%s\n+%s", tc.reason, tc.want, got)
			}
		})
	}
}

// randomScript of a server whose spec and input are valid.
func randomScript(t *rapid.T) script {
	spec := randomSpec(t)
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	in := script{legacy: rapid.Bool().Draw(t, "legacy")}
	if err := json.Unmarshal(data, &in.spec); err != nil {
		t.Fatal(err)
	}

	// Whole sections, each there or not.
	knobs := everyKnob()
	delete(knobs, "serviceAccountName") // The platform has to allow it.
	delete(knobs, "imagePullSecrets")
	for _, name := range slices.Sorted(maps.Keys(knobs)) {
		if rapid.Bool().Draw(t, "pod "+name) && name != "extraVolumes" {
			delete(knobs, name) // Mounts without volumes would be refused.
		}
	}
	all := everything()
	all["pod"] = knobs
	for _, name := range []string{"pod", "metrics", "config"} {
		if rapid.Bool().Draw(t, "section "+name) {
			in.spec[name] = all[name]
		}
	}
	for _, name := range []string{"ldap", "kerberos"} {
		if rapid.Bool().Draw(t, "section "+name) {
			within(in.spec, "identity")[name] = everyIdentity()[name]
		}
	}
	controlPlane := within(in.spec, "controlPlane")
	if rapid.Bool().Draw(t, "tls") {
		controlPlane["certSecretName"] = "own"
		if rapid.Bool().Draw(t, "mutual") {
			controlPlane["clientCASecretName"] = "own"
		}
	}
	if pg := within(in.spec, "percona"); pg["enabled"] == true {
		for _, name := range []string{"walStorageSize", "pgBouncer", "resources", "scheduling", "parameters", "restoreFrom"} {
			if rapid.Bool().Draw(t, "percona "+name) {
				pg[name] = within(all, "percona")[name]
			}
		}
	}

	if rapid.Bool().Draw(t, "input") {
		in.input = map[string]any{
			"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input",
			"defaults": map[string]any{
				"image":            "registry.example.org/dittofs:v0.29.0",
				"storageClassName": "platform",
				"imagePullSecrets": []any{map[string]any{"name": "registry"}, map[string]any{"name": "mirror"}},
			},
			"percona":         map[string]any{"postgresVersion": 15, "images": map[string]any{"pgBackRest": "registry.example.org/pgbackrest:2.58.0-1"}},
			"waitForPostgres": map[string]any{"image": "registry.example.org/postgres:16", "timeout": "90s"},
			"policy":          map[string]any{"podSecurity": rapid.SampledFrom([]string{"restricted", "baseline", "privileged"}).Draw(t, "level")},
		}
	}

	return in
}

// maybe draws from g half of the time; otherwise it is the zero value.
func maybe[T any](t *rapid.T, name string, g *rapid.Generator[T]) T {
	var zero T
	if rapid.Bool().Draw(t, name+"?") {
		return g.Draw(t, name)
	}

	return zero
}

// some draws a pointer half of the time.
func some[T any](t *rapid.T, name string, g *rapid.Generator[T]) *T {
	if rapid.Bool().Draw(t, name+"?") {
		return new(g.Draw(t, name))
	}

	return nil
}

func randomSpec(t *rapid.T) v1alpha1.DittoServerSpec {
	// Sizes in all notations, canonical or not.
	size := rapid.SampledFrom([]string{"1Gi", "10Gi", "1024Mi", "1.5Gi", "1e9", "2000000000", "0.5Ti", "1T"})
	class := rapid.SampledFrom([]string{"fast", "a.b-c"})
	ports := rapid.Permutation([]int32{1, 445, 2049, 8080, 8443, 12049, 1445, 65535}).Draw(t, "ports")

	spec := v1alpha1.DittoServerSpec{
		Image:                         maybe(t, "image", rapid.SampledFrom([]string{"dittofs", "registry.example.org:5000/a/b@sha256:" + strings.Repeat("0", 64)})),
		Storage:                       v1alpha1.StorageSpec{MetadataSize: size.Draw(t, "metadata"), ContentSize: maybe(t, "content", size), ControlPlaneSize: maybe(t, "controlPlane", size), StorageClassName: some(t, "class", class)},
		Service:                       randomService(t, "service"),
		AdapterServices:               randomService(t, "adapterServices"),
		Resources:                     randomResources(t),
		SecurityContext:               randomSecurity(t),
		PodSecurityContext:            randomPodSecurity(t),
		TerminationGracePeriodSeconds: some(t, "grace", rapid.Int64Range(36, 86400)),
		Replicas:                      some(t, "replicas", rapid.Int32Range(0, 1)),
	}
	if rapid.Bool().Draw(t, "ports?") {
		spec.ControlPlane.Port = ports[0]
		spec.Adapters.NFS = v1alpha1.NFSAdapterSpec{Port: ports[1], ServicePort: ports[2], Enabled: some(t, "nfs", rapid.Bool())}
		spec.Adapters.SMB = v1alpha1.SMBAdapterSpec{Port: ports[3], ServicePort: ports[4], Enabled: some(t, "smb", rapid.Bool())}
	}
	spec.NetworkPolicy.Enabled = some(t, "networkPolicy", rapid.Bool())
	spec.NetworkPolicy.From = rapid.SliceOfN(rapid.Custom(randomPeer), 0, 3).Draw(t, "from")
	spec.Logging.Level = maybe(t, "level", rapid.SampledFrom([]string{"DEBUG", "WARN"}))
	if rapid.Bool().Draw(t, "own secrets") {
		spec.Identity.JWT.SecretRef = &v1alpha1.SecretKeyRef{Name: "own", Key: "jwt"}
		spec.Identity.Admin.PasswordSecretRef = &v1alpha1.SecretKeyRef{Name: "own", Key: "admin"}
	}

	switch rapid.SampledFrom([]string{"sqlite", "external", "percona", "percona"}).Draw(t, "database") {
	case "external":
		spec.Database.Type = v1alpha1.DatabaseTypePostgres
		spec.Database.PostgresSecretRef = &v1alpha1.PostgresSecretRef{Name: "pg"}
		if rapid.Bool().Draw(t, "verified") {
			spec.Database.PostgresSecretRef.SSLMode = v1alpha1.SSLModeVerifyFull
			spec.Database.PostgresSecretRef.CASecretRef = &v1alpha1.LocalSecretRef{Name: "ca"}
		}
	case "percona":
		spec.Percona = randomPercona(t)
	}

	return spec
}

func randomPercona(t *rapid.T) v1alpha1.PerconaSpec {
	p := v1alpha1.PerconaSpec{
		Enabled:          new(true),
		DeleteWithServer: some(t, "deleteWithServer", rapid.Bool()),
		UpdatePolicy:     maybe(t, "updatePolicy", rapid.SampledFrom([]v1alpha1.UpdatePolicy{v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways})),
		Replicas:         some(t, "pods", rapid.Int32Range(1, 5)),
		StorageSize:      maybe(t, "volume", rapid.SampledFrom([]string{"10Gi", "1.5Ti", "2048Mi", "3e10"})),
		StorageClassName: some(t, "volume class", rapid.SampledFrom([]string{"fast", "slow"})),
		DatabaseName:     maybe(t, "databaseName", rapid.StringMatching(`[a-z_][a-z0-9_]{0,62}`)),
		PostgresVersion:  some(t, "postgresVersion", rapid.Int32Range(14, 18)),
		CRVersion:        maybe(t, "crVersion", rapid.SampledFrom([]string{"2.9.0", "2.10.1", "3.0.0"})),
		SSLMode:          maybe(t, "sslMode", rapid.SampledFrom([]v1alpha1.SSLMode{v1alpha1.SSLModeRequire, v1alpha1.SSLModeVerifyCA})),
	}
	if rapid.Bool().Draw(t, "backup") {
		p.Backup = v1alpha1.BackupSpec{
			Enabled: new(true), Bucket: "backups", Endpoint: maybe(t, "endpoint", rapid.Just("minio.example.org:9000")),
			Region: maybe(t, "region", rapid.Just("us-east-1")), RetentionDays: some(t, "retention", rapid.Int32Range(1, 9999999)),
			FullSchedule: maybe(t, "full", rapid.SampledFrom([]string{"@daily", "30 4 * * 0", "0 1 1 JAN *"})),
		}
		if p.Backup.FullSchedule == "@daily" {
			p.Backup.FullSchedule = "0 3 * * *"
		}
		if rapid.Bool().Draw(t, "credentials") {
			p.Backup.CredentialsSecretRef = &v1alpha1.LocalSecretRef{Name: "s3"}
		}
	}

	return p
}

func randomService(t *rapid.T, name string) v1alpha1.ServiceSpec {
	return v1alpha1.ServiceSpec{
		Type:        maybe(t, name+" type", rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer})),
		Annotations: maybe(t, name+" annotations", rapid.MapOfN(rapid.StringMatching(`example\.org/[a-z]{1,8}`), rapid.String(), 1, 3)),
	}
}

func randomResources(t *rapid.T) *corev1.ResourceRequirements {
	if !rapid.Bool().Draw(t, "resources?") {
		return nil
	}
	r := &corev1.ResourceRequirements{}
	amount := rapid.SampledFrom([]string{"0.1", "100m", "1e0", "1.5"})
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, "example.org/gpu"} {
		if !rapid.Bool().Draw(t, string(name)) {
			continue
		}
		if r.Requests == nil {
			r.Requests, r.Limits = corev1.ResourceList{}, corev1.ResourceList{}
		}
		r.Requests[name] = resource.MustParse(amount.Draw(t, "request"))
		r.Limits[name] = resource.MustParse("4096")
		if strings.Contains(string(name), "/") {
			r.Requests[name] = r.Limits[name] // A device is not overcommitted.
		}
	}

	return r
}

// randomSecurity that passes the level restricted.
func randomSecurity(t *rapid.T) *corev1.SecurityContext {
	if !rapid.Bool().Draw(t, "securityContext?") {
		return nil
	}
	c := &corev1.SecurityContext{
		ReadOnlyRootFilesystem:   some(t, "readOnly", rapid.Just(true)),
		RunAsUser:                some(t, "container user", rapid.Int64Range(1, 1<<31-1)),
		RunAsGroup:               some(t, "container group", rapid.Int64Range(1, 1<<31-1)),
		AllowPrivilegeEscalation: some(t, "escalation", rapid.Just(false)),
	}
	if rapid.Bool().Draw(t, "capabilities") {
		c.Capabilities = &corev1.Capabilities{Add: maybe(t, "add", rapid.Just([]corev1.Capability{"NET_BIND_SERVICE"})), Drop: maybe(t, "drop", rapid.Just([]corev1.Capability{"ALL"}))}
	}

	return c
}

// randomPodSecurity that passes the level restricted.
func randomPodSecurity(t *rapid.T) *corev1.PodSecurityContext {
	if !rapid.Bool().Draw(t, "podSecurityContext?") {
		return nil
	}
	id := rapid.Int64Range(1, 1<<31-1)

	return &corev1.PodSecurityContext{
		RunAsUser:           some(t, "user", id),
		RunAsGroup:          some(t, "group", id),
		FSGroup:             some(t, "fsGroup", id),
		FSGroupChangePolicy: some(t, "policy", rapid.Just(corev1.FSGroupChangeAlways)),
		SupplementalGroups:  maybe(t, "groups", rapid.SliceOfNDistinct(id, 1, 3, rapid.ID)),
		SeccompProfile: some(t, "seccomp", rapid.SampledFrom([]corev1.SeccompProfile{
			{Type: corev1.SeccompProfileTypeRuntimeDefault}, {Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("profiles/dittofs.json")},
		})),
		Sysctls: maybe(t, "sysctls", rapid.Just([]corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies", Value: "1"}})),
	}
}

func randomPeer(t *rapid.T) networkingv1.NetworkPolicyPeer {
	if rapid.Bool().Draw(t, "block") {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: maybe(t, "except", rapid.Just([]string{"10.1.0.0/16", "10.2.0.0/16"}))}}
	}
	selector := rapid.SampledFrom([]*metav1.LabelSelector{
		{},
		{MatchLabels: map[string]string{"a": "b"}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"b", "c"}}, {Key: "d", Operator: metav1.LabelSelectorOpExists}}},
	})

	return networkingv1.NetworkPolicyPeer{PodSelector: selector.Draw(t, "pods"), NamespaceSelector: maybe(t, "namespaces", selector)}
}

// A referee judges calls of the function.
type referee struct {
	core, percona managedfields.TypeConverter
	cluster       *crdtest.Validator
	pods          policy.Evaluator
}

func newReferee(tb testing.TB) *referee {
	tb.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			tb.Fatal(err)
		}
	}
	pods, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		tb.Fatal(err)
	}

	return &referee{core: applyconfigurations.NewTypeConverter(scheme), percona: crdtest.PerconaTypeConverter(tb), cluster: crdtest.PerconaPGCluster(tb), pods: pods}
}

// judge a call: what it wants, and that it gives the same again.
func (r *referee) judge(c world.Call, level api.Level) error {
	if err := again(c); err != nil {
		return err
	}
	for _, res := range c.Response.GetResults() {
		if res.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			return errors.Errorf("a valid server was refused: %s", res.GetMessage())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Response.GetDesired().GetResources())) {
		want, err := contentOf(c.Response.GetDesired().GetResources()[key])
		if err != nil {
			return errors.Wrap(err, key)
		}
		live, err := contentOf(liveOf(c.Request, key, want))
		if err != nil {
			return errors.Wrap(err, key)
		}
		if err := r.object(server.Key(key), want, live, level); err != nil {
			return errors.Wrapf(err, "%s (%s)", key, want["kind"])
		}
	}

	return ownStatus(c.Response.GetDesired().GetComposite())
}

// object that is wanted, and its live one; nil if there is none.
func (r *referee) object(k server.Key, want, live map[string]any, level api.Level) error {
	if err := clean(k, want, live); err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: want}
	if k == server.KeyCluster {
		if live == nil {
			return r.cluster.Validate(want)
		}
		// What is sent of a live one need not be complete: the model's API
		// server judges what becomes of it.
		_, err := r.percona.ObjectToTyped(u)

		return err
	}
	if k == server.KeyServiceMonitor {
		return nil // Held to the Prometheus operator's own types in test/render.
	}
	if _, err := r.core.ObjectToTyped(u); err != nil {
		return err
	}
	if k != server.KeyStatefulSet {
		return nil
	}
	kept, _, _ := unstructured.NestedMap(live, "spec", "template")
	if sent, _, _ := unstructured.NestedMap(want, "spec", "template"); kept != nil && cmp.Equal(sent, withoutNulls(kept)) {
		return nil // Somebody else's, as it runs: it is not judged (R3).
	}

	return r.pod(want, level)
}

// pod of a StatefulSet at a level of the Pod Security Standards.
func (r *referee) pod(statefulSet map[string]any, level api.Level) error {
	data, err := json.Marshal(statefulSet)
	if err != nil {
		return err
	}
	typed := &appsv1.StatefulSet{}
	strict, err := kjson.UnmarshalStrict(data, typed)
	if err := errors.Join(append(strict, err)...); err != nil {
		return err
	}
	result := policy.AggregateCheckResults(r.pods.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &typed.Spec.Template.ObjectMeta, &typed.Spec.Template.Spec))
	if !result.Allowed {
		return errors.Errorf("the pod does not pass the level %s: %s", level, result.ForbiddenDetail())
	}

	return nil
}

// contentOf a resource as an API server decodes it; nil for nil.
func contentOf(r *fnv1.Resource) (map[string]any, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // Nothing is the content of nothing.
	}
	data, err := r.GetResource().MarshalJSON()
	if err != nil {
		return nil, err
	}
	var content map[string]any
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &content)

	return content, err
}

// liveOf the object that is wanted: what the request knows of it, or nil.
func liveOf(req *fnv1.RunFunctionRequest, key string, want map[string]any) *fnv1.Resource {
	if r := req.GetObserved().GetResources()[key]; r != nil {
		return r
	}
	for _, found := range req.GetRequiredResources() {
		for _, r := range found.GetItems() {
			f := r.GetResource().GetFields()
			if f["kind"].GetStringValue() == want["kind"] && f["metadata"].GetStructValue().GetFields()["name"].GetStringValue() == within(want, "metadata")["name"] {
				return r
			}
		}
	}

	return nil
}

// serverFields of an object's metadata are the API server's to set.
func serverFields() []string {
	return []string{"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink", "uid", "resourceVersion"}
}

// clean tells what of an object must not be sent: server-side apply would own
// and enforce it.
func clean(k server.Key, want, live map[string]any) error {
	if want["status"] != nil {
		return errors.New("it has a status")
	}
	for _, f := range serverFields() {
		precondition := k == server.KeyCluster && f == "resourceVersion"
		if v, ok := within(want, "metadata")[f]; ok && (!precondition || live == nil || v != within(live, "metadata")[f]) {
			return errors.Errorf("metadata.%s is the API server's", f)
		}
	}
	if k == server.KeyCluster && live != nil {
		return nothingEmpty("", within(want, "metadata"), nil)
	}

	kept := map[string]any{}
	if k == server.KeyStatefulSet && live != nil {
		// What is kept is kept as it is, but for nulls.
		for _, f := range []string{"selector", "template", "volumeClaimTemplates"} {
			kept["spec."+f] = within(live, "spec")[f]
		}
	}

	return nothingEmpty("", want, kept)
}

// meaningful when false or zero: leaving it out means something else.
func meaningful(path string) bool {
	return slices.Contains([]string{"automountServiceAccountToken", "allowPrivilegeEscalation", "replicas", "enabled"}, path[strings.LastIndex(path, ".")+1:])
}

// nothingEmpty is below a value: no null, empty list or object, zero, false or
// empty text, which an apply configuration sends only by mistake.
func nothingEmpty(path string, v any, kept map[string]any) error {
	if k, ok := kept[path]; ok && k != nil && equality.Semantic.DeepEqual(withoutNulls(k), withoutNulls(v)) {
		return noNull(path, v)
	}
	switch v := v.(type) {
	case map[string]any:
		// A selector without conditions selects everything, and an emptyDir has
		// no settings.
		if len(v) == 0 && !strings.HasSuffix(path, "elector") && !strings.HasSuffix(path, ".emptyDir") {
			return errors.Errorf("%s is empty", path)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := nothingEmpty(strings.TrimPrefix(path+"."+name, "."), v[name], kept); err != nil {
				return err
			}
		}

		return nil
	case []any:
		if len(v) == 0 {
			return errors.Errorf("%s is empty", path)
		}
		for i := range v {
			if err := nothingEmpty(fmt.Sprintf("%s[%d]", path, i), v[i], kept); err != nil {
				return err
			}
		}

		return nil
	case nil:
		return errors.Errorf("%s is null", path)
	case string:
		if v == "" && !strings.HasPrefix(path, "metadata.annotations.") {
			return errors.Errorf("%s is empty", path)
		}
	case bool:
		if !v && !meaningful(path) {
			return errors.Errorf("%s is false", path)
		}
	case int64:
		if v == 0 && !meaningful(path) {
			return errors.Errorf("%s is 0", path)
		}
	}

	return nil
}

// noNull and no status of a claim is in what was kept.
func noNull(path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if err := noNull(path+"."+name, v[name]); err != nil {
				return err
			}
		}
	case []any:
		for i := range v {
			if err := noNull(fmt.Sprintf("%s[%d]", path, i), v[i]); err != nil {
				return err
			}
		}
	case nil:
		return errors.Errorf("%s is null", path)
	}

	return nil
}

// withoutNulls and without the status of claims, which a StatefulSet's claim
// templates print.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if e != nil && (name != "status" || v["kind"] != "PersistentVolumeClaim") {
				out[name] = withoutNulls(e)
			}
		}

		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutNulls(v[i])
		}

		return out
	}

	return v
}

// ownStatus: of the XR only its status is wanted, and nothing in it is null.
func ownStatus(xr *fnv1.Resource) error {
	content, err := contentOf(xr)
	if err != nil || content == nil {
		return err
	}
	for name := range content {
		if !slices.Contains([]string{"apiVersion", "kind", "status"}, name) {
			return errors.Errorf("the XR's %s is not the function's", name)
		}
	}

	return noNull("status", content["status"])
}

// again: the same request gives the same bytes. So it does if an API server
// prints the nulls that some versions print.
func again(c world.Call) error {
	rsp, err := (&Function{log: logging.NewNopLogger()}).RunFunction(context.Background(), c.Request)
	if err != nil {
		return err
	}
	if err := same(c.Request, c.Response, rsp); err != nil {
		return err
	}

	printed := proto.CloneOf(c.Request)
	if !printNulls(printed) {
		return nil
	}
	rsp, err = (&Function{log: logging.NewNopLogger()}).RunFunction(context.Background(), printed)
	if err != nil {
		return err
	}

	return errors.Wrap(same(c.Request, c.Response, rsp), "with nulls in the observed StatefulSet")
}

// printNulls where API servers print a creationTimestamp that is not set. It
// tells whether there was a place.
func printNulls(req *fnv1.RunFunctionRequest) bool {
	spec := req.GetObserved().GetResources()[string(server.KeyStatefulSet)].GetResource().GetFields()["spec"].GetStructValue().GetFields()
	if spec == nil {
		return false
	}
	places := []*structpb.Value{spec["template"]}
	places = append(places, spec["volumeClaimTemplates"].GetListValue().GetValues()...)
	for _, v := range places {
		if md := v.GetStructValue().GetFields()["metadata"].GetStructValue(); md != nil {
			md.Fields["creationTimestamp"] = structpb.NewNullValue()
		}
	}

	return true
}

// same bytes of two responses, but for Secrets that are being made.
func same(req *fnv1.RunFunctionRequest, a, b *fnv1.RunFunctionResponse) error {
	var data [2][]byte
	for i, rsp := range []*fnv1.RunFunctionResponse{a, b} {
		rsp = proto.CloneOf(rsp)
		maskMade(req, rsp)
		var err error
		if data[i], err = (proto.MarshalOptions{Deterministic: true}).Marshal(rsp); err != nil {
			return err
		}
	}
	if !bytes.Equal(data[0], data[1]) {
		return errors.Errorf("the same request gave another response: -first, +second:\n%s", cmp.Diff(a, b, protocmp.Transform()))
	}

	return nil
}

// maskMade hides the Secrets that the response makes, and what follows from
// them.
func maskMade(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
	resources := rsp.GetDesired().GetResources()
	made := false
	for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials} {
		want := resources[string(k)]
		if want == nil || liveOf(req, string(k), want.GetResource().AsMap()) != nil {
			continue
		}
		made = true
		delete(want.GetResource().GetFields(), "data")
	}
	if !made {
		return
	}
	delete(resources[string(server.KeyConnection)].GetResource().GetFields(), "data")
	if xr := rsp.GetDesired().GetComposite(); xr != nil {
		xr.ConnectionDetails = nil
	}
	template := resources[string(server.KeyStatefulSet)].GetResource().GetFields()["spec"].GetStructValue().GetFields()["template"].GetStructValue()
	delete(template.GetFields()["metadata"].GetStructValue().GetFields()["annotations"].GetStructValue().GetFields(), server.AnnotationConfigHash)
}
