package server

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// ownPrefix of labels, annotations and their like that are the function's own.
const ownPrefix = "dittofs.io/"

// ownVariables are the prefixes of environment variables that belong to the
// function: the server reads every setting from one, and what is in the
// environment wins over the file (R10).
var ownVariables = []string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"DITTOFS_ADMIN_", "DITTOFS_CONTROLPLANE_", "DITTOFS_DATABASE_", "DITTOFS_KERBEROS_",
	"DITTOFS_LDAP_", "DITTOFS_LOGGING_", "DITTOFS_METRICS_",
}

// validatePod checks what a person adds to the server's pod.
func (s *Server) validatePod(p *field.Path) field.ErrorList {
	pod := s.Spec.Pod
	errs := s.validatePodMetadata(p)
	errs = append(errs, validatePlacement(p, pod)...)
	errs = append(errs, validateEnv(p.Child("extraEnv"), pod.ExtraEnv)...)
	errs = append(errs, validateVolumes(p.Child("extraVolumes"), pod.ExtraVolumes)...)
	errs = append(errs, s.validateMounts(p.Child("extraVolumeMounts"))...)
	errs = append(errs, validateObjectName(p.Child("priorityClassName"), &pod.PriorityClassName)...)
	errs = append(errs, validateObjectName(p.Child("serviceAccountName"), &pod.ServiceAccountName)...)
	errs = append(errs, validateOptionalEnum(p.Child("imagePullPolicy"), pod.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, validateUnique(p.Child("imagePullSecrets"), pod.ImagePullSecrets, func(r v1alpha1.LocalSecretRef) string { return r.Name })...)
	for i, ref := range pod.ImagePullSecrets {
		errs = append(errs, validateSecretRef(p.Child("imagePullSecrets").Index(i), &ref)...)
	}
	if pod.ServiceAccountName != "" && !s.Input.Policy.AllowServiceAccount {
		errs = append(errs, field.Forbidden(p.Child("serviceAccountName"), "the platform does not allow a DittoServer to choose its service account: remove it, or set policy.allowServiceAccount in the Composition's input for this function"))
	}

	return errs
}

func (s *Server) validatePodMetadata(p *field.Path) field.ErrorList {
	labels, annotations := s.Spec.Pod.Labels, s.Spec.Pod.Annotations
	errs := validateLabels(p.Child("labels"), labels)
	errs = append(errs, validateAnnotations(p.Child("annotations"), annotations)...)
	errs = append(errs, s.validateKubernetesAnnotations(p.Child("annotations"), annotations)...)

	own := s.Labels("server")
	for _, name := range sortedKeys(labels) {
		if _, ours := own[name]; ours || strings.HasPrefix(name, ownPrefix) {
			errs = append(errs, field.Forbidden(p.Child("labels").Key(name), "this label is the server's own: choose another name"))
		}
	}
	for _, name := range sortedKeys(annotations) {
		if strings.HasPrefix(name, ownPrefix) {
			errs = append(errs, field.Forbidden(p.Child("annotations").Key(name), "this annotation is the server's own: choose another name"))
		}
	}

	return errs
}

func validateEnv(p *field.Path, env []corev1.EnvVar) field.ErrorList {
	errs := validateUnique(p, env, variableName)
	for i, v := range env {
		at := p.Index(i)
		if v.Name != variableName(v) {
			errs = append(errs, field.Invalid(at.Child("name"), field.OmitValueType{}, "must be a name without '=': what comes after it belongs into value, or better into a Secret that valueFrom refers to"))

			continue
		}
		errs = append(errs, invalid(at.Child("name"), v.Name, validation.IsEnvVarName(v.Name))...)
		if isOwnVariable(v.Name) {
			errs = append(errs, field.Forbidden(at.Child("name"), v.Name+" belongs to the function and cannot be set here: where a field says the same (in database, controlPlane, identity, metrics, logging or percona), set that field instead, else remove the variable"))
		}
		if v.ValueFrom == nil {
			continue
		}
		if v.Value != "" {
			errs = append(errs, field.Forbidden(at.Child("value"), "a variable has one value: set either value or valueFrom, not both"))
		}
		errs = append(errs, validateEnvSource(at.Child("valueFrom"), v.ValueFrom)...)
	}

	return errs
}

// variableName that may be shown: people write NAME=value for one.
func variableName(v corev1.EnvVar) string {
	name, _, _ := strings.Cut(v.Name, "=")

	return name
}

// isOwnVariable tells which variables belong to the function.
func isOwnVariable(name string) bool {
	return name == "DATABASE_URL" ||
		slices.ContainsFunc(ownVariables, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func validateEnvSource(p *field.Path, from *corev1.EnvVarSource) field.ErrorList {
	var errs field.ErrorList
	sources := 0

	if ref := from.SecretKeyRef; ref != nil {
		sources++
		errs = append(errs, validateSecretKey(p.Child("secretKeyRef"), &v1alpha1.SecretKeyRef{Name: ref.Name, Key: ref.Key})...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		sources++
		errs = append(errs, validateSecretKey(p.Child("configMapKeyRef"), &v1alpha1.SecretKeyRef{Name: ref.Name, Key: ref.Key})...)
	}
	if ref := from.FieldRef; ref != nil {
		sources++
		errs = append(errs, validateFieldRef(p.Child("fieldRef"), ref)...)
	}
	if ref := from.ResourceFieldRef; ref != nil {
		sources++
		errs = append(errs, validateResourceFieldRef(p.Child("resourceFieldRef"), ref)...)
	}
	if from.FileKeyRef != nil {
		errs = append(errs, field.Forbidden(p.Child("fileKeyRef"), "no container of the pod could write the file: use secretKeyRef or configMapKeyRef"))
	}
	if sources != 1 && from.FileKeyRef == nil {
		errs = append(errs, field.Invalid(p, fmt.Sprintf("%d sources", sources), "a value comes from exactly one source: configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef"))
	}

	return errs
}
