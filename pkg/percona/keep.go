package percona

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What holds data, or leads to it, does not go because nobody asks for it any
// more: server-side apply would remove it, and the operator then deletes
// volumes (percona v2.9.0 internal/controller/postgrescluster/pgbackrest.go,
// cleanupRepoResources).

// keep returns what stays of mine, whatever is wanted, and takes out of want
// what may not replace it. The differences are refused.
func (c *comparison) keep(want, live, mine map[string]any) map[string]any {
	kept := map[string]any{}
	delete(want, pathPause) // See pause.
	c.keepDataSource(want, live, mine, kept)
	c.keepWAL(want, mine, kept)
	c.keepBackups(want, live, mine, kept)
	return kept
}

// keepDataSource leaves the data source as it is: the operator reads it when it
// fills a new cluster. Where the pods ran that did so matters to nobody.
func (c *comparison) keepDataSource(want, live, mine, kept map[string]any) {
	const key = "dataSource"

	asked, _ := want[key].(map[string]any)
	delete(want, key)
	if v, ok := mine[key]; ok {
		kept[key] = clone(v)
	}
	for _, source := range asked {
		source, _ := source.(map[string]any)
		for _, name := range []string{"affinity", "tolerations", "priorityClassName", "resources"} {
			delete(source, name)
		}
	}
	if says(asked) && !covers(live[key], asked) {
		c.hold(key, asked, live[key], "data is restored into a new cluster only: use a PerconaPGRestore, or remove spec.percona.restoreFrom")
	}
}

// keepWAL leaves the write-ahead log on its volume.
func (c *comparison) keepWAL(want, mine, kept map[string]any) {
	const key = "walVolumeClaimSpec"

	for _, item := range listAt(mine, "instances") {
		name, _ := nameOf(item)
		set, _ := item.(map[string]any)
		asked, ok := named(listAt(want, "instances"), name)
		if !ok || asked[key] != nil || !says(set[key]) {
			continue
		}
		items, _ := kept["instances"].([]any)
		kept["instances"] = append(items, map[string]any{"name": name, key: clone(set[key])})

		claim, _ := set[key].(map[string]any)
		size := text(mapAt(claim, "resources", "requests")["storage"])
		c.hold("instances["+name+"]."+key, nil, set[key], strings.TrimSpace("the write-ahead log stays on its volume: set spec.percona.walStorageSize: "+size)+", or remove this from the PerconaPGCluster")
	}
}

// keepBackups leaves backups on, and repositories where they are.
func (c *comparison) keepBackups(want, live, mine, kept map[string]any) {
	asked, _ := want["backups"].(map[string]any)
	if asked == nil {
		return
	}
	if asked["enabled"] == false {
		c.keepBackupsOn(asked, live, mine, kept)
		return
	}

	k := keeper{
		want: mapAt(want, "backups", "pgbackrest"), mine: mapAt(mine, "backups", "pgbackrest"),
		kept: map[string]any{},
	}
	for _, item := range listAt(live, "backups", "pgbackrest", "repos") {
		if name, ok := nameOf(item); ok && k.want != nil {
			repo, _ := item.(map[string]any)
			c.keepRepo(k, name, repo)
		}
	}
	if len(k.kept) > 0 {
		kept["backups"] = map[string]any{"pgbackrest": k.kept}
	}
}

// keepBackupsOn where they are on. Where they are off nothing of them matters,
// until they are on again.
func (c *comparison) keepBackupsOn(asked, live, mine, kept map[string]any) {
	if mapAt(live, "backups")["enabled"] != false && len(listAt(live, "backups", "pgbackrest", "repos")) > 0 {
		delete(asked, "enabled")
		c.hold("backups.enabled", false, true, `backups are not removed from here: annotate the PerconaPGCluster with pgv2.percona.com/authorizeBackupRemoval: "true" and set spec.backups.enabled: false on it, or set spec.percona.backup.enabled: true`)
	}

	backups := cloneOrNil(mapAt(mine, "backups"))
	archive := mapAt(backups, "pgbackrest")
	delete(archive, "image")
	delete(archive, "manual")
	delete(archive, "restore")
	if says(backups) {
		kept["backups"] = backups
	}
}

// A keeper of repositories has the sections backups.pgbackrest of what is
// wanted, of what is owned, and of what is kept.
type keeper struct {
	want, mine, kept map[string]any
}

