package server

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/redact"
)

// What the server takes (dittofs v0.29.0 pkg/identity/ldap/config.go,
// pkg/config/config.go).
var (
	ldapURL       = regexp.MustCompile(`^ldaps?://[^ /]+/?$`)
	ldapAttribute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
)

// maxNetBIOSName is how many characters Windows gives a domain.
const maxNetBIOSName = 15

func (s *Server) validateControlPlane(p *field.Path) field.ErrorList {
	cp := s.Spec.ControlPlane
	errs := validateObjectName(p.Child("certSecretName"), &cp.CertSecretName)
	errs = append(errs, validateObjectName(p.Child("clientCASecretName"), &cp.ClientCASecretName)...)
	if cp.ClientCASecretName != "" && cp.CertSecretName == "" {
		errs = append(errs, field.Required(p.Child("certSecretName"), "client certificates are only asked for over TLS: name the Secret of the server's own certificate, or remove clientCASecretName"))
	}

	return errs
}

func (s *Server) validateIdentity(p *field.Path) field.ErrorList {
	jwt := s.Spec.Identity.JWT
	errs := validateDuration(p.Child("jwt", "accessTokenDuration"), jwt.AccessTokenDuration)
	errs = append(errs, validateDuration(p.Child("jwt", "refreshTokenDuration"), jwt.RefreshTokenDuration)...)
	errs = append(errs, validateSecretKey(p.Child("jwt", "secretRef"), jwt.SecretRef)...)
	errs = append(errs, validateSecretKey(p.Child("admin", "passwordSecretRef"), s.Spec.Identity.Admin.PasswordSecretRef)...)
	errs = append(errs, validateLDAP(p.Child("ldap"), s.Spec.Identity.LDAP)...)

	return append(errs, validateKerberos(p.Child("kerberos"), s.Spec.Identity.Kerberos)...)
}

// validateLDAP refuses what the server does not start with.
func validateLDAP(p *field.Path, ldap v1alpha1.LDAPSpec) field.ErrorList {
	if !*ldap.Enabled {
		return nil
	}
	errs := validateSecretKey(p.Child("bindPasswordSecretRef"), ldap.BindPasswordSecretRef)
	errs = append(errs, validateSecretRef(p.Child("caSecretRef"), ldap.CASecretRef)...)
	errs = append(errs, validateOptionalEnum(p.Child("idmap"), ldap.IDMap, "rfc2307", "rid")...)
	errs = append(errs, required(p.Child("baseDN"), ldap.BaseDN, "LDAP needs the entry that searches start at, like DC=example,DC=org")...)
	errs = append(errs, required(p.Child("bindDN"), ldap.BindDN, "LDAP needs an account to search with")...)

	switch u := ldap.URL; {
	case u == "":
		errs = append(errs, field.Required(p.Child("url"), "LDAP needs the URL of a directory, like ldaps://dc.example.org:636"))
	case !ldapURL.MatchString(u):
		errs = append(errs, field.Invalid(p.Child("url"), redact.Bad("url", u), "must be the URL of a directory, like ldaps://dc.example.org:636"))
	case strings.HasPrefix(u, "ldap://") && !ldap.StartTLS && !ldap.AllowPlaintext:
		errs = append(errs, field.Invalid(p.Child("url"), redact.Bad("url", u), "sends the bind password in clear text: use ldaps://, or set startTLS or, if you must, allowPlaintext"))
	}
	if ldap.BindPasswordSecretRef == nil {
		errs = append(errs, field.Required(p.Child("bindPasswordSecretRef"), "LDAP needs the password of bindDN, the server does not start without: name the Secret and its key"))
	}
	if a := ldap.UserAttr; a != "" && !ldapAttribute.MatchString(a) {
		errs = append(errs, field.Invalid(p.Child("userAttr"), a, "must be the name of an attribute: letters, digits and '-', beginning with a letter"))
	}

	return errs
}

func validateKerberos(p *field.Path, krb v1alpha1.KerberosSpec) field.ErrorList {
	machine := krb.MachineAccount
	if !*krb.Enabled {
		if *machine.Enabled {
			return field.ErrorList{field.Invalid(p.Child("machineAccount", "enabled"), true, "the machine account is part of Kerberos: set spec.identity.kerberos.enabled: true, or switch the machine account off")}
		}

		return nil
	}

	errs := validateSecretKey(p.Child("keytabSecretRef"), krb.KeytabSecretRef)
	errs = append(errs, validateSecretKey(p.Child("krb5ConfSecretRef"), krb.Krb5ConfSecretRef)...)
	errs = append(errs, required(p.Child("servicePrincipal"), krb.ServicePrincipal, "Kerberos needs the server's own principal, like nfs/files.example.org@EXAMPLE.ORG")...)
	if krb.KeytabSecretRef == nil {
		errs = append(errs, field.Required(p.Child("keytabSecretRef"), "Kerberos needs the keytab of the server's principal: name the Secret and its key"))
	}
	for _, domain := range []struct{ name, value, without, detail string }{
		{"realm", krb.Realm, "@/ ", "must be a realm, like EXAMPLE.ORG, without '@', '/' and spaces"},
		{"netbiosDomain", krb.NetBIOSDomain, ".@/ ", "must be the short name of a domain, like EXAMPLE, without '.', '@', '/' and spaces"},
		{"dnsDomain", krb.DNSDomain, "@/ ", "must be a DNS name, like example.org, without '@', '/' and spaces"},
	} {
		if strings.ContainsAny(domain.value, domain.without) {
			errs = append(errs, field.Invalid(p.Child(domain.name), domain.value, domain.detail))
		}
	}
	if n := krb.NetBIOSDomain; len(n) > maxNetBIOSName {
		errs = append(errs, field.TooLong(p.Child("netbiosDomain"), n, maxNetBIOSName))
	}
	if c := krb.Krb5Conf; c != "" && !strings.HasPrefix(c, "/") {
		errs = append(errs, field.Invalid(p.Child("krb5Conf"), c, "must be an absolute path"))
	}

	return append(errs, validateMachineAccount(p.Child("machineAccount"), machine)...)
}

func validateMachineAccount(p *field.Path, machine v1alpha1.MachineAccountSpec) field.ErrorList {
	if !*machine.Enabled {
		return nil
	}
	errs := validateSecretKey(p.Child("secretRef"), machine.SecretRef)
	errs = append(errs, validateSecretKey(p.Child("keytabSecretRef"), machine.KeytabSecretRef)...)
	errs = append(errs, required(p.Child("accountName"), machine.AccountName, "a machine account has a name, like FILES$")...)
	if machine.SecretRef == nil && machine.KeytabSecretRef == nil {
		errs = append(errs, field.Required(p.Child("secretRef"), "a machine account needs its password or its keytab: set secretRef or keytabSecretRef"))
	}
	for i, address := range machine.DCAddress {
		errs = append(errs, required(p.Child("dcAddress").Index(i), address, "a domain controller is a host, or host:port")...)
	}

	return errs
}

// required refuses an empty or blank text.
func required(p *field.Path, value, detail string) field.ErrorList {
	if strings.TrimSpace(value) != "" {
		return nil
	}

	return field.ErrorList{field.Required(p, detail)}
}
