// Package dittofs loads the rendered config.yaml of every example with the real
// server's loader, in the environment of the composed pod (R10, R11).
package dittofs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/marmos91/dittofs/pkg/config"
	"github.com/marmos91/dittofs/pkg/controlplane/api"
	"github.com/marmos91/dittofs/pkg/controlplane/models"
	"github.com/marmos91/dittofs/pkg/identity/ldap"
)

// settings are what of a loaded configuration the composition decides.
type settings struct {
	DatabaseType string
	SQLitePath   string
	Host         string
	Port         int
	Database     string
	User         string
	Password     string
	SSLMode      string
	SSLRootCert  string

	ListenHost           string
	ListenPort           int
	JWTSecret            string
	AccessTokenDuration  time.Duration
	RefreshTokenDuration time.Duration

	LogLevel, LogFormat, LogOutput string
	ShutdownTimeout                time.Duration

	// Sections by name, as the loader prints them, if they are switched on.
	Sections map[string]any
	// BindPassword and MachineSecret are what it does not print.
	BindPassword, MachineSecret string
}

func settingsOf(c *config.Config) settings {
	s := settings{
		DatabaseType:         string(c.Database.Type),
		SQLitePath:           c.Database.SQLite.Path,
		ListenHost:           c.ControlPlane.Host,
		ListenPort:           c.ControlPlane.Port,
		JWTSecret:            c.ControlPlane.GetJWTSecret(),
		AccessTokenDuration:  c.ControlPlane.JWT.AccessTokenDuration,
		RefreshTokenDuration: c.ControlPlane.JWT.RefreshTokenDuration,
		LogLevel:             c.Logging.Level,
		LogFormat:            c.Logging.Format,
		LogOutput:            c.Logging.Output,
		ShutdownTimeout:      c.ShutdownTimeout,
	}
	if p := c.Database.Postgres; s.DatabaseType == "postgres" {
		s.Host, s.Port, s.Database, s.User, s.Password = p.Host, p.Port, p.Database, p.User, p.Password
		s.SSLMode, s.SSLRootCert = p.SSLMode, p.SSLRootCert
	}

	s.Sections = map[string]any{}
	if c.ControlPlane.TLS.Enabled() {
		s.Sections["tls"] = c.ControlPlane.TLS
	}
	if c.LDAP.Enabled {
		s.BindPassword, c.LDAP.BindPassword = c.LDAP.BindPassword, ""
		s.Sections["ldap"] = c.LDAP
	}
	if c.Kerberos.Enabled {
		s.MachineSecret, c.Kerberos.MachineAccount.Secret = c.Kerberos.MachineAccount.Secret, ""
		s.Sections["kerberos"] = c.Kerberos
	}
	if c.Metrics.Enabled {
		s.Sections["metrics"] = c.Metrics
	}
	return s
}

// defaults that every example keeps.
func defaults() settings {
	return settings{
		ListenHost:           "0.0.0.0",
		ListenPort:           8080,
		AccessTokenDuration:  15 * time.Minute,
		RefreshTokenDuration: 168 * time.Hour,
		LogLevel:             "INFO",
		LogFormat:            "json",
		LogOutput:            "stdout",
		ShutdownTimeout:      30 * time.Second,
		Sections:             map[string]any{},
	}
}

// with a section switched on.
func with(want func(*stage) settings, section string, value any) func(*stage) settings {
	return func(s *stage) settings {
		w := want(s)
		w.Sections[section] = value
		return w
	}
}

// directory expects LDAP and Kerberos as the example asks, with the server's
// own defaults.
func directory(s *stage) settings {
	want := sqlite(s)
	want.BindPassword = s.secrets["files-directory"]["bind-password"]
	want.MachineSecret = s.secrets["files-directory"]["machine-password"]

	directory := ldap.Config{
		Enabled: true, URL: "ldaps://dc1.example.org:636", BaseDN: "DC=example,DC=org", BindDN: "CN=dittofs,OU=Services,DC=example,DC=org",
		Realm: "EXAMPLE.ORG", Idmap: ldap.IdmapRID, NestedGroups: true, TLS: ldap.TLSConfig{CACertFile: "/ldap-ca/ca.crt"},
	}
	directory.ApplyDefaults()
	want.Sections["ldap"] = directory

	kerberos := config.KerberosConfig{
		Enabled: true, KeytabPath: "/kerberos/dittofs.keytab", ServicePrincipal: "nfs/files.example.org@EXAMPLE.ORG",
		Realm: "EXAMPLE.ORG", NetBIOSDomain: "EXAMPLE", DNSDomain: "example.org", Krb5Conf: "/kerberos-krb5/krb5.conf",
		MachineAccount: config.MachineAccountConfig{Enabled: true, AccountName: "FILES$", DCAddresses: []string{"dc1.example.org"}},
	}
	whole := config.Config{Kerberos: kerberos}
	config.ApplyDefaults(&whole)
	want.Sections["kerberos"] = whole.Kerberos
	return want
}

