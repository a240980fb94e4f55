package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// limits of what the types of k8s.io/api leave open, by the end of the path:
// the longest string, or the most items of a list or map. The API server needs
// them to estimate what a CEL rule costs; the function needs them because a
// request has to fit into 4 MiB. Where Kubernetes has a limit of its own, it is
// that (k8s.io/kubernetes pkg/apis/{core,networking}/validation); the others
// are far above what is in use.
var limits = map[string]int64{ //nolint:gochecknoglobals // A constant in all but syntax.
	// Values of annotations. Kubernetes bounds all of an object's together, at
	// 256 KiB.
	"annotations{}": 65536,

	// LabelSelector. A key has a prefix of at most 253 characters, a slash and
	// a name of at most 63; so has the name of a resource.
	"matchLabels":               64,
	"matchLabels{}":             63,
	"matchExpressions":          64,
	"matchExpressions[].key":    317,
	"matchExpressions[].values": 64,
	"values[]":                  63,

	// IPBlock. The longest CIDR is IPv6 with an embedded IPv4 address.
	"ipBlock.cidr":     49,
	"ipBlock.except":   64,
	"ipBlock.except[]": 49,

	// ResourceRequirements.
	"resources.limits":     32,
	"resources.limits{}":   64,
	"resources.requests":   32,
	"resources.requests{}": 64,

	// SecurityContext and PodSecurityContext.
	"capabilities.add":                      64,
	"capabilities.add[]":                    64,
	"capabilities.drop":                     64,
	"capabilities.drop[]":                   64,
	"localhostProfile":                      4096,
	"seLinuxOptions.level":                  253,
	"seLinuxOptions.role":                   253,
	"seLinuxOptions.type":                   253,
	"seLinuxOptions.user":                   253,
	"supplementalGroups":                    64,
	"sysctls":                               64,
	"sysctls[].name":                        253,
	"sysctls[].value":                       253,
	"windowsOptions.gmsaCredentialSpec":     65536,
	"windowsOptions.gmsaCredentialSpecName": 253,
	"windowsOptions.runAsUserName":          512,

	// Labels, of any object, and parameters of PostgreSQL.
	"labels{}":       63,
	"nodeSelector{}": 63,
	"parameters{}":   4096,

	// Tolerations.
	"tolerations[].key":   317,
	"tolerations[].value": 63,

	// Affinity. The one list or the other is meant by terms.
	"requiredDuringSchedulingIgnoredDuringExecution":  16,
	"preferredDuringSchedulingIgnoredDuringExecution": 16,
	"nodeSelectorTerms":    16,
	"matchFields":          16,
	"matchFields[].key":    253,
	"matchFields[].values": 64,
	"matchLabelKeys":       64,
	"matchLabelKeys[]":     317,
	"mismatchLabelKeys":    64,
	"mismatchLabelKeys[]":  317,
	"namespaces":           64,
	"namespaces[]":         63,
	"topologyKey":          317,

	// EnvVar. A value may be as long as a ConfigMap's is in practice.
	"extraEnv[].name":                253,
	"extraEnv[].value":               32768,
	"configMapKeyRef.key":            253,
	"configMapKeyRef.name":           253,
	"secretKeyRef.key":               253,
	"secretKeyRef.name":              253,
	"fieldRef.apiVersion":            63,
	"fieldRef.fieldPath":             512,
	"resourceFieldRef.containerName": 63,
	"resourceFieldRef.divisor":       64,
	"resourceFieldRef.resource":      253,

	// VolumeMount.
	"extraVolumeMounts[].mountPath":   4096,
	"extraVolumeMounts[].name":        63,
	"extraVolumeMounts[].subPath":     4096,
	"extraVolumeMounts[].subPathExpr": 4096,

	// The sources of volumes.
	"items":                           64,
	"items[].key":                     253,
	"items[].path":                    4096,
	"configMap.name":                  253,
	"secret.secretName":               253,
	"csi.driver":                      63,
	"csi.fsType":                      63,
	"csi.nodePublishSecretRef.name":   253,
	"csi.volumeAttributes":            64,
	"csi.volumeAttributes{}":          4096,
	"emptyDir.sizeLimit":              64,
	"persistentVolumeClaim.claimName": 253,
}

