package dittofs

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Names of volumes that are no claims, and where they are mounted: the
// operator's, where it has them.
const (
	volumeConfig       = "config"
	volumePostgresCA   = "postgres-ca"
	volumeTLS          = "tls-cert"
	volumeClientCA     = "tls-client-ca"
	volumeMetricsToken = "metrics-token"

	mountConfig        = "/config"
	mountPostgresCA    = "/postgres-ca"
	mountTLS           = "/tls"
	mountClientCA      = "/tls-client-ca"
	mountLDAPCA        = "/ldap-ca"
	mountKerberos      = "/kerberos"
	mountKrb5Conf      = "/kerberos-krb5"
	mountMachineKeytab = "/kerberos-machine"
	mountMetricsToken  = "/metrics-token"

	fileKeytab        = "dittofs.keytab"
	fileKrb5Conf      = "krb5.conf"
	fileMachineKeytab = "machine.keytab"
	fileMetricsToken  = "token"

	postgresCAFile    = mountPostgresCA + "/" + server.CACertificateKey
	keytabFile        = mountKerberos + "/" + fileKeytab
	krb5ConfFile      = mountKrb5Conf + "/" + fileKrb5Conf
	machineKeytabFile = mountMachineKeytab + "/" + fileMachineKeytab
	metricsTokenFile  = mountMetricsToken + "/" + fileMetricsToken
)

// keytabMode lets the server's group read, and nobody else.
const keytabMode int32 = 0o440

// claimMounts are where the claims are mounted, the operator's.
var claimMounts = map[string]string{ //nolint:gochecknoglobals // A constant in all but syntax.
	server.ClaimControlPlane: "/data/controlplane",
	server.ClaimMetadata:     "/data/store/metadata",
	server.ClaimContent:      "/data/store/block",
}

// files are what the pod mounts of a Secret: some of its keys, each as a file,
// and nothing else. A whole folder is mounted, so that the kubelet brings a new
// value to a running pod.
type files struct {
	volume, mount, secret string
	keys                  []file
	// mode of the files; the kubelet's own, 0644, if it is 0.
	mode int32
	// carried tells that nobody asks for them any more.
	carried bool
}

type file struct{ key, name string }

// mounts of Secrets that the server reads.
func mounts(srv *server.Server, seen *observed.State, db *database.Plan) []files {
	var out []files
	key := func(volume, mount, name string, ref *v1alpha1.SecretKeyRef, mode int32) {
		if ref != nil {
			out = append(out, files{volume: volume, mount: mount, secret: ref.Name, keys: []file{{ref.Key, name}}, mode: mode})
		}
	}
	authority := func(volume, mount, secret string) {
		out = append(out, files{volume: volume, mount: mount, secret: secret, keys: []file{{server.CACertificateKey, server.CACertificateKey}}})
	}

	if c := db.Connection; c != nil && c.CASecret.Name != "" {
		authority(volumePostgresCA, mountPostgresCA, c.CASecret.Name)
	}
	if name := srv.Spec.ControlPlane.CertSecretName; name != "" {
		out = append(out, files{volume: volumeTLS, mount: mountTLS, secret: name, keys: []file{
			{corev1.TLSCertKey, corev1.TLSCertKey}, {corev1.TLSPrivateKeyKey, corev1.TLSPrivateKeyKey},
		}})
	}
	if name := srv.Spec.ControlPlane.ClientCASecretName; name != "" {
		authority(volumeClientCA, mountClientCA, name)
	}
	if ldap := srv.Spec.Identity.LDAP; *ldap.Enabled && ldap.CASecretRef != nil {
		authority(observed.VolumeLDAPCA, mountLDAPCA, ldap.CASecretRef.Name)
	}
	if krb := srv.Spec.Identity.Kerberos; *krb.Enabled {
		key(observed.VolumeKeytab, mountKerberos, fileKeytab, krb.KeytabSecretRef, keytabMode)
		key(observed.VolumeKrb5Conf, mountKrb5Conf, fileKrb5Conf, krb.Krb5ConfSecretRef, 0)
		if *krb.MachineAccount.Enabled {
			key(observed.VolumeMachineKeytab, mountMachineKeytab, fileMachineKeytab, krb.MachineAccount.KeytabSecretRef, keytabMode)
		}
	}
	if *srv.Spec.Metrics.Enabled {
		key(volumeMetricsToken, mountMetricsToken, fileMetricsToken, srv.Spec.Metrics.BearerTokenSecret, 0)
	}

	return append(out, carried(seen.StatefulSet(), out)...)
}

// carried are the files of LDAP and Kerberos that a live server was started
// with and that the spec no longer leads to. The server has stored their paths,
// and does not start without them as long as nobody changes that over its REST
// API, of which nothing is known here.
func carried(sts observed.Object, asked []files) []files {
	var out []files
	for _, at := range []struct{ volume, mount string }{
		{observed.VolumeLDAPCA, mountLDAPCA},
		{observed.VolumeKeytab, mountKerberos},
		{observed.VolumeKrb5Conf, mountKrb5Conf},
		{observed.VolumeMachineKeytab, mountMachineKeytab},
	} {
		secret, items := observed.RunningFiles(sts, at.volume)
		if secret == "" || slices.ContainsFunc(asked, func(f files) bool { return f.volume == at.volume }) {
			continue
		}
		f := files{volume: at.volume, mount: at.mount, secret: secret, carried: true}
		for _, item := range items {
			f.keys = append(f.keys, file{item.Text("key"), item.Text("path")})
		}
		if at.volume == observed.VolumeKeytab || at.volume == observed.VolumeMachineKeytab {
			f.mode = keytabMode
		}
		out = append(out, f)
	}

	return out
}

// asVolume is the pod's volume with the files.
func (f files) asVolume() *corev1ac.VolumeApplyConfiguration {
	source := corev1ac.SecretVolumeSource().WithSecretName(f.secret)
	for _, k := range f.keys {
		source.WithItems(corev1ac.KeyToPath().WithKey(k.key).WithPath(k.name))
	}
	if f.mode != 0 {
		source.WithDefaultMode(f.mode)
	}

	return corev1ac.Volume().WithName(f.volume).WithSecret(source)
}

// asMount is where a container finds the files.
func (f files) asMount() *corev1ac.VolumeMountApplyConfiguration {
	return corev1ac.VolumeMount().WithName(f.volume).WithMountPath(f.mount).WithReadOnly(true)
}
