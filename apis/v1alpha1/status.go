package v1alpha1

// DittoServerStatus is what a person is told. Crossplane adds conditions.
type DittoServerStatus struct {
	// Phase of the server's life: Pending, Running or Stopped.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// Replicas is the number of server pods that exist.
	// +optional
	Replicas int32 `json:"replicas"`

	// ReadyReplicas is the number of server pods that are ready.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// AvailableReplicas is the number of server pods that are available.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas"`

	// PerconaClusterName is the name of the server's PerconaPGCluster.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PerconaClusterName string `json:"perconaClusterName,omitempty"`

	// Database is the server's database: its kind, its state, and what deleting
	// the server would do to it.
	// +optional
	Database *DatabaseStatus `json:"database,omitempty"`

	// Endpoints are the addresses of the server inside the cluster.
	// +optional
	Endpoints *EndpointsStatus `json:"endpoints,omitempty"`
}

// A Phase of a server's life.
// +kubebuilder:validation:Enum=Pending;Running;Stopped
type Phase string

// The phases.
const (
	PhasePending Phase = "Pending"
	PhaseRunning Phase = "Running"
	PhaseStopped Phase = "Stopped"
)

// An OnDelete says what deleting the DittoServer does to its database cluster.
// +kubebuilder:validation:Enum=Retain;Delete
type OnDelete string

// What deleting the DittoServer does to its database cluster.
const (
	OnDeleteRetain OnDelete = "Retain"
	OnDeleteDelete OnDelete = "Delete"
)

// DatabaseStatus is the state of the server's database.
type DatabaseStatus struct {
	// Type is the kind of database that the server runs on, or will: sqlite,
	// external or percona.
	// +optional
	Type DatabaseKind `json:"type,omitempty"`

	// State of the PostgreSQL cluster as Percona reports it: initializing,
	// ready, stopping or paused.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	State string `json:"state,omitempty"`

	// Host of the database that the server connects to, as its pod resolves it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// SecretName of the Secret with the connection's credentials.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// EverReady tells that the PostgreSQL cluster has been ready before.
	// +optional
	EverReady bool `json:"everReady,omitempty"`

	// OnDelete tells what deleting the DittoServer does to the PostgreSQL
	// cluster: Retain or Delete.
	// +optional
	OnDelete OnDelete `json:"onDelete,omitempty"`

	// LastBackup is when the newest backup completed, scheduled or by hand, RFC
	// 3339.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LastBackup string `json:"lastBackup,omitempty"`
}

// EndpointsStatus are the addresses of the server inside the cluster.
type EndpointsStatus struct {
	// API is the URL of the REST API inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	API string `json:"api,omitempty"`

	// NFS is host and port of the NFS adapter inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	NFS string `json:"nfs,omitempty"`

	// SMB is host and port of the SMB adapter inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	SMB string `json:"smb,omitempty"`
}
