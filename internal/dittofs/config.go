package dittofs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	configKey = "config.yaml"

	defaultShutdownTimeout = "30s"
)

// The server's configuration, as its loader reads it (dittofs v0.29.0
// pkg/config/config.go). Secrets are not in it: the pod's environment has them.
type (
	configFile struct {
		Logging         loggingConfig      `yaml:"logging"`
		ShutdownTimeout string             `yaml:"shutdown_timeout"`
		Database        databaseConfig     `yaml:"database"`
		ControlPlane    controlPlaneConfig `yaml:"controlplane"`
		LDAP            *ldapConfig        `yaml:"ldap,omitempty"`
		Kerberos        *kerberosConfig    `yaml:"kerberos,omitempty"`
		Metrics         *metricsConfig     `yaml:"metrics,omitempty"`
	}
	loggingConfig struct {
		Level  string `yaml:"level"`
		Format string `yaml:"format"`
		Output string `yaml:"output"`
	}
	databaseConfig struct {
		Type   string        `yaml:"type"`
		SQLite *sqliteConfig `yaml:"sqlite,omitempty"`
	}
	sqliteConfig struct {
		Path string `yaml:"path"`
	}
	controlPlaneConfig struct {
		Host string     `yaml:"host"`
		Port int32      `yaml:"port"`
		JWT  jwtConfig  `yaml:"jwt"`
		TLS  *tlsConfig `yaml:"tls,omitempty"`
	}
	jwtConfig struct {
		AccessTokenDuration  string `yaml:"access_token_duration"`
		RefreshTokenDuration string `yaml:"refresh_token_duration"`
	}
	tlsConfig struct {
		CertFile string `yaml:"cert_file"`
		KeyFile  string `yaml:"key_file"`
		ClientCA string `yaml:"client_ca,omitempty"`
	}
	ldapConfig struct {
		Enabled        bool          `yaml:"enabled"`
		URL            string        `yaml:"url"`
		StartTLS       bool          `yaml:"start_tls,omitempty"`
		AllowPlaintext bool          `yaml:"allow_plaintext,omitempty"`
		BaseDN         string        `yaml:"base_dn"`
		BindDN         string        `yaml:"bind_dn"`
		UserAttr       string        `yaml:"user_attr,omitempty"`
		Realm          string        `yaml:"realm,omitempty"`
		IDMap          string        `yaml:"idmap,omitempty"`
		NestedGroups   bool          `yaml:"nested_groups,omitempty"`
		TLS            ldapTLSConfig `yaml:"tls,omitempty"`
	}
	ldapTLSConfig struct {
		CACertFile         string `yaml:"ca_cert_file,omitempty"`
		InsecureSkipVerify bool   `yaml:"insecure_skip_verify,omitempty"`
	}
	kerberosConfig struct {
		Enabled          bool                  `yaml:"enabled"`
		ServicePrincipal string                `yaml:"service_principal"`
		Realm            string                `yaml:"realm,omitempty"`
		NetBIOSDomain    string                `yaml:"netbios_domain,omitempty"`
		DNSDomain        string                `yaml:"dns_domain,omitempty"`
		KeytabPath       string                `yaml:"keytab_path"`
		Krb5Conf         string                `yaml:"krb5_conf,omitempty"`
		MachineAccount   *machineAccountConfig `yaml:"machine_account,omitempty"`
	}
	machineAccountConfig struct {
		Enabled     bool     `yaml:"enabled"`
		AccountName string   `yaml:"account_name"`
		KeytabPath  string   `yaml:"keytab_path,omitempty"`
		DCAddress   []string `yaml:"dc_address,omitempty"`
	}
	metricsConfig struct {
		Enabled   bool   `yaml:"enabled"`
		Host      string `yaml:"host"`
		Port      int32  `yaml:"port"`
		Path      string `yaml:"path"`
		Auth      string `yaml:"auth"`
		TokenFile string `yaml:"token_file,omitempty"`
	}
)

// A Config is the server's configuration file, and the hash over everything
// that a restart of the pod makes effective.
type Config struct {
	// File is the text of config.yaml that the new pod would start with.
	File string
	// Hash over File and the Secret keys that the pod consumes, 64 hexadecimal
	// digits; empty as long as one of them cannot be read (R3).
	Hash string
	// Problems with Secrets that the pod needs; it would not start without.
	Problems []condition.Problem

	live observed.Object
	srv  *server.Server
}

// NewConfig renders the configuration for a database.
func NewConfig(srv *server.Server, seen *observed.State, db *database.Plan, creds *Credentials) (*Config, error) {
	c := &Config{srv: srv, live: seen.Get(server.KeyConfig)}

	id := db.ID
	if db.Refused {
		id = db.RunningID
	}
	file, err := c.render(id)
	if err != nil {
		return nil, err
	}
	c.File = file
	values, ok := c.readReferences(seen)
	if ok {
		c.Hash = hashOf(c.File, values, db, creds)
	}

	return c, nil
}

