package serve

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/internal/logged"
)

// A recoverer turns a panic of the wrapped function into a Fatal result of that
// one response (R21). Fatal makes Crossplane apply and delete nothing.
type recoverer struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	wrapped fnv1.FunctionRunnerServiceServer
	log     logging.Logger
}

// RunFunction calls the wrapped function.
func (r *recoverer) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (rsp *fnv1.RunFunctionResponse, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}

		r.log.Info("Recovered from a panic", append(logged.Values(req), "panic", describe(p), "stack", string(debug.Stack()))...)
		rsp, err = response.To(req, response.DefaultTTL), nil
		response.Fatal(rsp, errors.Errorf("internal error, nothing was changed; the function's log has the details: %s", describe(p)))
	}()
	return r.wrapped.RunFunction(ctx, req)
}

// describe says what a panic was about without repeating what may have come
// from a request (R19): an error of the Go runtime names types and indexes only,
// of any other value only the type is told.
func describe(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("panic with a value of type %T", p)
}
