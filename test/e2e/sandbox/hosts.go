package sandbox

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// Hosts is the sandbox's /etc/hosts. It stands in for the cluster's DNS: the
// resolvers of C and of Go read it anew when it has changed.
type Hosts struct {
	path string

	mu      sync.Mutex
	entries map[string]string
}

// newHosts mounts an own file over /etc/hosts. It is written in place, as the
// mount is of the file and not of its name.
func newHosts(path string) (*Hosts, error) {
	h := &Hosts{path: path, entries: map[string]string{"localhost": "127.0.0.1"}}
	return h, bindFile(path, "/etc/hosts", h.content())
}

// Set the address of names.
func (h *Hosts) Set(address string, names ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := false
	for _, name := range names {
		changed = changed || h.entries[name] != address
		h.entries[name] = address
	}
	if !changed {
		return nil
	}
	return h.write()
}

// Remove names.
func (h *Hosts) Remove(names ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := len(h.entries)
	for _, name := range names {
		delete(h.entries, name)
	}
	if len(h.entries) == before {
		return nil
	}
	return h.write()
}

func (h *Hosts) write() error {
	return os.WriteFile(h.path, []byte(h.content()), 0o644) //nolint:gosec // Everyone reads /etc/hosts.
}

func (h *Hosts) content() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.entries)) {
		_, _ = fmt.Fprintf(&b, "%s %s\n", h.entries[name], name)
	}
	return b.String()
}
