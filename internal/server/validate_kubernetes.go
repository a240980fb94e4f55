package server

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// What is here an API server would refuse of the StatefulSet or of its pod, on
// every call and with words that do not lead to the DittoServer's field
// (Kubernetes v1.37.2 pkg/apis/core/validation/validation.go).

// containerName of the server in its pod.
const containerName = "dittofs"

// Annotations that Kubernetes still reads as if they were fields.
const (
	annotationAppArmor     = "container.apparmor.security.beta.kubernetes.io/"
	annotationSeccompPod   = "seccomp.security.alpha.kubernetes.io/pod"
	annotationSeccomp      = "container.seccomp.security.alpha.kubernetes.io/"
	annotationTolerations  = "scheduler.alpha.kubernetes.io/tolerations"
	annotationMirror       = "kubernetes.io/config.mirror"
	annotationDeletionCost = "controller.kubernetes.io/pod-deletion-cost"
)

const (
	maxCSIDriver = 63
	maxSysctl    = 253
	// maxProfile is the longest path of an AppArmor profile.
	maxProfile = 4095
	// hugePages begins the name of a resource that is counted in pages.
	hugePages = "hugepages-"
)

var (
	sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)
	// fieldPaths of the pod's own that an environment variable can have; those
	// in subscripts are keys of metadata.
	fieldPaths = regexp.MustCompile(`^(metadata\.(name|namespace|uid)|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$`)
	subscript  = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.*)'\]$`)
	// containerResource that an environment variable can have.
	containerResource = regexp.MustCompile(`^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.*)$`)
	cpuDivisor        = regexp.MustCompile(`^1m?$`)
	byteDivisor       = regexp.MustCompile(`^1([kMGTPE]|[KMGTPE]i)?$`)
	appArmorProfile   = regexp.MustCompile(`^(runtime/default|unconfined|localhost/.*)?$`)
	deletionCost      = regexp.MustCompile(`^(0|-?[1-9]\d*)$`)
)

// validateResources of a container.
func validateResources(p *field.Path, r *corev1.ResourceRequirements) field.ErrorList {
	if r == nil {
		return nil
	}
	requests, limits := p.Child("requests"), p.Child("limits")
	errs := append(validateAmounts(requests, r.Requests), validateAmounts(limits, r.Limits)...)

	names := map[corev1.ResourceName]bool{}
	for name := range r.Limits {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		names[name] = true
		request, at := r.Requests[name], requests.Key(string(name))
		limit, limited := r.Limits[name]
		switch {
		case !isNative(name) && (!limited || request.Cmp(limit) != 0):
			errs = append(errs, field.Invalid(at, request.String(), "must be equal to the limit, which has to be set: what is no CPU, memory or storage is not overcommitted"))
		case limited && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(at, request.String(), "must not be more than the limit "+limit.String()))
		}
	}
	if !names[corev1.ResourceCPU] && !names[corev1.ResourceMemory] && slices.ContainsFunc(slices.Collect(maps.Keys(names)), isHugePages) {
		errs = append(errs, field.Forbidden(p, "huge pages need a request or limit of cpu or memory beside them: set one"))
	}

	return errs
}

func validateAmounts(p *field.Path, list corev1.ResourceList) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q, at := list[name], p.Key(string(name))
		switch {
		case q.Sign() < 0:
			errs = append(errs, field.Invalid(at, q.String(), "must not be negative"))
		case isHugePages(name) && !isWholePages(name, q):
			errs = append(errs, field.Invalid(at, q.String(), "must be a multiple of the size of the page"))
		case isExtended(name) && q.MilliValue()%1000 != 0:
			errs = append(errs, field.Invalid(at, q.String(), "must be a whole number: a device is not divided"))
		}
		errs = append(errs, validateResourceName(at, name)...)
	}

	return errs
}

func validateResourceName(p *field.Path, name corev1.ResourceName) field.ErrorList {
	if msgs := validation.IsQualifiedName(string(name)); len(msgs) > 0 {
		return invalid(p, string(name), msgs)
	}
	if isNative(name) || isHugePages(name) || strings.Contains(string(name), "kubernetes.io/") || isExtended(name) {
		return nil
	}

	return field.ErrorList{field.Invalid(p, name, "must be cpu, memory, ephemeral-storage, hugepages-<size>, or have the prefix of who provides it, like example.org/gpu")}
}

