package server

import (
	"fmt"
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
		validateConfig(spec.Child("config"), s.Spec.Config, *s.Spec.TerminationGracePeriodSeconds),
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
		errs = append(errs, field.Invalid(name, s.Name, fmt.Sprintf("must have at most %d characters, so that every name that is derived from it fits; choose a shorter name", maxNameLength)))
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
	if r := s.Spec.Resources; r != nil && len(r.Claims) > 0 {
		errs = append(errs, field.Forbidden(spec.Child("resources", "claims"), "the server's pod claims no devices: remove it"))
	}

	return append(errs, s.validateSecurity(spec)...)
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
