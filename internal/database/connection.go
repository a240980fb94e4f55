package database

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// Keys of a Secret that leads to PostgreSQL: the DittoFS operator's for an
// external one, Percona's for one of its users (percona v2.9.0
// internal/controller/postgrescluster/postgres.go).
const (
	keyHost     = "host"
	keyPort     = "port"
	keyUser     = "user"
	keyPassword = "password"
	keyDatabase = "database"
	keyDBName   = "dbname"
	keyURI      = "uri"
	keySSLMode  = "sslmode"
)

// A Connection is how a pod reaches PostgreSQL: by keys of a Secret.
type Connection struct {
	// Secret that leads to the database.
	Secret observed.Secret
	// DatabaseKey is the Secret's key for the name of the database.
	DatabaseKey string
	// HasPort tells that the Secret has a key port; 5432 otherwise.
	HasPort bool
	// URIKey is the Secret's key for a connection URI, or empty.
	URIKey string
	// SSLMode of the connection.
	SSLMode v1alpha1.SSLMode
	// CASecret has the key ca.crt that verifies the server's certificate; its
	// name is empty if nothing is verified.
	CASecret observed.Secret

	// field and caField are the spec's that name the two Secrets, in brackets
	// after a blank; empty if nobody names them.
	field, caField string
	// required keys, and missing ones among them.
	required []string
	missing  []string
	// wanted is the name of the database that the Secret is to lead to; any, if
	// empty.
	wanted string
	// rotating tells that the Secret is being written: its parts contradict
	// each other.
	rotating bool
}

// A Value is what a pod consumes from a Secret.
type Value struct {
	Name, Value string
}

// perconaUser connects with the user Secret that Percona makes.
func perconaUser(srv *server.Server, seen *observed.State) *Connection {
	c := &Connection{
		Secret:      seen.Secret(percona.SecretName(srv.Name)),
		DatabaseKey: keyDBName,
		HasPort:     true,
		URIKey:      keyURI,
		SSLMode:     srv.Spec.Percona.SSLMode,
	}
	if c.SSLMode.Verifies() {
		c.CASecret = seen.Secret(percona.CASecretName(srv.Name))
	}
	c.require(keyHost, keyPort, keyDBName, keyUser, keyPassword, keyURI)
	c.wanted = srv.Spec.Percona.DatabaseName

	// Percona writes password and uri one after the other when the password is
	// edited: until they agree, neither is to be used (R3).
	uri, _ := c.Secret.Value(keyURI)
	password, _ := c.Secret.Value(keyPassword)
	if len(c.missing) == 0 && passwordOf(uri) != password {
		c.rotating = true
	}

	return c
}

// external connects with a Secret that a person wrote.
func external(ref v1alpha1.PostgresSecretRef, secret observed.Secret) *Connection {
	c := &Connection{Secret: secret, DatabaseKey: keyDatabase, SSLMode: ref.SSLMode, field: " (spec.database.postgresSecretRef)"}
	if ref.CASecretRef != nil {
		c.CASecret.Name, c.caField = ref.CASecretRef.Name, " (spec.database.postgresSecretRef.caSecretRef)"
	}
	_, c.HasPort = secret.Value(keyPort)
	if mode, ok := secret.Value(keySSLMode); ok && c.SSLMode == "" {
		c.SSLMode = v1alpha1.SSLMode(strings.TrimSpace(mode))
	}
	if c.SSLMode == "" {
		c.SSLMode = v1alpha1.SSLModePrefer
	}
	c.require(keyHost, keyDatabase, keyUser, keyPassword)

	return c
}

func (c *Connection) require(keys ...string) {
	c.required = keys
	for _, k := range keys {
		if _, ok := c.Secret.Value(k); !ok {
			c.missing = append(c.missing, k)
		}
	}
}

// check the values that a server would not start with.
func (c *Connection) check(namespace string) []condition.Problem {
	invalid := func(key, remedy string) []condition.Problem {
		return []condition.Problem{{
			Reason:  condition.ReasonSecretInvalid,
			Message: fmt.Sprintf("Secret %s in namespace %s%s: the value of key %s %s", c.Secret.Name, namespace, c.field, key, remedy),
		}}
	}
	if !slices.Contains(v1alpha1.SSLModes(), c.SSLMode) {
		return invalid(keySSLMode, "is no sslmode of PostgreSQL: correct it, or set spec.database.postgresSecretRef.sslMode")
	}
	if port, ok := c.Secret.Value(keyPort); ok {
		if n, err := strconv.Atoi(port); err != nil || len(validation.IsValidPortNum(n)) > 0 {
			return invalid(keyPort, "is no port: correct it")
		}
	}

	return nil
}

