package server

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// Kinds that a server's pod can refer to, beside Secrets.
const (
	kindConfigMap      = "ConfigMap"
	kindClaim          = "PersistentVolumeClaim"
	kindServiceAccount = "ServiceAccount"
	kindPriorityClass  = "PriorityClass"
)

// A Reference is to an object that the server's pod needs because the spec
// names it, or to one key in its data. Those of the token key, the
// administrator's password and the database have rules of their own (R4, R11)
// and are not among them.
type Reference struct {
	// Path of the field that names the object, like spec.metrics.bearerTokenSecret.
	Path string
	// APIVersion, Kind and Name of the object.
	APIVersion, Kind, Name string
	// Key in the object's data; if it is empty the object alone is needed.
	Key string
	// Effective names the value in the hash that rolls the pod; empty if a
	// restart would make nothing effective (R3).
	Effective string
	// Optional lets the pod start without.
	Optional bool
	// Verbatim tells that an empty value is a value too.
	Verbatim bool
	// Restore tells that it is read when a database cluster is created only.
	Restore bool
}

// References of the pod, in the order of the spec's fields.
func (s *Server) References() []Reference {
	var refs []Reference
	one := func(path, secret, key, effective string) {
		ref := SecretReference(path, secret)
		ref.Key, ref.Effective = key, effective
		refs = append(refs, ref)
	}
	key := func(path string, ref *v1alpha1.SecretKeyRef, effective string) {
		if ref != nil {
			one(path, ref.Name, ref.Key, effective)
		}
	}

	// The server reads a renewed certificate at the next handshake, but its
	// clients' authority only when it starts (dittofs v0.29.0
	// internal/tlsconfig/tlsconfig.go).
	if name := s.Spec.ControlPlane.CertSecretName; name != "" {
		one("spec.controlPlane.certSecretName", name, corev1.TLSCertKey, "")
		one("spec.controlPlane.certSecretName", name, corev1.TLSPrivateKeyKey, "")
	}
	if name := s.Spec.ControlPlane.ClientCASecretName; name != "" {
		one("spec.controlPlane.clientCASecretName", name, CACertificateKey, "controlplane/client-ca")
	}

	// The server stores the bind password when it first starts with LDAP, and
	// reads the authority's file whenever it connects (dittofs v0.29.0
	// pkg/identity/ldap/config.go).
	if ldap := s.Spec.Identity.LDAP; *ldap.Enabled {
		key("spec.identity.ldap.bindPasswordSecretRef", ldap.BindPasswordSecretRef, "")
		if ldap.CASecretRef != nil {
			one("spec.identity.ldap.caSecretRef", ldap.CASecretRef.Name, CACertificateKey, "")
		}
	}
	if krb := s.Spec.Identity.Kerberos; *krb.Enabled {
		key("spec.identity.kerberos.keytabSecretRef", krb.KeytabSecretRef, "kerberos/keytab")
		key("spec.identity.kerberos.krb5ConfSecretRef", krb.Krb5ConfSecretRef, "kerberos/krb5.conf")
		if machine := krb.MachineAccount; *machine.Enabled {
			key("spec.identity.kerberos.machineAccount.secretRef", machine.SecretRef, "kerberos/machine-secret")
			key("spec.identity.kerberos.machineAccount.keytabSecretRef", machine.KeytabSecretRef, "kerberos/machine-keytab")
		}
	}
	if *s.Spec.Metrics.Enabled {
		key("spec.metrics.bearerTokenSecret", s.Spec.Metrics.BearerTokenSecret, "metrics/token")
	}

	return append(refs, s.podReferences()...)
}

// Namespaced tells that the object lives in the server's namespace.
func (r Reference) Namespaced() bool { return r.Kind != kindPriorityClass }

// IsSecret tells that the object is a Secret.
func (r Reference) IsSecret() bool { return r.Kind == kindSecret }

// SecretReference is to a Secret that the field at a path names.
func SecretReference(path, name string) Reference {
	return Reference{Path: path, APIVersion: "v1", Kind: kindSecret, Name: name}
}

// podReferences are those in what a person adds to the pod.
func (s *Server) podReferences() []Reference {
	var refs []Reference
	pod, path := s.Spec.Pod, field.NewPath("spec", "pod")
	if pod.ServiceAccountName != "" {
		refs = append(refs, added(path.Child("serviceAccountName"), kindServiceAccount, pod.ServiceAccountName))
	}
	// Those of the system are always there.
	if name := pod.PriorityClassName; name != "" && !strings.HasPrefix(name, "system-") {
		class := added(path.Child("priorityClassName"), kindPriorityClass, name)
		class.APIVersion = "scheduling.k8s.io/v1"
		refs = append(refs, class)
	}
	for i, env := range pod.ExtraEnv {
		refs = append(refs, envReferences(path.Child("extraEnv").Index(i), env)...)
	}
	for i, v := range pod.ExtraVolumes {
		refs = append(refs, s.volumeReferences(path.Child("extraVolumes").Index(i), v)...)
	}

	return refs
}

