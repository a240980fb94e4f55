package example

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/render/engine"
)

// AnnotationConfigHash of the pod template is a SHA-256 over, among others,
// generated Secrets.
const AnnotationConfigHash = "dittofs.io/config-hash"

// generatedKeys of a composed Secret, by resource name: those whose values are
// random.
func generatedKeys(resourceName string) []string {
	switch resourceName {
	case "jwt-secret":
		return []string{"jwt-secret"}
	case "admin-credentials", "connection":
		return []string{"password"}
	}
	return nil
}

// A Mask replaces generated values, and hashes over them, by numbers: the same
// value has the same number wherever it comes up, so that a masked file still
// tells whether a value was kept.
type Mask struct {
	values, hashes map[string]int
}

// NewMask knows no value yet.
func NewMask() *Mask {
	return &Mask{values: map[string]int{}, hashes: map[string]int{}}
}

// Apply the mask to copies of the objects.
func (m *Mask) Apply(in []unstructured.Unstructured) []unstructured.Unstructured {
	out := make([]unstructured.Unstructured, 0, len(in))
	for _, o := range in {
		o = *o.DeepCopy()
		m.replaceValues(o, func(_ string, number int) string { return fmt.Sprintf("(generated %d)", number) })
		m.replaceHash(o)
		out = append(out, o)
	}
	return out
}

// Freeze returns copies of the objects, whose generated values are replaced by
// others of the same length that are always the same.
func Freeze(in []unstructured.Unstructured) []unstructured.Unstructured {
	m := NewMask()
	out := make([]unstructured.Unstructured, 0, len(in))
	for _, o := range in {
		o = *o.DeepCopy()
		m.replaceValues(o, func(value string, number int) string {
			text := fmt.Sprintf("example-%d-", number)
			text = strings.Repeat(text, len(value)/len(text)+1)[:len(value)]
			return base64.StdEncoding.EncodeToString([]byte(text))
		})
		out = append(out, o)
	}
	return out
}

// replaceValues of the object that are generated. A value that is not base64
// stays, for all to see.
func (m *Mask) replaceValues(o unstructured.Unstructured, replacement func(value string, number int) string) {
	for _, key := range generatedKeys(engine.ResourceName(o)) {
		encoded, found, err := unstructured.NestedString(o.Object, "data", key)
		if !found || err != nil {
			continue
		}
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		n := number(m.values, string(value))
		_ = unstructured.SetNestedField(o.Object, replacement(string(value), n), "data", key)
	}
}

func (m *Mask) replaceHash(o unstructured.Unstructured) {
	if hash, found := configHash(o); found {
		setConfigHash(o, fmt.Sprintf("(sha256 %d)", number(m.hashes, hash)))
	}
}

// configHash of the object's pod template, if it has one that looks like a
// SHA-256.
func configHash(o unstructured.Unstructured) (hash string, found bool) {
	annotations, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "annotations")
	hash = annotations[AnnotationConfigHash]
	b, err := hex.DecodeString(hash)
	return hash, err == nil && len(b) == sha256.Size
}

func setConfigHash(o unstructured.Unstructured, hash string) {
	_ = unstructured.SetNestedField(o.Object, hash, "spec", "template", "metadata", "annotations", AnnotationConfigHash)
}

// number of a value: the next one if it was not seen before.
func number(seen map[string]int, value string) int {
	if seen[value] == 0 {
		seen[value] = len(seen) + 1
	}
	return seen[value]
}
