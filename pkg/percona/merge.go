package percona

import (
	"slices"
	"strings"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// Wanted is what a DittoServer and the function's Input ask of a cluster.
type Wanted struct {
	// Spec as Manifest returns it.
	Spec map[string]any
	// Defaults are the paths in Spec, like image or instances[instance1].replicas,
	// that nobody set. They follow the live cluster (R24).
	Defaults []string
}

// A Difference is something that is asked for and that the live cluster does
// not have.
type Difference struct {
	// Path in the PerconaPGCluster, like spec.instances[instance1].replicas.
	Path string
	// Want and Have are both values as text, without what may be a secret. Have
	// is empty if it is absent.
	Want, Have string
	// Refused tells that no updatePolicy brings it about.
	Refused bool
	// Remedy says what a person can do.
	Remedy string
}

const remedyOnCreate = "set spec.percona.updatePolicy: Always, or change the PerconaPGCluster"

// Send returns the spec to apply for a live cluster (R6), and what is asked for
// but will not be there after that. The live object is as it was observed,
// managedFields included; nothing about it is trusted. For no live object the
// wanted spec is returned.
//
// With the policy OnCreate the spec is what the manager owns, with the live
// values, so that applying it changes nothing at all: what others set, took
// over or removed is not in it. It is nil if the manager owns nothing. Without
// managedFields (offline), or if they cannot be read, it is the wanted fields
// that live has, with the live values.
//
// With Always it is the wanted spec, except for what would harm a live cluster:
// the version of PostgreSQL never changes, nor do images to those of another
// version, volumes never shrink, their class and access modes stay, and nothing
// that holds data goes because it is not asked for any more. The differences
// are then those that were refused.
//
// Neither sends what the operator's controllers write themselves, and both
// leave a cluster's data source as it is: it was read when the cluster was
// created. A pause that is wanted is sent by both.
func Send(live map[string]any, wanted Wanted, manager string, policy v1alpha1.UpdatePolicy) (map[string]any, []Difference) {
	paused := wanted.Spec[pathPause] == true
	if len(live) == 0 {
		return pause(drop(cloneMap(wanted.Spec)), paused), nil
	}

	observed, _ := live["spec"].(map[string]any)
	mine, known := owned(live, observed, manager)
	c := newComparison(observed, wanted)
	enforced := c.compare(wanted.Spec, observed, mine, known)
	slices.SortFunc(c.diffs, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })

	if policy == v1alpha1.UpdateAlways {
		refused := slices.DeleteFunc(c.diffs, func(d Difference) bool { return !d.Refused })
		return pause(drop(enforced), paused), refused
	}
	if !known {
		mine = observe(wanted.Spec, observed)
	}
	return pause(drop(cloneOrNil(mine)), paused), c.diffs
}

// owned returns what the manager owns of a live spec, nil for nothing. If that
// is not known it is the whole spec: any of it may be the manager's.
func owned(live, observed map[string]any, manager string) (spec map[string]any, known bool) {
	own := ownershipOf(live, manager)
	if !own.known {
		return observed, false
	}
	if own.spec == nil {
		return nil, true
	}
	v, ok, err := own.extract(observed, own.spec, nil)
	if err != nil {
		return observed, false
	}
	spec, isMap := v.(map[string]any)
	if !ok || !isMap {
		return nil, true
	}
	return spec, true
}

// observe returns the wanted fields that a live spec has, with the live values.
func observe(wanted, live map[string]any) map[string]any {
	out, ok := observeValue("", wanted, live)
	spec, isMap := out.(map[string]any)
	if !ok || !isMap || len(spec) == 0 {
		return nil
	}
	return spec
}

func observeValue(path string, want, live any) (any, bool) {
	if live == nil {
		return nil, false
	}

	switch want := want.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			return clone(live), true
		}
		out := map[string]any{}
		for k, v := range want {
			if v, ok := observeValue(join(path, k), v, have[k]); ok {
				out[k] = v
			}
		}
		return out, len(out) > 0
	case []any:
		have, ok := live.([]any)
		if !ok {
			return clone(live), true
		}
		switch {
		case isListMap(path):
			return observeItems(path, want, have)
		case isSet(path):
			out := []any{}
			for _, v := range have {
				if slices.ContainsFunc(want, func(w any) bool { return equal(w, v) }) {
					out = append(out, clone(v))
				}
			}
			return out, len(out) > 0
		}
	}
	return clone(live), true
}

func observeItems(path string, want, have []any) (any, bool) {
	out := []any{}
	for _, item := range have {
		name, ok := nameOf(item)
		if !ok {
			continue
		}
		w, ok := named(want, name)
		if !ok {
			continue
		}
		v, _ := observeValue(path+"["+name+"]", w, item) // It has at least its name.
		out = append(out, v)
	}
	return out, len(out) > 0
}

// drop removes what the operator's controllers write: the backup and restore
// in progress, and pause (percona v2.9.0 percona/controller/pgbackup,
// pgrestore, pgupgrade). A fight over those stops backups and upgrades.
func drop(spec map[string]any) map[string]any {
	delete(spec, pathPause)
	archive := mapAt(spec, "backups", "pgbackrest")
	delete(archive, "manual")
	delete(archive, "restore")
	return spec
}

// pause a cluster if that is wanted. Nothing is sent otherwise: our own pause
// ends with that, and that of somebody else, such as the operator during a
// major upgrade, stays.
func pause(spec map[string]any, wanted bool) map[string]any {
	if !wanted {
		return spec
	}
	if spec == nil {
		spec = map[string]any{}
	}
	spec[pathPause] = true
	return spec
}
