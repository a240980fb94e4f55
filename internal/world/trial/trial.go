// Package trial puts the function on trial in a model of the world: what
// people and controllers can do to a server, what must hold whatever they do,
// and two ways to try it out: exhaustively, and at random with faults.
//
// The rules cite design rules as R1 to R24.
package trial

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// A Trial is a world with one server in it, and what has to be remembered of
// the past to judge it.
type Trial struct {
	*world.World

	Past Past
}

// Past of a trial.
type Past struct {
	// Admin is the administrator's password that is in the server's data, as
	// in its Secret; empty before there was one.
	Admin string
	// Booted tells that a server has run on the data.
	Booted bool
	// Ran is what the server ran on last, as its annotation had it; empty
	// before it ran for the first time.
	Ran string
	// Spec that the last reconcile saw.
	Spec string
	// Edits that people made to the database cluster and that must survive.
	Edits map[string]bool
	// Foreign objects: they are as their owners left them.
	Foreign map[world.Key]*world.Object
	// Adopted keys, given to the server by a person.
	Adopted map[world.Key]*world.Object
	// Done counts actions that are limited.
	Done map[string]int
}

// New returns a trial in which the server does not exist yet.
func New(c world.Config) (*Trial, error) {
	w, err := world.New(c)
	if err != nil {
		return nil, err
	}

	return &Trial{World: w, Past: Past{
		Edits: map[string]bool{}, Foreign: map[world.Key]*world.Object{},
		Adopted: map[world.Key]*world.Object{}, Done: map[string]int{},
	}}, nil
}

// Clone returns a trial that goes its own way from here on.
func (t *Trial) Clone() *Trial {
	p := t.Past
	p.Edits, p.Foreign = maps.Clone(p.Edits), maps.Clone(p.Foreign)
	p.Adopted, p.Done = maps.Clone(p.Adopted), maps.Clone(p.Done)

	return &Trial{World: t.World.Clone(), Past: p}
}

// Of returns the key of the object that is composed under a name.
func (t *Trial) Of(k server.Key) world.Key {
	id := (&server.Server{Name: t.Config.Name}).Identity(k)

	return t.Key(id.APIVersion, id.Kind, id.Name)
}

// Find the object that is composed under a name, nil if there is none.
func (t *Trial) Find(k server.Key) *world.Object { return t.Server.Find(t.Of(k)) }

// UserSecret is the key of the Secret that the Percona operator makes.
func (t *Trial) UserSecret() world.Key {
	return t.Key("v1", "Secret", percona.SecretName(t.Config.Name))
}

// Claims of the server's own volumes.
func (t *Trial) Claims() []world.Key {
	var claims []world.Key
	for _, k := range t.Server.Keys() {
		if k.GroupVersionKind == world.GVKClaim && strings.HasSuffix(k.Name, "-"+t.Config.Name+"-0") {
			claims = append(claims, k)
		}
	}

	return claims
}

// written spec of an XR: what people wrote, as text.
func written(xr *world.Object) string {
	spec, _ := xr.Value("spec").(map[string]any)
	spec = maps.Clone(spec)
	delete(spec, "crossplane")
	delete(spec, "resourceRefs")

	return fmt.Sprint(spec)
}

// Enabled tells whether the spec asks for a database cluster.
func (t *Trial) Enabled() bool { return t.flag("enabled") }

// DeleteWithServer tells whether the spec lets the cluster go with the server.
func (t *Trial) DeleteWithServer() bool { return t.flag("deleteWithServer") }

func (t *Trial) flag(name string) bool {
	is, _ := t.Observe().Value("spec", "percona", name).(bool)

	return is
}

// Always tells whether the spec enforces the cluster's spec.
func (t *Trial) Always() bool {
	return t.Observe().Text("spec", "percona", "updatePolicy") == "Always"
}

// Running is what the annotation dittofs.io/database of the pods says.
func (t *Trial) Running() string {
	return annotation(t.Find(server.KeyStatefulSet), server.AnnotationDatabase)
}

// Hash of the configuration that the pods run with.
func (t *Trial) Hash() string {
	return annotation(t.Find(server.KeyStatefulSet), server.AnnotationConfigHash)
}

func annotation(statefulSet *world.Object, name string) string {
	return statefulSet.Text("spec", "template", "metadata", "annotations", name)
}

// AdminPassword that the Secrets still know, encoded; empty if none does.
func (t *Trial) AdminPassword() string {
	if p := t.Find(server.KeyAdminCredentials).Text("data", server.AdminPasswordKey); p != "" {
		return p
	}

	return t.Find(server.KeyConnection).Text("data", server.AdminPasswordKey)
}

// Inputs of the pods that a restart makes effective (R3), from what the pod
// template refers to and what is there. It is not ok if something is missing,
// or if the database's password is being rotated.
func (t *Trial) Inputs() (inputs string, ok bool) {
	s := t.Find(server.KeyStatefulSet)
	if s == nil {
		return "", false
	}

	parts := []string{}
	for _, r := range world.References(s.Content()) {
		if r.Variable == "DITTOFS_ADMIN_INITIAL_PASSWORD" {
			continue // Read on the first boot only.
		}
		if r.Kind == "ConfigMap" {
			r.Key = "config.yaml" // The pod is told to read no other file.
		}
		v, found := t.Server.Resolve(t.Config.Namespace, r)
		if !found {
			return "", false
		}
		if r.Kind == "ConfigMap" {
			v = strconv.Quote(v) // A line.
		}
		parts = append(parts, r.Kind+"/"+r.Name+"/"+r.Key+"="+v)
	}
	slices.Sort(parts)

	return strings.Join(slices.Compact(parts), "\n"), !t.Rotating()
}

// Rotating tells whether the database's URI does not carry its password yet.
func (t *Trial) Rotating() bool {
	o := t.Server.Find(t.UserSecret())
	password, _ := base64.StdEncoding.DecodeString(o.Text("data", "password"))
	uri, _ := base64.StdEncoding.DecodeString(o.Text("data", "uri"))

	return o != nil && !strings.Contains(string(uri), ":"+string(password)+"@")
}

// Abstract state of the trial: two trials of the same one have the same
// future.
func (t *Trial) Abstract(j *Judge) ([sha256.Size]byte, error) {
	h := sha256.New()
	a := world.Abstraction{
		Generated: func(k world.Key, key string) bool {
			return (key == server.JWTSecretKey || key == server.AdminPasswordKey) && k != t.UserSecret()
		},
		Hidden: server.AnnotationConfigHash,
		// A hash stands for how its inputs differ from today's.
		StandsIn: func(*world.Server, *world.Object) string { return j.compare(t) },
		Parity: func(k world.Key) bool {
			return k == t.UserSecret() || k == t.Of(server.KeyCluster)
		},
		Reports: func(status map[string]any) map[string]any {
			database, _ := status["database"].(map[string]any)

			return map[string]any{
				"everReady": database["everReady"], "type": database["type"], "secret": database["secretName"],
				"cluster": status["perconaClusterName"],
			}
		},
	}
	if err := a.Write(h, t.Server); err != nil {
		return [sha256.Size]byte{}, err
	}

	fmt.Fprintln(h, "admin", t.Past.Admin == "", t.Past.Admin == t.AdminPassword(), t.Past.Booted, t.Past.Ran,
		t.Past.Edits, t.Past.Done, len(t.Past.Foreign), len(t.Past.Adopted))

	return [sha256.Size]byte(h.Sum(nil)), nil
}
