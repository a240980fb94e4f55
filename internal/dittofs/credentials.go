// Package dittofs builds the Kubernetes objects of a DittoFS server: one file
// for each kind, each a pure function of what is wanted and what exists.
package dittofs

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	// minJWTKeyLength that the server starts with (dittofs v0.29.0
	// pkg/controlplane/api/server.go).
	minJWTKeyLength = 32
	// jwtKeyBytes give 43 URL-safe characters, passwordBytes 24.
	jwtKeyBytes   = 32
	passwordBytes = 18

	// adminUsername is fixed in the server (dittofs v0.29.0
	// pkg/controlplane/models/admin.go).
	adminUsername = "admin"
)

// Credentials are the secrets that a server is given: its token key and its
// administrator's first password. Both are made once (R4).
type Credentials struct {
	// JWTKey that signs tokens; empty while it cannot be read.
	JWTKey string
	// JWTSecret and JWTSecretKey are where the pod reads it.
	JWTSecret, JWTSecretKey string
	// AdminSecret and AdminSecretKey are where the pod reads the first
	// password. AdminOptional lets the pod start without: the server reads it
	// on its first boot only.
	AdminSecret, AdminSecretKey string
	AdminOptional               bool
	// Stored tells that both can be read by a pod that starts for the first
	// time, Restartable by one that has run before.
	Stored, Restartable bool
	// Settled tells that it is decided whether they have to be made. As long
	// as it is not, nothing is created that would hide whether a server of
	// this name has run before.
	Settled bool
	// Problems that a person has to solve.
	Problems []condition.Problem

	// password that was generated, for the connection Secret; empty for a
	// person's own.
	password string
	objects  []desired.Object
}

// Objects are the Secrets that are composed.
func (c *Credentials) Objects() []desired.Object { return c.objects }

// NewCredentials finds the credentials, or makes them.
func NewCredentials(srv *server.Server, seen *observed.State) *Credentials {
	c := &Credentials{Stored: true, Restartable: true, Settled: true}
	c.findJWTKey(srv, seen)
	c.findAdminPassword(srv, seen)

	return c
}

func (c *Credentials) findJWTKey(srv *server.Server, seen *observed.State) {
	id, live := srv.Identity(server.KeyJWTSecret), seen.Get(server.KeyJWTSecret)
	ref := srv.Spec.Identity.JWT.SecretRef
	c.JWTSecret, c.JWTSecretKey = id.Name, server.JWTSecretKey

	switch {
	case live.Live():
		c.JWTKey, _ = observed.SecretValue(live, server.JWTSecretKey)
		c.keep(srv, seen, id, live)
	case live.Presence == observed.Unknown:
		c.Settled = c.Settled && ref != nil
	case ref == nil && c.mayCreate(seen):
		c.JWTKey = generate(jwtKeyBytes)
		c.create(srv, seen, id, map[string]string{server.JWTSecretKey: c.JWTKey})
	}

	if ref != nil {
		c.JWTSecret, c.JWTSecretKey = ref.Name, ref.Key
		c.JWTKey = c.read(srv, seen.Secret(ref.Name), ref.Key, "spec.identity.jwt.secretRef")
		if c.JWTKey != "" && len(c.JWTKey) < minJWTKeyLength {
			c.problemf(condition.ReasonSecretInvalid, "Secret %s in namespace %s: the value of key %s (spec.identity.jwt.secretRef) has fewer than %d characters, the server would not start with it", ref.Name, srv.Namespace, ref.Key, minJWTKeyLength)
			c.JWTKey = ""
		}
		c.Stored, c.Restartable = c.JWTKey != "", c.JWTKey != ""

		return
	}

	switch {
	case c.JWTKey != "" && len(c.JWTKey) < minJWTKeyLength:
		c.problemf(condition.ReasonSecretInvalid, "Secret %s in namespace %s: the value of key %s has fewer than %d characters, the server would not start with it: delete the Secret, and a new one is made", id.Name, srv.Namespace, server.JWTSecretKey, minJWTKeyLength)
		c.JWTKey = ""
	case live.Live() && c.JWTKey == "":
		c.problemf(condition.ReasonSecretKeyMissing, "Secret %s in namespace %s has no readable key %s: restore it; deleting the Secret makes a new one and ends all sessions", id.Name, srv.Namespace, server.JWTSecretKey)
	}
	c.Stored = c.JWTKey != "" && (live.Live() || seen.Offline)
	c.Restartable = c.Stored
}

