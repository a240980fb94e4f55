// Package e2e has the end-to-end tests: stories on a real control plane, with
// real operators, servers and databases. See README.md.
package e2e

import (
	"context"
	"os"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/container"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// earth is the world that all stories happen in.
var earth *world.World //nolint:gochecknoglobals // It is started once, for all tests.

func TestMain(m *testing.M) {
	container.Main()
	os.Exit(world.Main(context.Background(), func(_ context.Context, w *world.World) int {
		earth = w
		return m.Run()
	}))
}
