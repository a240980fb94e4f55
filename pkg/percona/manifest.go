package percona

import (
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/crossplane/function-sdk-go/errors"
)

// Manifest returns a spec as it goes into an object that is applied: without
// the nulls and the empty objects and lists that the Go types bring along, all
// of which server-side apply would own and enforce. A false or a zero that the
// types write stays: backups.enabled false means something. Whole numbers are
// int64, quantities are in their canonical form.
func Manifest(spec pgv2.PerconaPGClusterSpec) (map[string]any, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, errors.Wrap(err, "cannot encode the PerconaPGCluster's spec")
	}
	out := map[string]any{}
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, errors.Wrap(err, "cannot decode the PerconaPGCluster's spec")
	}
	pruneMap(out)
	return out, nil
}

// pruneMap removes what says nothing, in place and from the leaves up.
func pruneMap(m map[string]any) {
	for k, v := range m {
		if v = prune(v); v == nil {
			delete(m, k)
			continue
		}
		m[k] = v
	}
}

// prune returns v without what says nothing, or nil if nothing is left.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		pruneMap(v)
		if len(v) == 0 {
			return nil
		}
		return v
	case []any:
		kept := v[:0]
		for _, item := range v {
			if item = prune(item); item != nil {
				kept = append(kept, item)
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return kept
	default:
		return v
	}
}
