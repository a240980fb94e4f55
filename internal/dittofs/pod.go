package dittofs

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// The user and group of the server's image (dittofs v0.29.0 Dockerfile).
const serverUser int64 = 65532

// waitScript waits until PostgreSQL answers a query that is made with the
// server's own credentials: the server itself does not retry (dittofs v0.29.0
// exits at once), and pg_isready alone does not log in.
const waitScript = `query() { psql -w -X -A -t -q -c 'select 1' 2>&1 >/dev/null; }
deadline=$(( $(date +%s) + WAIT_SECONDS ))
until pg_isready -q -t 3 && reason=$(query); do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    echo "PostgreSQL at $PGHOST:$PGPORT cannot be used after $WAIT_SECONDS seconds: $(query)" >&2
    exit 1
  fi
  echo "waiting for PostgreSQL at $PGHOST:$PGPORT: ${reason:-not ready}"
  sleep 2
done
echo "PostgreSQL at $PGHOST:$PGPORT answers"
`

// podTemplate of the server. The hash in it rolls the pod; the claims are those
// in force, which need not be those that the spec asks for (R5).
func podTemplate(srv *server.Server, seen *observed.State, db *database.Plan, creds *Credentials, hash string, claims []string) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	sts := seen.StatefulSet()
	spec := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithTerminationGracePeriodSeconds(*srv.Spec.TerminationGracePeriodSeconds).
		WithContainers(serverContainer(srv, seen, db, creds, srv.Image(observed.RunningImage(sts, "containers", observed.ContainerName)), claims)).
		WithVolumes(corev1ac.Volume().WithName(volumeConfig).
			WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(srv.Identity(server.KeyConfig).Name)))
	if db.Connection != nil {
		spec.WithInitContainers(waitContainer(srv, seen, db, srv.WaitImage(observed.RunningImage(sts, "initContainers", observed.WaitContainerName))))
	}
	for _, f := range mounts(srv, seen, db) {
		spec.WithVolumes(f.asVolume())
	}
	if err := resources(srv, spec); err != nil {
		return nil, err
	}
	if err := customise(srv, spec); err != nil {
		return nil, err
	}
	if err := secure(srv, spec); err != nil {
		return nil, err
	}

	// The server's own labels and annotations win (R23).
	template := corev1ac.PodTemplateSpec().
		WithLabels(srv.Spec.Pod.Labels).
		WithLabels(srv.Labels("server")).
		WithAnnotations(srv.Spec.Pod.Annotations).
		WithAnnotations(map[string]string{
			server.AnnotationConfigHash: hash,
			server.AnnotationDatabase:   db.ID,
		}).
		WithSpec(spec)

	return template, judge(srv, template)
}

func serverContainer(srv *server.Server, seen *observed.State, db *database.Plan, creds *Credentials, image string, claims []string) *corev1ac.ContainerApplyConfiguration {
	c := corev1ac.Container().
		WithName(observed.ContainerName).
		WithImage(image).
		WithCommand("/app/dfs").
		WithArgs("start", "--foreground", "--config", mountConfig+"/"+configKey).
		WithPorts(corev1ac.ContainerPort().WithName(portAPI).WithContainerPort(srv.Spec.ControlPlane.Port).WithProtocol(corev1.ProtocolTCP)).
		WithEnv(
			fromSecret("DITTOFS_CONTROLPLANE_SECRET", creds.JWTSecret, creds.JWTSecretKey),
			adminPassword(creds),
			// The file says so too; a pod that starts while the file is still
			// that of another database must not believe it.
			value("DITTOFS_DATABASE_TYPE", databaseType(db.ID)),
		).
		WithVolumeMounts(corev1ac.VolumeMount().WithName(volumeConfig).WithMountPath(mountConfig).WithReadOnly(true)).
		WithStartupProbe(probe(srv, "/health", 0, 5, 30)).
		WithLivenessProbe(probe(srv, "/health", 15, 10, 3)).
		WithReadinessProbe(probe(srv, "/health/ready", 10, 5, 3)).
		// Lets load balancers notice before connections are closed.
		WithLifecycle(corev1ac.Lifecycle().WithPreStop(corev1ac.LifecycleHandler().
			WithExec(corev1ac.ExecAction().WithCommand("sh", "-c", "sleep 5"))))

	c.WithEnv(identityEnv(srv)...)
	if db.Connection != nil {
		c.WithEnv(serverEnv(db.Connection)...)
	}
	for _, f := range mounts(srv, seen, db) {
		c.WithVolumeMounts(f.asMount())
	}
	for _, name := range claims {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName(name).WithMountPath(claimMounts[name]))
	}

	return c
}

// serverEnv is how the server learns of its database (R10). It does not read
// DATABASE_URL itself; other tools in the pod do.
func serverEnv(c *database.Connection) []*corev1ac.EnvVarApplyConfiguration {
	const prefix = "DITTOFS_DATABASE_POSTGRES_"
	env := connectionEnv(c, prefix+"HOST", prefix+"PORT", prefix+"DATABASE", prefix+"USER", prefix+"PASSWORD", prefix+"SSLMODE", prefix+"SSL_ROOT_CERT")
	if c.URIKey != "" {
		env = append(env, fromSecret("DATABASE_URL", c.Secret.Name, c.URIKey))
	}

	return env
}

