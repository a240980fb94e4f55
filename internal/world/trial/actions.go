package trial

import (
	"encoding/base64"
	"maps"
	"strings"

	kerrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// An Action is something that can happen. It does nothing where it makes no
// sense.
type Action struct {
	Name string
	Do   func(t *Trial) error
}

// GoString is the action's name.
func (a Action) GoString() string { return a.Name }

// Times limits an action to n times that it does something.
func (a Action) Times(n int) Action {
	do := a.Do
	a.Do = func(t *Trial) error {
		if t.Past.Done[a.Name] == n {
			return nil
		}
		before := t.Clone()
		if err := do(t); err != nil {
			return err
		}
		if !settled(before, t) {
			t.Past.Done[a.Name]++
		}

		return nil
	}

	return a
}

// Operator is the Percona operator's next step.
func Operator() Action {
	return Action{Name: "operator", Do: func(t *Trial) error {
		_, err := world.StepCluster(t.Server, t.Of(server.KeyCluster))
		if t.Find(server.KeyCluster) == nil {
			clear(t.Past.Edits)
		}

		return err
	}}
}

// Kubelet is the next step of the StatefulSet controller and the kubelet.
func Kubelet() Action {
	return Action{Name: "kubelet", Do: func(t *Trial) error {
		_, err := world.StepStatefulSet(t.Server, t.Of(server.KeyStatefulSet))

		return err
	}}
}

// Collector is a pass of the garbage collector.
func Collector() Action {
	return Action{Name: "collector", Do: func(t *Trial) error {
		_, err := world.CollectGarbage(t.Server)
		if t.Find(server.KeyCluster) == nil {
			clear(t.Past.Edits)
		}

		return err
	}}
}

// Progress is what the world does by itself, beside reconciling.
func Progress() []Action { return []Action{Operator(), Kubelet(), Collector()} }

// InstallPercona serves the kind PerconaPGCluster.
func InstallPercona() Action {
	return Action{Name: "install Percona", Do: func(t *Trial) error { return t.Server.Serve(world.GVKCluster) }}
}

// InstallPrometheus has the API server serve ServiceMonitor.
func InstallPrometheus() Action {
	return Action{Name: "install Prometheus", Do: func(t *Trial) error { return t.Server.Serve(world.GVKMonitor) }}
}

// Set a field of the server's spec.
func Set(value any, path ...string) Action {
	return Action{Name: "set " + strings.Join(path, "."), Do: func(t *Trial) error { return t.EditXR(value, path...) }}
}

// externalSecret leads to a PostgreSQL that is not ours.
const externalSecret = "external-database"

// ProvideExternal makes the Secret that leads to a PostgreSQL that is not
// ours, or gives it another password.
func ProvideExternal() Action {
	return Action{Name: "provide " + externalSecret, Do: func(t *Trial) error {
		k := t.Key("v1", "Secret", externalSecret)
		data := map[string]any{}
		for key, v := range map[string]string{"host": "db.example.org", "database": "dittofs", "user": "dittofs", "password": world.Passwords()[0]} {
			data[key] = base64.StdEncoding.EncodeToString([]byte(v))
		}
		if t.Server.Find(k).Text("data", "password") == data["password"] {
			data["password"] = base64.StdEncoding.EncodeToString([]byte(world.Passwords()[1]))
		}
		_, err := t.Server.Update(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "data": data,
			"metadata": map[string]any{"namespace": k.Namespace, "name": k.Name},
		}, "somebody")

		return err
	}}
}

// StripExternal removes a key from that Secret; an empty key removes all of it.
func StripExternal(key string) Action {
	return Action{Name: "strip " + externalSecret + " of " + key, Do: func(t *Trial) error {
		k := t.Key("v1", "Secret", externalSecret)
		if key == "" {
			return t.remove(k)
		}

		return t.Server.Edit(k, "somebody", func(c map[string]any) {
			if data, ok := c["data"].(map[string]any); ok {
				delete(data, key)
			}
		})
	}}
}

// TogglePercona flips a flag of spec.percona.
func TogglePercona(field string) Action {
	return Action{Name: "toggle " + field, Do: func(t *Trial) error { return t.EditXR(!t.flag(field), "percona", field) }}
}

