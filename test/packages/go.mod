// The tests of what make build builds. They live in a module of their own so
// that the registry library stays out of the function's go.mod.
module github.com/dittofs/function-dittoserver/test/packages

go 1.26.0

replace (
	github.com/dittofs/function-dittoserver/test/render => ../render
	github.com/dittofs/function-dittoserver/tools/xpkg => ../../tools/xpkg
)

require (
	github.com/crossplane/function-sdk-go v0.7.1
	github.com/dittofs/function-dittoserver/test/render v0.0.0
	github.com/dittofs/function-dittoserver/tools/xpkg v0.0.0
	github.com/google/go-cmp v0.7.0
	github.com/google/go-containerregistry v0.22.1
	google.golang.org/grpc v1.85.0
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/docker/cli v29.7.2+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.6 // indirect
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/sirupsen/logrus v1.9.4 // indirect
	go.yaml.in/yaml/v2 v2.4.4 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
