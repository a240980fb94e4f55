package server

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Formats that have no parser of their own.
var (
	databaseName  = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	crVersion     = regexp.MustCompile(`^([3-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+$|^2\.(9|[1-9][0-9]+)\.[0-9]+$`)
	parameterName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)
	restorePath   = regexp.MustCompile(`^/[A-Za-z0-9/._-]*$`)
)

// firstYear that data can be restored from: a slip of the pen, not a backup,
// is older.
const firstYear = 2000

// validatePercona checks what is asked of the database cluster. What a cluster
// of the operator cannot be, and what overrides may not say, pkg/percona knows.
func (s *Server) validatePercona(p *field.Path) field.ErrorList {
	errs := s.validateOverrides(p.Child("overrides"))
	pg := s.Spec.Percona
	if !*pg.Enabled {
		return errs
	}
	errs = append(errs, validateSize(p.Child("storageSize"), pg.StorageSize)...)
	errs = append(errs, validateObjectName(p.Child("storageClassName"), pg.StorageClassName)...)
	errs = append(errs, validateEnum(p.Child("updatePolicy"), pg.UpdatePolicy, v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways)...)
	errs = append(errs, validateEnum(p.Child("sslMode"), pg.SSLMode, v1alpha1.SSLModeRequire, v1alpha1.SSLModeVerifyCA, v1alpha1.SSLModeVerifyFull)...)

	if r := *pg.Replicas; r < 1 || r > 5 {
		errs = append(errs, field.Invalid(p.Child("replicas"), r, "must be 1 to 5"))
	}
	if !databaseName.MatchString(pg.DatabaseName) || len(pg.DatabaseName) > 63 {
		errs = append(errs, field.Invalid(p.Child("databaseName"), pg.DatabaseName, "must be lower-case letters, digits and underscores, start with a letter or underscore, and have at most 63 characters"))
	}
	if pg.CRVersion != "" && !crVersion.MatchString(pg.CRVersion) {
		errs = append(errs, field.Invalid(p.Child("crVersion"), pg.CRVersion, "must be a full version of the Percona operator, 2.9.0 or newer"))
	}
	if v := pg.PostgresVersion; v != nil && (*v < 14 || *v > 18) {
		errs = append(errs, field.Invalid(p.Child("postgresVersion"), *v, "must be 14 to 18"))
	}
	errs = append(errs, validateDatabasePods(p, pg)...)
	if *pg.Backup.Enabled {
		errs = append(errs, validateBackup(p.Child("backup"), pg.Backup)...)
		errs = append(errs, s.validateSchedules(p.Child("backup", "repos"))...)
	}

	return append(errs, validateRestore(p.Child("restoreFrom"), pg.RestoreFrom)...)
}

// validateDatabasePods checks what the cluster's pods are to be like.
func validateDatabasePods(p *field.Path, pg v1alpha1.PerconaSpec) field.ErrorList {
	scheduling := p.Child("scheduling")
	errs := validateResources(p.Child("resources"), pg.Resources)
	errs = append(errs, validateResources(p.Child("pgBouncer", "resources"), pg.PGBouncer.Resources)...)
	errs = append(errs, validateOptionalEnum(scheduling.Child("antiAffinity"), pg.Scheduling.AntiAffinity, v1alpha1.AntiAffinityPreferred, v1alpha1.AntiAffinityRequired)...)
	errs = append(errs, validateLabels(scheduling.Child("nodeSelector"), pg.Scheduling.NodeSelector)...)
	errs = append(errs, validateTolerations(scheduling.Child("tolerations"), pg.Scheduling.Tolerations)...)
	errs = append(errs, validateObjectName(scheduling.Child("priorityClassName"), &pg.Scheduling.PriorityClassName)...)

	if pg.WALStorageSize != "" {
		errs = append(errs, validateSize(p.Child("walStorageSize"), pg.WALStorageSize)...)
	}
	if r := *pg.PGBouncer.Replicas; r < 1 || r > 16 {
		errs = append(errs, field.Invalid(p.Child("pgBouncer", "replicas"), r, "must be 1 to 16"))
	}
	if pg.Synchronous && *pg.Replicas == 1 {
		errs = append(errs, field.Invalid(p.Child("synchronous"), true, "a synchronous cluster needs a second PostgreSQL pod to wait for: set spec.percona.replicas to 2 or more"))
	}
	for _, name := range sortedKeys(pg.Parameters) {
		if !parameterName.MatchString(name) {
			errs = append(errs, field.Invalid(p.Child("parameters").Key(name), name, "must be the name of a parameter of PostgreSQL, in lower case, like max_connections"))
		}
	}

	return errs
}

