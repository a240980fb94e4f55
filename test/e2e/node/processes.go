package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Processes of a pod that runs here: those in its network.
func (a *Agent) Processes(namespace, name string) ([]int, error) {
	p, err := a.running(namespace, name)
	if err != nil {
		return nil, err
	}
	var own strings.Builder
	cmd := exec.Command("readlink", "/proc/self/ns/net") //nolint:noctx // It ends at once.
	cmd.Stdout = &own
	if err := p.network.Start(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("cannot tell the network of pod %s/%s: %w", namespace, name, err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, link := range links {
		// What ended meanwhile has none.
		if network, err := os.Readlink(link); err != nil || network != strings.TrimSpace(own.String()) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Crash ends the processes of a pod without a warning, as a lack of memory
// does. The agent starts its containers again.
func (a *Agent) Crash(namespace, name string) error {
	pids, err := a.Processes(namespace, name)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("nothing of pod %s/%s runs", namespace, name)
	}
	for _, pid := range pids {
		// One that is gone already went with another.
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

// Exec a command in a container that runs here, as kubectl exec does. It returns
// what the command printed, also beside an error.
func (a *Agent) Exec(namespace, name, container string, command ...string) (string, error) {
	p, err := a.running(namespace, name)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	run := p.exec[container]
	p.mu.Unlock()
	if run == nil {
		return "", fmt.Errorf("container %s of pod %s/%s does not run", container, namespace, name)
	}
	var printed strings.Builder
	err = run(command, &printed)
	return printed.String(), err
}

func (a *Agent) running(namespace, name string) (*pod, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		if p.object.Namespace == namespace && p.object.Name == name && !p.over() && p.network.IP != "" {
			return p, nil
		}
	}
	return nil, fmt.Errorf("pod %s/%s does not run here", namespace, name)
}
