package observed

import (
	"encoding/base64"
	"slices"
)

// A Secret that was asked for.
type Secret struct {
	Object

	Name string
}

// Value of a key of the Secret's data. It is not ok if there is none, or if it
// cannot be read.
func (s Secret) Value(key string) (value string, ok bool) {
	return SecretValue(s.Object, key)
}

// HasKey tells whether a Secret or ConfigMap has a key, be its value empty.
func HasKey(o Object, key string) bool {
	return slices.Contains(o.Keys("data"), key) || slices.Contains(o.Keys("binaryData"), key)
}

// SecretValue is the value of a key of a Secret's data. It is not ok if there
// is none, if it is empty, or if it cannot be read.
func SecretValue(o Object, key string) (value string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(o.Text("data", key))
	if err != nil || len(b) == 0 {
		return "", false
	}

	return string(b), true
}
