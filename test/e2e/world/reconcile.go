package world

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
)

// What Crossplane's log says of an XR, with --debug.
const (
	logRequested = "Processing reconcile request"
	logApplied   = "Watching kinds this controller's composite resources depend on"
	logComposed  = "Successfully composed resources"
	logRefused   = "cannot compose resources"
	logConflict  = "the object has been modified"
)

// AnnotationReconcile of an XR asks Crossplane to reconcile it. Its value is a
// token that the log repeats.
const AnnotationReconcile = "crossplane.io/reconcile-requested-at"

// Reconciles that Crossplane made of an XR.
type Reconciles struct {
	// Composed to their end; Conflicts with somebody who wrote at the same
	// time, which are tried again; and Failed for another reason, of which Last
	// is what the log says.
	Composed, Conflicts, Failed int
	Last                        string
}

// Reconciles of a DittoServer so far.
func (s *Scenario) Reconciles(name string) (Reconciles, error) {
	return s.reconcilesSince(s.Namespace, name, "")
}

// Reconcile a DittoServer, and wait until Crossplane is through with that,
// successfully or not. Conflicts on the way are not the end.
func (s *Scenario) Reconcile(name string) Reconciles {
	s.Helper()
	return s.reconcile(DittoServer, s.Namespace, name)
}

// ReconcileComposite does the same for the XDittoServer behind a claim.
func (s *Scenario) ReconcileComposite(name string) Reconciles {
	s.Helper()
	return s.reconcile(DittoServer.GroupVersion().WithKind("XDittoServer"), "", name)
}

func (s *Scenario) reconcile(gvk schema.GroupVersionKind, namespace, name string) Reconciles {
	s.Helper()
	token := string(uuid.NewUUID())
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, AnnotationReconcile, token)
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	u.SetNamespace(namespace)
	u.SetName(name)
	if err := s.Patch(s.Context(), u, client.RawPatch(types.MergePatchType, patch)); err != nil {
		s.Fatal(err)
	}
	var after Reconciles
	err := cluster.Poll(s.Context(), Timeout, eventuallyPoll, func(context.Context) (bool, error) {
		var err error
		if after, err = s.reconcilesSince(namespace, name, token); err != nil {
			return true, err
		}
		return after.Composed+after.Failed > 0, fmt.Errorf("nothing but %d conflicts", after.Conflicts)
	})
	if after.Composed+after.Failed == 0 {
		s.Fatalf("Crossplane does not reconcile %s: %v", name, err)
	}
	return after
}

// reconcilesSince a request to reconcile; an empty token means all.
func (s *Scenario) reconcilesSince(namespace, name, token string) (Reconciles, error) {
	var r Reconciles
	lines, err := s.journal.of(namespace, name)
	if err != nil {
		return r, err
	}
	begun := token == ""
	for _, line := range lines {
		switch {
		case !begun:
			begun = strings.Contains(line, logRequested) && strings.Contains(line, token)
		case strings.Contains(line, logComposed):
			r.Composed++
		case strings.Contains(line, logRefused) && strings.Contains(line, logConflict):
			r.Conflicts++
		case strings.Contains(line, logRefused):
			r.Failed++
			_, r.Last, _ = strings.Cut(strings.TrimSpace(line), `"error": `)
		}
	}
	return r, nil
}

// Answered tells whether Crossplane is through with an XR as it was when a token
// was written into it: all is applied, or it never will be.
func (s *Scenario) Answered(name, token string) (bool, error) {
	lines, err := s.journal.of(s.Namespace, name)
	if err != nil {
		return false, err
	}
	begun := false
	for _, line := range lines {
		switch {
		case !begun:
			begun = strings.Contains(line, logRequested) && strings.Contains(line, token)
		case strings.Contains(line, logApplied), strings.Contains(line, logRefused) && !strings.Contains(line, logConflict):
			return true, nil
		}
	}
	return false, nil
}

// A journal is what Crossplane's log says of reconciles, by XR. The log is read
// once: stories that ask all the time would read hundreds of megabytes else.
type journal struct {
	path string

	mu     sync.Mutex
	offset int64
	lines  map[string][]string
}

// ofXR is how a line names the XR that it is about.
var ofXR = regexp.MustCompile(`"request": \{"name":"([^"]*)"(?:,"namespace":"([^"]*)")?\}`)

// of an XR are these lines so far.
func (j *journal) of(namespace, name string) ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.read(); err != nil {
		return nil, fmt.Errorf("cannot read Crossplane's log: %w", err)
	}
	return slices.Clip(j.lines[namespace+"/"+name]), nil
}

// read what was written since, up to the last line that is whole.
func (j *journal) read() error {
	log, err := os.Open(j.path)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := log.Seek(j.offset, io.SeekStart); err != nil {
		return err
	}
	for r := bufio.NewReader(log); ; {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j.offset += int64(len(line))
		if !slices.ContainsFunc([]string{logRequested, logApplied, logComposed, logRefused}, func(said string) bool { return strings.Contains(line, said) }) {
			continue
		}
		if xr := ofXR.FindStringSubmatch(line); xr != nil {
			key := xr[2] + "/" + xr[1]
			j.lines[key] = append(j.lines[key], line)
		}
	}
}
