package report

import (
	"cmp"
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
	case "ServiceMonitor":
		return describeServiceMonitor(o)
	}
	return nil
}

func describeCluster(o unstructured.Unstructured) []string {
	instances := each(list(o.Object, "spec", "instances"), func(set map[string]any) string {
		line := fmt.Sprintf("%s: %s replicas, %s each", at(set, "name"), at(set, "replicas"),
			at(set, "dataVolumeClaimSpec", "resources", "requests", "storage"))
		if wal := at(set, "walVolumeClaimSpec", "resources", "requests", "storage"); wal != "" {
			line += ", and " + wal + " for the write-ahead log"
		}
		return line
	})
	if at(o.Object, "spec", "patroni", "dynamicConfiguration", "synchronous_mode") == "true" {
		instances = append(instances, "synchronous: each transaction waits for a replica")
	}
	if pooler := at(o.Object, "spec", "proxy", "pgBouncer"); pooler != "" {
		instances = append(instances, fmt.Sprintf("pooler: %s replicas, %s",
			at(o.Object, "spec", "proxy", "pgBouncer", "replicas"), at(o.Object, "spec", "proxy", "pgBouncer", "image")))
	}
	users := each(list(o.Object, "spec", "users"), func(user map[string]any) string {
		return "user " + at(user, "name") + " of databases " + at(user, "databases")
	})
	repos := each(list(o.Object, "spec", "backups", "pgbackrest", "repos"), func(repo map[string]any) string {
		parts := []string{describeRepo(repo)}
		for _, kind := range []string{"full", "differential", "incremental"} {
			if when := at(repo, "schedules", kind); when != "" {
				parts = append(parts, fmt.Sprintf("%s %q", kind, when))
			}
		}
		return "backups to " + at(repo, "name") + ": " + strings.Join(parts, ", ")
	})
	version := "PostgreSQL " + at(o.Object, "spec", "postgresVersion") + ", " + at(o.Object, "spec", "image")
	return slices.Concat([]string{version}, instances, users, repos, describeSource(o))
}

// describeRepo says where a repository of backups is.
func describeRepo(repo map[string]any) string {
	switch {
	case at(repo, "s3") != "":
		return "bucket " + at(repo, "s3", "bucket") + " at " + at(repo, "s3", "endpoint")
	case at(repo, "gcs") != "":
		return "bucket " + at(repo, "gcs", "bucket") + " at Google Cloud Storage"
	case at(repo, "azure") != "":
		return "container " + at(repo, "azure", "container") + " at Azure"
	case at(repo, "volume") != "":
		return "a volume of " + at(repo, "volume", "volumeClaimSpec", "resources", "requests", "storage")
	}
	return "nowhere"
}

// describeSource says whose data a new cluster is filled with.
func describeSource(o unstructured.Unstructured) []string {
	source, _, _ := unstructured.NestedMap(o.Object, "spec", "dataSource")
	var from string
	switch {
	case at(source, "postgresCluster") != "":
		from = "cluster " + at(source, "postgresCluster", "clusterName") + ", " + at(source, "postgresCluster", "repoName")
	case at(source, "pgbackrest") != "":
		repo, _, _ := unstructured.NestedMap(source, "pgbackrest", "repo")
		from = describeRepo(repo)
		if path := at(source, "pgbackrest", "global", at(repo, "name")+"-path"); path != "" {
			from += ", " + path
		}
	default:
		return nil
	}
	if options := at(source, "postgresCluster", "options") + at(source, "pgbackrest", "options"); options != "" {
		from += ", with " + options
	}
	return []string{"filled from the backups of " + from}
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
	sources := map[string]string{}
	for _, v := range list(o.Object, "spec", "template", "spec", "volumes") {
		sources[at(v, "name")] = describeVolume(v)
	}
	for _, c := range list(o.Object, "spec", "template", "spec", "initContainers") {
		out = append(out, describeContainer("init container", c, sources)...)
	}
	for _, c := range list(o.Object, "spec", "template", "spec", "containers") {
		out = append(out, describeContainer("container", c, sources)...)
	}
	return out
}

// describeVolume says what the files of a pod's volume are made of.
func describeVolume(v map[string]any) string {
	keys := strings.Join(each(list(v, "secret", "items"), func(item map[string]any) string { return at(item, "key") }), ", ")
	if keys != "" {
		keys = ", keys " + keys
	}
	switch {
	case at(v, "secret", "secretName") != "":
		return "Secret " + at(v, "secret", "secretName") + keys
	case at(v, "configMap", "name") != "":
		return "ConfigMap " + at(v, "configMap", "name")
	case at(v, "persistentVolumeClaim", "claimName") != "":
		return "PersistentVolumeClaim " + at(v, "persistentVolumeClaim", "claimName")
	}
	return "volume " + at(v, "name")
}

// describeContainer with the sources of the pod's volumes, by name. Those that
// have none there are claimed.
func describeContainer(what string, c map[string]any, sources map[string]string) []string {
	env := each(list(c, "env"), func(e map[string]any) string {
		if ref := at(e, "valueFrom", "secretKeyRef", "name"); ref != "" {
			return "  " + at(e, "name") + " from Secret " + ref + ", key " + at(e, "valueFrom", "secretKeyRef", "key")
		}
		return "  " + at(e, "name") + " = " + at(e, "value")
	})
	mounts := each(list(c, "volumeMounts"), func(m map[string]any) string {
		source := sources[at(m, "name")]
		if source == "" {
			source = "volume " + at(m, "name")
		}
		return "  " + at(m, "mountPath") + " from " + source
	})
	var probes []string
	for _, kind := range []string{"startup", "liveness", "readiness"} {
		if probe := describeProbe(c, kind+"Probe"); probe != "" {
			probes = append(probes, kind+" "+probe)
		}
	}
	if len(probes) > 0 {
		probes = []string{"  probes: " + strings.Join(probes, ", ")}
	}
	return slices.Concat([]string{what + " " + at(c, "name") + ": " + at(c, "image")}, env, mounts, probes)
}

// describeProbe says how a container is probed, empty if it is not.
func describeProbe(c map[string]any, name string) string {
	switch {
	case at(c, name, "httpGet") != "":
		return cmp.Or(at(c, name, "httpGet", "scheme"), "HTTP") + " " + at(c, name, "httpGet", "path")
	case at(c, name, "tcpSocket") != "":
		return "TCP " + at(c, name, "tcpSocket", "port")
	}
	return ""
}

// describeData of a Secret or ConfigMap: a Secret's keys, and how long the
// values are; a ConfigMap's as they are.
func describeData(o unstructured.Unstructured) []string {
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	names := slices.Sorted(maps.Keys(data))
	if o.GetKind() == "ConfigMap" {
		var out []string
		for _, k := range names {
			out = append(out, k+":")
			for line := range strings.Lines(data[k]) {
				out = append(out, "  "+strings.TrimRight(line, "\n"))
			}
		}
		return out
	}
	keys := each(names, func(k string) string {
		value := data[k]
		if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
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

func describeServiceMonitor(o unstructured.Unstructured) []string {
	return each(list(o.Object, "spec", "endpoints"), func(e map[string]any) string {
		line := "scrapes port " + at(e, "port") + " at " + at(e, "path")
		if interval := at(e, "interval"); interval != "" {
			line += " every " + interval
		}
		if secret := at(e, "authorization", "credentials", "name"); secret != "" {
			line += ", with the token from Secret " + secret + ", key " + at(e, "authorization", "credentials", "key")
		}
		return line
	})
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
