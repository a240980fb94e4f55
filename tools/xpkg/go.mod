// The package builder. It lives in a module of its own so that the registry
// library stays out of the function's go.mod.
module github.com/dittofs/function-dittoserver/tools/xpkg

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/google/go-containerregistry v0.21.8
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/klauspost/compress v1.19.1 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	go.yaml.in/yaml/v2 v2.4.2 // indirect
)
