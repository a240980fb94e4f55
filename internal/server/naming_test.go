package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// longest is a server with as long a name as there can be.
func longest() *Server {
	s := &Server{Name: strings.Repeat("a", maxNameLength)}
	s.Spec.SetDefaults()

	return s
}

func TestIdentity(t *testing.T) {
	s := longest()
	names := map[string]Key{}
	for _, k := range append(s.Keys(), KeyCluster) {
		id := s.Identity(k)
		if id.Key != k || id.APIVersion == "" || id.Kind == "" {
			t.Errorf("Identity(%s): incomplete: %+v", k, id)
		}
		// A Service's name is the strictest.
		if msgs := validation.IsDNS1035Label(id.Name); len(msgs) > 0 {
			t.Errorf("Identity(%s): %s: %v", k, id.Name, msgs)
		}
		if other, taken := names[id.Kind+id.Name]; taken {
			t.Errorf("Identity(%s): the name is %s's as well: %s", k, other, id.Name)
		}
		names[id.Kind+id.Name] = k
	}
	if diff := cmp.Diff(Identity{Key: "unheard-of"}, s.Identity("unheard-of")); diff != "" {
		t.Errorf("Identity(...): -want, +got:\n%s", diff)
	}

	// percona v2.9.0 perconapgcluster_types.go: cluster and instance set share
	// 46 characters.
	if n := len(s.Identity(KeyCluster).Name + "instance1"); n > 46 {
		t.Errorf("A PerconaPGCluster's name and its instance set's have %d characters", n)
	}
}

func TestLabelsFit(t *testing.T) {
	s := longest()
	for name, value := range s.Labels("network-policy") {
		if msgs := append(validation.IsQualifiedName(name), validation.IsValidLabelValue(value)...); len(msgs) > 0 {
			t.Errorf("%s=%s: %v", name, value, msgs)
		}
	}
	for name, value := range s.Selector() {
		if s.Labels("server")[name] != value {
			t.Errorf("The pods do not have what they are selected by: %s=%s", name, value)
		}
	}
	// The StatefulSet controller labels its pods with a hash of 10 characters
	// behind its name.
	if msgs := validation.IsValidLabelValue(s.Name + "-0123456789"); len(msgs) > 0 {
		t.Errorf("controller-revision-hash: %v", msgs)
	}
}

func TestKeys(t *testing.T) {
	off := false
	s := longest()
	if n := len(s.Keys()); n != 10 {
		t.Errorf("Keys(): want 10, got %d", n)
	}
	s.Spec.Adapters = v1alpha1.AdaptersSpec{NFS: v1alpha1.NFSAdapterSpec{Enabled: &off}, SMB: v1alpha1.SMBAdapterSpec{Enabled: &off}}
	s.Spec.NetworkPolicy.Enabled = &off
	want := []Key{KeyJWTSecret, KeyAdminCredentials, KeyConnection, KeyConfig, KeyHeadlessService, KeyAPIService, KeyStatefulSet}
	if diff := cmp.Diff(want, s.Keys()); diff != "" {
		t.Errorf("Keys(): -want, +got:\n%s", diff)
	}
}
