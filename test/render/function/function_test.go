package function

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// helperEnv makes the test binary behave like a function.
const helperEnv = "RENDER_TEST_FUNCTION"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(serve())
	}
	os.Exit(m.Run())
}

// serve like a function: listen at --address until told to stop.
func serve() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for _, arg := range os.Args {
		address, ok := strings.CutPrefix(arg, "--address=")
		if !ok {
			continue
		}
		listener := &net.ListenConfig{}
		l, err := listener.Listen(ctx, "tcp", address)
		if err != nil {
			_, _ = fmt.Fprintln(os.Stdout, err)
			return 1
		}
		_, _ = fmt.Fprintln(os.Stdout, "listening", strings.Join(os.Args[1:], " "))
		<-ctx.Done()
		_ = l.Close()
		_, _ = fmt.Fprintln(os.Stdout, "stopped")
		return 0
	}
	return 1
}

func TestStartAndStop(t *testing.T) {
	t.Setenv(helperEnv, "1")
	p, err := Start(t.Context(), os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{}
	conn, err := dialer.DialContext(t.Context(), "tcp", p.Address)
	if err != nil {
		t.Fatalf("a started function listens: %v", err)
	}
	_ = conn.Close()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--insecure", "--metrics-address= ", "--health-address=\n", "stopped"} {
		if !strings.Contains(p.Log(), want) {
			t.Errorf("the function's log lacks %q: %s", want, p.Log())
		}
	}
	if _, err := dialer.DialContext(t.Context(), "tcp", p.Address); err == nil {
		t.Errorf("a stopped function still listens on %s", p.Address)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stopping a function twice: %v", err)
	}
}

func TestStartFails(t *testing.T) {
	script := filepath.Join(t.TempDir(), "function")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho cannot do this >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		binary string
		want   string
	}{
		"Exits":    {reason: "A function that exits says why.", binary: script, want: "cannot do this"},
		"NotThere": {reason: "A function that is not there cannot start.", binary: script + "-not", want: "no such file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), tc.binary)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\nStart: error %v, want one with %q", tc.reason, err, tc.want)
			}
		})
	}
}
