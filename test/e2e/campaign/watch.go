package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	labelComposite = "crossplane.io/composite"

	// retryEvery is how long a watch that broke waits.
	retryEvery = 100 * time.Millisecond

	// checkEvery is how often a check is made if nothing happens to the server.
	checkEvery = 250 * time.Millisecond
)

// A Watch knows a namespace's objects, and remembers what must not happen to
// them.
type Watch struct {
	client    client.WithWatch
	namespace string
	kinds     []schema.GroupVersionKind
	xr        schema.GroupVersionKind

	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	// deleted is the version in which an object was deleted, if it was.
	deleted map[string]uint64
	// changed is when something of a server was changed last.
	changed map[string]time.Time
	// last is what that was.
	last map[string]string
	// templates that a server's StatefulSet had, one after the other.
	templates map[string][]string
	// wrongs that happened to the data of a server.
	wrongs map[string][]string
	woken  chan struct{}
}

// NewWatch of the kinds in a namespace; the first is that of the servers. It
// ends with the context.
func NewWatch(ctx context.Context, c client.WithWatch, namespace string, kinds ...schema.GroupVersionKind) *Watch {
	w := &Watch{
		client: c, namespace: namespace, kinds: kinds, xr: kinds[0], objects: map[string]*unstructured.Unstructured{}, deleted: map[string]uint64{}, changed: map[string]time.Time{}, last: map[string]string{},
		templates: map[string][]string{}, wrongs: map[string][]string{}, woken: make(chan struct{}),
	}
	for _, kind := range kinds {
		go func() {
			for ctx.Err() == nil {
				_ = w.follow(ctx, namespace, kind)
				select {
				case <-ctx.Done():
				case <-time.After(retryEvery):
				}
			}
		}()
	}
	return w
}

// follow a kind until the watch breaks.
func (w *Watch) follow(ctx context.Context, namespace string, kind schema.GroupVersionKind) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := w.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range list.Items {
		there[key(&list.Items[i])] = true
		w.take(watch.Modified, &list.Items[i])
	}
	w.drop(list, func(u *unstructured.Unstructured) bool { return u.GetKind() == kind.Kind && !there[key(u)] })

	events, err := w.client.Watch(ctx, list, client.InNamespace(namespace), &client.ListOptions{Raw: nil, Namespace: namespace})
	if err != nil {
		return err
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Error || e.Type == watch.Bookmark {
			return errors.New("the watch broke")
		}
		w.take(e.Type, u)
	}
	return nil
}

