// Package e2e has the end-to-end tests: stories on a real control plane, with
// real operators, servers and databases. See README.md.
package e2e

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/container"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// earth is the world that all stories happen in.
var earth *world.World //nolint:gochecknoglobals // It is started once, for all tests.

// patience is given to Crossplane once, for all stories that need it.
var patience sync.Once //nolint:gochecknoglobals // As is the world.

// beside others is where the rest of a test happens: it leaves them alone. More
// happens in a short time than people do, so Crossplane is made patient.
func beside(t *testing.T) {
	t.Helper()
	t.Parallel()
	patient(t)
}

// patient is Crossplane from now on.
func patient(t *testing.T) {
	t.Helper()
	patience.Do(func() {
		if err := earth.Plane.PatientCrossplane(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// together begins a story that happens beside others.
func together(t *testing.T) *world.Scenario {
	t.Helper()
	beside(t)
	return earth.Scenario(t)
}

func TestMain(m *testing.M) {
	container.Main()
	os.Exit(world.Main(context.Background(), func(_ context.Context, w *world.World) int {
		earth = w
		return m.Run()
	}))
}
