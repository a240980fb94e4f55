// Package toolchain builds the programs that rendering needs, from their Go
// modules, into a cache folder outside the checkout. A program that is there
// already is not built again.
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
)

// The program's key in the cache is a prefix of a SHA-256, this many hex
// digits long.
const keyLength = 16

// crossplaneModule holds core, and up to v2.2 the CLI too.
const crossplaneModule = "github.com/crossplane/crossplane/v2"

// A Tool is a program that a Go module of its own pins.
type Tool struct {
	// Name of the binary.
	Name string

	// Title that a person knows the program by, without a version.
	Title string

	// Dir of the module that pins it: go.mod and go.sum are there.
	Dir string

	// Module that holds the program, and Package of the program.
	Module, Package string
}

// Crossplane is Crossplane core, whose "internal render" is the engine. The
// root is the folder of the function's own module.
func Crossplane(root string) Tool {
	return Tool{
		Name:    "crossplane",
		Title:   "Crossplane core",
		Dir:     filepath.Join(root, "test", "render"),
		Module:  crossplaneModule,
		Package: crossplaneModule + "/cmd/crossplane",
	}
}

// Crank is the last Crossplane CLI that has a render engine of its own.
func Crank(root string) Tool {
	return Tool{
		Name:    "crank",
		Title:   "Crossplane CLI",
		Dir:     filepath.Join(root, "test", "crank"),
		Module:  crossplaneModule,
		Package: crossplaneModule + "/cmd/crank",
	}
}

// Build the tool, unless the cache has it, and return the binary's path. The
// progress says what is going on; it stays silent if nothing is to be done.
func (t Tool) Build(ctx context.Context, p *Progress) (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	key, err := t.key(ctx)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, t.Name+"-"+key)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}

	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // A cache of programs, readable like any other.
		return "", fmt.Errorf("cannot make the cache folder: %w", err)
	}
	// Built beside its final name and renamed, so that a build that is cut
	// short leaves no half a program there.
	tmp, err := os.MkdirTemp(dir, t.Name+"-build-")
	if err != nil {
		return "", fmt.Errorf("cannot make a folder to build in: %w", err)
	}
	defer os.RemoveAll(tmp)

	built := filepath.Join(tmp, t.Name)
	if err := t.build(ctx, built, p); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", t.Title, err)
	}
	if err := os.Rename(built, path); err != nil {
		return "", fmt.Errorf("cannot keep %s: %w", t.Title, err)
	}
	return path, nil
}

// build the tool to a path, in two steps: the first downloads the modules and
// counts the packages, the second compiles them.
func (t Tool) build(ctx context.Context, path string, p *Progress) error {
	version, err := t.Version(ctx)
	if err != nil {
		return err
	}
	title := t.Title + " " + version
	p.Say(title + " is built from its Go module, once. With nothing cached this takes some minutes.")

	step := p.Start("downloading " + title)
	list := goCommand(ctx, t.Dir, "list", "-deps", "-f", "{{.ImportPath}}", t.Package)
	var packages bytes.Buffer
	list.Stdout = &packages
	if err := step.Run(list, "modules", 0); err != nil {
		return err
	}

	step = p.Start("compiling " + title)
	build := goCommand(ctx, t.Dir, "build", "-v", "-trimpath", "-ldflags=-s -w", "-o", path, t.Package)
	return step.Run(build, "packages", bytes.Count(packages.Bytes(), []byte("\n")))
}

// Version of the tool, like v2.4.0.
func (t Tool) Version(ctx context.Context) (string, error) {
	b, err := goCommand(ctx, t.Dir, "list", "-m", "-f", "{{.Version}}", t.Module).Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the version of %s: %w", t.Title, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// key of the tool in the cache: what it is built from, and with what.
func (t Tool) key(ctx context.Context) (string, error) {
	env, err := goCommand(ctx, t.Dir, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run go env: %w", err)
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n", t.Package, env)
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(t.Dir, name)) //nolint:gosec // A file of our own.
		if err != nil {
			return "", fmt.Errorf("cannot read what pins %s: %w", t.Title, err)
		}
		_, _ = fmt.Fprintf(h, "%d\n%s", len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil))[:keyLength], nil
}

// Function builds the function itself, in the module at root, and returns the
// binary's path. Go's own build cache makes it quick.
func Function(ctx context.Context, root string, p *Progress) (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	// One binary for each checkout, so that two do not rebuild each other's.
	sum := sha256.Sum256([]byte(root))
	path := filepath.Join(dir, "function-"+hex.EncodeToString(sum[:])[:keyLength])
	step := p.Start("building the function")
	if err := step.Run(goCommand(ctx, root, "build", "-v", "-o", path, "."), "packages", 0); err != nil {
		return "", fmt.Errorf("cannot build the function: %w", err)
	}
	return path, nil
}

// Root returns the folder of the function's own module, found from the folder
// of this one.
func Root(ctx context.Context) (string, error) {
	b, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(b)), "..", "..")
	if _, err := os.Stat(filepath.Join(root, "example")); err != nil {
		return "", fmt.Errorf("this must run inside the checkout's test/render: %w", err)
	}
	return root, nil
}

// CacheDir is where built programs are kept: $FUNCTION_DITTOSERVER_CACHE, else
// function-dittoserver in the user's cache folder. It need not exist.
func CacheDir() (string, error) {
	if dir := os.Getenv("FUNCTION_DITTOSERVER_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "function-dittoserver"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a cache folder, set FUNCTION_DITTOSERVER_CACHE: %w", err)
	}
	return filepath.Join(home, ".cache", "function-dittoserver"), nil
}

// goCommand runs the go tool in a folder, on the module there and no other.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // The arguments are ours.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}
