package percona

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// wantedYAML is a spec that is short enough to be read in a test.
const wantedYAML = `
postgresVersion: 16
image: mirror/pg:16.13-1
instances:
- name: instance1
  replicas: 2
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    storageClassName: fast
    resources: {requests: {storage: 10Gi}}
users:
- name: dittofs
  databases: [dittofs]
backups:
  enabled: true
  pgbackrest:
    image: mirror/backrest:1
    configuration: [{secret: {name: s3}}]
    global: {repo1-path: /new, repo1-retention-full: "7"}
    repos:
    - name: repo1
      s3: {bucket: backups}
`

// wanted is wantedYAML, changed.
func wantedWith(t *testing.T, change func(spec map[string]any), defaults ...string) Wanted {
	t.Helper()

	spec := parse(t, wantedYAML)
	change(spec)
	return Wanted{Spec: spec, Defaults: defaults}
}

func unchanged(map[string]any) {}

// liveWith is a cluster with that spec, and managedFields if any are given.
func liveWith(t *testing.T, spec, managedFields string) map[string]any {
	t.Helper()

	live := map[string]any{"spec": floats(parse(t, spec))}
	if managedFields != "" {
		var entries []any
		if err := yaml.Unmarshal([]byte(managedFields), &entries); err != nil {
			t.Fatal(err)
		}
		live["metadata"] = map[string]any{"managedFields": entries}
	}
	return live
}

// floats turns numbers into what protobuf makes of them.
func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			v[k] = floats(child)
		}
	case []any:
		for i, child := range v {
			v[i] = floats(child)
		}
	case int64:
		return float64(v)
	}
	return v
}

