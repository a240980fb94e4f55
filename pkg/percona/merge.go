package percona

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

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
	// Want and Have are both values as text. Have is empty if it is absent.
	Want, Have string
	// Refused tells that no updatePolicy brings it about.
	Refused bool
	// Remedy says what a person can do.
	Remedy string
}

const remedyOnCreate = "set spec.percona.updatePolicy: Always, or change the PerconaPGCluster"

// Paths of a PerconaPGCluster's spec that have rules of their own.
const (
	pathVersion  = "postgresVersion"
	pathImage    = "image"
	pathRepos    = "backups.pgbackrest.repos"
	pathRepoPath = "backups.pgbackrest.global." + repoPath
)

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
// version, volumes never shrink, and their class and access modes stay. The
// differences are then those that were refused.
//
// Neither sends what the operator's controllers write themselves.
func Send(live map[string]any, wanted Wanted, manager string, policy v1alpha1.UpdatePolicy) (map[string]any, []Difference) {
	if len(live) == 0 {
		return drop(cloneMap(wanted.Spec)), nil
	}

	observed, _ := live["spec"].(map[string]any)
	c := newComparison(observed, wanted)
	enforced, _ := c.object("", wanted.Spec, observed)
	slices.SortFunc(c.diffs, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })

	if policy == v1alpha1.UpdateAlways {
		refused := slices.DeleteFunc(c.diffs, func(d Difference) bool { return !d.Refused })
		return drop(enforced), refused
	}
	return drop(echo(live, observed, wanted, manager)), c.diffs
}

// echo returns what the manager owns of a live spec.
func echo(live, observed map[string]any, wanted Wanted, manager string) map[string]any {
	own := ownershipOf(live, manager)
	if !own.known {
		return observe(wanted.Spec, observed)
	}
	if own.spec == nil {
		return nil
	}
	v, ok, err := own.extract(observed, own.spec, nil)
	if err != nil {
		return observe(wanted.Spec, observed)
	}
	spec, isMap := v.(map[string]any)
	if !ok || !isMap {
		return nil
	}
	return spec
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
	delete(spec, "pause")
	backups, _ := spec["backups"].(map[string]any)
	archive, _ := backups["pgbackrest"].(map[string]any)
	delete(archive, "manual")
	delete(archive, "restore")
	return spec
}

// A comparison walks what is wanted beside what is live, once.
type comparison struct {
	defaults map[string]bool
	// version in force: the live one, once there is one. 0 if unknown.
	version int64
	// upgraded tells that the version in force is not the one asked for, or
	// not understood.
	upgraded bool
	// repo1 tells that live has backups in repo1.
	repo1 bool

	diffs []Difference
}

func newComparison(live map[string]any, wanted Wanted) *comparison {
	c := &comparison{defaults: make(map[string]bool, len(wanted.Defaults))}
	for _, path := range wanted.Defaults {
		c.defaults[path] = true
	}

	c.version, _ = version(live[pathVersion])
	want, asked := version(wanted.Spec[pathVersion])
	asked = asked && !c.defaults[pathVersion]
	c.upgraded = live[pathVersion] != nil && (c.version == 0 || asked && want != c.version)

	backups, _ := live["backups"].(map[string]any)
	archive, _ := backups["pgbackrest"].(map[string]any)
	repos, _ := archive["repos"].([]any)
	_, c.repo1 = named(repos, "repo1")
	return c
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
	return c.defaults[path] || path == pathRepoPath
}

