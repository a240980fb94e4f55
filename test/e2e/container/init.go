package container

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// handoverFD is where the spec is read from, and startingFD is closed when
	// the container's program takes over.
	handoverFD = 3
	startingFD = 4

	// What a shell answers for a command that cannot be started.
	exitCannotStart = 127
)

// Main becomes a container if this program was started as one, and does not
// return then. Call it first in main and TestMain.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != argv0 {
		return
	}
	// Privileges belong to a thread; the one that has lost them is the one that
	// becomes the container's program.
	runtime.LockOSThread()
	if err := become(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cannot start the container:", err)
		os.Exit(exitCannotStart)
	}
}

// become the container's program: it returns only if that fails.
func become() error {
	syscall.CloseOnExec(startingFD)
	var s Spec
	handover := os.NewFile(handoverFD, "handover")
	if err := json.NewDecoder(handover).Decode(&s); err != nil { //nolint:musttag // Written by this very program.
		return err
	}
	if err := handover.Close(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return err
	}
	if err := s.fileSystem(); err != nil {
		return err
	}
	if err := s.privileges(); err != nil {
		return err
	}
	if err := os.Chdir(s.Dir); err != nil {
		return err
	}
	// The command is looked up in the container, with the container's PATH.
	for _, e := range s.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return err
			}
		}
	}
	path, err := exec.LookPath(s.Command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, s.Command, s.Env) //nolint:gosec // What the pod says.
}

// fileSystem of the container: memory, the machine's programs, and the mounts.
func (s Spec) fileSystem() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", s.Root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	programs := []string{"bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr"}
	if s.Bare {
		programs = nil
	}
	for _, dir := range programs {
		if err := s.machine(dir); err != nil {
			return err
		}
	}
	if err := s.kernel(); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if err := s.bind(m); err != nil {
			return fmt.Errorf("%s: %w", m.To, err)
		}
	}
	if s.ReadOnlyRoot {
		if err := unix.Mount("", s.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	if err := unix.Chdir(s.Root); err != nil {
		return err
	}
	// The machine's root goes out of reach.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// machine makes a folder of the machine's root visible, read-only.
func (s Spec) machine(dir string) error {
	info, err := os.Lstat("/" + dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return s.bind(Mount{From: "/" + dir, To: "/" + dir, ReadOnly: true})
	}
	target, err := os.Readlink("/" + dir)
	if err != nil {
		return err
	}
	return os.Symlink(target, filepath.Join(s.Root, dir))
}

// kernel makes /proc, /dev and /tmp as images and runtimes have them.
func (s Spec) kernel() error {
	proc, tmp := filepath.Join(s.Root, "proc"), filepath.Join(s.Root, "tmp")
	if err := os.Mkdir(proc, 0o555); err != nil { //nolint:gosec // As everywhere.
		return err
	}
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, device := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"} {
		if err := s.bind(Mount{From: device, To: device}); err != nil {
			return err
		}
	}
	if err := os.Mkdir(tmp, 0o777); err != nil { //nolint:gosec // As everywhere.
		return err
	}
	return os.Chmod(tmp, 0o777|os.ModeSticky)
}

func (s Spec) bind(m Mount) error {
	to := filepath.Join(s.Root, m.To)
	info, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // The container's user looks there.
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755) //nolint:gosec // It is mounted over.
	} else {
		err = os.WriteFile(to, nil, 0o644) //nolint:gosec // It is mounted over.
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.From, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !m.ReadOnly {
		return nil
	}
	return unix.MountSetattr(unix.AT_FDCWD, to, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// privileges of the container's user, no more.
func (s Spec) privileges() error {
	if s.DropCapabilities {
		for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
				return fmt.Errorf("cannot drop capability %d: %w", capability, err)
			}
		}
	}
	if s.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	if err := syscall.Setgroups(s.Groups); err != nil {
		return err
	}
	if err := syscall.Setgid(s.Group); err != nil {
		return err
	}
	return syscall.Setuid(s.User)
}
