package server

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// ownVolumes are the names of the pod's own volumes, in use or not: an edit of
// another field must not make a volume of somebody's invalid.
var ownVolumes = []string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"config", "kerberos-keytab", "kerberos-krb5", "kerberos-machine-keytab", "ldap-ca", "metrics-token",
	"postgres-ca", "tls-cert", "tls-client-ca",
	ClaimControlPlane, ClaimMetadata, ClaimContent,
}

// ownPaths are where the pod has something of its own, in use or not: the
// server's program, and its mounts.
var ownPaths = []string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"/app", "/config", "/data/controlplane", "/data/store/block", "/data/store/metadata",
	"/kerberos", "/kerberos-krb5", "/kerberos-machine", "/ldap-ca", "/metrics-token", "/postgres-ca",
	"/tls", "/tls-client-ca",
}

func validateVolumes(p *field.Path, volumes []v1alpha1.ExtraVolume) field.ErrorList {
	errs := validateUnique(p, volumes, func(v v1alpha1.ExtraVolume) string { return v.Name })
	for i, v := range volumes {
		at := p.Index(i)
		errs = append(errs, invalid(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name))...)
		if slices.Contains(ownVolumes, v.Name) {
			errs = append(errs, field.Forbidden(at.Child("name"), v.Name+" is the name of one of the server's own volumes: choose another name"))
		}
		errs = append(errs, validateVolumeSource(at, v)...)
	}

	return errs
}

func validateVolumeSource(p *field.Path, v v1alpha1.ExtraVolume) field.ErrorList {
	var errs field.ErrorList
	sources := 0

	if src := v.ConfigMap; src != nil {
		sources++
		errs = append(errs, validateSecretName(p.Child("configMap", "name"), src.Name)...)
		errs = append(errs, validateFiles(p.Child("configMap"), src.Items, src.DefaultMode)...)
	}
	if src := v.Secret; src != nil {
		sources++
		errs = append(errs, validateSecretName(p.Child("secret", "secretName"), src.SecretName)...)
		errs = append(errs, validateFiles(p.Child("secret"), src.Items, src.DefaultMode)...)
	}
	if src := v.EmptyDir; src != nil {
		sources++
		errs = append(errs, validateOptionalEnum(p.Child("emptyDir", "medium"), src.Medium, corev1.StorageMediumMemory, corev1.StorageMediumHugePages)...)
		if src.SizeLimit != nil && src.SizeLimit.Sign() < 0 {
			errs = append(errs, field.Invalid(p.Child("emptyDir", "sizeLimit"), src.SizeLimit.String(), "must not be negative"))
		}
	}
	if src := v.PersistentVolumeClaim; src != nil {
		sources++
		errs = append(errs, validateSecretName(p.Child("persistentVolumeClaim", "claimName"), src.ClaimName)...)
	}
	if src := v.CSI; src != nil {
		sources++
		errs = append(errs, validateDriver(p.Child("csi", "driver"), src.Driver)...)
		if src.NodePublishSecretRef != nil {
			errs = append(errs, validateSecretName(p.Child("csi", "nodePublishSecretRef", "name"), src.NodePublishSecretRef.Name)...)
		}
	}
	if sources != 1 {
		errs = append(errs, field.Invalid(p, fmt.Sprintf("%d sources", sources), "a volume has exactly one source: configMap, secret, emptyDir, persistentVolumeClaim or csi"))
	}

	return errs
}

// validateFiles of a ConfigMap's or Secret's volume.
func validateFiles(p *field.Path, items []corev1.KeyToPath, mode *int32) field.ErrorList {
	errs := validateMode(p.Child("defaultMode"), mode)
	for i, item := range items {
		at := p.Child("items").Index(i)
		errs = append(errs, invalid(at.Child("key"), item.Key, validation.IsConfigMapKey(item.Key))...)
		errs = append(errs, validateMode(at.Child("mode"), item.Mode)...)
		if item.Path == "" || !isInside(item.Path) || strings.HasPrefix(item.Path, "..") {
			errs = append(errs, field.Invalid(at.Child("path"), item.Path, "must be a path inside the volume, without '/' at its beginning and without '..'"))
		}
	}

	return errs
}