// external expects the values of a person's own Secret.
func external(s *stage) settings {
	want := defaults()
	secret := s.secrets["files-database"]
	want.DatabaseType, want.Host, want.Port = "postgres", secret["host"], 5432
	want.Database, want.User, want.Password = secret["database"], secret["user"], secret["password"]
	want.SSLMode, want.SSLRootCert = "verify-full", "/postgres-ca/ca.crt"
	want.JWTSecret = s.secrets["files-jwt-secret"]["jwt-secret"]
	return want
}

func sqlite(s *stage) settings {
	want := defaults()
	want.DatabaseType = "sqlite"
	want.SQLitePath = "/data/controlplane/controlplane.db"
	want.JWTSecret = s.secrets["files-jwt-secret"]["jwt-secret"]
	return want
}

// percona expects the user Secret's values, and the primary of a namespace.
func percona(namespace string) func(*stage) settings {
	return func(s *stage) settings {
		want := defaults()
		want.DatabaseType = "postgres"
		want.Host = "files-postgres-primary." + namespace + ".svc"
		want.Port = 5432
		want.Database, want.User = "dittofs", "dittofs"
		want.Password = s.secrets["files-postgres-pguser-dittofs"]["password"]
		want.SSLMode, want.SSLRootCert = "verify-full", "/postgres-ca/ca.crt"
		want.JWTSecret = s.secrets["files-jwt-secret"]["jwt-secret"]
		return want
	}
}

func TestExamples(t *testing.T) {
	cases := map[string]struct {
		reason string
		stages int
		want   func(*stage) settings
	}{
		"minimal": {
			reason: "Without a database of its own the server keeps a file on its volume.",
			stages: 2,
			want:   sqlite,
		},
		"claim": {
			reason: "A claim's server is like any other.",
			stages: 2,
			want:   sqlite,
		},
		"percona": {
			reason: "With Percona the server stores its control plane in PostgreSQL, over verified TLS.",
			stages: 3,
			want:   percona("team-a"),
		},
		"percona-backup": {
			reason: "Backups change nothing for the server.",
			stages: 3,
			want:   percona("team-b"),
		},
		"percona-ha": {
			reason: "How many there are of the database is nothing to the server.",
			stages: 2,
			want:   percona("team-a"),
		},
		"air-gap": {
			reason: "Where images come from neither.",
			stages: 1,
			want:   percona("team-a"),
		},
		"external-postgresql": {
			reason: "Somebody else's PostgreSQL is used like one's own.",
			stages: 2,
			want:   external,
		},
		"tls": {
			reason: "A certificate switches TLS on.",
			stages: 2,
			want:   with(sqlite, "tls", api.TLSConfig{CertFile: "/tls/tls.crt", KeyFile: "/tls/tls.key"}),
		},
		"mtls": {
			reason: "With an authority, clients need a certificate.",
			stages: 2,
			want:   with(sqlite, "tls", api.TLSConfig{CertFile: "/tls/tls.crt", KeyFile: "/tls/tls.key", ClientCA: "/tls-client-ca/ca.crt"}),
		},
		"active-directory": {
			reason: "Users come from a directory; its passwords are in the environment only.",
			stages: 2,
			want:   directory,
		},
		"metrics": {
			reason: "Metrics are served to those who have the token.",
			stages: 2,
			want: with(sqlite, "metrics", config.MetricsConfig{
				Enabled: true, Host: "0.0.0.0", Port: 9090, Path: "/metrics", Auth: "token", TokenFile: "/metrics-token/token",
			}),
		},
	}

	const examples = "../../example"
	found, err := filepath.Glob(filepath.Join(examples, "*", "xr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, xr := range found {
		if name := filepath.Base(filepath.Dir(xr)); cases[name].want == nil {
			t.Errorf("Example %s has no test case here", name)
		}
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dirs, err := filepath.Glob(filepath.Join(examples, name, "stages", "*"))
			if err != nil {
				t.Fatal(err)
			}

			stages := 0
			for _, dir := range dirs {
				s, ok := readStage(t, dir)
				if !ok {
					continue
				}
				stages++
				t.Run(filepath.Base(dir), func(t *testing.T) {
					checkStage(t, s, tc.want(s), tc.reason)
				})
			}
			if stages != tc.stages {
				t.Errorf("Stages with a StatefulSet: want %d, got %d", tc.stages, stages)
			}
		})
	}
}

