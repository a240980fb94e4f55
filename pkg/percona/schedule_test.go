package percona

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// TestDefaultSchedulesNeverCoincide lets a month go by, with the operator's own
// cron library: one backup of a cluster runs at a time.
func TestDefaultSchedulesNeverCoincide(t *testing.T) {
	volume := v1alpha1.RepoLocation{Volume: &v1alpha1.VolumeLocation{Size: "1Gi"}}
	wanted := wantedOf(t, server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{
		{Name: "repo1", RepoLocation: volume}, {Name: "repo2", RepoLocation: volume}, {Name: "repo3", RepoLocation: volume}, {Name: "repo4", RepoLocation: volume},
	}}}))

	start := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(0, 1, 0)
	at := map[time.Time]string{}
	runs := map[string]int{}
	for _, item := range listAt(archive(wanted.Spec), "repos") {
		repo := as[map[string]any](item)
		for kind, expr := range below(repo, "schedules") {
			name := fmt.Sprintf("%s of %s", kind, repo["name"])
			s, err := cron.ParseStandard(as[string](expr))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for next := s.Next(start.Add(-time.Second)); next.Before(end); next = s.Next(next) {
				if other, taken := at[next]; taken {
					t.Fatalf("%s and %s both start at %s", name, other, next)
				}
				at[next] = name
				runs[kind]++
			}
		}
	}

	want := map[string]int{"full": 4 * 31, "incremental": 4 * 31 * 23}
	if diff := cmp.Diff(want, runs); diff != "" {
		t.Errorf("Backups in a month: -want, +got:\n%s", diff)
	}
}

// scheduled is a repository with those schedules.
func scheduled(name, full, incr string) v1alpha1.BackupRepo {
	return v1alpha1.BackupRepo{Name: name, RepoLocation: onVolume(), FullSchedule: full, IncrSchedule: incr}
}

