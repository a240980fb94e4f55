// Package main is a composition function that does nothing, served as
// function-sdk-go serves functions: what our own is measured against.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/crossplane/function-sdk-go"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"
)

// Function that wants nothing more than was wanted before.
type Function struct {
	fnv1.UnimplementedFunctionRunnerServiceServer
}

// RunFunction answers with the least that a function can answer.
func (*Function) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return response.To(req, response.DefaultTTL), nil
}

// The only argument is the address to serve at, without TLS.
func main() {
	err := function.Serve(&Function{}, function.Listen("tcp", os.Args[1]), function.Insecure(true), function.WithMetricsServer("127.0.0.1:0"))
	fmt.Fprintln(os.Stderr, "cannot serve:", err)
	os.Exit(1)
}
