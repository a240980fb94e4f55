package monitoring

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// root of the repository.
const root = "../.."

// exported are the labels of everything that the running function exports, by
// the name of the sample.
type exported map[string]map[string]bool

// scrape builds the function, calls it as Crossplane does, and returns what
// Prometheus gets from it.
func scrape(t *testing.T) exported {
	t.Helper()
	program := filepath.Join(t.TempDir(), "function-dittoserver")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the function: %v\n%s", err, out)
	}
	addresses := start(t, program)

	conn, err := grpc.NewClient("passthrough:///"+addresses.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	xr, err := structpb.NewStruct(map[string]any{
		"apiVersion": "dittofs.io/v1alpha1", "kind": "DittoServer",
		"metadata": map[string]any{"name": "files", "namespace": "team-a", "uid": "0a1b2c3d-0000-4000-8000-000000000001"},
		"spec":     map[string]any{"storage": map[string]any{"metadataSize": "10Gi"}},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "DatabaseReady", "status": "False", "reason": "PerconaCreating"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}}
	if _, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), req, grpc.WaitForReady(true)); err != nil {
		t.Fatalf("RunFunction(...): %v", err)
	}

	return get(t, "http://"+addresses.MetricsAddress+"/metrics")
}

// The function's line of the log that says where it serves.
type serving struct {
	Message        string `json:"msg"`
	Address        string `json:"address"`
	MetricsAddress string `json:"metricsAddress"`
}

// start the program; it is killed when the test ends.
func start(t *testing.T, program string) serving {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "--insecure", "--address=127.0.0.1:0", "--metrics-address=127.0.0.1:0", "--health-address=127.0.0.1:0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It was killed, and says so.
		_ = r.Close()
	})

	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("the function says nothing: %v", err)
	}
	var s serving
	if err := json.Unmarshal([]byte(line), &s); err != nil || s.Message != "Serving" {
		t.Fatalf("the function does not serve: %s", line)
	}

	return s
}

// get metrics over HTTP, as Prometheus has them: a histogram is three series.
func get(t *testing.T, url string) exported {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	families, err := decode(string(body))
	if err != nil {
		t.Fatal(err)
	}

	return families
}

func decode(text string) (exported, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.Now()}, values(families)...)
	if err != nil {
		return nil, err
	}
	out := exported{}
	for _, s := range samples {
		name := string(s.Metric[model.MetricNameLabel])
		if out[name] == nil {
			out[name] = map[string]bool{}
		}
		for label := range s.Metric {
			out[name][string(label)] = true
		}
	}

	return out, nil
}
