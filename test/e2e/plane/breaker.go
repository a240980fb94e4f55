package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
)

// patience is more events than any story makes.
const patience = "1000000"

// PatientCrossplane starts Crossplane's core again, with a circuit breaker that
// never opens: after some fifty events in a short time, core looks at an XR at
// its usual pace only, edits of its spec included, for minutes. A person does
// not make so many.
func (p *Plane) PatientCrossplane(ctx context.Context) error {
	pid, args, env, err := p.core()
	if err != nil {
		return err
	}
	flag := "--circuit-breaker-burst=" + patience
	if slices.Contains(args, flag) {
		return nil
	}
	// As a kubelet does, if it does not stop in time.
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil {
			return fmt.Errorf("cannot stop Crossplane: %w", err)
		}
		err = cluster.Poll(ctx, stopTimeout, readyPoll, func(context.Context) (bool, error) {
			return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), errors.New("Crossplane does not stop")
		})
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			err = nil
			break
		}
	}
	if err != nil {
		return err
	}
	again, err := p.start("crossplane", here{}, env, args[0], append(args[1:], flag, "--circuit-breaker-refill-rate="+patience)...)
	if err != nil {
		return err
	}
	return p.wait(ctx, again, answers(p.http(), crossplaneReady))
}

// core is the process that runs, with what it was started with.
func (p *Plane) core() (pid int, args, env []string, err error) {
	const commandLine = "/proc/[0-9]*/cmdline"
	found, err := filepath.Glob(commandLine)
	if err != nil {
		return 0, nil, nil, err
	}
	for _, path := range found {
		args := fields(path)
		if len(args) < 3 || args[0] != p.programs.Crossplane || args[1] != "core" || args[2] != "start" {
			continue
		}
		dir := filepath.Dir(path)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return 0, nil, nil, err
		}
		return pid, args, fields(filepath.Join(dir, "environ")), nil
	}
	return 0, nil, nil, errors.New("Crossplane does not run")
}

// fields of a file of /proc.
func fields(path string) []string {
	content, err := os.ReadFile(path) //nolint:gosec // Of /proc.
	if err != nil {
		return nil // It ended meanwhile.
	}
	return strings.Split(string(bytes.TrimRight(content, "\x00")), "\x00")
}
