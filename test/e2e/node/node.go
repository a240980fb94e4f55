// Package node is a small kubelet: it runs the pods that the scheduler binds to
// its node, with the real programs, and tells the API server how they are. It
// knows what the tests need: init containers, probes, hooks, volumes that are
// refreshed, restarts, and graceful ends.
package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

const (
	// Name of the node.
	Name = "real"

	// syncEvery is how often the agent looks for pods.
	syncEvery = 250 * time.Millisecond
)

// An Image that the node has: in place of files, binaries and where they go.
type Image struct {
	// Programs are mounted at their paths in the container.
	Programs map[string]string

	// Entrypoint, for pods that say no command.
	Entrypoint []string

	// User of the image, for pods that say none.
	User int64
}

// An Agent runs the pods of its node.
type Agent struct {
	client *cluster.Client
	mirror client.Reader
	box    *sandbox.Sandbox
	images map[string]Image
	logs   string
	say    func(string)

	mu   sync.Mutex
	pods map[types.UID]*pod
}

// New agent. The images are known by their repositories, such as
// dittofs/function-dittoserver, whatever the registry and the tag. Each container
// has a log in a folder of its pod.
func New(c *cluster.Client, mirror client.Reader, box *sandbox.Sandbox, images map[string]Image, logs string, say func(string)) *Agent {
	return &Agent{client: c, mirror: mirror, box: box, images: images, logs: logs, say: say, pods: map[types.UID]*pod{}}
}

// Register the node.
func (a *Agent) Register(ctx context.Context) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: map[string]string{
		corev1.LabelHostname: Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64", "e2e.dittofs.io/pods": "real",
	}}}
	if err := a.client.Create(ctx, node); err != nil {
		return fmt.Errorf("cannot register the node: %w", err)
	}
	// Controllers change the node meanwhile.
	before := client.MergeFrom(node.DeepCopy())
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("512Gi"), corev1.ResourcePods: resource.MustParse("1000"),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "AgentReady", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: sandbox.HostIP}, {Type: corev1.NodeHostName, Address: Name}}
	if err := a.client.Status().Patch(ctx, node, before); err != nil {
		return fmt.Errorf("cannot say that the node is ready: %w", err)
	}
	return nil
}

// Run pods until the context ends.
func (a *Agent) Run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		if err := a.sync(ctx); err != nil && ctx.Err() == nil {
			a.say("node: " + err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sync what runs with what the API server says should.
func (a *Agent) sync(ctx context.Context) error {
	var list corev1.PodList
	if err := a.mirror.List(ctx, &list, client.MatchingFields{cluster.NodeName: Name}); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	there := map[types.UID]bool{}
	for i := range list.Items {
		object := &list.Items[i]
		there[object.UID] = true
		known := a.pods[object.UID]
		switch {
		case known == nil && object.Status.Phase != corev1.PodSucceeded && object.Status.Phase != corev1.PodFailed:
			known = newPod(a, object)
			a.pods[object.UID] = known
			go known.run(ctx)
		case known == nil:
			continue
		}
		if object.DeletionTimestamp != nil {
			grace := time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
			known.end(grace)
		}
	}
	for uid, p := range a.pods {
		if there[uid] {
			continue
		}
		// Deleted by force.
		p.end(0)
		if p.over() {
			delete(a.pods, uid)
		}
	}
	return nil
}

// IP of a pod that runs here.
func (a *Agent) IP(namespace, name string) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		if p.object.Namespace == namespace && p.object.Name == name && !p.over() {
			return p.network.IP, true
		}
	}
	return "", false
}

// image of a container.
func (a *Agent) image(name string) (Image, error) {
	repository, _, _ := strings.Cut(name, "@")
	if i := strings.LastIndex(repository, ":"); i > strings.LastIndex(repository, "/") {
		repository = repository[:i]
	}
	for known, image := range a.images {
		if repository == known || strings.HasSuffix(repository, "/"+known) {
			return image, nil
		}
	}
	return Image{}, fmt.Errorf("this node has no image %s", name)
}

// logFile of a container, to append to.
func (a *Agent) logFile(object *corev1.Pod, container string) (*os.File, error) {
	dir := LogFolder(a.logs, object.Namespace, object.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // Logs are for everyone.
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, container+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // So is this.
}

// LogFolder of a pod.
func LogFolder(logs, namespace, name string) string {
	return filepath.Join(logs, "pods", namespace, name)
}

// gone tells whether an object is not there any more.
func gone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
