package dittofs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
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
		Host string    `yaml:"host"`
		Port int32     `yaml:"port"`
		JWT  jwtConfig `yaml:"jwt"`
	}
	jwtConfig struct {
		AccessTokenDuration  string `yaml:"access_token_duration"`
		RefreshTokenDuration string `yaml:"refresh_token_duration"`
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
	c.Hash = hashOf(c.File, db, creds)

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
	var text strings.Builder
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	err := e.Encode(f)

	return text.String(), errors.Wrap(err, "cannot render config.yaml")
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
func hashOf(file string, db *database.Plan, creds *Credentials) string {
	if creds.JWTKey == "" {
		return ""
	}
	values := []database.Value{{Name: "config", Value: file}, {Name: "jwt", Value: creds.JWTKey}}
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