// added is what a person has the pod refer to.
func added(at *field.Path, kind, name string) Reference {
	return Reference{Path: at.String(), APIVersion: "v1", Kind: kind, Name: name, Verbatim: true}
}

// envReferences of a variable. It has a value as long as its container runs.
func envReferences(at *field.Path, env corev1.EnvVar) []Reference {
	from := env.ValueFrom
	switch {
	case from == nil:
		return nil
	case from.SecretKeyRef != nil:
		ref := added(at, kindSecret, from.SecretKeyRef.Name)
		ref.Key, ref.Effective, ref.Optional = from.SecretKeyRef.Key, "env/"+env.Name, ptr.Deref(from.SecretKeyRef.Optional, false)

		return []Reference{ref}
	case from.ConfigMapKeyRef != nil:
		ref := added(at, kindConfigMap, from.ConfigMapKeyRef.Name)
		ref.Key, ref.Optional = from.ConfigMapKeyRef.Key, ptr.Deref(from.ConfigMapKeyRef.Optional, false)

		return []Reference{ref}
	}

	return nil
}

// volumeReferences of a volume. The kubelet brings new values to the files of a
// running pod. The server's own claims come with its pod.
func (s *Server) volumeReferences(at *field.Path, v v1alpha1.ExtraVolume) []Reference {
	own := []string{s.ClaimName(ClaimControlPlane), s.ClaimName(ClaimMetadata), s.ClaimName(ClaimContent)}
	switch {
	case v.Secret != nil:
		return fileReferences(added(at, kindSecret, v.Secret.SecretName), v.Secret.Items, v.Secret.Optional)
	case v.ConfigMap != nil:
		return fileReferences(added(at, kindConfigMap, v.ConfigMap.Name), v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.PersistentVolumeClaim != nil && !slices.Contains(own, v.PersistentVolumeClaim.ClaimName):
		return []Reference{added(at, kindClaim, v.PersistentVolumeClaim.ClaimName)}
	case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
		return []Reference{added(at, kindSecret, v.CSI.NodePublishSecretRef.Name)}
	}

	return nil
}

// fileReferences are to the keys that become files, or to the object alone if
// all of them do.
func fileReferences(ref Reference, items []corev1.KeyToPath, optional *bool) []Reference {
	ref.Optional = ptr.Deref(optional, false)
	if len(items) == 0 {
		return []Reference{ref}
	}
	refs := make([]Reference, 0, len(items))
	for _, item := range items {
		ref.Key = item.Key
		refs = append(refs, ref)
	}

	return refs
}

// BackupCredentials are the Secrets that the database cluster's backups are
// made with, or that it is restored with. The server's pod does without them.
func (s *Server) BackupCredentials() []Reference {
	pg := s.Spec.Percona
	if !*pg.Enabled {
		return nil
	}
	var refs []Reference
	add := func(path *field.Path, ref *v1alpha1.LocalSecretRef, restore bool) {
		if ref != nil {
			credentials := SecretReference(path.Child("credentialsSecretRef").String(), ref.Name)
			credentials.Restore = restore
			refs = append(refs, credentials)
		}
	}

	backup := field.NewPath("spec", "percona", "backup")
	if *pg.Backup.Enabled {
		add(backup, pg.Backup.CredentialsSecretRef, false)
		for i, repo := range pg.Backup.Repos {
			add(backup.Child("repos").Index(i), repo.CredentialsSecretRef, false)
		}
	}
	if from := pg.RestoreFrom; from != nil && from.Repo != nil {
		add(field.NewPath("spec", "percona", "restoreFrom", "repo"), from.Repo.CredentialsSecretRef, true)
	}

	return refs
}

// StorageClasses by name that the volumes of the server itself, of its database
// cluster, or of both are claimed from.
func (s *Server) StorageClasses(own, cluster bool) []string {
	var names []string
	add := func(name *string) {
		if name != nil && *name != "" && !slices.Contains(names, *name) {
			names = append(names, *name)
		}
	}
	if own {
		add(s.Spec.Storage.StorageClassName)
	}
	if pg := s.Spec.Percona; cluster && *pg.Enabled {
		add(pg.StorageClassName)
		for _, repo := range pg.Backup.Repos {
			if *pg.Backup.Enabled && repo.Volume != nil {
				add(repo.Volume.StorageClassName)
			}
		}
	}

	return names
}
