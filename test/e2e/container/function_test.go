package container

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// binary is the function's own program, where make container leaves it: a
// static one.
const binary = "../../../_output/container/function"

// TestFunction runs the function's program as its image does: alone in a
// read-only file system, not as root, without privileges.
func TestFunction(t *testing.T) {
	program, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("run make container: %v", err)
	}

	cases := map[string]struct {
		reason      string
		user, group int
	}{
		"Image":      {reason: "The image says user 65532.", user: 65532, group: 65532},
		"Crossplane": {reason: "Crossplane says user 2000, unless a DeploymentRuntimeConfig says otherwise.", user: 2000, group: 2000},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := pod(t)
			var out output
			c, err := Start(Spec{
				Root: t.TempDir(), Bare: true, ReadOnlyRoot: true,
				Mounts:  []Mount{{From: program, To: "/function", ReadOnly: true}},
				Command: []string{"/function", "--insecure"}, Hostname: "function", Dir: "/",
				User: tc.user, Group: tc.group, DropCapabilities: true, NoNewPrivileges: true,
			}, p, &out)
			if err != nil {
				t.Fatal(err)
			}

			body := metrics(t, p.IP, c, &out)
			if !strings.Contains(body, "\nfunction_dittoserver_build_info{") {
				t.Errorf("%s\nit serves other metrics: %s", tc.reason, body)
			}
			for _, port := range []string{"9443", "8081"} {
				conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", net.JoinHostPort(p.IP, port))
				if err != nil {
					t.Errorf("%s\nport %s is not served: %v", tc.reason, port, err)

					continue
				}
				_ = conn.Close()
			}
			if err := c.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(0, c.ExitCode()); d != "" {
				t.Errorf("%s\nexit code (-want +got):\n%s\n%s", tc.reason, d, out.String())
			}
		})
	}
}

// metrics of the function in a pod, as soon as it serves them.
func metrics(t *testing.T, ip string, c *Process, out *output) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(ip, "8080")+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if rsp, err := http.DefaultClient.Do(req); err == nil {
			body, err := io.ReadAll(rsp.Body)
			_ = rsp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}

			return string(body)
		}
		select {
		case <-c.Done():
			t.Fatalf("the function has ended with %d: %s", c.ExitCode(), out.String())
		case <-ctx.Done():
			t.Fatalf("the function does not serve: %s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// output of a program that is still running.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.buf.String()
}
