package v1alpha1

import "k8s.io/apimachinery/pkg/runtime/schema"

// GroupVersion of the DittoServer API.
var GroupVersion = schema.GroupVersion{Group: "dittofs.io", Version: "v1alpha1"} //nolint:gochecknoglobals // A constant in all but syntax, as every API package has it.
