package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
	"github.com/marmos91/dittofs/cmd/dfsctl/commands"
)

// A Checker holds commands and manifests to what they are for.
type Checker struct {
	root  string
	kinds *kinds
}

// NewChecker of the repository whose root is that folder.
func NewChecker(root string) (*Checker, error) {
	k, err := newKinds(root)
	if err != nil {
		return nil, err
	}

	return &Checker{root: root, kinds: k}, nil
}

// Script checks a script: its syntax, and each of its commands.
func (c *Checker) Script(script string) error {
	commands, err := Commands(script)
	if err != nil {
		return err
	}

	var found []error
	for _, command := range commands {
		if err := c.command(command); err != nil {
			found = append(found, fmt.Errorf("%s: %w", command, err))
		}
	}

	return errors.Join(found...)
}

// Line checks a command that prose speaks of. <words> in it are to be replaced
// by the reader.
func (c *Checker) Line(text string) error {
	return c.Script(regexp.MustCompile(`<[a-z][a-z -]*>`).ReplaceAllString(text, "placeholder"))
}

// command checks one command. A program that is not known here is refused: it
// is misspelt, or should be looked at.
func (c *Checker) command(command Command) error {
	if _, err := os.Stat(filepath.Join(c.root, command.Folder)); err != nil {
		return err
	}

	args := command.Words[1:]
	switch program := command.Words[0]; program {
	case "kubectl":
		return c.kubectl(command)
	case "dfsctl":
		return cobraCommand(commands.GetRootCmd(), args)
	case "make":
		return c.make(args)
	case "go":
		return c.goCommand(command)
	case "crossplane", "velero", "git", "cosign":
		return tabled(program, args)
	case "jq":
		return filter(args)
	case "cd", "base64", "mount", "cat":
		// Nothing of these is this repository's.
		return nil
	default:
		if !strings.Contains(program, "/") {
			return fmt.Errorf("%s is no program that the documents may speak of", program)
		}
		info, err := os.Stat(filepath.Join(c.root, command.Folder, program))
		if err != nil {
			return err
		}
		if info.Mode()&0o100 == 0 {
			return fmt.Errorf("%s cannot be run", program)
		}

		return nil
	}
}

// filter checks the syntax of jq's filter, the first argument that is no option.
func filter(args []string) error {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			_, err := gojq.Parse(a)

			return err
		}
	}

	return errors.New("jq does nothing without a filter")
}

// tables of programs that no Go package parses: the commands that the documents
// may speak of, with the flags that they use.
//
// Sources: crossplane v2.2.0 cmd/crank for beta trace and render, and Crossplane's
// documentation of the CLI 2.3 for their later names; velero v1.17
// pkg/cmd/cli/restore; cosign v2 and git's own help.
//
//nolint:gochecknoglobals // Read only.
var tables = map[string]map[string][]string{
	"crossplane": {
		"beta trace":         {"namespace"},
		"composition render": {"xrd", "observed-resources", "required-resources", "crossplane-binary"},
		"render":             {},
		"resource trace":     {"namespace"},
	},
	"velero": {"restore create": {"from-backup", "include-resources", "wait"}},
	"git":    {"clone": {}},
	"cosign": {"copy": {}, "verify": {"certificate-identity", "certificate-oidc-issuer"}},
}

// tabled checks a command against the table.
func tabled(program string, args []string) error {
	var words, flags []string
	for _, a := range args {
		name, isFlag := strings.CutPrefix(a, "--")
		switch {
		case isFlag:
			name, _, _ = strings.Cut(name, "=")
			flags = append(flags, name)
		case !strings.HasPrefix(a, "-"):
			words = append(words, a)
		}
	}
	for n := min(2, len(words)); n > 0; n-- {
		known, ok := tables[program][strings.Join(words[:n], " ")]
		if !ok {
			continue
		}
		for _, f := range flags {
			if !slices.Contains(known, f) {
				return fmt.Errorf("%s %s has no flag --%s", program, strings.Join(words[:n], " "), f)
			}
		}

		return nil
	}

	return fmt.Errorf("%s has no command %s", program, strings.Join(words, " "))
}

