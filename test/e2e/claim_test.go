package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// TestClaim tells that the configuration for claims does the same for a claim.
// The two configurations are alternatives, so one makes way for the other.
func TestClaim(t *testing.T) {
	s := earth.Scenario(t)
	if err := s.Uninstall(t.Context(), "configuration-dittoserver"); err != nil {
		t.Fatal(err)
	}
	if err := s.Install(t.Context(), "configuration-dittoserver-claim"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := s.Uninstall(ctx, "configuration-dittoserver-claim"); err != nil {
			t.Error(err)
		}
		if err := s.Install(ctx, "configuration-dittoserver"); err != nil {
			t.Error(err)
		}
	})

	s.Apply(strings.Replace(percona, "name: files", "name: share", 1))
	waitForServer(s, "share")
	expectTables(s, "share-postgres")
	before := take(s, "share")
	composites, err := s.Composites(t.Context())
	if err != nil || len(composites) != 1 {
		t.Fatalf("composites %v: %v, want one", composites, err)
	}
	if r := s.ReconcileComposite(composites[0]); r.Failed > 0 {
		t.Fatalf("Crossplane cannot compose the server: %s", r.Last)
	}
	s.Throughout(quiet, "the server is left alone", before.same)
	for _, condition := range []string{"DatabaseReady", "Available", "ConfigReady"} {
		if err := s.ConditionIs(t.Context(), world.DittoServer, "share", condition, "True"); err != nil {
			t.Errorf("the claim does not tell: %v", err)
		}
	}
	deleteNamed(s, "share")
	s.Eventually("its XDittoServer is gone too", func(ctx context.Context) error {
		composites, err := s.Composites(ctx)
		if err != nil {
			return err
		}
		if len(composites) > 0 {
			return fmt.Errorf("%v is there", composites)
		}
		return nil
	})
}
