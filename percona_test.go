package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// everyPerconaField is a server of which everything is asked that a cluster can
// have.
func everyPerconaField() object {
	return withPercona(
		"spec.percona.replicas", 3, "spec.percona.storageClassName", "fast", "spec.percona.walStorageSize", "5Gi", "spec.percona.synchronous", true,
		"spec.percona.pgBouncer", object{"enabled": true, "replicas": 2},
		"spec.percona.resources", object{"requests": object{"cpu": "500m"}, "limits": object{"memory": "2048Mi"}},
		"spec.percona.scheduling", object{"antiAffinity": "Required", "nodeSelector": object{"disk": "ssd"}, "tolerations": []any{object{"key": "db", "operator": "Exists"}}, "priorityClassName": "databases"},
		"spec.percona.parameters", object{"max_connections": "200"},
		"spec.percona.backup", object{"enabled": true, "repos": []any{
			object{"name": "repo1", "s3": object{"bucket": "backups"}, "credentialsSecretRef": object{"name": "cloud"}},
			object{"name": "repo2", "volume": object{"size": "50Gi"}},
		}},
		"spec.percona.restoreFrom", object{"cluster": object{"name": "archive-postgres"}, "targetTime": "2026-05-01T12:00:00Z"},
		"spec.percona.overrides", object{"backups": object{"pgbackrest": object{"image": "mirror.example.org/pgbackrest:2.58.0-1"}}},
	)
}

// perconaServer that runs, on a cluster that everything is asked of.
func perconaServer(t *testing.T, edits ...any) *situation {
	t.Helper()

	s := newSituation(edit(everyPerconaField(), edits...)).withInput("policy.allowPerconaOverrides", true)
	s.add(secret("cloud", map[string]string{"s3.conf": "[global]\nrepo1-s3-key=key\nrepo1-s3-key-secret=secret\n"}))
	s.rest(t)
	s.perconaIsReady()
	s.rest(t)
	s.podIsReady()
	s.rest(t)
	if s.get(server.KeyStatefulSet) == nil {
		t.Fatal("the server was not started")
	}

	return s
}

func TestPerconaEveryField(t *testing.T) {
	s := perconaServer(t)
	cluster := composed(s.response(t), server.KeyCluster)

	checked := object{"apiVersion": cluster["apiVersion"], "kind": cluster["kind"], "metadata": object{"name": "files-postgres", "namespace": teamNamespace}, "spec": cluster["spec"]}
	if err := crdtest.PerconaPGCluster(t).Validate(checked); err != nil {
		t.Errorf("An API server refuses the cluster: %v", err)
	}
	for path, want := range map[string]any{
		"spec.proxy.pgBouncer.replicas":                                                     2.0,
		"spec.instances.0.walVolumeClaimSpec.storageClassName":                              "fast",
		"spec.instances.0.resources.limits.memory":                                          "2Gi",
		"spec.patroni.dynamicConfiguration.synchronous_mode":                                true,
		"spec.patroni.dynamicConfiguration.postgresql.parameters":                           object{"max_connections": "200"},
		"spec.backups.pgbackrest.repos.1.volume.volumeClaimSpec.resources.requests.storage": "50Gi",
		"spec.backups.pgbackrest.image":                                                     "mirror.example.org/pgbackrest:2.58.0-1",
		"spec.dataSource.postgresCluster.options.1":                                         `--target="2026-05-01 12:00:00+00"`,
		"spec.pause": nil,
	} {
		if diff := cmp.Diff(want, at(cluster, strings.Split(path, ".")...)); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", path, diff)
		}
	}
}

// TestPerconaPause pauses a cluster by the server's own field, under both
// policies, and lets it go again.
func TestPerconaPause(t *testing.T) {
	for _, policy := range []string{"OnCreate", "Always"} {
		t.Run(policy, func(t *testing.T) {
			s := perconaServer(t, "spec.percona.updatePolicy", policy)
			paused := func() any { return at(composed(s.response(t), server.KeyCluster), "spec", "pause") }

			s.editXR("spec.percona.pause", true)
			if diff := cmp.Diff(true, paused()); diff != "" {
				t.Errorf("spec.pause: -want, +got:\n%s", diff)
			}
			s.rest(t)
			s.clusterState("paused", 0)
			rsp := s.response(t)
			if diff := cmp.Diff("False PerconaPaused", conditionOf(rsp, condition.TypeDatabaseReady)); diff != "" {
				t.Errorf("DatabaseReady: -want, +got:\n%s", diff)
			}
			if got := messageOf(rsp, condition.TypeDatabaseReady); !strings.Contains(got, "as spec.percona.pause asks: set it to false") {
				t.Errorf("The message does not name the server's field: %s", got)
			}
			if got := conditionOf(rsp, condition.TypeDatabaseUpToDate); got != "True Matches" {
				t.Errorf("DatabaseUpToDate: got %s: %s", got, messageOf(rsp, condition.TypeDatabaseUpToDate))
			}

			s.editXR("spec.percona.pause", nil)
			if got := paused(); got != nil {
				t.Errorf("A pause is sent that nobody asks for: %v", got)
			}
			if got := messageOf(s.response(t), condition.TypeDatabaseReady); !strings.Contains(got, "set spec.pause: false on it") {
				t.Errorf("The message does not name the cluster's field: %s", got)
			}

			// A cluster that is not asked for any more is not started either.
			s.editXR("spec.percona.pause", true, "spec.percona.enabled", false, "spec.database.allowChangeTo", "sqlite")
			if diff := cmp.Diff(true, paused()); diff != "" {
				t.Errorf("spec.pause, switched off: -want, +got:\n%s", diff)
			}
		})
	}
}