// TogglePolicy switches between OnCreate and Always.
func TogglePolicy() Action {
	return Action{Name: "toggle updatePolicy", Do: func(t *Trial) error {
		if t.Always() {
			return t.EditXR("OnCreate", "percona", "updatePolicy")
		}

		return t.EditXR("Always", "percona", "updatePolicy")
	}}
}

// Restart of the database's pods: the state leaves ready.
func Restart() Action {
	return Action{Name: "database restarts", Do: func(t *Trial) error {
		return t.Server.EditStatus(t.Of(server.KeyCluster), "percona-postgresql-operator", func(c map[string]any) {
			status, _ := c["status"].(map[string]any)
			if status["state"] != "ready" {
				return
			}
			status["state"] = "initializing"
			if pg, ok := status["postgres"].(map[string]any); ok {
				pg["ready"] = int64(0)
			}
		})
	}}
}

// An edit of the database cluster by a person, and how to see that it is still
// there.
type edit struct {
	name string
	// always: it survives even where the cluster's spec is enforced, because
	// the XR says nothing about it.
	always bool
	do     func(spec map[string]any)
	holds  func(spec map[string]any) bool
}

func edits() []edit {
	instance := func(spec map[string]any) map[string]any {
		l, _ := spec["instances"].([]any)
		if len(l) == 0 {
			return map[string]any{}
		}
		m, _ := l[0].(map[string]any)

		return m
	}
	backups := func(spec map[string]any) map[string]any {
		b, _ := spec["backups"].(map[string]any)
		p, _ := b["pgbackrest"].(map[string]any)
		if p == nil {
			return map[string]any{}
		}

		return p
	}

	return []edit{
		{
			name:  "replicas",
			do:    func(s map[string]any) { instance(s)["replicas"] = int64(3) },
			holds: func(s map[string]any) bool { return instance(s)["replicas"] == int64(3) },
		},
		{
			name: "pause", always: true,
			do:    func(s map[string]any) { s["pause"] = true },
			holds: func(s map[string]any) bool { return s["pause"] == true },
		},
		{
			// PerconaPGUpgrade ends like this.
			name: "upgrade", always: true,
			do: func(s map[string]any) {
				s["postgresVersion"] = int64(17)
				s["image"] = "docker.io/percona/percona-distribution-postgresql:17.9-1"
			},
			holds: func(s map[string]any) bool {
				return s["postgresVersion"] == int64(17) && s["image"] == "docker.io/percona/percona-distribution-postgresql:17.9-1"
			},
		},
		{
			// The operator writes this for every backup.
			name: "backup", always: true,
			do: func(s map[string]any) { backups(s)["manual"] = map[string]any{"repoName": "repo1"} },
			holds: func(s map[string]any) bool {
				m, _ := backups(s)["manual"].(map[string]any)

				return m["repoName"] == "repo1"
			},
		},
		{
			name: "removal",
			do: func(s map[string]any) {
				if l, ok := s["users"].([]any); ok && len(l) > 0 {
					if u, ok := l[0].(map[string]any); ok {
						delete(u, "password")
					}
				}
			},
			holds: func(s map[string]any) bool {
				l, _ := s["users"].([]any)
				if len(l) == 0 {
					return true
				}
				u, _ := l[0].(map[string]any)
				p, _ := u["password"].(map[string]any)

				// The definition's default for a password comes back by itself.
				return p == nil || p["type"] != "AlphaNumeric"
			},
		},
	}
}

// EditCluster is an edit of the cluster by a person: replicas, pause, upgrade,
// backup or removal.
func EditCluster(name string) Action {
	return Action{Name: "edit " + name, Do: func(t *Trial) error {
		for _, e := range edits() {
			if e.name != name || t.Find(server.KeyCluster) == nil || t.Past.Foreign[t.Of(server.KeyCluster)] != nil {
				continue
			}
			t.Past.Edits[name] = true

			return t.Server.Edit(t.Of(server.KeyCluster), "kubectl-edit", func(c map[string]any) {
				if spec, ok := c["spec"].(map[string]any); ok {
					e.do(spec)
				}
			})
		}

		return nil
	}}
}

// Unpause the cluster.
func Unpause() Action {
	return Action{Name: "unpause", Do: func(t *Trial) error {
		delete(t.Past.Edits, "pause")

		return t.Server.Edit(t.Of(server.KeyCluster), "kubectl-edit", func(c map[string]any) {
			if spec, ok := c["spec"].(map[string]any); ok {
				delete(spec, "pause")
			}
		})
	}}
}