// render the file for the database of an identity, like sqlite:<path>.
func (c *Config) render(databaseID string) (string, error) {
	spec := c.srv.Spec
	f := configFile{
		Logging:         loggingConfig(spec.Logging),
		ShutdownTimeout: c.shutdownTimeout(),
		ControlPlane: controlPlaneConfig{
			// The server's own default is the loopback address.
			Host: "0.0.0.0",
			Port: spec.ControlPlane.Port,
			JWT: jwtConfig{
				AccessTokenDuration:  spec.Identity.JWT.AccessTokenDuration,
				RefreshTokenDuration: spec.Identity.JWT.RefreshTokenDuration,
			},
		},
	}

	f.Database.Type = databaseType(databaseID)
	if path, ok := strings.CutPrefix(databaseID, observed.DatabaseSQLite+":"); ok {
		f.Database.SQLite = &sqliteConfig{Path: path}
	}
	if spec.ControlPlane.CertSecretName != "" {
		f.ControlPlane.TLS = tlsFiles(spec.ControlPlane)
	}
	if *spec.Identity.LDAP.Enabled {
		f.LDAP = ldapSettings(spec.Identity.LDAP)
	}
	if *spec.Identity.Kerberos.Enabled {
		f.Kerberos = kerberosSettings(spec.Identity.Kerberos)
	}
	if *spec.Metrics.Enabled {
		f.Metrics = metricsSettings(spec.Metrics)
	}

	text, err := encode(f, spec.Config)

	return text, errors.Wrap(err, "cannot render config.yaml")
}

func tlsFiles(cp v1alpha1.ControlPlaneSpec) *tlsConfig {
	files := &tlsConfig{CertFile: mountTLS + "/" + corev1.TLSCertKey, KeyFile: mountTLS + "/" + corev1.TLSPrivateKeyKey}
	if cp.ClientCASecretName != "" {
		files.ClientCA = mountClientCA + "/" + server.CACertificateKey
	}

	return files
}

// ldapSettings but for the bind password, which is in the environment.
func ldapSettings(ldap v1alpha1.LDAPSpec) *ldapConfig {
	c := &ldapConfig{
		Enabled:        true,
		URL:            ldap.URL,
		StartTLS:       ldap.StartTLS,
		AllowPlaintext: ldap.AllowPlaintext,
		BaseDN:         ldap.BaseDN,
		BindDN:         ldap.BindDN,
		UserAttr:       ldap.UserAttr,
		Realm:          ldap.Realm,
		IDMap:          ldap.IDMap,
		NestedGroups:   ldap.NestedGroups,
		TLS:            ldapTLSConfig{InsecureSkipVerify: ldap.InsecureSkipVerify},
	}
	if ldap.CASecretRef != nil {
		c.TLS.CACertFile = mountLDAPCA + "/" + server.CACertificateKey
	}

	return c
}

// kerberosSettings but for the machine account's password, which is in the
// environment.
func kerberosSettings(krb v1alpha1.KerberosSpec) *kerberosConfig {
	c := &kerberosConfig{
		Enabled:          true,
		ServicePrincipal: krb.ServicePrincipal,
		Realm:            krb.Realm,
		NetBIOSDomain:    krb.NetBIOSDomain,
		DNSDomain:        krb.DNSDomain,
		KeytabPath:       keytabFile,
		Krb5Conf:         krb.Krb5Conf,
	}
	if krb.Krb5ConfSecretRef != nil {
		c.Krb5Conf = krb5ConfFile
	}
	if machine := krb.MachineAccount; *machine.Enabled {
		c.MachineAccount = &machineAccountConfig{Enabled: true, AccountName: machine.AccountName, DCAddress: machine.DCAddress}
		if machine.KeytabSecretRef != nil {
			c.MachineAccount.KeytabPath = machineKeytabFile
		}
	}

	return c
}

func metricsSettings(m v1alpha1.MetricsSpec) *metricsConfig {
	// The server's own default is the loopback address.
	c := &metricsConfig{Enabled: true, Host: "0.0.0.0", Port: m.Port, Path: m.Path, Auth: "none"}
	if m.BearerTokenSecret != nil {
		c.Auth, c.TokenFile = "token", metricsTokenFile
	}

	return c
}

// encode the file, with a person's own settings merged in last.
func encode(f configFile, extra *runtime.RawExtension) (string, error) {
	var root yaml.Node
	if err := root.Encode(f); err != nil {
		return "", err
	}
	if extra != nil && len(extra.Raw) > 0 {
		var settings map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(extra.Raw, &settings); err != nil {
			return "", err
		}
		if err := merge(&root, settings); err != nil {
			return "", err
		}
	}

	var text strings.Builder
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	err := e.Encode(&root)

	return text.String(), err
}