// Refresh what is known of a server's composed objects: each kind is watched
// for itself, and one may come later than another. It tells whether something
// was not known.
func (w *Watch) Refresh(ctx context.Context, server string) (bool, error) {
	w.mu.Lock()
	before := w.changed[server]
	w.mu.Unlock()
	for _, kind := range w.kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := w.client.List(ctx, list, client.InNamespace(w.namespace), client.MatchingLabels{labelComposite: server}); err != nil {
			return false, err
		}
		there := map[string]bool{}
		for i := range list.Items {
			there[key(&list.Items[i])] = true
			w.take(watch.Modified, &list.Items[i])
		}
		w.drop(list, func(u *unstructured.Unstructured) bool {
			return u.GetKind() == kind.Kind && u.GetLabels()[labelComposite] == server && !there[key(u)]
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed[server] != before, nil
}

// drop the known objects that a list lacks and that are older than it.
func (w *Watch) drop(list *unstructured.UnstructuredList, lacks func(*unstructured.Unstructured) bool) {
	w.mu.Lock()
	var gone []*unstructured.Unstructured
	for _, u := range w.objects {
		if lacks(u) && version(u) <= version(list) {
			u = u.DeepCopy()
			u.SetResourceVersion(list.GetResourceVersion())
			gone = append(gone, u)
		}
	}
	w.mu.Unlock()
	for _, u := range gone {
		w.take(watch.Deleted, u)
	}
}

// version of an object, which grows.
func version(u interface{ GetResourceVersion() string }) uint64 {
	n, err := strconv.ParseUint(u.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func key(u *unstructured.Unstructured) string { return u.GetKind() + "/" + u.GetName() }

// take an event.
func (w *Watch) take(event watch.EventType, u *unstructured.Unstructured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key(u)
	known := w.objects[k]
	// What is old says nothing. A deletion may be told in the version that is
	// known.
	v := version(u)
	if v <= w.deleted[k] || (known != nil && (v < version(known) || (v == version(known) && event != watch.Deleted))) {
		return
	}
	server := w.owner(u)
	if server == "" {
		return
	}
	if event == watch.Deleted {
		delete(w.objects, k)
		w.deleted[k] = v
	} else {
		w.objects[k] = u
	}
	w.changed[server], w.last[server] = time.Now(), fmt.Sprintf("%s %s, version %s", event, k, u.GetResourceVersion())
	w.judge(server, event, known, u)
	close(w.woken)
	w.woken = make(chan struct{})
}

// owner is the server that an object belongs to.
func (w *Watch) owner(u *unstructured.Unstructured) string {
	switch {
	case u.GetKind() == w.xr.Kind:
		return u.GetName()
	case u.GetLabels()[labelComposite] != "":
		return u.GetLabels()[labelComposite]
	case u.GetLabels()["dittofs.io/server"] != "": // Its pods.
		return u.GetLabels()["dittofs.io/server"]
	case u.GetKind() == "PersistentVolumeClaim":
		return u.GetLabels()["instance"]
	default:
		return ""
	}
}

// judge what happens to data, and note templates.
func (w *Watch) judge(server string, event watch.EventType, known, u *unstructured.Unstructured) {
	if u.GetKind() == "StatefulSet" && u.GetName() == server && event != watch.Deleted {
		template, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
		text, list := Text(template), w.templates[server]
		if len(list) == 0 || list[len(list)-1] != text {
			w.templates[server] = append(list, text)
		}
	}
	if xr := w.objects[w.xr.Kind+"/"+server]; xr == nil || xr.GetDeletionTimestamp() != nil || !isData(u) {
		return
	}
	switch {
	case event == watch.Deleted:
		w.wrongs[server] = append(w.wrongs[server], key(u)+" was deleted")
	case u.GetDeletionTimestamp() != nil:
		w.wrongs[server] = append(w.wrongs[server], key(u)+" is being deleted")
	case known != nil && known.GetUID() != u.GetUID():
		w.wrongs[server] = append(w.wrongs[server], key(u)+" was replaced")
	}
}

// isData tells whether an object must live as long as its server.
func isData(u *unstructured.Unstructured) bool {
	switch u.GetKind() {
	case "StatefulSet", "PersistentVolumeClaim", "PerconaPGCluster":
		return true
	case "Secret":
		return strings.HasSuffix(u.GetName(), "-jwt-secret") || strings.HasSuffix(u.GetName(), "-admin-bootstrap-credentials")
	default:
		return false
	}
}

// XR of a server; nil if there is none.
func (w *Watch) XR(server string) *unstructured.Unstructured {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[w.xr.Kind+"/"+server]
}

// Composed objects of a server. The server itself has their label too.
func (w *Watch) Composed(server string) Objects {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := Objects{}
	for k, u := range w.objects {
		if u.GetLabels()[labelComposite] == server && u.GetKind() != w.xr.Kind {
			out[k] = u.Object
		}
	}
	return out
}

// Versions of a server's composed objects: what changes if somebody writes
// something else than a status.
func (w *Watch) Versions(server string) map[string]string {
	out := map[string]string{}
	for k, object := range w.Composed(server) {
		meta, _ := object["metadata"].(map[string]any)
		version := meta["resourceVersion"]
		if object["status"] != nil && meta["generation"] != nil {
			version = meta["generation"]
		}
		out[k] = fmt.Sprintf("%v %v", meta["uid"], version)
	}
	return out
}

// Templates that the server's StatefulSet had so far.
func (w *Watch) Templates(server string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.templates[server])
}

// Wrongs that happened to the server's data, and forget them.
func (w *Watch) Wrongs(server string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrongs := w.wrongs[server]
	delete(w.wrongs, server)
	return wrongs
}

// Names of what there is, for people.
func (w *Watch) Names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.objects))
}

// Touch a server: something of it has just changed.
func (w *Watch) Touch(server string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed[server], w.last[server] = time.Now(), "its reconcile"
}

// Until the check gives no error and nothing of the server has changed for a
// while. The error is the last that the check gave.
func (w *Watch) Until(ctx context.Context, server string, timeout, quiet time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var broken error
	for {
		w.mu.Lock()
		woken := w.woken
		w.mu.Unlock()
		err := check()
		w.mu.Lock()
		calm := time.Until(w.changed[server].Add(quiet))
		w.mu.Unlock()
		if err == nil && calm <= 0 {
			var late bool
			if late, broken = w.Refresh(ctx, server); broken == nil && !late {
				return nil
			}
			calm = quiet
		}
		wait := checkEvery
		if err == nil {
			wait = calm
		}
		select {
		case <-ctx.Done():
			if err == nil {
				w.mu.Lock()
				err = fmt.Errorf("it does not come to rest: %s; %w", w.last[server], errors.Join(broken, ctx.Err()))
				w.mu.Unlock()
			}
			return fmt.Errorf("after %s: %w", timeout, err)
		case <-woken:
		case <-time.After(max(wait, time.Millisecond)):
		}
	}
}