// TestPerconaAsksForLess checks what a person is told of a live cluster that has
// more than is asked for, and what becomes of it.
func TestPerconaAsksForLess(t *testing.T) {
	base := perconaServer(t)
	cases := map[string]struct {
		reason string
		edits  []any
		// sent are paths and what is sent there.
		sent map[string]any
		want string
		says []string
	}{
		"Pooler": {
			reason: "What stays under OnCreate is never silent.",
			edits:  []any{"spec.percona.pgBouncer", nil},
			sent:   map[string]any{"spec.proxy.pgBouncer.replicas": 2.0},
			want:   "False SpecDiffers", says: []string{"spec.proxy: asked for nothing, has {", "updatePolicy: Always"},
		},
		"PoolerAlways": {
			reason: "Always removes it.",
			edits:  []any{"spec.percona.pgBouncer", nil, "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.proxy": nil},
			want:   "True Matches",
		},
		"WALVolumeAlways": {
			reason: "A volume stays.",
			edits:  []any{"spec.percona.walStorageSize", nil, "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.instances.0.walVolumeClaimSpec.resources.requests.storage": "5Gi"},
			want:   "False ChangeRefused", says: []string{"asked for nothing", "spec.percona.walStorageSize: 5Gi"},
		},
		"BackupsAlways": {
			reason: "Backups stay on.",
			edits:  []any{"spec.percona.backup", nil, "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.backups.enabled": true, "spec.backups.pgbackrest.repos.1.name": "repo2"},
			want:   "False ChangeRefused", says: []string{"spec.backups.enabled: asked for false, has true", "authorizeBackupRemoval"},
		},
		"Restore": {
			reason: "A live cluster is not filled again.",
			edits:  []any{"spec.percona.restoreFrom.cluster.name", "other-postgres", "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.dataSource.postgresCluster.clusterName": "archive-postgres"},
			want:   "False ChangeRefused", says: []string{"spec.dataSource", "PerconaPGRestore", "remove spec.percona.restoreFrom"},
		},
		"RestoreForgotten": {
			reason: "Once there is data, nobody has to say where it came from.",
			edits:  []any{"spec.percona.restoreFrom", nil, "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.dataSource.postgresCluster.clusterName": "archive-postgres"},
			want:   "True Matches",
		},
		"OverriddenImage": {
			reason: "An image that is overridden is not one that nobody has set.",
			edits:  []any{"spec.percona.overrides.backups.pgbackrest.image", "mirror.example.org/pgbackrest:2.59.0-1", "spec.percona.updatePolicy", "Always"},
			sent:   map[string]any{"spec.backups.pgbackrest.image": "mirror.example.org/pgbackrest:2.59.0-1"},
			want:   "True Matches",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := base.clone().editXR(tc.edits...)
			rsp := s.response(t)
			if text := fatal(rsp); text != "" {
				t.Fatalf("%s\nFatal: %s", tc.reason, text)
			}
			for path, want := range tc.sent {
				if diff := cmp.Diff(want, at(composed(rsp, server.KeyCluster), strings.Split(path, ".")...)); diff != "" {
					t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, path, diff)
				}
			}
			message := messageOf(rsp, condition.TypeDatabaseUpToDate)
			if diff := cmp.Diff(tc.want, conditionOf(rsp, condition.TypeDatabaseUpToDate)); diff != "" {
				t.Errorf("%s\nDatabaseUpToDate: -want, +got:\n%s\n%s", tc.reason, diff, message)
			}
			for _, text := range tc.says {
				if !strings.Contains(message, text) {
					t.Errorf("%s\nThe message does not say %q: %s", tc.reason, text, message)
				}
			}
		})
	}
}

// TestPerconaRefusesByField checks that what makes no cluster changes nothing,
// and is named by its field.
func TestPerconaRefusesByField(t *testing.T) {
	base := perconaServer(t)
	for name, tc := range map[string]struct {
		edits []any
		want  string
	}{
		"Parameter": {edits: []any{"spec.percona.parameters.archive_mode", "off"}, want: "spec.percona.parameters[archive_mode]"},
		"Override":  {edits: []any{"spec.percona.overrides.standby", object{"enabled": true}}, want: "spec.percona.overrides.standby"},
		"Unknown":   {edits: []any{"spec.percona.overrides.backups.pgbackrest.rep", "x"}, want: "spec.percona.overrides.backups.pgbackrest.rep"},
		"Itself":    {edits: []any{"spec.percona.restoreFrom.cluster.name", "files-postgres"}, want: "spec.percona.restoreFrom.cluster.name"},
	} {
		t.Run(name, func(t *testing.T) {
			rsp := base.clone().editXR(tc.edits...).response(t)
			if text := fatal(rsp); !strings.Contains(text, tc.want) {
				t.Errorf("Fatal: want %s in it, got %q", tc.want, text)
			}
			if diff := cmp.Diff("False InvalidSpec", conditionOf(rsp, condition.TypeConfigReady)); diff != "" {
				t.Errorf("ConfigReady: -want, +got:\n%s", diff)
			}
		})
	}
}