func TestSend(t *testing.T) {
	claim := func(spec map[string]any) map[string]any {
		return below(instance(spec), "dataVolumeClaimSpec")
	}
	size := func(v any) func(spec map[string]any) {
		return func(spec map[string]any) {
			claim(spec)["resources"] = map[string]any{"requests": map[string]any{"storage": v}}
		}
	}
	remedyVersion := "upgrade with a PerconaPGUpgrade, or set spec.percona.postgresVersion: 17"
	remedyImage := "PostgreSQL 17 is in force: set spec.percona.postgresVersion and spec.percona.images accordingly, or upgrade with a PerconaPGUpgrade"
	remedyClaim := "a volume's class and access modes stay: ask for what is live, or for nothing"

	type args struct {
		live   map[string]any
		wanted Wanted
		policy v1alpha1.UpdatePolicy
	}
	type want struct {
		spec  map[string]any
		diffs []Difference
	}
	same := func(t *testing.T, change func(map[string]any)) map[string]any {
		t.Helper()
		return wantedWith(t, change).Spec
	}
	onCreate := func(path, want, have string) Difference {
		return Difference{Path: path, Want: want, Have: have, Remedy: remedyOnCreate}
	}
	refused := func(path, want, have, remedy string) Difference {
		return Difference{Path: path, Want: want, Have: have, Refused: true, Remedy: remedy}
	}

	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"NotLive": {
			reason: "A new cluster gets all that is wanted.",
			args:   args{wanted: wantedWith(t, unchanged)},
			want:   want{spec: same(t, unchanged)},
		},
		"NotLiveOperatorsFields": {
			reason: "What the operator writes is not sent, whoever wants it.",
			args: args{wanted: wantedWith(t, func(spec map[string]any) {
				spec["pause"] = false
				archive(spec)["manual"] = map[string]any{"repoName": "repo1"}
				archive(spec)["restore"] = map[string]any{"enabled": true}
			})},
			want: want{spec: same(t, unchanged)},
		},

		// Ownership.
		"OwnNothing": {
			reason: "Where others own all fields nothing is sent.",
			args: args{
				live: liveWith(t, wantedYAML, `
- {manager: kubectl, operation: Apply, fieldsV1: {"f:spec": {"f:image": {}}}}
- {manager: us, operation: Update, fieldsV1: {"f:spec": {"f:image": {}}}}
- {manager: us, operation: Apply, subresource: status, fieldsV1: {"f:spec": {"f:image": {}}}}
- {manager: us, operation: Apply, fieldsV1: {"f:metadata": {}}}
`),
				wanted: wantedWith(t, unchanged),
			},
		},
		"OwnNothingPause": {
			reason: "A pause is sent also where nothing else is.",
			args: args{
				live:   liveWith(t, wantedYAML, "[{manager: kubectl, operation: Apply}]"),
				wanted: wantedWith(t, func(spec map[string]any) { spec["pause"] = true }),
			},
			want: want{spec: map[string]any{"pause": true}},
		},
		"OwnInTwoVersions": {
			reason: "Two entries of ours, one per API version, count together.",
			args: args{
				live: liveWith(t, wantedYAML, `
- {manager: us, operation: Apply, apiVersion: pgv2.percona.com/v2, fieldsV1: {"f:spec": {"f:image": {}, "f:backups": {"f:enabled": {}}}}}
- {manager: us, operation: Apply, apiVersion: pgv2.percona.com/v3, fieldsV1: {"f:spec": {"f:postgresVersion": {}, "f:backups": {"f:pgbackrest": {"f:image": {}}}}}}
`),
				wanted: wantedWith(t, unchanged),
			},
			want: want{spec: parse(t, `
image: mirror/pg:16.13-1
postgresVersion: 16
backups: {enabled: true, pgbackrest: {image: mirror/backrest:1}}
`)},
		},
		"OwnItems": {
			reason: "Of a list's items the owned part is sent with the keys; items and fields that are gone are not; what is the operator's never is.",
			args: args{
				live: liveWith(t, wantedYAML+"\npause: true", `
- manager: us
  operation: Apply
  fieldsV1:
    "f:spec":
      "f:pause": {}
      "f:gone": {}
      "f:image": {"f:was": {"f:a": {}}}
      "f:instances":
        'k:{"name":"instance1"}': {}
        'k:{"name":"gone"}': {".": {}, "f:replicas": {}}
      "f:users":
        'k:{"name":"dittofs"}': {".": {}, "f:databases": {'v:"dittofs"': {}, 'v:"gone"': {}}, "f:gone": {}}
      "f:backups":
        "f:pgbackrest": {".": {}, "f:global": {".": {}, "f:gone": {}}, "f:configuration": {"i:0": {"f:secret": {}}}, "f:repos": {".": {}, 'k:{"name":"gone"}': {}}}
`),
				wanted: wantedWith(t, unchanged),
			},
			want: want{spec: parse(t, `
instances: [{name: instance1}]
users: [{name: dittofs, databases: [dittofs]}]
backups: {pgbackrest: {global: {}, configuration: [{secret: {name: s3}}], repos: []}}
`)},
		},
		"NoManagedFields": {
			reason: "Offline the wanted fields are sent with their observed values; what live lacks is not, nor is what nobody wants.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
image: mirror/pg:16.13-1
crVersion: 2.9.0
pause: true
instances:
- {name: other, replicas: 1}
- {name: instance1, replicas: 5}
users:
- name: dittofs
  databases: [more, dittofs]
backups:
  enabled: true
  pgbackrest:
    manual: {repoName: repo1}
    configuration: [{secret: {name: s3}}, {secret: {name: s4}}]
    global: {repo1-path: /old}
    repos: [{name: repo2}]
`, ""),
				wanted: wantedWith(t, unchanged),
			},
			want: want{
				spec: parse(t, `
postgresVersion: 16
image: mirror/pg:16.13-1
instances:
- {name: instance1, replicas: 5}
users:
- name: dittofs
  databases: [dittofs]
backups:
  enabled: true
  pgbackrest:
    configuration: [{secret: {name: s3}}, {secret: {name: s4}}]
    global: {repo1-path: /old}
`),
				diffs: []Difference{
					onCreate("spec.backups.pgbackrest.configuration", `[{"secret":{"name":"s3"}}]`, `[{"secret":{"name":"s3"}},{"secret":{"name":"s4"}}]`),
					onCreate("spec.backups.pgbackrest.global.repo1-retention-full", "7", ""),
					onCreate("spec.backups.pgbackrest.image", "mirror/backrest:1", ""),
					onCreate("spec.backups.pgbackrest.repos[repo1].s3.bucket", "backups", ""),
					onCreate("spec.instances[instance1].dataVolumeClaimSpec.accessModes", `["ReadWriteOnce"]`, ""),
					onCreate("spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage", "10Gi", ""),
					onCreate("spec.instances[instance1].dataVolumeClaimSpec.storageClassName", "fast", ""),
					onCreate("spec.instances[instance1].replicas", "2", "5"),
				},
			},
		},
		"UnreadableManagedFields": {
			reason: "Where ownership cannot be read nothing may be reverted, so observed values are sent.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 16, image: other}", `[{manager: us, operation: Apply, fieldsV1: {"f:spec": {"f:image": {"x:y": {}}, "z:": {}}}}]`),
				wanted: wantedWith(t, func(spec map[string]any) { clear(spec); spec["image"] = "mirror/pg:16" }),
			},
			want: want{
				spec:  map[string]any{"image": "other"},
				diffs: []Difference{onCreate("spec.image", "mirror/pg:16", "other")},
			},
		},
		"UnreadableEntry": {
			reason: "An entry that is no entry makes all of them unreadable.",
			args: args{
				live:   liveWith(t, "{image: other}", `[{manager: us, operation: Apply, fieldsV1: {"f:spec": {}}}, 7]`),
				wanted: wantedWith(t, func(spec map[string]any) { clear(spec); spec["image"] = "other" }),
			},
			want: want{spec: map[string]any{"image": "other"}},
		},
		"UnreadableItem": {
			reason: "A key that is no JSON makes ownership unreadable.",
			args: args{
				live:   liveWith(t, "{users: [{name: dittofs}]}", `[{manager: us, operation: Apply, fieldsV1: {"f:spec": {"f:users": {"k:{": {}}}}}]`),
				wanted: wantedWith(t, func(spec map[string]any) { clear(spec); spec["users"] = []any{map[string]any{"name": "dittofs"}} }),
			},
			want: want{spec: parse(t, "users: [{name: dittofs}]")},
		},
		"UnreadableOwnFields": {
			reason: "Fields of ours that are no object make ownership unreadable.",
			args: args{
				live:   liveWith(t, "{image: other}", `[{manager: us, operation: Apply, fieldsV1: "f:image"}]`),
				wanted: wantedWith(t, func(spec map[string]any) { clear(spec); spec["image"] = "other" }),
			},
			want: want{spec: map[string]any{"image": "other"}},
		},

		// Differences.
		"Equal": {
			reason: "Values that mean the same do not differ: floats, other units, a set with more in it.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
image: mirror/pg:16.13-1
crVersion: 2.9.0
instances:
- name: instance1
  replicas: 2
  dataVolumeClaimSpec:
    accessModes: [ReadWriteOnce]
    storageClassName: fast
    resources: {requests: {storage: 10240Mi}}
users:
- name: other
- name: dittofs
  databases: [other, dittofs]
backups:
  enabled: true
  pgbackrest:
    image: mirror/backrest:1
    configuration: [{secret: {name: s3}}]
    global: {repo1-path: /old, repo1-retention-full: "7", log-level-file: info}
    repos:
    - name: repo1
      s3: {bucket: backups, region: eu-west-1}
`, "[{}]"),
				wanted: wantedWith(t, unchanged),
			},
		},
		"Defaults": {
			reason: "What nobody set follows the live cluster and is no difference, under any policy.",
			args: args{
				live: liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1', backups: {pgbackrest: {image: 'mirror/backrest:2'}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					clear(spec)
					spec["postgresVersion"] = int64(16)
					spec["image"] = DefaultImages(16).Postgres
					spec["backups"] = map[string]any{"pgbackrest": map[string]any{"image": "mirror/backrest:1"}}
				}, "postgresVersion", "image", "backups.pgbackrest.image"),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: parse(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1', backups: {pgbackrest: {image: 'mirror/backrest:2'}}}")},
		},
		"DefaultsAbsent": {
			reason: "A default that the live cluster lacks is sent under Always, unless it belongs to another version of PostgreSQL.",
			args: args{
				live: liveWith(t, "{postgresVersion: 17}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					clear(spec)
					spec["postgresVersion"] = int64(16)
					spec["image"] = DefaultImages(16).Postgres
					spec["backups"] = map[string]any{"pgbackrest": map[string]any{"image": "mirror/backrest:1"}}
				}, "postgresVersion", "image", "backups.pgbackrest.image"),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: parse(t, "{postgresVersion: 17, backups: {pgbackrest: {image: 'mirror/backrest:1'}}}")},
		},
		"DefaultVersionMinorImage": {
			reason: "An image of the version in force can be chosen without naming the version.",
			args: args{
				live: liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1'}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					clear(spec)
					spec["postgresVersion"] = int64(16)
					spec["image"] = "mirror/pg:17.10-1"
				}, "postgresVersion"),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: parse(t, "{postgresVersion: 17, image: 'mirror/pg:17.10-1'}")},
		},

		// Always.
		"Always": {
			reason: "Always sends all that is wanted, added or changed.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 16, instances: [{name: instance1, replicas: 5}], users: [{name: other}]}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, unchanged)},
		},
		"AlwaysRepoPath": {
			reason: "A repository that is in use stays where it is.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 16, backups: {pgbackrest: {global: {repo1-path: /old}, repos: [{name: repo1}]}}}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, func(spec map[string]any) { below(archive(spec), "global")["repo1-path"] = "/old" })},
		},
		"AlwaysRepoPathUnset": {
			reason: "That also holds where pgBackRest has chosen the path.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 16, backups: {pgbackrest: {repos: [{name: repo1}]}}}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, func(spec map[string]any) { delete(below(archive(spec), "global"), "repo1-path") })},
		},
		"AlwaysUpgraded": {
			reason: "After an upgrade version and images are those in force.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1', backups: {pgbackrest: {image: 'mirror/backrest:2'}}}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					spec["postgresVersion"] = int64(17)
					spec["image"] = "mirror/pg:17.9-1"
					archive(spec)["image"] = "mirror/backrest:2"
				}),
				diffs: []Difference{
					refused("spec.backups.pgbackrest.image", "mirror/backrest:1", "mirror/backrest:2", remedyImage),
					refused("spec.image", "mirror/pg:16.13-1", "mirror/pg:17.9-1", remedyImage),
					refused("spec.postgresVersion", "16", "17", remedyVersion),
				},
			},
		},
		"AlwaysUpgradedNoImages": {
			reason: "After an upgrade an image of the old version is not added.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 17}", ""),
				wanted: wantedWith(t, func(spec map[string]any) { delete(archive(spec), "image") }),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					spec["postgresVersion"] = int64(17)
					delete(spec, "image")
					delete(archive(spec), "image")
				}),
				diffs: []Difference{
					refused("spec.image", "mirror/pg:16.13-1", "", remedyImage),
					refused("spec.postgresVersion", "16", "17", remedyVersion),
				},
			},
		},
		"AlwaysImageOfOtherVersion": {
			reason: "The tag tells that an image is another version's, although the versions agree.",
			args: args{
				live:   liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1'}", ""),
				wanted: wantedWith(t, func(spec map[string]any) { spec["postgresVersion"] = int64(17); delete(archive(spec), "image") }),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					spec["postgresVersion"] = int64(17)
					spec["image"] = "mirror/pg:17.9-1"
					delete(archive(spec), "image")
				}),
				diffs: []Difference{refused("spec.image", "mirror/pg:16.13-1", "mirror/pg:17.9-1", remedyImage)},
			},
		},
		"AlwaysVersionAsText": {
			reason: "A version that somebody wrote as text is the same version.",
			args: args{
				live:   liveWith(t, "{postgresVersion: '16', image: other}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, func(spec map[string]any) { spec["postgresVersion"] = "16" })},
		},
		"AlwaysVersionUnreadable": {
			reason: "A version that cannot be read is left alone, and so are the images.",
			args: args{
				live:   liveWith(t, "{postgresVersion: sixteen, image: a, backups: {pgbackrest: {image: b}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) { clear(spec); spec["postgresVersion"] = int64(16); spec["image"] = "a:1" }, "postgresVersion"),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: map[string]any{"postgresVersion": "sixteen", "image": "a"},
				diffs: []Difference{
					refused("spec.image", "a:1", "a", "the version of PostgreSQL in force is unknown: correct the PerconaPGCluster's postgresVersion"),
				},
			},
		},
		"AlwaysShrink": {
			reason: "Volumes never shrink.",
			args: args{
				live:   liveWith(t, wantedYAML, ""),
				wanted: wantedWith(t, size("1Gi")),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, unchanged),
				diffs: []Difference{
					refused("spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage", "1Gi", "10Gi", "volumes never shrink: ask for at least 10Gi"),
				},
			},
		},
		"AlwaysGrow": {
			reason: "Volumes grow.",
			args: args{
				live:   liveWith(t, wantedYAML, ""),
				wanted: wantedWith(t, size("11Gi")),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, size("11Gi"))},
		},
		"AlwaysSizeAsNumber": {
			reason: "A size can be a number of bytes.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
instances:
- name: instance1
  dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 21474836480}}}