// useCA looks for the certificate authority, and lists what is wrong with it.
func (c *Connection) useCA(seen *observed.State, namespace string) []condition.Problem {
	if c.CASecret.Name == "" {
		if c.SSLMode.Verifies() {
			return []condition.Problem{{
				Reason:  condition.ReasonSecretInvalid,
				Message: fmt.Sprintf("Secret %s in namespace %s asks for sslmode %s, which checks the server's certificate: set spec.database.postgresSecretRef.caSecretRef", c.Secret.Name, namespace, c.SSLMode),
			}}
		}

		return nil
	}
	c.CASecret = seen.Secret(c.CASecret.Name)
	if !c.CASecret.Live() && c.caField != "" {
		return []condition.Problem{{
			Reason:  condition.ReasonCASecretNotFound,
			Message: fmt.Sprintf("Secret %s in namespace %s%s is not there: create it with the certificate authority of the database under the key %s", c.CASecret.Name, namespace, c.caField, server.CACertificateKey),
		}}
	}
	if !c.CASecret.Live() {
		return []condition.Problem{{
			Reason:  condition.ReasonCASecretNotFound,
			Message: fmt.Sprintf("Secret %s in namespace %s, with the certificate authority of the database in its key %s, is not there yet", c.CASecret.Name, namespace, server.CACertificateKey),
		}}
	}
	if _, ok := c.CASecret.Value(server.CACertificateKey); !ok {
		return []condition.Problem{{
			Reason:  condition.ReasonSecretKeyMissing,
			Message: fmt.Sprintf("Secret %s in namespace %s%s has no key %s with the certificate authority of the database", c.CASecret.Name, namespace, c.caField, server.CACertificateKey),
		}}
	}

	return nil
}

// complete tells that everything a pod needs to connect can be read.
func (c *Connection) complete() bool {
	return c.Secret.Live() && len(c.missing) == 0 && !c.rotating && !c.astray()
}

// astray tells that the Secret leads to another database than the one that is
// asked for.
func (c *Connection) astray() bool {
	name, _ := c.Secret.Value(c.DatabaseKey)

	return c.wanted != "" && name != c.wanted
}

// condition is the one given if the connection is complete, else what is wrong.
func (c *Connection) condition(namespace string, ok condition.Condition) condition.Condition {
	switch {
	case !c.Secret.Live() && c.field != "":
		return condition.False(ok.Type, condition.ReasonConnectionSecretNotFound, fmt.Sprintf("Secret %s in namespace %s%s is not there: create it with the keys %s", c.Secret.Name, namespace, c.field, strings.Join(c.required, ", ")))
	case !c.Secret.Live():
		return condition.False(ok.Type, condition.ReasonConnectionSecretNotFound, fmt.Sprintf("Secret %s in namespace %s, which leads to the database, is not there yet", c.Secret.Name, namespace))
	case len(c.missing) > 0:
		return condition.False(ok.Type, condition.ReasonConnectionSecretIncomplete, fmt.Sprintf("Secret %s in namespace %s%s, which leads to the database, lacks: %s", c.Secret.Name, namespace, c.field, strings.Join(c.missing, ", ")))
	case c.astray():
		return condition.False(ok.Type, condition.ReasonConnectionSecretIncomplete, fmt.Sprintf("Secret %s in namespace %s leads to another database than spec.percona.databaseName, %s: change the field back, or see DatabaseUpToDate", c.Secret.Name, namespace, c.wanted))
	case c.rotating:
		return condition.False(ok.Type, condition.ReasonConnectionSecretIncomplete, fmt.Sprintf("Secret %s in namespace %s is being rotated: its uri does not carry its password yet", c.Secret.Name, namespace))
	}

	return ok
}

// Consumed are the values that a pod takes from Secrets to connect. It is not
// ok if one of them cannot be read.
func (c *Connection) Consumed() (values []Value, ok bool) {
	if !c.complete() {
		return nil, false
	}
	keys := c.required
	// Of Percona's user Secret it is required as well, and stays twice: the
	// values are in the hash of every running pod.
	if _, known := c.Secret.Value(keyPort); known && c.HasPort {
		keys = append([]string{keyPort}, keys...)
	}
	for _, k := range keys {
		v, _ := c.Secret.Value(k)
		values = append(values, Value{Name: "postgres/" + k, Value: v})
	}
	if c.CASecret.Name != "" {
		ca, known := c.CASecret.Value(server.CACertificateKey)
		if !known {
			return nil, false
		}
		values = append(values, Value{Name: "postgres/" + server.CACertificateKey, Value: ca})
	}

	return values, true
}

// HostKey of the Secret; this and the next are where a pod reads its connection.
func (c *Connection) HostKey() string { return keyHost }

// PortKey of the Secret.
func (c *Connection) PortKey() string { return keyPort }

// UserKey of the Secret.
func (c *Connection) UserKey() string { return keyUser }

// PasswordKey of the Secret.
func (c *Connection) PasswordKey() string { return keyPassword }

// passwordOf a connection URI, or empty.
func passwordOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	password, _ := u.User.Password()

	return password
}
