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
	"time"
)

// CrashAPIServer ends the API server without a warning and starts it again. It
// returns once that is ready.
func (p *Plane) CrashAPIServer(ctx context.Context) error {
	process, err := p.again("kube-apiserver", nil, p.programs.APIServer)
	if err != nil {
		return err
	}
	return p.wait(ctx, process, answers(p.http(), "https://"+APIAddress+"/readyz"))
}

// CrashCrossplane ends Crossplane's core without a warning and starts it again,
// with more flags if there are any. It returns once that is ready.
func (p *Plane) CrashCrossplane(ctx context.Context, flags ...string) error {
	process, err := p.again("crossplane", flags, p.programs.Crossplane, "core", "start")
	if err != nil {
		return err
	}
	return p.wait(ctx, process, answers(p.http(), crossplaneReady))
}

// again kills the process whose command begins like this, and starts the same
// command, with its environment, once more.
func (p *Plane) again(name string, flags []string, begins ...string) (*Process, error) {
	pid, command, err := find(begins)
	if err != nil {
		return nil, err
	}
	env, err := words(pid, "environ")
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("cannot kill %s: %w", name, err)
	}
	for deadline := time.Now().Add(stopTimeout); syscall.Kill(pid, 0) == nil; time.Sleep(readyPoll) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s is killed and does not end", name)
		}
	}
	return p.start(name, here{}, env, command[0], append(command[1:], flags...)...)
}

// find the process of the sandbox whose command begins like this.
func find(begins []string) (pid int, command []string, err error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, nil, err
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return 0, nil, err
		}
		// A process may end while it is looked at.
		command, err := words(pid, "cmdline")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if len(command) >= len(begins) && slices.Equal(command[:len(begins)], begins) {
			return pid, command, nil
		}
	}
	return 0, nil, fmt.Errorf("%s does not run", strings.Join(begins, " "))
}

// words of a process' command line or environment.
func words(pid int, file string) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return nil, err
	}
	return strings.Split(string(bytes.TrimSuffix(content, []byte{0})), "\x00"), nil
}