// enums of the types of k8s.io/api, by the end of the path. controller-gen
// does not read their +enum markers (k8s.io/api v0.35.3).
var enums = map[string][]string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"matchExpressions[].operator": {"In", "NotIn", "Exists", "DoesNotExist"},
	"appArmorProfile.type":        {"Localhost", "RuntimeDefault", "Unconfined"},
	"seccompProfile.type":         {"Localhost", "RuntimeDefault", "Unconfined"},
	"procMount":                   {"Default"}, // Unmasked takes a pod with users of its own.
	"fsGroupChangePolicy":         {"OnRootMismatch", "Always"},
	"seLinuxChangePolicy":         {"Recursive", "MountOption"},
	"supplementalGroupsPolicy":    {"Merge", "Strict"},

	// A node selector compares numbers as well.
	"nodeSelectorTerms[].matchExpressions[].operator": {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
	"preference.matchExpressions[].operator":          {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
	"matchFields[].operator":                          {"In", "NotIn"},
	"tolerations[].operator":                          {"Equal", "Exists"},
	"tolerations[].effect":                            {"NoSchedule", "PreferNoSchedule", "NoExecute"},
	"topologySpreadConstraints[].nodeAffinityPolicy":  {"Honor", "Ignore"},
	"topologySpreadConstraints[].nodeTaintsPolicy":    {"Honor", "Ignore"},
	"topologySpreadConstraints[].whenUnsatisfiable":   {"DoNotSchedule", "ScheduleAnyway"},
	"extraVolumeMounts[].mountPropagation":            {"None", "HostToContainer", "Bidirectional"},
	"extraVolumeMounts[].recursiveReadOnly":           {"Disabled", "IfPossible", "Enabled"},
	"emptyDir.medium":                                 {"", "Memory", "HugePages"},
}

// quantities are the paths' ends of resource.Quantity. controller-gen gives it
// a pattern, which tells a person nothing and allows negative ones.
var quantities = map[string]extv1.ValidationRule{ //nolint:gochecknoglobals // A constant in all but syntax.
	"resources.limits{}":   quantity,
	"resources.requests{}": quantity,
	"emptyDir.sizeLimit":   quantity,
	// It divides.
	"resourceFieldRef.divisor": quantity,
}

var quantity = extv1.ValidationRule{ //nolint:gochecknoglobals // A constant in all but syntax.
	Rule:    "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0",
	Message: "must be a quantity that is not negative, like 500m or 2Gi",
}

// dropped are the paths' ends of what the types of k8s.io/api have and the pods
// cannot use.
var dropped = map[string]string{ //nolint:gochecknoglobals // A constant in all but syntax.
	// An init container would have to write the file, and there is none of the
	// user's.
	"extraEnv[].valueFrom": "fileKeyRef",
	// Neither the server's pod nor the Percona operator's claim devices.
	"resources": "claims",
}

// bound sets the enums, limits and rules in schema that its Go types cannot.
// It returns an error that names every path that is open nevertheless.
func bound(schema *extv1.JSONSchemaProps) error {
	var open []error
	walk("", schema, func(path string, s *extv1.JSONSchemaProps) {
		if field, ok := bySuffix(dropped, path); ok {
			delete(s.Properties, field)
		}
		if values, ok := bySuffix(enums, path); ok && s.Type == "string" {
			s.Enum = enum(values)
		}
		if rule, ok := bySuffix(quantities, path); ok {
			s.Pattern = ""
			s.XValidations = append(s.XValidations, rule)
		}
		limit := limitOf(s)
		if limit == nil || *limit != nil {
			return
		}
		n, ok := bySuffix(limits, path)
		if !ok {
			open = append(open, fmt.Errorf("%s has no bound: add a marker to its Go type, or an entry to limits", path))
			return
		}
		*limit = new(n)
	})
	return errors.Join(open...)
}

// limitOf returns the field of s that has to be set for s to be bounded, nil
// if s is bounded by its type.
func limitOf(s *extv1.JSONSchemaProps) **int64 {
	switch {
	case len(s.Enum) > 0:
		return nil
	case s.Type == "string", s.XIntOrString:
		return &s.MaxLength
	case s.Type == "array":
		return &s.MaxItems
	case s.AdditionalProperties != nil:
		return &s.MaxProperties
	}
	return nil
}

// bySuffix returns table's entry for the longest end of path, cut at dots.
func bySuffix[T any](table map[string]T, path string) (T, bool) {
	for suffix, more := path, true; more; _, suffix, more = strings.Cut(suffix, ".") {
		if v, ok := table[suffix]; ok {
			return v, true
		}
	}
	var none T
	return none, false
}

// enum returns values as JSON.
func enum(values []string) []extv1.JSON {
	out := make([]extv1.JSON, 0, len(values))
	for _, v := range values {
		out = append(out, extv1.JSON{Raw: fmt.Appendf(nil, "%q", v)})
	}
	return out
}

// walk visits s and what is below it, depth first, in the order of the paths:
// properties are joined by dots, [] is a list's item and {} a map's value.
func walk(path string, s *extv1.JSONSchemaProps, visit func(string, *extv1.JSONSchemaProps)) {
	visit(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		child := s.Properties[name]
		walk(strings.TrimPrefix(path+"."+name, "."), &child, visit)
		s.Properties[name] = child
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(path+"[]", s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, visit)
	}
}
