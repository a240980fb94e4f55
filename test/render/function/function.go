// Package function runs a composition function in Development mode: as a
// process that listens on loopback, without TLS.
package function

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// How long a function may take to listen, and to stop.
	startTimeout = 10 * time.Second
	stopTimeout  = 10 * time.Second

	// How often to look whether it listens.
	poll = 10 * time.Millisecond
)

// A Process of a function.
type Process struct {
	// Address where the function listens, host:port.
	Address string

	cmd    *exec.Cmd
	log    *buffer
	exited chan struct{}
}

// Start a function and wait until it listens. The context's end kills it.
func Start(ctx context.Context, binary string) (*Process, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &Process{Address: address, log: &buffer{}, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, binary, //nolint:gosec // The binary is one that we built.
		"--insecure", "--debug", "--address="+address, "--metrics-address=", "--health-address=")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the function: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // What it said is in the log, and that is what tells why.
		close(p.exited)
	}()

	if err := p.waitUntilListening(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Process) waitUntilListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", p.Address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("the function exited instead of listening: %s", p.Log())
		case <-ctx.Done():
			return fmt.Errorf("the function does not listen on %s: %w: %s", p.Address, err, p.Log())
		case <-time.After(poll):
		}
	}
}

// Stop the function, and wait until it has stopped.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may have exited already.
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the function does not stop"), p.cmd.Process.Kill())
	}
}

// Log is what the function wrote so far.
func (p *Process) Log() string {
	return p.log.String()
}

// freeAddress on loopback. Nobody holds it, so somebody else may take it
// before the function does; the function then says so.
func freeAddress(ctx context.Context) (string, error) {
	listener := &net.ListenConfig{}
	l, err := listener.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// A buffer that is written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