`, ""),
				wanted: wantedWith(t, size("20Gi")),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, size("20Gi"))},
		},
		"AlwaysSizeUnreadable": {
			reason: "A size that cannot be read is left alone.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
instances:
- name: instance1
  dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: a lot}}}
`, ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec:  same(t, size("a lot")),
				diffs: []Difference{refused("spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage", "10Gi", "a lot", "volumes never shrink: ask for at least a lot")},
			},
		},
		"AlwaysClaim": {
			reason: "Class and access modes of volumes stay, and a class that was taken by default is not named afterwards.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
instances:
- name: instance1
  dataVolumeClaimSpec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 10Gi}}}
`, ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					claim(spec)["accessModes"] = []any{"ReadWriteMany"}
					delete(claim(spec), "storageClassName")
				}),
				diffs: []Difference{
					refused("spec.instances[instance1].dataVolumeClaimSpec.accessModes", `["ReadWriteOnce"]`, `["ReadWriteMany"]`, remedyClaim),
					refused("spec.instances[instance1].dataVolumeClaimSpec.storageClassName", "fast", "", remedyClaim),
				},
			},
		},
		"AlwaysClassUnset": {
			reason: "A class that is not asked for any more stays, without a word.",
			args: args{
				live:   liveWith(t, wantedYAML, ""),
				wanted: wantedWith(t, func(spec map[string]any) { delete(claim(spec), "storageClassName") }),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, unchanged)},
		},
		"AlwaysRepoPaths": {
			reason: "Every repository that is in use stays where it is, and a new one goes where it is wanted.",
			args: args{
				live: liveWith(t, "{postgresVersion: 16, backups: {pgbackrest: {global: {repo2-path: /old, repo3-path: /gone, repo4-pathology: x}, repos: [{name: repo1}, {name: repo2}]}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					archive(spec)["global"] = map[string]any{"repo1-path": "/1", "repo2-path": "/2", "repo3-path": "/3", "repo4-path": "/4", "repo4-pathology": "y"}
				}),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, func(spec map[string]any) {
				archive(spec)["global"] = map[string]any{"repo2-path": "/old", "repo3-path": "/gone", "repo4-path": "/4", "repo4-pathology": "y"}
			})},
		},
		"AlwaysUpgradedProxy": {
			reason: "A pooler that is added after an upgrade has an image, or the operator would do nothing at all.",
			args: args{
				live: liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1', backups: {pgbackrest: {image: 'mirror/backrest:1'}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					spec["postgresVersion"], spec["image"] = int64(17), "mirror/pg:17.9-1"
					spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"image": "mirror/bouncer:1"}}
				}, "proxy.pgBouncer.image"),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, func(spec map[string]any) {
				spec["postgresVersion"], spec["image"] = int64(17), "mirror/pg:17.9-1"
				spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"image": "mirror/bouncer:1"}}
			})},
		},
		"AlwaysUpgradedProxyLive": {
			reason: "The image of a live pooler is the upgrade's.",
			args: args{
				live: liveWith(t, "{postgresVersion: 17, image: 'mirror/pg:17.9-1', proxy: {pgBouncer: {image: 'mirror/bouncer:2'}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					spec["image"] = "mirror/pg:17.9-1"
					spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"image": "mirror/bouncer:1", "replicas": int64(2)}}
				}),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					spec["postgresVersion"], spec["image"] = int64(17), "mirror/pg:17.9-1"
					spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"image": "mirror/bouncer:2", "replicas": int64(2)}}
				}),
				diffs: []Difference{
					refused("spec.postgresVersion", "16", "17", remedyVersion),
					refused("spec.proxy.pgBouncer.image", "mirror/bouncer:1", "mirror/bouncer:2", remedyImage),
				},
			},
		},
		"AlwaysQuantities": {
			reason: "Quantities that mean the same do not differ, whatever they are of.",
			args: args{
				live: liveWith(t, wantedYAML+"\nproxy: {pgBouncer: {resources: {requests: {cpu: 1000m, vendor.io/gpu: 2000m}, limits: {vendor.io/gpu: 2000m}}}}", ""),
				wanted: wantedWith(t, func(spec map[string]any) {
					spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "1", "vendor.io/gpu": "2"}, "limits": map[string]any{"vendor.io/gpu": "2"}}}}
				}),
			},
			want: want{spec: same(t, func(spec map[string]any) {
				spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "1000m", "vendor.io/gpu": "2000m"}, "limits": map[string]any{"vendor.io/gpu": "2000m"}}}}
			})},
		},
		"AlwaysKeepsUnowned": {
			reason: "Where ownership is not known all data may be ours, and stays.",
			args: args{
				live: liveWith(t, `