// follows tells whether the live value stays, under every policy, although
// another one may be asked for, and what a person can do then.
func (c *comparison) follows(path string, want, have any) (bool, string) {
	switch {
	case c.defaults[path] && have != nil:
		return true, ""
	case path == pathRepoPath:
		// A repository that exists stays where it is, even where pgBackRest
		// puts it by default.
		return c.repo1 || have != nil, ""
	case path == pathVersion:
		return have != nil, c.remedyVersion("upgrade with a PerconaPGUpgrade, or set spec.percona.postgresVersion: %d")
	case isImage(path):
		return c.followsImage(path, want), c.remedyVersion("PostgreSQL %d is in force: set spec.percona.postgresVersion and spec.percona.images accordingly, or upgrade with a PerconaPGUpgrade")
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
// than the one in force.
func (c *comparison) followsImage(path string, want any) bool {
	if c.upgraded {
		return true
	}
	image, _ := want.(string)
	major, ok := PostgresMajor(image)
	return path == pathImage && ok && c.version != 0 && int64(major) != c.version
}

// refuse notes a difference, if there is one, that no policy brings about.
func (c *comparison) refuse(path string, want, have any, remedy string) {
	if c.silent(path) || same(path, want, have) {
		return
	}
	c.diffs = append(c.diffs, Difference{Path: "spec." + path, Want: text(want), Have: text(have), Refused: true, Remedy: remedy})
}

// offer notes a difference, if there is one, that the policy Always brings
// about.
func (c *comparison) offer(path string, want, have any) {
	if c.silent(path) || same(path, want, have) {
		return
	}
	c.diffs = append(c.diffs, Difference{Path: "spec." + path, Want: text(want), Have: text(have), Remedy: remedyOnCreate})
}

// isListMap tells which lists the operator's schema merges by name. All other
// lists that a DittoServer asks for are replaced whole, but for one set.
func isListMap(path string) bool {
	return path == "instances" || path == "users" || path == pathRepos
}

func isSet(path string) bool {
	return strings.HasPrefix(path, "users[") && strings.HasSuffix(path, "].databases")
}

// isClaim tells whether a path leads to the claim of a volume.
func isClaim(path string) bool {
	return strings.HasSuffix(path, "olumeClaimSpec")
}

func isRequest(path string) bool {
	return strings.HasSuffix(path, "olumeClaimSpec.resources.requests.storage")
}

// isFixed tells which fields of a claim cannot change once there is a volume,
// nor be added: unset, the cluster's default class was taken.
func isFixed(field string) bool {
	return field == "storageClassName" || field == "accessModes"
}

func isImage(path string) bool {
	return path == pathImage || path == "backups.pgbackrest.image" || path == "proxy.pgBouncer.image"
}

// same tells whether live has what is wanted.
func same(path string, want, have any) bool {
	if equal(want, have) {
		return true
	}
	switch {
	case path == pathVersion:
		w, ok := version(want)
		h, known := version(have)
		return ok && known && w == h
	case isSet(path):
		w, _ := want.([]any)
		h, _ := have.([]any)
		return !slices.ContainsFunc(w, func(v any) bool {
			return !slices.ContainsFunc(h, func(o any) bool { return equal(v, o) })
		})
	case isQuantity(path):
		w, ok := quantity(want)
		h, known := quantity(have)
		return ok && known && w.Cmp(h) == 0
	default:
		return false
	}
}

func isQuantity(path string) bool {
	return strings.Contains(path, ".resources.requests.") || strings.Contains(path, ".resources.limits.")
}

// shrinks tells whether a volume of the live size must stay as it is: a smaller
// one is wanted, or the live size is not understood.
func shrinks(want, have any) bool {
	if have == nil {
		return false
	}
	w, ok := quantity(want)
	h, known := quantity(have)
	return !ok || !known || w.Cmp(h) < 0
}

// quantity reads what an API server accepts as one: text or a number.
func quantity(v any) (resource.Quantity, bool) {
	if s, ok := v.(string); ok {
		q, err := resource.ParseQuantity(s)
		return q, err == nil
	}
	if i, ok := integer(v); ok {
		return *resource.NewQuantity(i, resource.DecimalSI), true
	}
	return resource.Quantity{}, false
}

// version reads a major version, which untrusted input may write as text.
func version(v any) (int64, bool) {
	if s, ok := v.(string); ok {
		i, err := strconv.ParseInt(s, 10, 32)
		return i, err == nil
	}
	return integer(v)
}

// nameOf returns the name of an item of a list that is merged by name.
func nameOf(item any) (string, bool) {
	m, _ := item.(map[string]any)
	name, ok := m["name"].(string)
	return name, ok
}

// named returns the item of that name.
func named(items []any, name string) (map[string]any, bool) {
	for _, item := range items {
		m, _ := item.(map[string]any)
		if n, ok := m["name"].(string); ok && n == name {
			return m, true
		}
	}
	return nil, false
}

// join appends a key to a path. One that could be misread is put in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, ".[]") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// text shows a value in a message: short, and the same every time.
func text(v any) string {
	const limit = 200

	var s string
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		s = v
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
			s = strconv.Quote(v)
		}
	default:
		data, err := json.Marshal(clone(v)) // Sorts a map's keys.
		if err != nil {
			return "?"
		}
		s = string(data)
	}

	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}
