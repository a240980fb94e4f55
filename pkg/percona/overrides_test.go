package percona

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

func TestOverrides(t *testing.T) {
	base := v1alpha1.PerconaSpec{
		StorageSize: "10Gi",
		Parameters:  map[string]string{"work_mem": "64MB"},
		PGBouncer:   v1alpha1.PGBouncerSpec{Enabled: new(true)},
		Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{
			{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}}},
			{Name: "repo2", RepoLocation: onVolume()},
		}},
	}
	cases := map[string]struct {
		reason string
		patch  string
		change func(spec map[string]any)
	}{
		"Nothing": {reason: "An empty patch changes nothing.", patch: `{}`, change: unchanged},
		"Null":    {reason: "No patch changes nothing.", patch: `null`, change: unchanged},
		"Add": {
			reason: "What no field says can be said here, with numbers as numbers and quantities in their canonical form.",
			patch:  `{"port": 5433, "tlsOnly": true, "expose": {"type": "LoadBalancer"}, "instances": [{"name": "instance1", "resources": {"limits": {"memory": "2048Mi"}}}]}`,
			change: func(spec map[string]any) {
				spec["port"], spec["tlsOnly"] = int64(5433), true
				spec["expose"] = map[string]any{"type": "LoadBalancer"}
				instance(spec)["resources"] = map[string]any{"limits": map[string]any{"memory": "2Gi"}}
			},
		},
		"Remove": {
			reason: "A null removes what a field said, and is nothing where there is nothing.",
			patch:  `{"patroni": null, "standbyBy": null, "proxy": {"pgBouncer": {"replicas": null}}}`,
			change: func(spec map[string]any) {
				delete(spec, "patroni")
				delete(below(spec, "proxy", "pgBouncer"), "replicas")
			},
		},
		"NestedNull": {
			reason: "A null in what is added is nothing.",
			patch:  `{"expose": {"type": "NodePort", "nodePort": null}}`,
			change: func(spec map[string]any) { spec["expose"] = map[string]any{"type": "NodePort"} },
		},
		"Items": {
			reason: "Items merge by name, wherever they are in the list; a new one comes last.",
			patch:  `{"backups": {"pgbackrest": {"repos": [{"name": "repo2", "schedules": {"full": null, "differential": "30 4 * * *"}}, {"name": "repo3", "gcs": {"bucket": "g"}}]}}}`,
			change: func(spec map[string]any) {
				repos := listAt(archive(spec), "repos")
				schedules := below(as[map[string]any](repos[1]), "schedules")
				delete(schedules, "full")
				schedules["differential"] = "30 4 * * *"
				archive(spec)["repos"] = append(repos, map[string]any{"name": "repo3", "gcs": map[string]any{"bucket": "g"}})
			},
		},
		"OtherLists": {
			reason: "All other lists are replaced.",
			patch:  `{"instances": [{"name": "instance1", "dataVolumeClaimSpec": {"accessModes": ["ReadWriteOncePod"]}}], "imagePullSecrets": [{"name": "other"}]}`,
			change: func(spec map[string]any) {
				below(instance(spec), "dataVolumeClaimSpec")["accessModes"] = []any{"ReadWriteOncePod"}
				spec["imagePullSecrets"] = []any{map[string]any{"name": "other"}}
			},
		},
		"Schemaless": {
			reason: "Patroni's configuration is its own business, but for the parameters.",
			patch:  `{"patroni": {"dynamicConfiguration": {"maximum_lag_on_failover": 1048576, "postgresql": {"parameters": {"work_mem": "1MB", "max_connections": 200, "wal_level": "logical"}}}}}`,
			change: func(spec map[string]any) {
				dynamic := below(spec, "patroni", "dynamicConfiguration")
				dynamic["maximum_lag_on_failover"] = int64(1048576)
				dynamic["postgresql"] = map[string]any{"parameters": map[string]any{"work_mem": "1MB", "max_connections": int64(200), "wal_level": "logical"}}
			},
		},
		"BackupsOff": {
			reason: "Backups can be off and their settings stay.",
			patch:  `{"backups": {"enabled": false}}`,
			change: func(spec map[string]any) { below(spec, "backups")["enabled"] = false },
		},
		"Last": {
			reason: "The overrides have the last word, also over the platform's pull Secrets.",
			patch:  `{"imagePullSecrets": null}`,
			change: func(spec map[string]any) { delete(spec, "imagePullSecrets") },
		},
	}

	option := WithImagePullSecrets([]corev1.LocalObjectReference{{Name: "mirror"}})
	v := validatorsOf(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := *base.DeepCopy()
			plain, err := BuildPerconaPGClusterSpec(server(p), option)
			if err != nil {
				t.Fatalf("\n%s\nBuildPerconaPGClusterSpec(...): %v", tc.reason, err)
			}
			want, err := Manifest(plain)
			if err != nil {
				t.Fatalf("\n%s\nManifest(...): %v", tc.reason, err)
			}
			tc.change(want)

			p.Overrides = overrides(tc.patch)
			spec, err := BuildPerconaPGClusterSpec(server(p), option)
			if err != nil {
				t.Fatalf("\n%s\nBuildPerconaPGClusterSpec(...): %v", tc.reason, err)
			}
			got, err := Manifest(spec)
			if err != nil {
				t.Fatalf("\n%s\nManifest(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("\n%s\nManifest(BuildPerconaPGClusterSpec(...)): -want, +got:\n%s", tc.reason, diff)
			}
			v.accept(t, spec, got)
		})
	}
}

