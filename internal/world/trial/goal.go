package trial

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Rest judges a trial that has come to rest: reconciling changes nothing, and
// neither does anybody else. The outcome is that of the last reconcile.
func (j *Judge) Rest(ctx context.Context, t *Trial, out *world.Outcome) error {
	for _, r := range []struct {
		name  string
		check func() error
	}{
		{RuleCalm, func() error { return calm(out) }},
		{RulePure, func() error { return pure(ctx, t, out) }},
		{RuleArrives, func() error { return j.arrived(t, out) }},
		{RuleSurvival, func() error { return survives(t.Clone()) }},
	} {
		if err := r.check(); err != nil {
			return &ViolationError{Rule: r.name, Err: err}
		}
	}

	return nil
}

// calm: no writes, no events.
func calm(out *world.Outcome) error {
	for _, w := range out.Writes {
		if w.Changed() {
			return errors.Errorf("%s of %s moves its resourceVersion", w.Verb, w.Key)
		}
	}
	if len(out.Results) > 0 {
		return errors.Errorf("it results in %s", strings.Join(out.Results, ", "))
	}

	return nil
}

// pure: the function answers the same request with the same bytes, and nobody
// wrote to the objects in it.
func pure(ctx context.Context, t *Trial, out *world.Outcome) error {
	c := out.Final()
	if c == nil {
		return nil
	}
	again, err := t.Crossplane.Function.RunFunction(ctx, c.Request)
	if err != nil {
		return err
	}
	m := proto.MarshalOptions{Deterministic: true}
	a, err := m.Marshal(c.Response)
	if err != nil {
		return errors.Wrap(err, "cannot encode the response")
	}
	b, err := m.Marshal(again)
	if err != nil {
		return errors.Wrap(err, "cannot encode the response")
	}
	if !bytes.Equal(a, b) {
		return errors.New("another call gives another response")
	}

	for _, k := range t.Server.Keys() {
		o := t.Server.Find(k)
		shared, err := o.Struct()
		if err != nil {
			return err
		}
		fresh, err := structpb.NewStruct(o.Content())
		if err != nil || !proto.Equal(shared, fresh) {
			return errors.Errorf("the function wrote to %s in its request", k)
		}
	}

	return nil
}

// arrived tells whether the state that the trial rests in is the one that is
// wanted, or what keeps it from that is said and is a person's to solve.
func (j *Judge) arrived(t *Trial, out *world.Outcome) error {
	xr := t.Observe()
	if xr == nil {
		return nil
	}
	_, configured, _ := world.Condition(xr, "ConfigReady")
	if out.Fatal != "" && configured == "NameTaken" && len(t.Past.Foreign) > 0 {
		return nil
	}
	for k := range t.Past.Foreign {
		if k.GroupVersionKind != world.GVKCluster || t.Enabled() {
			return errors.Errorf("%s is somebody else's: want ConfigReady NameTaken, got %q", k, configured)
		}
	}
	if out.Err != nil {
		return out.Err
	}
	if configured == "AdminPasswordLost" {
		if t.AdminPassword() != "" {
			return errors.New("the administrator's password is not lost")
		}

		return nil
	}

	return j.serves(t)
}

// serves: there is a server that runs on what it is to run on, or a reason why
// there is none.
func (j *Judge) serves(t *Trial) error {
	xr, sts, cluster := t.Observe(), t.Find(server.KeyStatefulSet), t.Find(server.KeyCluster)
	ready, _, _ := world.Condition(xr, "Ready")
	databaseStatus, database, _ := world.Condition(xr, "DatabaseReady")
	paused, _ := cluster.Value("spec", "pause").(bool)

	wants, _, _ := strings.Cut(t.wanted(), ":")
	if sts == nil && t.Past.Ran != "" && t.Past.Ran != t.wanted() && len(t.Claims()) > 0 && database == "DatabaseChangeRefused" {
		return nil // It ran on another database, and its volumes are there.
	}
	if wants == "external" && ready == "False" && slices.Contains([]string{"ConnectionSecretNotFound", "ConnectionSecretIncomplete"}, database) {
		return nil // A person has to repair the Secret; no pod starts without it.
	}
	if name := xr.Text("spec", "percona", "databaseName"); sts == nil && name != "" && name != t.databaseName() && database == "ConnectionSecretIncomplete" && ready == "False" {
		return nil // The cluster was created for another name: a person has to decide.
	}
	if sts == nil {
		want := map[bool]string{true: "PerconaPaused", false: "PerconaOperatorNotInstalled"}[t.Server.Served(world.GVKCluster)]
		if !t.Enabled() || (t.Server.Served(world.GVKCluster) && !paused) || database != want || ready != "False" {
			return errors.Errorf("there is no server: DatabaseReady is %s, Ready %s", database, ready)
		}

		return nil
	}

	if sts.Number("status", "readyReplicas") != 1 {
		return errors.New("the server's pod is not ready")
	}
	kind, _, _ := strings.Cut(t.Running(), ":")
	switch {
	case t.Running() != t.wanted():
		// The template is kept, old values and all (R3, R22).
		if database != "DatabaseChangeRefused" || xr.Text("spec", "database", "allowChangeTo") == wants {
			return errors.Errorf("it runs on %s instead of %s, and DatabaseReady is %s", t.Running(), t.wanted(), database)
		}

		return nil
	case paused && kind == "percona":
		if database != "PerconaPaused" || ready != "False" {
			return errors.Errorf("the database is paused: DatabaseReady is %s, Ready %s", database, ready)
		}
	case t.monitored() && !t.Server.Served(world.GVKMonitor):
		if _, monitoring, _ := world.Condition(xr, "MonitoringReady"); monitoring != "PrometheusOperatorNotInstalled" || ready != "False" {
			return errors.Errorf("nothing scrapes its metrics: MonitoringReady is %s, Ready %s", monitoring, ready)
		}
	case databaseStatus != "True" || ready != "True":
		return errors.Errorf("everything is there: DatabaseReady is %s %s, Ready %s", databaseStatus, database, ready)
	}

	inputs, known := j.known(t.Hash())
	if now, readable := t.Inputs(); known && readable && inputs != now {
		return errors.Errorf("the pod runs with old values of %s", difference(inputs, now))
	}

	return nil
}

