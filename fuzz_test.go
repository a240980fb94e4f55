package main

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/world/trial"
)

// A eavesdropper keeps the requests that the function gets.
type eavesdropper struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	real     Function
	requests []*fnv1.RunFunctionRequest
}

func (r *eavesdropper) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	if clone, ok := proto.Clone(req).(*fnv1.RunFunctionRequest); ok {
		r.requests = append(r.requests, clone)
	}

	return r.real.RunFunction(ctx, req)
}

// recorded requests of some histories in the model of the world.
func recorded(tb testing.TB) []*fnv1.RunFunctionRequest {
	tb.Helper()
	rec := &eavesdropper{real: Function{log: logging.NewNopLogger()}}
	on, off := trial.CreateXR(trial.Spec(map[string]any{"enabled": true})), trial.CreateXR(trial.Spec(map[string]any{"enabled": false}))

	for _, history := range [][]trial.Action{
		{on, trial.InstallPercona(), trial.Rotate(), trial.Restart(), trial.EditCluster("upgrade"), trial.TogglePolicy()},
		{trial.InstallPercona(), trial.Plant(server.KeyCluster, trial.Survivor), on, trial.Strip("host"), trial.TogglePercona("enabled")},
		{off, trial.Delete(server.KeyAdminCredentials), trial.Delete(server.KeyJWTSecret), trial.TogglePercona("deleteWithServer")},
		{trial.Plant(server.KeyStatefulSet, trial.Uncontrolled), off, trial.Adopt(server.KeyStatefulSet)},
	} {
		for _, legacy := range []bool{false, true} {
			run := trial.NewRun(newTrial(tb, rec, legacy))
			for _, a := range history {
				if err := run.Act(a); err != nil {
					tb.Fatal(err)
				}
				if run.Trial.Observe() == nil {
					continue
				}
				for range 3 {
					for _, p := range trial.Progress() {
						if err := run.Act(p); err != nil {
							tb.Fatal(err)
						}
					}
					if err := run.Reconcile(context.Background(), world.NoFaults()); err != nil {
						tb.Fatal(err)
					}
				}
			}
		}
	}

	// Neighbours differ little.
	var some []*fnv1.RunFunctionRequest
	for i := 0; i < len(rec.requests); i += 3 {
		some = append(some, rec.requests[i])
	}

	return some
}

// FuzzRunFunction feeds the function whatever a request can hold: recorded
// requests with parts replaced by garbage, as a script of bytes says, and raw
// bytes as protobuf or JSON.
func FuzzRunFunction(f *testing.F) {
	requests := recorded(f)
	for i := range requests {
		f.Add(uint16(i), []byte{}, []byte{})
		for n := range 30 {
			script := make([]byte, 12)
			for j := range script {
				script[j] = byte(mix(uint64(i*1000+n*100+j)) >> 32)
			}
			f.Add(uint16(i), script, []byte{})
		}
	}
	for _, i := range []int{0, len(requests) / 2, len(requests) - 1} {
		if raw, err := proto.Marshal(requests[i]); err == nil {
			f.Add(uint16(0), []byte{}, raw)
		}
		if raw, err := protojson.Marshal(requests[i]); err == nil {
			f.Add(uint16(0), []byte{}, raw)
		}
	}

	fn := &Function{log: logging.NewNopLogger()}
	f.Fuzz(func(t *testing.T, which uint16, script, raw []byte) {
		req, _ := proto.Clone(requests[int(which)%len(requests)]).(*fnv1.RunFunctionRequest)
		if len(raw) > 0 {
			req = parsed(raw)
		}
		spoil(req, script)
		before, _ := proto.Clone(req).(*fnv1.RunFunctionRequest)

		rsp, err := fn.RunFunction(context.Background(), req)
		if err != nil {
			t.Fatalf("RunFunction(): %v", err)
		}
		if !proto.Equal(before, req) {
			t.Errorf("RunFunction() wrote into its request: -before, +after:\n%s", cmp.Diff(before, req, protocmp.Transform()))
		}
		if _, err := proto.Marshal(rsp); err != nil {
			t.Errorf("the response cannot be sent: %v", err)
		}
		if slices.ContainsFunc(rsp.GetResults(), func(r *fnv1.Result) bool { return r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL }) {
			return
		}

		for name := range req.GetObserved().GetResources() {
			if slices.Contains(trial.Keys(), server.Key(name)) && desiredOf(rsp, server.Key(name)) == nil && !switchedOff(req, server.Key(name)) {
				t.Errorf("%s is observed and dropped", name)
			}
		}
		for name, r := range req.GetDesired().GetResources() {
			if !proto.Equal(r, rsp.GetDesired().GetResources()[name]) {
				t.Errorf("%s of an earlier step is not passed on as it was", name)
			}
		}
		for k, key := range map[server.Key]string{server.KeyJWTSecret: server.JWTSecretKey, server.KeyAdminCredentials: server.AdminPasswordKey} {
			was := reach(observedOf(req, k), "data", key).GetStringValue()
			if plain, err := base64.StdEncoding.DecodeString(was); err != nil || len(plain) == 0 {
				continue
			}
			if is := reach(desiredOf(rsp, k), "data", key).GetStringValue(); is != was {
				t.Errorf("the generated value of %s changed from %q to %q", k, was, is)
			}
		}
	})
}

