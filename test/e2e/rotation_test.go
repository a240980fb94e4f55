package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const userSecret = "files-postgres-pguser-dittofs"

// TestRotation tells that a new password of the database restarts the server
// once, and that other changes of its Secret do not.
func TestRotation(t *testing.T) {
	s := earth.Scenario(t)
	s.Apply(percona)
	waitForServer(s, "files")
	before := take(s, "files")

	patchSecret(s, userSecret, map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"example.org/team": "a"}, "annotations": map[string]any{"example.org/note": "b"}},
		"data":     map[string]any{"example": []byte("not read by the server")},
	})
	still(s, "what the server does not read restarts nothing", before.same)

	const password = "anotherPassword1234567890"
	// As the operator wants it: a new password, and no verifier of the old one.
	// The old one comes back if the operator has read it and is about to write.
	operatorRests(s)
	patchSecret(s, userSecret, map[string]any{"data": map[string]any{"password": []byte(password), "verifier": nil}})
	s.Eventually("the operator completes the Secret", func(ctx context.Context) error {
		secret, err := s.Secret(ctx, userSecret)
		if err != nil {
			return err
		}
		if len(secret.Data["verifier"]) == 0 || !strings.Contains(string(secret.Data["uri"]), password) {
			return fmt.Errorf("verifier of %d bytes, the uri has the new password: %t", len(secret.Data["verifier"]), strings.Contains(string(secret.Data["uri"]), password))
		}
		return nil
	})
	s.Eventually("the server is another pod, and ready", func(ctx context.Context) error {
		pod, err := s.Pod(ctx, "files-0")
		if err != nil {
			return err
		}
		if pod.UID == before.pod {
			return fmt.Errorf("pod %s is the one that was", pod.Name)
		}
		return podReady(ctx, s, "files-0")
	})
	after := take(s, "files")
	if after.uid != before.uid || after.generation != before.generation+1 {
		t.Errorf("the StatefulSet is %+v, was %+v: want one change", after, before)
	}
	still(s, "it is restarted once", after.same)

	if err := health(t.Context(), "files-api."+s.Namespace+".svc:8080"); err != nil {
		t.Error(err)
	}
	expectTables(s, "files-postgres")
	failed, err := s.Log("files-0", "dittofs")
	if err != nil {
		t.Fatal(err)
	}
	s.Keep("dfs.log", failed)
}

// quiet is how long nothing has to happen.
const quiet = 15 * time.Second

// still checks that nothing happens, also not once Crossplane has called the
// function again.
func still(s *world.Scenario, what string, check func(ctx context.Context) error) {
	s.Helper()
	s.Eventually("Crossplane composes the server once more", func(context.Context) error {
		if r := s.Reconcile("files"); r.Composed == 0 {
			return fmt.Errorf("it cannot: %s", r.Last)
		}
		return nil
	})
	s.Throughout(quiet, what, check)
}

// standing of a server: what a restart or a replacement would change.
type standing struct {
	s          *world.Scenario
	name       string
	uid, pod   types.UID
	generation int64
	restarts   int32
}

// take a server's standing.
func take(s *world.Scenario, name string) standing {
	s.Helper()
	now, err := look(s.Context(), s, name)
	if err != nil {
		s.Fatal(err)
	}
	return now
}

func look(ctx context.Context, s *world.Scenario, name string) (standing, error) {
	set, err := s.StatefulSet(ctx, name)
	if err != nil {
		return standing{}, err
	}
	pod, err := s.Pod(ctx, name+"-0")
	if err != nil {
		return standing{}, err
	}
	now := standing{s: s, name: name, uid: set.UID, pod: pod.UID, generation: set.Generation}
	for _, c := range pod.Status.ContainerStatuses {
		now.restarts += c.RestartCount
	}
	return now, nil
}

// same standing as before.
func (b standing) same(ctx context.Context) error {
	now, err := look(ctx, b.s, b.name)
	if err != nil {
		return err
	}
	if now != b {
		return fmt.Errorf("the server is %+v, was %+v", now, b)
	}
	return nil
}

func patchSecret(s *world.Scenario, name string, patch map[string]any) {
	s.Helper()
	encoded, err := json.Marshal(patch)
	if err != nil {
		s.Fatal(err)
	}
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = s.Namespace, name
	if err := s.Patch(s.Context(), secret, client.RawPatch(types.MergePatchType, encoded)); err != nil {
		s.Fatal(err)
	}
}