// keepRepo leaves a live repository what it is, a volume that it is on, and the
// path of one that is in use.
func (c *comparison) keepRepo(k keeper, name string, live map[string]any) {
	path := pathRepos + "[" + name + "]"
	wanted, asked := named(listAt(k.want, "repos"), name)
	mine, _ := named(listAt(k.mine, "repos"), name)
	is, wants := placeOf(live), placeOf(wanted)

	switch {
	case asked && is != "" && wants != "" && is != wants:
		c.hold(path+"."+wants, wanted[wants], nil, fmt.Sprintf("%s is a repository of kind %s: call the new one otherwise in spec.percona.backup.repos", name, is))
		k.without(name)
		k.keep(name, mine)
		if is != "volume" {
			k.keepCredentials()
		}
	case asked:
		option := name + suffixPath
		if v := mapAt(k.mine, "global")[option]; v != nil && mapAt(k.want, "global")[option] == nil {
			mapIn(k.kept, "global")[option] = v
		}
	case is == "volume" && says(mine["volume"]):
		c.hold(path, nil, live["volume"], fmt.Sprintf("the volume would be deleted with its backups: add %s to spec.percona.backup.repos, or remove it from the PerconaPGCluster", name))
		k.keep(name, mine)
	}
}

// without takes a repository but for its name, and all that is said about it,
// out of what is wanted.
func (k keeper) without(name string) {
	repos := listAt(k.want, "repos")
	for i, item := range repos {
		if n, _ := nameOf(item); n == name {
			repos[i] = map[string]any{"name": name}
		}
	}
	maps.DeleteFunc(mapAt(k.want, "global"), func(option string, _ any) bool { return strings.HasPrefix(option, name+"-") })
}

// keep a repository of ours, and all that is said about it.
func (k keeper) keep(name string, mine map[string]any) {
	repos, _ := k.kept["repos"].([]any)
	if _, done := named(repos, name); done || mine == nil {
		return
	}
	k.kept["repos"] = append(repos, cloneMap(mine))
	for option, v := range mapAt(k.mine, "global") {
		if strings.HasPrefix(option, name+"-") {
			mapIn(k.kept, "global")[option] = v
		}
	}
}

// keepCredentials leaves the Secrets that live repositories are entered with.
func (k keeper) keepCredentials() {
	projected := slices.Clone(listAt(k.want, "configuration"))
	for _, mine := range listAt(k.mine, "configuration") {
		if !slices.ContainsFunc(projected, func(v any) bool { return equal(v, mine) }) {
			projected = append(projected, clone(mine))
		}
	}
	if len(projected) > 0 {
		k.want["configuration"] = projected
	}
}

// hold notes a difference that no policy brings about.
func (c *comparison) hold(path string, want, have any, remedy string) {
	c.diffs = append(c.diffs, Difference{Path: "spec." + path, Want: shown(path, want), Have: shown(path, have), Refused: true, Remedy: remedy})
}

// placeOf a repository, or "".
func placeOf(repo map[string]any) string {
	for _, place := range []string{"s3", "gcs", "azure", "volume"} {
		if repo[place] != nil {
			return place
		}
	}
	return ""
}

// covers tells whether all of what is wanted is live.
func covers(have, want any) bool {
	m, isMap := want.(map[string]any)
	if !isMap {
		return equal(have, want)
	}
	h, _ := have.(map[string]any)
	for key, v := range m {
		if !covers(h[key], v) {
			return false
		}
	}
	return true
}

// graft adds to a spec what it does not have of another one; path is that of
// both. Nothing is shared afterwards.
func graft(path string, into, from map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		v, here := from[key], join(path, key)
		have, exists := into[key]
		if !exists {
			into[key] = clone(v)
			continue
		}
		switch have := have.(type) {
		case map[string]any:
			v, _ := v.(map[string]any)
			graft(here, have, v)
		case []any:
			if v, _ := v.([]any); isListMap(here) {
				into[key] = graftItems(here, have, v)
			}
		}
	}
}

func graftItems(path string, into, from []any) []any {
	for _, item := range from {
		name, _ := nameOf(item)
		m, _ := item.(map[string]any)
		if have, exists := named(into, name); exists {
			graft(path+"["+name+"]", have, m)
		} else {
			into = append(into, clone(item))
		}
	}
	return into
}

// says tells whether there is anything in a value but empty maps and lists.
func says(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case map[string]any:
		for _, child := range v {
			if says(child) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, says)
	default:
		return true
	}
}

// mapAt returns the map at a path of keys, or nil.
func mapAt(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// listAt returns the list at a path of keys, or nil.
func listAt(m map[string]any, path ...string) []any {
	last := len(path) - 1
	list, _ := mapAt(m, path[:last]...)[path[last]].([]any)
	return list
}

// mapIn returns the map of that key, which is made if there is none.
func mapIn(m map[string]any, key string) map[string]any {
	child, ok := m[key].(map[string]any)
	if !ok {
		child = map[string]any{}
		m[key] = child
	}
	return child
}

func cloneOrNil(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	return cloneMap(m)
}
