// Package world is what a scenario happens in: a control plane with Crossplane,
// the Percona operator and this checkout's packages, whose DittoFS servers and
// databases run for real.
package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/node"
	"github.com/dittofs/function-dittoserver/test/e2e/packages"
	"github.com/dittofs/function-dittoserver/test/e2e/plane"
	"github.com/dittofs/function-dittoserver/test/e2e/postgres"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
	"github.com/dittofs/function-dittoserver/test/e2e/toolchain"
)

const (
	// PerconaNamespace is where the operator's own manifests want it.
	PerconaNamespace = "pg-operator"

	perconaDeployment = "percona-postgresql-operator"

	// dittofsUser is what the server's image runs as, percona the operator's.
	dittofsUser = 65532
	perconaUser = 2

	installTimeout = 5 * time.Minute
	installPoll    = 200 * time.Millisecond
)

// World that scenarios share. Each has a namespace of its own in it.
type World struct {
	*cluster.Client

	Plane    *plane.Plane
	Node     *node.Agent
	Postgres *postgres.Servers
	Box      *sandbox.Sandbox

	// Logs of everything that runs.
	Logs string

	// Out is the folder for what scenarios leave to be read.
	Out string

	journal  *journal
	programs *toolchain.Programs
	began    time.Time
	say      func(string)
}

// Start the world, inside a sandbox.
func Start(ctx context.Context, programs *toolchain.Programs, out string) (*World, error) {
	box, err := sandbox.Set(ctx)
	if err != nil {
		return nil, err
	}
	w := &World{Box: box, Out: out, Logs: filepath.Join(out, "logs"), programs: programs, began: time.Now()}
	w.journal = &journal{path: filepath.Join(w.Logs, "crossplane.log"), lines: map[string][]string{}}
	w.say = func(line string) {
		_, _ = fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(w.began).Seconds(), line)
	}
	if err := os.RemoveAll(w.Logs); err != nil {
		return nil, err
	}
	if w.Plane, err = plane.Start(ctx, box, programs, w.Logs, w.say); err != nil {
		return nil, err
	}
	w.Client = w.Plane.Client
	go box.Open(ctx, plane.APIAddress)
	if err := w.agents(ctx); err != nil {
		return nil, err
	}
	for _, install := range []func(context.Context) error{w.installCrossplane, w.installPercona, w.installPackages} {
		if err := install(ctx); err != nil {
			return nil, err
		}
	}
	w.say("the world is ready")
	return w, nil
}

// Say a line of progress.
func (w *World) Say(format string, args ...any) { //nolint:goprintffuncname // So does Say.
	w.say(fmt.Sprintf(format, args...))
}

// agents run pods, databases and Services.
func (w *World) agents(ctx context.Context) error {
	mirror, err := w.Mirror(ctx)
	if err != nil {
		return err
	}
	w.Node = node.New(w.Client, mirror, w.Box, map[string]node.Image{
		"marmos91c/dittofs":            {Programs: map[string]string{"/app/dfs": w.programs.DittoFS}, Entrypoint: []string{"/app/dfs"}, User: dittofsUser},
		"library/postgres":             {}, // The machine's own psql and pg_isready.
		"dittofs/function-dittoserver": {Programs: map[string]string{"/function": w.programs.Function}, Entrypoint: []string{"/function"}, User: dittofsUser},
		"percona/percona-postgresql-operator": {
			Programs: map[string]string{"/postgres-operator": w.programs.PerconaOperator}, Entrypoint: []string{"/postgres-operator"}, User: perconaUser,
		},
	}, w.Logs, w.say)
	if err := w.Node.Register(ctx); err != nil {
		return err
	}
	w.Postgres = postgres.New(w.Client, mirror, w.Box, w.Logs, w.say)
	go w.Node.Run(ctx)
	go w.Postgres.Run(ctx)
	go node.NewServices(mirror, w.Box, w.say).Run(ctx)
	return nil
}

func (w *World) installCrossplane(ctx context.Context) error {
	// As the README says: before anything else.
	if err := w.ApplyFiles(ctx, filepath.Join(w.programs.Root, "rbac.yaml")); err != nil {
		return err
	}
	return w.Plane.Crossplane(ctx)
}

