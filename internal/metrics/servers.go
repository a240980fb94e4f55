package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
)

// The function is not told when a server is deleted or paused: it is no longer
// called for it. So a server counts for a while after each call.
const (
	// minKept is the shortest while. Crossplane calls at least once per TTL of
	// the response, a minute by default, and waits up to 30 s after an error.
	minKept = 5 * time.Minute
	// keptTTLs is how many times the TTL of the last response it is, if that is
	// longer: a platform team may choose any TTL.
	keptTTLs = 3
	// maxServers that are counted, so that memory stays bounded: about 4 MB.
	maxServers = 20000
	// minSweep is the time between two searches for servers that are gone while
	// nobody collects and the limit is reached.
	minSweep = time.Minute
)

// phaseUnknown is the phase of a server without a status, as at first, or as
// long as it was refused from its first day.
const phaseUnknown v1alpha1.Phase = "Unknown"

// phases of a server, in the order in which they are kept.
func phases() []v1alpha1.Phase {
	return []v1alpha1.Phase{phaseUnknown, v1alpha1.PhasePending, v1alpha1.PhaseRunning, v1alpha1.PhaseStopped}
}

// watched are the types of conditions that are False when something is wrong or
// waited for. Progressing is not: False is its rest.
func watched() []string {
	return slices.DeleteFunc(condition.Types(), func(t string) bool { return t == condition.TypeProgressing })
}

// otherReason stands for a reason that is none of this version's: anybody who
// may write a status could otherwise make any number of time series.
const otherReason = "Other"

// maxWatched is how many types of conditions a sighting has room for.
const maxWatched = 8

// A sighting is what a server's status said when the function was last called
// for it. It is small, and refers to nothing of the request.
type sighting struct {
	until time.Time
	// phase is an index in phases.
	phase uint8
	// unmet has, by type as in watched, the index of a reason in reasons; 0 for
	// a condition that holds or is not known.
	unmet [maxWatched]uint8
}

// servers that the function was called for lately, by UID.
type servers struct {
	now func() time.Time

	// Constant after newServers.
	phases  []v1alpha1.Phase
	types   []string
	reasons []string // The first is that of a condition that holds.

	phaseIndex, typeIndex, reasonIndex map[string]uint8

	mu    sync.Mutex
	seen  map[string]sighting
	swept time.Time

	byPhase   *prometheus.Desc
	unmet     *prometheus.Desc
	uncounted prometheus.Counter
}

func newServers(now func() time.Time) *servers {
	s := &servers{
		now: now, phases: phases(), types: watched(),
		reasons:    append([]string{"", otherReason}, condition.Reasons()...),
		phaseIndex: map[string]uint8{}, typeIndex: map[string]uint8{}, reasonIndex: map[string]uint8{},
		seen: map[string]sighting{},
		byPhase: prometheus.NewDesc(prefix+"servers",
			"DittoServers that the function was called for lately, by the phase in their status.", []string{"phase"}, nil),
		unmet: prometheus.NewDesc(prefix+"unmet_conditions",
			"DittoServers whose status has this condition False, by its reason. Progressing is left out: it is False when all is well.", []string{"condition", "reason"}, nil),
		uncounted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "uncounted_calls_total",
			Help: "Calls for DittoServers that are in no other metric of servers, because too many are.",
		}),
	}
	for i, p := range s.phases {
		s.phaseIndex[string(p)] = uint8(i)
	}
	for i, t := range s.types {
		s.typeIndex[t] = uint8(i)
	}
	for i, r := range s.reasons {
		s.reasonIndex[r] = uint8(i)
	}

	return s
}

// saw a request for a server whose answer is good for a time. What no API
// server made has no UID and is no server.
func (s *servers) saw(req *fnv1.RunFunctionRequest, ttl time.Duration) {
	xr := req.GetObserved().GetComposite().GetResource().GetFields()
	uid := text(fields(xr["metadata"])["uid"])
	if uid == "" {
		return
	}
	status := fields(xr["status"])
	seen := sighting{phase: s.phaseIndex[text(status["phase"])]}
	for _, c := range status["conditions"].GetListValue().GetValues() {
		s.read(&seen, fields(c))
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	now := s.now()
	seen.until = now.Add(max(minKept, keptTTLs*ttl))
	if _, known := s.seen[uid]; !known && len(s.seen) >= maxServers {
		if now.Sub(s.swept) >= minSweep {
			s.sweep(now)
		}
		if len(s.seen) >= maxServers {
			s.uncounted.Inc()

			return
		}
	}
	s.seen[uid] = seen
}

// read a condition of a server's status.
func (s *servers) read(into *sighting, c map[string]*structpb.Value) {
	i, ok := s.typeIndex[text(c["type"])]
	if !ok || text(c["status"]) != "False" {
		return
	}
	reason, ok := s.reasonIndex[text(c["reason"])]
	if !ok || reason == 0 {
		reason = s.reasonIndex[otherReason]
	}
	into.unmet[i] = reason
}

// sweep out the servers that the function is no longer called for.
func (s *servers) sweep(now time.Time) {
	s.swept = now
	for uid, seen := range s.seen {
		if now.After(seen.until) {
			delete(s.seen, uid)
		}
	}
}

// Describe implements prometheus.Collector.
func (s *servers) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.byPhase
	ch <- s.unmet
	s.uncounted.Describe(ch)
}

// Collect implements prometheus.Collector.
func (s *servers) Collect(ch chan<- prometheus.Metric) {
	byPhase, unmet := s.count()
	for i, p := range s.phases {
		ch <- prometheus.MustNewConstMetric(s.byPhase, prometheus.GaugeValue, float64(byPhase[i]), string(p))
	}
	for i, t := range s.types {
		for r, n := range unmet[i] {
			ch <- prometheus.MustNewConstMetric(s.unmet, prometheus.GaugeValue, float64(n), t, s.reasons[r])
		}
	}
	s.uncounted.Collect(ch)
}

// count servers by phase, and by type and reason of their unmet conditions.
func (s *servers) count() (byPhase []int, unmet []map[uint8]int) {
	byPhase, unmet = make([]int, len(s.phases)), make([]map[uint8]int, len(s.types))
	for i := range unmet {
		unmet[i] = map[uint8]int{}
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	s.sweep(s.now())
	for _, seen := range s.seen {
		byPhase[seen.phase]++
		for i := range unmet {
			if r := seen.unmet[i]; r != 0 {
				unmet[i][r]++
			}
		}
	}

	return byPhase, unmet
}

func fields(v *structpb.Value) map[string]*structpb.Value { return v.GetStructValue().GetFields() }

func text(v *structpb.Value) string { return v.GetStringValue() }
