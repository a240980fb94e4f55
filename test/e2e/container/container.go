// Package container runs a program as a container runtime would: with the
// files, the user, the privileges, the network and the process IDs that a pod
// says, and nothing else of the machine but its programs and libraries,
// read-only. In place of an image's files it mounts binaries.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

// argv0 makes this program an init process of a container.
const argv0 = "e2e-container-init"

// A Mount of a file or folder of the sandbox into a container.
type Mount struct {
	From, To string
	ReadOnly bool
}

// Spec of a container.
type Spec struct {
	// Root is an empty folder to build the container's file system on. What is
	// written there is in memory, and gone with the container.
	Root string

	// Mounts over it, outer ones first.
	Mounts []Mount

	// Bare leaves the machine's programs and libraries out: there is nothing but
	// the mounts, as in an image that has one static program.
	Bare bool

	// ReadOnlyRoot makes everything read-only that is no mount.
	ReadOnlyRoot bool

	// Command with its arguments.
	Command []string

	// Env is the whole environment.
	Env []string

	// Hostname of the container.
	Hostname string

	// Dir is where it starts.
	Dir string

	// User, Group and more Groups to run as.
	User, Group int
	Groups      []int

	// DropCapabilities takes all capabilities away, for good.
	DropCapabilities bool

	// NoNewPrivileges forbids set-user-ID programs.
	NoNewPrivileges bool
}

// A Process that is the first of a container.
type Process struct {
	cmd  *exec.Cmd
	spec Spec
	pod  *sandbox.Pod
	done chan struct{}
	err  error
}

// Start a container in a pod's network. It returns once the container's own
// program runs, or could not be started.
func Start(spec Spec, pod *sandbox.Pod, output io.Writer) (*Process, error) {
	encoded, err := json.Marshal(spec) //nolint:musttag // Read by this very program.
	if err != nil {
		return nil, err
	}
	handover, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer handover.Close()
	started, starting, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer started.Close()

	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{argv0},
		Stdout: output, Stderr: output,
		ExtraFiles: []*os.File{handover, starting},
		// What the program itself leaves running must not keep Wait waiting.
		WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		},
	}
	err = pod.Start(cmd)
	_ = starting.Close()
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("cannot start a container: %w", err)
	}
	p := &Process{cmd: cmd, spec: spec, pod: pod, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	_, err = w.Write(encoded)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	// The other end is closed when the program takes over, or by its end.
	_, err = io.Copy(io.Discard, started)
	return p, err
}

// Done is closed when the container has ended.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// ExitCode of a container that has ended.
func (p *Process) ExitCode() int {
	<-p.done
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			const signalled = 128 // As shells and container runtimes tell it.
			return signalled + int(status.Signal())
		}
		return exit.ExitCode()
	}
	return 0
}

// Signal the container's first process.
func (p *Process) Signal(signal syscall.Signal) error {
	return p.cmd.Process.Signal(signal)
}

// Exec runs a command inside and waits for it.
func (p *Process) Exec(command, env []string, output io.Writer) error {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	args := slices.Concat([]string{
		"--target", pid, "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd=" + p.spec.Dir,
		"--setuid", strconv.Itoa(p.spec.User), "--setgid", strconv.Itoa(p.spec.Group), "--",
	}, command)
	cmd := exec.Command("nsenter", args...) //nolint:gosec,noctx // What the pod says; it ends with the container.
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = output, output
	return cmd.Run()
}
