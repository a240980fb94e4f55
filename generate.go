package main

// controller-gen is pinned in tools/go.mod.
//
// Deepcopy functions of the API types.
//go:generate go tool -modfile=tools/go.mod controller-gen object paths=./apis/... paths=./input/...
//
// The CRD of the function's Input, which the function package carries.
//go:generate go tool -modfile=tools/go.mod controller-gen crd paths=./input/v1beta1 output:crd:dir=./package/input
//
// The composite resource definitions, from the same schema generator.
//go:generate go run -C tools ./xrdgen -root ..
//
// The reference of the API, from these schemas and the Go types.
//go:generate go run -C tools ./apidoc -root ..
