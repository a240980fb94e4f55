package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/dittofs/function-dittoserver/test/e2e/postgres"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
	"github.com/dittofs/function-dittoserver/test/e2e/toolchain"
	render "github.com/dittofs/function-dittoserver/test/render/toolchain"
)

const (
	// programsVariable hands over what was built outside.
	programsVariable = "FUNCTION_DITTOSERVER_E2E_PROGRAMS"

	// OutVariable names the folder for what is left to be read.
	OutVariable = "FUNCTION_DITTOSERVER_E2E_OUT"

	exitFailure = 1
)

// Main of a program that has a world: outside the sandbox it builds what the
// world is made of and runs this program again inside; there it starts the
// world and calls run. It returns the exit code.
func Main(ctx context.Context, run func(context.Context, *World) int) int {
	code, err := enter(ctx, run)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "e2e:", err)
		return exitFailure
	}
	return code
}

func enter(ctx context.Context, run func(context.Context, *World) int) (int, error) {
	if _, inside := sandbox.Inside(); !inside {
		programs, err := Prepare(ctx)
		if err != nil {
			return exitFailure, err
		}
		encoded, err := json.Marshal(programs) //nolint:musttag // Read by this very program.
		if err != nil {
			return exitFailure, err
		}
		return sandbox.Run(ctx, "127.0.0.1:0", programsVariable+"="+string(encoded))
	}

	var programs toolchain.Programs
	if err := json.Unmarshal([]byte(os.Getenv(programsVariable)), &programs); err != nil { //nolint:musttag // Written by this very program.
		return exitFailure, fmt.Errorf("cannot read what was built: %w", err)
	}
	log.SetLogger(logr.Discard()) // What controller-runtime has to say comes back as errors.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w, err := Start(ctx, &programs, Out(programs.Root))
	if err != nil {
		return exitFailure, fmt.Errorf("cannot start the world: %w", err)
	}
	return run(ctx, w), nil
}

// Out is the folder for what is left to be read: $FUNCTION_DITTOSERVER_E2E_OUT,
// else one of the checkout. Runs at the same time need one each.
func Out(root string) string {
	if dir := os.Getenv(OutVariable); dir != "" {
		return dir
	}
	return filepath.Join(root, "_output", "e2e")
}

// Prepare builds, or installs, what is missing.
func Prepare(ctx context.Context) (*toolchain.Programs, error) {
	info, err := os.Stderr.Stat()
	programs, err := toolchain.Build(ctx, render.NewProgress(os.Stderr, err == nil && info.Mode()&os.ModeCharDevice != 0))
	if err != nil {
		return nil, err
	}
	return programs, install(ctx)
}

// install the machine's PostgreSQL.
func install(ctx context.Context) error {
	if _, ok := postgres.Installed(); ok {
		return nil
	}
	_, _ = fmt.Fprintln(os.Stderr, "Installing PostgreSQL from the distribution.")
	cmd := exec.CommandContext(ctx, "sh", "-c", "apt-get update && apt-get install --yes --no-install-recommends postgresql postgresql-client")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if _, ok := postgres.Installed(); !ok {
		return fmt.Errorf("PostgreSQL is missing and cannot be installed: %w", errors.Join(err, errors.New(string(out))))
	}
	return nil
}
