package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// percona is a server with a database of its own, as the README has it.
const percona = `
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  percona: {enabled: true}
`

// TestPercona tells how a server with a database of its own comes to life.
func TestPercona(t *testing.T) {
	s := together(t)
	s.Apply(percona)

	s.Eventually("the function composes a PerconaPGCluster", func(ctx context.Context) error {
		_, err := s.Find(ctx, world.PGCluster, "files-postgres")
		return err
	})
	waitForServer(s, "files")
	pod, err := s.Pod(t.Context(), "files-0")
	if err != nil {
		t.Fatal(err)
	}
	if init := pod.Status.InitContainerStatuses[0]; init.State.Terminated == nil || init.State.Terminated.ExitCode != 0 {
		t.Errorf("the init container is %+v, want that it found PostgreSQL", init.State)
	}

	if err := loginWorks(t.Context(), s, "files"); err != nil {
		t.Error(err)
	}

	expectTables(s, "files-postgres")
	expectPostgres(s, pod)
	expectNoSQLite(s, pod)
}

// waitForServer until a server and its database are ready, and check that they
// come in the right order.
func waitForServer(s *world.Scenario, name string) {
	s.Helper()
	cluster := name + "-postgres"
	s.Eventually("no StatefulSet exists until the database is ready", func(ctx context.Context) error {
		// The StatefulSet is read first: one that is there now must have a
		// database that was ready before.
		_, missing := s.StatefulSet(ctx, name)
		if client.IgnoreNotFound(missing) != nil {
			return missing
		}
		u, err := s.Find(ctx, world.PGCluster, cluster)
		if err != nil {
			return err
		}
		state, _, _ := unstructured.NestedString(u.Object, "status", "state")
		if missing == nil && state != "ready" {
			s.Fatalf("the database is %q, and there is a StatefulSet", state)
		}
		if state != "ready" {
			return fmt.Errorf("the database is %q", state)
		}
		return nil
	})
	s.Eventually("the server's pod is ready", func(ctx context.Context) error {
		return podReady(ctx, s, name+"-0")
	})
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error {
		return s.ConditionIs(ctx, world.DittoServer, name, "Ready", "True")
	})
	waitForAnswers(s, name)
}

// waitForAnswers of all that the server serves, at its Services. A cluster's DNS
// takes a moment too, after the pod is ready.
func waitForAnswers(s *world.Scenario, name string) {
	s.Helper()
	s.Eventually("NFS, SMB and the API answer at their Services", func(ctx context.Context) error {
		domain := "." + s.Namespace + ".svc:"
		return errors.Join(
			nfs(ctx, name+"-adapter-nfs"+domain+"2049"),
			accepts(ctx, name+"-adapter-smb"+domain+"445"),
			health(ctx, name+"-api"+domain+"8080"),
		)
	})
}

func podReady(ctx context.Context, s *world.Scenario, name string) error {
	pod, err := s.Pod(ctx, name)
	if err != nil {
		return err
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
			return nil
		}
	}
	return fmt.Errorf("pod %s is %s: %s", name, pod.Status.Phase, why(pod))
}

// why a pod's containers do not run.
func why(pod *corev1.Pod) string {
	var words []string
	for _, c := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		switch {
		case c.State.Waiting != nil:
			words = append(words, c.Name+" waits: "+c.State.Waiting.Reason+" "+c.State.Waiting.Message)
		case c.State.Running != nil && !c.Ready:
			words = append(words, c.Name+" runs")
		}
	}
	return strings.Join(words, "; ")
}