// monitored tells whether a ServiceMonitor is asked for.
func (t *Trial) monitored() bool {
	metrics, _ := t.Observe().Value("spec", "metrics", "enabled").(bool)
	monitor, _ := t.Observe().Value("spec", "metrics", "serviceMonitor", "enabled").(bool)

	return metrics && monitor
}

// databaseName that the user Secret has; empty if there is none.
func (t *Trial) databaseName() string {
	name, err := base64.StdEncoding.DecodeString(t.Server.Find(t.UserSecret()).Text("data", "dbname"))
	if err != nil {
		return ""
	}

	return string(name)
}

// wanted database, as the annotation dittofs.io/database has it.
func (t *Trial) wanted() string {
	spec := func(path ...string) string { return t.Observe().Text(append([]string{"spec"}, path...)...) }
	secret := spec("database", "postgresSecretRef", "name")
	switch {
	case t.Enabled():
		return "percona:" + percona.ClusterName(t.Config.Name) + "/" + cmp.Or(spec("percona", "databaseName"), "dittofs")
	case secret != "":
		return "external:" + secret
	}

	return "sqlite:" + cmp.Or(spec("database", "sqlite", "path"), "/data/controlplane/controlplane.db")
}

// survives deletes the XR, and looks at what is left.
func survives(t *Trial) error {
	if t.Observe() == nil || len(t.Past.Foreign) > 0 {
		return nil
	}
	cluster, retain := t.Find(server.KeyCluster), !t.DeleteWithServer()
	if cluster.Controller() == "" {
		cluster = nil // A survivor that the spec does not ask for.
	}
	said := t.Observe().Text("status", "database", "onDelete")
	claims := t.Claims()

	must := []world.Key{}
	for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials} {
		if t.Find(k) != nil {
			must = append(must, t.Of(k))
		}
	}
	if cluster != nil && retain {
		must = append(must, t.Of(server.KeyCluster), t.UserSecret())
	}
	must = append(must, claims...)

	if err := t.deleted(); err != nil {
		return err
	}
	for _, k := range must {
		if o := t.Server.Find(k); o == nil || o.Deleting() {
			return errors.Errorf("%s went with the server", k)
		}
	}
	for _, k := range []server.Key{server.KeyStatefulSet, server.KeyConfig, server.KeyAPIService, server.KeyNetworkPolicy} {
		if t.Find(k) != nil {
			return errors.Errorf("%s was left behind", t.Of(k))
		}
	}
	if cluster == nil {
		return nil
	}
	if gone := t.Find(server.KeyCluster) == nil; gone == retain || said != map[bool]string{true: "Retain", false: "Delete"}[retain] {
		return errors.Errorf("the cluster was to be retained: %v; it is gone: %v; the status said %q", retain, gone, said)
	}
	if !retain && t.Server.Find(t.UserSecret()) != nil {
		return errors.New("the database user's Secret was left behind")
	}

	return nil
}

// deleted XR, and everything that follows from it.
func (t *Trial) deleted() error {
	if err := DeleteXR().Do(t); err != nil {
		return err
	}
	if _, err := t.Crossplane.Reconcile(context.Background(), t.Server, world.NoFaults()); err != nil {
		return err
	}
	for range 20 {
		for _, a := range []Action{Collector(), Operator()} {
			if err := a.Do(t); err != nil {
				return err
			}
		}
	}

	return nil
}

// settled tells whether two trials hold the very same objects.
func settled(a, b *Trial) bool {
	keys := a.Server.Keys()

	return slices.Equal(keys, b.Server.Keys()) && !slices.ContainsFunc(keys, func(k world.Key) bool {
		return a.Server.Find(k) != b.Server.Find(k)
	})
}