// isNative tells which resources a container has, but for huge pages.
func isNative(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

// isExtended tells which resources somebody else than Kubernetes provides.
func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), "kubernetes.io/") &&
		!strings.HasPrefix(string(name), "requests.") && len(validation.IsQualifiedName("requests."+string(name))) == 0
}

func isHugePages(name corev1.ResourceName) bool { return strings.HasPrefix(string(name), hugePages) }

func isWholePages(name corev1.ResourceName, q resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), hugePages))

	return err == nil && size.Value() > 0 && size.MilliValue()%1000 == 0 && q.Value()%size.Value() == 0
}

// validateFieldRef of an environment variable.
func validateFieldRef(p *field.Path, ref *corev1.ObjectFieldSelector) field.ErrorList {
	errs := validateOptionalEnum(p.Child("apiVersion"), ref.APIVersion, "v1")
	at := p.Child("fieldPath")
	if of := subscript.FindStringSubmatch(ref.FieldPath); len(of) > 0 {
		key := of[2]
		if of[1] == "annotations" {
			key = strings.ToLower(key)
		}

		return append(errs, invalid(at, ref.FieldPath, validation.IsQualifiedName(key))...)
	}
	if !fieldPaths.MatchString(ref.FieldPath) {
		errs = append(errs, field.Invalid(at, ref.FieldPath, "must be a field that a pod can know of itself, like metadata.name, metadata.labels['app'], spec.nodeName or status.podIP"))
	}

	return errs
}

// validateResourceFieldRef of an environment variable.
func validateResourceFieldRef(p *field.Path, ref *corev1.ResourceFieldSelector) field.ErrorList {
	// No API server refuses another container, but no such pod starts.
	errs := validateOptionalEnum(p.Child("containerName"), ref.ContainerName, containerName)
	if !containerResource.MatchString(ref.Resource) {
		return append(errs, field.Invalid(p.Child("resource"), ref.Resource, "must be a resource of the container, like limits.cpu or requests.memory"))
	}
	divisor := ref.Divisor.String()
	switch isCPU := strings.HasSuffix(ref.Resource, ".cpu"); {
	case ref.Divisor.IsZero():
		return errs
	case isCPU && !cpuDivisor.MatchString(divisor):
		return append(errs, field.Invalid(p.Child("divisor"), divisor, "must be 1 or 1m"))
	case !isCPU && !byteDivisor.MatchString(divisor):
		return append(errs, field.Invalid(p.Child("divisor"), divisor, "must be 1, or 1 with a unit, like 1k, 1M, 1Ki or 1Mi"))
	}

	return errs
}

