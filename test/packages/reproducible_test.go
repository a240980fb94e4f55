package packages

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReproducible builds the same sources again, in another folder and without
// git: every file has to be the same.
func TestReproducible(t *testing.T) {
	checkout, again := t.TempDir(), t.TempDir()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // Deleted, and not committed yet.
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(checkout, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil { //nolint:gosec // A folder of the test.
			t.Fatal(err)
		}
	}
	if err := build(t.Context(), checkout, again); err != nil {
		t.Fatal(err)
	}

	first := sums(t, built)
	for _, want := range []string{"function-dittoserver-amd64.xpkg", "function-dittoserver-arm64.xpkg", "configuration-dittoserver.xpkg", "configuration-dittoserver-claim.xpkg", "digests.txt", "oci/index.json"} {
		if first[want] == "" {
			t.Errorf("%s was not built", want)
		}
	}
	if d := cmp.Diff(first, sums(t, again)); d != "" {
		t.Errorf("two builds differ (-first +second):\n%s", d)
	}
}

// sums of the content of all files of a folder.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		sum := sha256.Sum256(content)
		out[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
