package container

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

// box that all tests run in.
var box *sandbox.Sandbox //nolint:gochecknoglobals // A test program has one.

func TestMain(m *testing.M) {
	Main()
	if _, inside := sandbox.Inside(); !inside {
		code, err := sandbox.Run(context.Background(), "127.0.0.1:0")
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	var err error
	if box, err = sandbox.Set(context.Background()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// spec of a container that is hardened as DittoFS' is.
func spec(t *testing.T, script string) Spec {
	t.Helper()
	return Spec{
		Root: t.TempDir(), Command: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "GREETING=hello"}, Hostname: "files-0", Dir: "/",
		User: 65532, Group: 65532, Groups: []int{4242}, DropCapabilities: true, NoNewPrivileges: true,
	}
}

func pod(t *testing.T) *sandbox.Pod {
	t.Helper()
	p, err := box.Network.Pod(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestContainer(t *testing.T) {
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		script string
		change func(*Spec)
		want   string
		code   int
	}{
		"User":        {reason: "It runs as the user and the groups that the pod says.", script: "id -u; id -g; id -G", want: "65532\n65532\n65532 4242\n"},
		"Environment": {reason: "It has the pod's environment and no other.", script: `echo $GREETING; env | grep -c FUNCTION_DITTOSERVER`, want: "hello\n0\n", code: 1},
		"Hostname":    {reason: "It is called like its pod.", script: "uname -n", want: "files-0\n"},
		"Processes":   {reason: "It is the first process and sees no others.", script: "echo $$; set -- /proc/[0-9]*; echo $#", want: "1\n1\n"},
		"Privileges":  {reason: "It has no capabilities and can get none.", script: "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t'", want: "CapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\n"},
		"Files":       {reason: "Nothing of the machine is there but programs and their settings.", script: "ls /", want: "bin\ndev\netc\nlib\nlib64\nproc\nsbin\ntmp\nusr\n"},
		"Machine":     {reason: "The machine's programs cannot be written.", script: "touch /usr/x 2>/dev/null || echo no", change: func(s *Spec) { s.User, s.DropCapabilities = 0, false }, want: "no\n"},
		"ReadOnly":    {reason: "A read-only root has no place to write.", script: "touch /tmp/x 2>/dev/null || echo no", change: func(s *Spec) { s.ReadOnlyRoot = true }, want: "no\n"},
		"Writable":    {reason: "Another root has.", script: "touch /tmp/x && echo yes", want: "yes\n"},
		"Mount":       {reason: "A volume is where the pod says.", script: "cat /data/file", change: func(s *Spec) { s.Mounts = []Mount{{From: volume, To: "/data"}} }, want: "content\n"},
		"MountedRO": {reason: "A read-only volume cannot be written, not even by root.", script: "touch /data/x 2>/dev/null || echo no", change: func(s *Spec) {
			s.Mounts, s.User, s.DropCapabilities = []Mount{{From: volume, To: "/data", ReadOnly: true}}, 0, false
		}, want: "no\n"},
		"ExitCode":  {reason: "Its exit code is told.", script: "exit 78", code: 78},
		"NoProgram": {reason: "So is a program that is missing.", change: func(s *Spec) { s.Command = []string{"/app/none"} }, want: "cannot start the container: exec: \"/app/none\": stat /app/none: no such file or directory\n", code: 127},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := spec(t, tc.script)
			if tc.change != nil {
				tc.change(&s)
			}
			var out bytes.Buffer
			p, err := Start(s, pod(t), &out)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.code, p.ExitCode()); d != "" {
				t.Errorf("%s\nexit code (-want +got):\n%s", tc.reason, d)
			}
			if d := cmp.Diff(tc.want, out.String()); d != "" {
				t.Errorf("%s\noutput (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// TestNetwork starts two servers on the same port, each in a pod of its own.
func TestNetwork(t *testing.T) {
	for range 2 {
		p := pod(t)
		l, err := p.Listen(t.Context(), ":8080")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte(p.IP))
				_ = c.Close()
			}
		}()
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(p.IP, "8080"), 10*time.Second) //nolint:noctx // It has a timeout.
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(conn); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p.IP, got.String()); d != "" {
			t.Errorf("who answers (-want +got):\n%s", d)
		}
	}
}

// TestSignal ends a container that waits, and what it started with it.
func TestSignal(t *testing.T) {
	var out bytes.Buffer
	p, err := Start(spec(t, "trap 'echo bye; exit 3' TERM; sleep 600 & echo ready > /tmp/ready; wait"), pod(t), &out)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	var said bytes.Buffer
	for !strings.Contains(said.String(), "ready") {
		if time.Now().After(deadline) {
			t.Fatalf("the container is not ready: %s", out.String())
		}
		said.Reset()
		_ = p.Exec([]string{"cat", "/tmp/ready"}, []string{"PATH=/usr/bin:/bin"}, &said)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(3, p.ExitCode()); d != "" {
		t.Errorf("exit code (-want +got):\n%s", d)
	}
	if d := cmp.Diff("bye\n", out.String()); d != "" {
		t.Errorf("output (-want +got):\n%s", d)
	}
}
