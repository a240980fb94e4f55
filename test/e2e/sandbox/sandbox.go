// Package sandbox gives the end-to-end tests a small machine of their own: mount,
// network and process namespaces in which every port is free, /etc/hosts can be
// written, and nothing outlives the tests. The kernel ends whatever runs inside
// when the test program ends, however it ends. It needs root, and no container
// runtime.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

const (
	// inside is set for the program that runs inside, to its state folder.
	inside = "FUNCTION_DITTOSERVER_E2E_STATE"

	// doorFD is the listener that was opened outside: the first of the files
	// that are handed over.
	doorFD = 3

	// Exit codes that people know from shells.
	exitFailure = 1
)

// Inside tells whether this program runs inside, and where its state folder is.
func Inside() (state string, ok bool) {
	return os.LookupEnv(inside)
}

// Run this program again, inside new namespaces, with the same arguments and
// more environment. It returns the exit code. Signals are passed on. The state
// folder is gone afterwards.
//
// The door is an address outside, such as 127.0.0.1:0, at which the sandbox can
// be reached with Open.
func Run(ctx context.Context, door string, env ...string) (int, error) {
	if os.Geteuid() != 0 {
		return exitFailure, errors.New("the end-to-end tests make namespaces, mounts and users' processes: run them as root")
	}
	state, err := os.MkdirTemp("", "function-dittoserver-e2e-")
	if err != nil {
		return exitFailure, err
	}
	defer os.RemoveAll(state)
	// Users that are not root pass through it to what is theirs.
	if err := os.Chmod(state, 0o711); err != nil { //nolint:gosec // They can pass, not look.
		return exitFailure, err
	}

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", door)
	if err != nil {
		return exitFailure, err
	}
	defer l.Close()
	listener, ok := l.(*net.TCPListener)
	if !ok {
		return exitFailure, fmt.Errorf("%s is no TCP address", door)
	}
	handle, err := listener.File()
	if err != nil {
		return exitFailure, err
	}
	defer handle.Close()

	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:gosec,noctx // This very program; signals end it.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(append(os.Environ(), inside+"="+state), env...)
	cmd.ExtraFiles = []*os.File{handle}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return exitFailure, fmt.Errorf("cannot make namespaces: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-done:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return max(exit.ExitCode(), exitFailure), nil
			}
			return 0, err
		}
	}
}

// A Sandbox is the small machine, seen from inside.
type Sandbox struct {
	// State is a folder for everything that lives as long as the sandbox.
	State string

	// Network of the sandbox.
	Network *Network

	// Hosts stands in for the cluster's DNS.
	Hosts *Hosts

	door net.Listener
}

// Set up the sandbox from inside.
func Set(ctx context.Context) (*Sandbox, error) {
	state, ok := Inside()
	if !ok {
		return nil, errors.New("this runs outside")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return nil, fmt.Errorf("cannot mount /proc: %w", err)
	}
	// The folder of volumes that the controller manager provisions is fixed.
	volumes := filepath.Join(state, "volumes")
	if err := bindFolder(volumes, "/tmp/hostpath_pv"); err != nil {
		return nil, err
	}
	// Nothing outside can be reached. A name that is not in /etc/hosts is
	// refused at once, instead of after a while.
	resolver, names := filepath.Join(state, "resolv.conf"), filepath.Join(state, "hosts")
	if err := os.WriteFile(resolver, []byte("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n"), 0o644); err != nil { //nolint:gosec // Everyone reads it.
		return nil, err
	}
	hosts, err := newHosts(names)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(bind(resolver, "/etc/resolv.conf"), bind(names, "/etc/hosts")); err != nil {
		return nil, err
	}
	network, err := newNetwork(ctx)
	if err != nil {
		return nil, err
	}
	door, err := net.FileListener(os.NewFile(doorFD, "door"))
	if err != nil {
		return nil, fmt.Errorf("cannot find the door: %w", err)
	}
	return &Sandbox{State: state, Network: network, Hosts: hosts, door: door}, nil
}

func bindFolder(from, to string) error {
	for _, dir := range []string{from, to} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // Volumes have users of their own.
			return err
		}
	}
	return bind(from, to)
}

// bind a folder, or a file, over another. A bound file must be written in
// place: the mount is of the file and not of its name.
func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount %s: %w", to, err)
	}
	return nil
}

// Door is the address outside.
func (s *Sandbox) Door() string {
	return s.door.Addr().String()
}

// Open the door: whoever connects outside reaches the address inside. It
// returns when the context ends.
func (s *Sandbox) Open(ctx context.Context, address string) {
	context.AfterFunc(ctx, func() { _ = s.door.Close() })
	Forward(ctx, s.door, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	})
}

// Forward every connection of a listener to one that is dialled, until the
// listener is closed.
func Forward(ctx context.Context, l net.Listener, dial func(context.Context) (net.Conn, error)) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := dial(ctx)
			if err != nil {
				return
			}
			defer server.Close()
			stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
			defer stop()
			go func() {
				_, _ = io.Copy(server, client)
				if tcp, ok := server.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
			}()
			_, _ = io.Copy(client, server)
		}()
	}
}
