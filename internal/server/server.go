// Package server resolves what is wanted: the composite resource and the
// function's Input, defaulted and checked, once per request.
package server

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/request"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// What the function itself falls back to.
const (
	defaultImage     = "docker.io/marmos91c/dittofs:v0.29.0"
	defaultWaitImage = "docker.io/library/postgres:16-alpine"

	defaultWaitTimeout = 5 * time.Minute
	defaultWaiting     = 15 * time.Second
	defaultSteady      = time.Minute
)

// A Server is what a person and a platform team want, resolved: every default
// is filled in and every value has been checked.
type Server struct {
	// Name that all derived names start with: the claim's, else the XR's.
	Name string
	// Namespace of everything that is composed.
	Namespace string
	// XR is the composite resource itself.
	XR XR

	// Spec with defaults. Images that nobody set are empty: see Image.
	Spec v1alpha1.DittoServerSpec
	// Input with defaults.
	Input v1beta1.Input
	// DatabaseDefaults lists the leaves of the database cluster's spec that neither
	// XR nor Input set; a live cluster keeps its own (R24).
	DatabaseDefaults []string
}

// XR is the composite resource as it was observed.
type XR struct {
	APIVersion string
	Kind       string
	Name       string
	UID        types.UID
	// Namespaced tells that the XR lives in a namespace itself.
	Namespaced bool
	// Claim tells that a claim stands behind the XR.
	Claim bool
	// Created tells that an API server has made the XR; a file that is
	// rendered offline was made by nobody.
	Created bool
	// What was reported of the database last: it outlives a view that does not
	// show the cluster, or the StatefulSet.
	ClusterName    string
	EverReady      bool
	DatabaseType   string
	DatabaseSecret string
	// Conditions that were reported last, by type.
	Conditions map[string]Condition
}

// A Condition that was reported last.
type Condition struct {
	Status, Reason, Message string
}

// FieldManager that Crossplane applies the XR's composed resources with.
func (x XR) FieldManager() string {
	return percona.FieldManager(x.Name, schema.FromAPIVersionAndKind(x.APIVersion, x.Kind).GroupKind())
}

// Observed reads the composite resource's own identity and what was reported
// on it before. It never fails: what cannot be read is empty.
func Observed(req *fnv1.RunFunctionRequest) XR {
	o := req.GetObserved().GetComposite().GetResource().GetFields()
	meta := o["metadata"].GetStructValue().GetFields()

	xr := XR{
		APIVersion: o["apiVersion"].GetStringValue(),
		Kind:       o["kind"].GetStringValue(),
		Name:       meta["name"].GetStringValue(),
		UID:        types.UID(meta["uid"].GetStringValue()),
		Namespaced: meta["namespace"].GetStringValue() != "",
		Created:    meta["creationTimestamp"].GetStringValue() != "",
		Conditions: map[string]Condition{},
	}

	status := o["status"].GetStructValue().GetFields()
	xr.ClusterName = status["perconaClusterName"].GetStringValue()
	db := status["database"].GetStructValue().GetFields()
	xr.EverReady = db["everReady"].GetBoolValue()
	xr.DatabaseType = db["type"].GetStringValue()
	xr.DatabaseSecret = db["secretName"].GetStringValue()
	for _, v := range status["conditions"].GetListValue().GetValues() {
		c := v.GetStructValue().GetFields()
		xr.Conditions[c["type"].GetStringValue()] = Condition{
			Status:  c["status"].GetStringValue(),
			Reason:  c["reason"].GetStringValue(),
			Message: c["message"].GetStringValue(),
		}
	}

	return xr
}

// Resolve reads what is wanted from a request. The error lists everything that
// is wrong with it, each with its field path and what to do.
func Resolve(req *fnv1.RunFunctionRequest) (*Server, error) {
	s := &Server{XR: Observed(req)}

	if req.GetInput() != nil {
		if err := request.GetInput(req, &s.Input); err != nil {
			return nil, errors.Wrap(err, "cannot read the Composition's input for this function: correct the field that is named")
		}
	}

	xr := req.GetObserved().GetComposite().GetResource()
	spec := xr.GetFields()["spec"].GetStructValue()
	if err := decodeSpec(spec, &s.Spec); err != nil {
		return nil, err
	}

	s.resolveNames(xr, spec)
	s.applyDefaults()

	if err := s.validate(); err != nil {
		return nil, err
	}

	return s, nil
}

// resolveNames finds the base name and the namespace. A claim reference counts
// only where the XR has no namespace of its own (R23).
func (s *Server) resolveNames(xr, spec *structpb.Struct) {
	s.Name = s.XR.Name
	if s.XR.Namespaced {
		s.Namespace = xr.GetFields()["metadata"].GetStructValue().GetFields()["namespace"].GetStringValue()

		return
	}

	s.Namespace = s.Input.Namespace
	if ref := spec.GetFields()["claimRef"].GetStructValue().GetFields(); ref != nil {
		s.XR.Claim = true
		s.Name = ref["name"].GetStringValue()
		s.Namespace = ref["namespace"].GetStringValue()
	}
}

