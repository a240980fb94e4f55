// Package cluster talks to the API server: it applies manifests, as kubectl
// apply --server-side does, and reads objects.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// Owner of the fields that are applied.
	Owner = "e2e"

	yamlBuffer = 4096

	// A definition is not served at once.
	served     = time.Minute
	servedPoll = 100 * time.Millisecond
)

// Client of an API server. It reads live, not from a cache.
type Client struct {
	client.WithWatch

	Config *rest.Config
}

// New client.
func New(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // Nobody would read them.
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	return &Client{WithWatch: c, Config: config}, nil
}

// NodeName is the field that a mirror finds pods by.
const NodeName = "spec.nodeName"

// Mirror of what agents look at many times a second: it follows the API server,
// which has other things to do than to answer them. It ends with the context.
func (c *Client) Mirror(ctx context.Context) (client.Reader, error) {
	mirror, err := cache.New(c.Config, cache.Options{Scheme: c.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a mirror: %w", err)
	}
	err = mirror.IndexField(ctx, &corev1.Pod{}, NodeName, func(o client.Object) []string {
		pod, _ := o.(*corev1.Pod)
		return []string{pod.Spec.NodeName}
	})
	if err != nil {
		return nil, err
	}
	go func() { _ = mirror.Start(ctx) }() // It fails if it is started twice.
	for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Namespace{}, &corev1.Secret{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}} {
		if _, err := mirror.GetInformer(ctx, kind); err != nil {
			return nil, fmt.Errorf("cannot mirror %T: %w", kind, err)
		}
	}
	return mirror, nil
}

// Manifests of a YAML stream.
func Manifests(stream []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), yamlBuffer)
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read a manifest: %w", err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

// ApplyYAML applies the manifests of a YAML stream in their order.
func (c *Client) ApplyYAML(ctx context.Context, stream []byte) error {
	objects, err := Manifests(stream)
	if err != nil {
		return err
	}
	return c.ApplyObjects(ctx, objects...)
}

// ApplyYAMLIn applies manifests; those that say no namespace are put into one.
func (c *Client) ApplyYAMLIn(ctx context.Context, namespace string, stream []byte) error {
	objects, err := Manifests(stream)
	if err != nil {
		return err
	}
	for _, u := range objects {
		// Of a kind that is not served yet this cannot be known; such kinds
		// are not namespaced in what is applied here.
		if is, err := c.IsObjectNamespaced(u); err == nil && is && u.GetNamespace() == "" {
			u.SetNamespace(namespace)
		}
	}
	return c.ApplyObjects(ctx, objects...)
}

// ApplyFiles applies the manifests of files, and of the YAML files of folders.
func (c *Client) ApplyFiles(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || (name != path && filepath.Ext(name) != ".yaml") {
				return err
			}
			content, err := os.ReadFile(name) //nolint:gosec // A manifest.
			if err != nil {
				return err
			}
			return c.ApplyYAML(ctx, content)
		})
		if err != nil {
			return fmt.Errorf("cannot apply %s: %w", path, err)
		}
	}
	return nil
}

// ApplyObjects in their order. The kind of one may be defined by another.
func (c *Client) ApplyObjects(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, u := range objects {
		err := Poll(ctx, served, servedPoll, func(ctx context.Context) (bool, error) {
			err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner(Owner), client.ForceOwnership)
			if meta.IsNoMatchError(err) {
				return false, err
			}
			return true, err
		})
		if err != nil {
			return fmt.Errorf("cannot apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// Poll until the check is done or the time is over; the error is the last that
// the check gave.
func Poll(ctx context.Context, timeout, every time.Duration, check func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		done, err := check(ctx)
		if done {
			return err
		}
		// A check that is cut short has nothing to say.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-tick.C:
		}
	}
}
