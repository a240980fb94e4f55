package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/crdtest"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/world/trial"
)

// newTrial is a world with the function in it, and no server yet.
func newTrial(tb testing.TB, f fnv1.FunctionRunnerServiceServer, legacy bool) *trial.Trial {
	tb.Helper()
	v := crdtest.PerconaPGCluster(tb)
	t, err := trial.New(world.Config{
		Percona:   world.PerconaKind{Converter: crdtest.PerconaTypeConverter(tb), Default: v.Default, Validate: v.Validate},
		Function:  f,
		Namespace: "team-a", Name: "files", Legacy: legacy,
	})
	if err != nil {
		tb.Fatal(err)
	}

	return t
}

// TestExplore walks through every state that the scopes can reach. The rules
// hold in each of them, and from each of them every fair schedule of
// controllers and reconciles ends in the state that is wanted, and stays there
// ("eventually stable reconciliation": Anvil, OSDI 2024).
func TestExplore(t *testing.T) {
	t.Parallel()

	defer debug.SetGCPercent(debug.SetGCPercent(400))

	scopes, err := trial.Scopes(newTrial(t, &Function{log: logging.NewNopLogger()}, false))
	if err != nil {
		t.Fatal(err)
	}

	var total trial.Report
	start := time.Now()
	for _, s := range scopes {
		t.Run(s.Name, func(t *testing.T) {
			report, err := trial.Explore(context.Background(), trial.NewJudge(), s)
			total.Add(report)
			if err != nil {
				t.Error(err)
			}
			t.Log(&report)
		})
	}
	fmt.Printf("explored %d scopes in %v: %s\n", len(scopes), time.Since(start).Round(time.Second), total.String())
}

// A broken function is the real one with its request or its response changed.
type broken struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	real     Function
	request  func(*fnv1.RunFunctionRequest)
	response func(*fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse)
}

func (b *broken) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	if b.request != nil {
		req, _ = proto.Clone(req).(*fnv1.RunFunctionRequest)
		b.request(req)
	}
	rsp, err := b.real.RunFunction(ctx, req)
	if err == nil && b.response != nil {
		rsp, _ = proto.Clone(rsp).(*fnv1.RunFunctionResponse)
		b.response(req, rsp)
	}

	return rsp, err
}

// desiredOf a response under a key; empty if there is none.
func desiredOf(rsp *fnv1.RunFunctionResponse, k server.Key) *structpb.Struct {
	return rsp.GetDesired().GetResources()[string(k)].GetResource()
}

func observedOf(req *fnv1.RunFunctionRequest, k server.Key) *structpb.Struct {
	return req.GetObserved().GetResources()[string(k)].GetResource()
}

// reach a field; nil if the path leads nowhere.
func reach(s *structpb.Struct, path ...string) *structpb.Value {
	v := structpb.NewStructValue(s)
	for _, p := range path {
		if l := v.GetListValue().GetValues(); p == "0" && len(l) > 0 {
			v = l[0]

			continue
		}
		v = v.GetStructValue().GetFields()[p]
	}

	return v
}

// put a field, if what it is in exists.
func put(s *structpb.Struct, value any, path ...string) {
	in := reach(s, path[:len(path)-1]...).GetStructValue()
	if v, err := structpb.NewValue(value); err == nil && in.GetFields() != nil {
		in.Fields[path[len(path)-1]] = v
	}
}

func drop(s *structpb.Struct, path ...string) {
	delete(reach(s, path[:len(path)-1]...).GetStructValue().GetFields(), path[len(path)-1])
}

