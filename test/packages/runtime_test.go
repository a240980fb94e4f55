package packages

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

const (
	nobody = 65532

	// startTimeout is for a busy machine: the function starts in a fraction of
	// a second.
	startTimeout = 30 * time.Second
)

// TestRuntime holds what a container engine is told of the function's image.
func TestRuntime(t *testing.T) {
	for arch, img := range images(t, "function-dittoserver") {
		t.Run(arch, func(t *testing.T) {
			got := configOf(t, img)
			if d := cmp.Diff(map[string]string{"os": "linux", "architecture": arch}, map[string]string{"os": got.OS, "architecture": got.Architecture}); d != "" {
				t.Errorf("platform (-want +got):\n%s", d)
			}
			want := v1.Config{
				User:         "65532:65532",
				Entrypoint:   []string{"/function"},
				ExposedPorts: map[string]struct{}{"9443/tcp": {}, "8080/tcp": {}, "8081/tcp": {}},
				Labels: map[string]string{
					"org.opencontainers.image.title":       "function-dittoserver",
					"org.opencontainers.image.description": "Composes DittoFS file servers (NFS and SMB) with everything they need, on SQLite or on a PostgreSQL that the Percona operator runs.",
					"org.opencontainers.image.source":      "https://github.com/dittofs/function-dittoserver",
					"org.opencontainers.image.licenses":    "Apache-2.0",
					"org.opencontainers.image.version":     version,
				},
			}
			if d := cmp.Diff(want, withoutPackage(got.Config)); d != "" {
				t.Errorf("config (-want +got):\n%s", d)
			}
		})
	}
}

func configOf(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withoutPackage is a config without the label of the package's layer, which
// has its digest in it.
func withoutPackage(c v1.Config) v1.Config {
	c = *c.DeepCopy()
	for key := range c.Labels {
		if strings.HasPrefix(key, "io.crossplane.xpkg:") {
			delete(c.Labels, key)
		}
	}
	return c
}

// TestRuntimeFiles holds that the image is two files that its user cannot
// write, in no folder that its user can: there is nothing to write to, whether
// the root is mounted read-only or not. The program is static.
func TestRuntimeFiles(t *testing.T) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for arch, img := range images(t, "function-dittoserver") {
		t.Run(arch, func(t *testing.T) {
			modes := map[string]int64{}
			files := extract(t, img)
			for name, f := range files {
				modes[name] = f.header.Mode
				if f.header.Uid != 0 || f.header.Gid != 0 {
					t.Errorf("%s belongs to %d:%d, want root", name, f.header.Uid, f.header.Gid)
				}
			}
			if d := cmp.Diff(map[string]int64{"function": 0o755, "package.yaml": 0o644}, modes); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}

			program, err := elf.NewFile(bytes.NewReader(files["function"].content))
			if err != nil {
				t.Fatal(err)
			}
			if program.Machine != machines[arch] {
				t.Errorf("the program is for %s", program.Machine)
			}
			if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
				t.Error("the program is not static: it names an interpreter")
			}
		})
	}
}

// extract all files of an image.
func extract(t *testing.T, img v1.Image) map[string]file {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]file{}
	for _, l := range layers {
		maps.Copy(out, filesOf(t, l))
	}
	return out
}

// TestRuntimeReadOnly runs the function in nothing but its image's files, as a
// user that owns none of them and may write none: it becomes healthy, answers a
// call, and stops when it is told to.
func TestRuntimeReadOnly(t *testing.T) {
	img := images(t, "function-dittoserver")[runtime.GOARCH]
	if img == nil {
		t.Fatalf("no function was built for this machine, %s", runtime.GOARCH)
	}
	dir := t.TempDir()
	for name, f := range extract(t, img) {
		if err := os.WriteFile(filepath.Join(dir, name), f.content, f.header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o555); err != nil { //nolint:gosec // For everybody to read, for nobody to write.
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) //nolint:gosec // So that it can be removed.

	functions, health := freeAddress(t), freeAddress(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/function", "--insecure", "--address="+functions, "--health-address="+health, "--metrics-address=")
	cmd.Err = nil // It is looked up in here, but is in there.
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = confined(dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start in %s: %v (without root this needs user namespaces)", dir, err)
	}

	if err := answers(ctx, functions, health); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%v: %s", err, said.String())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it does not stop well: %v: %s", err, said.String())
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Errorf("the image's root has %v, want what it had", left)
	}
}

// confined is a process that sees nothing but a folder and is nobody, in a user
// namespace of its own if this process is not root.
func confined(dir string) *syscall.SysProcAttr {
	if os.Geteuid() == 0 {
		return &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return &syscall.SysProcAttr{
		Chroot:      dir,
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}},
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers waits until the function is healthy and calls it.
func answers(ctx context.Context, functions, health string) error {
	probe, err := grpc.NewClient(health, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer probe.Close()
	if _, err := grpc_health_v1.NewHealthClient(probe).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
		return err
	}
	conn, err := grpc.NewClient(functions, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	rsp, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(ctx, &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "call"}}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if rsp.GetMeta().GetTag() != "call" {
		return fmt.Errorf("the answer is to another call: %v", rsp.GetMeta())
	}
	return nil
}

// TestDockerfile holds the Dockerfile's image to be the package's: the same
// config and the same files.
func TestDockerfile(t *testing.T) {
	want := withoutPackage(configOf(t, images(t, "function-dittoserver")["amd64"]).Config)
	want.Labels["org.opencontainers.image.version"] = "$VERSION"

	base, got, files := dockerfile(t)
	if base != "scratch" {
		t.Errorf("the image is made from %s, want nothing", base)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("config (-package +Dockerfile):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"/function": "0755", "/package.yaml": "0644"}, files); d != "" {
		t.Errorf("files (-package +Dockerfile):\n%s", d)
	}
}

// dockerfile is what the last stage says: what it is made from, its config, and
// its files' modes.
func dockerfile(t *testing.T) (base string, config v1.Config, files map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "FROM":
			base, config, files = strings.Fields(rest)[0], v1.Config{Labels: map[string]string{}, ExposedPorts: map[string]struct{}{}}, map[string]string{}
		case "LABEL":
			for _, m := range regexp.MustCompile(`(\S+)="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
				config.Labels[m[1]] = m[2]
			}
		case "EXPOSE":
			for port := range strings.FieldsSeq(rest) {
				config.ExposedPorts[port+"/tcp"] = struct{}{}
			}
		case "USER":
			config.User = rest
		case "ENTRYPOINT":
			for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(rest, -1) {
				config.Entrypoint = append(config.Entrypoint, m[1])
			}
		case "COPY":
			args := strings.Fields(rest)
			mode, _ := strings.CutPrefix(args[0], "--chmod=")
			files[args[len(args)-1]] = mode
		}
	}
	return base, config, files
}
