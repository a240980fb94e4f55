// Package logged says which request a line of the log is about.
package logged

import (
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// Values are keys and values for a structured logger: the composite resource's
// name, its namespace, which is empty if it has none, and its kind; the
// Composition whose pipeline called; and Crossplane's tag of the request. The
// name of the pipeline's step is in no request
// (crossplane v2.4.0 proto/fn/v1/run_function.proto).
func Values(req *fnv1.RunFunctionRequest) []any {
	xr := req.GetObserved().GetComposite().GetResource().GetFields()
	meta := xr["metadata"].GetStructValue().GetFields()
	spec := xr["spec"].GetStructValue().GetFields()
	if machinery := spec["crossplane"].GetStructValue().GetFields(); machinery != nil {
		spec = machinery // A legacy XR, with a claim, has it in the spec itself.
	}

	return []any{
		"xr", meta["name"].GetStringValue(),
		"namespace", meta["namespace"].GetStringValue(),
		"kind", xr["kind"].GetStringValue(),
		"composition", spec["compositionRef"].GetStructValue().GetFields()["name"].GetStringValue(),
		"tag", req.GetMeta().GetTag(),
	}
}
