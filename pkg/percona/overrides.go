package percona

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// Overrides tells whether a server's spec.percona.overrides sets the field at a
// path in the PerconaPGCluster's spec, like backups.pgbackrest.image. What it
// sets is nobody's default.
func Overrides(ds *v1alpha1.DittoServer, path string) bool {
	patch, err := Patch(ds.Spec.Percona)
	if err != nil {
		return false
	}
	keys := strings.Split(path, ".")
	last := len(keys) - 1
	_, ok := mapAt(patch, keys[:last]...)[keys[last]]
	return ok
}

// override returns a spec with spec.percona.overrides merged into it: a JSON
// merge patch (RFC 7396), except that items of lists that have names are merged
// by them.
func override(spec pgv2.PerconaPGClusterSpec, p v1alpha1.PerconaSpec) (pgv2.PerconaPGClusterSpec, error) {
	path := perconaPath("overrides")
	patch, invalid := Patch(p)
	if invalid != nil {
		return spec, invalid
	}
	if len(patch) == 0 {
		return spec, nil
	}
	if err := refuse(path, "", patch); err != nil {
		return spec, err
	}

	base, err := Manifest(spec)
	if err != nil {
		return spec, err
	}
	merged, err := mergePatch(path, "", base, patch)
	if err != nil {
		return spec, err
	}
	out, err := decode(merged)
	if err != nil {
		at := culprit(path, "", patch, func(v any) bool {
			patch, _ := v.(map[string]any)
			merged, err := mergePatch(path, "", base, patch)
			if err == nil {
				_, err = decode(merged)
			}
			return err != nil
		})
		return spec, field.Invalid(at, field.OmitValueType{}, "a PerconaPGCluster of operator 2.9.0 takes no such thing: "+err.Error())
	}
	if err := unique(path, "", merged); err != nil {
		return spec, err
	}
	return out, validateOverridden(path, p.Backup, out)
}

// Patch returns what a server's spec.percona.overrides say, which is nothing if
// there are none. Whole numbers are int64.
func Patch(p v1alpha1.PerconaSpec) (map[string]any, *field.Error) {
	overrides := p.Overrides
	if overrides == nil || len(overrides.Raw) == 0 {
		return map[string]any{}, nil
	}
	var v any
	err := utiljson.Unmarshal(overrides.Raw, &v)
	if m, ok := v.(map[string]any); err == nil && (ok || v == nil) {
		return m, nil
	}
	return nil, field.Invalid(perconaPath("overrides"), field.OmitValueType{}, "must be an object, like the spec of a PerconaPGCluster")
}