// make checks that the Makefile has the targets and the variables.
func (c *Checker) make(args []string) error {
	makefile, err := os.ReadFile(filepath.Join(c.root, "Makefile"))
	if err != nil {
		return err
	}
	for _, a := range args {
		name, value, isVariable := strings.Cut(a, "=")
		if !isVariable {
			if !has(makefile, `(?m)^%s:`, a) {
				return fmt.Errorf("the Makefile has no target %s", a)
			}

			continue
		}
		if !has(makefile, `(?m)^%s +\?=`, name) {
			return fmt.Errorf("the Makefile has no variable %s", name)
		}
		if name == "EXAMPLE" && value != "--all" {
			if _, err := os.Stat(filepath.Join(c.root, "example", value)); err != nil {
				return err
			}
		}
	}

	return nil
}

func has(text []byte, pattern, name string) bool {
	return regexp.MustCompile(fmt.Sprintf(pattern, regexp.QuoteMeta(name))).Match(text)
}

// goCommand checks that there is the package that a go command names, and that
// the program of go run, or the tests of go test, have its flags.
func (c *Checker) goCommand(command Command) error {
	folder := filepath.Join(c.root, command.Folder)
	args := command.Words[1:]
	if len(args) > 1 && args[0] == "-C" {
		folder, args = filepath.Join(folder, args[1]), args[2:]
	}
	if len(args) == 0 {
		return errors.New("go does nothing without a command")
	}

	verb := args[0]
	pkg, flags := arguments(args[1:])
	switch verb {
	case "run", "test", "build", "vet", "generate":
	case "tool":
		return nil
	default:
		return fmt.Errorf("go %s is no command that the documents may speak of", verb)
	}

	dir := filepath.Join(folder, strings.TrimSuffix(pkg, "/..."))
	if sources, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil || (len(sources) == 0 && !strings.HasSuffix(pkg, "...")) {
		return fmt.Errorf("there is no package %s: %w", pkg, err)
	}
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if len(flags) == 0 {
		return nil
	}
	if verb == "run" {
		return programFlags(folder, pkg, flags)
	}

	return testFlags(dir, flags)
}

// arguments of a go command are a package and flags, without their values.
func arguments(args []string) (pkg string, flags []string) {
	for _, a := range args {
		name, isFlag := strings.CutPrefix(a, "-")
		switch {
		case isFlag:
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
			flags = append(flags, name)
		case pkg == "" && strings.HasPrefix(a, "."):
			pkg = a
		}
	}

	return pkg, flags
}

// programFlags checks that a program's help knows the flags.
func programFlags(folder, pkg string, flags []string) error {
	run := exec.CommandContext(context.Background(), "go", "run", pkg, "--help") //nolint:gosec // A package of this repository.
	run.Dir = folder
	help, err := run.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go run %s --help: %w: %s", pkg, err, help)
	}
	for _, f := range flags {
		if !has(help, `(?m)(^|[ ,])--?%s\b`, f) {
			return fmt.Errorf("%s has no flag %s", pkg, f)
		}
	}

	return nil
}

// testFlags checks that go test or the tests of a folder know the flags.
func testFlags(dir string, flags []string) error {
	tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	var source bytes.Buffer
	for _, name := range tests {
		text, err := os.ReadFile(name) //nolint:gosec // A test of this repository.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		source.Write(text)
	}
	for _, f := range flags {
		if slices.Contains([]string{"run", "v", "count", "bench", "benchtime", "benchmem", "cpuprofile", "memprofile", "fuzz", "fuzztime", "race", "short", "timeout", "args"}, f) {
			continue
		}
		if !has(source.Bytes(), `flag\.\w+\("%s"`, f) {
			return fmt.Errorf("the tests have no flag %s", f)
		}
	}

	return nil
}
