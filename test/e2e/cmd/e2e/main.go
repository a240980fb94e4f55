// Command e2e runs the end-to-end tests, and keeps their world running, to be
// looked at.
//
//	go run ./cmd/e2e build          builds what is missing
//	go run ./cmd/e2e test [FLAGS]   runs the stories, with flags of go test
//	go run ./cmd/e2e up             starts the world and leaves it running
//	go run ./cmd/e2e down           stops it
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/container"
	"github.com/dittofs/function-dittoserver/test/e2e/toolchain"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const (
	// serve is the command of the world that is left running, and test that of
	// the stories.
	serve = "serve"
	test  = "test"

	upTimeout   = 20 * time.Minute
	downTimeout = time.Minute
	poll        = 200 * time.Millisecond
)

// A running world, as its file tells it.
type running struct {
	PID        int    `json:"pid"`
	Kubeconfig string `json:"kubeconfig"`
}

func main() {
	container.Main()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	command, args := "", []string(nil)
	if len(os.Args) > 1 {
		command, args = os.Args[1], os.Args[2:]
	}
	if len(args) > 0 && command != test {
		command = ""
	}
	var err error
	switch command {
	case "build":
		_, err = world.Prepare(ctx)
	case test:
		os.Exit(stories(ctx, args)) //nolint:gocritic // Nothing is left to be stopped.
	case "up":
		err = up(ctx)
	case "down":
		err = down(ctx)
	case serve:
		os.Exit(world.Main(ctx, keep))
	default:
		err = errors.New("usage: e2e build|test|up|down")
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

// file that tells which world is running, in the folder that is left to be
// read.
func file(out string) string { return filepath.Join(out, "up.json") }

// up starts a world that outlives this program.
func up(ctx context.Context) error {
	programs, err := world.Prepare(ctx)
	if err != nil {
		return err
	}
	out := world.Out(programs.Root)
	if r, ok := find(out); ok {
		tell(r)
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // To be read by everyone.
		return err
	}
	path := filepath.Join(out, "up.log")
	log, err := os.Create(path) //nolint:gosec // Ours.
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// What go run built is gone when this program ends.
	program := filepath.Join(out, "e2e")
	if err := copyFile(self, program); err != nil {
		return err
	}
	cmd := exec.Command(program, serve) //nolint:gosec,noctx // It outlives this program.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	shown := 0
	show := func() {
		if content, err := os.ReadFile(path); err == nil { //nolint:gosec // Ours.
			_, _ = os.Stderr.Write(content[min(shown, len(content)):])
			shown = len(content)
		}
	}
	err = cluster.Poll(ctx, upTimeout, poll, func(context.Context) (bool, error) {
		show()
		select {
		case err := <-ended:
			return true, fmt.Errorf("the world ended: %w", errors.Join(err, errors.New("its log: "+path)))
		default:
		}
		_, ok := find(out)
		return ok, nil
	})
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return err
	}
	r, _ := find(out)
	tell(r)
	return nil
}

func tell(r running) {
	fmt.Printf("It runs, as process %d.\n\n  export KUBECONFIG=%s\n\nTo stop it: make e2e-down\n", r.PID, r.Kubeconfig) //nolint:forbidigo // That is what it is for.
}

// keep a world until it is stopped. The process that others see is the parent,
// outside.
func keep(ctx context.Context, w *world.World) int {
	kubeconfig := filepath.Join(w.Out, "kubeconfig")
	err := w.Plane.WriteKubeconfig(kubeconfig, w.Box.Door())
	if err == nil {
		var content []byte
		content, err = json.Marshal(running{Kubeconfig: kubeconfig})
		err = errors.Join(err, os.WriteFile(file(w.Out), content, 0o600))
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	<-ctx.Done()
	_ = os.Remove(file(w.Out))
	return 0
}

// find the world that is running.
func find(out string) (running, bool) {
	content, err := os.ReadFile(file(out))
	if err != nil {
		return running{}, false
	}
	var r running
	if err := json.Unmarshal(content, &r); err != nil {
		return running{}, false
	}
	r.PID, err = process(filepath.Join(out, "e2e"))
	return r, err == nil
}

// process that runs a program and serves. Inside the sandbox it goes by another
// name.
func process(program string) (int, error) {
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	want := []byte(program + "\x00" + serve + "\x00")
	for _, entry := range entries {
		cmdline, err := os.ReadFile(entry) //nolint:gosec // Of /proc.
		if err != nil || !bytes.Equal(cmdline, want) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(entry, "/proc/%d/", &pid); err == nil {
			return pid, nil
		}
	}
	return 0, errors.New("it does not run")
}

// down stops the world.
func down(ctx context.Context) error {
	root, err := toolchain.Root(ctx)
	if err != nil {
		return err
	}
	out := world.Out(root)
	pid, err := process(filepath.Join(out, "e2e"))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	return cluster.Poll(ctx, downTimeout, poll, func(context.Context) (bool, error) {
		if _, err := process(filepath.Join(out, "e2e")); err == nil {
			return false, errors.New("it still runs")
		}
		return true, nil
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from) //nolint:gosec // This program.
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // A program.
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