// expectTables of the server in PostgreSQL, in a schema of its own.
func expectTables(s *world.Scenario, cluster string) {
	s.Helper()
	const enough = 20
	tables, err := s.Postgres.Query(s.Context(), s.Namespace, cluster, "dittofs", "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')")
	if err != nil {
		s.Fatal(err)
	}
	s.Keep("tables.txt", strings.Join(tables, "\n")+"\n")
	for _, table := range tables {
		if !strings.HasPrefix(table, "dittofs|") {
			s.Errorf("table %s is not in schema dittofs", table)
		}
	}
	if len(tables) < enough {
		s.Errorf("PostgreSQL has %d tables, want %d or more", len(tables), enough)
	}
	sessions, err := s.Postgres.Query(s.Context(), s.Namespace, cluster, "dittofs", "select distinct a.usename, s.ssl from pg_stat_activity a join pg_stat_ssl s using (pid) where a.usename = 'dittofs'")
	if err != nil {
		s.Fatal(err)
	}
	if len(sessions) != 1 || sessions[0] != "dittofs|t" {
		s.Errorf("sessions of DittoFS are %v, want them, and with TLS", sessions)
	}
	s.Step("PostgreSQL has %d tables of DittoFS, and its sessions, over TLS", len(tables))
}

// expectPostgres is what the server's program says that it stores its control
// plane in, with the file and the environment of the one that runs, whose log
// does not tell. (Its migrations have been made: again they change nothing.)
func expectPostgres(s *world.Scenario, pod *corev1.Pod) {
	s.Helper()
	said, err := s.Node.Exec(s.Namespace, pod.Name, "dittofs", "/app/dfs", "migrate", "--config", "/config/config.yaml")
	if err != nil {
		s.Fatalf("%v: %s", err, said)
	}
	s.Keep("dfs-database.log", said)
	if !strings.Contains(said, "database type: postgres") {
		s.Errorf("DittoFS says of its database: %s", said)
	}
	s.Step("DittoFS says: %s", strings.TrimSpace(said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:]))
}

// expectNoSQLite on the server's volumes and in its log.
func expectNoSQLite(s *world.Scenario, pod *corev1.Pod) {
	s.Helper()
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		dir, err := s.VolumeFolder(s.Context(), v.PersistentVolumeClaim.ClaimName)
		if err != nil {
			s.Fatal(err)
		}
		err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.Contains(entry.Name(), ".db") {
				s.Errorf("claim %s has %s, want nothing of SQLite", v.PersistentVolumeClaim.ClaimName, path)
			}
			return err
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	log, err := s.Log(pod.Name, "dittofs")
	if err != nil {
		s.Fatal(err)
	}
	s.Keep("dfs.log", log)
	if !strings.Contains(log, "Server is running") || strings.Contains(strings.ToLower(log), "sqlite") {
		s.Error("the server's log does not say that it runs, or names SQLite: see dfs.log")
	}
	s.Step("DittoFS has nothing of SQLite on its volumes, and says nothing of it")
}

// health of a server's API.
func health(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health/ready", http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: answerTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	rsp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("/health/ready answers %s", rsp.Status)
	}
	return nil
}

// loginWorks with the password that the connection Secret has.
func loginWorks(ctx context.Context, s *world.Scenario, name string) error {
	secret, err := s.Secret(ctx, name+"-connection")
	if err != nil {
		return err
	}
	if _, err := login(ctx, s, string(secret.Data["password"])); err != nil {
		return fmt.Errorf("the administrator cannot log in: %w", err)
	}
	s.Step("the administrator of the connection Secret can log in")
	return nil
}

const answerTimeout = 10 * time.Second

func accepts(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// nfs calls procedure NULL of NFS version 3, which does nothing and answers.
func nfs(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	// A record of 40 bytes: transaction 7, a call, RPC version 2, program
	// 100003, version 3, procedure 0, and empty credentials.
	call := []byte{
		0x80, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa3, 0, 0, 0, 3, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	if _, err := conn.Write(call); err != nil {
		return err
	}
	// Its record: transaction 7, a reply, accepted, no verifier, success.
	want := string([]byte{0x80, 0, 0, 24, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("NFS does not answer: %w", err)
	}
	if string(got) != want {
		return errors.New("NFS answers something else than a NULL reply")
	}
	return nil
}
