package sandbox

import (
	"fmt"
	"os"
	"sync"
)

// Hosts is the sandbox's /etc/hosts. It stands in for the cluster's DNS: the
// resolver of C reads it for every name, Go's once it is five seconds old.
//
// A name's line is added at the end, and made a comment by its first byte once
// the name has another address. So whoever reads the file meanwhile finds all
// other names: Go's resolver would miss for five seconds what it did not find.
type Hosts struct {
	mu    sync.Mutex
	file  *os.File
	size  int64
	lines map[string]hostsLine
}

// A hostsLine is the address of a name, and where it stands in the file.
type hostsLine struct {
	address string
	at      int64
}

// newHosts are in a file of this name.
func newHosts(path string) (*Hosts, error) {
	file, err := os.Create(path) //nolint:gosec // The sandbox's own.
	if err != nil {
		return nil, err
	}
	h := &Hosts{file: file, lines: map[string]hostsLine{}}
	if err := h.Set("127.0.0.1", "localhost"); err != nil {
		return nil, err
	}
	return h, nil
}

// Set the address of names. It is no error to set what is set.
func (h *Hosts) Set(address string, names ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		before, known := h.lines[name]
		if before.address == address {
			continue
		}
		n, err := h.file.WriteAt(fmt.Appendf(nil, "%s %s\n", address, name), h.size)
		if err != nil {
			return fmt.Errorf("cannot add %s to the hosts: %w", name, err)
		}
		h.lines[name] = hostsLine{address: address, at: h.size}
		h.size += int64(n)
		if !known {
			continue
		}
		if _, err := h.file.WriteAt([]byte("#"), before.at); err != nil {
			return fmt.Errorf("cannot take the old address of %s from the hosts: %w", name, err)
		}
	}
	return nil
}