func TestOverridesRefused(t *testing.T) {
	cases := map[string]struct {
		reason string
		patch  string
		want   string
	}{
		// What is never overridden, also not by a null.
		"DataSource":      {reason: "A data source is asked for elsewhere.", patch: `{"dataSource": {"postgresCluster": {"repoName": "repo1"}}}`, want: "dataSource"},
		"Standby":         {reason: "A standby cannot be written to.", patch: `{"standby": {"enabled": true}}`, want: "standby"},
		"Users":           {reason: "The server's user is in that list.", patch: `{"users": [{"name": "admin"}]}`, want: "users"},
		"Secrets":         {reason: "The server verifies the operator's certificates.", patch: `{"secrets": {"customTLSSecret": {"name": "x"}}}`, want: "secrets"},
		"PostgresVersion": {reason: "A version has a field with rules.", patch: `{"postgresVersion": 17}`, want: "postgresVersion"},
		"Image":           {reason: "An image has a field with rules.", patch: `{"image": "x"}`, want: "image"},
		"CRVersion":       {reason: "A version has a field with rules.", patch: `{"crVersion": "2.9.0"}`, want: "crVersion"},
		"Pause":           {reason: "A pause has a field with rules.", patch: `{"pause": null}`, want: "pause"},
		"InitContainer":   {reason: "Its image is the operator's.", patch: `{"initContainer": {"image": "x"}}`, want: "initContainer"},
		"Sidecars":        {reason: "No other container runs beside the data.", patch: `{"instances": [{"name": "instance1", "sidecars": []}]}`, want: "instances[instance1].sidecars"},
		"VolumeMounts":    {reason: "Nothing else is mounted.", patch: `{"instances": [{"name": "instance1", "volumeMounts": []}]}`, want: "instances[instance1].volumeMounts"},
		"OtherSet":        {reason: "The set's name is part of its volumes' identity.", patch: `{"instances": [{"name": "instance2", "replicas": 1}]}`, want: "instances[instance2]"},
		"UnnamedSet":      {reason: "A set has a name.", patch: `{"instances": [{"replicas": 1}]}`, want: "instances[0].name"},
		"SetOfNothing":    {reason: "A set is an object.", patch: `{"instances": [null]}`, want: "instances[0].name"},
		"NoSets":          {reason: "The set cannot be removed.", patch: `{"instances": null}`, want: "instances"},
		"SetsAsObject":    {reason: "Sets are a list.", patch: `{"instances": {"name": "instance1"}}`, want: "instances"},
		"Manual":          {reason: "The operator writes it.", patch: `{"backups": {"pgbackrest": {"manual": {"repoName": "repo1"}}}}`, want: "backups.pgbackrest.manual"},
		"Restore":         {reason: "The operator writes it.", patch: `{"backups": {"pgbackrest": {"restore": null}}}`, want: "backups.pgbackrest.restore"},

		// What is no patch, or makes no cluster.
		"NoObject":      {reason: "A patch is an object.", patch: `[]`, want: ""},
		"NoJSON":        {reason: "A patch is JSON.", patch: `{`, want: ""},
		"Unknown":       {reason: "A field that the operator does not know would be lost.", patch: `{"tlsOnly": true, "backups": {"pgbackrest": {"repoHost": {"resource": {}}}}}`, want: "backups.pgbackrest.repoHost.resource"},
		"UnknownInItem": {reason: "Also in a list.", patch: `{"instances": [{"name": "instance1", "replica": 3}]}`, want: "instances[instance1].replica"},
		"OtherCase":     {reason: "Also one that differs in case alone.", patch: `{"Pause": true}`, want: "Pause"},
		"Type":          {reason: "A value has its field's type.", patch: `{"instances": [{"name": "instance1", "replicas": "three"}]}`, want: "instances[instance1].replicas"},
		"TooLarge":      {reason: "A number fits its field.", patch: `{"port": 4294972729}`, want: "port"},
		"Quantity":      {reason: "A quantity is one.", patch: `{"instances": [{"name": "instance1", "resources": {"limits": {"memory": "much"}}}]}`, want: "instances[instance1].resources.limits.memory"},
		"Dots":          {reason: "A key with dots can be told apart.", patch: `{"metadata": {"labels": {"a.b/c": 1}}}`, want: "metadata.labels[a.b/c]"},
		"NoName":        {reason: "An item has a name.", patch: `{"backups": {"pgbackrest": {"repos": [{"volume": {}}]}}}`, want: "backups.pgbackrest.repos[0].name"},
		"Twice":         {reason: "A repeated name fails the whole apply.", patch: `{"backups": {"pgbackrest": {"repos": [{"name": "repo2"}, {"name": "repo2"}]}}}`, want: "backups.pgbackrest.repos[1].name"},
		"ClaimsTwice":   {reason: "Also in other lists with names.", patch: `{"instances": [{"name": "instance1", "resources": {"claims": [{"name": "a"}, {"name": "a"}]}}]}`, want: "instances[instance1].resources.claims[1].name"},
		"NoVolume":      {reason: "PostgreSQL has a volume.", patch: `{"instances": [{"name": "instance1", "dataVolumeClaimSpec": null}]}`, want: "instances[instance1]"},
		"NoImage":       {reason: "The operator wants it.", patch: `{"backups": {"pgbackrest": null}}`, want: "backups.pgbackrest.image"},
		"NoRepo":        {reason: "Backups go somewhere.", patch: `{"backups": {"enabled": true}}`, want: "backups.pgbackrest.repos"},
		"NoProxyImage":  {reason: "The operator wants it.", patch: `{"proxy": {"pgBouncer": {"replicas": 2}}}`, want: "proxy.pgBouncer.image"},
		"Interval":      {reason: "The operator panics at an interval.", patch: `{"backups": {"pgbackrest": {"repos": [{"name": "repo1", "gcs": {"bucket": "b"}, "schedules": {"differential": "@every 1h"}}]}}}`, want: "backups.pgbackrest.repos[repo1].schedules.differential"},
		"Parameter":     {reason: "The operator's parameters are no more to be had here.", patch: `{"patroni": {"dynamicConfiguration": {"postgresql": {"parameters": {"archive_mode": "off"}}}}}`, want: "patroni.dynamicConfiguration.postgresql.parameters[archive_mode]"},
		"Config":        {reason: "Nor in the other place for them.", patch: `{"config": {"parameters": {"port": 5433}}}`, want: "config.parameters[port]"},
		"ConfigLevel":   {reason: "There the definition refuses what is possible elsewhere.", patch: `{"config": {"parameters": {"wal_level": "replica"}}}`, want: "config.parameters[wal_level]"},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := BuildPerconaPGClusterSpec(server(v1alpha1.PerconaSpec{Overrides: overrides(tc.patch)}))
			got := ""
			if fe, ok := errors.AsType[*field.Error](err); ok {
				got = fe.Field
			}
			want := "spec.percona.overrides"
			if tc.want != "" {
				want += "." + tc.want
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): %v: -want field, +got field:\n%s", tc.reason, err, diff)
			}
		})
	}
}

