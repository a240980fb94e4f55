package percona

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

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

func TestSchedules(t *testing.T) {
	type want struct{ full, incr, err string }
	cases := map[string]struct {
		reason string
		repo   v1alpha1.BackupRepo
		want   want
	}{
		"Default": {
			reason: "The flat fields' own defaults are those of the first repository.",
			repo:   v1alpha1.BackupRepo{Name: "repo1"},
			want:   want{full: "0 2 * * *", incr: "0 0-1,3-23 * * *"},
		},
		"Last": {
			reason: "The fourth is 45 minutes later.",
			repo:   v1alpha1.BackupRepo{Name: "repo4"},
			want:   want{full: "45 2 * * *", incr: "45 0-1,3-23 * * *"},
		},
		"FullAtOtherHours": {
			reason: "Incremental backups leave the hours alone that full ones take.",
			repo:   v1alpha1.BackupRepo{Name: "repo1", FullSchedule: "30 0,12,23 * * 0"},
			want:   want{full: "30 0,12,23 * * 0", incr: "0 1-11,13-22 * * *"},
		},
		"FullMostly": {
			reason: "A single hour that is left is written as one.",
			repo:   v1alpha1.BackupRepo{Name: "repo2", FullSchedule: "0 0-4,6-23 * * *"},
			want:   want{full: "0 0-4,6-23 * * *", incr: "15 5 * * *"},
		},
		"FullAlways": {
			reason: "Full backups in every hour leave no room.",
			repo:   v1alpha1.BackupRepo{Name: "repo1", FullSchedule: "0 * * * *"},
			want:   want{full: "0 * * * *"},
		},
		"Own":         {reason: "Own schedules are taken as they are.", repo: v1alpha1.BackupRepo{Name: "repo1", FullSchedule: "1 1 * * *", IncrSchedule: "2 * * * *"}, want: want{full: "1 1 * * *", incr: "2 * * * *"}},
		"BadFull":     {reason: "A schedule is one of cron's.", repo: v1alpha1.BackupRepo{Name: "repo1", FullSchedule: "0 25 * * *"}, want: want{err: "at.fullSchedule"}},
		"BadIncr":     {reason: "A schedule is one of cron's.", repo: v1alpha1.BackupRepo{Name: "repo1", IncrSchedule: "hourly"}, want: want{err: "at.incrSchedule"}},
		"NoInterval":  {reason: "The operator panics at an interval.", repo: v1alpha1.BackupRepo{Name: "repo1", IncrSchedule: "@every 1h"}, want: want{err: "at.incrSchedule"}},
		"Descriptors": {reason: "The operator knows names.", repo: v1alpha1.BackupRepo{Name: "repo1", FullSchedule: "@daily"}, want: want{full: "@daily", incr: "0 1-23 * * *"}},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got want
			full, incr, err := schedules(field.NewPath("at"), tc.repo)
			got.full, got.incr = full, incr
			if fe, ok := errors.AsType[*field.Error](err); ok {
				got = want{err: fe.Field}
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("\n%s\nschedules(...): %v: -want, +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}

// TestFlatFieldsAreShort holds repos to the flat fields: they say the same of a
// first repository on S3.
func TestFlatFieldsAreShort(t *testing.T) {
	ref := &v1alpha1.LocalSecretRef{Name: "s3"}
	flat := wantedOf(t, server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", CredentialsSecretRef: ref}}))
	repos := wantedOf(t, server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{
		{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}, CredentialsSecretRef: ref}},
	}}}))
	if diff := cmp.Diff(flat.Spec, repos.Spec); diff != "" {
		t.Errorf("-flat, +repos:\n%s", diff)
	}
}
