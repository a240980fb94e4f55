package server

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Formats that have no parser of their own.
var (
	sqlitePath   = regexp.MustCompile(`^/data/controlplane/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
	databaseName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	crVersion    = regexp.MustCompile(`^([3-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+$|^2\.(9|[1-9][0-9]+)\.[0-9]+$`)
)

// validate everything that would abort Crossplane's apply or break the pod
// (R9). Much of it the schema has checked already, but not for an XR that is
// rendered offline.
func (s *Server) validate() error {
	var errs field.ErrorList
	spec := field.NewPath("spec")

	errs = append(errs, s.validateNames()...)
	errs = append(errs, s.validateStorage(spec.Child("storage"))...)
	errs = append(errs, s.validateDatabase(spec)...)
	errs = append(errs, s.validateIdentity(spec.Child("identity"))...)
	errs = append(errs, s.validateNetwork(spec)...)
	errs = append(errs, s.validatePod(spec)...)
	if *s.Spec.Percona.Enabled {
		errs = append(errs, s.validatePercona(spec.Child("percona"))...)
	}
	errs = append(errs, s.validateImages(spec)...)
	errs = append(errs, s.validateInput()...)

	return errs.ToAggregate()
}

func (s *Server) validateNames() field.ErrorList {
	var errs field.ErrorList
	name, namespace := field.NewPath("metadata", "name"), field.NewPath("metadata", "namespace")
	if s.XR.Claim {
		name, namespace = field.NewPath("spec", "claimRef", "name"), field.NewPath("spec", "claimRef", "namespace")
	}

	for _, msg := range validation.IsDNS1035Label(s.Name) {
		errs = append(errs, field.Invalid(name, s.Name, msg+"; choose another name"))
	}
	if len(s.Name) > maxNameLength {
		errs = append(errs, field.TooLong(name, s.Name, maxNameLength))
	}
	if strings.HasSuffix(s.Name, "-postgres") {
		errs = append(errs, field.Invalid(name, s.Name, "must not end in -postgres, which is how database clusters are named; choose another name"))
	}

	switch {
	case s.Namespace != "":
		for _, msg := range validation.IsDNS1123Label(s.Namespace) {
			errs = append(errs, field.Invalid(namespace, s.Namespace, msg))
		}
	case s.XR.Claim:
		errs = append(errs, field.Required(namespace, "the claim that stands behind this resource has no namespace; create the claim in one"))
	default:
		errs = append(errs, field.Required(namespace, "nothing says where to compose: create a namespaced DittoServer or a claim, or set namespace in the Composition's input for this function"))
	}

	return errs
}

func (s *Server) validateStorage(p *field.Path) field.ErrorList {
	storage := s.Spec.Storage
	errs := validateSize(p.Child("metadataSize"), storage.MetadataSize)
	errs = append(errs, validateSize(p.Child("controlPlaneSize"), storage.ControlPlaneSize)...)
	if storage.ContentSize != "" {
		errs = append(errs, validateSize(p.Child("contentSize"), storage.ContentSize)...)
	}

	return append(errs, validateObjectName(p.Child("storageClassName"), storage.StorageClassName)...)
}

func (s *Server) validateDatabase(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	p, db := spec.Child("database"), s.Spec.Database
	managed := *s.Spec.Percona.Enabled

	errs = append(errs, validateEnum(p.Child("type"), db.Type, v1alpha1.DatabaseTypeSQLite, v1alpha1.DatabaseTypePostgres)...)
	if db.AllowChangeTo != "" {
		errs = append(errs, validateEnum(p.Child("allowChangeTo"), db.AllowChangeTo, v1alpha1.DatabaseSQLite, v1alpha1.DatabaseExternal, v1alpha1.DatabasePercona)...)
	}
	if file := db.SQLite.Path; path.Clean(file) != file || !sqlitePath.MatchString(file) {
		errs = append(errs, field.Invalid(p.Child("sqlite", "path"), file, "must be a path below /data/controlplane/, the volume that is kept, of letters, digits, '.', '_' and '-'"))
	}

	ref, refPath := db.PostgresSecretRef, p.Child("postgresSecretRef")
	switch {
	case ref == nil && db.Type == v1alpha1.DatabaseTypePostgres && !managed:
		errs = append(errs, field.Required(refPath, "database.type postgres needs a database: name the Secret that leads to one, or set spec.percona.enabled: true"))
	case ref != nil && managed:
		errs = append(errs, field.Forbidden(refPath, "a server has one database: remove it, or set spec.percona.enabled: false"))
	case ref != nil:
		errs = append(errs, validateSecretName(refPath.Child("name"), ref.Name)...)
		if ref.CASecretRef != nil {
			errs = append(errs, validateSecretName(refPath.Child("caSecretRef", "name"), ref.CASecretRef.Name)...)
		}
		if ref.SSLMode != "" {
			errs = append(errs, validateEnum(refPath.Child("sslMode"), ref.SSLMode, v1alpha1.SSLModes()...)...)
		}
		if ref.SSLMode.Verifies() && ref.CASecretRef == nil {
			errs = append(errs, field.Required(refPath.Child("caSecretRef"), "sslMode "+string(ref.SSLMode)+" checks the server's certificate: name a Secret with the key ca.crt"))
		}
	}

	return errs
}

func (s *Server) validateIdentity(p *field.Path) field.ErrorList {
	jwt := s.Spec.Identity.JWT
	errs := validateDuration(p.Child("jwt", "accessTokenDuration"), jwt.AccessTokenDuration)
	errs = append(errs, validateDuration(p.Child("jwt", "refreshTokenDuration"), jwt.RefreshTokenDuration)...)
	errs = append(errs, validateSecretKey(p.Child("jwt", "secretRef"), jwt.SecretRef)...)

	return append(errs, validateSecretKey(p.Child("admin", "passwordSecretRef"), s.Spec.Identity.Admin.PasswordSecretRef)...)
}

func (s *Server) validateNetwork(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	nfs, smb := s.Spec.Adapters.NFS, s.Spec.Adapters.SMB
	adapters := spec.Child("adapters")

	for _, svc := range []struct {
		name string
		typ  corev1.ServiceType
	}{{"service", s.Spec.Service.Type}, {"adapterServices", s.Spec.AdapterServices.Type}} {
		errs = append(errs, validateEnum(spec.Child(svc.name, "type"), svc.typ, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer)...)
	}

	// The server listens on all of them at once, whatever is declared.
	listening := map[int32]string{}
	for _, port := range []struct {
		path *field.Path
		port int32
	}{
		{spec.Child("controlPlane", "port"), s.Spec.ControlPlane.Port},
		{adapters.Child("nfs", "port"), nfs.Port},
		{adapters.Child("smb", "port"), smb.Port},
	} {
		errs = append(errs, validatePort(port.path, port.port)...)
		if other, taken := listening[port.port]; taken {
			errs = append(errs, field.Invalid(port.path, port.port, "the server already listens on this port, see "+other+"; choose another"))
		}
		listening[port.port] = port.path.String()
	}
	errs = append(errs, validatePort(adapters.Child("nfs", "servicePort"), nfs.ServicePort)...)
	for i, peer := range s.Spec.NetworkPolicy.From {
		errs = append(errs, validatePeer(spec.Child("networkPolicy", "from").Index(i), peer)...)
	}

	return append(errs, validatePort(adapters.Child("smb", "servicePort"), smb.ServicePort)...)
}

func validatePeer(p *field.Path, peer networkingv1.NetworkPolicyPeer) field.ErrorList {
	block := peer.IPBlock
	switch {
	case block == nil && peer.PodSelector == nil && peer.NamespaceSelector == nil:
		return field.ErrorList{field.Required(p, "say who may connect: podSelector, namespaceSelector or ipBlock")}
	case block == nil:
		return nil
	case peer.PodSelector != nil || peer.NamespaceSelector != nil:
		return field.ErrorList{field.Forbidden(p, "ipBlock cannot be combined with a selector: make two peers of it")}
	}

	errs := validateCIDR(p.Child("ipBlock", "cidr"), block.CIDR)
	for i, except := range block.Except {
		errs = append(errs, validateCIDR(p.Child("ipBlock", "except").Index(i), except)...)
	}

	return errs
}

func validateCIDR(p *field.Path, cidr string) field.ErrorList {
	if _, err := netip.ParsePrefix(cidr); err != nil {
		return field.ErrorList{field.Invalid(p, cidr, "must be a range of addresses, like 192.0.2.0/24")}
	}

	return nil
}

func (s *Server) validatePod(spec *field.Path) field.ErrorList {
	var errs field.ErrorList

	if r := *s.Spec.Replicas; r < 0 || r > 1 {
		errs = append(errs, field.NotSupported(spec.Child("replicas"), r, []string{"0", "1"}))
	}
	if g := *s.Spec.TerminationGracePeriodSeconds; g < 36 {
		errs = append(errs, field.Invalid(spec.Child("terminationGracePeriodSeconds"), g, "must be at least 36: a stopping server needs that long to write everything"))
	}
	errs = append(errs, validateEnum(spec.Child("logging", "level"), s.Spec.Logging.Level, "DEBUG", "INFO", "WARN", "ERROR")...)
	errs = append(errs, validateEnum(spec.Child("logging", "format"), s.Spec.Logging.Format, "text", "json")...)

	if r := s.Spec.Resources; r != nil {
		p := spec.Child("resources")
		errs = append(errs, validateQuantities(p.Child("requests"), r.Requests)...)
		errs = append(errs, validateQuantities(p.Child("limits"), r.Limits)...)
		for name, limit := range r.Limits {
			if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
				errs = append(errs, field.Invalid(p.Child("requests").Key(string(name)), request.String(), "must not be more than the limit "+limit.String()))
			}
		}
		errs = append(errs, validateUnique(p.Child("claims"), r.Claims, func(c corev1.ResourceClaim) string { return c.Name })...)
	}
	if c := s.Spec.PodSecurityContext; c != nil {
		errs = append(errs, validateUnique(spec.Child("podSecurityContext", "sysctls"), c.Sysctls, func(s corev1.Sysctl) string { return s.Name })...)
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })

	return errs
}

func (s *Server) validatePercona(p *field.Path) field.ErrorList {
	pg := s.Spec.Percona
	errs := validateSize(p.Child("storageSize"), pg.StorageSize)
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
	if *pg.Backup.Enabled {
		errs = append(errs, validateBackup(p.Child("backup"), pg.Backup)...)
	}

	return errs
}

func validateBackup(p *field.Path, b v1alpha1.BackupSpec) field.ErrorList {
	var errs field.ErrorList

	if b.Bucket == "" {
		errs = append(errs, field.Required(p.Child("bucket"), "backups need a bucket to go to"))
	}
	if b.CredentialsSecretRef != nil {
		errs = append(errs, validateSecretName(p.Child("credentialsSecretRef", "name"), b.CredentialsSecretRef.Name)...)
	}
	if *b.RetentionDays < 1 {
		errs = append(errs, field.Invalid(p.Child("retentionDays"), *b.RetentionDays, "must be at least 1"))
	}

	fiveFields := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	for _, c := range []struct{ name, expr string }{{"fullSchedule", b.FullSchedule}, {"incrSchedule", b.IncrSchedule}} {
		if _, err := fiveFields.Parse(c.expr); err != nil {
			errs = append(errs, field.Invalid(p.Child(c.name), c.expr, "must be a cron expression of five fields, like 0 2 * * *: "+err.Error()))
		}
	}
	if b.FullSchedule == b.IncrSchedule {
		errs = append(errs, field.Invalid(p.Child("incrSchedule"), b.IncrSchedule, "must not fall together with fullSchedule: one backup runs at a time"))
	}

	return errs
}

// validateImages of the spec against the registries that the platform allows.
func (s *Server) validateImages(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	allowed := s.Input.Policy.ImageRegistries
	defaulted := sets.New(s.DatabaseDefaults...)
	images := spec.Child("percona", "images")

	for _, img := range []struct {
		path    *field.Path
		value   string
		trusted bool
	}{
		{spec.Child("image"), s.Spec.Image, s.Spec.Image == ""},
		{images.Child("postgres"), s.Spec.Percona.Images.Postgres, defaulted.Has("image") || s.platformImage(s.Spec.Percona.Images.Postgres)},
		{images.Child("pgBackRest"), s.Spec.Percona.Images.PGBackRest, defaulted.Has("backups.pgbackrest.image") || s.platformImage(s.Spec.Percona.Images.PGBackRest)},
		{images.Child("pgBouncer"), s.Spec.Percona.Images.PGBouncer, defaulted.Has("proxy.pgBouncer.image") || s.platformImage(s.Spec.Percona.Images.PGBouncer)},
	} {
		if img.trusted {
			continue
		}
		if strings.ContainsAny(img.value, " \t\r\n") {
			errs = append(errs, field.Invalid(img.path, img.value, "must not contain white space"))
		}
		if len(allowed) > 0 && !slices.ContainsFunc(allowed, func(prefix string) bool {
			return strings.HasPrefix(img.value, strings.TrimSuffix(prefix, "/")+"/")
		}) {
			errs = append(errs, field.NotSupported(img.path, img.value, slices.Sorted(slices.Values(allowed))))
		}
	}
	if pg := s.Spec.Percona; *pg.Enabled {
		major, told := percona.PostgresMajor(pg.Images.Postgres)
		switch {
		case pg.Images.Postgres == "":
			errs = append(errs, field.Required(images.Child("postgres"), "no image is known for this postgresVersion"))
		case told && pg.PostgresVersion != nil && major != *pg.PostgresVersion:
			errs = append(errs, field.Invalid(images.Child("postgres"), pg.Images.Postgres, fmt.Sprintf(
				"is PostgreSQL %d, and postgresVersion asks for %d: a cluster of the two would not start, make them agree (here, or in the Composition's input for this function)", major, *pg.PostgresVersion)))
		}
	}

	return errs
}

// platformImage tells whether the platform team chose the image itself.
func (s *Server) platformImage(image string) bool {
	p := s.Input.Percona.Images
	if image == p.PGBackRest || image == p.PGBouncer {
		return true
	}
	for _, i := range p.Postgres {
		if i == image {
			return true
		}
	}

	return false
}

func (s *Server) validateInput() field.ErrorList {
	in, input := s.Input, field.NewPath("input")
	errs := validateUnique(input.Child("defaults", "imagePullSecrets"), in.Defaults.ImagePullSecrets, func(r corev1.LocalObjectReference) string { return r.Name })
	errs = append(errs, validateEnum(input.Child("policy", "podSecurity"), s.PodSecurityLevel(), "restricted", "baseline", "privileged")...)

	for _, d := range []struct {
		path  *field.Path
		value *metav1.Duration
		least time.Duration
	}{
		{input.Child("waitForPostgres", "timeout"), in.WaitForPostgres.Timeout, 10 * time.Second},
		{input.Child("polling", "waiting"), in.Polling.Waiting, time.Second},
		{input.Child("polling", "steady"), in.Polling.Steady, time.Second},
	} {
		if d.value != nil && d.value.Duration < d.least {
			errs = append(errs, field.Invalid(d.path, d.value.Duration.String(), "must be at least "+d.least.String()))
		}
	}
	if v := in.Percona.PostgresVersion; v != nil && (*v < 14 || *v > 18) {
		errs = append(errs, field.Invalid(input.Child("percona", "postgresVersion"), *v, "must be 14 to 18"))
	}

	return errs
}

func validateSize(p *field.Path, size string) field.ErrorList {
	if size == "" {
		return field.ErrorList{field.Required(p, "how large the volume is to be, like 10Gi")}
	}
	q, err := resource.ParseQuantity(size)
	if err != nil || q.Sign() <= 0 {
		return field.ErrorList{field.Invalid(p, size, "must be a quantity greater than zero, like 10Gi")}
	}

	return nil
}

func validateQuantities(p *field.Path, list corev1.ResourceList) field.ErrorList {
	var errs field.ErrorList
	for name, q := range list {
		if q.Sign() < 0 {
			errs = append(errs, field.Invalid(p.Key(string(name)), q.String(), "must not be negative"))
		}
	}

	return errs
}

func validateDuration(p *field.Path, value string) field.ErrorList {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		return field.ErrorList{field.Invalid(p, value, "must be a duration greater than zero with units, like 15m or 168h")}
	}

	return nil
}

func validatePort(p *field.Path, port int32) field.ErrorList {
	if len(validation.IsValidPortNum(int(port))) > 0 {
		return field.ErrorList{field.Invalid(p, port, "must be a port, 1 to 65535")}
	}

	return nil
}

func validateEnum[T ~string](p *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}

	return field.ErrorList{field.NotSupported(p, value, allowed)}
}

func validateObjectName(p *field.Path, name *string) field.ErrorList {
	if name == nil || *name == "" {
		return nil
	}

	return validateSecretName(p, *name)
}

func validateSecretName(p *field.Path, name string) field.ErrorList {
	messages := validation.IsDNS1123Subdomain(name)
	errs := make(field.ErrorList, 0, len(messages))
	for _, msg := range messages {
		errs = append(errs, field.Invalid(p, name, msg))
	}

	return errs
}

func validateSecretKey(p *field.Path, ref *v1alpha1.SecretKeyRef) field.ErrorList {
	if ref == nil {
		return nil
	}
	errs := validateSecretName(p.Child("name"), ref.Name)
	for _, msg := range validation.IsConfigMapKey(ref.Key) {
		errs = append(errs, field.Invalid(p.Child("key"), ref.Key, msg))
	}

	return errs
}

// validateUnique refuses a list with repeated keys: for server-side apply that
// is not an invalid object but a failed request, and Crossplane stops there.
func validateUnique[T any](p *field.Path, list []T, key func(T) string) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, item := range list {
		if seen.Has(key(item)) {
			errs = append(errs, field.Duplicate(p.Index(i).Child("name"), key(item)))
		}
		seen.Insert(key(item))
	}

	return errs
}
