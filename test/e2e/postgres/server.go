package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

const (
	// The machine's user of PostgreSQL, and its superuser.
	superuser = "postgres"

	startTimeout = time.Minute
	startPoll    = 100 * time.Millisecond
	stopTimeout  = 20 * time.Second

	// As Percona has it: no client without TLS. The tests use the socket.
	hba = "local all all peer\nhostssl all all 0.0.0.0/0 scram-sha-256\n" //nolint:dupword // Columns.
)

// Installed tells whether PostgreSQL is on the machine, and where.
func Installed() (bin string, ok bool) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", false
	}
	return filepath.Dir(found[len(found)-1]), true
}

// A server is one PostgreSQL with an address of its own.
type server struct {
	dir     string // Socket and certificates.
	data    string
	network *sandbox.Pod
	cmd     *exec.Cmd
	done    chan struct{}
}

// start PostgreSQL on a data folder, which is made if it is empty.
func start(ctx context.Context, box *sandbox.Sandbox, dir, data, port, log string, tls map[string][]byte) (*server, error) {
	bin, ok := Installed()
	if !ok {
		return nil, errors.New("PostgreSQL is not installed")
	}
	s := &server{dir: dir, data: data, done: make(chan struct{})}
	if err := s.folders(tls); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		if _, err := s.run(ctx, "", filepath.Join(bin, "initdb"), "--pgdata", data, "--auth", "peer", "--encoding", "UTF8", "--no-sync"); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil { //nolint:gosec // It holds no secret.
		return nil, err
	}
	network, err := box.Network.Pod(ctx)
	if err != nil {
		return nil, err
	}
	s.network = network

	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // A log of the tests.
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-k", dir, //nolint:gosec,noctx // The machine's; it is stopped.
		"-c", "listen_addresses="+network.IP, "-c", "fsync=off", "-c", "log_connections=on", "-c", "log_disconnections=on",
		"-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(dir, "tls.crt"), "-c", "ssl_key_file="+filepath.Join(dir, "tls.key"))
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if s.cmd.SysProcAttr, err = asSuperuser(); err != nil {
		return nil, err
	}
	s.cmd.SysProcAttr.Setpgid = true
	if err := network.Start(s.cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	err = cluster.Poll(ctx, startTimeout, startPoll, func(ctx context.Context) (bool, error) {
		select {
		case <-s.done:
			return true, fmt.Errorf("PostgreSQL ended, its log: %s", log)
		default:
		}
		_, err := s.query(ctx, superuser, port, "select 1")
		return err == nil, err
	})
	return s, err
}

// folders with their owner, and the certificates.
func (s *server) folders(tls map[string][]byte) error {
	uid, gid, err := ids()
	if err != nil {
		return err
	}
	for _, dir := range []string{s.dir, s.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return err
		}
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, tls[name], 0o600); err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// query as superuser, and return the rows, one in a line.
func (s *server) query(ctx context.Context, database, port, sql string) (string, error) {
	return s.run(ctx, sql, "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-p", port, "-d", database, "-f", "-")
}

func (s *server) run(ctx context.Context, stdin, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // Of PostgreSQL.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/"}
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var err error
	if cmd.SysProcAttr, err = asSuperuser(); err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(path), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// stop PostgreSQL as it likes best: clients are cut off, data is written.
func (s *server) stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
	_ = s.network.Close()
}

func ids() (uid, gid int, err error) {
	u, err := user.Lookup(superuser)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

func asSuperuser() (*syscall.SysProcAttr, error) {
	uid, gid, err := ids()
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil //nolint:gosec // IDs are small.
}

// quote a name or, with ', a literal.
func quote(s, mark string) string {
	return mark + strings.ReplaceAll(s, mark, mark+mark) + mark
}

// sorted lines of what a query gave.
func sorted(rows string) []string {
	if rows == "" {
		return nil
	}
	list := strings.Split(rows, "\n")
	slices.Sort(list)
	return list
}