// applyDefaults fills in what the spec leaves open: first what the platform
// team decided, then what the schema would have filled in.
func (s *Server) applyDefaults() {
	p := &s.Spec.Percona

	if s.Spec.Storage.StorageClassName == nil {
		s.Spec.Storage.StorageClassName = s.Input.Defaults.StorageClassName
	}
	if p.StorageClassName == nil {
		p.StorageClassName = s.Input.Percona.StorageClassName
	}
	if p.CRVersion == "" {
		p.CRVersion = s.Input.Percona.CRVersion
	}
	if p.CRVersion == "" {
		p.CRVersion = percona.DefaultCRVersion
		s.DatabaseDefaults = append(s.DatabaseDefaults, "crVersion")
	}
	if p.PostgresVersion == nil {
		p.PostgresVersion = s.Input.Percona.PostgresVersion
	}

	var version int32 = percona.DefaultPostgresVersion
	major, told := percona.PostgresMajor(p.Images.Postgres)
	switch {
	case p.PostgresVersion != nil:
		version = *p.PostgresVersion
	case told:
		// Whoever names an image has chosen its version.
		version = major
		p.PostgresVersion = &version
	default:
		s.DatabaseDefaults = append(s.DatabaseDefaults, "postgresVersion")
	}

	platform, fallback := s.Input.Percona.Images, percona.DefaultImages(version)
	for _, img := range []struct {
		path                string
		set                 *string
		platform, otherwise string
	}{
		{"image", &p.Images.Postgres, platform.Postgres[strconv.Itoa(int(version))], fallback.Postgres},
		{"backups.pgbackrest.image", &p.Images.PGBackRest, platform.PGBackRest, fallback.PGBackRest},
		{"proxy.pgBouncer.image", &p.Images.PGBouncer, platform.PGBouncer, fallback.PGBouncer},
	} {
		if *img.set == "" {
			*img.set = img.platform
		}
		if *img.set == "" {
			s.DatabaseDefaults = append(s.DatabaseDefaults, img.path)
			*img.set = img.otherwise
		}
	}

	s.Spec.SetDefaults()
}

// Image of the server's container. A running server keeps a default that it
// started with (R24): running is its image, or empty.
func (s *Server) Image(running string) string {
	return firstOf(s.Spec.Image, s.Input.Defaults.Image, running, defaultImage)
}

// WaitImage of the init container that waits for PostgreSQL; running is that
// of a running server, or empty.
func (s *Server) WaitImage(running string) string {
	return firstOf(s.Input.WaitForPostgres.Image, running, defaultWaitImage)
}

// WaitTimeout after which the init container gives up.
func (s *Server) WaitTimeout() time.Duration {
	if t := s.Input.WaitForPostgres.Timeout; t != nil {
		return t.Duration
	}

	return defaultWaitTimeout
}

// TTL of a response: how soon to look again when nothing happens (R20).
func (s *Server) TTL(waiting bool) time.Duration {
	if waiting {
		if w := s.Input.Polling.Waiting; w != nil {
			return w.Duration
		}

		return defaultWaiting
	}
	if w := s.Input.Polling.Steady; w != nil {
		return w.Duration
	}

	return defaultSteady
}

// PodSecurityLevel that every pod must pass.
func (s *Server) PodSecurityLevel() string {
	return firstOf(string(s.Input.Policy.PodSecurity), "restricted")
}

// DatabaseID is the database that the spec leads to, as the pod template's
// annotation dittofs.io/database has it: its kind, a colon, and where it is.
func (s *Server) DatabaseID() string {
	db, pg := s.Spec.Database, s.Spec.Percona
	switch {
	case *pg.Enabled:
		return string(v1alpha1.DatabasePercona) + ":" + percona.ClusterName(s.Name) + "/" + pg.DatabaseName
	case db.PostgresSecretRef != nil && db.Type == v1alpha1.DatabaseTypePostgres:
		return string(v1alpha1.DatabaseExternal) + ":" + db.PostgresSecretRef.Name
	}

	return string(v1alpha1.DatabaseSQLite) + ":" + db.SQLite.Path
}

// Defaulted is a resolved DittoServer under its base name, as builders of
// other objects take it.
func (s *Server) Defaulted() *v1alpha1.DittoServer {
	ds := &v1alpha1.DittoServer{Spec: s.Spec}
	ds.Name, ds.Namespace, ds.UID = s.Name, s.Namespace, s.XR.UID

	return ds
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}

	return ""
}

// sortedKeys of a map, so that errors come in the same order every time.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
