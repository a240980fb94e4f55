package percona

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// pgBackRestTime is what pgBackRest takes for a time, with the blank without
// which it would not find the backup to start from (pgBackRest 2.58
// src/command/restore/restore.c, getEpoch).
var pgBackRestTime = regexp.MustCompile(`^--target=[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?[+]00$`)

// TestRestoreOptionsReachPGBackRest has a shell read the options as the
// operator's job does: joined with blanks, in a string.
func TestRestoreOptionsReachPGBackRest(t *testing.T) {
	dir, err := crdtest.ModuleDir("github.com/percona/percona-postgresql-operator/v2")
	if err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{
		"internal/pgbackrest/config.go":                     "`bash -xc \"pgbackrest restore ${opts}\"`",
		"internal/controller/postgrescluster/pgbackrest.go": `strings.Join(opts, " ")`,

		"deploy/cr.yaml": `--target="2021-06-09 14:15:11-04"`,
	} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), says) {
			t.Errorf("%s of the operator does not say %s any more", file, says)
		}
	}

	cases := map[string]struct {
		reason string
		target string
		want   string
	}{
		"UTC":      {reason: "A time in UTC.", target: "2026-05-01T12:00:00Z", want: "--target=2026-05-01 12:00:00+00"},
		"Zone":     {reason: "A time elsewhere is the same moment.", target: "2026-05-01T01:30:00+02:00", want: "--target=2026-04-30 23:30:00+00"},
		"Fraction": {reason: "PostgreSQL has microseconds; a moment is rather missed early.", target: "2026-05-01T12:00:00.1234567Z", want: "--target=2026-05-01 12:00:00.123456+00"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			options, err := restoreOptions(nil, tc.target)
			if err != nil {
				t.Fatalf("\n%s\nrestoreOptions(%q): %v", tc.reason, tc.target, err)
			}
			got := words(t, options)
			if diff := cmp.Diff([]string{"--type=time", tc.want, "--stanza=db"}, got); diff != "" {
				t.Errorf("\n%s\nWhat a shell makes of %q: -want, +got:\n%s", tc.reason, options, diff)
			}
			if !pgBackRestTime.MatchString(got[1]) {
				t.Errorf("\n%s\npgBackRest does not understand %q", tc.reason, got[1])
			}
		})
	}
}

// words of a line that a shell reads in the operator's way.
func words(t *testing.T, options []string) []string {
	t.Helper()

	opts := strings.Join(append(options, "--stanza=db"), " ")
	out, err := exec.CommandContext(t.Context(), "sh", "-ceu", `opts="$1"; exec sh -c "printf '%s\n' ${opts}"`, "-", opts).Output()
	if err != nil {
		t.Fatalf("Cannot run a shell: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// TestRestoreOptionsAny takes any text for a time. Whatever it is, what comes
// out has nothing of it but digits.
func TestRestoreOptionsAny(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		target := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})["; $()]?`),
			rapid.Custom(func(t *rapid.T) string {
				return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC().Format(time.RFC3339Nano)
			}),
		).Draw(rt, "target")
		options, err := restoreOptions(perconaPath("restoreFrom", "targetTime"), target)
		if target == "" && err == nil && options == nil || err != nil && options == nil {
			return
		}
		if err != nil || len(options) != 2 || !pgBackRestTime.MatchString(strings.ReplaceAll(options[1], `"`, "")) || strings.Count(options[1], `"`) != 2 {
			rt.Errorf("restoreOptions(%q): %q, %v", target, options, err)
		}
	})
}
