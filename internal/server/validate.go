package server

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// validate everything that would abort Crossplane's apply or break the pod
// (R9). Much of it the schema has checked already, but not for an XR that is
// rendered offline.
func (s *Server) validate() error {
	spec := field.NewPath("spec")

	return slices.Concat(
		s.validateNames(),
		s.validateStorage(spec.Child("storage")),
		s.validateDatabase(spec),
		s.validateControlPlane(spec.Child("controlPlane")),
		s.validateIdentity(spec.Child("identity")),
		s.validateNetwork(spec),
		s.validateMetrics(spec.Child("metrics")),
		validateConfig(spec.Child("config"), s.Spec.Config),
		s.validateServer(spec),
		s.validatePod(spec.Child("pod")),
		s.validatePercona(spec.Child("percona")),
		s.validateImages(spec),
		s.validateSnapshotPolicies(spec.Child("snapshotPolicies")),
		s.validateInput(),
	).ToAggregate()
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

// validateServer checks the server's container, but for what a person adds to
// its pod.
func (s *Server) validateServer(spec *field.Path) field.ErrorList {
	var errs field.ErrorList

	if r := *s.Spec.Replicas; r < 0 || r > 1 {
		errs = append(errs, field.NotSupported(spec.Child("replicas"), r, []string{"0", "1"}))
	}
	if g := *s.Spec.TerminationGracePeriodSeconds; g < 36 {
		errs = append(errs, field.Invalid(spec.Child("terminationGracePeriodSeconds"), g, "must be at least 36: a stopping server needs that long to write everything"))
	}
	errs = append(errs, validateEnum(spec.Child("logging", "level"), s.Spec.Logging.Level, "DEBUG", "INFO", "WARN", "ERROR")...)
	errs = append(errs, validateEnum(spec.Child("logging", "format"), s.Spec.Logging.Format, "text", "json")...)
	errs = append(errs, validateResources(spec.Child("resources"), s.Spec.Resources)...)

	return append(errs, s.validateSecurity(spec)...)
}

// validateSecurity checks words in the security contexts. Whether they pass is
// up to the platform's Pod Security level (R13).
func (s *Server) validateSecurity(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c := s.Spec.SecurityContext; c != nil {
		p := spec.Child("securityContext")
		errs = append(errs, validateProfiles(p, c.SeccompProfile, c.AppArmorProfile)...)
		errs = append(errs, validateOptionalEnum(p.Child("procMount"), ptr.Deref(c.ProcMount, ""), corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
	}
	if c := s.Spec.PodSecurityContext; c != nil {
		p := spec.Child("podSecurityContext")
		errs = append(errs, validateProfiles(p, c.SeccompProfile, c.AppArmorProfile)...)
		errs = append(errs, validateOptionalEnum(p.Child("fsGroupChangePolicy"), ptr.Deref(c.FSGroupChangePolicy, ""), corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways)...)
		errs = append(errs, validateOptionalEnum(p.Child("supplementalGroupsPolicy"), ptr.Deref(c.SupplementalGroupsPolicy, ""), corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
		errs = append(errs, validateOptionalEnum(p.Child("seLinuxChangePolicy"), ptr.Deref(c.SELinuxChangePolicy, ""), corev1.SELinuxChangePolicyRecursive, corev1.SELinuxChangePolicyMountOption)...)
		errs = append(errs, validateUnique(p.Child("sysctls"), c.Sysctls, func(s corev1.Sysctl) string { return s.Name })...)
	}

	return errs
}

func validateProfiles(p *field.Path, seccomp *corev1.SeccompProfile, apparmor *corev1.AppArmorProfile) field.ErrorList {
	var errs field.ErrorList
	if seccomp != nil {
		errs = append(errs, validateEnum(p.Child("seccompProfile", "type"), seccomp.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
	}
	if apparmor != nil {
		errs = append(errs, validateEnum(p.Child("appArmorProfile", "type"), apparmor.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)...)
	}

	return errs
}

// validateSnapshotPolicies refuses what the server cannot be told.
func (s *Server) validateSnapshotPolicies(p *field.Path) field.ErrorList {
	if len(s.Spec.SnapshotPolicies) == 0 {
		return nil
	}

	return field.ErrorList{field.Forbidden(p, "not supported: the server takes snapshot policies over its REST API only, PUT /api/v1/shares/{name}/snapshot-policy; remove the field")}
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

// validateResources refuses what would make every pod with them invalid.
func validateResources(p *field.Path, r *corev1.ResourceRequirements) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := validateQuantities(p.Child("requests"), r.Requests)
	errs = append(errs, validateQuantities(p.Child("limits"), r.Limits)...)
	for name, limit := range r.Limits {
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(p.Child("requests").Key(string(name)), request.String(), "must not be more than the limit "+limit.String()))
		}
	}

	errs = sorted(errs)

	return append(errs, validateUnique(p.Child("claims"), r.Claims, func(c corev1.ResourceClaim) string { return c.Name })...)
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

// validateOptionalEnum takes an empty value for none.
func validateOptionalEnum[T ~string](p *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" {
		return nil
	}

	return validateEnum(p, value, allowed...)
}

func validateObjectName(p *field.Path, name *string) field.ErrorList {
	if name == nil || *name == "" {
		return nil
	}

	return validateSecretName(p, *name)
}

func validateSecretName(p *field.Path, name string) field.ErrorList {
	return invalid(p, name, validation.IsDNS1123Subdomain(name))
}

func validateSecretKey(p *field.Path, ref *v1alpha1.SecretKeyRef) field.ErrorList {
	if ref == nil {
		return nil
	}

	return append(validateSecretName(p.Child("name"), ref.Name), invalid(p.Child("key"), ref.Key, validation.IsConfigMapKey(ref.Key))...)
}

func validateSecretRef(p *field.Path, ref *v1alpha1.LocalSecretRef) field.ErrorList {
	if ref == nil {
		return nil
	}

	return validateSecretName(p.Child("name"), ref.Name)
}

func validateLabels(p *field.Path, labels map[string]string) field.ErrorList {
	return sorted(metav1validation.ValidateLabels(labels, p))
}

func validateAnnotations(p *field.Path, annotations map[string]string) field.ErrorList {
	return sorted(apivalidation.ValidateAnnotations(annotations, p))
}

func validateSelector(p *field.Path, selector *metav1.LabelSelector) field.ErrorList {
	return sorted(metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, p))
}

// sorted errors of what was walked in any order, as maps are: a condition's
// text is to be the same every time (R18).
func sorted(errs field.ErrorList) field.ErrorList {
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })

	return errs
}

// invalid makes errors of what apimachinery has to say about a value.
func invalid(p *field.Path, value string, messages []string) field.ErrorList {
	errs := make(field.ErrorList, 0, len(messages))
	for _, msg := range messages {
		errs = append(errs, field.Invalid(p, value, msg))
	}

	return errs
}

// validateUnique refuses a list with repeated keys: for server-side apply that
// is not an invalid object but a failed request, and Crossplane stops there.
func validateUnique[T any](p *field.Path, list []T, key func(T) string) field.ErrorList {
	return validateUniqueKey(p, "name", list, key)
}

// validateUniqueKey does the same for a list whose key has another name.
func validateUniqueKey[T any](p *field.Path, name string, list []T, key func(T) string) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, item := range list {
		if seen.Has(key(item)) {
			errs = append(errs, field.Duplicate(p.Index(i).Child(name), key(item)))
		}
		seen.Insert(key(item))
	}

	return errs
}
