// Package status writes what a person is told into the response: conditions,
// the XR's status, and events on transitions.
package status

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Report is what was decided about a server.
type Report struct {
	Server      *server.Server
	Seen        *observed.State
	Database    *database.Plan
	Credentials *dittofs.Credentials
	Config      *dittofs.Config
	Workload    *dittofs.Workload
	// Held lists what is wanted and not composed yet.
	Held []server.Key
	// Unready lists what is composed and not ready yet.
	Unready []server.Key
}

// Into the response go the conditions, the XR's status and readiness, and how
// soon to look again.
func (r *Report) Into(rsp *fnv1.RunFunctionResponse) error {
	conditions := r.conditions()
	for _, c := range conditions {
		report(rsp, c)
		announce(rsp, r.Server.XR.Conditions[c.Type], c)
	}

	waiting := r.heldBack() || len(r.Unready) > 0
	for _, c := range conditions {
		waiting = waiting || (c.Type == condition.TypeDatabaseReady && !c.True) || (c.Type == condition.TypeProgressing && c.True)
	}
	rsp.GetMeta().Ttl = durationpb.New(r.Server.TTL(waiting))

	return r.composite(rsp)
}

// heldBack tells that something that the spec asks for is not done yet, so
// that the XR is not ready, whatever its composed resources are (R15).
func (r *Report) heldBack() bool {
	return len(r.Held) > 0 || r.Database.Held || r.Database.Refused || r.Workload.Keep || r.Workload.Waits || !r.Workload.Start ||
		len(r.Credentials.Problems) > 0 || len(r.Config.Problems) > 0 || len(r.Database.Problems) > 0 ||
		(r.Server.WantsMonitor() && !r.Seen.MonitoringServed)
}

func (r *Report) conditions() []condition.Condition {
	available, progressing := r.available(), r.progressing()

	return []condition.Condition{
		available,
		r.configReady(),
		r.Database.Ready,
		r.Database.UpToDate,
		dittofs.Monitoring(r.Server, r.Seen),
		progressing,
		r.Workload.Storage,
	}
}

func (r *Report) configReady() condition.Condition {
	ok := condition.True(condition.TypeConfigReady, condition.ReasonConfigRendered, "The configuration is complete")
	problems := slices.Concat(r.Credentials.Problems, r.Config.Problems, r.Database.Problems)

	if len(problems) == 0 && !r.Credentials.Stored && !r.Workload.Keep && !r.Seen.StatefulSet().Live() {
		problems = append(problems, condition.Problem{
			Reason:  condition.ReasonSecretNotFound,
			Message: fmt.Sprintf("Secrets %s and %s are being made", r.Server.Identity(server.KeyJWTSecret).Name, r.Server.Identity(server.KeyAdminCredentials).Name),
		})
	}
	if r.Workload.Keep {
		problems = append(problems, r.kept(problems)...)
	}

	return condition.FromProblems(ok, append(problems, database.BackupProblems(r.Server, r.Seen)...))
}

// kept says why the pod is kept as it is, if nothing else does (R3).
func (r *Report) kept(problems []condition.Problem) []condition.Problem {
	const kept = "the running pod is kept as it is, with the configuration that it started with"

	switch {
	case r.Database.Refused:
		return []condition.Problem{{Reason: condition.ReasonInvalidSpec, Message: "The spec leads to another database, see DatabaseReady: " + kept}}
	case len(problems) > 0:
		return []condition.Problem{{Message: kept}}
	}
	if c := r.Database.Connected(r.Server.Namespace); !c.True {
		reason := condition.ReasonSecretNotFound
		if c.Reason == condition.ReasonConnectionSecretIncomplete {
			reason = condition.ReasonSecretKeyMissing
		}

		return []condition.Problem{{Reason: reason, Message: c.Message + ": " + kept}}
	}
	if !r.Database.Usable {
		return []condition.Problem{{Reason: condition.ReasonWaitingForDatabase, Message: "The database that the server is to move to cannot be used yet, see DatabaseReady: " + kept}}
	}

	return []condition.Problem{{Reason: condition.ReasonSecretNotFound, Message: "A Secret that the pod needs is being made: " + kept}}
}

