// Package v1alpha1 is the API of a DittoServer: what a person asks for, and
// what they are told about it. The composite resource definitions in
// configuration/ are generated from these types.
//
// +kubebuilder:object:generate=true
// +groupName=dittofs.io
// +versionName=v1alpha1
package v1alpha1
