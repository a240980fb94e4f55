package server

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// A Reference is to one key of a Secret that the server's pod needs because the
// spec names it. Those of the token key, the administrator's password and the
// database have rules of their own (R4, R11) and are not among them.
type Reference struct {
	// Path of the field that names the Secret, like spec.metrics.bearerTokenSecret.
	Path string
	// Secret and Key in its data; an empty key stands for the Secret alone.
	Secret, Key string
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

// References to Secrets, in the order of the spec's fields.
func (s *Server) References() []Reference {
	var refs []Reference
	one := func(path, secret, key, effective string) {
		refs = append(refs, Reference{Path: path, Secret: secret, Key: key, Effective: effective})
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

// podReferences are those in what a person adds to the pod.
func (s *Server) podReferences() []Reference {
	var refs []Reference
	for i, env := range s.Spec.Pod.ExtraEnv {
		if env.ValueFrom == nil || env.ValueFrom.SecretKeyRef == nil {
			continue
		}
		ref := env.ValueFrom.SecretKeyRef
		refs = append(refs, Reference{
			Path: field.NewPath("spec", "pod", "extraEnv").Index(i).String(), Secret: ref.Name, Key: ref.Key,
			Effective: "env/" + env.Name, Optional: ptr.Deref(ref.Optional, false), Verbatim: true,
		})
	}
	for i, v := range s.Spec.Pod.ExtraVolumes {
		path := field.NewPath("spec", "pod", "extraVolumes").Index(i).String()
		if v.CSI != nil && v.CSI.NodePublishSecretRef != nil {
			refs = append(refs, Reference{Path: path, Secret: v.CSI.NodePublishSecretRef.Name})
		}
		if v.Secret == nil {
			continue
		}
		// The kubelet brings a new value to the files of a running pod.
		file := Reference{Path: path, Secret: v.Secret.SecretName, Optional: ptr.Deref(v.Secret.Optional, false), Verbatim: true}
		if len(v.Secret.Items) == 0 {
			refs = append(refs, file)
		}
		for _, item := range v.Secret.Items {
			file.Key = item.Key
			refs = append(refs, file)
		}
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
			refs = append(refs, Reference{Path: path.Child("credentialsSecretRef").String(), Secret: ref.Name, Restore: restore})
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
