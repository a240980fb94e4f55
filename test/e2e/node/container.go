package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dittofs/function-dittoserver/test/e2e/container"
)

const (
	// What a container's log says between its own lines begins like this.
	logMark = "=== "

	reasonConfig = "CreateContainerConfigError"
)

// A podContainer is one container of a pod, over all its restarts.
type podContainer struct {
	pod    *pod
	spec   corev1.Container
	dirs   map[string]string
	status func(*corev1.PodStatus) *corev1.ContainerStatus
	starts int
}

func (p *pod) newContainer(c corev1.Container, dirs map[string]string, status func(*corev1.PodStatus) *corev1.ContainerStatus) *podContainer {
	return &podContainer{pod: p, spec: c, dirs: dirs, status: status}
}

// update the container's status.
func (c *podContainer) update(ctx context.Context, change func(*corev1.ContainerStatus)) {
	c.pod.update(ctx, func(s *corev1.PodStatus) { change(c.status(s)) })
}

// complete runs an init container until it succeeds.
func (c *podContainer) complete(ctx, begin context.Context) {
	for backoff := firstBackoff; begin.Err() == nil; backoff = min(2*backoff, lastBackoff) {
		code, ok := c.once(ctx, begin)
		if ok && code == 0 {
			c.update(ctx, func(s *corev1.ContainerStatus) { s.Ready = true })
			return
		}
		c.back(ctx, begin, backoff, ok)
	}
}

// keep a container running.
func (c *podContainer) keep(ctx, begin context.Context) {
	for backoff := firstBackoff; begin.Err() == nil; backoff = min(2*backoff, lastBackoff) {
		_, ok := c.once(ctx, begin)
		if begin.Err() != nil {
			return
		}
		c.back(ctx, begin, backoff, ok)
	}
}

// back off before another start.
func (c *podContainer) back(ctx, begin context.Context, backoff time.Duration, ran bool) {
	if ran {
		c.update(ctx, func(s *corev1.ContainerStatus) {
			s.LastTerminationState = s.State
			s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s", backoff)}}
		})
	}
	select {
	case <-begin.Done():
	case <-time.After(backoff):
	}
}

// once starts the container and waits for its end. It tells whether it ran.
func (c *podContainer) once(ctx, begin context.Context) (code int, ran bool) {
	log, err := c.pod.agent.logFile(c.pod.object, c.spec.Name)
	if err != nil {
		c.wait(ctx, reasonConfig, err)
		return 0, false
	}
	defer log.Close()
	spec, err := c.container(begin)
	if err != nil {
		c.wait(ctx, reasonConfig, err)
		return 0, false
	}
	_, _ = fmt.Fprintf(log, logMark+"%s start %d of pod %s, at %s\n", time.Now().UTC().Format(time.RFC3339Nano), c.starts+1, c.pod.object.UID, c.pod.network.IP)
	process, err := container.Start(spec, c.pod.network, log)
	if err != nil {
		c.wait(ctx, "RunContainerError", err)
		return 0, false
	}

	c.onExec(func(command []string, output io.Writer) error { return process.Exec(command, spec.Env, output) })
	defer c.onExec(nil)

	started := metav1.Now()
	yes, no := true, c.spec.StartupProbe == nil
	c.starts++
	c.update(ctx, func(s *corev1.ContainerStatus) {
		s.ContainerID = fmt.Sprintf("e2e://%s/%s/%d", c.pod.object.UID, c.spec.Name, c.starts)
		s.RestartCount = int32(c.starts - 1) //nolint:gosec // It is small.
		s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
		s.Started = &no
		s.Ready = c.spec.StartupProbe == nil && c.spec.ReadinessProbe == nil
	})

	probing, stopProbes := context.WithCancel(begin)
	defer stopProbes()
	go c.probe(ctx, probing, process, spec, func() {
		c.update(ctx, func(s *corev1.ContainerStatus) { s.Started = &yes })
	})
	select {
	case <-process.Done():
	case <-begin.Done():
		// Not ready from now on, and stopped with all that was promised.
		if ctx.Err() == nil {
			c.stop(process, spec, c.pod.grace)
		}
	}
	stopProbes()
	code = process.ExitCode()
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	_, _ = fmt.Fprintf(log, logMark+"%s ended with exit code %d\n", time.Now().UTC().Format(time.RFC3339Nano), code)
	c.update(ctx, func(s *corev1.ContainerStatus) {
		no := false
		s.Ready, s.Started = false, &no
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, StartedAt: started, FinishedAt: metav1.Now(), ContainerID: s.ContainerID, //nolint:gosec // It is small.
		}}
	})
	return code, true
}

