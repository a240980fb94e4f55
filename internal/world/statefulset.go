package world

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/crossplane/function-sdk-go/errors"
)

const managerController = "kube-controller-manager"

// StepStatefulSet does the next thing that the StatefulSet controller and the
// kubelet do for a StatefulSet, and tells whether there was anything to do:
// claims and a pod of the current template, then a ready pod. A pod whose
// Secrets or ConfigMaps are missing never gets ready.
func StepStatefulSet(s *Server, k Key) (bool, error) {
	o := s.Find(k)
	if o == nil || o.Deleting() {
		return false, nil
	}

	claimed, err := stepClaims(s, o)
	if err != nil {
		return claimed, err
	}

	data, err := json.Marshal(o.Value("spec", "template"))
	if err != nil {
		return false, errors.Wrapf(err, "cannot encode the template of %s", k)
	}
	revision := fmt.Sprintf("%s-%x", k.Name, sha256.Sum256(data))[:len(k.Name)+11]
	replicas := o.Number("spec", "replicas")

	if o.Text("status", "updateRevision") != revision || o.Number("status", "replicas") != replicas {
		return true, s.EditStatus(k, managerController, func(content map[string]any) {
			content["status"] = map[string]any{
				"observedGeneration": o.Number("metadata", "generation"), "updateRevision": revision,
				"currentRevision": current(o, revision), "replicas": replicas, "currentReplicas": int64(0),
				"updatedReplicas": replicas, "readyReplicas": int64(0), "availableReplicas": int64(0),
			}
		})
	}

	settled := o.Number("status", "observedGeneration") == o.Number("metadata", "generation") &&
		o.Number("status", "readyReplicas") == replicas && o.Text("status", "currentRevision") == revision
	if settled || !startable(s, o) {
		return claimed, nil
	}

	return true, s.EditStatus(k, managerController, func(content map[string]any) {
		status := child(content, "status")
		status["observedGeneration"] = o.Number("metadata", "generation")
		status["currentRevision"] = revision
		for _, f := range []string{"readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"} {
			status[f] = replicas
		}
	})
}

// stepClaims makes the claims that are missing.
func stepClaims(s *Server, o *Object) (bool, error) {
	k, did := o.Key(), false
	for _, t := range list(o.Value("spec", "volumeClaimTemplates")) {
		claim := Key{GroupVersionKind: GVKClaim, Namespace: k.Namespace, Name: text(mapOf(t), "metadata", "name") + "-" + k.Name + "-0"}
		if s.Find(claim) != nil {
			continue
		}
		did = true
		if _, err := s.Update(map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim",
			"metadata": map[string]any{"name": claim.Name, "namespace": claim.Namespace, "labels": at(o.content, "spec", "selector", "matchLabels")},
			"spec":     mapOf(t)["spec"],
		}, managerController); err != nil {
			return did, errors.Wrapf(err, "cannot make %s", claim)
		}
	}

	return did, nil
}

// current revision of a StatefulSet that starts to roll.
func current(o *Object, update string) string {
	if r := o.Text("status", "currentRevision"); r != "" {
		return r
	}

	return update
}

// startable tells whether everything that the pod refers to is there.
func startable(s *Server, o *Object) bool {
	for _, r := range References(o.content) {
		if _, ok := s.Resolve(o.Key().Namespace, r); !ok && !r.Optional {
			return false
		}
	}

	return true
}

// A Reference of a pod to a Secret or ConfigMap, as a whole or to one key.
type Reference struct {
	Kind, Name, Key string
	// Variable is the environment variable that it becomes; empty for a volume.
	Variable string
	Optional bool
}

// References of a StatefulSet's pod, in order.
func References(statefulSet map[string]any) []Reference {
	var refs []Reference

	pod := mapOf(at(statefulSet, "spec", "template", "spec"))
	for _, containers := range []string{"initContainers", "containers"} {
		for _, c := range list(pod[containers]) {
			for _, e := range list(mapOf(c)["env"]) {
				for _, source := range []struct{ kind, field string }{{"Secret", "secretKeyRef"}, {"ConfigMap", "configMapKeyRef"}} {
					ref, ok := at(mapOf(e), "valueFrom", source.field).(map[string]any)
					if !ok {
						continue
					}
					optional, _ := ref["optional"].(bool)
					refs = append(refs, Reference{Kind: source.kind, Name: text(ref, "name"), Key: text(ref, "key"), Variable: text(mapOf(e), "name"), Optional: optional})
				}
			}
		}
	}
	for _, v := range list(pod["volumes"]) {
		for _, source := range []struct{ kind, field, name string }{{"Secret", "secret", "secretName"}, {"ConfigMap", "configMap", "name"}} {
			vol, ok := mapOf(v)[source.field].(map[string]any)
			if !ok {
				continue
			}
			optional, _ := vol["optional"].(bool)
			ref := Reference{Kind: source.kind, Name: text(vol, source.name), Optional: optional}
			if len(list(vol["items"])) == 0 {
				refs = append(refs, ref)
			}
			for _, i := range list(vol["items"]) {
				ref.Key = text(mapOf(i), "key")
				refs = append(refs, ref)
			}
		}
	}

	return refs
}

// Resolve a pod's reference to what the pod would see; false if it is missing.
func (s *Server) Resolve(namespace string, r Reference) (string, bool) {
	gvk := GVKSecret
	if r.Kind == "ConfigMap" {
		gvk = GVKConfigMap
	}
	o := s.Find(Key{GroupVersionKind: gvk, Namespace: namespace, Name: r.Name})
	if o == nil {
		return "", false
	}
	if r.Key == "" {
		data, err := json.Marshal(o.Value("data"))

		return string(data), err == nil
	}
	v, ok := mapOf(o.Value("data"))[r.Key].(string)

	return v, ok
}
