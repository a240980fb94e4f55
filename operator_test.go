package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// What docs/features.md says of the DittoFS operator's features and defects,
// and no other test shows.

// TestOperatorFields follows fields that the operator has to where they take
// effect.
func TestOperatorFields(t *testing.T) {
	resources := object{"requests": object{"cpu": "500m"}, "limits": object{"memory": "4Gi"}}
	claim := func(i int, path string) string {
		return "spec.volumeClaimTemplates." + strconv.Itoa(i) + "." + path
	}
	const (
		container = "spec.template.spec.containers.name=dittofs."
		waits     = "spec.template.spec.initContainers.name=wait-for-postgres."
	)

	cases := map[string]struct {
		reason string
		s      *situation
		// config and statefulSet are paths and what is there.
		config      map[string]any
		statefulSet map[string]any
	}{
		"Image": {
			reason:      "The image that is asked for runs.",
			s:           started(t, namespaced("spec.image", "registry.example.org/dittofs:v0.30.0")),
			statefulSet: map[string]any{container + "image": "registry.example.org/dittofs:v0.30.0"},
		},
		"Storage": {
			reason: "Each size is a volume's, and they are all of one class.",
			s:      started(t, namespaced("spec.storage", object{"metadataSize": "20Gi", "controlPlaneSize": "2Gi", "contentSize": "1Ti", "storageClassName": "fast"})),
			statefulSet: map[string]any{
				claim(0, "metadata.name"): "controlplane", claim(0, "spec.resources.requests.storage"): "2Gi", claim(0, "spec.storageClassName"): "fast",
				claim(1, "metadata.name"): "metadata", claim(1, "spec.resources.requests.storage"): "20Gi", claim(1, "spec.storageClassName"): "fast",
				claim(2, "metadata.name"): "content", claim(2, "spec.resources.requests.storage"): "1Ti", claim(2, "spec.storageClassName"): "fast",
				container + "volumeMounts.name=content.mountPath": "/data/store/block",
			},
		},
		"StorageLeftOut": {
			reason: "Without a size there is no volume for content, and without a class the cluster's own is used.",
			s:      started(t, namespaced()),
			statefulSet: map[string]any{
				claim(0, "spec.resources.requests.storage"): "1Gi", claim(0, "spec.storageClassName"): nil,
				claim(1, "metadata.name"): "metadata", claim(2, "metadata.name"): nil,
				container + "volumeMounts.name=content": nil,
			},
		},
		"ControlPlanePort": {
			reason:      "The server listens where the pod says.",
			s:           started(t, namespaced("spec.controlPlane.port", 9443)),
			config:      map[string]any{"controlplane.port": 9443},
			statefulSet: map[string]any{container + "ports.name=api.containerPort": 9443.0},
		},
		"TokenDurations": {
			reason: "Durations are in the file.",
			s:      started(t, namespaced("spec.identity.jwt", object{"accessTokenDuration": "30m", "refreshTokenDuration": "24h"})),
			config: map[string]any{"controlplane.jwt.access_token_duration": "30m", "controlplane.jwt.refresh_token_duration": "24h"},
		},
		"Logging": {
			reason: "Level, format and output are in the file.",
			s:      started(t, namespaced("spec.logging", object{"level": "DEBUG", "format": "text", "output": "stderr"})),
			config: map[string]any{"logging": object{"level": "DEBUG", "format": "text", "output": "stderr"}},
		},
		"PlainLDAP": {
			reason: "A person may insist on clear text.",
			s: started(t, namespaced("spec.identity.ldap", object{
				"enabled": true, "url": "ldap://dc.example.org", "allowPlaintext": true, "baseDN": "DC=example", "bindDN": "CN=reader",
				"bindPasswordSecretRef": object{"name": "ldap", "key": "password"},
			}), secret("ldap", map[string]string{"password": "secret"})),
			config: map[string]any{"ldap.allow_plaintext": true},
		},
		"KerberosFile": {
			reason: "A krb5.conf that is in the pod already is named by its path.",
			s: started(t, namespaced("spec.identity.kerberos", object{
				"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG", "realm": "EXAMPLE.ORG", "krb5Conf": "/etc/krb5.conf",
				"keytabSecretRef": object{"name": "krb", "key": "kt"},
			}), secret("krb", map[string]string{"kt": "1"})),
			config: map[string]any{"kerberos.realm": "EXAMPLE.ORG", "kerberos.krb5_conf": "/etc/krb5.conf", "kerberos.machine_account": nil},
		},
		"External": {
			reason: "A server waits for a PostgreSQL that is somebody else's as well.",
			s:      serving(t, onExternal(), externalSecret(nil)),
			statefulSet: map[string]any{
				waits + "env.name=PGHOST.valueFrom.secretKeyRef.name": externalSecretName,
				waits + "env.name=PGSSLMODE.value":                    "prefer",
			},
		},
		"Resources": {
			reason:      "A quota that asks every container for limits asks the one that waits too.",
			s:           servingOnPercona(t, withPercona("spec.resources", resources)),
			statefulSet: map[string]any{container + "resources": resources, waits + "resources": resources},
		},
		"GracePeriod": {
			reason:      "A stopping server gets the time that is asked for.",
			s:           started(t, namespaced("spec.terminationGracePeriodSeconds", 300)),
			statefulSet: map[string]any{"spec.template.spec.terminationGracePeriodSeconds": 300.0},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			config := configOf(t, tc.s)
			for path, want := range tc.config {
				if diff := cmp.Diff(want, at(config, strings.Split(path, ".")...)); diff != "" {
					t.Errorf("%s\nconfig.yaml: %s: -want, +got:\n%s", tc.reason, path, diff)
				}
			}
			for path, want := range tc.statefulSet {
				if diff := cmp.Diff(want, at(tc.s.get(server.KeyStatefulSet), strings.Split(path, ".")...)); diff != "" {
					t.Errorf("%s\nStatefulSet: %s: -want, +got:\n%s", tc.reason, path, diff)
				}
			}
		})
	}
}