// onExec is how a command runs in the container; nil if none can.
func (c *podContainer) onExec(run func(command []string, output io.Writer) error) {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	c.pod.exec[c.spec.Name] = run
}

// wait says why the container does not run.
func (c *podContainer) wait(ctx context.Context, reason string, err error) {
	c.update(ctx, func(s *corev1.ContainerStatus) {
		s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: err.Error()}}
	})
}

// stop the container's program: the hook, the signal, and after the grace
// period an end.
func (c *podContainer) stop(process *container.Process, spec container.Spec, grace time.Duration) {
	deadline := time.After(grace)
	hooked := make(chan struct{})
	go func() {
		defer close(hooked)
		if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
			return
		}
		_ = c.handle(process, spec, c.spec.Lifecycle.PreStop)
	}()
	select {
	case <-hooked:
		_ = process.Signal(syscall.SIGTERM)
	case <-deadline:
	case <-process.Done():
	}
	select {
	case <-process.Done():
	case <-deadline:
	}
	_ = process.Signal(syscall.SIGKILL)
}

// handle a hook.
func (c *podContainer) handle(process *container.Process, spec container.Spec, h *corev1.LifecycleHandler) error {
	if h.Sleep != nil {
		select {
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
		case <-process.Done():
		}
		return nil
	}
	return c.ask(&corev1.ProbeHandler{Exec: h.Exec, HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}, process, spec, time.Minute)
}

// probe the container while it runs.
func (c *podContainer) probe(ctx, probing context.Context, process *container.Process, spec container.Spec, started func()) {
	kill := func(what string) {
		if probing.Err() == nil {
			c.pod.agent.say(fmt.Sprintf("node: %s probe of %s in pod %s failed: it is started again", what, c.spec.Name, c.pod.name()))
			c.stop(process, spec, time.Duration(*c.pod.object.Spec.TerminationGracePeriodSeconds)*time.Second)
		}
	}
	ask := func(p *corev1.Probe) error {
		return c.ask(&p.ProbeHandler, process, spec, time.Duration(p.TimeoutSeconds)*time.Second)
	}
	if p := c.spec.StartupProbe; p != nil {
		if !repeat(probing, p, ask, func(bool) bool { return true }) {
			kill("startup")
			return
		}
		started()
	}
	if p := c.spec.LivenessProbe; p != nil {
		go func() {
			if !repeat(probing, p, ask, func(ok bool) bool { return !ok }) {
				kill("liveness")
			}
		}()
	}
	p := c.spec.ReadinessProbe
	if p == nil {
		c.update(ctx, func(s *corev1.ContainerStatus) { s.Ready = true })
		return
	}
	repeat(probing, p, ask, func(ok bool) bool {
		if probing.Err() == nil {
			c.update(ctx, func(s *corev1.ContainerStatus) { s.Ready = ok })
		}
		return false
	})
}

// repeat a probe until the verdict, whenever it is reached, says that it is
// done, or the context ends. It returns the last verdict.
func repeat(ctx context.Context, p *corev1.Probe, ask func(*corev1.Probe) error, verdict func(ok bool) (done bool)) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(time.Duration(p.InitialDelaySeconds) * time.Second):
	}
	tick := time.NewTicker(time.Duration(p.PeriodSeconds) * time.Second)
	defer tick.Stop()
	var successes, failures int32
	for {
		if err := ask(p); err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		if ctx.Err() != nil {
			return true
		}
		// A verdict is told once, when it is reached.
		if successes == p.SuccessThreshold && verdict(true) {
			return true
		}
		if failures == p.FailureThreshold && verdict(false) {
			return false
		}
		select {
		case <-ctx.Done():
			return true
		case <-tick.C:
		}
	}
}

