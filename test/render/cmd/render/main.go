// Command render renders examples with Crossplane's own engine and prints, for
// each stage, what Crossplane would do and what a user would see. It needs Go
// and nothing else: no cluster, no container, no Crossplane CLI.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dittofs/function-dittoserver/test/render/engine"
	"github.com/dittofs/function-dittoserver/test/render/example"
	"github.com/dittofs/function-dittoserver/test/render/function"
	"github.com/dittofs/function-dittoserver/test/render/report"
	"github.com/dittofs/function-dittoserver/test/render/toolchain"
)

// defaultExample is rendered if none is named.
const defaultExample = "percona"

const usage = `Render examples with Crossplane's own engine.

Usage: go run ./cmd/render [flags] [example ...]

Without an example it renders %s.

`

// options of the command line.
type options struct {
	all, yaml, build bool
	address          string
	examples         []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, parse()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1) //nolint:gocritic // Nothing is left to be stopped.
	}
}

func parse() options {
	o := options{}
	flag.BoolVar(&o.all, "all", false, "render all examples")
	flag.BoolVar(&o.yaml, "yaml", false, "print what is rendered as YAML, generated values masked")
	flag.BoolVar(&o.build, "build", false, "only build what rendering and its tests need, so that they start at once")
	flag.StringVar(&o.address, "address", "", "`host:port` of a function that runs already with --insecure; unset, the function is built and started")
	flag.Usage = func() {
		_, _ = fmt.Fprintf(flag.CommandLine.Output(), usage, defaultExample)
		flag.PrintDefaults()
	}
	flag.Parse()
	o.examples = flag.Args()
	if len(o.examples) == 0 {
		o.examples = []string{defaultExample}
	}
	return o
}

func run(ctx context.Context, o options) (err error) {
	root, err := toolchain.Root(ctx)
	if err != nil {
		return err
	}
	examples, err := load(filepath.Join(root, "example"), o)
	if err != nil {
		return err
	}

	progress := toolchain.NewProgress(os.Stderr, isTerminal(os.Stderr))
	tool := toolchain.Crossplane(root)
	crossplane, err := tool.Build(ctx, progress)
	if err != nil {
		return err
	}
	if o.build {
		_, err := toolchain.Crank(root).Build(ctx, progress)
		return err
	}
	if o.address == "" {
		binary, err := toolchain.Function(ctx, root, progress)
		if err != nil {
			return err
		}
		process, err := function.Start(ctx, binary)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, process.Stop()) }()
		o.address = process.Address
	}

	version, err := tool.Version(ctx)
	if err != nil {
		return err
	}
	r := report.New(os.Stdout, isTerminal(os.Stdout), tool.Title+" "+version)
	for i, e := range examples {
		steps, err := e.Render(ctx, engine.Engine{Binary: crossplane}, o.address, false)
		if err != nil {
			return fmt.Errorf("example %s: %w", e.Name, err)
		}
		if i > 0 {
			_, _ = fmt.Fprintln(os.Stdout)
		}
		if o.yaml {
			if err := printYAML(steps); err != nil {
				return err
			}
			continue
		}
		if err := r.Example(e, steps); err != nil {
			return err
		}
	}
	return nil
}

func load(dir string, o options) ([]*example.Example, error) {
	known, err := example.Names(dir)
	if err != nil {
		return nil, err
	}
	if o.all {
		o.examples = known
	}
	var examples []*example.Example
	for _, name := range o.examples {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no example %q, only %s", name, strings.Join(known, ", "))
		}
		e, err := example.Load(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		examples = append(examples, e)
	}
	return examples, nil
}

func printYAML(steps []example.Step) error {
	mask := example.NewMask()
	for _, s := range steps {
		out, err := s.Expected(mask)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(os.Stdout, "# Stage %s\n%s", s.Stage.Name, out)
	}
	return nil
}

// isTerminal tells whether a person reads along who can see colours.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}
