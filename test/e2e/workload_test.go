package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// embedded is a server whose database is a file on its own volume; the spec can
// be gone on with.
const embedded = `
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
`

// growing is a class whose volumes may be asked to grow. That they do is up to
// its provisioner.
const growing = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: growing}
provisioner: kubernetes.io/host-path
allowVolumeExpansion: true
`

// TestLargerStorage tells what becomes of an edit that a StatefulSet cannot
// follow, but a person can: the server says how, everything else flows, and the
// commands that it prints do what they say.
func TestLargerStorage(t *testing.T) {
	s := together(t)
	s.Apply(growing)
	s.Apply(embedded + "  storage: {metadataSize: 10Gi, storageClassName: growing}\n")
	waitForEmbedded(s)
	before := take(s, "files")
	claim := uidOf(s, &corev1.PersistentVolumeClaim{}, "metadata-files-0")
	stop := serve(s)

	s.Step("the volume is to be larger")
	s.Apply(embedded + "  storage: {metadataSize: 20Gi, storageClassName: growing}\n  service: {annotations: {example.org/step: larger}}\n")
	said := waitForStorage(s, "ExpansionRequired")
	waitForAnnotation(s, "larger")
	still(s, "nothing restarts, and the server is ready", func(ctx context.Context) error {
		return errors.Join(before.same(ctx), healthy(ctx, s))
	})

	s.Step("its owner does what it says: %s", said.Message)
	commands := regexp.MustCompile(`kubectl [^,(;]+`).FindAllString(said.Message, -1)
	if len(commands) != 2 { //nolint:mnd // One for the claim, one for the StatefulSet.
		t.Fatalf("the message has the commands %q, want two", commands)
	}
	for _, command := range commands {
		kubectl(s, command)
	}
	s.Within(time.Minute, "the StatefulSet is composed anew, with the larger volume", func(ctx context.Context) error {
		set, err := s.StatefulSet(ctx, "files")
		if err != nil {
			return err
		}
		if set.UID == before.uid {
			return errors.New("it is the one that was")
		}
		return wantSize(set, "20Gi")
	})
	s.Eventually("the storage is up to date", func(ctx context.Context) error {
		return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "StorageUpToDate", "True"), healthy(ctx, s))
	})
	after := take(s, "files")
	if after.pod != before.pod || after.restarts != before.restarts {
		t.Errorf("the server is %+v, was %+v: want the same pod", after, before)
	}
	still(s, "the pod stays", after.same)
	if got := uidOf(s, &corev1.PersistentVolumeClaim{}, "metadata-files-0"); got != claim {
		t.Errorf("the claim is %s, want %s", got, claim)
	}
	stop()
}

// TestOtherStorage tells what becomes of edits of the storage that nobody can
// follow: the server says so, and everything else flows.
func TestOtherStorage(t *testing.T) {
	s := together(t)
	s.Apply(growing)
	s.Apply(embedded + "  storage: {metadataSize: 20Gi}\n")
	waitForEmbedded(s)
	before := take(s, "files")

	s.Step("the volume is to be smaller, and the log to say more")
	s.Apply(embedded + "  storage: {metadataSize: 5Gi}\n  logging: {level: DEBUG}\n  service: {annotations: {example.org/step: smaller}}\n")
	if said := waitForStorage(s, "ImmutableFieldChanged"); !strings.Contains(said.Message, "cannot shrink") {
		t.Errorf("of a smaller volume it says %q", said.Message)
	}
	waitForAnnotation(s, "smaller")
	waitForOtherPod(s, before)
	rolled := take(s, "files")
	if rolled.uid != before.uid || rolled.generation != before.generation+1 {
		t.Errorf("the StatefulSet is %+v, was %+v: want one change", rolled, before)
	}

	s.Step("the volumes are to be of another class")
	s.Apply(embedded + "  storage: {metadataSize: 20Gi, storageClassName: growing}\n  logging: {level: DEBUG}\n  service: {annotations: {example.org/step: other}}\n")
	s.Eventually("it says that they cannot be", func(ctx context.Context) error {
		c, err := storageCondition(ctx, s)
		if err == nil && (c.Reason != "ImmutableFieldChanged" || !strings.Contains(c.Message, "cannot move")) {
			err = fmt.Errorf("%s: %s", c.Reason, c.Message)
		}
		return err
	})
	waitForAnnotation(s, "other")
	still(s, "nothing restarts, and the server is ready", func(ctx context.Context) error {
		return errors.Join(rolled.same(ctx), healthy(ctx, s))
	})

	s.Apply(embedded + "  storage: {metadataSize: 20Gi}\n  logging: {level: DEBUG}\n")
	s.Eventually("set back, the storage is up to date", func(ctx context.Context) error {
		return s.ConditionIs(ctx, world.DittoServer, "files", "StorageUpToDate", "True")
	})
	still(s, "nothing restarts", rolled.same)
}

// TestImage tells that another image is rolled out once, and that a broken one
// is repaired by the next edit, without a hand.
func TestImage(t *testing.T) {
	image := func(name string) string {
		return embedded + "  storage: {metadataSize: 1Gi}\n  image: " + name + "\n"
	}
	s := together(t)
	s.Apply(image("marmos91c/dittofs:v0.29.0"))
	waitForEmbedded(s)
	before := take(s, "files")

	const next = "docker.io/marmos91c/dittofs:v0.29.0"
	s.Apply(image(next))
	waitForOtherPod(s, before)
	after := take(s, "files")
	if after.uid != before.uid || after.generation != before.generation+1 {
		t.Errorf("the StatefulSet is %+v, was %+v: want one change", after, before)
	}
	still(s, "it is rolled out once", after.same)
	pod, err := s.Pod(t.Context(), "files-0")
	if err != nil {
		t.Fatal(err)
	}
	if got := pod.Spec.Containers[0].Image; got != next {
		t.Errorf("the pod has image %s, want %s", got, next)
	}

	s.Apply(image("docker.io/nobody/dittofs:v0.29.0"))
	s.Eventually("a broken image is rolled out, and the server says that it is not available", func(ctx context.Context) error {
		pod, err := s.Pod(ctx, "files-0")
		if err != nil {
			return err
		}
		if pod.UID == after.pod || !strings.Contains(why(pod), "no image") {
			return fmt.Errorf("pod %s: %s", pod.UID, why(pod))
		}
		return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "Available", "False"), s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "False"))
	})
	broken, err := s.Pod(t.Context(), "files-0")
	if err != nil {
		t.Fatal(err)
	}

	s.Apply(image(next))
	s.Eventually("the repaired image is rolled out", func(ctx context.Context) error {
		pod, err := s.Pod(ctx, "files-0")
		if err != nil {
			return err
		}
		if pod.UID == broken.UID {
			return errors.New("the broken pod is there")
		}
		return podReady(ctx, s, "files-0")
	})
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error { return healthy(ctx, s) })
}

// TestStop tells that a server can be stopped and started again, with the data
// that it had.
func TestStop(t *testing.T) {
	s := together(t)
	s.Apply(embedded + "  storage: {metadataSize: 1Gi}\n")
	waitForEmbedded(s)
	password := adminPassword(s)
	claims := map[string]types.UID{}
	for _, name := range []string{"controlplane-files-0", "metadata-files-0"} {
		claims[name] = uidOf(s, &corev1.PersistentVolumeClaim{}, name)
	}
	token, err := login(t.Context(), s, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := callAPI(t.Context(), s, http.MethodPost, "/users", token, map[string]any{"username": "alice", "password": "alicesPassword1"}); err != nil {
		t.Fatal(err)
	}
	s.Step("its data has a user alice")

	s.Apply(embedded + "  storage: {metadataSize: 1Gi}\n  replicas: 0\n")
	s.Eventually("the server is stopped", func(ctx context.Context) error {
		return errors.Join(phaseIs(ctx, s, "Stopped"), s.Absent(ctx, &corev1.Pod{}, "files-0"), healthy(ctx, s))
	})
	u, err := s.Find(t.Context(), world.DittoServer, "files")
	if err != nil {
		t.Fatal(err)
	}
	if got := world.Condition(u, "Available"); got.Status != "True" || got.Reason != "Stopped" {
		t.Errorf("Available is %s, %s: %s, want that it is stopped", got.Status, got.Reason, got.Message)
	}
	still(s, "it stays stopped", func(ctx context.Context) error {
		return errors.Join(phaseIs(ctx, s, "Stopped"), s.Absent(ctx, &corev1.Pod{}, "files-0"))
	})

	s.Apply(embedded + "  storage: {metadataSize: 1Gi}\n  replicas: 1\n")
	s.Eventually("the server runs again", func(ctx context.Context) error {
		return errors.Join(phaseIs(ctx, s, "Running"), podReady(ctx, s, "files-0"), healthy(ctx, s))
	})
	for name, want := range claims {
		if got := uidOf(s, &corev1.PersistentVolumeClaim{}, name); got != want {
			t.Errorf("claim %s is %s, want %s", name, got, want)
		}
	}
	s.Eventually("the administrator can log in, with the password that was", func(ctx context.Context) error {
		token, err = login(ctx, s, password)
		return err
	})
	if _, err := callAPI(t.Context(), s, http.MethodGet, "/users/alice", token, nil); err != nil {
		t.Errorf("the data is not what it was: %v", err)
	}
}

// waitForEmbedded until a server with a database of its own volume is ready.
func waitForEmbedded(s *world.Scenario) {
	s.Helper()
	s.Eventually("the server's pod is ready", func(ctx context.Context) error { return podReady(ctx, s, "files-0") })
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error { return healthy(ctx, s) })
	waitForAnswers(s, "files")
}

// healthy is a server that Crossplane says is as it should be.
func healthy(ctx context.Context, s *world.Scenario) error {
	return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "Synced", "True"), s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True"))
}

func waitForOtherPod(s *world.Scenario, before standing) {
	s.Helper()
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
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error { return healthy(ctx, s) })
}

// waitForStorage to be not up to date, for a reason.
func waitForStorage(s *world.Scenario, reason string) (said condition) {
	s.Helper()
	s.Eventually("the server says "+reason, func(ctx context.Context) (err error) {
		said, err = storageCondition(ctx, s)
		if err == nil && (said.Status != "False" || said.Reason != reason) {
			err = fmt.Errorf("StorageUpToDate is %s, %s: %s", said.Status, said.Reason, said.Message)
		}
		return err
	})
	return said
}

// condition of a server, as far as people read it.
type condition struct{ Status, Reason, Message string }

func storageCondition(ctx context.Context, s *world.Scenario) (condition, error) {
	u, err := s.Find(ctx, world.DittoServer, "files")
	if err != nil {
		return condition{}, err
	}
	c := world.Condition(u, "StorageUpToDate")
	return condition{string(c.Status), c.Reason, c.Message}, nil
}

// waitForAnnotation of the API's Service: what is not about storage flows.
func waitForAnnotation(s *world.Scenario, want string) {
	s.Helper()
	s.Eventually("the Service follows the spec", func(ctx context.Context) error {
		u, err := s.Find(ctx, corev1.SchemeGroupVersion.WithKind("Service"), "files-api")
		if err == nil && u.GetAnnotations()["example.org/step"] != want {
			err = fmt.Errorf("it has the annotations %v, want %s", u.GetAnnotations(), want)
		}
		return err
	})
}

func wantSize(set *appsv1.StatefulSet, want string) error {
	for _, c := range set.Spec.VolumeClaimTemplates {
		if size := c.Spec.Resources.Requests[corev1.ResourceStorage]; c.Name == "metadata" && size.String() != want {
			return fmt.Errorf("volume %s has %s, want %s", c.Name, size.String(), want)
		}
	}
	return nil
}

func phaseIs(ctx context.Context, s *world.Scenario, want string) error {
	u, err := s.Find(ctx, world.DittoServer, "files")
	if err != nil {
		return err
	}
	if got, _, _ := unstructured.NestedString(u.Object, "status", "phase"); got != want {
		return fmt.Errorf("its phase is %q, want %s", got, want)
	}
	return nil
}

// kubectl runs a command that a person was told to run.
func kubectl(s *world.Scenario, command string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Plane.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %v: %s", command, err, out)
	}
	s.Step("$ %s: %s", command, strings.TrimSpace(string(out)))
}

// login as the administrator; it returns a token.
func login(ctx context.Context, s *world.Scenario, password string) (string, error) {
	answer, err := callAPI(ctx, s, http.MethodPost, "/auth/login", "", map[string]any{"username": "admin", "password": password})
	token, _ := answer["access_token"].(string)
	return token, err
}

// callAPI calls the server's API.
func callAPI(ctx context.Context, s *world.Scenario, method, path, token string, body map[string]any) (answer map[string]any, err error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://files-api."+s.Namespace+".svc:8080/api/v1"+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rsp, err := (&http.Client{Timeout: answerTimeout, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode < http.StatusOK || rsp.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s answers %s", method, path, rsp.Status)
	}
	err = json.NewDecoder(rsp.Body).Decode(&answer)
	return answer, err
}

// uidOf an object of the story.
func uidOf(s *world.Scenario, object client.Object, name string) types.UID {
	s.Helper()
	if err := s.Get(s.Context(), client.ObjectKey{Namespace: s.Namespace, Name: name}, object); err != nil {
		s.Fatal(err)
	}
	return object.GetUID()
}
