package percona

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNames(t *testing.T) {
	got := []string{ClusterName("files"), SecretName("files"), CASecretName("files")}
	want := []string{"files-postgres", "files-postgres-pguser-dittofs", "files-postgres-cluster-cert"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ClusterName, SecretName, CASecretName: -want, +got:\n%s", diff)
	}

	longest := strings.Repeat("a", maxServerName)
	if n := len(ClusterName(longest)) + len(InstanceSet); n != 46 {
		t.Errorf("The longest name fills the 46 characters that cluster and instance set share, not %d", n)
	}
	if errs := validation.IsDNS1123Label(SecretName(longest)); len(errs) > 0 {
		t.Errorf("SecretName(%s): %v", longest, errs)
	}
}

// The expected value is the SHA-256 sum of filesDittoServer.dittofs.io as
// sha256sum prints it.
func TestFieldManager(t *testing.T) {
	got := FieldManager("files", schema.GroupKind{Group: "dittofs.io", Kind: "DittoServer"})
	want := "apiextensions.crossplane.io/composed/4945f66e5c9fa84d6ac05ac509f1bb1c7811100de3a5430f1e31a2a64f493fea"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("FieldManager(...): -want, +got:\n%s", diff)
	}
}
