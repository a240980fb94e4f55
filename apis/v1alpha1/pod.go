package v1alpha1

import corev1 "k8s.io/api/core/v1"

// PodSpec shapes the server's pod. A change rolls the pod.
//
// +kubebuilder:validation:XValidation:rule="!has(self.extraVolumeMounts) || self.extraVolumeMounts.all(m, has(self.extraVolumes) && self.extraVolumes.exists(v, v.name == m.name))",message="a mount is of one of pod.extraVolumes: correct its name, or add the volume",fieldPath=".extraVolumeMounts"
type PodSpec struct {
	// Labels of the pod, beside the server's own, which stay: app, instance,
	// app.kubernetes.io/name, .../instance, .../managed-by and .../component,
	// and all that begin with dittofs.io/.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",message="must be labels: a name is like tier or example.org/tier, a value has up to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('dittofs.io/') && !(k in ['app', 'instance', 'app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by', 'app.kubernetes.io/component']))",message="must not change the server's own labels (app, instance, app.kubernetes.io/name, instance, managed-by and component, dittofs.io/...): choose another name",reason=FieldValueForbidden
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations of the pod, beside the server's own, which stay: all that
	// begin with dittofs.io/.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="must be annotations: a name is like note or example.org/note"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('dittofs.io/'))",message="must not change the server's own annotations (dittofs.io/...): choose another name",reason=FieldValueForbidden
	Annotations map[string]string `json:"annotations,omitempty"`

	// NodeSelector lists labels that the pod's node must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations let the pod run on tainted nodes.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Affinity attracts the pod to nodes and other pods, or keeps it away.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// TopologySpreadConstraints spread pods over nodes and zones. With one pod
	// in a server, they matter with a labelSelector that covers others.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// PriorityClassName of the pod. The server is started once it is there.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a PriorityClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// ImagePullSecrets to pull the pod's images with, beside the platform's.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []LocalSecretRef `json:"imagePullSecrets,omitempty"`

	// ImagePullPolicy of the pod's containers. Unset: Kubernetes' own,
	// IfNotPresent for an image with a tag other than latest.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// ServiceAccountName that the pod runs as. The platform has to allow it:
	// policy.allowServiceAccount in the function's Input. The server is started
	// once it is there. Unset: the namespace's default account. No account's
	// token is mounted.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ServiceAccount: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// ExtraEnv are more environment variables of the server's container.
	// Refused are those that belong to the function: DATABASE_URL, and all that
	// begin with DITTOFS_DATABASE_, DITTOFS_CONTROLPLANE_, DITTOFS_ADMIN_,
	// DITTOFS_LDAP_, DITTOFS_KERBEROS_, DITTOFS_METRICS_ or DITTOFS_LOGGING_. A
	// new value in a Secret that one refers to rolls the pod, and so does an
	// optional one that comes or goes; one in a ConfigMap does not.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="self.name.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",message="must hold only letters, digits, '_', '-' and '.', and not start with a digit",fieldPath=".name"
	// +kubebuilder:validation:items:XValidation:rule="self.name != 'DATABASE_URL' && !self.name.matches('^DITTOFS_(DATABASE|CONTROLPLANE|ADMIN|LDAP|KERBEROS|METRICS|LOGGING)_')",message="this variable belongs to the function and cannot be set here: where a field says the same (in database, controlPlane, identity, metrics, logging or percona), set that field instead, else remove the variable",reason=FieldValueForbidden,fieldPath=".name"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.valueFrom) || !has(self.value) || size(self.value) == 0",message="a variable has one value: set either value or valueFrom, not both",reason=FieldValueForbidden,fieldPath=".value"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.valueFrom) || [has(self.valueFrom.configMapKeyRef), has(self.valueFrom.secretKeyRef), has(self.valueFrom.fieldRef), has(self.valueFrom.resourceFieldRef)].filter(x, x).size() == 1",message="a value comes from exactly one source: configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef",fieldPath=".valueFrom"
	ExtraEnv []corev1.EnvVar `json:"extraEnv,omitempty"`

	// ExtraVolumes are more volumes of the pod, which extraVolumeMounts mount.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	ExtraVolumes []ExtraVolume `json:"extraVolumes,omitempty"`

	// ExtraVolumeMounts mount extraVolumes into the server's container, beside
	// what is mounted there already: not at, above or below /app, /config,
	// /tls, /tls-client-ca, /metrics-token, /kerberos, /kerberos-krb5,
	// /kerberos-machine, /ldap-ca, /postgres-ca, /data/controlplane,
	// /data/store/metadata and /data/store/block.
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="self.mountPath.matches('^(/[^/:]+)+$') && !self.mountPath.matches('/[.][.]?(/|$)')",message="must be an absolute path below /, without ':', '.' and '..', and without '/' at its end",fieldPath=".mountPath"
	// +kubebuilder:validation:items:XValidation:rule="['/app', '/config', '/tls', '/tls-client-ca', '/metrics-token', '/kerberos', '/kerberos-krb5', '/kerberos-machine', '/ldap-ca', '/postgres-ca', '/data/controlplane', '/data/store/metadata', '/data/store/block'].all(p, self.mountPath != p && !self.mountPath.startsWith(p + '/') && !p.startsWith(self.mountPath + '/'))",message="must not be at, above or below a path where the server has something of its own (/app, /config, /tls, /tls-client-ca, /metrics-token, /kerberos, /kerberos-krb5, /kerberos-machine, /ldap-ca, /postgres-ca, /data/controlplane, /data/store/metadata, /data/store/block): choose another path",reason=FieldValueForbidden,fieldPath=".mountPath"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.subPath) || !self.subPath.matches('^/|(^|/)[.][.](/|$)')",message="must be a path inside the volume, without '/' at its beginning and without '..'",fieldPath=".subPath"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.subPath) || size(self.subPath) == 0 || !has(self.subPathExpr) || size(self.subPathExpr) == 0",message="a mount has one path inside its volume: set either subPath or subPathExpr, not both",reason=FieldValueForbidden,fieldPath=".subPathExpr"
	ExtraVolumeMounts []corev1.VolumeMount `json:"extraVolumeMounts,omitempty"`
}