func checkStage(t *testing.T, s *stage, want settings, reason string) {
	t.Helper()

	path, err := s.configPath()
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.file(path)
	if err != nil {
		t.Fatal(err)
	}
	env, err := s.environment()
	if err != nil {
		t.Fatal(err)
	}

	cfg, warnings, err := load(t, file, env)
	if err != nil {
		t.Fatalf("%s\nLoad(...): %v\n%s", reason, err, file)
	}
	if warnings != "" {
		t.Errorf("%s\nLoad(...) warns: %s", reason, warnings)
	}
	got := settingsOf(cfg)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\nLoad(...): -want, +got:\n%s", reason, diff)
	}

	// The server refuses a shorter key (dittofs v0.29.0 pkg/controlplane/api/server.go).
	if len(got.JWTSecret) < 32 {
		t.Errorf("The JWT key has %d characters, the server wants 32 or more", len(got.JWTSecret))
	}
	if env[models.EnvAdminInitialPassword] == "" {
		t.Errorf("The administrator has no password: %s is not set", models.EnvAdminInitialPassword)
	}
	checkPaths(t, s, got)
	checkPorts(t, s, got)
	checkVariables(t, file, env, cfg)
}

// checkPaths checks that what the configuration names is there in the pod.
func checkPaths(t *testing.T, s *stage, got settings) {
	t.Helper()

	if got.SSLRootCert != "" {
		ca, err := s.file(got.SSLRootCert)
		if err != nil {
			t.Errorf("The CA of PostgreSQL: %v", err)
		}
		if !strings.HasPrefix(ca, "-----BEGIN CERTIFICATE-----") {
			t.Errorf("The CA of PostgreSQL at %s is no certificate:\n%s", got.SSLRootCert, ca)
		}
	}

	for _, path := range filesOf(got) {
		if _, err := s.file(path); err != nil {
			t.Errorf("%s is named, and is not in the pod: %v", path, err)
		}
	}

	if got.SQLitePath == "" {
		return
	}
	for _, p := range s.mountPaths() {
		if strings.HasPrefix(got.SQLitePath, p+"/") {
			return
		}
	}
	t.Errorf("The database %s is on no volume of %q: it would be lost with the pod", got.SQLitePath, s.mountPaths())
}

