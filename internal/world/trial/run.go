package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// A Run is one history of a server, as it happens.
type Run struct {
	Trial *Trial
	Judge *Judge
	// Log of what happened.
	Log []string

	versions map[world.Key][]*world.Object
}

// NewRun starts a history.
func NewRun(t *Trial) *Run {
	r := &Run{Trial: t, Judge: NewJudge(), versions: map[world.Key][]*world.Object{}}
	r.note()

	return r
}

// Versions of the object that a key had so far, the newest last. Nil is a time
// when there was none.
func (r *Run) Versions(k world.Key) []*world.Object { return r.versions[k] }

// Keys of all objects that there ever were and that Crossplane reads through a
// cache, sorted. Somebody else's objects are left out: if the cache did not
// have those, nobody could know about them.
func (r *Run) Keys() []world.Key {
	var keys []world.Key
	for k := range r.versions {
		if k.GroupVersionKind != world.GVKSecret && k.GroupVersionKind != world.GVKClaim && r.Trial.Past.Foreign[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b world.Key) int { return strings.Compare(a.String(), b.String()) })

	return keys
}

// note the versions that are new.
func (r *Run) note() {
	s := r.Trial.Server
	for _, k := range s.Keys() {
		if _, known := r.versions[k]; !known {
			r.versions[k] = []*world.Object{nil}
		}
	}
	for k, v := range r.versions {
		if now := s.Find(k); v[len(v)-1] != now {
			r.versions[k] = append(v, now)
		}
	}
}

// Act lets something happen.
func (r *Run) Act(a Action) error {
	r.Log = append(r.Log, a.Name)
	if err := a.Do(r.Trial); err != nil {
		return errors.Wrapf(err, "cannot %s", a.Name)
	}
	r.note()

	return nil
}

// Reconcile once, and judge it.
func (r *Run) Reconcile(ctx context.Context, f world.Faults) error {
	var what strings.Builder
	what.WriteString("reconcile")
	if f.Crash >= 0 {
		fmt.Fprintf(&what, " that dies after %d writes", f.Crash)
	}
	for k, o := range f.Stale {
		fmt.Fprintf(&what, " with %s of version %q", k, o.ResourceVersion())
	}
	out, err := r.Trial.reconcile(ctx, r.Judge, f)
	if out != nil && out.Err != nil {
		what.WriteString(" (" + out.Err.Error() + ")")
	}
	r.Log = append(r.Log, what.String())
	r.note()

	return err
}

// Heal lets nothing more happen but progress and reconciles, until all is
// quiet, and judges what came of it.
func (r *Run) Heal(ctx context.Context) error {
	for range 60 {
		before := r.Trial.Clone()
		for _, a := range Progress() {
			if err := r.Act(a); err != nil {
				return err
			}
		}
		if err := r.Reconcile(ctx, world.NoFaults()); err != nil {
			return err
		}
		if settled(before, r.Trial) {
			return r.Trial.rest(ctx, r.Judge)
		}
	}

	return &ViolationError{Rule: RuleStabilizes, Err: errors.New("sixty rounds of progress and reconciles do not come to rest")}
}

// Actions of people and of fate on a server, for a history at random.
func Actions() []Action {
	actions := []Action{
		InstallPercona(), Restart(), Rotate(), Strip("host"), Strip("password"), Unpause(), TogglePolicy(),
		TogglePercona("enabled"), TogglePercona("deleteWithServer"),
		DeleteSecret("-pguser-dittofs"), DeleteSecret("-cluster-cert"), DeleteClaims(),
		DeleteXR(), CreateXR(Spec(map[string]any{"enabled": true})), CreateXR(Spec(map[string]any{"enabled": false})),
	}
	for _, e := range edits() {
		actions = append(actions, EditCluster(e.name))
	}
	for _, k := range Keys() {
		actions = append(actions, Delete(k))
	}
	for _, k := range []server.Key{server.KeyCluster, server.KeyJWTSecret, server.KeyAdminCredentials, server.KeyConfig, server.KeyStatefulSet} {
		for _, how := range []string{Uncontrolled, Controlled, Survivor} {
			actions = append(actions, Plant(k, how))
		}
		actions = append(actions, Adopt(k), Remove(k))
	}

	return actions
}
