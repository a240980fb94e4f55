package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHosts(t *testing.T) {
	type set struct {
		address string
		names   []string
	}
	cases := map[string]struct {
		reason string
		sets   []set
		want   map[string]string
	}{
		"None": {
			reason: "A machine knows itself.",
			want:   map[string]string{"localhost": "127.0.0.1"},
		},
		"Added": {
			reason: "A name that is added takes nothing from the others.",
			sets:   []set{{"10.0.0.1", []string{"a", "a.svc"}}, {"10.0.0.2", []string{"b"}}},
			want:   map[string]string{"localhost": "127.0.0.1", "a": "10.0.0.1", "a.svc": "10.0.0.1", "b": "10.0.0.2"},
		},
		"Again": {
			reason: "Set again, a name stays as it is.",
			sets:   []set{{"10.0.0.1", []string{"a"}}, {"10.0.0.1", []string{"a"}}},
			want:   map[string]string{"localhost": "127.0.0.1", "a": "10.0.0.1"},
		},
		"Moved": {
			reason: "A name has the address that was set last, also the one that it had before.",
			sets:   []set{{"10.0.0.1", []string{"a", "b"}}, {"10.0.0.22", []string{"a"}}, {"10.0.0.1", []string{"a"}}},
			want:   map[string]string{"localhost": "127.0.0.1", "a": "10.0.0.1", "b": "10.0.0.1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hosts")
			h, err := newHosts(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tc.sets {
				if err := h.Set(s.address, s.names...); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, readHosts(t, path)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestHostsMeanwhile tells that a name that stays is found at any moment while
// others come and move.
func TestHostsMeanwhile(t *testing.T) {
	const names = 500
	path := filepath.Join(t.TempDir(), "hosts")
	h, err := newHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		defer close(done)
		for i := range names {
			if err := h.Set(fmt.Sprintf("10.0.0.%d", i%3), fmt.Sprintf("name-%d", i%100)); err != nil { //nolint:mnd // Some move, some do not.
				done <- err
				return
			}
		}
	}()
	for {
		if got := readHosts(t, path)["localhost"]; got != "127.0.0.1" {
			t.Fatalf("localhost is %q", got)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// readHosts as a resolver does: the addresses of each name.
func readHosts(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		for _, name := range fields[1:] {
			found[name] = strings.TrimPrefix(found[name]+","+fields[0], ",")
		}
	}
	return found
}