// waitContainer waits for PostgreSQL with the server's own credentials and TLS
// (R12).
func waitContainer(srv *server.Server, seen *observed.State, db *database.Plan, image string) *corev1ac.ContainerApplyConfiguration {
	c := corev1ac.Container().
		WithName(observed.WaitContainerName).
		WithImage(image).
		WithCommand("sh", "-c", waitScript).
		WithEnv(connectionEnv(db.Connection, "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT")...).
		WithEnv(
			value("PGCONNECT_TIMEOUT", "5"),
			value("WAIT_SECONDS", strconv.Itoa(int(srv.WaitTimeout().Seconds()))),
		).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError)
	for _, f := range mounts(srv, seen, db) {
		if f.volume == volumePostgresCA {
			c.WithVolumeMounts(f.asMount())
		}
	}

	return c
}

// connectionEnv names the variables in this order: host, port, database, user,
// password, SSL mode, root certificate.
func connectionEnv(c *database.Connection, host, port, db, user, password, sslMode, rootCert string) []*corev1ac.EnvVarApplyConfiguration {
	portVar := value(port, "5432")
	if c.HasPort {
		portVar = fromSecret(port, c.Secret.Name, c.PortKey())
	}
	env := []*corev1ac.EnvVarApplyConfiguration{
		fromSecret(host, c.Secret.Name, c.HostKey()),
		portVar,
		fromSecret(db, c.Secret.Name, c.DatabaseKey),
		fromSecret(user, c.Secret.Name, c.UserKey()),
		fromSecret(password, c.Secret.Name, c.PasswordKey()),
		value(sslMode, string(c.SSLMode)),
	}
	if c.CASecret.Name != "" {
		env = append(env, value(rootCert, postgresCAFile))
	}

	return env
}

func adminPassword(creds *Credentials) *corev1ac.EnvVarApplyConfiguration {
	env := fromSecret(observed.EnvAdminPassword, creds.AdminSecret, creds.AdminSecretKey)
	if creds.AdminOptional {
		env.ValueFrom.SecretKeyRef.WithOptional(true)
	}

	return env
}

func fromSecret(name, secret, key string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().
		WithSecretKeyRef(corev1ac.SecretKeySelector().WithName(secret).WithKey(key)))
}

func value(name, value string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).WithValue(value)
}

// identityEnv holds the passwords that the server shows to others. It stores
// that of LDAP when it first starts with it.
func identityEnv(srv *server.Server) []*corev1ac.EnvVarApplyConfiguration {
	var env []*corev1ac.EnvVarApplyConfiguration
	if ldap := srv.Spec.Identity.LDAP; *ldap.Enabled && ldap.BindPasswordSecretRef != nil {
		env = append(env, fromSecret("DITTOFS_LDAP_BIND_PASSWORD", ldap.BindPasswordSecretRef.Name, ldap.BindPasswordSecretRef.Key))
	}
	krb := srv.Spec.Identity.Kerberos
	if ref := krb.MachineAccount.SecretRef; *krb.Enabled && *krb.MachineAccount.Enabled && ref != nil {
		env = append(env, fromSecret("DITTOFS_KERBEROS_MACHINE_ACCOUNT_SECRET", ref.Name, ref.Key))
	}

	return env
}

// probe the REST API. The kubelet has no client certificate: where one is asked
// for, it only sees whether the port is open.
func probe(srv *server.Server, path string, initialDelay, period, failures int32) *corev1ac.ProbeApplyConfiguration {
	p := corev1ac.Probe().WithPeriodSeconds(period).WithTimeoutSeconds(5).WithFailureThreshold(failures)
	if initialDelay > 0 {
		p.WithInitialDelaySeconds(initialDelay)
	}

	port := intstr.FromString(portAPI)
	if srv.Spec.ControlPlane.ClientCASecretName != "" {
		return p.WithTCPSocket(corev1ac.TCPSocketAction().WithPort(port))
	}
	get := corev1ac.HTTPGetAction().WithPath(path).WithPort(port)
	if srv.Spec.ControlPlane.CertSecretName != "" {
		get.WithScheme(corev1.URISchemeHTTPS)
	}

	return p.WithHTTPGet(get)
}

// resources of the server are the init container's as well: where a quota asks
// every container for limits, the pod would be refused otherwise, and running
// one after the other they cost nothing more.
func resources(srv *server.Server, spec *corev1ac.PodSpecApplyConfiguration) error {
	asked := srv.Spec.Resources
	if asked == nil || len(asked.Requests)+len(asked.Limits)+len(asked.Claims) == 0 {
		return nil
	}
	r, err := as[corev1ac.ResourceRequirementsApplyConfiguration](asked)
	if err != nil {
		return errors.Wrap(err, "spec.resources")
	}
	for i := range spec.Containers {
		spec.Containers[i].WithResources(r)
	}
	for i := range spec.InitContainers {
		spec.InitContainers[i].WithResources(r)
	}

	return nil
}
