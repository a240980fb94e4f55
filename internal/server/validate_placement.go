package server

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// maxWeight of a preference.
const maxWeight = 100

// validatePlacement checks where the pod is to run, as far as the API server
// would refuse it.
func validatePlacement(p *field.Path, pod v1alpha1.PodSpec) field.ErrorList {
	errs := validateLabels(p.Child("nodeSelector"), pod.NodeSelector)
	errs = append(errs, validateTolerations(p.Child("tolerations"), pod.Tolerations)...)
	errs = append(errs, validateSpread(p.Child("topologySpreadConstraints"), pod.TopologySpreadConstraints)...)
	if a := pod.Affinity; a != nil {
		at := p.Child("affinity")
		errs = append(errs, validateNodeAffinity(at.Child("nodeAffinity"), a.NodeAffinity)...)
		if a.PodAffinity != nil {
			errs = append(errs, validatePodAffinity(at.Child("podAffinity"), a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)...)
		}
		if a.PodAntiAffinity != nil {
			errs = append(errs, validatePodAffinity(at.Child("podAntiAffinity"), a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)...)
		}
	}

	return errs
}

func validateTolerations(p *field.Path, tolerations []corev1.Toleration) field.ErrorList {
	var errs field.ErrorList
	for i, t := range tolerations {
		at := p.Index(i)
		errs = append(errs, validateOptionalEnum(at.Child("operator"), t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)...)
		errs = append(errs, validateOptionalEnum(at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		if t.Key != "" {
			errs = append(errs, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Required(at.Child("key"), "say which taint is tolerated, or set operator: Exists for all of them"))
		}
		if t.Operator == corev1.TolerationOpExists && t.Value != "" {
			errs = append(errs, field.Forbidden(at.Child("value"), "operator Exists takes no value: remove it"))
		}
		errs = append(errs, invalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Forbidden(at.Child("tolerationSeconds"), "only effect NoExecute takes a time: remove it, or set effect: NoExecute"))
		}
	}

	return errs
}

func validateSpread(p *field.Path, constraints []corev1.TopologySpreadConstraint) field.ErrorList {
	// Both together are the key of the list: see validateUnique.
	errs := validateUniqueKey(p, "topologyKey", constraints, func(c corev1.TopologySpreadConstraint) string {
		return c.TopologyKey + " with " + string(c.WhenUnsatisfiable)
	})
	for i, c := range constraints {
		at := p.Index(i)
		errs = append(errs, metav1validation.ValidateLabelName(c.TopologyKey, at.Child("topologyKey"))...)
		errs = append(errs, validateEnum(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
		errs = append(errs, validateSelector(at.Child("labelSelector"), c.LabelSelector)...)
		errs = append(errs, validateLabelKeys(at.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector)...)
		errs = append(errs, validateMatchedKeys(at.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector, nil)...)
		if c.MaxSkew < 1 {
			errs = append(errs, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "must be at least 1"))
		}
		if c.MinDomains != nil && (*c.MinDomains < 1 || c.WhenUnsatisfiable != corev1.DoNotSchedule) {
			errs = append(errs, field.Invalid(at.Child("minDomains"), *c.MinDomains, "must be at least 1, and only whenUnsatisfiable: DoNotSchedule takes it"))
		}
		for _, policy := range []struct {
			name  string
			value *corev1.NodeInclusionPolicy
		}{{"nodeAffinityPolicy", c.NodeAffinityPolicy}, {"nodeTaintsPolicy", c.NodeTaintsPolicy}} {
			if policy.value != nil {
				errs = append(errs, validateEnum(at.Child(policy.name), *policy.value, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)...)
			}
		}
	}

	return errs
}

func validateNodeAffinity(p *field.Path, a *corev1.NodeAffinity) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		at := p.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
		if len(r.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "say which nodes, or remove it"))
		}
		for i, term := range r.NodeSelectorTerms {
			errs = append(errs, validateNodeTerm(at.Index(i), term)...)
		}
	}
	for i, preferred := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		at := p.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		errs = append(errs, validateWeight(at.Child("weight"), preferred.Weight)...)
		errs = append(errs, validateNodeTerm(at.Child("preference"), preferred.Preference)...)
	}

	return errs
}