func TestSchedules(t *testing.T) {
	cases := map[string]struct {
		reason string
		repos  []v1alpha1.BackupRepo
		want   []string
	}{
		"Default": {
			reason: "The flat fields' own defaults are those of the first repository.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo1", "", "")},
			want:   []string{"0 2 * * *", "0 0-1,3-23 * * *"},
		},
		"All": {
			reason: "Each has a quarter of an hour to itself, wherever it is in the list.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo4", "", ""), scheduled("repo1", "", ""), scheduled("repo3", "", ""), scheduled("repo2", "", "")},
			want: []string{
				"45 2 * * *", "45 0-1,3-23 * * *", "0 2 * * *", "0 0-1,3-23 * * *",
				"30 2 * * *", "30 0-1,3-23 * * *", "15 2 * * *", "15 0-1,3-23 * * *",
			},
		},
		"FullAtOtherHours": {
			reason: "Incremental backups leave the hours alone that full ones take.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo1", "30 0,12,23 * * 0", "")},
			want:   []string{"30 0,12,23 * * 0", "0 1-11,13-22 * * *"},
		},
		"FullOfAnother": {
			reason: "Those of another repository as well: they may take longer than a quarter of an hour.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo1", "", ""), scheduled("repo2", "30 3 * * 0", ""), scheduled("repo3", "0 5 * * *", "20 * * * *")},
			want:   []string{"0 2 * * *", "0 0-1,4,6-23 * * *", "30 3 * * 0", "15 0-1,4,6-23 * * *", "0 5 * * *", "20 * * * *"},
		},
		"FullMostly": {
			reason: "A single hour that is left is written as one.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo2", "0 0-4,6-23 * * *", "")},
			want:   []string{"0 0-4,6-23 * * *", "15 5 * * *"},
		},
		"FullAlways": {
			reason: "Full backups in every hour leave no room, for no repository.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo1", "5 * * * *", ""), scheduled("repo2", "", "")},
			want:   []string{"5 * * * *", "", "15 2 * * *", ""},
		},
		"Own": {
			reason: "Own schedules are taken as they are.",
			repos:  []v1alpha1.BackupRepo{scheduled("repo1", "1 1 * * *", "2  * * * *")},
			want:   []string{"1 1 * * *", "2  * * * *"},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec, err := BuildPerconaPGClusterSpec(repos(tc.repos...))
			if err != nil {
				t.Fatalf("\n%s\nBuildPerconaPGClusterSpec(...): %v", tc.reason, err)
			}
			var got []string
			for _, repo := range spec.Backups.PGBackRest.Repos {
				incr := ""
				if repo.BackupSchedules.Incremental != nil {
					incr = *repo.BackupSchedules.Incremental
				}
				got = append(got, *repo.BackupSchedules.Full, incr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): schedules: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFlatDefaultMakesWay: an API server writes the default of incrSchedule into
// every server, so it is nobody's choice.
func TestFlatDefaultMakesWay(t *testing.T) {
	var defaulted v1alpha1.PerconaSpec
	defaulted.SetDefaults()
	for full, want := range map[string]string{
		"0 2 * * *":   defaulted.Backup.IncrSchedule,
		"0 3 * * *":   "0 0-2,4-23 * * *",
		"30 4 * * 0":  "0 0-3,5-23 * * *",
		"0 1 1 JAN *": "0 0,2-23 * * *",
	} {
		for _, incr := range []string{"", defaulted.Backup.IncrSchedule} {
			spec, err := BuildPerconaPGClusterSpec(server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", FullSchedule: full, IncrSchedule: incr}}))
			if err != nil {
				t.Fatalf("fullSchedule %s: %v", full, err)
			}
			if diff := cmp.Diff(want, *spec.Backups.PGBackRest.Repos[0].BackupSchedules.Incremental); diff != "" {
				t.Errorf("fullSchedule %s, incrSchedule %q: -want, +got:\n%s", full, incr, diff)
			}
		}
	}
}

func TestSchedulesRefused(t *testing.T) {
	const (
		flat   = "spec.percona.backup."
		first  = "spec.percona.backup.repos[0]."
		second = "spec.percona.backup.repos[1]."
		remedy = ": one backup runs at a time, so choose another minute, or leave out that hour"
		syntax = "must be a cron expression of five fields, like 0 2 * * *"
		never  = "never runs: none of its months has such a day"
	)
	short := func(full, incr string) *v1alpha1.DittoServer {
		return server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", FullSchedule: full, IncrSchedule: incr}})
	}
	cases := map[string]struct {
		reason string
		ds     *v1alpha1.DittoServer
		want   []string
	}{
		"Apart": {
			reason: "Other minutes, hours, months or days are other times.",
			ds: repos(
				scheduled("repo1", "0 2 * 1-6 0", "0 2 * 1-6 1-6"), scheduled("repo2", "0 2 1-15 7-12 *", "0 2 16-31 7-12 ?"),
				scheduled("repo3", "0 3 * * *", "1 2,3 * * *"), scheduled("repo4", "30 2 31 * *", "30 2 31 2 1"),
			),
		},
		"DailyAndHourly": {
			reason: "The DittoFS operator's own pair.",
			ds:     short("0 2 * * *", "0 * * * *"),
			want:   []string{flat + `incrSchedule: Invalid value: "0 * * * *": must not start together with ` + flat + `fullSchedule (0 2 * * *), for example on Sunday 1 January at 02:00 UTC` + remedy},
		},
		"WrittenOtherwise": {
			reason: "A time can be written in many ways.",
			ds:     short("0 2 * * *", "00 2 * jun ?"),
			want:   []string{flat + `incrSchedule: Invalid value: "00 2 * jun ?": must not start together with ` + flat + `fullSchedule (0 2 * * *), for example on Sunday 1 June at 02:00 UTC` + remedy},
		},
		"DailyAndWeekly": {
			reason: "Repositories are those of one cluster.",
			ds:     repos(scheduled("repo1", "0 2 * * *", ""), scheduled("repo2", "0 2 * * 3", "")),
			want:   []string{second + `fullSchedule: Invalid value: "0 2 * * 3": must not start together with ` + first + `fullSchedule (0 2 * * *), for example on Wednesday 1 January at 02:00 UTC` + remedy},
		},
		"Default": {
			reason: "Of a default and a choice, the choice is refused, and only once.",
			ds:     repos(scheduled("repo1", "", "15,30 2-3 * * *"), scheduled("repo2", "", "")),
			want:   []string{first + `incrSchedule: Invalid value: "15,30 2-3 * * *": must not start together with ` + second + `fullSchedule (15 2 * * * by default), for example on Sunday 1 January at 02:15 UTC` + remedy},
		},
		"EitherDay": {
			reason: "Where both kinds of day are restricted, cron takes either.",
			ds:     short("0 2 13 * 5", "0 2 20 12 *"),
			want:   []string{flat + `incrSchedule: Invalid value: "0 2 20 12 *": must not start together with ` + flat + `fullSchedule (0 2 13 * 5), for example on Friday 20 December at 02:00 UTC` + remedy},
		},
		"LeapDay": {
			reason: "Once in 28 years is together: next in 2044.",
			ds:     short("0 2 29 2 *", "0 2 * * 1"),
			want:   []string{flat + `incrSchedule: Invalid value: "0 2 * * 1": must not start together with ` + flat + `fullSchedule (0 2 29 2 *), for example on Monday 29 February at 02:00 UTC` + remedy},
		},
		"Never": {
			reason: "Nobody has a backup of a day that does not come.",
			ds:     repos(scheduled("repo1", "0 2 31 2 *", ""), scheduled("repo2", "0 2 30 2 *", "0 4 31 4,6,9,11 *")),
			want: []string{
				first + `fullSchedule: Invalid value: "0 2 31 2 *": ` + never,
				second + `fullSchedule: Invalid value: "0 2 30 2 *": ` + never,
				second + `incrSchedule: Invalid value: "0 4 31 4,6,9,11 *": ` + never,
			},
		},
		"Syntax": {
			reason: "A schedule is one of cron's with five fields, in UTC.",
			ds:     repos(scheduled("repo1", "0 25 * * *", "hourly"), scheduled("repo2", "@daily", "@every 1h"), scheduled("repo3", "TZ=UTC", "CRON_TZ=Asia/Tokyo 0 2 * * *"), scheduled("repo4", "0 0 2 * * *", "0 2 * * 7")),
			want: []string{
				first + `fullSchedule: Invalid value: "0 25 * * *": ` + syntax + `: end of range (25) above maximum (23): 25`,
				first + `incrSchedule: Invalid value: "hourly": ` + syntax + `: expected exactly 5 fields, found 1: [hourly]`,
				second + `fullSchedule: Invalid value: "@daily": ` + syntax + `: parser does not accept descriptors: @daily`,
				second + `incrSchedule: Invalid value: "@every 1h": ` + syntax + `: parser does not accept descriptors: @every 1h`,
				`spec.percona.backup.repos[2].fullSchedule: Invalid value: "TZ=UTC": ` + syntax + `, in UTC: leave out the time zone`,
				`spec.percona.backup.repos[2].incrSchedule: Invalid value: "CRON_TZ=Asia/Tokyo 0 2 * * *": ` + syntax + `, in UTC: leave out the time zone`,
				`spec.percona.backup.repos[3].fullSchedule: Invalid value: "0 0 2 * * *": ` + syntax + `: expected exactly 5 fields, found 6: [0 0 2 * * *]`,
				`spec.percona.backup.repos[3].incrSchedule: Invalid value: "0 2 * * 7": ` + syntax + `: end of range (7) above maximum (6): 7`,
			},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range Validate(tc.ds) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestOverriddenSchedules: no backup that overrides ask for starts together with
// another one, and of the two it is the one that is refused.
func TestOverriddenSchedules(t *testing.T) {
	cases := map[string]struct {
		reason string
		patch  string
		want   string
	}{
		"Apart":  {reason: "A time of its own, which may have a name.", patch: `[{"name": "repo1", "schedules": {"incremental": "30 4 * * *"}}, {"name": "repo2", "schedules": {"differential": "@yearly"}}]`},
		"Before": {reason: "The other one is older.", patch: `[{"name": "repo1", "schedules": {"differential": "15 * * * 6"}}]`, want: `spec.percona.overrides.backups.pgbackrest.repos[repo1].schedules.differential: Invalid value: "15 * * * 6": must not start together with spec.percona.backup.repos[1].fullSchedule (15 2 * * * by default), for example on Saturday 1 January at 02:15 UTC`},
		"Both":   {reason: "The other one is overridden, too.", patch: `[{"name": "repo1", "schedules": {"full": "50 * * * *"}}, {"name": "repo2", "schedules": {"incremental": "50 1 * * *"}}]`, want: `spec.percona.overrides.backups.pgbackrest.repos[repo2].schedules.incremental: Invalid value: "50 1 * * *": must not start together with spec.percona.overrides.backups.pgbackrest.repos[repo1].schedules.full (50 * * * *), for example on Sunday 1 January at 01:50 UTC`},
		"Never":  {reason: "A day that does not come.", patch: `[{"name": "repo1", "schedules": {"full": "0 2 31 2 *"}}]`, want: `spec.percona.overrides.backups.pgbackrest.repos[repo1].schedules.full: Invalid value: "0 2 31 2 *": never runs`},
		"Zone":   {reason: "A zone has its own hours, some of them twice a year.", patch: `[{"name": "repo1", "schedules": {"full": "TZ=UTC"}}]`, want: `spec.percona.overrides.backups.pgbackrest.repos[repo1].schedules.full: Invalid value: "TZ=UTC": must be a cron expression`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, enabled := range []bool{true, false} {
				ds := repos(scheduled("repo1", "", ""), scheduled("repo2", "", ""))
				ds.Spec.Percona.Overrides = overrides(fmt.Sprintf(`{"backups": {"enabled": %t, "pgbackrest": {"repos": %s}}}`, enabled, tc.patch))
				_, err := BuildPerconaPGClusterSpec(ds)
				got := ""
				if err != nil {
					got = err.Error()
				}
				want := tc.want
				if !enabled && strings.Contains(want, "together") {
					// Nothing starts.
					want = ""
				}
				if want == "" && got != "" || !strings.HasPrefix(got, want) {
					t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...), backups.enabled: %t: want %q, got %q", tc.reason, enabled, want, got)
				}
			}
		})
	}
}

// TestTogether compares days with the operator's own cron library, which goes
// through 28 years: in as many, each day of the year falls on each day of the
// week.
func TestTogether(t *testing.T) {
	const day = 24 * time.Hour
	from := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(28, 0, 0)
	// onOrAfter a midnight; to if never.
	onOrAfter := func(s *cron.SpecSchedule, midnight time.Time) time.Time {
		if next := s.Next(midnight.Add(-time.Second)); !next.IsZero() && next.Before(to) {
			return next.Truncate(day)
		}
		return to
	}

	days := rapid.SampledFrom([]string{"*", "*", "1", "13,29", "30", "31", "29-31", "1-31/7", "?", "1-31"})
	months := rapid.SampledFrom([]string{"*", "2", "4,6", "JAN", "2-12/2", "12"})
	weekdays := rapid.SampledFrom([]string{"*", "*", "0", "MON", "1-5", "*/3", "0-6"})
	drawn := func(t *rapid.T, label string) *cron.SpecSchedule {
		expr := fmt.Sprintf("0 2 %s %s %s", days.Draw(t, label+" day"), months.Draw(t, label+" month"), weekdays.Draw(t, label+" weekday"))
		s, err := cron.ParseStandard(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		return as[*cron.SpecSchedule](s)
	}

	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawn(rt, "a"), drawn(rt, "b")
		when, got := together(a, b)

		dayA, dayB := onOrAfter(a, from), onOrAfter(b, from)
		for dayA.Before(to) && dayB.Before(to) && !dayA.Equal(dayB) {
			if dayA.Before(dayB) {
				dayA = onOrAfter(a, dayA.Add(day))
			} else {
				dayB = onOrAfter(b, dayB.Add(day))
			}
		}
		if want := dayA.Before(to) && dayB.Before(to); got != want {
			rt.Fatalf("together(...): want %t on %s, got %t on %s", want, dayA.Format(time.RFC850), got, when)
		}

		next := from
		for got && next.Before(to) && (next.Month() != when.month || next.Day() != when.day || next.Weekday() != when.weekday) {
			next = next.Add(day)
		}
		if got && (!onOrAfter(a, next).Equal(next) || !onOrAfter(b, next).Equal(next) || when.hour != 2 || when.minute != 0) {
			rt.Errorf("together(...): %s is none", when)
		}
	})
}