// Delete the object that is composed under a name.
func Delete(k server.Key) Action {
	return Action{Name: "delete " + string(k), Do: func(t *Trial) error {
		if t.Past.Foreign[t.Of(k)] != nil {
			return nil
		}
		if k == server.KeyCluster {
			clear(t.Past.Edits)
		}

		return t.remove(t.Of(k))
	}}
}

// DeleteSecret of the database: the user's, or the certificate.
func DeleteSecret(suffix string) Action {
	return Action{Name: "delete " + suffix, Do: func(t *Trial) error {
		return t.remove(t.Key("v1", "Secret", t.Of(server.KeyCluster).Name+suffix))
	}}
}

// DeleteClaims of the server's own volumes.
func DeleteClaims() Action {
	return Action{Name: "delete claims", Do: func(t *Trial) error {
		for _, k := range t.Claims() {
			if err := t.remove(k); err != nil {
				return err
			}
		}

		return nil
	}}
}

func (t *Trial) remove(k world.Key) error {
	if !t.Server.Served(k.GroupVersionKind) {
		return nil
	}
	if err := t.Server.Delete(k, ""); !kerrors.IsNotFound(err) {
		return err
	}

	return nil
}

// Rotate the database's password as Percona documents it: a person writes the
// password, the operator the rest.
func Rotate() Action {
	return Action{Name: "rotate password", Do: func(t *Trial) error {
		return t.Server.Edit(t.UserSecret(), "kubectl-edit", func(c map[string]any) {
			data, _ := c["data"].(map[string]any)
			for _, p := range world.Passwords() {
				if v := base64.StdEncoding.EncodeToString([]byte(p)); data["password"] != v {
					data["password"] = v

					return
				}
			}
		})
	}}
}

// Strip a key from the database user's Secret.
func Strip(key string) Action {
	return Action{Name: "strip " + key, Do: func(t *Trial) error {
		return t.Server.Edit(t.UserSecret(), "kubectl-edit", func(c map[string]any) {
			if data, ok := c["data"].(map[string]any); ok {
				delete(data, key)
			}
		})
	}}
}

// DeleteXR deletes the server.
func DeleteXR() Action {
	return Action{Name: "delete server", Do: func(t *Trial) error { return t.remove(t.Crossplane.XR) }}
}

// CreateXR creates the server, again where it was deleted.
func CreateXR(spec map[string]any) Action {
	return Action{Name: "create server", Do: func(t *Trial) error {
		if t.Observe() != nil {
			return nil
		}
		t.Crossplane.Forget()
		t.Past.Ran = "" // It has no status that could tell.

		return t.CreateXR(spec)
	}}
}

// How somebody else's object stands to the server.
const (
	// Uncontrolled by anybody, and without a sign that it is ours.
	Uncontrolled = "uncontrolled"
	// Controlled by somebody else.
	Controlled = "controlled"
	// Survivor of an earlier server of the same name.
	Survivor = "survivor"
)

// Plant an object under the name that the server composes under a key.
func Plant(k server.Key, how string) Action {
	return Action{Name: "plant " + how + " " + string(k), Do: func(t *Trial) error {
		key := t.Of(k)
		if t.Server.Find(key) != nil || !t.Server.Served(key.GroupVersionKind) || t.Crossplane.Refers(t.Server, key) {
			return nil // Crossplane refuses what it refers to and did not make, before it asks the function.
		}

		content := sample(t, k)
		md, _ := content["metadata"].(map[string]any)
		if how == Controlled {
			md["ownerReferences"] = []any{map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "name": t.Config.Namespace, "controller": true,
				"uid": t.Server.Find(world.Key{GroupVersionKind: world.GVKNamespace, Name: t.Config.Namespace}).UID(),
			}}
		}
		if how == Survivor {
			md["labels"] = map[string]any{server.LabelServer: t.Config.Name}
			md["annotations"] = map[string]any{server.AnnotationKey: string(k)}
		}

		o, err := t.Server.Update(content, "somebody")
		if err != nil {
			return errors.Wrapf(err, "cannot plant %s", key)
		}
		if how != Survivor {
			t.Past.Foreign[key] = o
		}
		if k == server.KeyAdminCredentials && how == Survivor {
			t.Past.Admin = o.Text("data", server.AdminPasswordKey)
		}

		return nil
	}}
}

