package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// SetDefaults fills in what the schema's defaults fill in, so that a raw
// DittoServer and one that went through the API server mean the same. A test
// holds the two sets of defaults together.
func (s *DittoServerSpec) SetDefaults() {
	orDefault(&s.Replicas, ptr.To[int32](1))
	orDefault(&s.Storage.ControlPlaneSize, "1Gi")
	orDefault(&s.Database.Type, DatabaseTypeSQLite)
	orDefault(&s.Database.SQLite.Path, "/data/controlplane/controlplane.db")
	orDefault(&s.ControlPlane.Port, 8080)
	orDefault(&s.Identity.JWT.AccessTokenDuration, "15m")
	orDefault(&s.Identity.JWT.RefreshTokenDuration, "168h")
	orDefault(&s.Service.Type, corev1.ServiceTypeClusterIP)
	orDefault(&s.AdapterServices.Type, corev1.ServiceTypeClusterIP)
	orDefault(&s.Adapters.NFS.Enabled, new(true))
	orDefault(&s.Adapters.NFS.Port, 12049)
	orDefault(&s.Adapters.NFS.ServicePort, 2049)
	orDefault(&s.Adapters.SMB.Enabled, new(true))
	orDefault(&s.Adapters.SMB.Port, 1445)
	orDefault(&s.Adapters.SMB.ServicePort, 445)
	orDefault(&s.NetworkPolicy.Enabled, new(true))
	orDefault(&s.Logging.Level, "INFO")
	orDefault(&s.Logging.Format, "json")
	orDefault(&s.Logging.Output, "stdout")
	orDefault(&s.TerminationGracePeriodSeconds, ptr.To[int64](105))
	orDefault(&s.Identity.LDAP.Enabled, new(false))
	orDefault(&s.Identity.Kerberos.Enabled, new(false))
	orDefault(&s.Identity.Kerberos.MachineAccount.Enabled, new(false))
	orDefault(&s.Metrics.Enabled, new(false))
	orDefault(&s.Metrics.Port, 9090)
	orDefault(&s.Metrics.Path, "/metrics")
	orDefault(&s.Metrics.ServiceMonitor.Enabled, new(false))
	s.Percona.SetDefaults()
}

// SetDefaults fills in what the schema's defaults fill in.
func (p *PerconaSpec) SetDefaults() {
	orDefault(&p.Enabled, new(false))
	orDefault(&p.DeleteWithServer, new(false))
	orDefault(&p.UpdatePolicy, UpdateOnCreate)
	orDefault(&p.Replicas, ptr.To[int32](1))
	orDefault(&p.StorageSize, "10Gi")
	orDefault(&p.DatabaseName, "dittofs")
	orDefault(&p.SSLMode, SSLModeVerifyFull)
	orDefault(&p.Backup.Enabled, new(false))
	orDefault(&p.Backup.Region, "eu-west-1")
	orDefault(&p.Backup.FullSchedule, "0 2 * * *")
	orDefault(&p.Backup.IncrSchedule, "0 0-1,3-23 * * *")
	orDefault(&p.Backup.RetentionDays, ptr.To[int32](7))
	orDefault(&p.PGBouncer.Enabled, new(false))
	orDefault(&p.PGBouncer.Replicas, ptr.To[int32](1))
	if r := p.RestoreFrom; r != nil {
		p.RestoreFrom = r.defaulted()
	}
}

// orDefault sets field to value if nobody has set it.
func orDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

// defaulted is a copy with what the schema's defaults fill in.
func (r *RestoreSpec) defaulted() *RestoreSpec {
	r = r.DeepCopy()
	if r.Cluster != nil {
		orDefault(&r.Cluster.Repo, "repo1")
	}
	if r.Repo != nil {
		orDefault(&r.Repo.Name, "repo1")
	}

	return r
}
