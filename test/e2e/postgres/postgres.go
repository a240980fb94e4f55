// Package postgres runs a real PostgreSQL for each PerconaPGCluster whose pods
// run, in the place of the images that the pods name. The Percona operator's
// own objects say all about it: its users and passwords, its certificate, its
// name, and the volume that its data is on.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

const (
	// Labels of the operator's objects.
	labelCluster = "postgres-operator.crunchydata.com/cluster"
	labelRole    = "postgres-operator.crunchydata.com/role"
	labelData    = "postgres-operator.crunchydata.com/data"
	labelPatroni = "postgres-operator.crunchydata.com/patroni"

	// labelPods of a namespace says whether its pods are pretended.
	labelPods = "e2e.dittofs.io/pods"

	// patroniVersion of the images that the pods name.
	patroniVersion = "4.1.0"

	// pretendedIdentifier of a database system that is pretended.
	pretendedIdentifier = "7000000000000000000"

	syncEvery = 300 * time.Millisecond
)

// Servers are the PostgreSQL servers of all clusters.
type Servers struct {
	client *cluster.Client
	mirror client.Reader
	box    *sandbox.Sandbox
	logs   string
	say    func(string)

	mu      sync.Mutex
	running map[types.NamespacedName]*database
	// told of the clusters whose servers are pretended.
	told map[types.NamespacedName]bool
}

// A database is the PostgreSQL of one cluster.
type database struct {
	*server

	port string
	// verifiers that users have now.
	verifiers map[string]string
}

// New servers.
func New(c *cluster.Client, mirror client.Reader, box *sandbox.Sandbox, logs string, say func(string)) *Servers {
	return &Servers{client: c, mirror: mirror, box: box, logs: logs, say: say, running: map[types.NamespacedName]*database{}, told: map[types.NamespacedName]bool{}}
}

// Run servers until the context ends.
func (s *Servers) Run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	said := ""
	for {
		if err := s.sync(ctx); err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.say("postgres: " + said)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sync the servers with the clusters' pods and Secrets.
func (s *Servers) sync(ctx context.Context) error {
	var pods corev1.PodList
	if err := s.mirror.List(ctx, &pods, client.MatchingLabels{labelData: "postgres"}); err != nil {
		return err
	}
	wanted := map[types.NamespacedName]bool{}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			wanted[types.NamespacedName{Namespace: p.Namespace, Name: p.Labels[labelCluster]}] = true
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for key, db := range s.running {
		if !wanted[key] {
			db.stop()
			delete(s.running, key)
			s.say(fmt.Sprintf("postgres: %s is stopped", key))
		}
	}
	maps.DeleteFunc(s.told, func(key types.NamespacedName, _ bool) bool { return !wanted[key] })
	var errs []error
	for key := range wanted {
		if err := s.look(ctx, key); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// look after a cluster. One whose server is pretended has nobody who connects to
// it.
func (s *Servers) look(ctx context.Context, key types.NamespacedName) error {
	if s.told[key] {
		return nil
	}
	var home corev1.Namespace
	if err := s.mirror.Get(ctx, types.NamespacedName{Name: key.Namespace}, &home); err != nil {
		return err
	}
	if home.Labels[labelPods] != "pretended" {
		return s.serve(ctx, key)
	}
	err := s.tell(ctx, key, pretendedIdentifier)
	s.told[key] = err == nil
	return err
}

// serve a cluster's users.
func (s *Servers) serve(ctx context.Context, key types.NamespacedName) error {
	var secrets corev1.SecretList
	if err := s.mirror.List(ctx, &secrets, client.InNamespace(key.Namespace), client.MatchingLabels{labelCluster: key.Name, labelRole: "pguser"}); err != nil {
		return err
	}
	for i := range secrets.Items {
		data := secrets.Items[i].Data
		// The operator is not done with a Secret that lacks one of these.
		if len(data["host"]) == 0 || len(data["verifier"]) == 0 || len(data["dbname"]) == 0 {
			continue
		}
		db, err := s.database(ctx, key, string(data["port"]))
		if err != nil {
			return err
		}
		if err := s.box.Hosts.Set(db.network.IP, string(data["host"])); err != nil {
			return err
		}
		if err := db.user(ctx, string(data["user"]), string(data["verifier"]), string(data["dbname"])); err != nil {
			return err
		}
	}
	return nil
}

// database of a cluster, started if it is not running.
func (s *Servers) database(ctx context.Context, key types.NamespacedName, port string) (*database, error) {
	if db := s.running[key]; db != nil {
		return db, nil
	}
	var cert corev1.Secret
	if err := s.client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-cluster-cert"}, &cert); err != nil {
		return nil, err
	}
	data, err := s.data(ctx, key)
	if err != nil {
		return nil, err
	}
	sockets := filepath.Join(s.box.State, "postgres")
	if err := os.MkdirAll(sockets, 0o755); err != nil { //nolint:gosec // Each server's own is closed.
		return nil, err
	}
	name := key.Namespace + "." + key.Name
	srv, err := start(ctx, s.box, filepath.Join(sockets, name), data, port, filepath.Join(s.logs, "postgres-"+name+".log"), cert.Data)
	if err != nil {
		return nil, err
	}
	identifier, err := srv.query(ctx, superuser, port, "select system_identifier from pg_control_system()")
	if err == nil {
		err = s.tell(ctx, key, identifier)
	}
	if err != nil {
		srv.stop()
		return nil, err
	}
	db := &database{server: srv, port: port, verifiers: map[string]string{}}
	s.running[key] = db
	s.say(fmt.Sprintf("postgres: %s runs at %s:%s", key, srv.network.IP, port))
	return db, nil
}

// tell the operator what it would learn from the pods: the version of Patroni, and
// that Patroni has initialized the database system. As long as that is not
// written, the operator reconciles a cluster every second
// (percona v2.9.0 internal/controller/postgrescluster/patroni.go).
func (s *Servers) tell(ctx context.Context, key types.NamespacedName, identifier string) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "pgv2.percona.com", Version: "v2", Kind: "PerconaPGCluster"})
	if err := s.client.Get(ctx, key, u); err != nil {
		return err
	}
	version, _, _ := unstructured.NestedInt64(u.Object, "spec", "postgresVersion")
	patch := fmt.Appendf(nil, `{"status":{"patroni":{"version":%q},"postgres":{"version":%d,"imageID":""}}}`, patroniVersion, version)
	if err := s.client.Status().Patch(ctx, u, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}

	config := &unstructured.Unstructured{}
	config.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Endpoints"))
	config.SetNamespace(key.Namespace)
	config.SetName(key.Name + "-ha-config")
	config.SetLabels(map[string]string{labelCluster: key.Name, labelPatroni: key.Name + "-ha"})
	config.SetAnnotations(map[string]string{"initialize": identifier})
	return s.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner("patroni"), client.ForceOwnership)
}