func (c *Credentials) findAdminPassword(srv *server.Server, seen *observed.State) {
	id, live := srv.Identity(server.KeyAdminCredentials), seen.Get(server.KeyAdminCredentials)
	ref := srv.Spec.Identity.Admin.PasswordSecretRef
	running := c.useFirstAdminSecret(seen, id.Name, ref != nil)

	c.findGeneratedPassword(srv, seen, ref == nil && !running)

	switch {
	case running:
		return
	case ref != nil:
		c.AdminSecret, c.AdminSecretKey = ref.Name, ref.Key
		readable := c.read(srv, seen.Secret(ref.Name), ref.Key, "spec.identity.admin.passwordSecretRef") != ""
		// As long as it is not known which password was first, no pod of a
		// server that has run is started with another (R2).
		known := !seen.Claim().Live() || seen.Get(server.KeyConnection).Presence != observed.Unknown
		c.Stored, c.Restartable = c.Stored && readable && known, c.Restartable && readable

		return
	}

	c.AdminSecret, c.AdminSecretKey, c.AdminOptional = id.Name, server.AdminPasswordKey, true
	_, readable := observed.SecretValue(live, server.AdminPasswordKey)
	c.Stored = c.Stored && (readable || (c.password != "" && seen.Offline))
	if live.Live() && !readable {
		c.problemf(condition.ReasonSecretKeyMissing, "Secret %s in namespace %s has no readable key %s: restore it", id.Name, srv.Namespace, server.AdminPasswordKey)
	}
}

// findGeneratedPassword keeps the Secret that was made once, restores it from
// the connection Secret, or, if it is needed, makes it.
func (c *Credentials) findGeneratedPassword(srv *server.Server, seen *observed.State, needed bool) {
	id, live := srv.Identity(server.KeyAdminCredentials), seen.Get(server.KeyAdminCredentials)
	connection := seen.Get(server.KeyConnection)
	stored, restorable := observed.SecretValue(connection, server.AdminPasswordKey)

	switch {
	case live.Live():
		c.password, _ = observed.SecretValue(live, server.AdminPasswordKey)
		c.keep(srv, seen, id, live)
	case live.Presence == observed.Unknown, connection.Presence == observed.Unknown:
		c.Settled = c.Settled && !needed
	case restorable && c.mayCreate(seen):
		c.password = stored
		c.create(srv, seen, id, adminData(stored))
	case needed:
		c.makeAdminPassword(srv, seen, id)
	}
}

// useFirstAdminSecret keeps the reference that a server was started with, as
// long as a pod can be restarted with it: the server reads it on its first boot
// only, so another one would restart the pod and make nothing effective (R3).
// The generated Secret counts only if a person names another now; else it is
// looked after as ever.
func (c *Credentials) useFirstAdminSecret(seen *observed.State, generated string, named bool) bool {
	name, key, optional := seen.AdminPassword()
	if name == "" || (name == generated && !named) {
		return false
	}
	secret := seen.Secret(name)
	if _, readable := secret.Value(key); !readable && !optional && secret.Presence != observed.Unknown {
		return false
	}
	c.AdminSecret, c.AdminSecretKey, c.AdminOptional = name, key, optional

	return true
}

