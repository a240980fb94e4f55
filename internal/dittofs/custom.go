package dittofs

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// customise the pod as a person asks: where it runs, and what else is in it.
// What is added to the server's container comes last.
func customise(srv *server.Server, spec *corev1ac.PodSpecApplyConfiguration) error {
	pod := srv.Spec.Pod
	for _, name := range pullSecrets(srv) {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(name))
	}
	if len(pod.NodeSelector) > 0 {
		spec.WithNodeSelector(pod.NodeSelector)
	}
	if pod.PriorityClassName != "" {
		spec.WithPriorityClassName(pod.PriorityClassName)
	}
	if pod.ServiceAccountName != "" {
		// The API server fills in the field's old name too. If that were not
		// ours it would stay, and with it the account, when this one goes.
		spec.WithServiceAccountName(pod.ServiceAccountName).WithDeprecatedServiceAccount(pod.ServiceAccountName)
	}
	if pod.ImagePullPolicy != "" {
		for i := range spec.Containers {
			spec.Containers[i].WithImagePullPolicy(pod.ImagePullPolicy)
		}
		for i := range spec.InitContainers {
			spec.InitContainers[i].WithImagePullPolicy(pod.ImagePullPolicy)
		}
	}
	if pod.Affinity != nil && *pod.Affinity != (corev1.Affinity{}) {
		affinity, err := as[corev1ac.AffinityApplyConfiguration](pod.Affinity)
		if err != nil {
			return errors.Wrap(err, "spec.pod.affinity")
		}
		spec.WithAffinity(affinity)
	}

	return errors.Join(
		each("spec.pod.tolerations", pod.Tolerations, spec.WithTolerations),
		each("spec.pod.topologySpreadConstraints", pod.TopologySpreadConstraints, spec.WithTopologySpreadConstraints),
		each("spec.pod.extraVolumes", volumes(pod.ExtraVolumes), spec.WithVolumes),
		each("spec.pod.extraEnv", pod.ExtraEnv, spec.Containers[0].WithEnv),
		each("spec.pod.extraVolumeMounts", pod.ExtraVolumeMounts, spec.Containers[0].WithVolumeMounts),
	)
}

// pullSecrets are the platform's, and then the server's own.
func pullSecrets(srv *server.Server) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	for _, s := range srv.Input.Defaults.ImagePullSecrets {
		add(s.Name)
	}
	for _, s := range srv.Spec.Pod.ImagePullSecrets {
		add(s.Name)
	}

	return names
}

// volumes of the pod's own type.
func volumes(extra []v1alpha1.ExtraVolume) []corev1.Volume {
	out := make([]corev1.Volume, 0, len(extra))
	for _, v := range extra {
		out = append(out, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
			ConfigMap:             v.ConfigMap,
			Secret:                v.Secret,
			EmptyDir:              v.EmptyDir,
			PersistentVolumeClaim: v.PersistentVolumeClaim,
			CSI:                   v.CSI,
		}})
	}

	return out
}

// each item of a list of API types is added as its apply configuration.
func each[T, AC, R any](path string, items []T, add func(...*AC) R) error {
	for _, item := range items {
		ac, err := as[AC](item)
		if err != nil {
			return errors.Wrap(err, path)
		}
		add(ac)
	}

	return nil
}