func TestOverridesPath(t *testing.T) {
	ds := server(v1alpha1.PerconaSpec{Overrides: overrides(`{"backups": {"pgbackrest": {"image": "x", "global": null}}, "port": 1}`)})
	for path, want := range map[string]bool{
		"backups.pgbackrest.image": true, "backups.pgbackrest": true, "backups.pgbackrest.global": true, "port": true,
		"image": false, "backups.image": false, "port.image": false, "proxy.pgBouncer.image": false,
	} {
		if got := Overrides(ds, path); got != want {
			t.Errorf("Overrides(..., %q): want %t, got %t", path, want, got)
		}
	}
	for _, none := range []string{"", "[]", "{"} {
		if Overrides(server(v1alpha1.PerconaSpec{Overrides: overrides(none)}), "image") {
			t.Errorf("%q overrides nothing", none)
		}
	}
}

// FuzzOverrides takes anything for a patch. Whatever it is, it is refused by a
// field's path, or makes a cluster whose identity is what it was.
func FuzzOverrides(f *testing.F) {
	for _, patch := range []string{
		`{}`, `null`, `7`, `{"instances": [{"name": "instance1"}, 1]}`, `{"users": null}`, `{"": {"": 1}}`,
		`{"instances": [{"name": "instance1", "replicas": 1e30, "Replicas": 2}]}`,
		`{"patroni": {"dynamicConfiguration": {"postgresql": {"parameters": []}}}}`,
		`{"backups": {"pgbackrest": {"repos": [{"name": "repo1", "name": 7}]}}}`,
	} {
		f.Add(patch)
	}
	f.Fuzz(func(t *testing.T, patch string) { overridesHold(t, patch) })
}

func overridesHold(t rapid.TB, patch string) {
	t.Helper()

	ds := highlyAvailable()
	ds.Spec.Percona.Overrides = nil
	plain := wantedOf(t, ds).Spec
	ds.Spec.Percona.Overrides = overrides(patch)

	spec, err := BuildPerconaPGClusterSpec(ds)
	if err != nil {
		if _, ok := errors.AsType[*field.Error](err); !ok {
			t.Errorf("BuildPerconaPGClusterSpec(...) with %q: no *field.Error: %v", patch, err)
		}
		return
	}
	got, err := Manifest(spec)
	if err != nil {
		t.Fatalf("Manifest(...) with %q: %v", patch, err)
	}
	for _, key := range []string{"dataSource", "users", "postgresVersion", "image", "crVersion", "pause", "standby", "secrets", "initContainer"} {
		if diff := cmp.Diff(plain[key], got[key]); diff != "" {
			t.Errorf("%q overrides %s: -without, +with:\n%s", patch, key, diff)
		}
	}
	if len(spec.InstanceSets) != 1 || spec.InstanceSets[0].Name != InstanceSet {
		t.Errorf("%q makes other instance sets: %v", patch, spec.InstanceSets)
	}
}
