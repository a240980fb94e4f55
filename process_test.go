package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// Packages of the two programs that are measured.
const (
	ownProgram = "."
	// emptyProgram serves a function that does nothing, as function-sdk-go does.
	emptyProgram = "./test/empty"
)

// A process serves a function on the loopback interface.
type process struct {
	cmd    *exec.Cmd
	conn   *grpc.ClientConn
	client fnv1.FunctionRunnerServiceClient
}

// buildProgram of a package as it is released, and return where it is.
func buildProgram(tb testing.TB, pkg string) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "function")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		tb.Fatalf("cannot build the program: %v\n%s", err, out)
	}

	return program
}

// startOwn program.
func startOwn(tb testing.TB, program string) *process {
	tb.Helper()
	address := freeAddress(tb)

	return startProcess(tb, address, exec.CommandContext(tb.Context(), program, "--insecure", "--address", address, "--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"))
}

// startEmpty program.
func startEmpty(tb testing.TB, program string) *process {
	tb.Helper()
	address := freeAddress(tb)

	return startProcess(tb, address, exec.CommandContext(tb.Context(), program, address))
}

func startProcess(tb testing.TB, address string, cmd *exec.Cmd) *process {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	soon := backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1, MaxDelay: time.Millisecond}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: 10 * time.Second}))
	if err != nil {
		tb.Fatal(err)
	}
	p := &process{cmd: cmd, conn: conn, client: fnv1.NewFunctionRunnerServiceClient(conn)}
	tb.Cleanup(p.stop)

	return p
}

// freeAddress that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()

	return l.Addr().String()
}

// stop the process. It may be stopped already.
func (p *process) stop() {
	_ = p.conn.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // It was killed, and says so.
}

// send n requests, shared among clients that each wait for an answer before they
// send the next. The latencies are what the clients waited, in no order.
func (p *process) send(tb testing.TB, req *fnv1.RunFunctionRequest, n, clients int) (latencies []time.Duration) {
	tb.Helper()
	var wg sync.WaitGroup
	latencies = make([]time.Duration, n)
	for client := range clients {
		wg.Go(func() {
			for i := client; i < n; i += clients {
				start := time.Now()
				if _, err := p.client.RunFunction(tb.Context(), req, grpc.WaitForReady(true)); err != nil {
					tb.Errorf("cannot call the function: %v", err)

					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	wg.Wait()

	return latencies
}

// cpuTime that the process has used so far, to a hundredth of a second.
func (p *process) cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	stat := p.proc(tb, "stat")
	// The second field is the program's name, in brackets; utime and stime are
	// the 14th and the 15th (proc_pid_stat(5)).
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const utime, ticksPerSecond = 14 - 3, 100
	ticks := 0
	for _, f := range fields[utime : utime+2] {
		n, err := strconv.Atoi(f)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}

	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// status is a number of kB in /proc/<pid>/status.
func (p *process) status(tb testing.TB, name string) int {
	tb.Helper()
	for line := range strings.Lines(p.proc(tb, "status")) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")))
			if err != nil {
				tb.Fatal(err)
			}

			return n
		}
	}
	tb.Fatalf("the process has no %s", name)

	return 0
}

func (p *process) proc(tb testing.TB, file string) string {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		tb.Fatal(err)
	}

	return string(data)
}
