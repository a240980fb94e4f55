package dittofs

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// secure the pod: what a user set stays, the rest is hardened (R13).
func secure(srv *server.Server, spec *corev1ac.PodSpecApplyConfiguration) error {
	pod := &corev1ac.PodSecurityContextApplyConfiguration{}
	if user := srv.Spec.PodSecurityContext; user != nil {
		ac, err := as[corev1ac.PodSecurityContextApplyConfiguration](user)
		if err != nil {
			return errors.Wrap(err, "spec.podSecurityContext")
		}
		pod = ac
	}
	fallback(&pod.FSGroup, serverUser)
	fallback(&pod.FSGroupChangePolicy, corev1.FSGroupChangeOnRootMismatch)
	fallback(&pod.RunAsUser, serverUser)
	if *pod.RunAsUser != 0 {
		fallback(&pod.RunAsNonRoot, true)
	}
	fallback(&pod.RunAsGroup, serverUser)
	fallback(&pod.SeccompProfile, *corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	spec.WithSecurityContext(pod)

	container := &corev1ac.SecurityContextApplyConfiguration{}
	if user := srv.Spec.SecurityContext; user != nil {
		ac, err := as[corev1ac.SecurityContextApplyConfiguration](user)
		if err != nil {
			return errors.Wrap(err, "spec.securityContext")
		}
		container = ac
	}
	if container.RunAsUser == nil && *pod.RunAsUser == 0 {
		container.RunAsUser = pod.RunAsUser
	}
	if container.RunAsUser != nil && *container.RunAsUser == 0 && pod.RunAsNonRoot != nil && *pod.RunAsNonRoot {
		// Else the pod's own word holds for it, and it would never start.
		fallback(&container.RunAsNonRoot, false)
	}
	for i := range spec.Containers {
		spec.Containers[i].WithSecurityContext(harden(container, pod.SeccompProfile))
	}
	// PostgreSQL's image runs as root, and its tools need no file that they
	// could write.
	for i := range spec.InitContainers {
		spec.InitContainers[i].WithSecurityContext(harden(corev1ac.SecurityContext().
			WithRunAsUser(serverUser).WithReadOnlyRootFilesystem(true), pod.SeccompProfile))
	}

	return nil
}

// harden what is not set. The profile is the pod's: a container's own would hide
// what a person set there.
func harden(c *corev1ac.SecurityContextApplyConfiguration, profile *corev1ac.SeccompProfileApplyConfiguration) *corev1ac.SecurityContextApplyConfiguration {
	// Only what agrees with the rest: a pod that contradicts itself is refused,
	// or never starts.
	if root := c.RunAsUser != nil && *c.RunAsUser == 0; !root {
		fallback(&c.RunAsNonRoot, true)
	}
	if privileged := c.Privileged != nil && *c.Privileged; !privileged {
		fallback(&c.AllowPrivilegeEscalation, false)
	}
	fallback(&c.Capabilities, corev1ac.CapabilitiesApplyConfiguration{})
	if c.Capabilities.Drop == nil {
		c.Capabilities.WithDrop("ALL")
	}
	fallback(&c.SeccompProfile, *profile)

	return c
}

// fallback sets a field that is not set.
func fallback[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// evaluator of the Pod Security Standards, the admission controller's own.
var evaluator = sync.OnceValues(func() (policy.Evaluator, error) { //nolint:gochecknoglobals // Made once, never changed.
	return policy.NewEvaluator(policy.DefaultChecks(), nil)
})

// judged is what the checks of the standards look at of a template, which is a
// small part of it. (Their checks of hosts in probes and of volumes have nothing
// to find: the server's probes name none, and a spec takes only kinds of volumes
// that pass every level.)
func judged(template *corev1ac.PodTemplateSpecApplyConfiguration) *corev1ac.PodTemplateSpecApplyConfiguration {
	part := func(containers []corev1ac.ContainerApplyConfiguration) []corev1ac.ContainerApplyConfiguration {
		out := make([]corev1ac.ContainerApplyConfiguration, 0, len(containers))
		for i := range containers {
			c := &containers[i]
			out = append(out, corev1ac.ContainerApplyConfiguration{Name: c.Name, Ports: c.Ports, SecurityContext: c.SecurityContext})
		}

		return out
	}
	spec := template.Spec

	// An annotation may still say which AppArmor profile is used.
	return corev1ac.PodTemplateSpec().WithAnnotations(template.Annotations).WithSpec(&corev1ac.PodSpecApplyConfiguration{
		SecurityContext: spec.SecurityContext,
		HostNetwork:     spec.HostNetwork,
		HostPID:         spec.HostPID,
		HostIPC:         spec.HostIPC,
		InitContainers:  part(spec.InitContainers),
		Containers:      part(spec.Containers),
	})
}

// judge the finished pod as Pod Security admission does. A setting that does
// not pass is refused with the admission's own words. A pod in which nobody has
// set what the checks look at passes every level: nothing is to be judged, and
// rules_test.go and valid_test.go hold every finished pod to that.
func judge(srv *server.Server, template *corev1ac.PodTemplateSpecApplyConfiguration) error {
	level := api.LevelVersion{Level: api.Level(srv.PodSecurityLevel()), Version: api.LatestVersion()}
	untouched := srv.Spec.PodSecurityContext == nil && srv.Spec.SecurityContext == nil && len(srv.Spec.Pod.Annotations) == 0
	if level.Level == api.LevelPrivileged || untouched {
		return nil
	}
	e, err := evaluator()
	if err != nil {
		return errors.Wrap(err, "cannot load the checks of the Pod Security Standards")
	}
	pod, err := as[corev1.PodTemplateSpec](judged(template))
	if err != nil {
		return err
	}

	result := policy.AggregateCheckResults(e.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return nil
	}

	path := field.NewPath("spec", "podSecurityContext")
	if srv.Spec.SecurityContext != nil {
		path = field.NewPath("spec", "securityContext")
	}

	return field.Forbidden(path, "the pod would not pass the Pod Security level "+
		string(level.Level)+", which the platform asks for in this function's input: "+result.ForbiddenDetail()+"; change or remove the setting, there or in spec.podSecurityContext")
}
