package v1alpha1

// IdentitySpec configures the API's tokens, the first administrator, and where
// users come from: LDAP and Kerberos.
type IdentitySpec struct {
	// Type is accepted because the DittoFS operator knows it, and has no
	// effect: no code of the server reads it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Type string `json:"type,omitempty"`

	// JWT configures the API's tokens.
	// +optional
	// +kubebuilder:default={}
	JWT JWTSpec `json:"jwt,omitempty"`

	// Admin configures the first administrator: where the password of its first
	// login comes from.
	// +optional
	// +kubebuilder:default={}
	Admin AdminSpec `json:"admin,omitempty"`

	// LDAP resolves users and groups in a directory. The server stores it on
	// its first boot with LDAP, and what is stored wins: a later edit restarts
	// the pod and has no effect. Change what is stored over the server's REST
	// API, PUT /api/v1/identity-providers/ldap/config.
	// +optional
	// +kubebuilder:default={}
	LDAP LDAPSpec `json:"ldap,omitempty"`

	// Kerberos authenticates clients with tickets. The server stores it on its
	// first boot with Kerberos, and what is stored wins: apart from the keytab
	// and krb5.conf, a later edit restarts the pod and has no effect. Change
	// what is stored over the server's REST API, PUT
	// /api/v1/identity-providers/kerberos/config, and restart the pod.
	// +optional
	// +kubebuilder:default={}
	Kerberos KerberosSpec `json:"kerberos,omitempty"`
}

// JWTSpec configures the API's tokens.
type JWTSpec struct {
	// SecretRef leads to the key that signs tokens, at least 32 characters.
	// Unset: one is generated, once, into Secret <name>-jwt-secret. A new
	// value rolls the pod and ends all sessions.
	// +optional
	SecretRef *SecretKeyRef `json:"secretRef,omitempty"`

	// AccessTokenDuration is how long an access token is valid, a Go duration
	// like 15m. A change rolls the pod.
	// +optional
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a Go duration greater than zero, like 15m or 168h"
	AccessTokenDuration string `json:"accessTokenDuration,omitempty"`

	// RefreshTokenDuration is how long a refresh token is valid, a Go
	// duration like 168h. A change rolls the pod.
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) > duration('0s')",message="must be a Go duration greater than zero, like 15m or 168h"
	RefreshTokenDuration string `json:"refreshTokenDuration,omitempty"`
}

// AdminSpec configures the first administrator, whose name is always admin.
type AdminSpec struct {
	// Username is accepted because the DittoFS operator knows it, and has no
	// effect: the server's administrator is always called admin.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`

	// PasswordSecretRef leads to the administrator's first password, in clear
	// text. The server reads it on its first boot only: a later change has no
	// effect and rolls nothing. Unset: a password is generated, once, into
	// Secret <name>-admin-bootstrap-credentials.
	// +optional
	PasswordSecretRef *SecretKeyRef `json:"passwordSecretRef,omitempty"`
}