// validateBackup checks where backups go and when, by repos or by the flat
// fields that are short for the first one.
func validateBackup(p *field.Path, b v1alpha1.BackupSpec) field.ErrorList {
	if len(b.Repos) > 0 {
		errs := validateRepos(p.Child("repos"), b.Repos)
		if b.Bucket != "" {
			errs = append(errs, field.Forbidden(p.Child("repos"), "bucket is short for a first repository: set either bucket or repos, not both"))
		}

		return errs
	}

	var errs field.ErrorList
	if b.Bucket == "" {
		errs = append(errs, field.Required(p.Child("bucket"), "backups need somewhere to go: set bucket, or repos"))
	}
	errs = append(errs, validateSecretRef(p.Child("credentialsSecretRef"), b.CredentialsSecretRef)...)
	errs = append(errs, validateRetention(p, *b.RetentionDays)...)
	errs = append(errs, validateSchedule(p.Child("fullSchedule"), b.FullSchedule)...)
	errs = append(errs, validateSchedule(p.Child("incrSchedule"), b.IncrSchedule)...)
	if together(b.FullSchedule) == together(b.IncrSchedule) {
		errs = append(errs, collision(p.Child("incrSchedule"), b.IncrSchedule, p.Child("fullSchedule").String()))
	}

	return errs
}

func validateRepos(p *field.Path, repos []v1alpha1.BackupRepo) field.ErrorList {
	errs := validateUnique(p, repos, func(r v1alpha1.BackupRepo) string { return r.Name })
	for i, r := range repos {
		at := p.Index(i)
		errs = append(errs, validateEnum(at.Child("name"), r.Name, "repo1", "repo2", "repo3", "repo4")...)
		errs = append(errs, validateLocation(at, r.RepoLocation)...)
		errs = append(errs, validateRetention(at, ptr.Deref(r.RetentionDays, 1))...)
		if r.FullSchedule != "" {
			errs = append(errs, validateSchedule(at.Child("fullSchedule"), r.FullSchedule)...)
		}
		if r.IncrSchedule != "" {
			errs = append(errs, validateSchedule(at.Child("incrSchedule"), r.IncrSchedule)...)
		}
		if r.FullSchedule != "" && together(r.FullSchedule) == together(r.IncrSchedule) {
			errs = append(errs, collision(at.Child("incrSchedule"), r.IncrSchedule, at.Child("fullSchedule").String()))
		}
	}

	return errs
}

func validateLocation(p *field.Path, l v1alpha1.RepoLocation) field.ErrorList {
	credentials := p.Child("credentialsSecretRef")
	errs := validateSecretRef(credentials, l.CredentialsSecretRef)
	places := 0
	if l.S3 != nil {
		places++
		errs = append(errs, required(p.Child("s3", "bucket"), l.S3.Bucket, "backups are in a bucket")...)
	}
	if l.GCS != nil {
		places++
		errs = append(errs, required(p.Child("gcs", "bucket"), l.GCS.Bucket, "backups are in a bucket")...)
	}
	if l.Azure != nil {
		places++
		errs = append(errs, required(p.Child("azure", "container"), l.Azure.Container, "backups are in a container")...)
		if l.CredentialsSecretRef == nil {
			errs = append(errs, field.Required(credentials, "Azure needs to know the storage account: name a Secret"))
		}
	}
	if l.Volume != nil {
		places++
		errs = append(errs, validateSize(p.Child("volume", "size"), l.Volume.Size)...)
		errs = append(errs, validateObjectName(p.Child("volume", "storageClassName"), l.Volume.StorageClassName)...)
		if l.CredentialsSecretRef != nil {
			errs = append(errs, field.Forbidden(credentials, "a volume needs no credentials: remove it"))
		}
	}
	if places != 1 {
		errs = append(errs, field.Invalid(p, fmt.Sprintf("%d places", places), "a repository is in exactly one place: s3, gcs, azure or volume"))
	}

	return errs
}

func validateRetention(p *field.Path, days int32) field.ErrorList {
	if days < 1 {
		return field.ErrorList{field.Invalid(p.Child("retentionDays"), days, "must be at least 1")}
	}

	return nil
}

func validateSchedule(p *field.Path, expr string) field.ErrorList {
	fiveFields := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	if _, err := fiveFields.Parse(expr); err != nil {
		return field.ErrorList{field.Invalid(p, expr, "must be a cron expression of five fields, like 0 2 * * *: "+err.Error())}
	}

	return nil
}