// validateSecurity checks the security contexts. Whether they pass is up to the
// platform's Pod Security level (R13).
func (s *Server) validateSecurity(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c := s.Spec.SecurityContext; c != nil {
		p := spec.Child("securityContext")
		errs = append(errs, validateProfiles(p, c.SeccompProfile, c.AppArmorProfile, c.WindowsOptions)...)
		errs = append(errs, validateIDs(p, c.RunAsUser, c.RunAsGroup, nil)...)
		// Kubernetes takes Unmasked in a pod with users of its own only.
		errs = append(errs, validateOptionalEnum(p.Child("procMount"), ptr.Deref(c.ProcMount, ""), corev1.DefaultProcMount)...)
		errs = append(errs, validateEscalation(p.Child("allowPrivilegeEscalation"), c)...)
	}
	if c := s.Spec.PodSecurityContext; c != nil {
		p := spec.Child("podSecurityContext")
		errs = append(errs, validateProfiles(p, c.SeccompProfile, c.AppArmorProfile, c.WindowsOptions)...)
		errs = append(errs, validateIDs(p, c.RunAsUser, c.RunAsGroup, c.FSGroup)...)
		for i, id := range c.SupplementalGroups {
			errs = append(errs, validateID(p.Child("supplementalGroups").Index(i), &id)...)
		}
		errs = append(errs, validateOptionalEnum(p.Child("fsGroupChangePolicy"), ptr.Deref(c.FSGroupChangePolicy, ""), corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways)...)
		errs = append(errs, validateOptionalEnum(p.Child("supplementalGroupsPolicy"), ptr.Deref(c.SupplementalGroupsPolicy, ""), corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
		errs = append(errs, validateOptionalEnum(p.Child("seLinuxChangePolicy"), ptr.Deref(c.SELinuxChangePolicy, ""), corev1.SELinuxChangePolicyRecursive, corev1.SELinuxChangePolicyMountOption)...)
		errs = append(errs, validateUnique(p.Child("sysctls"), c.Sysctls, func(s corev1.Sysctl) string { return s.Name })...)
		for i, sysctl := range c.Sysctls {
			if len(sysctl.Name) > maxSysctl || !sysctlName.MatchString(sysctl.Name) {
				errs = append(errs, field.Invalid(p.Child("sysctls").Index(i).Child("name"), sysctl.Name, "must be the name of a setting of the kernel, like net.ipv4.tcp_syncookies"))
			}
		}
	}

	return append(errs, validateNonRoot(spec, s.Spec.PodSecurityContext, s.Spec.SecurityContext)...)
}

// validateNonRoot refuses a server that is root and must not be: the kubelet
// would never start it.
func validateNonRoot(spec *field.Path, pod *corev1.PodSecurityContext, own *corev1.SecurityContext) field.ErrorList {
	var (
		at      *field.Path
		user    *int64
		nonRoot *bool
	)
	if pod != nil {
		at, user, nonRoot = spec.Child("podSecurityContext"), pod.RunAsUser, pod.RunAsNonRoot
	}
	if own != nil && own.RunAsUser != nil {
		at, user = spec.Child("securityContext"), own.RunAsUser
	}
	if own != nil && own.RunAsNonRoot != nil {
		nonRoot = own.RunAsNonRoot
	}
	if user == nil || *user != 0 || !ptr.Deref(nonRoot, false) {
		return nil
	}

	return field.ErrorList{field.Invalid(at.Child("runAsUser"), *user, "is root, which runAsNonRoot rules out: set another user, or runAsNonRoot: false in spec.securityContext")}
}

// validateEscalation refuses a container that may not gain what it has. What is
// not set here is set to false, but for a privileged container.
func validateEscalation(p *field.Path, c *corev1.SecurityContext) field.ErrorList {
	privileged := ptr.Deref(c.Privileged, false)
	if ptr.Deref(c.AllowPrivilegeEscalation, privileged) {
		return nil
	}
	admin := c.Capabilities != nil && slices.Contains(c.Capabilities.Add, "CAP_SYS_ADMIN")
	if !privileged && !admin {
		return nil
	}

	return field.ErrorList{field.Invalid(p, false, "a container that is privileged or has the capability CAP_SYS_ADMIN has all privileges already: set it to true, or remove the other")}
}

func validateProfiles(p *field.Path, seccomp *corev1.SeccompProfile, apparmor *corev1.AppArmorProfile, windows *corev1.WindowsSecurityContextOptions) field.ErrorList {
	var errs field.ErrorList
	if seccomp != nil {
		at, file := p.Child("seccompProfile"), seccomp.LocalhostProfile
		errs = append(errs, validateEnum(at.Child("type"), seccomp.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
		errs = append(errs, validateLocalhost(at.Child("localhostProfile"), seccomp.Type == corev1.SeccompProfileTypeLocalhost, file)...)
		if file != nil && !isInside(*file) {
			errs = append(errs, field.Invalid(at.Child("localhostProfile"), *file, "must be a path below the kubelet's folder of profiles, without '/' at its beginning and without '..'"))
		}
	}
	if apparmor != nil {
		at, name := p.Child("appArmorProfile"), apparmor.LocalhostProfile
		errs = append(errs, validateEnum(at.Child("type"), apparmor.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)...)
		errs = append(errs, validateLocalhost(at.Child("localhostProfile"), apparmor.Type == corev1.AppArmorProfileTypeLocalhost, name)...)
		if name != nil && (strings.TrimSpace(*name) != *name || len(*name) > maxProfile) {
			errs = append(errs, field.Invalid(at.Child("localhostProfile"), *name, fmt.Sprintf("must be the name of a profile without white space around it, of at most %d bytes", maxProfile)))
		}
	}
	if windows != nil {
		errs = append(errs, field.Forbidden(p.Child("windowsOptions"), "the server runs on Linux: remove it"))
	}

	return errs
}

// validateLocalhost holds a profile that is on the node to a type that says so.
func validateLocalhost(p *field.Path, onNode bool, profile *string) field.ErrorList {
	switch {
	case onNode && ptr.Deref(profile, "") == "":
		return field.ErrorList{field.Required(p, "type Localhost needs the profile's name on the node")}
	case !onNode && profile != nil:
		return field.ErrorList{field.Forbidden(p, "only type Localhost takes it: remove it, or set type: Localhost")}
	}

	return nil
}

func validateIDs(p *field.Path, user, group, fsGroup *int64) field.ErrorList {
	errs := validateID(p.Child("runAsUser"), user)
	errs = append(errs, validateID(p.Child("runAsGroup"), group)...)

	return append(errs, validateID(p.Child("fsGroup"), fsGroup)...)
}

// validateID of a user or group.
func validateID(p *field.Path, id *int64) field.ErrorList {
	if id == nil || len(validation.IsValidUserID(*id)) == 0 {
		return nil
	}

	return field.ErrorList{field.Invalid(p, *id, "must be 0 to 2147483647")}
}

// validateDriver of a CSI volume.
func validateDriver(p *field.Path, driver string) field.ErrorList {
	if driver == "" {
		return field.ErrorList{field.Required(p, "say which driver makes the volume")}
	}
	errs := invalid(p, driver, validation.IsDNS1123Subdomain(strings.ToLower(driver)))
	if len(driver) > maxCSIDriver {
		errs = append(errs, field.Invalid(p, driver, fmt.Sprintf("must have at most %d characters", maxCSIDriver)))
	}

	return errs
}

// validateKubernetesAnnotations of the pod.
func (s *Server) validateKubernetesAnnotations(p *field.Path, annotations map[string]string) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedKeys(annotations) {
		at, value := p.Key(name), annotations[name]
		switch {
		case strings.HasPrefix(name, annotationAppArmor):
			errs = append(errs, s.validateAppArmor(at, strings.TrimPrefix(name, annotationAppArmor), value)...)
		case name == annotationSeccompPod || strings.HasPrefix(name, annotationSeccomp):
			errs = append(errs, field.Forbidden(at, "Kubernetes takes it for the seccomp profile no more: set seccompProfile in spec.podSecurityContext or spec.securityContext"))
		case name == annotationTolerations:
			errs = append(errs, field.Forbidden(at, "set spec.pod.tolerations"))
		case name == annotationMirror:
			errs = append(errs, field.Forbidden(at, "the kubelet gives it to its own pods: remove it"))
		case name == annotationDeletionCost:
			if _, err := strconv.ParseInt(value, 10, 32); err != nil || !deletionCost.MatchString(value) {
				errs = append(errs, field.Invalid(at, value, "must be a whole number of 32 bits"))
			}
		}
	}

	return errs
}

// validateAppArmor profile that an annotation gives to a container.
func (s *Server) validateAppArmor(p *field.Path, container, profile string) field.ErrorList {
	pod, server := s.Spec.PodSecurityContext, s.Spec.SecurityContext
	switch {
	case container != containerName:
		return field.ErrorList{field.Forbidden(p, "names a container that is not a person's to confine: only "+containerName+" is")}
	case !appArmorProfile.MatchString(profile):
		return field.ErrorList{field.Invalid(p, profile, "must be runtime/default, unconfined or localhost/<profile>")}
	case pod != nil && pod.AppArmorProfile != nil || server != nil && server.AppArmorProfile != nil:
		return field.ErrorList{field.Forbidden(p, "the field appArmorProfile says it already: remove the annotation")}
	}

	return nil
}
