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

// Has a key in its data, be the value empty.
func (s Secret) Has(key string) bool { return slices.Contains(s.Keys("data"), key) }

// SecretValue is the value of a key of a Secret's data. It is not ok if there
// is none, if it is empty, or if it cannot be read.
func SecretValue(o Object, key string) (value string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(o.Text("data", key))
	if err != nil || len(b) == 0 {
		return "", false
	}

	return string(b), true
}
