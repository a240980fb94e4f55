package campaign

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Objects by kind and name, such as Secret/files-connection.
type Objects map[string]map[string]any

// A Server whose objects are looked at.
type Server struct{ Name, Namespace, UID string }

// Clean objects have nothing that the API server or a controller sets.
func Clean(objects Objects) Objects {
	out := Objects{}
	for key, object := range objects {
		object = Copy(object)
		delete(object, "status")
		meta, _ := object["metadata"].(map[string]any)
		for _, name := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
			delete(meta, name)
		}
		owners, _ := meta["ownerReferences"].([]any)
		for _, owner := range owners {
			if fields, ok := owner.(map[string]any); ok {
				delete(fields, "uid")
			}
		}
		if object["kind"] == "Service" {
			cleanService(object)
		}
		out[key] = object
	}
	return out
}

// cleanService of what the API server chooses.
func cleanService(object map[string]any) {
	spec, _ := object["spec"].(map[string]any)
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	delete(spec, "healthCheckNodePort")
	ports, _ := spec["ports"].([]any)
	for _, port := range ports {
		if fields, ok := port.(map[string]any); ok {
			delete(fields, "nodePort")
		}
	}
}

// General objects do not say whose they are, and have no values of Secrets:
// those of another server with the same spec are the same.
func (s Server) General(objects Objects) (Objects, error) {
	const uidLength = 8
	out := Objects{}
	for key, object := range objects {
		object = Copy(object)
		if data, ok := object["data"].(map[string]any); ok && object["kind"] == "Secret" {
			for name := range data {
				data[name] = "..."
			}
		}
		if template := within(object, "spec", "template", "metadata", "annotations"); template != nil {
			// The key of tokens is in it, which each server has of its own.
			template["dittofs.io/config-hash"] = "..."
		}
		text := strings.NewReplacer(s.Namespace, "NAMESPACE", s.Name, "NAME", s.UID[:uidLength], "UID").Replace(key + "\n" + Text(object))
		key, text, _ = strings.Cut(text, "\n")
		var general map[string]any
		if err := json.Unmarshal([]byte(text), &general); err != nil {
			return nil, fmt.Errorf("cannot rename %s: %w", key, err)
		}
		out[key] = general
	}
	return out, nil
}

// Excuse takes away in which a server may differ from a new one with the same
// spec, by rule; documented in behaviour.
func Excuse(rules []string, walked, fresh Objects) {
	// R4: a generated Secret stays when a reference replaces it.
	for _, name := range []string{"Secret/NAME-jwt-secret", "Secret/NAME-admin-bootstrap-credentials"} {
		if fresh[name] == nil {
			delete(walked, name)
		}
	}
	for _, rule := range rules {
		for _, objects := range []Objects{walked, fresh} {
			excuse(rule, objects)
		}
	}
}

func excuse(rule string, objects Objects) {
	server := within(objects["StatefulSet/NAME"], "spec")
	switch rule {
	case "R4": // The administrator's first password is read on the first boot only, so the reference of that stays.
		containers, _ := within(server, "template", "spec")["containers"].([]any)
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			env, _ := fields["env"].([]any)
			fields["env"] = slices.DeleteFunc(env, func(e any) bool {
				variable, _ := e.(map[string]any)
				return variable["name"] == "DITTOFS_ADMIN_INITIAL_PASSWORD"
			})
		}
		delete(objects["Secret/NAME-connection"], "data")
	case "R5": // Storage follows the live StatefulSet, and mounts follow it.
		delete(server, "volumeClaimTemplates")
		containers, _ := within(server, "template", "spec")["containers"].([]any)
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			mounts, _ := fields["volumeMounts"].([]any)
			fields["volumeMounts"] = slices.DeleteFunc(mounts, func(m any) bool {
				mount, _ := m.(map[string]any)
				return mount["name"] == "content"
			})
		}
	case "R6": // A live cluster is left to the user, in part or in whole.
		delete(objects, "PerconaPGCluster/NAME-postgres")
	case "R22": // The running server keeps its database, and so its template and file.
		delete(server, "template")
		for name := range objects {
			if name != "StatefulSet/NAME" {
				delete(objects, name)
			}
		}
	case "carried": // What the server stored at its first boot is there as long as it may be read.
		dropNamed(within(server, "template", "spec"), "volumes")
		containers, _ := within(server, "template", "spec")["containers"].([]any)
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			dropNamed(fields, "volumeMounts")
		}
		if template := within(server, "template", "metadata", "annotations"); template != nil {
			template["dittofs.io/config-hash"] = "..."
		}
	case "R24": // An image that is not said follows the live one.
		for _, list := range []string{"containers", "initContainers"} {
			containers, _ := within(server, "template", "spec")[list].([]any)
			for _, c := range containers {
				fields, _ := c.(map[string]any)
				delete(fields, "image")
			}
		}
	}
}

// dropNamed takes the volumes of directories and Kerberos out of a list.
func dropNamed(fields map[string]any, list string) {
	items, ok := fields[list].([]any)
	if !ok {
		return
	}
	fields[list] = slices.DeleteFunc(items, func(item any) bool {
		volume, _ := item.(map[string]any)
		name, _ := volume["name"].(string)
		return name == "ldap-ca" || strings.HasPrefix(name, "kerberos-")
	})
}

func within(object map[string]any, path ...string) map[string]any {
	for _, step := range path {
		object, _ = object[step].(map[string]any)
	}
	return object
}

// Diff of objects; empty if they are the same.
func Diff(want, got Objects) string {
	var b strings.Builder
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch {
		case want[key] == nil:
			fmt.Fprintf(&b, "%s is there\n", key)
		case got[key] == nil:
			fmt.Fprintf(&b, "%s is not there\n", key)
		default:
			differ(&b, key, want[key], got[key])
		}
	}
	return b.String()
}

// differ tells where two values differ, one line each.
func differ(b *strings.Builder, path string, want, got any) {
	const enough = 200
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(w)
		maps.Copy(keys, g)
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			differ(b, path+"."+name, w[name], g[name])
		}
		return
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			differ(b, fmt.Sprintf("%s[%d]", path, i), w[i], g[i])
		}
		return
	}
	if a, c := Text(want), Text(got); a != c {
		fmt.Fprintf(b, "%s: want %.*s, got %.*s\n", path, enough, a, enough, c)
	}
}
