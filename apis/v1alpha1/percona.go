package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// An UpdatePolicy says what happens to a database cluster after its creation.
// +kubebuilder:validation:Enum=OnCreate;Always
type UpdatePolicy string

// The update policies.
const (
	// UpdateOnCreate creates the cluster and then leaves it to the user.
	UpdateOnCreate UpdatePolicy = "OnCreate"
	// UpdateAlways enforces the cluster's whole spec, always.
	UpdateAlways UpdatePolicy = "Always"
)

// PerconaSpec describes the server's own PostgreSQL cluster, a
// PerconaPGCluster called <name>-postgres with the user dittofs. Unless a field
// says otherwise, it shapes a new cluster, and what updatePolicy says happens
// to a live one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.synchronous) || !self.synchronous || (has(self.replicas) && self.replicas > 1)",message="a synchronous cluster needs a second PostgreSQL pod to wait for: set percona.replicas to 2 or more",fieldPath=".synchronous"
type PerconaSpec struct {
	// Enabled composes the cluster. Switching it off later keeps an existing
	// cluster: only deleting the DittoServer can delete it, and only with
	// deleteWithServer.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// DeleteWithServer says whether deleting the DittoServer deletes the
	// cluster with its volumes and user Secrets. status.database.onDelete
	// reports what is in force.
	// +optional
	// +kubebuilder:default=false
	DeleteWithServer *bool `json:"deleteWithServer,omitempty"`

	// UpdatePolicy OnCreate creates the cluster once and leaves it to the
	// user afterwards: edits, backups, restores and upgrades are never
	// reverted, and what differs from this spec is listed in the condition
	// DatabaseUpToDate. Always enforces this spec, but never changes the
	// PostgreSQL version and never shrinks a volume.
	// +optional
	// +kubebuilder:default=OnCreate
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// Replicas is the number of PostgreSQL pods; 1 has no failover.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5
	Replicas *int32 `json:"replicas,omitempty"`

	// StorageSize of each PostgreSQL pod's volume, a quantity.
	// +optional
	// +kubebuilder:default="10Gi"
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity greater than zero, like 10Gi"
	StorageSize string `json:"storageSize,omitempty"`

	// StorageClassName of those volumes. Unset: the platform's default, else
	// the cluster's default StorageClass.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	StorageClassName *string `json:"storageClassName,omitempty"`

	// DatabaseName of the server's own database in the cluster. Its user is
	// called dittofs whatever this says.
	// +optional
	// +kubebuilder:default=dittofs
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z_][a-z0-9_]*$')",message="must start with a lower case letter or '_', and hold only lower case letters, digits and '_'"
	DatabaseName string `json:"databaseName,omitempty"`

	// PostgresVersion is PostgreSQL's major version, 14 to 18, at creation.
	// Unset: the platform's default, else 16. A live cluster's version is
	// changed by a PerconaPGUpgrade, never by this field.
	// +optional
	// +kubebuilder:validation:Minimum=14
	// +kubebuilder:validation:Maximum=18
	PostgresVersion *int32 `json:"postgresVersion,omitempty"`

	// CRVersion is the version of the Percona operator that the cluster
	// behaves like, 2.9.0 or newer: best that of the operator which runs, as
	// another one starts its pods with an image of this version. Unset: the
	// platform's, else 2.9.0; a live cluster keeps the one that it has.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^(2[.](9|[1-9][0-9]+)|([3-9]|[1-9][0-9]+)[.][0-9]+)[.][0-9]+$')",message="must be a version of the Percona operator with three numbers, 2.9.0 or newer"
	CRVersion string `json:"crVersion,omitempty"`

	// Images of the cluster's containers. Unset: the platform's, else those
	// that belong to Percona operator 2.9.0 and the PostgreSQL version.
	// +optional
	// +kubebuilder:default={}
	Images PerconaImages `json:"images,omitempty"`

	// SSLMode of the server's connection to the cluster. The cluster refuses
	// clients without TLS. A change rolls the pod.
	// +optional
	// +kubebuilder:default=verify-full
	// +kubebuilder:validation:Enum=require;verify-ca;verify-full
	SSLMode SSLMode `json:"sslMode,omitempty"`

	// PGBouncer puts a connection pooler in front of the cluster, for other
	// clients: DittoFS always connects to the primary. A PerconaPGUpgrade on
	// operator 2.9.0 needs it: without, that operator crashes at the end of a
	// major upgrade.
	// +optional
	// +kubebuilder:default={}
	PGBouncer PGBouncerSpec `json:"pgBouncer,omitempty"`

	// Resources of each PostgreSQL container. Unset: none are requested.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(r, !(r in self.limits) || !isQuantity(string(self.requests[r])) || !isQuantity(string(self.limits[r])) || quantity(string(self.requests[r])).compareTo(quantity(string(self.limits[r]))) <= 0)",message="a request must not be more than its limit"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// WALStorageSize gives each PostgreSQL pod a volume of its own for the
	// write-ahead log, a quantity like 5Gi. Unset: the log is on the data
	// volume.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || (isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",message="must be a quantity greater than zero, like 5Gi"
	WALStorageSize string `json:"walStorageSize,omitempty"`

	// Scheduling says where the cluster's pods run.
	// +optional
	Scheduling SchedulingSpec `json:"scheduling,omitempty"`

	// Parameters of PostgreSQL, by name, as in postgresql.conf. Those that the
	// operator sets itself (listen_addresses, port, ssl*, archive_mode and the
	// like) are refused. PostgreSQL reloads most of them; some need a restart.
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['archive_cleanup_command', 'archive_command', 'archive_library', 'archive_mode', 'bonjour', 'cluster_name', 'config_file', 'data_directory', 'external_pid_file', 'hba_file', 'hot_standby', 'ident_file', 'include', 'include_dir', 'include_if_exists', 'listen_addresses', 'log_file_mode', 'logging_collector', 'pg_stat_monitor.pgsm_enable_overflow', 'pg_stat_monitor.pgsm_query_max_len', 'pg_stat_statements.track', 'pgnodemx.kdapi_path', 'port', 'primary_conninfo', 'primary_slot_name', 'promote_trigger_file', 'recovery_end_command', 'recovery_min_apply_delay', 'recovery_target', 'restore_command', 'synchronous_standby_names', 'track_commit_timestamp', 'wal_log_hints']) && !k.startsWith('recovery_target_') && !k.startsWith('unix_socket_') && (k != 'ssl' && !k.startsWith('ssl_') || k in ['ssl_groups', 'ssl_ecdh_curve']))",message="must not have parameters that the operator sets itself, or does without, like listen_addresses, port, ssl, ssl_*, unix_socket_*, archive_*, restore_command, recovery_*, hot_standby, cluster_name, logging_collector and the paths of files: remove them",reason=FieldValueForbidden
	// +kubebuilder:validation:XValidation:rule="!('wal_level' in self) || self['wal_level'] in ['replica', 'logical']",message="wal_level must be replica or logical: backups and replicas need as much"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !self[k].matches('[\\r\\n]'))",message="a value must be one line"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z_][a-z0-9_]*([.][a-z_][a-z0-9_]*)?$'))",message="a name must be that of a parameter of PostgreSQL, in lower case, like max_connections"
	Parameters map[string]string `json:"parameters,omitempty"`

	// Synchronous has a transaction wait until a replica has it: a failover
	// then loses nothing. It needs replicas of 2 or more.
	// +optional
	Synchronous bool `json:"synchronous,omitempty"`

	// Pause true stops the cluster and keeps its data; it follows this field
	// under every updatePolicy. Unset or false leaves pausing to others, such
	// as the operator during a major upgrade.
	// +optional
	Pause bool `json:"pause,omitempty"`

	// Backup configures backups, with continuous archiving.
	// +optional
	// +kubebuilder:default={}
	Backup BackupSpec `json:"backup,omitempty"`

	// RestoreFrom fills a new cluster with the data of another one. It is read
	// when the cluster is created, and never again, nor when the cluster is
	// created anew on volumes that are left. The data has an administrator
	// already: name that one's password in identity.admin.passwordSecretRef.
	// +optional
	RestoreFrom *RestoreSpec `json:"restoreFrom,omitempty"`

	// Overrides is merged last into the spec of the PerconaPGCluster: a JSON
	// merge patch, except that the items of instances, users and repos are
	// merged by their names. The platform has to allow it:
	// policy.allowPerconaOverrides in the function's Input. Refused are
	// dataSource, standby, users, secrets, postgresVersion, image, crVersion,
	// pause, initContainer, another instance set than instance1, its sidecars
	// and volumeMounts, and what the operator writes itself
	// (backups.pgbackrest.manual and .restore).
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Overrides *runtime.RawExtension `json:"overrides,omitempty"`
}