// TestOperatorServices: nothing is offered to the world that nobody asked to
// be, and what is asked for arrives.
func TestOperatorServices(t *testing.T) {
	shaped := func(typ string) object {
		return object{"type": typ, "annotations": object{"lb.example.org/internal": "true"}}
	}
	cases := map[string]struct {
		reason         string
		edits          []any
		api, adapters  string
		apiAnnotations object
		annotations    object
	}{
		"LeftOut": {"Without service and adapterServices nothing leaves the cluster.", nil, "ClusterIP", "ClusterIP", nil, nil},
		"NoType":  {"An empty object asks for nothing.", []any{"spec.service", object{}, "spec.adapterServices", object{}}, "ClusterIP", "ClusterIP", nil, nil},
		"Asked": {
			"The two are asked for one by one.",
			[]any{"spec.service", shaped("NodePort"), "spec.adapterServices", shaped("LoadBalancer")},
			"NodePort", "LoadBalancer", mapAt(shaped(""), "annotations"), mapAt(shaped(""), "annotations"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := newSituation(namespaced(tc.edits...)).response(t)
			for k, want := range map[server.Key]struct {
				typ         string
				annotations object
			}{
				server.KeyAPIService: {tc.api, tc.apiAnnotations},
				server.KeyNFSService: {tc.adapters, tc.annotations},
				server.KeySMBService: {tc.adapters, tc.annotations},
			} {
				if got := textAt(composed(rsp, k), "spec", "type"); got != want.typ {
					t.Errorf("%s\n%s: want type %s, got %s", tc.reason, k, want.typ, got)
				}
				if diff := cmp.Diff(want.annotations, mapAt(composed(rsp, k), "metadata", "annotations")); diff != "" {
					t.Errorf("%s\n%s: annotations: -want, +got:\n%s", tc.reason, k, diff)
				}
			}
		})
	}
}

// TestOperatorMutualTLSIsReady: nobody has to log in for a server to be ready,
// so one that asks its clients for certificates is like any other.
func TestOperatorMutualTLSIsReady(t *testing.T) {
	s := serving(t, namespaced("spec.controlPlane", object{"certSecretName": "tls", "clientCASecretName": "clients"}),
		secret("tls", map[string]string{"tls.crt": "certificate", "tls.key": "key"}), secret("clients", map[string]string{"ca.crt": "authority"}))
	rsp := s.response(t)
	for typ, want := range map[string]string{
		condition.TypeAvailable: "True MinimumReplicasAvailable", condition.TypeConfigReady: "True ConfigRendered", condition.TypeProgressing: "False Converged",
	} {
		if got := conditionOf(rsp, typ); got != want {
			t.Errorf("%s: want %s, got %s: %s", typ, want, got, messageOf(rsp, typ))
		}
	}
	for _, k := range composedKeys(rsp) {
		if got := readiness(rsp, server.Key(k)); got != "TRUE" {
			t.Errorf("%s is not ready: %s", k, got)
		}
	}
	if rsp.GetDesired().GetComposite().GetReady() == fnv1.Ready_READY_FALSE {
		t.Error("The XR is held back.")
	}
}