func (r *Report) available() condition.Condition {
	sts := r.Seen.StatefulSet()
	not := func(reason, message string) condition.Condition {
		return condition.False(condition.TypeAvailable, reason, message)
	}

	switch {
	case !r.Workload.Start && !r.Database.Usable:
		return not(condition.ReasonWaitingForDatabase, "The server is started once its database can be used, see DatabaseReady")
	case !r.Workload.Start:
		return not(condition.ReasonWaitingForConfig, "The server is started once its configuration is complete, see "+r.blocking())
	case *r.Server.Spec.Replicas == 0 && sts.Int("status", "replicas") == 0:
		return condition.True(condition.TypeAvailable, condition.ReasonStopped, "The server is stopped, as spec.replicas asks")
	case sts.Int("status", "availableReplicas") > 0:
		return condition.True(condition.TypeAvailable, condition.ReasonMinimumReplicasAvailable, "The server is available")
	case !sts.Live():
		return not(condition.ReasonNoReplicasAvailable, "The server's StatefulSet is being created")
	}

	return not(condition.ReasonNoReplicasAvailable, fmt.Sprintf("The server's pod is not available: kubectl -n %s describe pod %s-0 tells why", r.Server.Namespace, r.Server.Name))
}

func (r *Report) progressing() condition.Condition {
	sts := r.Seen.StatefulSet()
	yes := func(reason, message string) condition.Condition {
		return condition.True(condition.TypeProgressing, reason, message)
	}

	switch {
	case !r.Workload.Start && !r.Database.Usable:
		return yes(condition.ReasonWaitingForDatabase, "The server waits for its database, see DatabaseReady")
	case !r.Workload.Start:
		return yes(condition.ReasonRollingOut, "The server waits for its configuration, see "+r.blocking())
	case !sts.Live():
		return yes(condition.ReasonRollingOut, "The StatefulSet is being created")
	case r.Workload.Waits:
		return yes(condition.ReasonRollingOut, "The server's pod is rolled out once its new configuration is stored")
	case r.Workload.Rolls && !r.ready(server.KeyStatefulSet):
		return yes(condition.ReasonRollingOut, "The server's pod is being rolled out")
	case r.ready(server.KeyStatefulSet):
		return condition.False(condition.TypeProgressing, condition.ReasonConverged, "The server runs as it is to run")
	case sts.Int("status", "replicas") != int64(*r.Server.Spec.Replicas):
		return yes(condition.ReasonScaling, "The server is being started or stopped, as spec.replicas asks")
	}

	return yes(condition.ReasonRollingOut, "The server's pod is being rolled out")
}

// blocking is the condition that says why a server is not started whose
// database can be used.
func (r *Report) blocking() string {
	if !r.Workload.Storage.True {
		return condition.TypeStorageUpToDate
	}

	return condition.TypeConfigReady
}

func (r *Report) ready(k server.Key) bool {
	return !slices.Contains(r.Unready, k)
}

// status of the XR: the fields that this function owns.
func (r *Report) status() v1alpha1.DittoServerStatus {
	sts := r.Seen.StatefulSet()
	endpoints := dittofs.Endpoints(r.Server, r.Workload)
	db := r.Database.Status

	s := v1alpha1.DittoServerStatus{
		Phase:              v1alpha1.PhasePending,
		Replicas:           pods(sts, "replicas"),
		ReadyReplicas:      pods(sts, "readyReplicas"),
		AvailableReplicas:  pods(sts, "availableReplicas"),
		PerconaClusterName: r.Database.ClusterName,
		Database:           &db,
		Endpoints:          &endpoints,
	}
	switch {
	case s.ReadyReplicas > 0:
		s.Phase = v1alpha1.PhaseRunning
	case sts.Live() && *r.Server.Spec.Replicas == 0 && s.Replicas == 0:
		s.Phase = v1alpha1.PhaseStopped
	}

	return s
}

func pods(sts observed.Object, field string) int32 {
	return int32(sts.Int("status", field)) //nolint:gosec // A number of pods.
}