func validateMode(p *field.Path, mode *int32) field.ErrorList {
	const all = 0o777
	if mode == nil || *mode >= 0 && *mode <= all {
		return nil
	}

	return field.ErrorList{field.Invalid(p, *mode, "must be the mode of a file, 0 to 0777; in JSON, which has no octal numbers, 0 to 511")}
}

func (s *Server) validateMounts(p *field.Path) field.ErrorList {
	mounts := s.Spec.Pod.ExtraVolumeMounts
	extra := sets.New[string]()
	for _, v := range s.Spec.Pod.ExtraVolumes {
		extra.Insert(v.Name)
	}

	errs := validateUniqueKey(p, "mountPath", mounts, func(m corev1.VolumeMount) string { return m.MountPath })
	for i, m := range mounts {
		at := p.Index(i)
		if !extra.Has(m.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), m.Name, "is none of pod.extraVolumes: correct it, or add the volume"))
		}
		errs = append(errs, validateMountPath(at.Child("mountPath"), m.MountPath)...)
		if !isInside(m.SubPath) {
			errs = append(errs, field.Invalid(at.Child("subPath"), m.SubPath, "must be a path inside the volume, without '/' at its beginning and without '..'"))
		}
		if !isInside(m.SubPathExpr) {
			errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "must be a path inside the volume, without '/' at its beginning and without '..'"))
		}
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Forbidden(at.Child("subPathExpr"), "a mount has one path inside its volume: set either subPath or subPathExpr, not both"))
		}
		errs = append(errs, s.validateMountModes(at, m)...)
	}

	return errs
}

func validateMountPath(p *field.Path, mountPath string) field.ErrorList {
	if !strings.HasPrefix(mountPath, "/") || mountPath == "/" || path.Clean(mountPath) != mountPath || strings.Contains(mountPath, ":") {
		return field.ErrorList{field.Invalid(p, mountPath, "must be an absolute path below /, without ':', '.' and '..', and without '/' at its end")}
	}
	for _, own := range ownPaths {
		if mountPath == own || strings.HasPrefix(mountPath, own+"/") || strings.HasPrefix(own, mountPath+"/") {
			return field.ErrorList{field.Forbidden(p, mountPath+" is at, above or below "+own+", where the server has something of its own: choose another path")}
		}
	}

	return nil
}

// validateMountModes refuses combinations that no pod may have.
func (s *Server) validateMountModes(p *field.Path, m corev1.VolumeMount) field.ErrorList {
	var errs field.ErrorList
	propagation := ptr.Deref(m.MountPropagation, "")
	recursive := ptr.Deref(m.RecursiveReadOnly, "")
	errs = append(errs, validateOptionalEnum(p.Child("mountPropagation"), propagation, corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional)...)
	errs = append(errs, validateOptionalEnum(p.Child("recursiveReadOnly"), recursive, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible, corev1.RecursiveReadOnlyEnabled)...)

	privileged := s.Spec.SecurityContext != nil && ptr.Deref(s.Spec.SecurityContext.Privileged, false)
	if propagation == corev1.MountPropagationBidirectional && !privileged {
		errs = append(errs, field.Forbidden(p.Child("mountPropagation"), "only a privileged container may mount for others: choose another propagation"))
	}
	if recursive != "" && recursive != corev1.RecursiveReadOnlyDisabled && (!m.ReadOnly || propagation != "" && propagation != corev1.MountPropagationNone) {
		errs = append(errs, field.Forbidden(p.Child("recursiveReadOnly"), "needs readOnly: true, and no mountPropagation"))
	}

	return errs
}

// isInside tells that a path does not lead out of its volume.
func isInside(p string) bool {
	return !strings.HasPrefix(p, "/") && !slices.Contains(strings.Split(p, "/"), "..")
}