func validateNodeTerm(p *field.Path, term corev1.NodeSelectorTerm) field.ErrorList {
	var errs field.ErrorList
	for i, e := range term.MatchExpressions {
		errs = append(errs, validateNodeRequirement(p.Child("matchExpressions").Index(i), e)...)
	}
	for i, e := range term.MatchFields {
		at := p.Child("matchFields").Index(i)
		errs = append(errs, validateEnum(at.Child("operator"), e.Operator, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn)...)
		errs = append(errs, validateEnum(at.Child("key"), e.Key, "metadata.name")...)
		if len(e.Values) != 1 {
			errs = append(errs, field.Invalid(at.Child("values"), e.Values, "must be the name of one node"))
		}
	}

	return errs
}

// validateNodeRequirement judges by a label selector's rules, which are a
// node's too.
func validateNodeRequirement(p *field.Path, e corev1.NodeSelectorRequirement) field.ErrorList {
	operators := map[corev1.NodeSelectorOperator]selection.Operator{
		corev1.NodeSelectorOpIn:           selection.In,
		corev1.NodeSelectorOpNotIn:        selection.NotIn,
		corev1.NodeSelectorOpExists:       selection.Exists,
		corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
		corev1.NodeSelectorOpGt:           selection.GreaterThan,
		corev1.NodeSelectorOpLt:           selection.LessThan,
	}
	operator, known := operators[e.Operator]
	if !known {
		return field.ErrorList{field.NotSupported(p.Child("operator"), e.Operator, slices.Sorted(maps.Keys(operators)))}
	}
	if _, err := labels.NewRequirement(e.Key, operator, e.Values, field.WithPath(p)); err != nil {
		return field.ErrorList{field.Invalid(p, e.Key, "is no requirement that a node can meet: "+err.Error())}
	}

	return nil
}

func validatePodAffinity(p *field.Path, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) field.ErrorList {
	errs := make(field.ErrorList, 0, len(required)+len(preferred))
	for i, term := range required {
		errs = append(errs, validatePodTerm(p.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i), term)...)
	}
	for i, term := range preferred {
		at := p.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		errs = append(errs, validateWeight(at.Child("weight"), term.Weight)...)
		errs = append(errs, validatePodTerm(at.Child("podAffinityTerm"), term.PodAffinityTerm)...)
	}

	return errs
}

func validatePodTerm(p *field.Path, term corev1.PodAffinityTerm) field.ErrorList {
	errs := metav1validation.ValidateLabelName(term.TopologyKey, p.Child("topologyKey"))
	errs = append(errs, validateSelector(p.Child("labelSelector"), term.LabelSelector)...)
	errs = append(errs, validateSelector(p.Child("namespaceSelector"), term.NamespaceSelector)...)
	errs = append(errs, validateLabelKeys(p.Child("matchLabelKeys"), term.MatchLabelKeys, term.LabelSelector)...)
	errs = append(errs, validateMatchedKeys(p.Child("matchLabelKeys"), term.MatchLabelKeys, term.LabelSelector, term.MismatchLabelKeys)...)
	errs = append(errs, validateLabelKeys(p.Child("mismatchLabelKeys"), term.MismatchLabelKeys, term.LabelSelector)...)
	for i, namespace := range term.Namespaces {
		errs = append(errs, invalid(p.Child("namespaces").Index(i), namespace, validation.IsDNS1123Label(namespace))...)
	}

	return errs
}

// validateLabelKeys whose values on the pod a selector is completed with.
func validateLabelKeys(p *field.Path, keys []string, selector *metav1.LabelSelector) field.ErrorList {
	if len(keys) > 0 && selector == nil {
		return field.ErrorList{field.Forbidden(p, "completes a labelSelector: set that, or remove this")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, metav1validation.ValidateLabelName(key, p.Index(i))...)
		if slices.Contains(keys[:i], key) {
			errs = append(errs, field.Duplicate(p.Index(i), key))
		}
	}

	return errs
}

// validateMatchedKeys refuses a key that is asked about twice: the pod's own
// value is added to the selector when the pod is made.
func validateMatchedKeys(p *field.Path, keys []string, selector *metav1.LabelSelector, mismatched []string) field.ErrorList {
	var errs field.ErrorList
	for i, key := range keys {
		asked := slices.Contains(mismatched, key)
		if selector != nil {
			_, labelled := selector.MatchLabels[key]
			asked = asked || labelled || slices.ContainsFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == key })
		}
		if asked {
			errs = append(errs, field.Forbidden(p.Index(i), key+" is in labelSelector or mismatchLabelKeys as well: remove it there or here"))
		}
	}

	return errs
}

func validateWeight(p *field.Path, weight int32) field.ErrorList {
	if weight < 1 || weight > maxWeight {
		return field.ErrorList{field.Invalid(p, weight, "must be 1 to 100")}
	}

	return nil
}
