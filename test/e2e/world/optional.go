package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/plane"
)

// composeRole is the ClusterRole of rbac.yaml.
const composeRole = "function-dittoserver:aggregate-to-crossplane"

// UninstallPercona removes the operator, its definitions, and with them every
// database of this world.
func (w *World) UninstallPercona(ctx context.Context) error {
	if err := w.remove(ctx, namespace(PerconaNamespace, nil)); err != nil {
		return err
	}
	bundle, err := os.ReadFile(filepath.Join(w.programs.PerconaModule, "deploy", "cw-bundle.yaml"))
	if err != nil {
		return err
	}
	manifests, err := cluster.Manifests(bundle)
	if err != nil {
		return err
	}
	for _, m := range manifests {
		if m.GetKind() != "CustomResourceDefinition" {
			continue
		}
		if err := w.Undefine(ctx, m); err != nil {
			return err
		}
	}
	w.say("the Percona operator is gone")
	return nil
}

// InstallPercona after it was uninstalled.
func (w *World) InstallPercona(ctx context.Context) error {
	return w.installPercona(ctx)
}

// Undefine removes a CustomResourceDefinition and all of its kind, whose
// finalizers nobody sees to any more, and waits until the kind is not served.
func (w *World) Undefine(ctx context.Context, definition *unstructured.Unstructured) error {
	if err := client.IgnoreNotFound(w.Delete(ctx, definition.DeepCopy())); err != nil {
		return err
	}
	err := cluster.Poll(ctx, Timeout, eventuallyPoll, func(ctx context.Context) (bool, error) {
		if err := w.release(ctx, definition); err != nil {
			return false, err
		}
		return gone(w.Get(ctx, client.ObjectKeyFromObject(definition), definition.DeepCopy()))
	})
	if err != nil {
		return fmt.Errorf("%s does not go: %w", definition.GetName(), err)
	}
	return w.waitForNoAPI(ctx, definition)
}

// release the objects of a definition.
func (w *World) release(ctx context.Context, definition *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	for _, version := range versions(definition) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind + "List"})
		err := w.List(ctx, list)
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			if len(list.Items[i].GetFinalizers()) == 0 {
				continue
			}
			err := w.Patch(ctx, &list.Items[i], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
			if client.IgnoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}

// waitForNoAPI of a definition's group and versions: the API server takes the
// APIServices away a moment later.
func (w *World) waitForNoAPI(ctx context.Context, definition *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	var left unstructured.UnstructuredList
	left.SetGroupVersionKind(definition.GroupVersionKind().GroupVersion().WithKind("CustomResourceDefinitionList"))
	if err := w.List(ctx, &left); err != nil {
		return err
	}
	for i := range left.Items {
		if other, _, _ := unstructured.NestedString(left.Items[i].Object, "spec", "group"); other == group {
			return nil // The group has other kinds.
		}
	}
	for _, version := range versions(definition) {
		err := cluster.Poll(ctx, Timeout, eventuallyPoll, func(ctx context.Context) (bool, error) {
			service := &unstructured.Unstructured{}
			service.SetAPIVersion("apiregistration.k8s.io/v1")
			service.SetKind("APIService")
			return gone(w.Get(ctx, client.ObjectKey{Name: version + "." + group}, service))
		})
		if err != nil {
			return fmt.Errorf("%s of %s is still served: %w", version, group, err)
		}
	}
	return nil
}

func versions(definition *unstructured.Unstructured) []string {
	var names []string
	list, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, item := range list {
		if v, ok := item.(map[string]any); ok {
			names = append(names, fmt.Sprint(v["name"]))
		}
	}
	return names
}

// remove an object, and wait until it is gone.
func (w *World) remove(ctx context.Context, object client.Object) error {
	if err := client.IgnoreNotFound(w.Delete(ctx, object)); err != nil {
		return err
	}
	return cluster.Poll(ctx, Timeout, eventuallyPoll, func(ctx context.Context) (bool, error) {
		return gone(w.Get(ctx, client.ObjectKeyFromObject(object), object))
	})
}

// gone is the end of waiting until an object is not found.
func gone(err error) (done bool, _ error) {
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, err
	default:
		return false, errors.New("it is still there")
	}
}

// Forbid Crossplane what rbac.yaml allows, and wait until that is in force. Its
// core starts anew: what it has read already is forgotten.
func (w *World) Forbid(ctx context.Context) error {
	if err := w.restrict(ctx, func(rbacv1.PolicyRule) []string { return nil }); err != nil {
		return err
	}
	return w.Plane.CrashCrossplane(ctx)
}

// ForbidWrites of a resource that rbac.yaml allows, and wait until that is in
// force. It can still be read.
func (w *World) ForbidWrites(ctx context.Context, resource string) error {
	return w.restrict(ctx, func(r rbacv1.PolicyRule) []string {
		if !slices.Contains(r.Resources, resource) {
			return r.Verbs
		}
		return slices.DeleteFunc(slices.Clone(r.Verbs), func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) })
	})
}

// restrict Crossplane to the verbs that are left of each rule of rbac.yaml.
func (w *World) restrict(ctx context.Context, left func(rbacv1.PolicyRule) []string) error {
	var role rbacv1.ClusterRole
	if err := w.Get(ctx, client.ObjectKey{Name: composeRole}, &role); err != nil {
		return err
	}
	var rules, changed []rbacv1.PolicyRule
	for _, r := range role.Rules {
		verbs := left(r)
		if !slices.Equal(verbs, r.Verbs) {
			changed = append(changed, *r.DeepCopy())
		}
		if r.Verbs = verbs; len(verbs) > 0 {
			rules = append(rules, r)
		}
	}
	if len(changed) == 0 {
		return errors.New("rbac.yaml does not allow what is to be forbidden")
	}
	role.Rules = rules
	if err := w.Update(ctx, &role); err != nil {
		return err
	}
	err := cluster.Poll(ctx, Timeout, eventuallyPoll, func(ctx context.Context) (bool, error) {
		var sum rbacv1.ClusterRole
		if err := w.Get(ctx, client.ObjectKey{Name: plane.CrossplaneAccount}, &sum); err != nil {
			return false, err
		}
		for _, r := range sum.Rules {
			if slices.ContainsFunc(changed, func(c rbacv1.PolicyRule) bool {
				return slices.Equal(c.APIGroups, r.APIGroups) && slices.Equal(c.Resources, r.Resources) && slices.Equal(c.Verbs, r.Verbs)
			}) {
				return false, fmt.Errorf("%v of %v is still allowed", r.Verbs, r.Resources)
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("cannot forbid Crossplane anything: %w", err)
	}
	return nil
}

// Allow Crossplane what rbac.yaml says.
func (w *World) Allow(ctx context.Context) error {
	return w.ApplyFiles(ctx, filepath.Join(w.programs.Root, "rbac.yaml"))
}