postgresVersion: 16
dataSource: {postgresCluster: {clusterName: other, repoName: repo1}}
instances:
- name: instance1
  walVolumeClaimSpec: {resources: {requests: {storage: 5Gi}}}
backups:
  pgbackrest:
    global: {repo2-retention-full: "3", repo3-retention-full: "4"}
    repos: [{name: repo2, volume: {volumeClaimSpec: {resources: {requests: {storage: 1Gi}}}}}, {name: repo2}, {name: repo3, s3: {bucket: x}}, 7]
`, ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{
				spec: same(t, func(spec map[string]any) {
					spec["dataSource"] = map[string]any{"postgresCluster": map[string]any{"clusterName": "other", "repoName": "repo1"}}
					instance(spec)["walVolumeClaimSpec"] = map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "5Gi"}}}
					below(archive(spec), "global")["repo2-retention-full"] = "3"
					archive(spec)["repos"] = append(listAt(archive(spec), "repos"), map[string]any{
						"name": "repo2", "volume": map[string]any{"volumeClaimSpec": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}}}},
					})
				}),
				diffs: []Difference{
					refused("spec.backups.pgbackrest.repos[repo2]", "", `{"volumeClaimSpec":{"resources":{"requests":{"storage":"1Gi"}}}}`, "the volume would be deleted with its backups: add repo2 to spec.percona.backup.repos, or remove it from the PerconaPGCluster"),
					refused("spec.instances[instance1].walVolumeClaimSpec", "", `{"resources":{"requests":{"storage":"5Gi"}}}`, "the write-ahead log stays on its volume: set spec.percona.walStorageSize: 5Gi, or remove this from the PerconaPGCluster"),
				},
			},
		},
		"AlwaysGarbage": {
			reason: "Live values of the wrong type are as good as none.",
			args: args{
				live:   liveWith(t, "{instances: {name: instance1}, users: [dittofs, {name: 7}], backups: [], image: {a: b}}", ""),
				wanted: wantedWith(t, unchanged),
				policy: v1alpha1.UpdateAlways,
			},
			want: want{spec: same(t, unchanged)},
		},
		"NoSpec": {
			reason: "A live cluster without a spec lacks everything.",
			args: args{
				live: map[string]any{"spec": "none", "metadata": "none"},
				wanted: wantedWith(t, func(spec map[string]any) {
					clear(spec)
					spec["image"] = "a"
					spec["users"] = []any{map[string]any{"name": "b"}}
				}),
			},
			want: want{diffs: []Difference{onCreate("spec.image", "a", ""), onCreate("spec.users[b]", "b", "")}},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live, wanted := clone(tc.args.live), clone(tc.args.wanted.Spec)
			spec, diffs := Send(tc.args.live, tc.args.wanted, "us", tc.args.policy)
			if diff := cmp.Diff(tc.want, want{spec, diffs}, cmp.AllowUnexported(want{}), emptyIsNil); diff != "" {
				t.Errorf("\n%s\nSend(...): -want, +got:\n%s", tc.reason, diff)
			}
			if !equal(live, clone(tc.args.live)) || !equal(wanted, clone(tc.args.wanted.Spec)) {
				t.Errorf("\n%s\nSend(...) changed its arguments", tc.reason)
			}
		})
	}
}

//nolint:gochecknoglobals // An option of cmp's.
var emptyIsNil = cmp.FilterValues(func(a, b []Difference) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

// TestOnCreateRefuses checks that what Always would refuse says so before.
func TestOnCreateRefuses(t *testing.T) {
	_, diffs := Send(liveWith(t, "{postgresVersion: 17, image: a}", ""), wantedWith(t, func(spec map[string]any) {
		clear(spec)
		spec["postgresVersion"] = int64(16)
		spec["crVersion"] = "2.9.0"
	}), "us", v1alpha1.UpdateOnCreate)
	want := []Difference{
		{Path: "spec.crVersion", Want: "2.9.0", Remedy: remedyOnCreate},
		{Path: "spec.postgresVersion", Want: "16", Have: "17", Refused: true, Remedy: "upgrade with a PerconaPGUpgrade, or set spec.percona.postgresVersion: 17"},
	}
	if diff := cmp.Diff(want, diffs); diff != "" {
		t.Errorf("Send(...): -want, +got:\n%s", diff)
	}
}

// TestSendIsStable checks that the order in which Go walks maps does not
// matter where two keys select one item.
func TestSendIsStable(t *testing.T) {
	live := liveWith(t, "{users: [{name: a, options: b, secretName: c}]}", `