// An ExtraVolume is a volume of the server's pod, from exactly one source.
//
// +kubebuilder:validation:XValidation:rule="[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.csi)].filter(x, x).size() == 1",message="a volume has exactly one source: configMap, secret, emptyDir, persistentVolumeClaim or csi"
type ExtraVolume struct {
	// Name of the volume, none of the server's own: config, tls-cert,
	// tls-client-ca, metrics-token, kerberos-keytab, kerberos-krb5,
	// kerberos-machine-keytab, ldap-ca, postgres-ca, controlplane, metadata
	// and content.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!(self in ['config', 'tls-cert', 'tls-client-ca', 'metrics-token', 'kerberos-keytab', 'kerberos-krb5', 'kerberos-machine-keytab', 'ldap-ca', 'postgres-ca', 'controlplane', 'metadata', 'content'])",message="is the name of one of the server's own volumes: choose another name",reason=FieldValueForbidden
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must hold only lower case letters, digits and '-', with a letter or digit at both ends"
	Name string `json:"name"`

	// ConfigMap whose keys are the volume's files. Unless it is optional, the
	// server is started once it is there. A new value reaches the files
	// without a restart.
	// +optional
	ConfigMap *corev1.ConfigMapVolumeSource `json:"configMap,omitempty"`

	// Secret whose keys are the volume's files. Unless it is optional, the
	// server is started once it is there. A new value reaches the files
	// without a restart.
	// +optional
	Secret *corev1.SecretVolumeSource `json:"secret,omitempty"`

	// EmptyDir that lives as long as the pod.
	// +optional
	EmptyDir *corev1.EmptyDirVolumeSource `json:"emptyDir,omitempty"`

	// PersistentVolumeClaim of somebody else; the server is started once it is
	// there.
	// +optional
	PersistentVolumeClaim *corev1.PersistentVolumeClaimVolumeSource `json:"persistentVolumeClaim,omitempty"`

	// CSI volume that lives as long as the pod. The Secret that
	// nodePublishSecretRef names has to be there before the server is started.
	// The driver is given it when the volume is mounted; a new value rolls
	// nothing.
	// +optional
	CSI *corev1.CSIVolumeSource `json:"csi,omitempty"`
}
