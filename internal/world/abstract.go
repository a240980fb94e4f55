package world

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/crossplane/function-sdk-go/errors"
)

// An Abstraction says when two worlds are the same: names that are made up at
// run time (UIDs, versions, generated values, hashes) do not count, only
// whether they are equal to each other.
type Abstraction struct {
	// Generated tells whether the value under a key of a Secret was made up.
	Generated func(k Key, key string) bool
	// Hidden annotation of pod templates, a made-up hash, and what stands for
	// it.
	Hidden   string
	StandsIn func(s *Server, o *Object) string
	// Parity lists the objects whose number of births, odd or even, matters to
	// an actor while they are not there.
	Parity func(k Key) bool
	// Reports are the fields of a composite resource's status that somebody
	// acts upon. The rest, conditions included, only tells.
	Reports func(status map[string]any) map[string]any
}

// Write the world's abstract state.
func (a Abstraction) Write(w io.Writer, s *Server) error {
	owners := map[string]string{}
	for k, o := range s.objects {
		owners[o.UID()] = k.String()
	}
	names := map[string]string{}

	for _, k := range s.Keys() {
		o := s.objects[k]
		o.abstractOnce.Do(func() { o.abstract = a.abstract(o) })
		if o.abstract == nil {
			return errors.Errorf("cannot write the abstract state of %s", k)
		}
		fmt.Fprintf(w, "\n%s %x", k, o.abstract)

		for _, r := range list(o.Value("metadata", "ownerReferences")) {
			fmt.Fprintf(w, " owner %q %v", owners[text(mapOf(r), "uid")], mapOf(r)["controller"])
		}
		if k.GroupVersionKind == GVKSecret {
			a.writeData(w, o, names)
		}
		if o.Text("spec", "template", "metadata", "annotations", a.Hidden) != "" {
			fmt.Fprintf(w, " %s", a.StandsIn(s, o))
		}
	}
	var rest []string
	for k, n := range s.births {
		if a.Parity(k) && n%2 == 1 && s.objects[k] == nil {
			rest = append(rest, "odd "+k.String())
		}
	}
	for gvk := range s.unserved {
		rest = append(rest, "unserved "+gvk.String())
	}
	slices.Sort(rest)
	fmt.Fprint(w, rest)

	return nil
}

// writeData of a Secret; a made-up value is called by the order of appearance.
func (a Abstraction) writeData(w io.Writer, o *Object, names map[string]string) {
	data := mapOf(o.Value("data"))
	for _, key := range sortedKeys(data) {
		v, _ := data[key].(string)
		if a.Generated(o.Key(), key) {
			if names[v] == "" {
				names[v] = fmt.Sprintf("made up %d", len(names))
			}
			v = names[v]
		}
		fmt.Fprintf(w, " %s=%s", key, v)
	}
}

// abstract state of an object by itself.
func (a Abstraction) abstract(o *Object) []byte {
	content := o.Content()
	md := child(content, "metadata")
	generation := md["generation"]
	managed := md["managedFields"]
	for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences"} {
		delete(md, f)
	}
	if status := mapOf(content["status"]); status["observedGeneration"] != nil {
		status["observedGeneration"] = status["observedGeneration"] == generation
		if status["updateRevision"] != nil {
			status["currentRevision"] = status["currentRevision"] == status["updateRevision"]
		}
		delete(status, "updateRevision")
	}

	switch o.Key().GroupVersionKind {
	case GVKSecret:
		delete(content, "data")
	case GVKStatefulSet:
		delete(mapOf(at(content, "spec", "template", "metadata", "annotations")), a.Hidden)
	case GVKServer, GVKLegacyServer:
		content["status"] = a.Reports(mapOf(content["status"]))
	case GVKCluster:
		md["managedFields"] = ownership(managed)
	}

	data, err := json.Marshal(content)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(data)

	return sum[:]
}

// ownership of what a function can act upon: not of the status, and not of
// references to owners, which carry UIDs.
func ownership(managed any) []any {
	var out []any
	for _, e := range list(managed) {
		entry := mapOf(decoded(e))
		if text(entry, "subresource") != "" {
			continue
		}
		delete(mapOf(at(entry, "fieldsV1", "f:metadata")), "f:ownerReferences")
		out = append(out, entry)
	}

	return out
}