// Adopt gives the object under a key to the server, as R23 says. One that is
// controlled by somebody else has to be let go first, which this does too.
func Adopt(k server.Key) Action {
	return Action{Name: "adopt " + string(k), Do: func(t *Trial) error {
		key := t.Of(k)
		if t.Past.Foreign[key] == nil {
			return nil
		}
		t.Past.Adopted[key] = t.Past.Foreign[key]
		delete(t.Past.Foreign, key)
		if k == server.KeyAdminCredentials {
			t.Past.Admin = t.Past.Adopted[key].Text("data", server.AdminPasswordKey)
		}

		return t.Server.Edit(key, "kubectl-annotate", func(c map[string]any) {
			md, _ := c["metadata"].(map[string]any)
			delete(md, "ownerReferences")
			annotations, _ := md["annotations"].(map[string]any)
			annotations = maps.Clone(annotations)
			if annotations == nil {
				annotations = map[string]any{}
			}
			annotations[server.AnnotationAdopt] = t.Config.Name
			annotations[server.AnnotationKey] = string(k)
			md["annotations"] = annotations
		})
	}}
}

// Remove somebody else's object.
func Remove(k server.Key) Action {
	return Action{Name: "remove " + string(k), Do: func(t *Trial) error {
		if t.Past.Foreign[t.Of(k)] == nil {
			return nil
		}
		delete(t.Past.Foreign, t.Of(k))

		return t.remove(t.Of(k))
	}}
}

// sample of an object that somebody else could have made under our name.
func sample(t *Trial, k server.Key) map[string]any {
	key := t.Of(k)
	content := map[string]any{
		"apiVersion": key.GroupVersion().String(), "kind": key.Kind,
		"metadata": map[string]any{"namespace": key.Namespace, "name": key.Name},
	}
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	labels := map[string]any{"app": "dittofs-server", "instance": t.Config.Name}

	switch key.GroupVersionKind {
	case world.GVKSecret:
		data := map[string]any{"theirs": encode("a value of theirs")}
		if k == server.KeyJWTSecret {
			data[server.JWTSecretKey] = encode("a-key-of-theirs-that-is-long-enough-to-be-used")
		}
		if k == server.KeyAdminCredentials {
			data[server.AdminUsernameKey], data[server.AdminPasswordKey] = encode("admin"), encode("a-password-of-theirs")
		}
		content["data"] = data
	case world.GVKConfigMap:
		content["data"] = map[string]any{"config.yaml": "theirs: true\n"}
	case world.GVKService:
		content["spec"] = map[string]any{"ports": []any{map[string]any{"port": int64(80), "name": "theirs"}}}
		if k == server.KeyHeadlessService {
			content["spec"] = map[string]any{"clusterIP": "None", "ports": []any{map[string]any{"port": int64(80), "name": "theirs"}}}
		}
	case world.GVKNetworkPolicy:
		content["spec"] = map[string]any{"podSelector": map[string]any{}}
	case world.GVKStatefulSet:
		claim := map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "5Gi"}}}
		content["spec"] = map[string]any{
			"serviceName": "theirs", "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{"containers": []any{map[string]any{
					"name": "dittofs", "image": "docker.io/marmos91c/dittofs:v0.28.0",
					"volumeMounts": []any{map[string]any{"name": "metadata", "mountPath": "/data/metadata"}, map[string]any{"name": "controlplane", "mountPath": "/data/controlplane"}},
				}}},
			},
			"volumeClaimTemplates": []any{
				map[string]any{"metadata": map[string]any{"name": "metadata"}, "spec": claim},
				map[string]any{"metadata": map[string]any{"name": "controlplane"}, "spec": claim},
			},
		}
	case world.GVKCluster:
		content["spec"] = map[string]any{
			"postgresVersion": int64(17), "image": "docker.io/percona/percona-distribution-postgresql:17.9-1",
			"users":     []any{map[string]any{"name": "dittofs", "databases": []any{"dittofs"}}},
			"instances": []any{map[string]any{"name": "instance1", "dataVolumeClaimSpec": map[string]any{"accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "20Gi"}}}}},
			"backups":   map[string]any{"enabled": false, "pgbackrest": map[string]any{"image": "docker.io/percona/percona-pgbackrest:2.58.0-1"}},
		}
	}

	return content
}
