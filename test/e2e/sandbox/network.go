package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// HostIP is the sandbox's own address on the pods' network. The API server
	// answers here too.
	HostIP = "10.244.0.1"

	// ServiceCIDR is where Services get their addresses from.
	ServiceCIDR = "10.96.0.0/16"

	// APIServiceIP is the first of them, the API server's.
	APIServiceIP = "10.96.0.1"

	bridge     = "pods"
	bridgeCIDR = HostIP + "/16"
	firstPod   = 2
	perOctet   = 250
)

// Network of the sandbox: a bridge, and pods on it that have an address and all
// ports to themselves.
type Network struct {
	mu   sync.Mutex
	next int
}

// A Pod is a place in the network.
type Pod struct {
	// IP address of the pod.
	IP string

	link string
	ns   *os.File
}

func newNetwork(ctx context.Context) (*Network, error) {
	for _, args := range []string{
		"link set lo up",
		"link add " + bridge + " type bridge",
		"addr add " + bridgeCIDR + " dev " + bridge,
		"link set " + bridge + " up",
	} {
		if err := ip(ctx, args); err != nil {
			return nil, err
		}
	}
	return &Network{next: firstPod}, nil
}

// Address adds an address of its own to the sandbox.
func (n *Network) Address(ctx context.Context, address string) error {
	return ip(ctx, "addr replace "+address+"/32 dev lo")
}

// Pod makes a network namespace with an address.
func (n *Network) Pod(ctx context.Context) (*Pod, error) {
	n.mu.Lock()
	number := n.next
	n.next++
	n.mu.Unlock()

	p := &Pod{IP: fmt.Sprintf("10.244.%d.%d", 1+number/perOctet, firstPod+number%perOctet), link: fmt.Sprintf("pod%d", number)}
	var err error
	if p.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	// The other end is moved by the path of the namespace's handle, which is
	// the ip command's standard input.
	peer := p.link + "p"
	for _, args := range []string{
		"link add " + p.link + " type veth peer name " + peer,
		"link set " + p.link + " master " + bridge + " up",
		"link set " + peer + " netns /proc/self/fd/0",
	} {
		if err := ip(ctx, args, p.ns); err != nil {
			return nil, err
		}
	}
	for _, args := range []string{
		"link set lo up",
		"link set " + peer + " name eth0 up",
		"addr add " + p.IP + "/16 dev eth0",
		"route add default via " + HostIP,
	} {
		if err := p.run(ctx, args); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Pod) run(ctx context.Context, args string) error {
	cmd := ipCommand(ctx, args)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := p.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("cannot set up a pod's network: ip %s: %w: %s", args, err, out.String())
	}
	return nil
}

// Start a command in the pod's network.
func (p *Pod) Start(cmd *exec.Cmd) error {
	return p.do(cmd.Start)
}

// Listen in the pod's network.
func (p *Pod) Listen(ctx context.Context, address string) (l net.Listener, err error) {
	doErr := p.do(func() error {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	return l, doErr
}

// do something in the pod's network: a child, or a socket, belongs to the
// namespace of the thread that makes it.
func (p *Pod) do(f func() error) error {
	failed := make(chan error)
	go func() {
		// The thread is not unlocked, so that it ends with the goroutine: no
		// other code ever runs in the wrong network.
		runtime.LockOSThread()
		if err := unix.Setns(int(p.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			failed <- fmt.Errorf("cannot enter a pod's network: %w", err)
			return
		}
		failed <- f()
	}()
	return <-failed
}

// Close the pod's network. The kernel takes its link away once no process is
// in it.
func (p *Pod) Close() error {
	return p.ns.Close()
}

// newNamespace for a network, with nothing in it. It lives as long as its
// handle, and as processes in it.
func newNamespace() (*os.File, error) {
	var handle *os.File
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // Not unlocked, see do.
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- fmt.Errorf("cannot make a network namespace: %w", err)
			return
		}
		var err error
		handle, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", syscall.Gettid()))
		failed <- err
	}()
	return handle, <-failed
}

func ip(ctx context.Context, args string, stdin ...*os.File) error {
	cmd := ipCommand(ctx, args)
	if len(stdin) > 0 {
		cmd.Stdin = stdin[0]
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot set up the network: ip %s: %w: %s", args, err, out)
	}
	return nil
}

func ipCommand(ctx context.Context, args string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", strings.Fields(args)...) //nolint:gosec // The arguments are ours.
}