// installPercona applies the operator's own manifests for a whole cluster.
func (w *World) installPercona(ctx context.Context) error {
	if err := w.Create(ctx, namespace(PerconaNamespace, nil)); err != nil {
		return err
	}
	bundle, err := os.ReadFile(filepath.Join(w.programs.PerconaModule, "deploy", "cw-bundle.yaml"))
	if err != nil {
		return err
	}
	if err := w.ApplyYAMLIn(ctx, PerconaNamespace, bundle); err != nil {
		return err
	}
	err = cluster.Poll(ctx, installTimeout, installPoll, func(ctx context.Context) (bool, error) {
		var d appsv1.Deployment
		if err := w.Get(ctx, client.ObjectKey{Namespace: PerconaNamespace, Name: perconaDeployment}, &d); err != nil {
			return false, err
		}
		if d.Status.AvailableReplicas == 0 {
			return false, errors.New("the Percona operator is not available")
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	w.say("the Percona operator is ready")
	return nil
}

// installPackages installs the configuration, which brings the function.
func (w *World) installPackages(ctx context.Context) error {
	if err := packages.Serve(ctx, w.programs.Root, w.programs.Function); err != nil {
		return err
	}
	if err := w.ApplyYAML(ctx, []byte(packages.Manifest)); err != nil {
		return err
	}
	return w.Install(ctx, "configuration-dittoserver")
}

// Install a configuration, and wait until it, its function and its XRD are
// ready to be used.
func (w *World) Install(ctx context.Context, configuration string) error {
	manifest := fmt.Sprintf("apiVersion: pkg.crossplane.io/v1\nkind: Configuration\nmetadata: {name: %s}\nspec: {package: %q}\n",
		configuration, packages.Package(configuration))
	if err := w.ApplyYAML(ctx, []byte(manifest)); err != nil {
		return err
	}
	packageKind := func(kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: "pkg.crossplane.io", Version: "v1", Kind: kind}
	}
	for _, o := range []struct {
		gvk        schema.GroupVersionKind
		name       string
		conditions []string
	}{
		{packageKind("Configuration"), configuration, []string{"Installed", "Healthy"}},
		{packageKind("Function"), "dittofs-function-dittoserver", []string{"Installed", "Healthy"}},
	} {
		if err := w.waitForConditions(ctx, o.gvk, o.name, o.conditions...); err != nil {
			return err
		}
		w.say(fmt.Sprintf("%s %s is installed", o.gvk.Kind, o.name))
	}
	return w.waitForXRDs(ctx)
}

// Uninstall a configuration, and wait until the definitions that it brought are
// gone. There must be no DittoServers.
func (w *World) Uninstall(ctx context.Context, configuration string) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "pkg.crossplane.io", Version: "v1", Kind: "Configuration"})
	u.SetName(configuration)
	if err := w.Delete(ctx, u); err != nil {
		return err
	}
	err := cluster.Poll(ctx, installTimeout, installPoll, func(ctx context.Context) (bool, error) {
		xrds, err := w.xrds(ctx)
		if err == nil && len(xrds) > 0 {
			err = fmt.Errorf("definition %s is there", xrds[0].GetName())
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("cannot uninstall %s: %w", configuration, err)
	}
	w.say(fmt.Sprintf("Configuration %s is uninstalled", configuration))
	return nil
}

// Composites behind claims, by their names.
func (w *World) Composites(ctx context.Context) ([]string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: DittoServer.Group, Version: DittoServer.Version, Kind: "XDittoServerList"})
	if err := w.List(ctx, list); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	return names, nil
}

func (w *World) waitForConditions(ctx context.Context, gvk schema.GroupVersionKind, name string, conditions ...string) error {
	return cluster.Poll(ctx, installTimeout, installPoll, func(ctx context.Context) (bool, error) {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvk)
		if err := w.Get(ctx, client.ObjectKey{Name: name}, u); err != nil {
			return false, err
		}
		for _, c := range conditions {
			if got := Condition(u, c); got.Status != "True" {
				return false, fmt.Errorf("%s %s is not %s: %s %s", gvk.Kind, name, c, got.Reason, got.Message)
			}
		}
		return true, nil
	})
}

// xrds are the definitions of composite resources.
func (w *World) xrds(ctx context.Context) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.crossplane.io", Version: "v2", Kind: "CompositeResourceDefinitionList"})
	err := w.List(ctx, list)
	return list.Items, err
}

// waitForXRDs until what they define is served.
func (w *World) waitForXRDs(ctx context.Context) error {
	xrds, err := w.xrds(ctx)
	if err != nil {
		return err
	}
	for i := range xrds {
		conditions := []string{"Established"}
		if _, claims, _ := unstructured.NestedMap(xrds[i].Object, "spec", "claimNames"); claims {
			conditions = append(conditions, "Offered")
		}
		if err := w.waitForConditions(ctx, xrds[i].GroupVersionKind(), xrds[i].GetName(), conditions...); err != nil {
			return err
		}
	}
	return nil
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	n := &corev1.Namespace{}
	n.Name, n.Labels = name, labels
	return n
}