// composite is the XR as it is to be: its status, and connection details if a
// claim wants them. What earlier steps of the pipeline want of it stays.
func (r *Report) composite(rsp *fnv1.RunFunctionResponse) error {
	ours := desired.New("", r.status(), false)
	if ours.Err != nil {
		return errors.Wrap(ours.Err, "cannot encode the status of the XR")
	}

	before := rsp.GetDesired().GetComposite()
	fields := maps.Clone(before.GetResource().GetFields())
	if fields == nil {
		fields = map[string]*structpb.Value{}
	}
	all := maps.Clone(fields["status"].GetStructValue().GetFields())
	if all == nil {
		all = map[string]*structpb.Value{}
	}
	maps.Copy(all, ours.Content.GetFields())
	fields["apiVersion"] = structpb.NewStringValue(r.Server.XR.APIVersion)
	fields["kind"] = structpb.NewStringValue(r.Server.XR.Kind)
	fields["status"] = structpb.NewStructValue(&structpb.Struct{Fields: all})

	xr := &fnv1.Resource{
		Resource:          &structpb.Struct{Fields: fields},
		ConnectionDetails: maps.Clone(before.GetConnectionDetails()),
		Ready:             before.GetReady(),
	}
	if r.heldBack() {
		xr.Ready = fnv1.Ready_READY_FALSE
	}
	if r.Server.XR.Claim {
		if xr.ConnectionDetails == nil {
			xr.ConnectionDetails = map[string][]byte{}
		}
		maps.Copy(xr.GetConnectionDetails(), dittofs.ConnectionDetails(r.Server, r.Credentials, r.Workload))
	}
	rsp.Desired = &fnv1.State{Composite: xr, Resources: rsp.GetDesired().GetResources()}

	return nil
}

// Refuse a request: one Fatal, so that Crossplane applies and deletes nothing,
// a condition with the same text, and the other conditions as they were (R9).
func Refuse(rsp *fnv1.RunFunctionResponse, xr server.XR, reason string, err error) *fnv1.RunFunctionResponse {
	for _, typ := range condition.Types() {
		if typ == condition.TypeConfigReady {
			report(rsp, condition.False(typ, reason, err.Error()))

			continue
		}
		if before, ok := xr.Conditions[typ]; ok {
			repeat(rsp, typ, before)
		}
	}
	response.Fatal(rsp, err)

	return rsp
}

func report(rsp *fnv1.RunFunctionResponse, c condition.Condition) {
	status := fnv1.Status_STATUS_CONDITION_FALSE
	if c.True {
		status = fnv1.Status_STATUS_CONDITION_TRUE
	}
	add(rsp, c.Type, status, c.Reason, c.Message)
}

func repeat(rsp *fnv1.RunFunctionResponse, typ string, c server.Condition) {
	status := fnv1.Status_STATUS_CONDITION_UNKNOWN
	switch c.Status {
	case "True":
		status = fnv1.Status_STATUS_CONDITION_TRUE
	case "False":
		status = fnv1.Status_STATUS_CONDITION_FALSE
	}
	add(rsp, typ, status, c.Reason, c.Message)
}

func add(rsp *fnv1.RunFunctionResponse, typ string, status fnv1.Status, reason, message string) {
	rsp.Conditions = append(rsp.GetConditions(), &fnv1.Condition{
		Type:    typ,
		Status:  status,
		Reason:  reason,
		Message: &message,
		Target:  fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum(),
	})
}

// announce a condition that changed by an event: never one that stays (R17).
// What comes and goes with every start is announced when it turns, not each
// step on its way.
func announce(rsp *fnv1.RunFunctionResponse, before server.Condition, c condition.Condition) {
	now := "False"
	if c.True {
		now = "True"
	}
	turned := before.Status != now
	moved := !c.True && before.Reason != c.Reason && c.Type != condition.TypeAvailable
	// Unknown is what Crossplane makes of it when a call was aborted.
	if before.Reason == "" || before.Status == "Unknown" || (!turned && !moved) {
		return
	}

	text := c.Type + ": " + c.Message
	if c.True || c.Type == condition.TypeProgressing {
		response.Normal(rsp, text).WithReason(c.Reason).TargetCompositeAndClaim()

		return
	}
	response.Warning(rsp, errors.New(text)).WithReason(c.Reason).TargetCompositeAndClaim()
}