// PGBouncerSpec describes a connection pooler.
type PGBouncerSpec struct {
	// Enabled composes PgBouncer pods. Other clients may use them; the server
	// itself connects to the primary.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// Replicas is the number of the pooler's pods.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Replicas *int32 `json:"replicas,omitempty"`

	// Resources of each of the pooler's containers. Unset: none are requested.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(r, !(r in self.limits) || !isQuantity(string(self.requests[r])) || !isQuantity(string(self.limits[r])) || quantity(string(self.requests[r])).compareTo(quantity(string(self.limits[r]))) <= 0)",message="a request must not be more than its limit"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// An AntiAffinity says how strictly pods are kept on different nodes.
// +kubebuilder:validation:Enum=Preferred;Required
type AntiAffinity string

// How strictly pods are kept on different nodes.
const (
	// AntiAffinityPreferred puts two on one node if there is no other.
	AntiAffinityPreferred AntiAffinity = "Preferred"
	// AntiAffinityRequired rather leaves one unscheduled.
	AntiAffinityRequired AntiAffinity = "Required"
)

// SchedulingSpec says where a cluster's pods run: PostgreSQL, the pooler, the
// backup repository's host and backup jobs.
type SchedulingSpec struct {
	// AntiAffinity keeps PostgreSQL pods of the cluster on different nodes:
	// Preferred or Required. Unset: the operator's own spreading.
	// +optional
	AntiAffinity AntiAffinity `json:"antiAffinity,omitempty"`

	// NodeSelector lists labels that the pods' nodes must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations let the pods run on tainted nodes.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// PriorityClassName of PostgreSQL's pods, for when nodes are full.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a PriorityClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// PerconaImages are the images of a PostgreSQL cluster's containers.
type PerconaImages struct {
	// Postgres is the image of PostgreSQL itself. Its major version must be
	// postgresVersion's.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[!-~]+$')",message="must be the reference of an image, without white space"
	Postgres string `json:"postgres,omitempty"`

	// PGBackRest is the image of pgBackRest. The operator wants it even when
	// backups are off.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[!-~]+$')",message="must be the reference of an image, without white space"
	PGBackRest string `json:"pgBackRest,omitempty"`

	// PGBouncer is the image of PgBouncer, used when a proxy is composed.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[!-~]+$')",message="must be the reference of an image, without white space"
	PGBouncer string `json:"pgBouncer,omitempty"`
}

// BackupSpec configures backups: to one S3 bucket by the fields bucket to
// retentionDays, or to up to four repositories by repos.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.bucket) && size(self.bucket) > 0) || (has(self.repos) && size(self.repos) > 0)",message="backups need somewhere to go: set percona.backup.bucket, or percona.backup.repos",reason=FieldValueRequired,fieldPath=".bucket"
// +kubebuilder:validation:XValidation:rule="!has(self.bucket) || size(self.bucket) == 0 || !has(self.repos) || size(self.repos) == 0",message="bucket is short for a first repository: set either bucket or repos, not both",reason=FieldValueForbidden,fieldPath=".repos"
// +kubebuilder:validation:XValidation:rule="!has(self.fullSchedule) || !has(self.incrSchedule) || self.fullSchedule != self.incrSchedule",message="one backup runs at a time: choose a schedule that does not fall together with fullSchedule",fieldPath=".incrSchedule"
type BackupSpec struct {
	// Enabled switches scheduled backups and continuous archiving on.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// Bucket on S3 that backups go to. Required with enabled, unless there are
	// repos.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Bucket string `json:"bucket,omitempty"`

	// Endpoint of the S3 service. Unset: s3.<region>.amazonaws.com.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the S3 bucket, which its endpoint is derived from as well.
	// +optional
	// +kubebuilder:default=eu-west-1
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`

	// CredentialsSecretRef names a Secret with a key that ends in .conf, whose
	// text is a pgBackRest configuration:
	//
	//	[global]
	//	repo1-s3-key=...
	//	repo1-s3-key-secret=...
	//
	// Unset: the pods' own identity is used.
	// +optional
	CredentialsSecretRef *LocalSecretRef `json:"credentialsSecretRef,omitempty"`

	// FullSchedule of full backups, a cron expression of five fields, UTC.
	// +optional
	// +kubebuilder:default="0 2 * * *"
	// +kubebuilder:validation:MinLength=6
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$')",message="must be a cron expression of five fields, like 0 2 * * *"
	FullSchedule string `json:"fullSchedule,omitempty"`

	// IncrSchedule of incremental backups, a cron expression of five fields,
	// UTC. It must never start in the same minute as fullSchedule: one backup
	// runs at a time. The default makes way for another fullSchedule and leaves
	// out its hours.
	// +optional
	// +kubebuilder:default="0 0-1,3-23 * * *"
	// +kubebuilder:validation:MinLength=6
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$')",message="must be a cron expression of five fields, like 0 2 * * *"
	IncrSchedule string `json:"incrSchedule,omitempty"`

	// RetentionDays is how many days a full backup, and the archive that
	// belongs to it, is kept.
	// +optional
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9999999
	RetentionDays *int32 `json:"retentionDays,omitempty"`

	// Repos are up to four repositories that backups go to, instead of bucket
	// and the fields that belong to it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Repos []BackupRepo `json:"repos,omitempty"`
}

// A BackupRepo is a repository that backups go to.
//
// +kubebuilder:validation:XValidation:rule="[has(self.s3), has(self.gcs), has(self.azure), has(self.volume)].filter(x, x).size() == 1",message="a repository is in exactly one place: s3, gcs, azure or volume"
// +kubebuilder:validation:XValidation:rule="!has(self.fullSchedule) || size(self.fullSchedule) == 0 || !has(self.incrSchedule) || self.fullSchedule != self.incrSchedule",message="one backup runs at a time: choose a schedule that does not fall together with fullSchedule",fieldPath=".incrSchedule"
// +kubebuilder:validation:XValidation:rule="!has(self.volume) || !has(self.credentialsSecretRef)",message="a volume needs no credentials: remove credentialsSecretRef",reason=FieldValueForbidden,fieldPath=".credentialsSecretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.azure) || has(self.credentialsSecretRef)",message="Azure needs to know the storage account: set credentialsSecretRef",reason=FieldValueRequired,fieldPath=".credentialsSecretRef"
type BackupRepo struct {
	RepoLocation `json:",inline"`

	// Name of the repository: repo1, repo2, repo3 or repo4.
	// +kubebuilder:validation:Enum=repo1;repo2;repo3;repo4
	Name string `json:"name"`

	// FullSchedule of full backups, a cron expression of five fields, UTC.
	// Unset: daily at 02:00 for repo1, 15 minutes later for each further one.
	// No two schedules of all repositories may ever start in the same minute:
	// one backup runs at a time.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$')",message="must be a cron expression of five fields, like 0 2 * * *"
	FullSchedule string `json:"fullSchedule,omitempty"`

	// IncrSchedule of incremental backups, a cron expression of five fields,
	// UTC. Unset: hourly, 15 minutes apart for each repository, but for the
	// hours in which full backups of any repository start.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$')",message="must be a cron expression of five fields, like 0 2 * * *"
	IncrSchedule string `json:"incrSchedule,omitempty"`

	// RetentionDays is how many days a full backup, and the archive that
	// belongs to it, is kept. Unset: 7.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9999999
	RetentionDays *int32 `json:"retentionDays,omitempty"`
}

// A RepoLocation is where a repository is, and how to get in.
type RepoLocation struct {
	// S3 is a bucket on S3 or a service that speaks its protocol.
	// +optional
	S3 *S3Location `json:"s3,omitempty"`

	// GCS is a bucket on Google Cloud Storage.
	// +optional
	GCS *GCSLocation `json:"gcs,omitempty"`

	// Azure is a container on Azure Blob Storage that backups go to.
	// +optional
	Azure *AzureLocation `json:"azure,omitempty"`

	// Volume is a volume in the cluster, which is lost with the cluster's
	// storage.
	// +optional
	Volume *VolumeLocation `json:"volume,omitempty"`

	// CredentialsSecretRef names a Secret with a key that ends in .conf, whose
	// text is a pgBackRest configuration with the options of this repository
	// (here repo1):
	//
	//	[global]
	//	repo1-s3-key=...
	//	repo1-s3-key-secret=...
	//
	// for Azure repo1-azure-account and repo1-azure-key, for Google
	// repo1-gcs-key=/etc/pgbackrest/conf.d/<another key of the Secret>. The
	// Secrets of all repositories end up in one folder: their keys have to
	// differ. Unset: the pods' own identity is used; Azure has none.
	// +optional
	CredentialsSecretRef *LocalSecretRef `json:"credentialsSecretRef,omitempty"`
}

// S3Location is a bucket on S3.
type S3Location struct {
	// Bucket on S3 that holds the backup repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Bucket string `json:"bucket"`

	// Endpoint of the S3 service. Unset: s3.<region>.amazonaws.com.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the S3 bucket, like us-east-1. Unset: eu-west-1.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`
}

// GCSLocation is a bucket on Google Cloud Storage.
type GCSLocation struct {
	// Bucket on Google Cloud Storage that holds the backup repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Bucket string `json:"bucket"`
}

// AzureLocation is a container on Azure Blob Storage.
type AzureLocation struct {
	// Container on Azure Blob Storage that holds the backup repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Container string `json:"container"`
}

// VolumeLocation is a volume in the cluster.
type VolumeLocation struct {
	// Size of the volume, a quantity like 50Gi.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity greater than zero, like 50Gi"
	Size string `json:"size"`

	// StorageClassName of the repository's volume. Unset:
	// percona.storageClassName.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// RestoreSpec says whose data a new cluster is filled with: another cluster's,
// or a repository's.
//
// +kubebuilder:validation:XValidation:rule="has(self.cluster) != has(self.repo)",message="data comes from one place: set either restoreFrom.cluster or restoreFrom.repo"
type RestoreSpec struct {
	// Cluster is a PerconaPGCluster in the same namespace that has backups.
	// +optional
	Cluster *RestoreCluster `json:"cluster,omitempty"`

	// Repo is a repository with the backups of a cluster that need not exist
	// any more.
	// +optional
	Repo *RestoreRepo `json:"repo,omitempty"`

	// TargetTime restores the state of that moment, RFC 3339, like
	// 2026-05-01T12:00:00Z. Unset: the newest state that was archived.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[2-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$')",message="must be a time of RFC 3339, like 2026-05-01T12:00:00Z"
	TargetTime string `json:"targetTime,omitempty"`
}

// RestoreCluster is a PerconaPGCluster to restore from.
type RestoreCluster struct {
	// Name of the PerconaPGCluster whose backup is restored, like
	// files-postgres; it is in the server's namespace.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a PerconaPGCluster: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name"`

	// Repo is the cluster's repository to restore from.
	// +optional
	// +kubebuilder:validation:Enum=repo1;repo2;repo3;repo4
	// +kubebuilder:default=repo1
	Repo string `json:"repo,omitempty"`
}

// RestoreRepo is a repository to restore from.
//
// +kubebuilder:validation:XValidation:rule="has(self.volume) || [has(self.s3), has(self.gcs), has(self.azure)].filter(x, x).size() == 1",message="a repository to restore from is in exactly one place: s3, gcs or azure"
// +kubebuilder:validation:XValidation:rule="!has(self.volume)",message="a volume is read through the cluster that it belongs to: set restoreFrom.cluster",reason=FieldValueForbidden,fieldPath=".volume"
// +kubebuilder:validation:XValidation:rule="!has(self.azure) || has(self.credentialsSecretRef)",message="Azure needs to know the storage account: set credentialsSecretRef",reason=FieldValueRequired,fieldPath=".credentialsSecretRef"
type RestoreRepo struct {
	RepoLocation `json:",inline"`

	// Name that the repository had in the cluster whose backups it holds.
	// +optional
	// +kubebuilder:validation:Enum=repo1;repo2;repo3;repo4
	// +kubebuilder:default=repo1
	Name string `json:"name,omitempty"`

	// Path of the backups in the repository: the value of
	// spec.backups.pgbackrest.global.<name>-path of the cluster that made
	// them, like /pgbackrest/<namespace>/<server>-<uid>/repo1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[A-Za-z0-9/._-]*$')",message="must be an absolute path of letters, digits, '/', '.', '_' and '-'"
	Path string `json:"path"`
}