// TestExploreCatches breaks the function in many ways, and sees that each rule
// finds out.
func TestExploreCatches(t *testing.T) {
	t.Parallel()

	random := func() string {
		return base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
	}
	version := func(req *fnv1.RunFunctionRequest) string {
		return reach(req.GetObserved().GetComposite().GetResource(), "metadata", "resourceVersion").GetStringValue()
	}
	template := []string{"spec", "template"}
	annotations := append(append([]string{}, template...), "metadata", "annotations")

	cases := map[string]struct {
		reason   string
		scope    string
		request  func(*fnv1.RunFunctionRequest)
		response func(*fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse)
		want     string
	}{
		"Drops": {
			reason: "The server goes when the database fails over.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if reach(observedOf(req, server.KeyCluster), "status", "state").GetStringValue() != "ready" {
					delete(rsp.GetDesired().GetResources(), string(server.KeyStatefulSet))
				}
			},
			want: trial.RuleDeletes,
		},
		"DropsUnanswered": {
			reason: "The server goes as long as nothing is answered.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if len(req.GetRequiredResources()) == 0 {
					delete(rsp.GetDesired().GetResources(), string(server.KeyStatefulSet))
				}
			},
			want: trial.RuleKeeps,
		},
		"ComposesUnserved": {
			reason: "A cluster is composed though there is no operator.",
			scope:  "life",
			request: func(req *fnv1.RunFunctionRequest) {
				drop(req.GetObserved().GetComposite().GetResource(), "metadata", "creationTimestamp")
				req.RequiredResources = map[string]*fnv1.Resources{"namespace": {}}
			},
			want: trial.RuleServed,
		},
		"Tells": {
			reason: "A condition's message holds the password.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				for _, r := range req.GetRequiredResources() {
					for _, i := range r.GetItems() {
						password, _ := base64.StdEncoding.DecodeString(reach(i.GetResource(), "data", "password").GetStringValue())
						rsp.Conditions[0].Message = new(rsp.GetConditions()[0].GetMessage() + string(password))
					}
				}
			},
			want: trial.RuleDiscreet,
		},
		"IsSilent": {
			reason: "A condition is missing.",
			scope:  "life",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				rsp.Conditions = rsp.GetConditions()[:3]
			},
			want: trial.RuleTells,
		},
		"IsReadyTooEarly": {
			reason: "The XR is ready without a server.",
			scope:  "life",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				rsp.GetDesired().GetComposite().Ready = fnv1.Ready_READY_TRUE
			},
			want: trial.RuleExplicit,
		},
		"Regenerates": {
			reason: "The token key is another one each time.",
			scope:  "secrets",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				drop(desiredOf(rsp, server.KeyJWTSecret), "immutable")
				put(desiredOf(rsp, server.KeyJWTSecret), random(), "data", server.JWTSecretKey)
			},
			want: trial.RuleMadeOnce,
		},
		"ForgetsPassword": {
			reason: "A lost administrator's password is not restored but made anew.",
			scope:  "secrets",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if observedOf(req, server.KeyAdminCredentials) == nil {
					put(desiredOf(rsp, server.KeyAdminCredentials), random(), "data", server.AdminPasswordKey)
				}
			},
			want: trial.RuleAdmin,
		},
		"HashIsConstant": {
			reason: "The pod is not restarted when an input changes.",
			scope:  "life",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				put(desiredOf(rsp, server.KeyStatefulSet), strings.Repeat("0", 64), append(annotations, server.AnnotationConfigHash)...)
			},
			want: trial.RuleHash,
		},
		"HashSaysLittle": {
			reason: "The hash changes, but does not tell all inputs apart.",
			scope:  "loss",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				hash := strings.Repeat("0", 64)
				if observedOf(req, server.KeyStatefulSet) != nil {
					hash = strings.Repeat("1", 64)
				}
				put(desiredOf(rsp, server.KeyStatefulSet), hash, append(annotations, server.AnnotationConfigHash)...)
			},
			want: trial.RuleHash,
		},
		"HashSaysTooMuch": {
			reason: "The hash changes with the version of the XR.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				put(desiredOf(rsp, server.KeyStatefulSet), fmt.Sprintf("%064s", version(req)), append(annotations, server.AnnotationConfigHash)...)
			},
			want: trial.RuleHash,
		},
		"Restarts": {
			reason: "Something else in the template changes with the version of the XR.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				put(desiredOf(rsp, server.KeyStatefulSet), version(req), append(annotations, "version")...)
			},
			want: trial.RuleRestarts,
		},
		"Hangs": {
			reason: "The pod refers to a Secret that is not there.",
			scope:  "life",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				put(desiredOf(rsp, server.KeyStatefulSet), []any{map[string]any{
					"name": "MISSING", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "missing", "key": "missing"}},
				}}, "spec", "template", "spec", "containers", "0", "env")
			},
			want: trial.RuleComplete,
		},
		"StartsTooEarly": {
			reason: "The server is made while the database initializes.",
			scope:  "pause",
			request: func(req *fnv1.RunFunctionRequest) {
				put(observedOf(req, server.KeyCluster), "ready", "status", "state")
			},
			want: trial.RuleGate,
		},
		"RevertsEdits": {
			reason: "The cluster's replicas are enforced.",
			scope:  "edits",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				put(desiredOf(rsp, server.KeyCluster), 1, "spec", "instances", "0", "replicas")
			},
			want: trial.RuleEdits,
		},
		"ForgetsDatabase": {
			reason: "A server follows the spec to another database.",
			scope:  "switch",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				enabled := reach(req.GetObserved().GetComposite().GetResource(), "spec", "percona", "enabled").GetBoolValue()
				running := reach(observedOf(req, server.KeyStatefulSet), append(annotations, server.AnnotationDatabase)...).GetStringValue()
				if !enabled && strings.HasPrefix(running, "percona:") {
					put(desiredOf(rsp, server.KeyStatefulSet), "sqlite:/data/x", append(annotations, server.AnnotationDatabase)...)
				}
			},
			want: trial.RuleDatabase,
		},
		"TakesOver": {
			reason: "An object of somebody else's is taken for one that was given to us.",
			scope:  "uncontrolled config",
			request: func(req *fnv1.RunFunctionRequest) {
				for _, r := range req.GetRequiredResources() {
					for _, i := range r.GetItems() {
						put(i.GetResource(), map[string]any{server.AnnotationAdopt: "files", server.AnnotationKey: string(server.KeyConfig)}, "metadata", "annotations")
					}
				}
			},
			want: trial.RuleHandsOff,
		},
		"IsRefused": {
			reason: "An immutable field changes.",
			scope:  "secrets",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if observedOf(req, server.KeyStatefulSet) != nil {
					put(desiredOf(rsp, server.KeyStatefulSet), "other", "spec", "serviceName")
				}
			},
			want: trial.RuleAccepted,
		},
		"NeverRests": {
			reason: "Every reconcile is an event.",
			scope:  "secrets",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				rsp.Results = append(rsp.Results, &fnv1.Result{Severity: fnv1.Severity_SEVERITY_NORMAL, Message: "here I am"})
			},
			want: trial.RuleCalm,
		},
		"Rolls dice": {
			reason: "The answer depends on chance.",
			scope:  "secrets",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				rsp.GetMeta().Ttl = durationpb.New(time.Duration(time.Now().UnixNano()))
			},
			want: trial.RulePure,
		},
		"Writes into its request": {
			reason: "What is observed belongs to somebody else.",
			scope:  "secrets",
			response: func(req *fnv1.RunFunctionRequest, _ *fnv1.RunFunctionResponse) {
				put(observedOf(req, server.KeyConfig), "scribble", "metadata", "scribble")
			},
			want: trial.RulePure,
		},
		"LosesData": {
			reason: "The cluster goes with the server though it must not.",
			scope:  "pause",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				drop(desiredOf(rsp, server.KeyCluster), "metadata", "ownerReferences")
			},
			want: trial.RuleSurvival,
		},
		"LosesPassword": {
			reason: "The administrator's password goes with the server.",
			scope:  "secrets",
			response: func(_ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				drop(desiredOf(rsp, server.KeyAdminCredentials), "metadata", "ownerReferences")
			},
			want: trial.RuleSurvival,
		},
		"NeverArrives": {
			reason: "A rotated password never reaches the pod.",
			scope:  "life",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if live := observedOf(req, server.KeyStatefulSet); live != nil {
					put(desiredOf(rsp, server.KeyStatefulSet), reach(live, template...).AsInterface(), template...)
				}
			},
			want: trial.RuleArrives,
		},
		"Flaps": {
			reason: "A label is on, and off, and on.",
			scope:  "secrets",
			response: func(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) {
				if reach(observedOf(req, server.KeyConfig), "metadata", "labels", "on") == nil {
					put(desiredOf(rsp, server.KeyConfig), "yes", "metadata", "labels", "on")
				}
			},
			want: trial.RuleStabilizes,
		},
	}

	caught := map[string]bool{}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scopes, err := trial.Scopes(newTrial(t, &broken{real: Function{log: logging.NewNopLogger()}, request: tc.request, response: tc.response}, false))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range scopes {
				if s.Name != tc.scope {
					continue
				}
				s.Workers = 1 // One of them writes to what it shares with others.
				_, err = trial.Explore(context.Background(), trial.NewJudge(), s)
			}
			var got string
			if v := (*trial.ViolationError)(nil); errors.As(err, &v) {
				got = v.Rule
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nExplore(): -want, +got rule:\n%s\n%v", tc.reason, diff, err)
			}
			caught[got] = true
		})
	}
	for _, rule := range trial.Rules() {
		if !caught[rule] {
			t.Errorf("no broken function breaks the rule %q", rule)
		}
	}
}
