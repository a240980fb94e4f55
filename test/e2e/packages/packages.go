// Package packages serves this checkout's Crossplane packages from a registry
// of its own, for Crossplane's package manager to pull.
package packages

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dittofs/function-dittoserver/tools/xpkg"
)

const (
	// Registry stands in for the public one; see Manifest.
	Registry = "127.0.0.1:5000"
	public   = "ghcr.io"

	// Owner of the packages' repositories.
	Owner = "dittofs"

	// Version that the packages are given.
	Version = "v0.1.0"

	headerTimeout = 10 * time.Second
)

// Manifest makes Crossplane pull from the registry here what packages say is in
// the public one: as everyone does who has a mirror.
const Manifest = `
apiVersion: pkg.crossplane.io/v1beta1
kind: ImageConfig
metadata:
  name: mirror
spec:
  matchImages:
  - prefix: ` + public + `/` + Owner + `/
  rewriteImage:
    prefix: ` + Registry + `/` + Owner + `/
`

// Package of a repository, by its name in the public registry.
func Package(repository string) string {
	return public + "/" + Owner + "/" + repository + ":" + Version
}

// Serve the function, with its binary, and the configurations until the context
// ends.
func Serve(ctx context.Context, root, function string) error {
	binary, err := os.ReadFile(function) //nolint:gosec // What we built.
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", Registry)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: headerTimeout}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()

	program := &xpkg.Runtime{Binary: binary, Architecture: runtime.GOARCH}
	for _, p := range []struct {
		repository, folder string
		runtime            *xpkg.Runtime
	}{
		{"function-dittoserver", "package", program},
		{"configuration-dittoserver", "configuration/namespaced", nil},
		{"configuration-dittoserver-claim", "configuration/claim", nil},
	} {
		if err := push(ctx, filepath.Join(root, p.folder), p.repository, p.runtime); err != nil {
			return fmt.Errorf("cannot publish %s: %w", p.repository, err)
		}
	}
	return nil
}

func push(ctx context.Context, folder, repository string, program *xpkg.Runtime) error {
	img, err := xpkg.Build(os.DirFS(folder), program)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(Registry+"/"+Owner+"/"+repository+":"+Version, name.StrictValidation)
	if err != nil {
		return err
	}
	return remote.Write(tag, img, remote.WithContext(ctx))
}
