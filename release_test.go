package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const workflows = ".github/workflows"

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// TestActionsArePinned holds that every action of the workflows is pinned to a
// commit, with the release that it is of, and to one commit only.
func TestActionsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(workflows), "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`^([^@\s]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	commits := map[string]string{}
	for _, file := range files {
		text := readText(t, filepath.ToSlash(file))
		if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, uses := range regexp.MustCompile(`(?m)^[ -]*uses: (.+)$`).FindAllStringSubmatch(text, -1) {
			m := pinned.FindStringSubmatch(uses[1])
			if m == nil {
				t.Errorf("%s: %s is not pinned to a commit and its release", file, uses[1])

				continue
			}
			if before := commits[m[1]]; before != "" && before != m[2] {
				t.Errorf("%s: %s is pinned to %s, and elsewhere to %s", file, m[1], m[2], before)
			}
			commits[m[1]] = m[2]
		}
	}
}

// TestDependabot holds that what is pinned is also moved: every Go module, the
// actions and the Dockerfile.
func TestDependabot(t *testing.T) {
	var modules []string
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"_output", ".git"}, entry.Name()):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			modules = append(modules, strings.TrimSuffix("/"+name, "/go.mod"))
		}

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	modules[slices.Index(modules, "")] = "/"
	slices.Sort(modules)
	want := map[string][]string{"gomod": modules, "github-actions": {"/"}, "docker": {"/"}}

	var config struct {
		Updates []struct {
			Ecosystem   string   `json:"package-ecosystem"`
			Directory   string   `json:"directory"`
			Directories []string `json:"directories"`
		} `json:"updates"`
	}
	if err := yaml.Unmarshal([]byte(readText(t, ".github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, u := range config.Updates {
		folders := slices.DeleteFunc(append(u.Directories, u.Directory), func(s string) bool { return s == "" })
		slices.Sort(folders)
		got[u.Ecosystem] = folders
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dependabot.yml: -want, +got:\n%s", diff)
	}
}

// TestWorkflowsShell holds that a step fails if any part of a pipe does: GitHub's
// own choice of a shell ignores all but the last.
func TestWorkflowsShell(t *testing.T) {
	for _, name := range []string{"ci.yml", "release.yml"} {
		var workflow struct {
			Defaults struct {
				Run struct {
					Shell string `json:"shell"`
				} `json:"run"`
			} `json:"defaults"`
		}
		if err := yaml.Unmarshal([]byte(readText(t, workflows+"/"+name)), &workflow); err != nil {
			t.Fatal(err)
		}
		if got := workflow.Defaults.Run.Shell; got != "bash" {
			t.Errorf("%s: the shell is %q, want bash, which GitHub starts with pipefail", name, got)
		}
	}
}

// TestReleaseToolchain holds that people with Docker, CI and the release build
// with the same Go: the packages' digests depend on it.
func TestReleaseToolchain(t *testing.T) {
	version := regexp.MustCompile(`(?m)^ {2}GO_VERSION: (\S+)$`)
	release := version.FindStringSubmatch(readText(t, workflows+"/release.yml"))
	if ci := version.FindStringSubmatch(readText(t, workflows+"/ci.yml")); release == nil || ci == nil || ci[1] != release[1] {
		t.Errorf("ci.yml and release.yml name other versions of Go: %q, %q", ci, release)
	}
	docker := regexp.MustCompile(`(?m)^FROM \S+ golang:([0-9.]+)-\S+ AS build$`).FindStringSubmatch(readText(t, "Dockerfile"))
	if release == nil || docker == nil || release[1] != docker[1] {
		t.Errorf("release.yml and the Dockerfile name other versions of Go: %q, %q", release, docker)
	}
}
