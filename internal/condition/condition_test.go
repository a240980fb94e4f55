package condition

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromProblems(t *testing.T) {
	ok := True(TypeConfigReady, ReasonConfigRendered, "The configuration is complete")

	cases := map[string]struct {
		reason   string
		problems []Problem
		want     Condition
	}{
		"None": {
			reason: "Without a problem the condition holds.",
			want:   ok,
		},
		"One": {
			reason:   "A problem is the condition.",
			problems: []Problem{{ReasonSecretNotFound, "no Secret"}},
			want:     False(TypeConfigReady, ReasonSecretNotFound, "no Secret"),
		},
		"Several": {
			reason:   "The first one gives the reason, and all of them are told.",
			problems: []Problem{{ReasonSecretInvalid, "too short"}, {ReasonSecretNotFound, "no Secret"}},
			want:     False(TypeConfigReady, ReasonSecretInvalid, "too short; no Secret"),
		},
		"Repeated": {
			reason:   "Nothing is told twice.",
			problems: []Problem{{ReasonSecretInvalid, "too short"}, {ReasonSecretInvalid, "too short"}},
			want:     False(TypeConfigReady, ReasonSecretInvalid, "too short"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, FromProblems(ok, tc.problems)); diff != "" {
				t.Errorf("%s\nFromProblems(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestTypesAreSorted(t *testing.T) {
	if types := Types(); !slices.IsSorted(types) || len(slices.Compact(slices.Clone(types))) != len(types) {
		t.Errorf("Types(): not sorted, or one comes twice: %v", types)
	}
}