// validateSchedules refuses two backups of a cluster at the same time, of which
// one would fail. Schedules that nobody chose are among them, so the finished
// cluster is asked.
func (s *Server) validateSchedules(p *field.Path) field.ErrorList {
	if len(s.Spec.Percona.Backup.Repos) == 0 {
		return nil
	}
	cluster, err := percona.BuildPerconaPGClusterSpec(s.Defaulted())
	if err != nil {
		// There is no such cluster, which is said elsewhere.
		return nil
	}

	var errs field.ErrorList
	taken := map[string]string{}
	for i, repo := range cluster.Backups.PGBackRest.Repos {
		if repo.BackupSchedules == nil {
			continue
		}
		for _, when := range []struct {
			name string
			expr *string
		}{{"fullSchedule", repo.BackupSchedules.Full}, {"incrSchedule", repo.BackupSchedules.Incremental}} {
			if when.expr == nil {
				continue
			}
			at, expr := p.Index(i).Child(when.name), together(*when.expr)
			if other, ok := taken[expr]; ok {
				errs = append(errs, collision(at, *when.expr, other))
			}
			taken[expr] = at.String()
		}
	}

	return errs
}

func collision(p *field.Path, expr, other string) *field.Error {
	return field.Invalid(p, expr, "must not fall together with "+other+": one backup runs at a time")
}

// together is equal for two schedules that are written alike.
func together(expr string) string { return strings.Join(strings.Fields(expr), " ") }

func validateRestore(p *field.Path, from *v1alpha1.RestoreSpec) field.ErrorList {
	if from == nil {
		return nil
	}
	var errs field.ErrorList
	if (from.Cluster == nil) == (from.Repo == nil) {
		errs = append(errs, field.Invalid(p, "", "data comes from one place: set either restoreFrom.cluster or restoreFrom.repo"))
	}
	if c := from.Cluster; c != nil {
		errs = append(errs, validateSecretName(p.Child("cluster", "name"), c.Name)...)
		errs = append(errs, validateEnum(p.Child("cluster", "repo"), c.Repo, "repo1", "repo2", "repo3", "repo4")...)
	}
	if r := from.Repo; r != nil {
		at := p.Child("repo")
		errs = append(errs, validateEnum(at.Child("name"), r.Name, "repo1", "repo2", "repo3", "repo4")...)
		errs = append(errs, validateLocation(at, r.RepoLocation)...)
		if !restorePath.MatchString(r.Path) {
			errs = append(errs, field.Invalid(at.Child("path"), r.Path, "must be an absolute path of letters, digits, '/', '.', '_' and '-'"))
		}
		if r.Volume != nil {
			errs = append(errs, field.Forbidden(at.Child("volume"), "a volume is read through the cluster that it belongs to: set restoreFrom.cluster"))
		}
	}
	if from.TargetTime != "" {
		if t, err := time.Parse(time.RFC3339, from.TargetTime); err != nil || t.Year() < firstYear {
			errs = append(errs, field.Invalid(p.Child("targetTime"), from.TargetTime, "must be a time of RFC 3339, like 2026-05-01T12:00:00Z"))
		}
	}

	return errs
}

// validateOverrides checks whether there may be any, and the images in them.
func (s *Server) validateOverrides(p *field.Path) field.ErrorList {
	overrides := s.Spec.Percona.Overrides
	if overrides == nil || len(overrides.Raw) == 0 {
		return nil
	}
	var patch map[string]any
	if err := json.Unmarshal(overrides.Raw, &patch); err != nil {
		return field.ErrorList{field.Invalid(p, string(overrides.Raw), "must be an object, like the spec of a PerconaPGCluster")}
	}
	if len(patch) == 0 {
		return nil
	}
	if !s.Input.Policy.AllowPerconaOverrides {
		return field.ErrorList{field.Forbidden(p, "the platform does not allow a DittoServer to change its PerconaPGCluster at will: remove it, or set policy.allowPerconaOverrides in the Composition's input for this function")}
	}

	return s.validateOverriddenImages(p, patch)
}

// validateOverriddenImages holds every image in overrides to the platform's
// registries.
func (s *Server) validateOverriddenImages(p *field.Path, value any) field.ErrorList {
	var errs field.ErrorList
	switch value := value.(type) {
	case map[string]any:
		for _, name := range sortedKeys(value) {
			if image, ok := value[name].(string); ok && name == "image" {
				errs = append(errs, s.validateRegistry(p.Child(name), image)...)
			}
			errs = append(errs, s.validateOverriddenImages(p.Child(name), value[name])...)
		}
	case []any:
		for i, item := range value {
			errs = append(errs, s.validateOverriddenImages(p.Index(i), item)...)
		}
	}

	return errs
}
