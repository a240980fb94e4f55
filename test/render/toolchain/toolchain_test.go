package toolchain

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCacheDir(t *testing.T) {
	cases := map[string]struct {
		reason string
		env    map[string]string
		want   string
	}{
		"Own":  {reason: "The project's own variable wins.", env: map[string]string{"FUNCTION_DITTOSERVER_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, want: "/a"},
		"XDG":  {reason: "Then the desktop's.", env: map[string]string{"XDG_CACHE_HOME": "/b", "HOME": "/c"}, want: "/b/function-dittoserver"},
		"Home": {reason: "Then the home folder.", env: map[string]string{"HOME": "/c"}, want: "/c/.cache/function-dittoserver"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{"FUNCTION_DITTOSERVER_CACHE", "XDG_CACHE_HOME", "HOME"} {
				t.Setenv(k, tc.env[k])
			}
			got, err := CacheDir()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%s\nCacheDir (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// tool of a module made for the test, that says what is given.
func tool(t *testing.T, source string) Tool {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module example.org/hello\n\ngo 1.26\n", "go.sum": "", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Tool{Name: "hello", Title: "Hello", Dir: dir, Module: "example.org/hello", Package: "example.org/hello"}
}

func TestBuild(t *testing.T) {
	t.Setenv("FUNCTION_DITTOSERVER_CACHE", t.TempDir())
	hello := tool(t, "package main\n\nfunc main() { println(\"hello\") }\n")
	var said bytes.Buffer
	progress := NewProgress(&said, false)

	first, err := hello.Build(t.Context(), progress)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), first).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the built program says %q, %v", out, err)
	}

	if want := "is built from its Go module"; !strings.Contains(said.String(), want) {
		t.Errorf("building says %q, want %q in it", said.String(), want)
	}

	// What is in the cache is not built again: not even if it could not be.
	said.Reset()
	if err := os.Remove(filepath.Join(hello.Dir, "main.go")); err != nil {
		t.Fatal(err)
	}
	second, err := hello.Build(t.Context(), progress)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Errorf("the same pins give another program (-first +second):\n%s", d)
	}
	if said.Len() > 0 {
		t.Errorf("finding a program in the cache says %q, want nothing", said.String())
	}

	// With other pins it is another program.
	if err := os.WriteFile(filepath.Join(hello.Dir, "go.sum"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := hello.Build(t.Context(), progress); err == nil {
		t.Errorf("other pins give %s, want an attempt to build, which fails", path)
	}
}

func TestBuildFails(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("FUNCTION_DITTOSERVER_CACHE", cache)
	_, err := tool(t, "package main\n\nfunc main() { undefinedName() }\n").Build(t.Context(), NewProgress(&bytes.Buffer{}, false))
	if err == nil || !strings.Contains(err.Error(), "undefinedName") {
		t.Errorf("Build: error %v, want the compiler's words", err)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) > 0 {
		t.Errorf("a failed build leaves %v, %v in the cache", left, err)
	}
}

// writerFunc is a writer that is a function.
type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

func TestProgress(t *testing.T) {
	cases := map[string]struct {
		reason   string
		quietFor time.Duration
		terminal bool
		want     string
	}{
		"Quick": {
			reason:   "A quick step is not mentioned.",
			quietFor: time.Hour,
			want:     `^$`,
		},
		"Slow": {
			reason: "A slow step says what it does, how far it is and since when, and that it is done.",
			want:   `^building x: \d of at most 9 packages, \d+s\nbuilding x: 2 of at most 9 packages, done, \d+s\n$`,
		},
		"Terminal": {
			reason:   "On a terminal the line is rewritten.",
			terminal: true,
			want:     `^(\r\x1b\[Kbuilding x: \d of at most 9 packages, \d+s)+\r\x1b\[Kbuilding x: 2 of at most 9 packages, done, \d+s\n$`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// A slow step is not done before it is mentioned.
			var out bytes.Buffer
			stdin, mentioned := io.Pipe()
			first := writerFunc(func(b []byte) (int, error) {
				_ = mentioned.Close()
				return out.Write(b)
			})
			if tc.want == `^$` {
				_ = mentioned.Close()
			}
			defer time.AfterFunc(time.Minute, func() { _ = mentioned.Close() }).Stop()
			p := NewProgress(first, tc.terminal)
			p.quietFor = tc.quietFor
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo one >&2; echo two >&2; cat")
			cmd.Stdin = stdin
			if err := p.Start("building x").Run(cmd, "packages", 9); err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(tc.want).MatchString(out.String()) {
				t.Errorf("%s\nprogress is %q, want %s", tc.reason, out.String(), tc.want)
			}
		})
	}
}