// LDAPSpec leads to a directory, Active Directory above all.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.url) && size(self.url) > 0)",message="LDAP needs the URL of a directory: set identity.ldap.url, like ldaps://dc.example.org:636",reason=FieldValueRequired,fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.baseDN) && size(self.baseDN.trim()) > 0)",message="LDAP needs the entry that searches start at: set identity.ldap.baseDN, like DC=example,DC=org",reason=FieldValueRequired,fieldPath=".baseDN"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.bindDN) && size(self.bindDN.trim()) > 0)",message="LDAP needs an account to search with: set identity.ldap.bindDN",reason=FieldValueRequired,fieldPath=".bindDN"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || has(self.bindPasswordSecretRef)",message="LDAP needs the password of bindDN: set identity.ldap.bindPasswordSecretRef; the server does not start without",reason=FieldValueRequired,fieldPath=".bindPasswordSecretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || !has(self.url) || !self.url.startsWith('ldap://') || (has(self.startTLS) && self.startTLS) || (has(self.allowPlaintext) && self.allowPlaintext)",message="ldap:// sends the bind password in clear text: use ldaps://, or set startTLS or, if you must, allowPlaintext",fieldPath=".url"
type LDAPSpec struct {
	// Enabled switches LDAP on. Switching it off later restarts the pod and
	// switches nothing off on a server that has stored it; the authority of
	// caSecretRef stays mounted.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// URL of the directory, ldaps://host:port or ldap://host:port. Required
	// with enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^ldaps?://[^ /]+/?$')",message="must be the URL of a directory, like ldaps://dc.example.org:636"
	URL string `json:"url,omitempty"`

	// StartTLS encrypts an ldap:// connection before anything is sent.
	// +optional
	StartTLS bool `json:"startTLS,omitempty"`

	// AllowPlaintext permits an ldap:// connection that is not encrypted. The
	// bind password is then sent in clear text.
	// +optional
	AllowPlaintext bool `json:"allowPlaintext,omitempty"`

	// BaseDN is the entry that searches start at, like DC=example,DC=org.
	// Required with enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	BaseDN string `json:"baseDN,omitempty"`

	// BindDN is the account that searches. Required with enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	BindDN string `json:"bindDN,omitempty"`

	// BindPasswordSecretRef leads to the password of bindDN. Required with
	// enabled. The server stores it on its first boot with LDAP: a later value
	// has no effect and rolls nothing; another Secret or key rolls the pod, and
	// has no effect either.
	// +optional
	BindPasswordSecretRef *SecretKeyRef `json:"bindPasswordSecretRef,omitempty"`

	// UserAttr is the attribute that holds a user's name. Unset:
	// sAMAccountName.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute: letters, digits and '-', beginning with a letter"
	UserAttr string `json:"userAttr,omitempty"`

	// Realm of the directory's users, like EXAMPLE.ORG.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Realm string `json:"realm,omitempty"`

	// IDMap says where numeric user and group IDs come from: rfc2307, the
	// directory's attributes, or rid, computed. Unset: rfc2307.
	// +optional
	// +kubebuilder:validation:Enum=rfc2307;rid
	IDMap string `json:"idmap,omitempty"`

	// NestedGroups resolves groups that are members of groups as well.
	// +optional
	NestedGroups bool `json:"nestedGroups,omitempty"`

	// CASecretRef names a Secret whose key ca.crt holds the certificate
	// authority that signed the directory's certificate. Unset: the image's
	// own authorities. The server reads the file whenever it connects: another
	// authority in the Secret is used without a restart. Setting or changing
	// the name rolls the pod; on a server that has stored LDAP without one it
	// has no effect.
	// +optional
	CASecretRef *LocalSecretRef `json:"caSecretRef,omitempty"`

	// CACertFile is accepted because the DittoFS operator knows it, and has no
	// effect: see caSecretRef.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	CACertFile string `json:"caCertFile,omitempty"`

	// InsecureSkipVerify trusts any certificate of the directory.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// KerberosSpec authenticates clients with Kerberos tickets.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.servicePrincipal) && size(self.servicePrincipal.trim()) > 0)",message="Kerberos needs the server's own principal: set identity.kerberos.servicePrincipal, like nfs/files.example.org@EXAMPLE.ORG",reason=FieldValueRequired,fieldPath=".servicePrincipal"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || has(self.keytabSecretRef)",message="Kerberos needs the keytab of the server's principal: set identity.kerberos.keytabSecretRef",reason=FieldValueRequired,fieldPath=".keytabSecretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.machineAccount) || !has(self.machineAccount.enabled) || !self.machineAccount.enabled || (has(self.enabled) && self.enabled)",message="the machine account is part of Kerberos: set identity.kerberos.enabled: true, or switch the machine account off",fieldPath=".machineAccount.enabled"
type KerberosSpec struct {
	// Enabled switches Kerberos on. Switching it off later restarts the pod and
	// switches nothing off on a server that has stored it: keytab and krb5.conf
	// stay mounted, because the server does not start without them, until it
	// is switched off over the REST API and the StatefulSet is composed anew
	// (kubectl delete statefulset <name> --cascade=orphan).
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// ServicePrincipal of the server, like nfs/files.example.org@EXAMPLE.ORG.
	// Required with enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	ServicePrincipal string `json:"servicePrincipal,omitempty"`

	// Realm that the server is joined to, like EXAMPLE.ORG. Unset: the
	// principal's.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.matches('[@/ ]')",message="must be a realm, like EXAMPLE.ORG, without '@', '/' and spaces"
	Realm string `json:"realm,omitempty"`

	// NetBIOSDomain is the short name of the domain, like EXAMPLE. Unset:
	// WORKGROUP, a server of its own. The machine account needs it: without,
	// the server warns in its log and takes no logins by NTLM from the domain.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="!self.matches('[.@/ ]')",message="must be the short name of a domain, like EXAMPLE, without '.', '@', '/' and spaces"
	NetBIOSDomain string `json:"netbiosDomain,omitempty"`

	// DNSDomain is the DNS name of the domain, like example.org. Unset: the
	// realm in lower case.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.matches('[@/ ]')",message="must be a DNS name, like example.org, without '@', '/' and spaces"
	DNSDomain string `json:"dnsDomain,omitempty"`

	// KeytabSecretRef leads to the keytab of servicePrincipal. Required with
	// enabled. A new value rolls the pod, and counts whatever the server has
	// stored.
	// +optional
	KeytabSecretRef *SecretKeyRef `json:"keytabSecretRef,omitempty"`

	// Krb5ConfSecretRef leads to a krb5.conf, which wins over krb5Conf. A new
	// value rolls the pod, and counts whatever the server has stored.
	// +optional
	Krb5ConfSecretRef *SecretKeyRef `json:"krb5ConfSecretRef,omitempty"`

	// Krb5Conf is the path of a krb5.conf that is in the pod already, by the
	// image or by pod.extraVolumes. Unset, without krb5ConfSecretRef:
	// /etc/krb5.conf, which the stock image does not have.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.startsWith('/')",message="must be an absolute path"
	Krb5Conf string `json:"krb5Conf,omitempty"`

	// MachineAccount is the server's computer account in Active Directory, for
	// SMB clients that log in with NTLM. It takes accountName, secretRef and
	// kerberos.netbiosDomain. An account that the server stored, on its first
	// boot with Kerberos, wins over later edits; one that was added afterwards
	// is read at every start.
	// +optional
	// +kubebuilder:default={}
	MachineAccount MachineAccountSpec `json:"machineAccount,omitempty"`
}

// MachineAccountSpec is a computer account in Active Directory.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.accountName) && size(self.accountName.trim()) > 0)",message="a machine account has a name: set identity.kerberos.machineAccount.accountName, like FILES$",reason=FieldValueRequired,fieldPath=".accountName"
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || has(self.secretRef) || has(self.keytabSecretRef)",message="a machine account needs its password or its keytab: set secretRef or keytabSecretRef",reason=FieldValueRequired,fieldPath=".secretRef"
type MachineAccountSpec struct {
	// Enabled uses the machine account. It needs kerberos.enabled. Switching it
	// off later restarts the pod and has no effect on a server that has stored
	// it.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// AccountName of the computer account, like FILES$. Required with enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	AccountName string `json:"accountName,omitempty"`

	// SecretRef leads to the account's password, the only credential that
	// server v0.29.0 logs in with. A new value rolls the pod; an account that
	// the server has stored keeps its password nevertheless, until it is
	// changed over the REST API (dfsctl identity-provider configure kerberos
	// --machine-secret) and the pod is restarted.
	// +optional
	SecretRef *SecretKeyRef `json:"secretRef,omitempty"`

	// KeytabSecretRef leads to the account's keytab. Server v0.29.0 does not
	// use it: without secretRef it warns in its log, and takes no logins by
	// NTLM from the domain. A new value rolls the pod.
	// +optional
	KeytabSecretRef *SecretKeyRef `json:"keytabSecretRef,omitempty"`

	// DCAddress lists domain controllers, host or host:port. Unset: the
	// domain's DNS records.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	DCAddress []string `json:"dcAddress,omitempty"`
}
