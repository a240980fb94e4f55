// Package engine renders a composite resource with Crossplane's own
// reconciler, "crossplane internal render": what a cluster would do, without
// a cluster. The CLI's "crossplane composition render" runs the same.
package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	renderv1alpha1 "github.com/crossplane/crossplane/v2/proto/render/v1alpha1"
)

// AnnotationResourceName holds the name that a function gave a composed object.
const AnnotationResourceName = "crossplane.io/composition-resource-name"

// exitCodeFatal is how the engine says that a function returned a fatal result
// (crossplane v2.4.0 cmd/crossplane/render/render.go, ExitCodePipelineFatal).
const exitCodeFatal = 3

// An Engine is a Crossplane core binary, v2.3 or newer.
type Engine struct {
	Binary string
}

// Input of one reconcile. Its first three objects are required.
type Input struct {
	CompositeResource unstructured.Unstructured
	Composition       unstructured.Unstructured

	// Definition is the XRD. It tells the engine whether the composite
	// resource is one that has claims.
	Definition unstructured.Unstructured

	// Observed are the composed objects that exist. They carry
	// AnnotationResourceName.
	Observed []unstructured.Unstructured

	// Required are objects that a function may ask for.
	Required []unstructured.Unstructured

	// Functions maps a Function's name to the host:port where it listens
	// without TLS.
	Functions map[string]string
}

// Output of one reconcile.
type Output struct {
	CompositeResource unstructured.Unstructured

	// Composed are the objects that would be applied, sorted by resource name.
	Composed []unstructured.Unstructured

	// Deleted are the objects that would be deleted.
	Deleted []unstructured.Unstructured

	// Events that would be emitted, sorted.
	Events []Event

	// Fatal is the error of a pipeline that a function stopped. The rest of
	// the output is what was known until then.
	Fatal string
}

// An Event that would be emitted for the composite resource.
type Event struct {
	Type, Reason, Message string
}

// Render one reconcile. A fatal result of a function is no error, see
// Output.Fatal.
func (e Engine) Render(ctx context.Context, in Input) (Output, error) {
	req, err := request(in)
	if err != nil {
		return Output{}, err
	}
	body, err := proto.Marshal(req)
	if err != nil {
		return Output{}, fmt.Errorf("cannot marshal the render request: %w", err)
	}

	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, e.Binary, "internal", "render") //nolint:gosec // The binary is one that we built.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), &stdout, &stderr
	runErr := cmd.Run()
	said := strings.TrimSpace(stderr.String())
	if runErr != nil && !isFatalResult(runErr) {
		return Output{}, fmt.Errorf("cannot run %s internal render: %w: %s", e.Binary, runErr, said)
	}

	rsp := &renderv1alpha1.RenderResponse{}
	if err := proto.Unmarshal(stdout.Bytes(), rsp); err != nil {
		return Output{}, fmt.Errorf("cannot unmarshal the render response: %w", err)
	}
	out := output(rsp.GetComposite())
	if runErr != nil {
		out.Fatal = said
	}
	return out, nil
}

func isFatalResult(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == exitCodeFatal
}

func request(in Input) (*renderv1alpha1.RenderRequest, error) {
	out := &renderv1alpha1.CompositeInput{}
	for name, address := range in.Functions {
		out.Functions = append(out.Functions, &renderv1alpha1.FunctionInput{Name: name, Address: address})
	}

	singles, err := toStructs([]unstructured.Unstructured{in.CompositeResource, in.Composition, in.Definition})
	if err != nil {
		return nil, err
	}
	out.CompositeResource, out.Composition, out.CompositeResourceDefinition = singles[0], singles[1], singles[2]
	if out.ObservedResources, err = toStructs(in.Observed); err != nil {
		return nil, err
	}
	if out.RequiredResources, err = toStructs(in.Required); err != nil {
		return nil, err
	}
	return &renderv1alpha1.RenderRequest{Input: &renderv1alpha1.RenderRequest_Composite{Composite: out}}, nil
}

// output of the engine, sorted: the engine applies in random order.
func output(in *renderv1alpha1.CompositeOutput) Output {
	out := Output{
		CompositeResource: unstructured.Unstructured{Object: in.GetCompositeResource().AsMap()},
		Composed:          fromStructs(in.GetComposedResources()),
		Deleted:           fromStructs(in.GetDeletedResources()),
	}
	for _, e := range in.GetEvents() {
		out.Events = append(out.Events, Event{Type: e.GetType(), Reason: e.GetReason(), Message: e.GetMessage()})
	}

	byName := func(a, b unstructured.Unstructured) int { return cmp.Compare(ResourceName(a), ResourceName(b)) }
	slices.SortFunc(out.Composed, byName)
	slices.SortFunc(out.Deleted, byName)
	slices.SortFunc(out.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
	return out
}

// ResourceName that the function gave a composed object, its identity for
// Crossplane.
func ResourceName(o unstructured.Unstructured) string {
	return o.GetAnnotations()[AnnotationResourceName]
}

func toStructs(in []unstructured.Unstructured) ([]*structpb.Struct, error) {
	out := make([]*structpb.Struct, 0, len(in))
	for _, o := range in {
		s, err := structpb.NewStruct(o.Object)
		if err != nil {
			return nil, fmt.Errorf("cannot convert %s %q: %w", o.GetKind(), o.GetName(), err)
		}
		out = append(out, s)
	}
	return out, nil
}

func fromStructs(in []*structpb.Struct) []unstructured.Unstructured {
	out := make([]unstructured.Unstructured, 0, len(in))
	for _, s := range in {
		out = append(out, unstructured.Unstructured{Object: s.AsMap()})
	}
	return out
}