// filesOf the sections that are switched on.
func filesOf(got settings) []string {
	var paths []string
	for _, section := range got.Sections {
		switch c := section.(type) {
		case api.TLSConfig:
			paths = append(paths, c.CertFile, c.KeyFile, c.ClientCA)
		case ldap.Config:
			paths = append(paths, c.TLS.CACertFile)
		case config.KerberosConfig:
			paths = append(paths, c.KeytabPath, c.Krb5Conf, c.MachineAccount.KeytabPath)
		case config.MetricsConfig:
			paths = append(paths, c.TokenFile)
		}
	}
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// checkPorts checks that the server listens where the pod says.
func checkPorts(t *testing.T, s *stage, got settings) {
	t.Helper()

	c, err := s.container()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Ports {
		if p.Name == "api" {
			if int(p.ContainerPort) != got.ListenPort {
				t.Errorf("Port api: want %d, got %d", got.ListenPort, p.ContainerPort)
			}
			return
		}
	}
	t.Error("The container has no port api")
}

// checkVariables checks that the loader reads each variable that is meant for
// it: with another value the configuration is another, or none.
func checkVariables(t *testing.T, file string, env map[string]string, cfg *config.Config) {
	t.Helper()

	for name, value := range env {
		// The server reads this one itself, when it makes the administrator.
		if !strings.HasPrefix(name, "DITTOFS_") || name == models.EnvAdminInitialPassword {
			continue
		}
		changed := maps.Clone(env)
		changed[name] = value + "1"
		if other, _, err := load(t, file, changed); err == nil && cmp.Equal(cfg, other) {
			t.Errorf("The server does not read the variable %s", name)
		}
	}
}

// TestLoad shows what the checks on the examples rest on: the loader's own
// verdict on configurations that are nearly right.
func TestLoad(t *testing.T) {
	const file = `
logging: {level: INFO, format: json, output: stdout}
shutdown_timeout: 30s
database: {type: postgres}
controlplane:
  host: 0.0.0.0
  port: 8080
  jwt: {access_token_duration: 15m, refresh_token_duration: 168h}
`
	env := map[string]string{
		"DITTOFS_CONTROLPLANE_SECRET":        strings.Repeat("k", 43),
		"DITTOFS_DATABASE_POSTGRES_HOST":     "db.example.org",
		"DITTOFS_DATABASE_POSTGRES_DATABASE": "files",
		"DITTOFS_DATABASE_POSTGRES_USER":     "me",
		"DITTOFS_DATABASE_POSTGRES_PASSWORD": "p@ss word/",
		"DITTOFS_DATABASE_POSTGRES_SSLMODE":  "require",
	}
	good := defaults()
	good.DatabaseType, good.Host, good.Port = "postgres", "db.example.org", 5432
	good.Database, good.User, good.Password, good.SSLMode = "files", "me", "p@ss word/", "require"
	good.JWTSecret = strings.Repeat("k", 43)

	type want struct {
		settings settings
		warnings string
		err      string
	}
	cases := map[string]struct {
		reason string
		edit   *strings.Replacer
		env    map[string]string
		want   want
	}{
		"External": {
			reason: "A type and the environment are enough; the port defaults to PostgreSQL's.",
			edit:   strings.NewReplacer(),
			env:    env,
			want:   want{settings: good},
		},
		"MisspelledKey": {
			reason: "An unknown key is only warned of, so the warning must be looked for.",
			edit:   strings.NewReplacer("access_token_duration: 15m", "accessTokenDuration: 1h"),
			env:    env,
			want: want{
				settings: good,
				warnings: "WARNING: config contains unknown keys (ignored): controlplane.jwt.accesstokenduration\n",
			},
		},
		"DatabaseURLOnly": {
			reason: "The server does not read DATABASE_URL.",
			edit:   strings.NewReplacer(),
			env: map[string]string{
				"DITTOFS_CONTROLPLANE_SECRET": strings.Repeat("k", 43),
				"DATABASE_URL":                "postgresql://me:secret@db.example.org:5432/files",
			},
			want: want{err: "postgres host is required"},
		},
		"UnknownLevel": {
			reason: "A wrong value is an error.",
			edit:   strings.NewReplacer("INFO", "CHATTY"),
			env:    env,
			want:   want{err: "configuration validation failed"},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg, warnings, err := load(t, tc.edit.Replace(file), tc.env)
			if tc.want.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want.err) {
					t.Errorf("%s\nLoad(...): want error with %q, got: %v", tc.reason, tc.want.err, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s\nLoad(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want.settings, settingsOf(cfg)); diff != "" {
				t.Errorf("%s\nLoad(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want.warnings, warnings); diff != "" {
				t.Errorf("%s\nLoad(...): -want warnings, +got warnings:\n%s", tc.reason, diff)
			}
		})
	}
}

// load a configuration file in an environment. It returns what the server would
// start with and what it would warn of.
func load(t *testing.T, file string, env map[string]string) (cfg *config.Config, warnings string, err error) {
	t.Helper()

	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "DITTOFS_") || name == "DATABASE_URL" {
			t.Setenv(name, value) // Restores it after the test.
			_ = os.Unsetenv(name)
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}

	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()

	before := os.Stderr
	os.Stderr = stderr
	cfg, err = config.MustLoad(path)
	os.Stderr = before
	if err != nil {
		return nil, "", err
	}

	b, readErr := os.ReadFile(stderr.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return cfg, string(b), validate(cfg)
}

// validate the parts that the server checks on its start, after loading.
func validate(cfg *config.Config) error {
	if err := cfg.Database.Validate(); err != nil {
		return err
	}
	if err := cfg.LDAP.Validate(); err != nil {
		return err
	}
	if err := cfg.Kerberos.Validate(); err != nil {
		return err
	}
	return cfg.ControlPlane.Validate()
}
