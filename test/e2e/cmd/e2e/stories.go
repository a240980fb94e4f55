package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/toolchain"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const (
	// timeout of one world's stories.
	timeout = "45m"

	// beside is how many stories happen at the same time, of those that can.
	// They wait more than they work.
	beside = "6"

	// stagger is how long after one world the next one begins: to start takes
	// all of a small machine.
	stagger = 20 * time.Second

	// stopTimeout is how long a world may take to end.
	stopTimeout = 30 * time.Second

	exitFailure = 1
)

// A share of the stories has a world of its own.
type share struct {
	// name of the world, and of the folder for what its stories leave.
	name string

	// stories by their names; those that nobody names are the share's without.
	stories []string
}

// shares of all stories. Those that take something away from everyone happen
// one after the other, as do those that measure; the others happen together.
// The Percona operator has one worker: Failover keeps it busy, and
// DeleteWithServer and Rotation wait until it rests, so they are not among them.
func shares() []share {
	return []share{
		{name: "together"},
		{name: "crashes", stories: []string{"Claim", "FunctionCrash", "CrossplaneCrash", "APIServerCrash", "Failover"}},
		{name: "missing", stories: []string{"PermissionsLater", "PermissionMissing", "PerconaLater", "PerconaCrash", "PrometheusLater"}},
		{name: "fleet", stories: []string{"Fleet"}},
		{name: "steady", stories: []string{"DeleteWithServer", "Rotation", "Steady"}},
	}
}

// stories run in a world for each share at the same time, or in one world if
// the flags name some of them. It returns the exit code.
func stories(ctx context.Context, flags []string) int {
	root, err := toolchain.Root(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "e2e:", err)
		return exitFailure
	}
	some := func(flag string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		return slices.Contains([]string{"run", "skip", "list", "test.run", "test.skip", "test.list"}, name)
	}
	if slices.ContainsFunc(flags, some) {
		return result(share{name: "one"}, goTest(ctx, world.Out(root), flags))
	}

	var named []string
	for _, s := range shares() {
		named = append(named, s.stories...)
	}
	var all sync.WaitGroup
	failed := make([]int, len(shares()))
	for i, s := range shares() {
		choice := "-run=" + pattern(s.stories)
		if len(s.stories) == 0 {
			choice = "-skip=" + pattern(named)
		}
		all.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(i) * stagger):
			}
			failed[i] = result(s, goTest(ctx, filepath.Join(world.Out(root), s.name), append([]string{choice}, flags...)))
		})
	}
	all.Wait()
	return slices.Max(failed)
}

// pattern that matches the tests of these names, and no others.
func pattern(names []string) string {
	return "^Test(" + strings.Join(names, "|") + ")$"
}

// result of a share, told to the person who waits; it returns the exit code.
func result(s share, err error) int {
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "e2e: stories of world %s: %v\n", s.name, err)
		return exitFailure
	}
	return 0
}

// goTest runs stories in a world of their own. What they leave goes to a folder.
// It ends with the context, in an orderly way.
func goTest(ctx context.Context, out string, flags []string) error {
	args := append([]string{"test", "-count=1", "-timeout=" + timeout, "-parallel=" + beside}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...) //nolint:gosec // The stories of this module.
	cmd.Env = append(os.Environ(), world.OutVariable+"="+out)
	// A group of its own: the tests are a child of the go command.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var copied sync.WaitGroup
	copied.Go(func() { copyLines(r) })
	err := errors.Join(cmd.Run(), w.Close())
	copied.Wait()
	return err
}

// copyLines to standard output, each as a whole: worlds share it.
func copyLines(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = os.Stdout.Write(line)
		if err != nil {
			return
		}
	}
}
