// Package redact keeps out of conditions, events and the log what may be a
// secret (R19). It goes by names and by the looks of a value, and rather hides
// too much than too little.
package redact

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Hidden stands for a value that is not shown.
const Hidden = "(not shown)"

var (
	// names of fields, options of pgBackRest (repo1-s3-key, repo1-cipher-pass),
	// parameters and variables that are usually secrets.
	names = regexp.MustCompile(`(?i)(passw|passphrase|credential|token$|secret(ref)?$|(^|[-_.])pass$|([-_.]|api|access|private|secret|account|encryption)key$)`)
	// looks of a secret in a text: an assignment, a URL with a password, a PEM
	// file.
	looks = regexp.MustCompile(`(?i)((passw[a-z]*|pass|passphrase|secret|token|key)"?\s*[=:]|://[^/@\s]*@|-----BEGIN)`)
)

// Named tells whether what has a name may be a secret.
func Named(name string) bool { return names.MatchString(name) }

// Value returns a JSON value of that name with all hidden that may be a secret.
// The value itself is not changed.
func Value(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, child := range v {
			out[key] = Value(key, child)
			// A variable's, or a header's.
			if key == "value" && v["name"] != nil {
				out[key] = Hidden
			}
		}

		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Value(name, v[i])
			// What a program is started with is often told to it there.
			if _, text := v[i].(string); text && (name == "args" || name == "command") {
				out[i] = Hidden
			}
		}

		return out
	case nil, bool:
		return v
	case string:
		if Named(name) || looks.MatchString(v) {
			return Hidden
		}
	default:
		if Named(name) {
			return Hidden
		}
	}

	return v
}

// Bad is the value of that name in a field.Error: itself, or nothing if it may
// be a secret, or is a map or list, which may have one in it.
func Bad(name string, v any) any {
	switch v.(type) {
	case map[string]any, []any:
		return field.OmitValueType{}
	}
	if Value(name, v) == Hidden {
		return field.OmitValueType{}
	}

	return v
}