// refuse what overrides may not have at a path: what identifies the cluster and
// its data, who may connect, what other fields say under rules of their own,
// and what the operator writes itself.
func refuse(at *field.Path, path string, patch map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		here, child := join(path, key), childOf(at, key)
		if remedy, refused := refusal(here); refused {
			return field.Forbidden(child, remedy)
		}

		items, isList := patch[key].([]any)
		sub, isMap := patch[key].(map[string]any)
		switch {
		case here == "instances" && !isList:
			return field.Invalid(child, field.OmitValueType{}, "must be a list with an item of the name "+InstanceSet)
		case here == "instances":
			if err := refuseInstances(child, items); err != nil {
				return err
			}
		case isMap:
			if err := refuse(child, here, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuseInstances(at *field.Path, items []any) error {
	for i, item := range items {
		name, ok := nameOf(item)
		switch {
		case !ok:
			return field.Required(at.Index(i).Child("name"), "say which set it is about: name: "+InstanceSet)
		case name != InstanceSet:
			return field.Forbidden(at.Key(name), "the cluster has one instance set, "+InstanceSet)
		}
		m, _ := item.(map[string]any)
		if err := refuse(at.Key(name), "instances[]", m); err != nil {
			return err
		}
	}
	return nil
}

// refusal says what to do instead of overriding what is at a path.
func refusal(path string) (remedy string, refused bool) {
	switch path {
	case "crVersion", "postgresVersion", "pause":
		return "set spec.percona." + path, true
	case "image":
		return "set spec.percona.images.postgres", true
	case "dataSource":
		return "set spec.percona.restoreFrom", true
	case "users":
		return "the server's user is not to be changed, and others are better made in the database; spec.percona.databaseName names the database", true
	case "standby", "secrets", "initContainer", "instances[].sidecars", "instances[].volumeMounts":
		return "this cannot be overridden: remove it", true
	case "backups.pgbackrest.manual":
		return "the operator writes it itself: use a PerconaPGBackup", true
	case "backups.pgbackrest.restore":
		return "the operator writes it itself: use a PerconaPGRestore", true
	default:
		return "", false
	}
}

// mergePatch returns target with patch merged into it; at is the patch's path
// in the DittoServer, path the target's in the cluster's spec. Neither is
// changed.
func mergePatch(at *field.Path, path string, target, patch map[string]any) (map[string]any, error) {
	out := cloneMap(target)
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		var err error
		here, child := join(path, key), childOf(at, key)
		switch v := patch[key].(type) {
		case nil:
			delete(out, key)
		case map[string]any:
			below, _ := out[key].(map[string]any)
			out[key], err = mergePatch(child, here, below, v)
		case []any:
			below, _ := out[key].([]any)
			out[key] = clone(v)
			if isListMap(here) {
				out[key], err = mergeItems(child, here, below, v)
			}
		default:
			out[key] = v
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mergeItems merges items by their names; new ones come last. A repeated name
// would not make the cluster invalid but the whole apply fail.
func mergeItems(at *field.Path, path string, target, patch []any) ([]any, error) {
	out := slices.Clone(target)
	seen := map[string]bool{}
	for i, item := range patch {
		name, ok := nameOf(item)
		m, isMap := item.(map[string]any)
		switch {
		case !ok || !isMap || name == "":
			return nil, field.Required(at.Index(i).Child("name"), "items of this list are merged by name")
		case seen[name]:
			return nil, field.Duplicate(at.Index(i).Child("name"), name)
		}
		seen[name] = true

		below, exists := named(out, name)
		merged, err := mergePatch(at.Key(name), path+"["+name+"]", below, m)
		if err != nil {
			return nil, err
		}
		if !exists {
			out = append(out, merged)
			continue
		}
		i := slices.IndexFunc(out, func(other any) bool { n, ok := nameOf(other); return ok && n == name })
		out[i] = merged
	}
	return out, nil
}

// decode reads a spec that may have nothing in it that the operator's type does
// not have.
func decode(spec map[string]any) (pgv2.PerconaPGClusterSpec, error) {
	var out pgv2.PerconaPGClusterSpec

	// Each of the two sees what the other overlooks: numbers that are too large,
	// and keys that differ in case alone.
	data, err := json.Marshal(spec)
	if err == nil {
		err = json.Unmarshal(data, &pgv2.PerconaPGClusterSpec{})
	}
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(spec, &out, true)
	}
	if err != nil {
		return pgv2.PerconaPGClusterSpec{}, err
	}
	return *out.DeepCopy(), nil
}

// culprit finds the first field of a patch that fails alone.
func culprit(at *field.Path, path string, patch any, fails func(any) bool) *field.Path {
	switch patch := patch.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(patch)) {
			alone := func(v any) bool { return fails(map[string]any{key: v}) }
			if alone(patch[key]) {
				return culprit(childOf(at, key), join(path, key), patch[key], alone)
			}
		}
	case []any:
		for _, item := range patch {
			name, ok := nameOf(item)
			if !ok || !isListMap(path) {
				break
			}
			alone := func(v any) bool {
				m, _ := clone(v).(map[string]any)
				m["name"] = name
				return fails([]any{m})
			}
			if alone(item) {
				return culprit(at.Key(name), path+"["+name+"]", item, alone)
			}
		}
	}
	return at
}

// validateOverridden checks what every cluster has, and what the operator would
// choke on, whoever says it.
func validateOverridden(at *field.Path, asked v1alpha1.BackupSpec, spec pgv2.PerconaPGClusterSpec) error {
	b := spec.Backups
	switch {
	case len(spec.InstanceSets) != 1 || spec.InstanceSets[0].DataVolumeClaimSpec.Resources.Requests.Storage().Sign() <= 0:
		return field.Required(at.Child("instances").Key(InstanceSet), "PostgreSQL needs a volume with a size")
	case b.PGBackRest.Image == "":
		return field.Required(at.Child("backups", "pgbackrest", "image"), "the operator wants it, also while backups are off")
	case b.IsEnabled() && len(b.PGBackRest.Repos) == 0:
		return field.Required(at.Child("backups", "pgbackrest", "repos"), "backups need a repository, or backups.enabled: false")
	case spec.Proxy.IsSet() && spec.Proxy.PGBouncer.Image == "":
		return field.Required(at.Child("proxy", "pgBouncer", "image"), "the operator has none of its own")
	}
	if errs := validateOverriddenSchedules(at.Child("backups", "pgbackrest", "repos"), asked, b); len(errs) > 0 {
		return errs[0]
	}
	return validateOverriddenParameters(at, spec)
}

// validateOverriddenSchedules checks schedules of any kind that the operator
// takes, and that none of them starts together with one that was there before.
func validateOverriddenSchedules(at *field.Path, asked v1alpha1.BackupSpec, b pgv2.Backups) field.ErrorList {
	before := map[string]schedule{}
	if *asked.Enabled {
		repos := wantedRepos(asked)
		tables, _ := timetables(repos) // Validate has said what is wrong with them.
		for i, table := range tables {
			before[repos[i].Name+"/full"] = *table.full
			if table.incr != nil {
				before[repos[i].Name+"/incremental"] = *table.incr
			}
		}
	}

	var errs field.ErrorList
	var overridden, others []schedule
	for _, repo := range b.PGBackRest.Repos {
		s := ptr.Deref(repo.BackupSchedules, crunchy.PGBackRestBackupSchedules{})
		for _, kind := range []struct {
			name string
			expr *string
		}{{"full", s.Full}, {"differential", s.Differential}, {"incremental", s.Incremental}} {
			was, found := before[repo.Name+"/"+kind.name]
			switch {
			case kind.expr == nil:
				continue
			case found && was.expr == *kind.expr:
				others = append(others, was)
				continue
			}
			path := at.Key(repo.Name).Child("schedules", kind.name)
			when, err := parseSchedule(path, *kind.expr, cron.ParseStandard)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			overridden = append(overridden, schedule{path: path, expr: *kind.expr, at: when, chosen: true})
		}
	}
	if !b.IsEnabled() {
		return errs
	}
	return append(errs, clashes(overridden, others)...)
}

// validateOverriddenParameters checks parameters wherever the operator takes
// them.
func validateOverriddenParameters(at *field.Path, spec pgv2.PerconaPGClusterSpec) error {
	parameters := map[string]string{}
	path := at.Child("config", "parameters")
	if spec.Config != nil {
		for name, value := range spec.Config.Parameters {
			parameters[name] = value.String()
		}
	}
	if errs := validateParameters(path, parameters); len(errs) > 0 {
		return errs[0]
	}
	if level, ok := parameters["wal_level"]; ok && level != "logical" {
		return field.NotSupported(path.Key("wal_level"), level, []string{"logical"})
	}

	clear(parameters)
	if spec.Patroni != nil {
		section, _ := spec.Patroni.DynamicConfiguration["postgresql"].(map[string]any)
		dynamic, _ := section["parameters"].(map[string]any)
		for name, value := range dynamic {
			parameters[name] = fmt.Sprint(value)
		}
	}
	if errs := validateParameters(at.Child("patroni", "dynamicConfiguration", "postgresql", "parameters"), parameters); len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// childOf is the path of a key, in brackets if it could be misread.
func childOf(at *field.Path, key string) *field.Path {
	if key == "" || strings.ContainsAny(key, ".[]") {
		return at.Key(key)
	}
	return at.Child(key)
}