// TestOperatorInertFields: what is accepted only because the operator knows it
// changes nothing.
func TestOperatorInertFields(t *testing.T) {
	ldap := object{
		"enabled": true, "url": "ldaps://dc.example.org", "baseDN": "DC=example", "bindDN": "CN=reader",
		"bindPasswordSecretRef": object{"name": "ldap", "key": "password"},
	}
	s := serving(t, onExternal("spec.identity.ldap", ldap), externalSecret(nil), secret("ldap", map[string]string{"password": "secret"}))
	want := s.response(t)

	for path, value := range map[string]any{
		"spec.controlPlane.tls":                 true,
		"spec.identity.type":                    "memory",
		"spec.identity.admin.username":          "root",
		"spec.identity.ldap.caCertFile":         "/etc/ldap/ca.crt",
		"spec.adapterDiscovery.pollingInterval": "1s",
		"spec.database.postgresSecretRef.key":   "connection-string",
		"spec.snapshotPolicies":                 []any{},
	} {
		t.Run(path, func(t *testing.T) {
			if diff := cmp.Diff(want, s.clone().editXR(path, value).response(t), protocmp.Transform()); diff != "" {
				t.Errorf("It changes something: -without, +with:\n%s", diff)
			}
		})
	}
}

// TestOperatorStorageClassUnverified: as long as nobody has looked for a
// StorageClass, nothing is claimed from it.
func TestOperatorStorageClassUnverified(t *testing.T) {
	s := newSituation(namespaced("spec.storage.storageClassName", "fast")).hide(idOf("storage.k8s.io/v1", "StorageClass", "", "fast"))
	s.reconcile(t)
	rsp := s.reconcile(t)
	if composed(rsp, server.KeyStatefulSet) != nil {
		t.Error("Volumes are claimed from a StorageClass that may not be there.")
	}
	if got := conditionOf(rsp, condition.TypeStorageUpToDate); got != "False StorageClassNotFound" {
		t.Errorf("StorageUpToDate: got %s", got)
	}
}

// TestOperatorOrderedReady: a StatefulSet of the operator's keeps the policy
// under which a broken pod blocks its own repair, until it is composed anew.
func TestOperatorOrderedReady(t *testing.T) {
	s := serving(t, namespaced())
	s.edit(server.KeyStatefulSet, "spec.podManagementPolicy", "OrderedReady")
	if got := at(composed(s.response(t), server.KeyStatefulSet), "spec", "podManagementPolicy"); got != "OrderedReady" {
		t.Errorf("An immutable field is changed, and the API server would refuse it all: %v", got)
	}
	s.remove(server.KeyStatefulSet)
	if got := at(composed(s.response(t), server.KeyStatefulSet), "spec", "podManagementPolicy"); got != "Parallel" {
		t.Errorf("A StatefulSet that is composed anew: want Parallel, got %v", got)
	}
}

// TestOperatorMakesNoCalls: what decides about a server talks to nobody, so no
// server that hangs can keep another one waiting. All it knows is in the
// request, which the imports of its packages show.
func TestOperatorMakesNoCalls(t *testing.T) {
	const module = "github.com/dittofs/function-dittoserver/"
	// Builders of objects, which are plain data.
	const builders = "k8s.io/client-go/applyconfigurations/"
	talks := func(path string) bool {
		return path == "os" || path == "syscall" || strings.HasPrefix(path, "os/") || strings.HasPrefix(path, "net/http") ||
			strings.HasPrefix(path, "google.golang.org/grpc") || strings.HasPrefix(path, "sigs.k8s.io/controller-runtime") ||
			(strings.HasPrefix(path, "k8s.io/client-go/") && !strings.HasPrefix(path, builders))
	}

	todo, visited := []string{"fn.go"}, map[string]bool{}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if visited[name] || strings.HasSuffix(name, "_test.go") {
			continue
		}
		visited[name] = true
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if talks(path) {
				t.Errorf("%s imports %s", name, path)
			}
			if dir, ours := strings.CutPrefix(path, module); ours {
				files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
				if err != nil || len(files) == 0 {
					t.Fatalf("no files in %s: %v", dir, err)
				}
				todo = append(todo, files...)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "net" && call.Sel.Name != "JoinHostPort" {
				t.Errorf("%s uses net.%s", name, call.Sel.Name)
			}

			return true
		})
	}
	for _, want := range []string{"internal/dittofs/pod.go", "internal/observed/observed.go", "pkg/percona/spec.go"} {
		if !visited[filepath.FromSlash(want)] {
			t.Errorf("%s was not looked at: %d files were", want, len(visited))
		}
	}
}
