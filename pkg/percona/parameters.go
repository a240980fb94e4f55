package percona

import (
	"maps"
	"slices"
	"strings"

	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// patroni returns what Patroni is to do differently, or nil.
//
// Parameters of PostgreSQL go into its dynamic configuration and not into
// spec.config.parameters: that field came with operator 2.9, takes fewer of
// them, and the whole cluster is refused for one that it does not take.
func patroni(p v1alpha1.PerconaSpec) *crunchy.PatroniSpec {
	dynamic := crunchy.SchemalessObject{}
	if p.Synchronous {
		dynamic["synchronous_mode"] = true
	}
	if len(p.Parameters) > 0 {
		parameters := make(map[string]any, len(p.Parameters))
		for name, value := range p.Parameters {
			parameters[name] = value
		}
		dynamic["postgresql"] = map[string]any{"parameters": parameters}
	}

	if len(dynamic) == 0 {
		return nil
	}
	return &crunchy.PatroniSpec{DynamicConfiguration: dynamic}
}

func validateParameters(path *field.Path, parameters map[string]string) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if err := validateParameter(path.Key(name), name, parameters[name]); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// validateParameter refuses what the operator overwrites, ignores or stops at,
// and what would not be a line of postgresql.conf.
func validateParameter(path *field.Path, name, value string) *field.Error {
	switch {
	case !parameterName.MatchString(name):
		return field.Invalid(path, name, "must be the name of a parameter of PostgreSQL, in lower case, like max_connections")
	case isOperators(name):
		return field.Forbidden(path, "the operator sets this parameter itself, or does without it: remove it")
	case name == "wal_level" && value != "replica" && value != "logical":
		return field.NotSupported(path, value, []string{"logical", "replica"})
	case !isOneLine(value):
		return field.Invalid(path, field.OmitValueType{}, "must be one line")
	default:
		return nil
	}
}

// isOperators tells which parameters of PostgreSQL are not for people: those
// that the operator's controllers overwrite (percona v2.9.0
// internal/postgres/parameters.go, internal/pgbackrest/postgres.go,
// internal/pgstatmonitor, internal/pgstatstatements, internal/pgmonitor), those
// that its definition refuses in spec.config.parameters, and those that Patroni
// manages. Libraries to preload are fine: the operator adds its own.
func isOperators(name string) bool {
	switch name {
	case "ssl_ecdh_curve", "ssl_groups":
		return false
	case "ssl", "port", "listen_addresses", "cluster_name", "bonjour",
		"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file",
		"include", "include_dir", "include_if_exists",
		"archive_mode", "archive_command", "archive_library", "archive_cleanup_command",
		"restore_command", "recovery_end_command", "recovery_min_apply_delay", "recovery_target",
		"primary_conninfo", "primary_slot_name", "promote_trigger_file",
		"hot_standby", "synchronous_standby_names", "wal_log_hints", "track_commit_timestamp",
		"logging_collector", "log_file_mode",
		"pg_stat_monitor.pgsm_enable_overflow", "pg_stat_monitor.pgsm_query_max_len",
		"pg_stat_statements.track", "pgnodemx.kdapi_path":
		return true
	}
	return strings.HasPrefix(name, "ssl_") || strings.HasPrefix(name, "unix_socket_") || strings.HasPrefix(name, "recovery_target_")
}

// isOneLine tells that a value cannot become more than one line of a
// configuration file.
func isOneLine(value string) bool {
	return !strings.ContainsAny(value, "\x00\r\n")
}
