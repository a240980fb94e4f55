package percona

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// Labels that the operator puts on a cluster's PostgreSQL pods (percona v2.9.0
// internal/naming/labels.go).
const (
	labelCluster     = "postgres-operator.crunchydata.com/cluster"
	labelInstanceSet = "postgres-operator.crunchydata.com/instance-set"
)

// maxWeight is the greatest weight of a preference.
const maxWeight = 100

// A placement says where pods run. The operator's types have no common one for
// its four kinds of pods.
type placement struct {
	affinity          *corev1.Affinity
	tolerations       []corev1.Toleration
	priorityClassName *string
}

// placementOf returns where all of the cluster's pods run. The operator's types
// have no node selector: a required affinity to nodes means the same.
func placementOf(s v1alpha1.SchedulingSpec) placement {
	p := placement{tolerations: s.Tolerations}
	if s.PriorityClassName != "" {
		p.priorityClassName = &s.PriorityClassName
	}
	if len(s.NodeSelector) == 0 {
		return p
	}

	var labels []corev1.NodeSelectorRequirement
	for _, name := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		labels = append(labels, corev1.NodeSelectorRequirement{
			Key: name, Operator: corev1.NodeSelectorOpIn, Values: []string{s.NodeSelector[name]},
		})
	}
	p.affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: labels}},
		},
	}}
	return p
}

// isZero tells that nobody has asked for anything.
func (p placement) isZero() bool {
	return p.affinity == nil && len(p.tolerations) == 0 && p.priorityClassName == nil
}

// apart returns the affinity of the PostgreSQL pods of a server's cluster,
// which also says whether they share nodes.
func (p placement) apart(how v1alpha1.AntiAffinity, server string) *corev1.Affinity {
	if how == "" {
		return p.affinity
	}

	term := corev1.PodAffinityTerm{
		TopologyKey: corev1.LabelHostname,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			labelCluster:     ClusterName(server),
			labelInstanceSet: InstanceSet,
		}},
	}
	nodes := &corev1.PodAntiAffinity{}
	if how == v1alpha1.AntiAffinityRequired {
		nodes.RequiredDuringSchedulingIgnoredDuringExecution = []corev1.PodAffinityTerm{term}
	} else {
		nodes.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{{Weight: maxWeight, PodAffinityTerm: term}}
	}

	affinity := &corev1.Affinity{PodAntiAffinity: nodes}
	if p.affinity != nil {
		affinity.NodeAffinity = p.affinity.NodeAffinity
	}
	return affinity
}
