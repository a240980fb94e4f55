// Package toolchain builds what runs in the end-to-end tests: the control
// plane, the operators and the DittoFS server from Go modules that are pinned
// under pins/, and the function from this checkout. What is pinned is kept in
// the cache folder that test/render uses too, and built once.
package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	render "github.com/dittofs/function-dittoserver/test/render/toolchain"
)

// A program's key in the cache is a prefix of a SHA-256, this many hex digits
// long.
const keyLength = 16

// Programs are paths of binaries, and of modules that carry manifests.
type Programs struct {
	Etcd, APIServer, ControllerManager, Scheduler, Kwok string

	Crossplane, PerconaOperator, DittoFS, Function string

	// CrossplaneModule has Crossplane's CRDs and its chart, PerconaModule the
	// operator's CRDs, KwokModule kwok's stages.
	CrossplaneModule, PerconaModule, KwokModule string

	// Root of the checkout.
	Root string
}

// A pin is a program, and what pins it.
type pin struct {
	// name of the binary, and title that a person knows the program by.
	name, title string

	// dir of the pinning module, and modfile if that is not called go.mod.
	dir, modfile string

	// module that holds the program, and pkg of the program.
	module, pkg string

	// versioned are variables that the linker sets to the module's version.
	versioned []string

	into *string
}

// pins of a checkout, those that take longest first.
func (p *Programs) pins() []pin {
	e2e := filepath.Join(p.Root, "test", "e2e")
	dir := func(name string) string { return filepath.Join(e2e, "pins", name) }

	const kubernetes = "k8s.io/kubernetes"
	// Without its version the API server's discovery misbehaves.
	kubeVersion := []string{"k8s.io/component-base/version.gitVersion"}
	const crossplane = "github.com/crossplane/crossplane/v2"
	const percona = "github.com/percona/percona-postgresql-operator/v2"
	const kwok = "sigs.k8s.io/kwok"

	return []pin{
		{name: "kube-apiserver", title: "kube-apiserver", dir: dir("kubernetes"), module: kubernetes, pkg: kubernetes + "/cmd/kube-apiserver", versioned: kubeVersion, into: &p.APIServer},
		{name: "kube-controller-manager", title: "kube-controller-manager", dir: dir("kubernetes"), module: kubernetes, pkg: kubernetes + "/cmd/kube-controller-manager", versioned: kubeVersion, into: &p.ControllerManager},
		{name: "kube-scheduler", title: "kube-scheduler", dir: dir("kubernetes"), module: kubernetes, pkg: kubernetes + "/cmd/kube-scheduler", versioned: kubeVersion, into: &p.Scheduler},
		{name: "etcd", title: "etcd", dir: dir("etcd"), module: "go.etcd.io/etcd/server/v3", pkg: "go.etcd.io/etcd/server/v3", into: &p.Etcd},
		// The package manager compares its version with what packages want.
		{name: "crossplane", title: "Crossplane core", dir: filepath.Join(p.Root, "test", "render"), module: crossplane, pkg: crossplane + "/cmd/crossplane", versioned: []string{"github.com/crossplane/crossplane-runtime/v2/pkg/version.version"}, into: &p.Crossplane},
		// Its go.mod has another name because "go mod tidy" cannot find all
		// that the operator's own tests import.
		{name: "postgres-operator", title: "the Percona operator", dir: e2e, modfile: filepath.Join(dir("percona"), "percona.mod"), module: percona, pkg: percona + "/cmd/postgres-operator", into: &p.PerconaOperator},
		{name: "kwok", title: "kwok", dir: dir("kwok"), module: kwok, pkg: kwok + "/cmd/kwok", into: &p.Kwok},
		{name: "dfs", title: "the DittoFS server", dir: dir("dittofs"), module: "github.com/marmos91/dittofs", pkg: "github.com/marmos91/dittofs/cmd/dfs", into: &p.DittoFS},
	}
}

