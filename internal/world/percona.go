package world

import (
	"encoding/base64"
	"fmt"
	"slices"

	kerrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossplane/function-sdk-go/errors"
)

const (
	managerPercona = "percona-postgresql-operator"
	labelCluster   = "postgres-operator.crunchydata.com/cluster"

	finalizerDeletePVC = "percona.com/delete-pvc"
)

// Passwords that the operator generates and people set: two that take turns,
// so that the world stays finite.
func Passwords() [2]string { return [2]string{"one-password", "other-password"} }

// StepCluster does the next thing that the Percona operator does for a
// cluster, and tells whether there was anything to do. The order is the
// operator's: its own version into the spec and a first status, certificates
// and volumes, the user Secret, the state.
func StepCluster(s *Server, k Key) (bool, error) {
	c := s.Find(k)
	if c == nil {
		return false, nil
	}
	if c.Deleting() {
		return finalizeCluster(s, c)
	}
	if c.Text("spec", "crVersion") == "" {
		// percona v2.9.0 percona/controller/pgcluster/controller.go: a typed
		// update of the whole object.
		if err := s.Edit(k, managerPercona, func(content map[string]any) { set(content, "2.9.0", "spec", "crVersion") }); err != nil {
			return true, err
		}
	}
	if c.Text("status", "state") == "" {
		return true, s.setState(k, "initializing", 0)
	}
	if c.Text("spec", "image") == "" || c.Text("spec", "backups", "pgbackrest", "image") == "" {
		return false, nil // MissingRequiredImage: it waits for ever.
	}

	made := false
	for _, step := range []func(*Server, *Object) (bool, error){stepAuthority, stepCertificate, stepVolume} {
		did, err := step(s, c)
		if err != nil {
			return did, err
		}
		made = made || did
	}
	if made {
		return true, nil
	}
	if did, err := stepUser(s, c); did || err != nil {
		return did, err
	}

	return stepState(s, c)
}

// setState of a cluster with that many ready pods.
func (s *Server) setState(k Key, state string, ready int64) error {
	return s.EditStatus(k, managerPercona, func(content map[string]any) {
		size := at(content, "spec", "instances")
		replicas := int64(0)
		for _, i := range list(size) {
			n, _ := mapOf(i)["replicas"].(int64)
			replicas += n
		}
		if state == "paused" {
			replicas = 0
		}
		set(content, state, "status", "state")
		set(content, k.Name+"-primary."+k.Namespace+".svc", "status", "host")
		set(content, map[string]any{"size": replicas, "ready": min(ready, replicas)}, "status", "postgres")
		set(content, at(content, "metadata", "generation"), "status", "observedGeneration")
	})
}

// stepState: pausing stops the pods first (status.go getState).
func stepState(s *Server, c *Object) (bool, error) {
	state, ready := c.Text("status", "state"), c.Number("status", "postgres", "ready")
	want := int64(0)
	for _, i := range list(c.Value("spec", "instances")) {
		n, _ := mapOf(i)["replicas"].(int64)
		want += n
	}

	if paused, _ := c.Value("spec", "pause").(bool); paused {
		switch {
		case state == "paused":
			return false, nil
		case state == "stopping" || ready == 0:
			return true, s.setState(c.Key(), "paused", 0)
		}

		return true, s.setState(c.Key(), "stopping", ready)
	}
	if state == "paused" || state == "stopping" {
		return true, s.setState(c.Key(), "initializing", 0)
	}
	settled := state == "ready" && ready == want && c.Number("status", "observedGeneration") == c.Number("metadata", "generation")
	if settled {
		return false, nil
	}

	return true, s.setState(c.Key(), "ready", want)
}

// stepAuthority makes the Secret with the CA's private key. The cluster owns
// it, so that a cluster made anew has a CA of its own.
func stepAuthority(s *Server, c *Object) (bool, error) {
	k := secretKey(c, "-cluster-ca-cert")
	if s.Find(k) != nil {
		return false, nil
	}
	content := secret(k, c, map[string]string{"root.crt": fmt.Sprintf("CA %d", s.births[c.Key()]%2), "root.key": "never to be mounted"})
	set(content, []any{map[string]any{
		"apiVersion": c.Text("apiVersion"), "kind": c.Text("kind"), "name": c.Text("metadata", "name"), "uid": c.UID(),
		"controller": true, "blockOwnerDeletion": true,
	}}, "metadata", "ownerReferences")

	return s.make(content)
}

// stepCertificate makes the Secret with the cluster's certificate. Nobody owns
// it: it outlives the cluster.
func stepCertificate(s *Server, c *Object) (bool, error) {
	ca := s.Find(secretKey(c, "-cluster-ca-cert")).Text("data", "root.crt")
	k := secretKey(c, "-cluster-cert")
	if o := s.Find(k); o != nil && o.Text("data", "ca.crt") == ca {
		return false, nil
	}
	if s.Find(k) != nil {
		return true, s.Edit(k, managerPercona, func(content map[string]any) { set(content, ca, "data", "ca.crt") })
	}
	content := secret(k, c, map[string]string{"tls.crt": "a certificate", "tls.key": "its key"})
	set(content, ca, "data", "ca.crt")

	return s.make(content)
}

