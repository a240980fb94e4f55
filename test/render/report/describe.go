package report

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// describe an object in a few lines: what a person would look for first.
func describe(o unstructured.Unstructured) []string {
	switch o.GetKind() {
	case "PerconaPGCluster":
		return describeCluster(o)
	case "StatefulSet":
		return describeStatefulSet(o)
	case "Secret", "ConfigMap":
		return describeData(o)
	case "Service":
		return describeService(o)
	case "NetworkPolicy":
		return describeNetworkPolicy(o)
	}
	return nil
}

func describeCluster(o unstructured.Unstructured) []string {
	instances := each(list(o.Object, "spec", "instances"), func(set map[string]any) string {
		return fmt.Sprintf("%s: %s replicas, %s each", at(set, "name"), at(set, "replicas"),
			at(set, "dataVolumeClaimSpec", "resources", "requests", "storage"))
	})
	users := each(list(o.Object, "spec", "users"), func(user map[string]any) string {
		return "user " + at(user, "name") + " of databases " + at(user, "databases")
	})
	repos := each(list(o.Object, "spec", "backups", "pgbackrest", "repos"), func(repo map[string]any) string {
		return fmt.Sprintf("backups to %s: bucket %s at %s, full %q, incremental %q", at(repo, "name"),
			at(repo, "s3", "bucket"), at(repo, "s3", "endpoint"), at(repo, "schedules", "full"), at(repo, "schedules", "incremental"))
	})
	version := "PostgreSQL " + at(o.Object, "spec", "postgresVersion") + ", " + at(o.Object, "spec", "image")
	return slices.Concat([]string{version}, instances, users, repos)
}

func describeStatefulSet(o unstructured.Unstructured) []string {
	all, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "annotations")
	annotations := each(slices.Sorted(maps.Keys(all)), func(k string) string {
		return "annotation " + k + ": " + all[k]
	})
	volumes := each(list(o.Object, "spec", "volumeClaimTemplates"), func(claim map[string]any) string {
		return "volume " + at(claim, "metadata", "name") + ": " + at(claim, "spec", "resources", "requests", "storage")
	})
	out := slices.Concat([]string{"replicas " + at(o.Object, "spec", "replicas")}, annotations, volumes)
	for _, c := range list(o.Object, "spec", "template", "spec", "initContainers") {
		out = append(out, describeContainer("init container", c)...)
	}
	for _, c := range list(o.Object, "spec", "template", "spec", "containers") {
		out = append(out, describeContainer("container", c)...)
	}
	return out
}

func describeContainer(what string, c map[string]any) []string {
	env := each(list(c, "env"), func(e map[string]any) string {
		if ref := at(e, "valueFrom", "secretKeyRef", "name"); ref != "" {
			return "  " + at(e, "name") + " from Secret " + ref + ", key " + at(e, "valueFrom", "secretKeyRef", "key")
		}
		return "  " + at(e, "name") + " = " + at(e, "value")
	})
	return slices.Concat([]string{what + " " + at(c, "name") + ": " + at(c, "image")}, env)
}

// describeData of a Secret or ConfigMap: its keys, and how long the values are.
func describeData(o unstructured.Unstructured) []string {
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	keys := each(slices.Sorted(maps.Keys(data)), func(k string) string {
		value := data[k]
		if decoded, err := base64.StdEncoding.DecodeString(value); err == nil && o.GetKind() == "Secret" {
			value = string(decoded)
		}
		return fmt.Sprintf("%s (%d characters)", k, len(value))
	})
	return wrap(strings.Join(keys, ", "), width)
}

func describeService(o unstructured.Unstructured) []string {
	kind := at(o.Object, "spec", "type")
	if at(o.Object, "spec", "clusterIP") == "None" {
		kind = "headless"
	}
	ports := each(list(o.Object, "spec", "ports"), func(p map[string]any) string {
		return fmt.Sprintf("%s %s to %s", at(p, "name"), at(p, "port"), at(p, "targetPort"))
	})
	return []string{strings.TrimSpace(kind + " " + strings.Join(ports, ", "))}
}

func describeNetworkPolicy(o unstructured.Unstructured) []string {
	var ports []string
	for _, rule := range list(o.Object, "spec", "ingress") {
		for _, p := range list(rule, "ports") {
			ports = append(ports, at(p, "port"))
		}
	}
	return []string{"admits ports " + strings.Join(ports, ", ")}
}

// each item as a line.
func each[T any](items []T, line func(T) string) []string {
	lines := make([]string, 0, len(items))
	for _, item := range items {
		lines = append(lines, line(item))
	}
	return lines
}

// at a path of an object: the value's text, empty if there is none.
func at(o map[string]any, path ...string) string {
	value, _, _ := unstructured.NestedFieldNoCopy(o, path...)
	return text(value)
}

// list at a path of an object: those of its items that are objects.
func list(o map[string]any, path ...string) []map[string]any {
	value, _, _ := unstructured.NestedFieldNoCopy(o, path...)
	items, _ := value.([]any)
	var out []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
