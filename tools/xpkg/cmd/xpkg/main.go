// Command xpkg builds and publishes this repository's Crossplane packages: the
// function, and a configuration for each flavour of DittoServer.
//
//	xpkg build -root ROOT -binaries DIR -version v0.1.0 -o PACKAGES
//	xpkg push -from PACKAGES -registry ghcr.io/dittofs
//	xpkg stream FOLDER
//
// It prints the packages' digests, which depend on the input alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/dittofs/function-dittoserver/tools/xpkg"
)

const usage = "usage: xpkg build|push|stream"

// Architectures that the function is built for, as Go calls them.
var architectures = []string{"amd64", "arm64"} //nolint:gochecknoglobals // A constant in all but syntax.

// folders of the packages' manifests, the function's first.
var folders = []string{"package", "configuration/namespaced", "configuration/claim"} //nolint:gochecknoglobals // A constant in all but syntax.

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "xpkg:", err)
		os.Exit(1) //nolint:gocritic // The context ends with the process.
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	root := flags.String("root", ".", "build: `folder` of the repository")
	binaries := flags.String("binaries", "", "build: `folder` of the function's static binaries, function-linux-amd64 and so on")
	version := flags.String("version", "", "build: `version` that the packages get, like v0.1.0")
	to := flags.String("o", "", "build: `folder` to write the packages into")
	from := flags.String("from", "", "push: `folder` that the packages were built into")
	registry := flags.String("registry", "", "push: `registry` and owner, like ghcr.io/dittofs")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}

	switch args[0] {
	case "build":
		return build(out, *root, *binaries, *version, *to)
	case "push":
		return push(ctx, out, *from, *registry)
	case "stream":
		return stream(out, flags.Arg(0))
	}
	return errors.New(usage)
}

// build the packages and print the digest of each.
func build(out io.Writer, root, binaries, version, to string) error {
	if binaries == "" || to == "" {
		return errors.New("build: -binaries and -o are required")
	}
	var runtimes []xpkg.Runtime
	for _, arch := range architectures {
		binary, err := os.ReadFile(filepath.Join(binaries, "function-linux-"+arch)) //nolint:gosec // Named by the person who runs this.
		if err != nil {
			return err
		}
		runtimes = append(runtimes, xpkg.Runtime{Binary: binary, Architecture: arch})
	}
	var packages []xpkg.Package
	for i, folder := range folders {
		var program []xpkg.Runtime
		if i == 0 {
			program = runtimes
		}
		p, err := xpkg.New(os.DirFS(filepath.Join(root, folder)), version, program...)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		digest, err := p.Digest()
		if err != nil {
			return err
		}
		packages = append(packages, p)
		_, _ = fmt.Fprintf(out, "%s  %s:%s\n", digest, p.Name, p.Version)
	}
	return xpkg.Write(to, packages...)
}

// push the packages and print the reference of each, by digest.
func push(ctx context.Context, out io.Writer, from, registry string) error {
	if from == "" || registry == "" {
		return errors.New("push: -from and -registry are required")
	}
	pushed, err := xpkg.Push(ctx, from, registry)
	for _, reference := range pushed {
		_, _ = fmt.Fprintln(out, reference)
	}
	return err
}

// stream prints package.yaml of a folder: the Dockerfile puts it into its image.
func stream(out io.Writer, folder string) error {
	if folder == "" {
		return errors.New("stream: name the folder of the package's manifests")
	}
	content, err := xpkg.Stream(os.DirFS(folder))
	if err != nil {
		return err
	}
	_, err = out.Write(append(content, '\n'))
	return err
}
