package percona

import (
	"fmt"
	"maps"
)

// A comparison walks what is wanted beside what is live, once.
type comparison struct {
	defaults map[string]bool
	// version in force: the live one, once there is one. 0 if unknown.
	version int64
	// upgraded tells that the version in force is not the one asked for, or
	// not understood.
	upgraded bool
	// repos are the names of the live repositories.
	repos map[string]bool

	diffs []Difference
}

func newComparison(live map[string]any, wanted Wanted) *comparison {
	c := &comparison{defaults: make(map[string]bool, len(wanted.Defaults)), repos: map[string]bool{}}
	for _, path := range wanted.Defaults {
		c.defaults[path] = true
	}

	c.version, _ = version(live[pathVersion])
	want, asked := version(wanted.Spec[pathVersion])
	asked = asked && !c.defaults[pathVersion]
	c.upgraded = live[pathVersion] != nil && (c.version == 0 || asked && want != c.version)

	for _, item := range listAt(live, "backups", "pgbackrest", "repos") {
		if name, ok := nameOf(item); ok {
			c.repos[name] = true
		}
	}
	return c
}

// compare returns what to send of a wanted spec under the policy Always. mine
// is what is owned of the live one, or all of it if that is not known.
func (c *comparison) compare(wanted, live, mine map[string]any, known bool) map[string]any {
	want := cloneMap(wanted)
	kept := c.keep(want, live, mine)

	enforced, _ := c.object("", want, live)
	graft("", enforced, kept)

	if known {
		graft("", want, kept)
		c.left("", mine, want)
	}
	return enforced
}

// value returns what to send for a wanted value, and false for nothing, and
// notes the differences.
func (c *comparison) value(path string, want, have any) (any, bool) {
	switch want := want.(type) {
	case map[string]any:
		have, _ := have.(map[string]any)
		return c.object(path, want, have)
	case []any:
		if isListMap(path) {
			have, _ := have.([]any)
			return c.items(path, want, have), true
		}
	}
	return c.leaf(path, want, have)
}

func (c *comparison) object(path string, want, have map[string]any) (map[string]any, bool) {
	out := make(map[string]any, len(want))
	exists := isClaim(path) && have != nil
	for k, w := range want {
		if exists && isFixed(k) {
			c.refuse(join(path, k), w, have[k], "a volume's class and access modes stay: ask for what is live, or for nothing")
			continue
		}
		if v, ok := c.value(join(path, k), w, have[k]); ok {
			out[k] = v
		}
	}
	for k, v := range have {
		if exists && isFixed(k) && v != nil {
			out[k] = clone(v)
		}
	}
	return out, len(out) > 0 || len(want) == 0
}

func (c *comparison) items(path string, want, have []any) []any {
	out := make([]any, 0, len(want))
	for _, w := range want {
		item, isMap := w.(map[string]any)
		name, ok := nameOf(w)
		if !isMap || !ok {
			out = append(out, clone(w))
			continue
		}

		itemPath := path + "[" + name + "]"
		live, exists := named(have, name)
		if !exists && len(item) == 1 {
			c.offer(itemPath, name, nil)
		}
		rest := maps.Clone(item)
		delete(rest, "name")
		sent, _ := c.object(itemPath, rest, live)
		sent["name"] = name
		out = append(out, sent)
	}
	return out
}

// leaf decides about one wanted value.
func (c *comparison) leaf(path string, want, have any) (any, bool) {
	follow, remedy := c.follows(path, want, have)
	if follow {
		c.refuse(path, want, have, remedy)
		return clone(have), have != nil
	}
	c.offer(path, want, have)
	return clone(want), true
}

// silent tells whether a path follows the live cluster without a word.
func (c *comparison) silent(path string) bool {
	_, isRepoPath := repoOfPath(path)
	return isRepoPath || c.defaults[path]
}

// follows tells whether the live value stays, under every policy, although
// another one may be asked for, and what a person can do then.
func (c *comparison) follows(path string, want, have any) (bool, string) {
	repo, isRepoPath := repoOfPath(path)
	switch {
	case c.defaults[path] && have != nil:
		return true, ""
	case isRepoPath:
		// A repository that exists stays where it is, even where pgBackRest
		// puts it by default.
		return c.repos[repo] || have != nil, ""
	case path == pathVersion:
		return have != nil, c.remedyVersion("upgrade with a PerconaPGUpgrade, or set spec.percona.postgresVersion: %d")
	case isImage(path):
		return c.followsImage(path, want, have), c.remedyVersion("PostgreSQL %d is in force: set spec.percona.postgresVersion and spec.percona.images accordingly, or upgrade with a PerconaPGUpgrade")
	case isRequest(path):
		return shrinks(want, have), "volumes never shrink: ask for at least " + text(have)
	default:
		return false, ""
	}
}

func (c *comparison) remedyVersion(format string) string {
	if c.version == 0 {
		return "the version of PostgreSQL in force is unknown: correct the PerconaPGCluster's postgresVersion"
	}
	return fmt.Sprintf(format, c.version)
}

// followsImage tells whether an image belongs to another version of PostgreSQL
// than the one in force, or may: a PerconaPGUpgrade changes all of them. One of
// pgBackRest or PgBouncer that is missing belongs to none, and the operator
// does nothing without it.
func (c *comparison) followsImage(path string, want, have any) bool {
	if c.upgraded {
		return path == pathImage || have != nil
	}
	image, _ := want.(string)
	major, ok := PostgresMajor(image)
	return path == pathImage && ok && c.version != 0 && int64(major) != c.version
}

// left notes what is left of what was asked for earlier: owned, and not wanted
// any more. The policy Always removes it.
func (c *comparison) left(path string, mine, want map[string]any) {
	for key, m := range mine {
		here := join(path, key)
		w, asked := want[key]
		items, isList := m.([]any)
		below, isMap := m.(map[string]any)
		switch {
		case c.silent(here) || isWritten(here) || isClaim(path) && isFixed(key):
		case !asked:
			c.leftover(here, m)
		case isMap:
			w, _ := w.(map[string]any)
			c.left(here, below, w)
		case isList && isListMap(here):
			w, _ := w.([]any)
			c.leftItems(here, items, w)
		}
	}
}

func (c *comparison) leftItems(path string, mine, want []any) {
	for _, item := range mine {
		name, _ := nameOf(item)
		m, _ := item.(map[string]any)
		here := path + "[" + name + "]"
		if w, asked := named(want, name); asked {
			c.left(here, m, w)
		} else {
			c.leftover(here, m)
		}
	}
}

func (c *comparison) leftover(path string, have any) {
	if says(have) {
		c.diffs = append(c.diffs, Difference{Path: "spec." + path, Have: shown(path, have), Remedy: remedyOnCreate})
	}
}

// refuse notes a difference, if there is one, that no policy brings about.
func (c *comparison) refuse(path string, want, have any, remedy string) {
	if c.silent(path) || same(path, want, have) {
		return
	}
	c.diffs = append(c.diffs, Difference{Path: "spec." + path, Want: shown(path, want), Have: shown(path, have), Refused: true, Remedy: remedy})
}

// offer notes a difference, if there is one, that the policy Always brings
// about.
func (c *comparison) offer(path string, want, have any) {
	if c.silent(path) || same(path, want, have) {
		return
	}
	c.diffs = append(c.diffs, Difference{Path: "spec." + path, Want: shown(path, want), Have: shown(path, have), Remedy: remedyOnCreate})
}