// makeAdminPassword for a server that has never run. One that has run knows
// its administrator's password already: another would be wrong.
func (c *Credentials) makeAdminPassword(srv *server.Server, seen *observed.State, id server.Identity) {
	if started, _, _ := seen.AdminPassword(); started != "" && started != id.Name && seen.StatefulSet().Live() {
		// A person's own password is in force, wherever its Secret went.
		return
	}
	witness, known := hasRun(srv, seen)
	if !known {
		c.Settled = false

		return
	}
	if witness != "" {
		c.Settled = false
		c.problemf(condition.ReasonAdminPasswordLost,
			"Secret %s in namespace %s with the administrator's password is gone, and %s shows that this server has run: restore the Secret with its keys username and password, or name one in spec.identity.admin.passwordSecretRef; no other password would work",
			id.Name, srv.Namespace, witness)

		return
	}
	if !c.mayCreate(seen) {
		return
	}
	c.password = generate(passwordBytes)
	c.create(srv, seen, id, adminData(c.password))
}

// hasRun names what shows that a server of this name has run before. It is not
// known as long as one of the witnesses is not. A cluster that this XR made and
// that has never been ready is none: a first apply may have been cut short
// between the cluster and the Secret.
func hasRun(srv *server.Server, seen *observed.State) (witness string, known bool) {
	sts, claim, cluster := seen.StatefulSet(), seen.Claim(), seen.Cluster()

	switch {
	case sts.Live():
		return "StatefulSet " + srv.Name, true
	case claim.Live():
		return "PersistentVolumeClaim " + srv.ClaimName(server.ClaimControlPlane), true
	case cluster.Live() && (srv.XR.EverReady || !seen.Controlled(cluster)):
		return "PerconaPGCluster " + srv.Identity(server.KeyCluster).Name, true
	}

	return "", sts.Presence == observed.Absent && claim.Presence == observed.Absent && cluster.Presence != observed.Unknown
}

// mayCreate tells whether a Secret that is created now will outlive the
// server, as it must (R7).
func (c *Credentials) mayCreate(seen *observed.State) bool {
	_, ok := seen.NamespaceOwner(observed.Object{})
	c.Settled = c.Settled && ok

	return ok
}

func (c *Credentials) create(srv *server.Server, seen *observed.State, id server.Identity, data map[string]string) {
	encoded := make(map[string][]byte, len(data))
	for k, v := range data {
		encoded[k] = []byte(v)
	}
	c.compose(srv, seen, id, observed.Object{}, corev1ac.Secret(id.Name, srv.Namespace).WithData(encoded))
}

// keep a Secret as it is: its bytes are sent back, and immutable, so that a
// write from a view that went stale fails instead of rotating it.
func (c *Credentials) keep(srv *server.Server, seen *observed.State, id server.Identity, live observed.Object) {
	data := map[string][]byte{}
	for _, k := range live.Keys("data") {
		if v, ok := observed.SecretValue(live, k); ok {
			data[k] = []byte(v)
		}
	}
	c.compose(srv, seen, id, live, corev1ac.Secret(id.Name, srv.Namespace).WithData(data))
}

func (c *Credentials) compose(srv *server.Server, seen *observed.State, id server.Identity, live observed.Object, secret *corev1ac.SecretApplyConfiguration) {
	secret.WithLabels(srv.Labels("credentials")).WithImmutable(true)
	if owner, _ := seen.NamespaceOwner(live); owner != nil {
		secret.WithOwnerReferences(owner)
	}
	c.objects = append(c.objects, desired.New(id.Key, secret, live.Live()))
}

// read a person's Secret; what is wrong with it becomes a problem.
func (c *Credentials) read(srv *server.Server, secret observed.Secret, key, path string) string {
	value, ok := secret.Value(key)
	if !ok {
		ref := server.SecretReference(path, secret.Name)
		ref.Key = key
		c.Problems = append(c.Problems, missing(srv, ref, secret.Object))
	}

	return value
}

func (c *Credentials) problemf(reason, format string, args ...any) {
	c.Problems = append(c.Problems, condition.Problem{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func adminData(password string) map[string]string {
	return map[string]string{server.AdminUsernameKey: adminUsername, server.AdminPasswordKey: password}
}

// generate a secret of n random bytes, URL-safe. It cannot fail: crypto/rand
// ends the process if the system has no randomness.
func generate(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)

	return base64.RawURLEncoding.EncodeToString(b)
}
