package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

const (
	// What is missing is looked for this often.
	retryEvery = 500 * time.Millisecond

	// Volumes are refreshed this often. A kubelet takes a minute.
	refreshEvery = 2 * time.Second

	// A container that ends is started again after a while, which doubles each
	// time. A kubelet starts with ten seconds, and ends with minutes.
	firstBackoff = time.Second
	lastBackoff  = 8 * time.Second
)

// A token of a ServiceAccount, and when to get another.
type token struct {
	token string
	renew time.Time
}

// A pod that runs here.
type pod struct {
	agent   *Agent
	object  *corev1.Pod // As it was when the agent first saw it.
	dir     string
	network *sandbox.Pod
	tokens  map[string]token

	// ending is closed once the pod is to end; it has grace then.
	ending   chan struct{}
	grace    time.Duration
	endOnce  sync.Once
	finished chan struct{}

	mu     sync.Mutex
	status corev1.PodStatus
	// exec runs a command in each container that runs, by its name.
	exec map[string]func(command []string, output io.Writer) error
}

func newPod(a *Agent, object *corev1.Pod) *pod {
	if object.Spec.SecurityContext == nil {
		object.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	return &pod{
		agent: a, object: object, dir: filepath.Join(a.box.State, "pods", string(object.UID)), network: &sandbox.Pod{}, tokens: map[string]token{},
		ending: make(chan struct{}), finished: make(chan struct{}), status: *object.Status.DeepCopy(),
		exec: map[string]func([]string, io.Writer) error{},
	}
}

// end the pod. A second call changes nothing.
func (p *pod) end(grace time.Duration) {
	p.endOnce.Do(func() {
		p.grace = grace
		close(p.ending)
	})
}

// over tells whether nothing of the pod runs any more.
func (p *pod) over() bool {
	select {
	case <-p.finished:
		return true
	default:
		return false
	}
}

// name of the pod for people.
func (p *pod) name() string {
	return p.object.Namespace + "/" + p.object.Name
}

// run the pod from its beginning to its end.
func (p *pod) run(ctx context.Context) {
	defer close(p.finished)
	// Once the pod is to end, nothing of it is begun any more.
	begin, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-p.ending:
		case <-ctx.Done():
		}
		stop()
	}()

	if err := p.live(ctx, begin); err != nil && ctx.Err() == nil {
		p.agent.say(fmt.Sprintf("node: pod %s: %v", p.name(), err))
	}
	if ctx.Err() != nil {
		return
	}
	_ = os.RemoveAll(p.dir)
	zero := int64(0)
	uid := p.object.UID
	err := p.agent.client.Delete(ctx, p.object, &client.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &uid}})
	if gone(err) != nil {
		p.agent.say(fmt.Sprintf("node: cannot delete pod %s: %v", p.name(), err))
	}
}

// live until the pod is to end. What begins does so under the second context.
func (p *pod) live(ctx, begin context.Context) error {
	network, err := p.agent.box.Network.Pod(ctx)
	if err != nil {
		return err
	}
	defer network.Close()
	p.network = network
	now := metav1.Now()
	p.update(ctx, func(s *corev1.PodStatus) {
		s.Phase, s.StartTime = corev1.PodPending, &now
		s.PodIP, s.PodIPs = network.IP, []corev1.PodIP{{IP: network.IP}}
		s.HostIP, s.HostIPs = sandbox.HostIP, []corev1.HostIP{{IP: sandbox.HostIP}}
		s.InitContainerStatuses = waiting(p.object.Spec.InitContainers)
		s.ContainerStatuses = waiting(p.object.Spec.Containers)
	})

	dirs, ok := p.prepare(ctx, begin)
	if !ok {
		return nil
	}
	go p.refresh(begin)

	for i, c := range p.object.Spec.InitContainers {
		p.newContainer(c, dirs, func(s *corev1.PodStatus) *corev1.ContainerStatus { return &s.InitContainerStatuses[i] }).complete(ctx, begin)
		if begin.Err() != nil {
			return nil
		}
	}
	p.update(ctx, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodRunning
		setCondition(s, corev1.PodInitialized, true)
	})
	var containers sync.WaitGroup
	for i, c := range p.object.Spec.Containers {
		containers.Go(func() {
			p.newContainer(c, dirs, func(s *corev1.PodStatus) *corev1.ContainerStatus { return &s.ContainerStatuses[i] }).keep(ctx, begin)
		})
	}
	containers.Wait()
	return nil
}

// prepare the volumes, for as long as it takes.
func (p *pod) prepare(ctx, begin context.Context) (dirs map[string]string, ok bool) {
	last := ""
	for {
		dirs, err := p.volumes(begin)
		if err == nil {
			return dirs, true
		}
		if err.Error() != last && begin.Err() == nil {
			last = err.Error()
			p.update(ctx, func(s *corev1.PodStatus) {
				for i := range s.ContainerStatuses {
					s.ContainerStatuses[i].State.Waiting.Message = last
				}
			})
		}
		select {
		case <-begin.Done():
			return nil, false
		case <-time.After(retryEvery):
		}
	}
}

// refresh the volumes that come from objects, as a kubelet does.
func (p *pod) refresh(begin context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-begin.Done():
			return
		case <-tick.C:
			// What is not there now keeps the content that it had.
			_, _ = p.volumes(begin)
		}
	}
}

// update the pod's status, here and at the API server.
func (p *pod) update(ctx context.Context, change func(*corev1.PodStatus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
	ready := len(p.status.ContainerStatuses) > 0 && p.status.Phase == corev1.PodRunning
	for _, c := range p.status.ContainerStatuses {
		ready = ready && c.Ready
	}
	setCondition(&p.status, corev1.ContainersReady, ready)
	setCondition(&p.status, corev1.PodReady, ready)

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.object.UID}, "status": p.status})
	if err == nil {
		object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.object.Namespace, Name: p.object.Name}}
		err = p.agent.client.Status().Patch(ctx, object, client.RawPatch(types.StrategicMergePatchType, patch))
	}
	if gone(err) != nil && ctx.Err() == nil {
		p.agent.say(fmt.Sprintf("node: cannot write the status of pod %s: %v", p.name(), err))
	}
}

func setCondition(s *corev1.PodStatus, kind corev1.PodConditionType, is bool) {
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	for i := range s.Conditions {
		if c := &s.Conditions[i]; c.Type == kind {
			if c.Status != status {
				c.Status, c.LastTransitionTime = status, metav1.Now()
			}
			return
		}
	}
	s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.Now()})
}

// waiting is the first status of containers.
func waiting(containers []corev1.Container) []corev1.ContainerStatus {
	list := make([]corev1.ContainerStatus, 0, len(containers))
	for _, c := range containers {
		list = append(list, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		})
	}
	return list
}
