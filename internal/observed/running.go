package observed

import (
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Names in the server's pod that are read back from a running one.
const (
	ContainerName     = "dittofs"
	WaitContainerName = "wait-for-postgres"

	// VolumeLDAPCA and the next are volumes of files whose paths the server
	// stores in its database when it first starts with them (dittofs v0.29.0
	// cmd/dfs/commands/start.go).
	VolumeLDAPCA        = "ldap-ca"
	VolumeKeytab        = "kerberos-keytab"
	VolumeKrb5Conf      = "kerberos-krb5"
	VolumeMachineKeytab = "kerberos-machine-keytab"

	EnvAdminPassword = "DITTOFS_ADMIN_INITIAL_PASSWORD"
	EnvPostgresHost  = "DITTOFS_DATABASE_POSTGRES_HOST"

	// keyDatabaseName of the user Secret that the Percona operator makes.
	keyDatabaseName = "dbname"
)

// Kinds of a running server's database, as the annotation dittofs.io/database
// has them before the colon.
const (
	DatabaseSQLite   = "sqlite"
	DatabaseExternal = "external"
	DatabasePercona  = "percona"
)

// Running tells what a live server runs on: the kind of its database, and the
// whole identity as in the annotation dittofs.io/database of its pod template
// (R22). Both are empty if no server is live.
func (s *State) Running() (kind, id string) {
	sts := s.objects[server.KeyStatefulSet]
	if sts.Presence == Absent && s.claim.Live() {
		return s.lastRunning()
	}
	if !sts.Live() || s.judge(server.KeyStatefulSet, sts) == Foreign {
		return "", ""
	}
	id = sts.Text("spec", "template", "metadata", "annotations", server.AnnotationDatabase)
	kind, _, _ = strings.Cut(id, ":")
	switch kind {
	case DatabaseSQLite, DatabaseExternal, DatabasePercona:
		return kind, id
	}

	// A server that we did not make, or whose annotation somebody changed. A
	// bare DATABASE_URL means nothing: the server does not read it.
	if ref := secretName(serverEnv(sts, EnvPostgresHost)); ref != "" {
		return DatabaseExternal, DatabaseExternal + ":" + ref
	}

	return DatabaseSQLite, DatabaseSQLite + ":" + s.runningPath()
}

// RunningKnown tells whether Running has all that it reads. An object that
// Crossplane has not answered yet may tell of another database than the spec.
func (s *State) RunningKnown() bool {
	sts := s.objects[server.KeyStatefulSet].Presence
	switch {
	case sts == Unknown:
		return false
	case sts != Absent:
		return true
	case s.claim.Presence != Found:
		return s.claim.Presence == Absent
	}
	switch s.srv.XR.DatabaseType {
	case DatabaseSQLite:
		return s.objects[server.KeyConfig].Presence != Unknown
	case DatabasePercona:
		return s.Secret(percona.SecretName(s.srv.Name)).Presence != Unknown
	}

	return true // The status alone tells an external one's Secret.
}

// lastRunning is what a server ran on whose StatefulSet is gone, but not its
// claim: somebody deleted it, perhaps to have it composed anew. Both are empty
// if the spec leads there, or as far as nothing else is known.
func (s *State) lastRunning() (kind, id string) {
	planned, known := s.srv.DatabaseID(), true
	kind = s.srv.XR.DatabaseType
	switch kind {
	case DatabaseSQLite:
		id = kind + ":" + s.runningPath()
	case DatabaseExternal:
		// Where its Secret is gone, perhaps renamed, another is a repair.
		secret := s.Secret(s.srv.XR.DatabaseSecret)
		id, known = kind+":"+secret.Name, secret.Name != "" && secret.Presence != Absent
	case DatabasePercona:
		var name string
		id = kind + ":" + s.srv.Identity(server.KeyCluster).Name
		if name, known = s.Secret(percona.SecretName(s.srv.Name)).Value(keyDatabaseName); known {
			id += "/" + name
		}
	default:
		return "", ""
	}
	if id == planned || (!known && strings.HasPrefix(planned, kind+":")) {
		return "", ""
	}

	return kind, id
}

// runningPath of the SQLite database, from the configuration that a running
// server was started with.
func (s *State) runningPath() string {
	var config struct {
		Database struct {
			SQLite struct {
				Path string `json:"path"`
			} `json:"sqlite"`
		} `json:"database"`
	}
	err := yaml.Unmarshal([]byte(s.objects[server.KeyConfig].Text("data", "config.yaml")), &config)
	if err != nil || config.Database.SQLite.Path == "" {
		return s.srv.Spec.Database.SQLite.Path
	}

	return config.Database.SQLite.Path
}

// RunningImage of a container of a live server, or empty. The list is
// containers or initContainers.
func RunningImage(sts Object, list, name string) string {
	return sts.Item(name, "spec", "template", "spec", list).Text("image")
}

// AdminPassword is where the server's first boot read the administrator's
// password, and whether its pod starts without: a live server's pod says so. Of
// one whose StatefulSet is gone, but not its claim, the connection Secret still
// tells it. The name is empty if nothing does.
func (s *State) AdminPassword() (name, key string, optional bool) {
	sts := s.objects[server.KeyStatefulSet]
	if sts.Live() {
		env := serverEnv(sts, EnvAdminPassword)

		return secretName(env), env.Text("valueFrom", "secretKeyRef", "key"), env.Bool("valueFrom", "secretKeyRef", "optional")
	}
	if sts.Presence != Absent || !s.claim.Live() {
		return "", "", false
	}
	connection := s.objects[server.KeyConnection]
	if name, ok := SecretValue(connection, server.PasswordSecretNameKey); ok {
		key, _ := SecretValue(connection, server.PasswordSecretKeyKey)

		return name, key, false
	}
	told, ok := SecretValue(connection, server.AdminPasswordKey)
	generated, readable := SecretValue(s.objects[server.KeyAdminCredentials], server.AdminPasswordKey)
	if ok && readable && told == generated {
		return s.srv.Identity(server.KeyAdminCredentials).Name, server.AdminPasswordKey, true
	}

	return "", "", false
}

// RunningTLS tells that the REST API of a live server speaks TLS, as its probes
// do; where clients need a certificate, they only look at the port.
func RunningTLS(sts Object) bool {
	probe := []string{"readinessProbe", "httpGet", "scheme"}
	c := sts.Item(ContainerName, "spec", "template", "spec", "containers")

	return c.Text(probe...) == "HTTPS" || c.Raw("readinessProbe", "tcpSocket") != nil
}

// RunningFiles are what a live server's pod mounts as a volume of a name: a
// Secret, and the keys that become files.
func RunningFiles(sts Object, volume string) (secret string, items []Object) {
	v := sts.Item(volume, "spec", "template", "spec", "volumes")

	return v.Text("secret", "secretName"), v.Items("secret", "items")
}

func serverEnv(sts Object, name string) Object {
	return sts.Item(ContainerName, "spec", "template", "spec", "containers").Item(name, "env")
}

func secretName(env Object) string { return env.Text("valueFrom", "secretKeyRef", "name") }
