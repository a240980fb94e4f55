package plane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// How much of its log an error repeats when a program ends too early.
	lastLines = 15

	// How long a program has to stop once it is asked to.
	stopTimeout = 10 * time.Second

	// How often a program is asked whether it is ready.
	readyPoll = 50 * time.Millisecond
)

// A Process is one program of the control plane.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// starter starts a command in some network.
type starter interface{ Start(cmd *exec.Cmd) error }

// here is the network that this program is in.
type here struct{}

func (here) Start(cmd *exec.Cmd) error { return cmd.Start() }

// start a program with a log of its own.
func (p *Plane) start(name string, network starter, env []string, path string, args ...string) (*Process, error) {
	log := filepath.Join(p.Logs, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // A log of the tests.
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // What we built; it is stopped, and ends with the sandbox.
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + p.State}, env...)
	cmd.Dir = p.State
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own, so that Ctrl-C reaches the tests alone, which then
	// end in an orderly way.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := network.Start(cmd); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	process := &Process{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		process.err = cmd.Wait()
		close(process.done)
	}()
	return process, nil
}

// run a program to its end.
func (p *Plane) run(ctx context.Context, name string, env []string, path string, args ...string) error {
	process, err := p.start(name, here{}, env, path, args...)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), process.Stop())
	case <-process.done:
	}
	if process.err != nil {
		return process.ended()
	}
	return nil
}

// Stop the program and what it started.
func (p *Process) Stop() error {
	group := -p.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	}
	return nil
}

// ready waits until check says nil.
func (p *Process) ready(ctx context.Context, timeout time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w; its log: %s", p.name, timeout, err, p.log)
		case <-tick.C:
		}
	}
}

// ended is the error of a program that should still run.
func (p *Process) ended() error {
	content, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	lines = lines[max(0, len(lines)-lastLines):]
	return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, strings.Join(lines, "\n"))
}

// answers checks that a URL gives 200.
func answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		rsp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer rsp.Body.Close()
		if rsp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, rsp.Status)
		}
		return nil
	}
}