// stepUser makes the user's Secret, completes it and keeps its URI in line
// with its password (internal/controller/postgrescluster/postgres.go). Nobody
// owns it.
func stepUser(s *Server, c *Object) (bool, error) {
	user := mapOf(first(c.Value("spec", "users")))
	name, db := text(user, "name"), ""
	if d, ok := first(user["databases"]).(string); ok {
		db = d
	}
	if name == "" {
		return false, nil
	}

	k := secretKey(c, "-pguser-"+name)
	if s.Find(k) == nil {
		return s.make(secret(k, c, complete(c, name, db, Passwords()[s.births[k]%2])))
	}
	password, _ := base64.StdEncoding.DecodeString(s.Find(k).Text("data", "password"))
	if len(password) == 0 {
		password = []byte(Passwords()[0])
	}
	want := encoded(complete(c, name, db, string(password)))
	for field, v := range want {
		if s.Find(k).Text("data", field) != v {
			return true, s.Edit(k, managerPercona, func(content map[string]any) { content["data"] = want })
		}
	}

	return false, nil
}

// complete data of a user's Secret.
func complete(c *Object, user, db, password string) map[string]string {
	host := c.Text("metadata", "name") + "-primary." + c.Text("metadata", "namespace") + ".svc"

	return map[string]string{
		"host": host, "port": "5432", "user": user, "password": password, "dbname": db, "verifier": "SCRAM-SHA-256$" + password,
		"uri":      "postgresql://" + user + ":" + password + "@" + host + ":5432/" + db,
		"jdbc-uri": fmt.Sprintf("jdbc:postgresql://%s:5432/%s?password=%s&user=%s", host, db, password, user),
	}
}

// stepVolume makes the volume that holds the data. Nobody owns it.
func stepVolume(s *Server, c *Object) (bool, error) {
	k := Key{GroupVersionKind: GVKClaim, Namespace: c.Key().Namespace, Name: c.Key().Name + "-instance1-pgdata"}
	if s.Find(k) != nil {
		return false, nil
	}

	return s.make(map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": map[string]any{"name": k.Name, "namespace": k.Namespace, "labels": map[string]any{labelCluster: c.Key().Name}},
		"spec":     mapOf(at(mapOf(first(c.Value("spec", "instances"))), "dataVolumeClaimSpec")),
	})
}

// finalizeCluster deletes what the finalizers say (pgcluster/finalizer.go).
func finalizeCluster(s *Server, c *Object) (bool, error) {
	if !slices.Contains(list(c.Value("metadata", "finalizers")), any(finalizerDeletePVC)) {
		return false, nil
	}
	for _, k := range s.Keys() {
		o := s.Find(k)
		users := k.GroupVersionKind == GVKSecret && o.Text("metadata", "labels", "postgres-operator.crunchydata.com/role") == "pguser"
		if o.Text("metadata", "labels", labelCluster) != c.Key().Name || (k.GroupVersionKind != GVKClaim && !users) {
			continue
		}
		if err := s.Delete(k, ""); err != nil {
			return false, errors.Wrapf(err, "cannot delete %s", k)
		}
	}

	return true, s.Edit(c.Key(), managerPercona, func(content map[string]any) {
		md := child(content, "metadata")
		left := slices.DeleteFunc(list(md["finalizers"]), func(f any) bool { return f == finalizerDeletePVC })
		md["finalizers"] = left
		if len(left) == 0 {
			delete(md, "finalizers")
		}
	})
}

// make an object that is not there.
func (s *Server) make(content map[string]any) (bool, error) {
	_, err := s.Update(content, managerPercona)
	if kerrors.IsConflict(err) {
		return true, nil
	}

	return true, errors.Wrapf(err, "cannot make %s", KeyOf(content))
}

func secretKey(c *Object, suffix string) Key {
	return Key{GroupVersionKind: GVKSecret, Namespace: c.Key().Namespace, Name: c.Key().Name + suffix}
}

func secret(k Key, c *Object, data map[string]string) map[string]any {
	labels := map[string]any{labelCluster: c.Key().Name}
	if data["verifier"] != "" {
		labels["postgres-operator.crunchydata.com/role"] = "pguser"
	}

	return map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": k.Name, "namespace": k.Namespace, "labels": labels},
		"data":     encoded(data),
	}
}

func encoded(data map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range data {
		out[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}

	return out
}

func first(v any) any {
	if l := list(v); len(l) > 0 {
		return l[0]
	}

	return nil
}
