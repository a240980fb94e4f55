package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func said(typ string, status fnv1.Status, reason, message string) *fnv1.Condition {
	return &fnv1.Condition{Type: typ, Status: status, Reason: reason, Message: &message, Target: fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum()}
}

func TestRefuse(t *testing.T) {
	cases := map[string]struct {
		reason string
		before map[string]server.Condition
		want   []*fnv1.Condition
	}{
		"NeverReported": {
			reason: "What was never reported cannot be repeated.",
			want:   []*fnv1.Condition{said(condition.TypeConfigReady, fnv1.Status_STATUS_CONDITION_FALSE, condition.ReasonNameTaken, "boom")},
		},
		"Repeated": {
			reason: "What was reported is repeated as it was; what others reported is theirs.",
			before: map[string]server.Condition{
				condition.TypeAvailable:     {Status: "True", Reason: "MinimumReplicasAvailable", Message: "it runs"},
				condition.TypeConfigReady:   {Status: "True", Reason: "ConfigRendered", Message: "complete"},
				condition.TypeDatabaseReady: {Status: "False", Reason: "PerconaNotReady", Message: "failing over"},
				condition.TypeProgressing:   {Status: "Unknown", Reason: "FatalError", Message: "who knows"},
				"Synced":                    {Status: "True", Reason: "ReconcileSuccess"},
			},
			want: []*fnv1.Condition{
				said(condition.TypeAvailable, fnv1.Status_STATUS_CONDITION_TRUE, "MinimumReplicasAvailable", "it runs"),
				said(condition.TypeConfigReady, fnv1.Status_STATUS_CONDITION_FALSE, condition.ReasonNameTaken, "boom"),
				said(condition.TypeDatabaseReady, fnv1.Status_STATUS_CONDITION_FALSE, "PerconaNotReady", "failing over"),
				said(condition.TypeProgressing, fnv1.Status_STATUS_CONDITION_UNKNOWN, "FatalError", "who knows"),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := Refuse(&fnv1.RunFunctionResponse{}, server.XR{Conditions: tc.before}, condition.ReasonNameTaken, errors.New("boom"))
			if diff := cmp.Diff(tc.want, rsp.GetConditions(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nRefuse(...): -want, +got:\n%s", tc.reason, diff)
			}
			if n := len(rsp.GetResults()); n != 1 || rsp.GetResults()[0].GetSeverity() != fnv1.Severity_SEVERITY_FATAL || rsp.GetResults()[0].GetMessage() != "boom" {
				t.Errorf("%s\nRefuse(...): want one Fatal, got %v", tc.reason, rsp.GetResults())
			}
		})
	}
}

func TestAnnounce(t *testing.T) {
	before := func(status, reason string) server.Condition { return server.Condition{Status: status, Reason: reason} }
	cases := map[string]struct {
		reason string
		before server.Condition
		now    condition.Condition
		want   fnv1.Severity
	}{
		"First":          {"The first words about a new server are conditions.", server.Condition{}, condition.False(condition.TypeDatabaseReady, "PerconaCreating", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"Same":           {"Nothing turned.", before("True", "PerconaReady"), condition.True(condition.TypeDatabaseReady, "PerconaReady", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"Turned good":    {"Good news.", before("False", "PerconaCreating"), condition.True(condition.TypeDatabaseReady, "PerconaReady", "m"), fnv1.Severity_SEVERITY_NORMAL},
		"Turned bad":     {"Bad news.", before("True", "PerconaReady"), condition.False(condition.TypeDatabaseReady, "PerconaNotReady", "m"), fnv1.Severity_SEVERITY_WARNING},
		"Worse":          {"Other bad news.", before("False", "PerconaNotReady"), condition.False(condition.TypeDatabaseReady, "PerconaPaused", "m"), fnv1.Severity_SEVERITY_WARNING},
		"Converged":      {"That nothing moves is no bad news.", before("True", "RollingOut"), condition.False(condition.TypeProgressing, "Converged", "m"), fnv1.Severity_SEVERITY_NORMAL},
		"NextStep":       {"Each step on the way is not announced.", before("True", "Scaling"), condition.True(condition.TypeProgressing, "RollingOut", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"NotYet":         {"Each step on the way is not announced.", before("False", "WaitingForDatabase"), condition.False(condition.TypeAvailable, "NoReplicasAvailable", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"AfterAProblem":  {"Crossplane set it to Unknown after a Fatal or an aborted call: nothing turned.", before("Unknown", "FatalError"), condition.True(condition.TypeDatabaseReady, "PerconaReady", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"OtherMessage":   {"Another text is no transition.", server.Condition{Status: "False", Reason: "SpecDiffers", Message: "a"}, condition.False(condition.TypeDatabaseUpToDate, "SpecDiffers", "b"), fnv1.Severity_SEVERITY_UNSPECIFIED},
		"OtherGoodThing": {"Good for another reason is not announced.", before("True", "Embedded"), condition.True(condition.TypeDatabaseReady, "External", "m"), fnv1.Severity_SEVERITY_UNSPECIFIED},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{}
			announce(rsp, tc.before, tc.now)
			var got fnv1.Severity
			for _, r := range rsp.GetResults() {
				got = r.GetSeverity()
				if r.GetReason() != tc.now.Reason || r.GetMessage() != tc.now.Type+": "+tc.now.Message || r.GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
					t.Errorf("%s\nannounce(...): got %v", tc.reason, r)
				}
			}
			if got != tc.want {
				t.Errorf("%s\nannounce(...): want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}
