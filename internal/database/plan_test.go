package database

import (
	"strings"
	"testing"
)

func TestIsHost(t *testing.T) {
	cases := map[string]struct {
		reason string
		value  string
		want   bool
	}{
		"Service":  {reason: "The usual name.", value: "files-postgres-primary.team-a.svc", want: true},
		"Capitals": {reason: "DNS does not care.", value: "DB.Example.ORG", want: true},
		"Root":     {reason: "So it is in libpq.", value: "db.example.org.", want: true},
		"IPv4":     {reason: "An address.", value: "10.0.0.7", want: true},
		"IPv6":     {reason: "An address.", value: "2001:db8::7", want: true},
		"Zone":     {reason: "Anything can stand there.", value: "fe80::1%hunter2", want: false},
		"URL":      {reason: "It may have a password.", value: "postgres://dittofs:hunter2@db", want: false},
		"DSN":      {reason: "So may this.", value: "host=db password=hunter2", want: false},
		"Path":     {reason: "A socket is not where another pod is.", value: "/run/postgresql", want: false},
		"Long":     {reason: "The status has no room for it.", value: strings.Repeat("a.", 126) + "aa", want: false},
		"LongRoot": {reason: "Nor for this.", value: strings.Repeat("a.", 127), want: false},
		"Empty":    {reason: "There is none.", want: false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isHost(tc.value); got != tc.want {
				t.Errorf("%s\nisHost(%q): want %t, got %t", tc.reason, tc.value, tc.want, got)
			}
		})
	}
}