// Build what the cache lacks.
func Build(ctx context.Context, progress *render.Progress) (*Programs, error) {
	root, err := Root(ctx)
	if err != nil {
		return nil, err
	}
	p := &Programs{Root: root}
	modules := map[string]*string{"crossplane": &p.CrossplaneModule, "postgres-operator": &p.PerconaModule, "kwok": &p.KwokModule}
	for _, pin := range p.pins() {
		if *pin.into, err = pin.build(ctx, progress); err != nil {
			return nil, err
		}
		if dir := modules[pin.name]; dir != nil {
			if *dir, err = pin.list(ctx, "{{.Dir}}"); err != nil {
				return nil, err
			}
		}
	}
	p.Function, err = render.Function(ctx, root, progress)
	return p, err
}

// Root of the checkout, from a folder of this module.
func Root(ctx context.Context) (string, error) {
	gomod, err := goCommand(ctx, "", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	root := filepath.Join(filepath.Dir(strings.TrimSpace(string(gomod))), "..", "..")
	if _, err := os.Stat(filepath.Join(root, "test", "e2e", "go.mod")); err != nil {
		return "", fmt.Errorf("this must run inside the checkout's test/e2e: %w", err)
	}
	return root, nil
}

// build the program, unless the cache has it, and return its path.
func (p pin) build(ctx context.Context, progress *render.Progress) (string, error) {
	cache, err := render.CacheDir()
	if err != nil {
		return "", err
	}
	key, err := p.key(ctx)
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, p.name+"-e2e-"+key)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}

	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // A cache of programs, readable like any other.
		return "", fmt.Errorf("cannot make the cache folder: %w", err)
	}
	// Built beside its final name and renamed, so that a build that is cut
	// short leaves no half a program there.
	tmp, err := os.MkdirTemp(cache, p.name+"-build-")
	if err != nil {
		return "", fmt.Errorf("cannot make a folder to build in: %w", err)
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, p.name)
	if err := p.compile(ctx, built, progress); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", p.title, err)
	}
	if err := os.Rename(built, path); err != nil {
		return "", fmt.Errorf("cannot keep %s: %w", p.title, err)
	}
	return path, nil
}

// compile to a path: the first step downloads the modules and counts the
// packages, the second compiles them.
func (p pin) compile(ctx context.Context, path string, progress *render.Progress) error {
	version, err := p.list(ctx, "{{.Version}}")
	if err != nil {
		return err
	}
	title := p.title + " " + version
	progress.Say(title + " is built from its Go module, once.")

	list := p.goCommand(ctx, "list", "-deps", "-f", "{{.ImportPath}}", p.pkg)
	var packages bytes.Buffer
	list.Stdout = &packages
	if err := progress.Start("downloading "+title).Run(list, "modules", 0); err != nil {
		return err
	}

	flags := []string{"-ldflags=-s -w"}
	for _, variable := range p.versioned {
		flags = append(flags, "-X "+variable+"="+version)
	}
	build := p.goCommand(ctx, "build", "-v", "-trimpath", strings.Join(flags, " "), "-o", path, p.pkg)
	return progress.Start("compiling "+title).Run(build, "packages", bytes.Count(packages.Bytes(), []byte("\n")))
}

// list one thing about the program's module.
func (p pin) list(ctx context.Context, format string) (string, error) {
	out, err := p.goCommand(ctx, "list", "-m", "-f", format, p.module).Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module of %s: %w", p.title, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// key of the program in the cache: what it is built from, and with what.
func (p pin) key(ctx context.Context) (string, error) {
	env, err := goCommand(ctx, p.dir, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run go env: %w", err)
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n", p.pkg, env, p.versioned)
	modfile := p.modfile
	if modfile == "" {
		modfile = filepath.Join(p.dir, "go.mod")
	}
	for _, name := range []string{modfile, strings.TrimSuffix(modfile, ".mod") + ".sum"} {
		content, err := os.ReadFile(name) //nolint:gosec // A file of our own.
		if err != nil {
			return "", fmt.Errorf("cannot read what pins %s: %w", p.title, err)
		}
		_, _ = fmt.Fprintf(h, "%d\n%s", len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil))[:keyLength], nil
}

// goCommand on the module that pins the program.
func (p pin) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	if p.modfile != "" {
		args = append([]string{args[0], "-modfile=" + p.modfile}, args[1:]...)
	}
	return goCommand(ctx, p.dir, args...)
}

func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // The arguments are ours.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}