- manager: us
  operation: Apply
  fieldsV1: {"f:spec": {"f:users": {'k:{"name":"a"}': {"f:options": {}}, 'k:{"name":"a","options":"b"}': {"f:secretName": {}}}}}
`)
	want := parse(t, "users: [{name: a, options: b}]")
	for range 50 {
		spec, _ := Send(live, Wanted{}, "us", v1alpha1.UpdateOnCreate)
		if diff := cmp.Diff(want, spec); diff != "" {
			t.Fatalf("Send(...): -want, +got:\n%s", diff)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	wanted := wantedOf(b, withBackups())
	s := newStore(b, crdtest.PerconaFieldManager(b, ""), wanted.Spec)
	live := s.observed()

	for _, policy := range []v1alpha1.UpdatePolicy{v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways} {
		b.Run(string(policy), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Send(live, wanted, us(), policy)
			}
		})
	}
}

// TestListTypes holds what this package knows of lists to the operator's
// schema, for every list that a server's cluster can have.
func TestListTypes(t *testing.T) {
	v := crdtest.PerconaPGCluster(t)
	ds := highlyAvailable()
	spec, err := BuildPerconaPGClusterSpec(ds, WithImagePullSecrets([]corev1.LocalObjectReference{{Name: "mirror"}}))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := Manifest(spec)
	if err != nil {
		t.Fatal(err)
	}

	got, want := map[string]string{}, map[string]string{}
	var walk func(path string, schemaPath []string, value any)
	walk = func(path string, schemaPath []string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for k, child := range value {
				walk(join(path, k), append(slices.Clip(schemaPath), k), child)
			}
		case []any:
			want[path] = v.ListType(schemaPath...)
			got[path] = "atomic"
			if isSet(path) {
				got[path] = "set"
			}
			if !isListMap(path) {
				return
			}
			got[path] = "map by name"
			for _, item := range value {
				name, _ := nameOf(item)
				walk(path+"["+name+"]", schemaPath, item)
			}
		}
	}
	walk("", []string{"spec"}, manifest)

	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List types: -want, +got:\n%s", diff)
	}
	if len(got) < 20 {
		t.Errorf("Only %v were looked at", got)
	}
}

func TestText(t *testing.T) {
	long := make([]byte, 500)
	for i := range long {
		long[i] = 'x'
	}
	cases := map[string]struct {
		reason string
		value  any
		want   string
	}{
		"Absent":      {reason: "Nothing is no text.", value: nil, want: ""},
		"EmptyString": {reason: "An empty string is not nothing.", value: "", want: `""`},
		"String":      {reason: "A string is itself.", value: "0 2 * * *", want: "0 2 * * *"},
		"Control":     {reason: "A string cannot break a message's line.", value: "a\nb", want: `"a\nb"`},
		"Number":      {reason: "A whole number is written as one, whatever its type.", value: 16.0, want: "16"},
		"Map":         {reason: "A map is sorted.", value: map[string]any{"b": 1.0, "a": []any{true}}, want: `{"a":[true],"b":1}`},
		"NotJSON":     {reason: "What cannot be written is not.", value: math.Inf(1), want: "?"},
		"Long":        {reason: "A long value is cut.", value: string(long), want: string(long[:200]) + "..."},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, text(tc.value)); diff != "" {
				t.Errorf("\n%s\ntext(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	for path, want := range map[[2]string]string{
		{"", "a"}: "a", {"a", "b"}: "a.b", {"a", "b.c/d"}: "a[b.c/d]", {"", "b[c"}: "[b[c]",
	} {
		if diff := cmp.Diff(want, join(path[0], path[1])); diff != "" {
			t.Errorf("join(%q, %q): -want, +got:\n%s", path[0], path[1], diff)
		}
	}
}
