package percona

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

func TestValidate(t *testing.T) {
	const object = `: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
	cases := map[string]struct {
		reason string
		spec   v1alpha1.PerconaSpec
		want   []string
	}{
		"Defaults": {
			reason: "Nobody has to choose anything.",
		},
		"Most": {
			reason: "A server of which nearly all is said.",
			spec:   highlyAvailable().Spec.Percona,
		},
		"Off": {
			reason: "Backups that are off may be incomplete.",
			spec:   v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{FullSchedule: "later", Repos: []v1alpha1.BackupRepo{{}}}},
		},
		"Cluster": {
			reason: "All is said at once, and in order.",
			spec: v1alpha1.PerconaSpec{
				Replicas: ptr.To[int32](1), StorageSize: "10 GB", StorageClassName: new("Fast"), WALStorageSize: "0", DatabaseName: "Files", CRVersion: "2.8.2",
				PostgresVersion: ptr.To[int32](13), UpdatePolicy: "Never", SSLMode: "prefer", Synchronous: true,
				PGBouncer:  v1alpha1.PGBouncerSpec{Replicas: ptr.To[int32](17), Resources: claiming()},
				Resources:  claiming(),
				Parameters: map[string]string{"Work_Mem": "1", "wal_level": "minimal", "port": "1", "search_path": "a\nb"},
				Scheduling: v1alpha1.SchedulingSpec{AntiAffinity: "Maybe", NodeSelector: map[string]string{"disk": "-", "zone": "-"}, PriorityClassName: "Databases"},
			},
			want: []string{
				`spec.percona.crVersion: Invalid value: "2.8.2": must be a full version of the Percona operator, 2.9.0 or newer`,
				`spec.percona.databaseName: Invalid value: "Files": must be lower-case letters, digits and underscores, start with a letter or underscore, and have at most 63 characters`,
				`spec.percona.parameters[Work_Mem]: Invalid value: "Work_Mem": must be the name of a parameter of PostgreSQL, in lower case, like max_connections`,
				`spec.percona.parameters[port]: Forbidden: the operator sets this parameter itself, or does without it: remove it`,
				`spec.percona.parameters[search_path]: Invalid value: must be one line`,
				`spec.percona.parameters[wal_level]: Unsupported value: "minimal": supported values: "logical", "replica"`,
				`spec.percona.pgBouncer.replicas: Invalid value: 17: must be 1 to 16`,
				`spec.percona.pgBouncer.resources.claims: Forbidden: the pooler's pods claim no devices: remove it`,
				`spec.percona.postgresVersion: Invalid value: 13: must be 14 to 18`,
				`spec.percona.resources.claims: Forbidden: the cluster's pods claim no devices: remove it`,
				`spec.percona.scheduling.antiAffinity: Unsupported value: "Maybe": supported values: "Preferred", "Required"`,
				`spec.percona.scheduling.nodeSelector: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`spec.percona.scheduling.nodeSelector: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`spec.percona.scheduling.priorityClassName: Invalid value: "Databases"` + object,
				`spec.percona.sslMode: Unsupported value: "prefer": supported values: "require", "verify-ca", "verify-full"`,
				`spec.percona.storageClassName: Invalid value: "Fast"` + object,
				`spec.percona.storageSize: Invalid value: "10 GB": must be a quantity greater than zero, like 10Gi`,
				`spec.percona.synchronous: Invalid value: true: a synchronous cluster needs a second PostgreSQL pod to wait for: set spec.percona.replicas to 2 or more`,
				`spec.percona.updatePolicy: Unsupported value: "Never": supported values: "OnCreate", "Always"`,
				`spec.percona.walStorageSize: Invalid value: "0": must be a quantity greater than zero, like 10Gi`,
			},
		},
		"Flat": {
			reason: "The flat fields are a repository, down to the lines of pgBackRest's configuration.",
			spec: v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{
				Enabled: new(true), Bucket: " ", Endpoint: "minio:9000\nrepo1-host-cmd=id", Region: "eu\r",
				CredentialsSecretRef: &v1alpha1.LocalSecretRef{}, RetentionDays: ptr.To[int32](-1),
			}},
			want: []string{
				`spec.percona.backup.bucket: Required value: backups need somewhere to go: set bucket, or repos`,
				`spec.percona.backup.credentialsSecretRef.name: Required value: names a Secret with a key that ends in .conf`,
				`spec.percona.backup.endpoint: Invalid value: must be one line`,
				`spec.percona.backup.region: Invalid value: must be one line`,
				`spec.percona.backup.retentionDays: Invalid value: -1: must be 1 to 9999999`,
			},
		},
		"Repos": {
			reason: "What is wrong with a repository comes before what is wrong with its fields.",
			spec: v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", Repos: []v1alpha1.BackupRepo{
				{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{
					GCS: &v1alpha1.GCSLocation{}, Azure: &v1alpha1.AzureLocation{Container: "a\nb"}, Volume: &v1alpha1.VolumeLocation{StorageClassName: new("Fast")},
				}},
				{Name: "repo1", RepoLocation: onVolume()},
				{RepoLocation: v1alpha1.RepoLocation{Azure: &v1alpha1.AzureLocation{}, CredentialsSecretRef: &v1alpha1.LocalSecretRef{Name: "S3"}}},
			}}},
			want: []string{
				`spec.percona.backup.repos: Forbidden: bucket is short for a first repository: set either bucket or repos, not both`,
				`spec.percona.backup.repos[0]: Invalid value: "3 places": a repository is in exactly one place: s3, gcs, azure or volume`,
				`spec.percona.backup.repos[0].azure.container: Invalid value: must be one line`,
				`spec.percona.backup.repos[0].credentialsSecretRef: Required value: Azure needs to know the storage account: name a Secret with a key that ends in .conf, with repo1-azure-account, and repo1-azure-key or repo1-azure-key-type`,
				`spec.percona.backup.repos[0].gcs.bucket: Required value: backups need somewhere to go: name a bucket`,
				`spec.percona.backup.repos[0].volume.size: Required value: how large the volume is to be, like 10Gi`,
				`spec.percona.backup.repos[0].volume.storageClassName: Invalid value: "Fast"` + object,
				`spec.percona.backup.repos[1].name: Duplicate value: "repo1"`,
				`spec.percona.backup.repos[2].azure.container: Required value: backups need somewhere to go: name a container`,
				`spec.percona.backup.repos[2].credentialsSecretRef.name: Invalid value: "S3"` + object,
				`spec.percona.backup.repos[2].name: Unsupported value: "": supported values: "repo1", "repo2", "repo3", "repo4"`,
			},
		},
		"Restore": {
			reason: "Data comes from one place that has some.",
			spec: v1alpha1.PerconaSpec{RestoreFrom: &v1alpha1.RestoreSpec{
				Cluster:    &v1alpha1.RestoreCluster{Name: "files-postgres", Repo: "repo9"},
				Repo:       &v1alpha1.RestoreRepo{Path: "a", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}, Volume: onVolume().Volume}},
				TargetTime: "1999-12-31T23:59:59Z",
			}},
			want: []string{
				`spec.percona.restoreFrom: Invalid value: "": data comes from one place: set either restoreFrom.cluster or restoreFrom.repo`,
				`spec.percona.restoreFrom.cluster.name: Invalid value: "files-postgres": a new cluster has no backups of its own yet: restore from another one, or from restoreFrom.repo with the path of a former one`,
				`spec.percona.restoreFrom.cluster.repo: Unsupported value: "repo9": supported values: "repo1", "repo2", "repo3", "repo4"`,
				`spec.percona.restoreFrom.repo: Invalid value: "2 places": a repository is in exactly one place: s3, gcs or azure`,
				`spec.percona.restoreFrom.repo.path: Invalid value: "a": must be an absolute path of letters, digits, '/', '.', '_' and '-'`,
				`spec.percona.restoreFrom.repo.volume: Forbidden: a volume is read through the cluster that it belongs to: set restoreFrom.cluster`,
				`spec.percona.restoreFrom.targetTime: Invalid value: "1999-12-31T23:59:59Z": must be a time of RFC 3339, like 2026-05-01T12:00:00Z`,
			},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ds := server(tc.spec)
			before := ds.DeepCopy()
			var got []string
			for _, err := range Validate(ds) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidate(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, ds); diff != "" {
				t.Errorf("\n%s\nValidate(...) changed its argument: -before, +after:\n%s", tc.reason, diff)
			}

			_, err := BuildPerconaPGClusterSpec(ds)
			first := ""
			if fe, ok := errors.AsType[*field.Error](err); ok {
				first = fe.Error()
			}
			if diff := cmp.Diff(append(tc.want, "")[0], first); diff != "" {
				t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): %v: -want, +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}
