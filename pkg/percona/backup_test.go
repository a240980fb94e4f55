package percona

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// TestFlatFieldsAreShort holds repos to the flat fields: they say the same of a
// first repository on S3.
func TestFlatFieldsAreShort(t *testing.T) {
	ref := &v1alpha1.LocalSecretRef{Name: "s3"}
	flat := wantedOf(t, server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Bucket: "b", CredentialsSecretRef: ref}}))
	repos := wantedOf(t, server(v1alpha1.PerconaSpec{Backup: v1alpha1.BackupSpec{Enabled: new(true), Repos: []v1alpha1.BackupRepo{
		{Name: "repo1", RepoLocation: v1alpha1.RepoLocation{S3: &v1alpha1.S3Location{Bucket: "b"}, CredentialsSecretRef: ref}},
	}}}))
	if diff := cmp.Diff(flat.Spec, repos.Spec); diff != "" {
		t.Errorf("-flat, +repos:\n%s", diff)
	}
}
