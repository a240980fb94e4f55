// Package database plans what a server runs on: SQLite, a PostgreSQL that a
// Secret leads to, or a PostgreSQL cluster composed for it. It says whether
// that database can be used, and why not.
package database

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// A Plan for the database of a server.
type Plan struct {
	// Kind of the database that the spec leads to.
	Kind v1alpha1.DatabaseKind
	// ID of the database that the spec leads to, as the pod template's
	// annotation dittofs.io/database has it.
	ID string
	// Refused tells that a running server uses another database, and that
	// nobody has allowed it to change (R22).
	Refused bool
	// RunningID of the database that a live server uses, or empty.
	RunningID string
	// Usable tells that a server can be started on the database for the first
	// time (R1).
	Usable bool
	// Connection to PostgreSQL; nil for SQLite.
	Connection *Connection
	// Ready and UpToDate are what a person is told.
	Ready    condition.Condition
	UpToDate condition.Condition
	// Problems that keep the configuration from being complete.
	Problems []condition.Problem
	// Status of the database for the XR.
	Status v1alpha1.DatabaseStatus
	// ClusterName of the live or wanted cluster of the server's own, or empty.
	ClusterName string
	// Held tells that the cluster is wanted and cannot be composed yet.
	Held bool

	// uncertain tells that RunningID may be missing because something has not
	// been read.
	uncertain bool
	objects   []desired.Object
}

// Connected tells whether a pod can be told how to connect. Of SQLite it is
// true.
func (p *Plan) Connected(namespace string) condition.Condition {
	ok := condition.True(condition.TypeDatabaseReady, "", "")
	if p.Connection == nil {
		return ok
	}

	return p.Connection.condition(namespace, ok)
}

// Objects that the database consists of.
func (p *Plan) Objects() []desired.Object { return p.objects }

// For a server, given what exists.
func For(srv *server.Server, seen *observed.State, blocked bool) (*Plan, error) {
	p := &Plan{}
	p.ID = srv.DatabaseID()
	kind, _, _ := strings.Cut(p.ID, ":")
	p.Kind = v1alpha1.DatabaseKind(kind)
	p.Status.Type = p.Kind

	running, runningID := seen.Running()
	p.RunningID = runningID
	p.Refused = running != "" && runningID != p.ID && srv.Spec.Database.AllowChangeTo != p.Kind
	p.uncertain = !seen.RunningKnown()

	switch p.Kind {
	case v1alpha1.DatabasePercona:
		p.planPercona(srv, seen, blocked)
	case v1alpha1.DatabaseExternal:
		p.planExternal(srv, seen)
	default:
		p.Usable = true
		p.Ready = condition.True(condition.TypeDatabaseReady, condition.ReasonEmbedded, "The server keeps its control plane in SQLite on its own volume")
	}
	if p.Refused {
		p.Ready = condition.False(condition.TypeDatabaseReady, condition.ReasonDatabaseChangeRefused, fmt.Sprintf(
			"The server runs on %s and keeps it; the spec leads to %s. To move there, which starts with an empty database, set spec.database.allowChangeTo: %s; else change the spec back",
			runningID, p.ID, p.Kind))
		p.Status = statusOf(running, runningID, srv, seen)
	}
	// No server is started while it is not known what it ran on (R2). That is
	// so for a call or two: Crossplane looks up what is asked for.
	p.Usable = p.Usable && !p.uncertain

	if err := p.composeCluster(srv, seen, blocked); err != nil {
		return nil, err
	}

	return p, nil
}

func (p *Plan) planExternal(srv *server.Server, seen *observed.State) {
	ref := srv.Spec.Database.PostgresSecretRef
	secret := seen.Secret(ref.Name)

	p.Connection = external(*ref, secret)
	p.Status = statusOf(observed.DatabaseExternal, p.ID, srv, seen)
	p.Problems = append(p.Connection.check(srv.Namespace), p.Connection.useCA(seen, srv.Namespace)...)
	p.Ready = p.Connection.condition(srv.Namespace, condition.True(condition.TypeDatabaseReady, condition.ReasonExternal, "The server uses the PostgreSQL that Secret "+ref.Name+" leads to"))
	p.Usable = p.Ready.True && len(p.Problems) == 0
}

func (p *Plan) planPercona(srv *server.Server, seen *observed.State, blocked bool) {
	cluster := seen.Cluster()
	typed := typedCluster(cluster)

	p.Connection = perconaUser(srv, seen)
	p.Problems = append(p.Connection.check(srv.Namespace), p.Connection.useCA(seen, srv.Namespace)...)
	p.Status = statusOf(observed.DatabasePercona, p.ID, srv, seen)

	p.Ready = p.perconaReady(srv, seen, typed, blocked)
	serving := percona.IsReady(typed) || (p.Status.EverReady && answers(typed))
	p.Usable = serving && p.Connection.complete() && len(p.Problems) == 0
	if !serving && !seen.StatefulSet().Live() {
		// The certificate authority comes with the cluster: nobody misses it yet.
		p.Problems = nil
	}
	if p.Ready.True {
		p.Ready = p.Connection.condition(srv.Namespace, p.Ready)
	}
}