// switchedOff tells whether the spec lets an observed object go.
func switchedOff(req *fnv1.RunFunctionRequest, k server.Key) bool {
	path := map[server.Key][]string{
		server.KeyNFSService:    {"spec", "adapters", "nfs", "enabled"},
		server.KeySMBService:    {"spec", "adapters", "smb", "enabled"},
		server.KeyNetworkPolicy: {"spec", "networkPolicy", "enabled"},
	}[k]
	v, is := reach(req.GetObserved().GetComposite().GetResource(), path...).GetKind().(*structpb.Value_BoolValue)

	return len(path) > 0 && is && !v.BoolValue
}

// parsed request of raw bytes, JSON or protobuf; empty if they are neither.
func parsed(raw []byte) *fnv1.RunFunctionRequest {
	req := &fnv1.RunFunctionRequest{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, req); err == nil {
		return req
	}
	req = &fnv1.RunFunctionRequest{}
	if err := proto.Unmarshal(raw, req); err == nil {
		return req
	}

	return &fnv1.RunFunctionRequest{}
}

// identifying fields of an object.
//
//nolint:gochecknoglobals // A set, never written.
var identifying = map[string]bool{"apiVersion": true, "kind": true, "name": true, "namespace": true}

// spoil a request as a script says: each byte takes a decision.
func spoil(req *fnv1.RunFunctionRequest, script []byte) {
	next := func(n int) int {
		if len(script) == 0 || n == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]

		return int(b) % n
	}

	for len(script) > 0 {
		structs := parts(req)
		if len(structs) == 0 {
			return
		}
		s := structs[next(len(structs))]
		// The way down to a field is drawn step by step.
		for depth := 1 + next(8); ; depth-- {
			keys := slices.Sorted(maps.Keys(s.GetFields()))
			if len(keys) == 0 {
				break
			}
			key := keys[next(len(keys))]
			if identifying[key] && next(8) > 0 {
				continue // Another name is refused at once, which says little.
			}
			child := s.GetFields()[key]
			if l := child.GetListValue().GetValues(); depth > 0 && len(l) > 0 {
				child = l[next(len(l))]
			}
			if down := child.GetStructValue(); depth > 0 && len(down.GetFields()) > 0 {
				s = down

				continue
			}
			if next(6) == 0 {
				delete(s.GetFields(), key)

				break
			}
			s.Fields[key] = nonsense(next, s.GetFields()[key])

			break
		}
	}
}

// parts of a request that hold free content.
func parts(req *fnv1.RunFunctionRequest) []*structpb.Struct {
	var out []*structpb.Struct
	add := func(s *structpb.Struct) {
		if s != nil {
			out = append(out, s)
		}
	}
	add(req.GetObserved().GetComposite().GetResource())
	add(req.GetInput())
	resources := req.GetObserved().GetResources()
	for _, k := range slices.Sorted(maps.Keys(resources)) {
		add(resources[k].GetResource())
	}
	required := req.GetRequiredResources()
	for _, k := range slices.Sorted(maps.Keys(required)) {
		for _, i := range required[k].GetItems() {
			add(i.GetResource())
		}
	}

	return out
}

// nonsense in place of a value: of another type, empty, or much too large.
func nonsense(next func(int) int, v *structpb.Value) *structpb.Value {
	switch next(14) {
	case 0:
		return structpb.NewNullValue()
	case 1:
		return structpb.NewStringValue("")
	case 2:
		return structpb.NewStringValue("16")
	case 3:
		return structpb.NewStringValue("\x00 not base64, not a quantity, not a name \U0001F4A3")
	case 4:
		return structpb.NewNumberValue(-1)
	case 5:
		return structpb.NewNumberValue(1e308)
	case 6:
		return structpb.NewNumberValue(0.5)
	case 7:
		return structpb.NewBoolValue(next(2) == 0)
	case 8:
		return structpb.NewListValue(&structpb.ListValue{})
	case 9:
		return structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v, structpb.NewNullValue(), v}})
	case 10:
		return structpb.NewStructValue(&structpb.Struct{})
	case 11:
		return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"nested": v, "": structpb.NewNullValue()}})
	case 12:
		return structpb.NewStringValue("99999999999999999999999999Ei")
	}

	return nil // Go's nil: a field without a value.
}