// data folder of a cluster, on a volume that the operator claimed: the one that
// has data, else the first.
func (s *Servers) data(ctx context.Context, key types.NamespacedName) (string, error) {
	var claims corev1.PersistentVolumeClaimList
	if err := s.client.List(ctx, &claims, client.InNamespace(key.Namespace), client.MatchingLabels{labelCluster: key.Name, labelRole: "pgdata"}); err != nil {
		return "", err
	}
	slices.SortFunc(claims.Items, func(a, b corev1.PersistentVolumeClaim) int { return strings.Compare(a.Name, b.Name) })
	first := ""
	for i := range claims.Items {
		var volume corev1.PersistentVolume
		if err := s.client.Get(ctx, types.NamespacedName{Name: claims.Items[i].Spec.VolumeName}, &volume); err != nil {
			return "", err
		}
		if volume.Spec.HostPath == nil {
			continue
		}
		// The server's own user passes through it to what is below.
		if err := os.Chmod(volume.Spec.HostPath.Path, 0o755); err != nil { //nolint:gosec // Its data has a folder of its own.
			return "", err
		}
		dir := filepath.Join(volume.Spec.HostPath.Path, "pgdata")
		if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
			return dir, nil
		}
		if first == "" {
			first = dir
		}
	}
	if first == "" {
		return "", errors.New("no volume for its data is bound yet")
	}
	return first, nil
}

// user with the password that the verifier is of, a database, and in it a
// schema: what the operator does through its pods.
func (d *database) user(ctx context.Context, user, verifier, name string) error {
	if d.verifiers[user+"/"+name] == verifier {
		return nil
	}
	role, db := quote(user, `"`), quote(name, `"`)
	exists := func(sql string) (bool, error) {
		rows, err := d.query(ctx, superuser, d.port, sql)
		return rows != "", err
	}
	is, err := exists("select 1 from pg_roles where rolname = " + quote(user, "'"))
	if err != nil {
		return err
	}
	if !is {
		if _, err := d.query(ctx, superuser, d.port, "create role "+role+" login"); err != nil {
			return err
		}
	}
	if is, err = exists("select 1 from pg_database where datname = " + quote(name, "'")); err != nil {
		return err
	}
	if !is {
		if _, err := d.query(ctx, superuser, d.port, "create database "+db); err != nil {
			return err
		}
	}
	if _, err := d.query(ctx, superuser, d.port, "alter role "+role+" password "+quote(verifier, "'")+"; grant all on database "+db+" to "+role); err != nil {
		return err
	}
	if _, err := d.query(ctx, name, d.port, "set client_min_messages = warning; create schema if not exists "+role+" authorization "+role); err != nil {
		return err
	}
	d.verifiers[user+"/"+name] = verifier
	return nil
}

// Query a database of a cluster as superuser. It returns the rows, sorted, with
// | between columns.
func (s *Servers) Query(ctx context.Context, namespace, clusterName, name, sql string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db := s.running[types.NamespacedName{Namespace: namespace, Name: clusterName}]
	if db == nil {
		return nil, fmt.Errorf("the PostgreSQL of %s/%s does not run", namespace, clusterName)
	}
	rows, err := db.query(ctx, name, db.port, sql)
	return sorted(rows), err
}