// ask the container one question.
func (c *podContainer) ask(h *corev1.ProbeHandler, process *container.Process, spec container.Spec, timeout time.Duration) error {
	switch {
	case h.Exec != nil:
		return process.Exec(h.Exec.Command, spec.Env, nil)
	case h.HTTPGet != nil:
		return c.get(h.HTTPGet, timeout)
	case h.TCPSocket != nil:
		return c.dial(c.port(h.TCPSocket.Port), timeout)
	case h.GRPC != nil:
		return c.dial(strconv.Itoa(int(h.GRPC.Port)), timeout)
	default:
		return errors.New("this node cannot ask that")
	}
}

func (c *podContainer) dial(port string, timeout time.Duration) error {
	conn, err := (&net.Dialer{Timeout: timeout}).Dial("tcp", net.JoinHostPort(c.pod.network.IP, port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func (c *podContainer) get(h *corev1.HTTPGetAction, timeout time.Duration) error {
	url := fmt.Sprintf("%s://%s%s", strings.ToLower(string(h.Scheme)), net.JoinHostPort(c.pod.network.IP, c.port(h.Port)), h.Path)
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody) //nolint:noctx // It has a timeout.
	if err != nil {
		return err
	}
	for _, header := range h.HTTPHeaders {
		req.Header.Add(header.Name, header.Value)
	}
	rsp, err := (&http.Client{Timeout: timeout, Transport: probeTransport()}).Do(req)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode < http.StatusOK || rsp.StatusCode >= http.StatusBadRequest {
		return errors.New(rsp.Status)
	}
	return nil
}

func (c *podContainer) port(port intstr.IntOrString) string {
	for _, p := range c.spec.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return port.String()
}

// container is what the pod says, for the runtime.
func (c *podContainer) container(ctx context.Context) (container.Spec, error) {
	image, err := c.pod.agent.image(c.spec.Image)
	if err != nil {
		return container.Spec{}, err
	}
	env, err := c.pod.environment(ctx, c.spec)
	if err != nil {
		return container.Spec{}, err
	}
	known := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		known[name] = value
	}
	command := c.spec.Command
	if len(command) == 0 {
		command = image.Entrypoint
	}
	spec := container.Spec{
		Root: filepath.Join(c.pod.dir, "root-"+c.spec.Name), Env: env, Hostname: c.pod.object.Name, Dir: "/",
		NoNewPrivileges: true, DropCapabilities: true,
	}
	for _, arg := range append(append([]string{}, command...), c.spec.Args...) {
		spec.Command = append(spec.Command, expand(arg, known))
	}
	if c.spec.WorkingDir != "" {
		spec.Dir = c.spec.WorkingDir
	}
	if err := c.user(&spec, image); err != nil {
		return container.Spec{}, err
	}
	for path, program := range image.Programs {
		spec.Mounts = append(spec.Mounts, container.Mount{From: program, To: path, ReadOnly: true})
	}
	for _, m := range c.spec.VolumeMounts {
		spec.Mounts = append(spec.Mounts, container.Mount{From: filepath.Join(c.dirs[m.Name], m.SubPath), To: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return spec, os.MkdirAll(spec.Root, folder)
}

// user that the container runs as: its own security context, the pod's, or the
// image's.
func (c *podContainer) user(spec *container.Spec, image Image) error {
	user, group := image.User, int64(0)
	mustNotBeRoot := false
	pod := c.pod.object.Spec.SecurityContext
	own := c.spec.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	for _, v := range []*int64{pod.RunAsUser, own.RunAsUser} {
		if v != nil {
			user = *v
		}
	}
	for _, v := range []*int64{pod.RunAsGroup, own.RunAsGroup} {
		if v != nil {
			group = *v
		}
	}
	for _, v := range []*bool{pod.RunAsNonRoot, own.RunAsNonRoot} {
		if v != nil {
			mustNotBeRoot = *v
		}
	}
	if mustNotBeRoot && user == 0 {
		return errors.New("container has runAsNonRoot and image will run as root")
	}
	spec.User, spec.Group = int(user), int(group)
	for _, g := range pod.SupplementalGroups {
		spec.Groups = append(spec.Groups, int(g))
	}
	if pod.FSGroup != nil {
		spec.Groups = append(spec.Groups, int(*pod.FSGroup))
	}
	spec.ReadOnlyRoot = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	return nil
}
