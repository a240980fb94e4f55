package server

import (
	"path"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

var sqlitePath = regexp.MustCompile(`^/data/controlplane/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)

func (s *Server) validateDatabase(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	p, db := spec.Child("database"), s.Spec.Database

	errs = append(errs, validateEnum(p.Child("type"), db.Type, v1alpha1.DatabaseTypeSQLite, v1alpha1.DatabaseTypePostgres)...)
	errs = append(errs, validateOptionalEnum(p.Child("allowChangeTo"), db.AllowChangeTo, v1alpha1.DatabaseSQLite, v1alpha1.DatabaseExternal, v1alpha1.DatabasePercona)...)
	if file := db.SQLite.Path; path.Clean(file) != file || !sqlitePath.MatchString(file) {
		errs = append(errs, field.Invalid(p.Child("sqlite", "path"), file, "must be a path below /data/controlplane/, the volume that is kept, of letters, digits, '.', '_' and '-'"))
	}

	return append(errs, s.validatePostgresSecret(p)...)
}

// validatePostgresSecret checks that the server has one PostgreSQL if it wants
// one, and that a reference to one is not in vain.
func (s *Server) validatePostgresSecret(database *field.Path) field.ErrorList {
	db, managed := s.Spec.Database, *s.Spec.Percona.Enabled
	p, ref := database.Child("postgresSecretRef"), db.PostgresSecretRef

	switch {
	case ref == nil && db.Type == v1alpha1.DatabaseTypePostgres && !managed:
		return field.ErrorList{field.Required(p, "database.type postgres needs a database: name the Secret that leads to one, or set spec.percona.enabled: true")}
	case ref == nil:
		return nil
	case managed:
		return field.ErrorList{field.Forbidden(p, "a server has one database: remove it, or set spec.percona.enabled: false")}
	}

	errs := validateSecretName(p.Child("name"), ref.Name)
	errs = append(errs, validateSecretRef(p.Child("caSecretRef"), ref.CASecretRef)...)
	errs = append(errs, validateOptionalEnum(p.Child("sslMode"), ref.SSLMode, v1alpha1.SSLModes()...)...)
	if ref.SSLMode.Verifies() && ref.CASecretRef == nil {
		errs = append(errs, field.Required(p.Child("caSecretRef"), "sslMode "+string(ref.SSLMode)+" checks the server's certificate: name a Secret with the key ca.crt"))
	}
	if db.Type == v1alpha1.DatabaseTypeSQLite {
		errs = append(errs, field.Invalid(database.Child("type"), db.Type, "database.postgresSecretRef is used with type postgres only: set that, or remove the reference"))
	}

	return errs
}