// merge settings into a mapping, key by key; new ones come last, sorted.
func merge(into *yaml.Node, settings map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		var value yaml.Node
		if err := value.Encode(settings[key]); err != nil {
			return err
		}
		before := lookup(into, key)
		nested, isMap := settings[key].(map[string]any)
		switch {
		case before == nil:
			into.Content = append(into.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &value)
		case isMap && before.Kind == yaml.MappingNode:
			if err := merge(before, nested); err != nil {
				return err
			}
		default:
			*before = value
		}
	}

	return nil
}

// lookup the value of a key in a mapping, nil if there is none.
func lookup(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}

	return nil
}

// readReferences collects the values that a restart of the pod makes effective,
// and lists what is missing. It is not ok if something that the pod needs is.
func (c *Config) readReferences(seen *observed.State) (values []database.Value, ok bool) {
	ok = true
	for _, ref := range c.srv.References() {
		secret := seen.Secret(ref.Secret)
		value, readable := secret.Value(ref.Key)
		if ref.Verbatim && !readable {
			readable = secret.Has(ref.Key)
		}
		if ref.Key == "" {
			readable = secret.Live()
		}
		switch {
		case readable && ref.Effective != "":
			values = append(values, database.Value{Name: ref.Effective, Value: value})
		case readable:
		case ref.Optional && secret.Presence != observed.Unknown:
			// The pod starts without.
		default:
			ok = false
			c.Problems = append(c.Problems, missing(secret, c.srv.Namespace, ref.Key, ref.Path))
		}
	}

	return values, ok
}

// missing says what is wrong with a Secret that a person named, and what to do.
func missing(secret observed.Secret, namespace, key, path string) condition.Problem {
	where := fmt.Sprintf("Secret %s in namespace %s (%s)", secret.Name, namespace, path)
	switch {
	case secret.Live():
		return condition.Problem{Reason: condition.ReasonSecretKeyMissing, Message: fmt.Sprintf("%s has no value under key %s: add it", where, key)}
	case key == "":
		return condition.Problem{Reason: condition.ReasonSecretNotFound, Message: where + " is not there: create it"}
	}

	return condition.Problem{Reason: condition.ReasonSecretNotFound, Message: fmt.Sprintf("%s is not there: create it with the key %s", where, key)}
}

// databaseType that the server knows, for the database of an identity.
func databaseType(id string) string {
	if strings.HasPrefix(id, observed.DatabaseSQLite+":") {
		return string(v1alpha1.DatabaseTypeSQLite)
	}

	return string(v1alpha1.DatabaseTypePostgres)
}

// Stored tells that the live ConfigMap holds the file: only then may a running
// pod be restarted for it. Applied in one go, the pod could start before.
func (c *Config) Stored() bool { return c.live.Text("data", configKey) == c.File }

// shutdownTimeout is nobody's setting, so a running server keeps the one that
// it was started with (R24).
func (c *Config) shutdownTimeout() string {
	live := c.live.Text("data", configKey)
	if strings.Contains(live, "\nshutdown_timeout: "+defaultShutdownTimeout+"\n") {
		// Nearly always it is just that.
		return defaultShutdownTimeout
	}
	var running configFile
	if err := yaml.Unmarshal([]byte(live), &running); err != nil {
		return defaultShutdownTimeout
	}
	if d, err := time.ParseDuration(running.ShutdownTimeout); err != nil || d <= 0 {
		return defaultShutdownTimeout
	}

	return running.ShutdownTimeout
}

// Object is the ConfigMap. As long as a running pod is kept as it is, so is
// the file that it would be restarted with.
func (c *Config) Object(keep bool) desired.Object {
	file := c.File
	if kept := c.live.Text("data", configKey); keep && kept != "" {
		file = kept
	}

	id := c.srv.Identity(server.KeyConfig)

	return desired.New(id.Key, corev1ac.ConfigMap(id.Name, c.srv.Namespace).
		WithLabels(c.srv.Labels("config")).
		WithData(map[string]string{configKey: file}), c.live.Live())
}

// hashOf everything that a restart makes effective: the file, and the Secret
// keys that the pod consumes, sorted and framed by their lengths. Not in it is
// the administrator's password, which the server reads on its first boot only.
func hashOf(file string, named []database.Value, db *database.Plan, creds *Credentials) string {
	if creds.JWTKey == "" {
		return ""
	}
	values := append([]database.Value{{Name: "config", Value: file}, {Name: "jwt", Value: creds.JWTKey}}, named...)
	if db.Connection != nil {
		consumed, ok := db.Connection.Consumed()
		if !ok {
			return ""
		}
		values = append(values, consumed...)
	}
	slices.SortFunc(values, func(a, b database.Value) int { return strings.Compare(a.Name, b.Name) })

	h := sha256.New()
	for _, v := range values {
		frame(h, v.Name)
		frame(h, v.Value)
	}

	return hex.EncodeToString(h.Sum(nil))
}

// frame a text by its length, so that no two lists of texts hash alike.
func frame(h hash.Hash, text string) {
	_ = binary.Write(h, binary.BigEndian, uint64(len(text)))
	_, _ = h.Write([]byte(text))
}
