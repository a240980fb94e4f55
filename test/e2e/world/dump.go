package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/node"
)

// dumped kinds of a scenario's namespace.
func dumped() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		DittoServer, PGCluster,
		{Group: "postgres-operator.crunchydata.com", Version: "v1beta1", Kind: "PostgresCluster"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "ControllerRevision"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "batch", Version: "v1", Kind: "Job"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
		{Version: "v1", Kind: "Pod"},
		{Version: "v1", Kind: "Service"},
		{Version: "v1", Kind: "ConfigMap"},
		{Version: "v1", Kind: "Secret"},
		{Version: "v1", Kind: "PersistentVolumeClaim"},
		{Version: "v1", Kind: "Event"},
	}
}

// dump the namespace's objects and its pods' logs into the scenario's folder.
func (s *Scenario) dump(ctx context.Context) error {
	dir := filepath.Join(s.Folder, "objects")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // To be read by everyone.
		return err
	}
	for _, gvk := range dumped() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		err := s.List(ctx, list, client.InNamespace(s.Namespace))
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return err
		}
		var docs []string
		for i := range list.Items {
			u := &list.Items[i]
			hide(u)
			doc, err := yaml.Marshal(u.Object)
			if err != nil {
				return err
			}
			docs = append(docs, string(doc))
		}
		if len(docs) == 0 {
			continue
		}
		file := filepath.Join(dir, strings.ToLower(gvk.Kind)+".yaml")
		if err := os.WriteFile(file, []byte(strings.Join(docs, "---\n")), 0o644); err != nil { //nolint:gosec // To be read by everyone.
			return err
		}
	}
	return s.logs()
}

// hide Secrets' values: what is kept may be published.
func hide(u *unstructured.Unstructured) {
	if u.GetKind() != "Secret" {
		return
	}
	data, _, _ := unstructured.NestedMap(u.Object, "data")
	for key, value := range data {
		data[key] = fmt.Sprintf("(%d characters of base64)", len(fmt.Sprint(value)))
	}
	u.Object["data"] = data
}

// logs of the namespace's pods and databases.
func (s *Scenario) logs() error {
	pods := filepath.Dir(node.LogFolder(s.Logs, s.Namespace, "any"))
	err := os.CopyFS(filepath.Join(s.Folder, "pods"), os.DirFS(pods))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	databases, globErr := filepath.Glob(filepath.Join(s.Logs, "postgres-"+s.Namespace+".*.log"))
	if err := errors.Join(err, globErr); err != nil {
		return err
	}
	for _, path := range databases {
		content, err := os.ReadFile(path) //nolint:gosec // Ours.
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.Folder, filepath.Base(path)), content, 0o644); err != nil { //nolint:gosec // To be read by everyone.
			return err
		}
	}
	return nil
}