// statusOf the database of a kind and an identity, for the XR.
func statusOf(kind, id string, srv *server.Server, seen *observed.State) v1alpha1.DatabaseStatus {
	status := v1alpha1.DatabaseStatus{Type: v1alpha1.DatabaseKind(kind), EverReady: srv.XR.EverReady}
	switch kind {
	case observed.DatabaseExternal:
		status.SecretName = strings.TrimPrefix(id, kind+":")
	case observed.DatabasePercona:
		cluster := typedCluster(seen.Cluster())
		status.SecretName = percona.SecretName(srv.Name)
		status.State = string(percona.GetState(cluster))
		status.EverReady = status.EverReady || percona.IsReady(cluster)
	}
	if host, _ := seen.Secret(status.SecretName).Value(keyHost); isHost(host) {
		status.Host = host
	}

	return status
}

// isHost tells whether a Secret's value is a host's name or address, and not
// something that nobody is to see, like a URL with a password (R19).
func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}

	// A name may be written down to the root. What is longer than a name has no
	// room in the status, whose apply would fail.
	return len(s) <= validation.DNS1123SubdomainMaxLength && len(validation.IsDNS1123Subdomain(strings.ToLower(strings.TrimSuffix(s, ".")))) == 0
}

// perconaReady tells a person how the cluster is.
func (p *Plan) perconaReady(srv *server.Server, seen *observed.State, typed *pgv2.PerconaPGCluster, blocked bool) condition.Condition {
	name := "PerconaPGCluster " + srv.Identity(server.KeyCluster).Name
	not := func(reason, message string) condition.Condition {
		return condition.False(condition.TypeDatabaseReady, reason, message)
	}

	switch {
	case seen.PerconaKnown && !seen.PerconaServed:
		return not(condition.ReasonPerconaOperatorNotInstalled, "The cluster does not serve PerconaPGCluster: install the Percona Operator for PostgreSQL, 2.9 or newer")
	case typed == nil:
		return not(condition.ReasonPerconaCreating, name+" is "+created(srv, seen, blocked))
	case typed.DeletionTimestamp != nil:
		return not(condition.ReasonPerconaNotReady, name+" is being deleted"+afterwards(typed))
	case percona.IsReady(typed):
		return condition.True(condition.TypeDatabaseReady, condition.ReasonPerconaReady, name+" is ready")
	}

	switch state := percona.GetState(typed); {
	case (state == pgv2.AppStatePaused || state == pgv2.AppStateStopping) && srv.Spec.Percona.Pause:
		return not(condition.ReasonPerconaPaused, fmt.Sprintf("%s is %s, as spec.percona.pause asks: set it to false to start the cluster", name, state))
	case state == pgv2.AppStatePaused || state == pgv2.AppStateStopping:
		return not(condition.ReasonPerconaPaused, fmt.Sprintf("%s is %s: set spec.pause: false on it to start it", name, state))
	case state == "":
		return not(condition.ReasonPerconaCreating, name+" has no status yet: if that lasts, check that a Percona operator watches this namespace")
	case !p.Status.EverReady:
		return not(condition.ReasonPerconaCreating, fmt.Sprintf("%s is %s", name, state))
	case seen.StatefulSet().Int("status", "replicas") == 0:
		return not(condition.ReasonPerconaNotReady, fmt.Sprintf("%s is %s: a database pod restarts or fails over", name, state))
	default:
		return not(condition.ReasonPerconaNotReady, fmt.Sprintf("%s is %s: a database pod restarts or fails over; the server keeps running", name, state))
	}
}

// created tells when a cluster is that is not there.
func created(srv *server.Server, seen *observed.State, blocked bool) string {
	class := missingClass(srv, seen)
	switch {
	case class != "":
		return "created once StorageClass " + class + " is there, see StorageUpToDate"
	case blocked:
		return "created once the server's own Secrets are settled, see ConfigReady"
	}

	return "being created"
}

// afterwards is what comes of a cluster that is being deleted.
func afterwards(typed *pgv2.PerconaPGCluster) string {
	if slices.Contains(typed.Finalizers, percona.FinalizerDeletePVC) {
		return ", and its volumes with it; once it is gone, an empty one is created"
	}

	return "; once it is gone, it is created again on the volumes that are left"
}

// answers tells that at least one PostgreSQL pod is ready.
func answers(c *pgv2.PerconaPGCluster) bool {
	return c != nil && c.DeletionTimestamp == nil && c.Status.Postgres.Ready >= 1
}

// restarts tells that the cluster restarts a pod or fails over, while at least
// one is ready.
func restarts(c *pgv2.PerconaPGCluster) bool {
	return answers(c) && percona.GetState(c) == pgv2.AppStateInit
}

// typedCluster has what decides about readiness, of the operator's own type.
// The rest of an object may be of another version of the operator, and is left
// alone. It is nil if there is no cluster.
func typedCluster(o observed.Object) *pgv2.PerconaPGCluster {
	if !o.Live() {
		return nil
	}
	c := &pgv2.PerconaPGCluster{}
	c.Name = o.Name()
	c.DeletionTimestamp = o.DeletionTimestamp()
	for _, f := range o.List("metadata", "finalizers") {
		c.Finalizers = append(c.Finalizers, f.GetStringValue())
	}
	c.Status.State = pgv2.AppState(o.Text("status", "state"))
	c.Status.Postgres.Ready = int32(o.Int("status", "postgres", "ready")) //nolint:gosec // A number of pods.

	return c
}
