package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/campaign"
	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// What a campaign does is decided by its seed.
var (
	seed   = flag.Uint64("seed", 1, "of TestCampaign's sequences")                             //nolint:gochecknoglobals // A flag.
	rounds = flag.Int("rounds", 1, "how often TestCampaign deals all samples, with new seeds") //nolint:gochecknoglobals // A flag.
)

const (
	// A new server is compared with the walked one every so many operations,
	// and at the end.
	compareEvery = 12

	// Nothing happens for this long once all is done; longer on a machine on
	// which answers take long.
	calm     = 500 * time.Millisecond
	mostCalm = 2 * time.Second
	calmer   = 1

	settleTimeout   = 90 * time.Second
	databaseTimeout = 3 * time.Minute

	// Tries of shrinking a sequence that fails.
	shrinkTries = 8
	shrinkTime  = 40 * time.Second
)

// stageSet is what the samples refer to in each namespace.
const stageSet = `
apiVersion: v1
kind: Secret
metadata: {name: own}
stringData:
  jwt: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
  admin: clear text
  tls.crt: certificate
  tls.key: key
  ca.crt: authority
  ldap: clear text
  keytab: keytab
  krb5: "[libdefaults]"
  machine: clear text
  token: clear text
  env: clear text
  s3.conf: "[global]"
---
apiVersion: v1
kind: Secret
metadata: {name: pg}
stringData: {host: db.example.org, port: "5433", database: files, user: files, password: clear text}
---
apiVersion: v1
kind: Secret
metadata: {name: pg-other}
stringData: {host: other.example.org, database: files, user: files, password: clear text, sslmode: require}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: campaign}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

// clusterSet is what they refer to in the cluster. Nothing runs behind the
// ServiceMonitor.
const clusterSet = `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: campaign}
value: 1000
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: campaign}
provisioner: kubernetes.io/host-path
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.crossplane.io/v1
kind: Composition
metadata: {name: campaign}
spec:
  compositeTypeRef: {apiVersion: dittofs.io/v1alpha1, kind: DittoServer}
  mode: Pipeline
  pipeline:
  - step: function-dittoserver
    functionRef: {name: dittofs-function-dittoserver}
    input:
      apiVersion: dittoserver.fn.crossplane.io/v1beta1
      kind: Input
      policy: {allowServiceAccount: true, allowPerconaOverrides: true}
`

// watched kinds, the server's first.
func watched() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		world.DittoServer, world.PGCluster,
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
		{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"},
		{Version: "v1", Kind: "Service"},
		{Version: "v1", Kind: "ConfigMap"},
		{Version: "v1", Kind: "Secret"},
		{Version: "v1", Kind: "PersistentVolumeClaim"},
		{Version: "v1", Kind: "Pod"},
	}
}

// TestCampaign changes everything that a spec can say, takes it back, and makes
// mistakes, in random sequences. See package campaign.
func TestCampaign(t *testing.T) {
	beside(t)
	spec, err := campaign.ReadSpec("../../configuration/namespaced/xrd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := campaign.Samples()
	if err != nil {
		t.Fatal(err)
	}
	if err := earth.ApplyYAML(t.Context(), []byte(clusterSet)); err != nil {
		t.Fatal(err)
	}

	servers := slices.Sorted(maps.Keys(campaign.Bases()))
	var total tally
	t.Run("walks", func(t *testing.T) {
		for round := range uint64(*rounds) {
			t.Logf("seed %d", *seed+round)
			for _, walk := range campaign.Deal(samples, servers, *seed+round) {
				t.Run(fmt.Sprintf("%s-%d", walk.Server, *seed+round), func(t *testing.T) {
					t.Parallel()
					newTour(t, spec, walk.Server, &total).lead(walk.Ops)
				})
			}
		}
	})
	t.Log(total.String())
}

// TestCampaignMistakes makes every mistake that the schema can know of with
// every leaf.
func TestCampaignMistakes(t *testing.T) {
	s := together(t)
	spec, err := campaign.ReadSpec("../../configuration/namespaced/xrd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := campaign.Samples()
	if err != nil {
		t.Fatal(err)
	}
	if err := earth.ApplyYAML(t.Context(), []byte(clusterSet)); err != nil {
		t.Fatal(err)
	}
	leaves, made, refused := map[string]bool{}, 0, 0
	for _, server := range slices.Sorted(maps.Keys(campaign.Bases())) {
		for i := range samples {
			if !samples[i].Suits(server) {
				continue
			}
			valid := campaign.State{Base: campaign.Bases()[server]}.After(campaign.Op{Kind: campaign.Set, Sample: &samples[i]}).Spec()
			if _, err := apply(t.Context(), s, server, "valid", valid, client.DryRunAll); err != nil && !samples[i].Refused {
				t.Errorf("%s on %s is refused: %v", &samples[i], server, err)
			}
			for _, place := range spec.Places(valid) {
				if leaves[place.Leaf] {
					continue
				}
				leaves[place.Leaf] = true
				for _, mistake := range place.Schema.Mistakes() {
					made++
					_, err := apply(t.Context(), s, server, "mistaken", place.With(valid, mistake.Value), client.DryRunAll)
					switch {
					case err == nil:
						t.Errorf("%s: %s is accepted: %.80s", place.Leaf, mistake.Why, campaign.Text(mistake.Value))
					case !strings.Contains(err.Error(), place.Field()):
						t.Errorf("%s: %s is refused without a word of the field: %.300v", place.Leaf, mistake.Why, err)
					default:
						refused++
					}
				}
			}
		}
	}
	t.Logf("%d leaves of %d, %d mistakes, %d refused by the API server with the name of the field", len(leaves), len(spec.Leaves()), made, refused)
}

// TestCampaignAgain goes through what went wrong in a campaign, as short as it
// can be told.
func TestCampaignAgain(t *testing.T) {
	beside(t)
	spec, err := campaign.ReadSpec("../../configuration/namespaced/xrd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := campaign.Samples()
	if err != nil {
		t.Fatal(err)
	}
	if err := earth.ApplyYAML(t.Context(), []byte(clusterSet)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason string
		server string
		// ops are a kind and the beginning of a sample.
		ops []string
	}{
		"Quantities": {
			reason: "What only the API server knows about a StatefulSet has to be said first.",
			server: campaign.SQLite,
			ops: []string{
				"try resources.limits", "try podSecurityContext.fsGroup", "try podSecurityContext.supplementalGroups", "try securityContext.runAsUser",
				"try resources.claims",
			},
		},
		"OtherDatabase": {
			reason: "A change of the database that is refused leaves the rest of the spec its effect.",
			server: campaign.SQLite,
			ops:    []string{"set database =", "set service.type", "unset service.type", "unset database ="},
		},
		"Pause": {
			reason: "A database that is no longer paused runs.",
			server: campaign.Percona,
			ops:    []string{"set percona.pause", "unset percona.pause"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTour(t, spec, tc.server, &tally{})
			ops, err := campaign.Parse(samples, tc.ops)
			if err != nil {
				t.Fatal(err)
			}
			if w, n := r.play(ops); w != nil {
				t.Errorf("%s\nafter %d operations: %v", tc.reason, n, w)
			}
		})
	}
}

// apply a DittoServer as a user does: what the spec does not say is taken away.
// It returns the edit that this is.
func apply(ctx context.Context, s *world.Scenario, server, name string, spec map[string]any, opts ...client.ApplyOption) (edit, error) {
	e := edit{token: string(uuid.NewUUID())}
	spec = campaign.Copy(spec)
	if server != campaign.SQLite {
		spec["crossplane"] = map[string]any{"compositionRef": map[string]any{"name": "campaign"}}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(world.DittoServer)
	u.SetNamespace(s.Namespace)
	u.SetName(name)
	u.SetAnnotations(map[string]string{world.AnnotationReconcile: e.token})
	err := s.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), append(opts, client.FieldOwner(cluster.Owner), client.ForceOwnership)...)
	e.generation = u.GetGeneration()
	return e, err
}

// An edit of a server's spec: the generation that it made, and the token by
// which Crossplane's log names the reconcile that has read it.
type edit struct {
	generation int64
	token      string
}

// A tally of what was done.
type tally struct {
	mu                           sync.Mutex
	ops, changes, mistakes, news int
	seen                         map[string]bool
	leaves                       int
}

func (c *tally) add(f func(c *tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

func (c *tally) String() string {
	return fmt.Sprintf("%d operations: %d changes and reverses, %d mistakes; %d comparisons with new servers; %d of %d leaves of spec were set",
		c.ops, c.changes, c.mistakes, c.news, len(c.seen), c.leaves)
}

// A wrong is what a tour found.
type wrong struct{ oracle, text string }

func (w *wrong) Error() string { return w.oracle + ": " + w.text }

// A tour leads servers of one kind through operations.
type tour struct {
	*world.Scenario

	kind  string
	spec  *campaign.Schema
	watch *campaign.Watch
	total *tally
	// made is how many servers there were.
	made int
	// latency of the latest changes.
	latency time.Duration
}

// calm that the machine needs now.
func (r *tour) calm() time.Duration {
	return min(max(calm, calmer*r.latency), mostCalm)
}

// answered after some time.
func (r *tour) answered(after time.Duration) {
	const memory = 2
	r.latency = max(after, (r.latency+after)/memory)
}

func newTour(t *testing.T, spec *campaign.Schema, kind string, total *tally) *tour {
	t.Helper()
	s := earth.Scenario(t)
	if err := s.PretendPods(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Apply(stageSet)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return &tour{Scenario: s, kind: kind, spec: spec, watch: campaign.NewWatch(ctx, s.Client, s.Namespace, watched()...), total: total}
}

// lead a server through a sequence, and shrink it if something is wrong.
func (r *tour) lead(ops []campaign.Op) {
	r.Helper()
	for done := 0; done < len(ops); {
		w, n := r.play(ops[done:])
		if w == nil {
			return
		}
		failing := ops[done : done+n]
		if w.oracle == "begin" {
			r.Fatal(w.Error())
		}
		r.Step("WRONG after %d operations, %.1500s", n, w.Error())
		began := time.Now()
		if last := failing[n-1]; last.Kind == campaign.Refuse && w.oracle == "explain" {
			failing = failing[n-1:] // What came before has no part in it.
		}
		shrunk := campaign.Shrink(failing, shrinkTries, func(fewer []campaign.Op) bool {
			if time.Since(began) > shrinkTime {
				return false
			}
			again, _ := r.play(fewer)
			return again != nil && again.oracle == w.oracle
		})
		r.Errorf("%.4000s\n\nafter\n%s\nout of\n%s", w.Error(), campaign.Print(shrunk), campaign.Print(failing))
		// The rest is gone through with another server.
		done += n
	}
}

// play operations on a new server. It returns what is wrong, and after how many
// operations.
func (r *tour) play(ops []campaign.Op) (*wrong, int) {
	r.made++
	v := &visit{tour: r, name: fmt.Sprintf("walked%d", r.made), state: campaign.State{Base: campaign.Bases()[r.kind]}, memo: map[string]campaign.Objects{}, past: map[string]bool{}}
	defer v.leave(v.name)
	if w := v.begin(); w != nil {
		return w, 1
	}
	for i, op := range ops {
		if op.Kind == campaign.Unset && !slices.Contains(v.state.Active, op.Sample) {
			continue // What set it was left out, or went wrong.
		}
		var w *wrong
		if op.Kind == campaign.Refuse {
			w = v.mistake(op)
		} else {
			w = v.change(op)
		}
		r.total.add(func(c *tally) { c.ops++ })
		if (i+1)%compareEvery == 0 {
			r.Step("%d of %d operations", i+1, len(ops))
		}
		if w == nil && (i == len(ops)-1 || (r.kind != campaign.Percona && (i+1)%compareEvery == 0)) {
			w = v.compare()
		}
		if w != nil {
			return w, i + 1
		}
	}
	return nil, len(ops)
}

// A visit is one server on its way.
type visit struct {
	*tour

	name  string
	state campaign.State
	// memo has the objects that the server had with a spec.
	memo map[string]campaign.Objects
	// past are the rules by which what the spec said once still shows.
	past map[string]bool
	// edits so far; see spec.
	edits int64
	// done is the token of the latest edit that is reconciled.
	done string
}

// canary is the first port that a canary has.
const canary = 20000

// spec of the state, with a canary: a port that is another one after each edit,
// and that the status repeats. Crossplane says Synced of a generation that it
// has not composed, if the edit falls into a reconcile of the last one; a
// status with the canary is made from the edit.
func (v *visit) specOf(state campaign.State) map[string]any {
	spec := state.Spec()
	if v.sings(state) {
		adapters, ok := spec["adapters"].(map[string]any)
		if !ok {
			adapters = map[string]any{}
			spec["adapters"] = adapters
		}
		adapters["smb"] = map[string]any{"servicePort": canary + v.edits}
	}
	return spec
}

// sings tells that the canary's port is not taken.
func (v *visit) sings(state campaign.State) bool {
	return !slices.ContainsFunc(state.Active, func(s *campaign.Sample) bool { return strings.HasPrefix(s.Path, "adapters.smb") })
}

// heard tells that the status is made from the latest edit.
func (v *visit) heard(xr *unstructured.Unstructured) bool {
	endpoint, _, _ := unstructured.NestedString(xr.Object, "status", "endpoints", "smb")
	return !v.sings(v.state) || strings.HasSuffix(endpoint, fmt.Sprintf(":%d", canary+v.edits))
}

// muted objects have no canary.
func muted(objects campaign.Objects) campaign.Objects {
	out := campaign.Objects{}
	for key, object := range objects {
		if strings.HasSuffix(key, "-connection") || strings.HasSuffix(key, "-adapter-smb") {
			continue
		}
		out[key] = object
	}
	return out
}

func (r *tour) timeout() time.Duration {
	if r.kind == campaign.Percona {
		return databaseTimeout
	}
	return settleTimeout
}

// begin with the server's base.
func (v *visit) begin() *wrong {
	made, err := apply(v.Context(), v.Scenario, v.kind, v.name, v.specOf(v.state))
	if err != nil {
		return &wrong{"begin", err.Error()}
	}
	if w := v.settle(v.name, made, false); w != nil {
		return w
	}
	return v.remember()
}

// change the spec, or take a change back.
func (v *visit) change(op campaign.Op) *wrong {
	next := v.state.After(op)
	before := len(v.watch.Templates(v.name))
	v.edits++
	made, err := apply(v.Context(), v.Scenario, v.kind, v.name, v.specOf(next))
	if err != nil {
		return &wrong{"valid", fmt.Sprintf("%s is refused: %v", op, err)}
	}
	stuck := slices.ContainsFunc(next.Active, func(s *campaign.Sample) bool { return s.Stuck })
	v.state = next
	v.total.add(func(c *tally) {
		c.changes++
		if c.seen == nil {
			c.seen, c.leaves = map[string]bool{}, len(v.spec.Leaves())
		}
		for _, p := range v.spec.Places(next.Spec()) {
			c.seen[p.Leaf] = true
		}
	})
	if w := v.settle(v.name, made, stuck); w != nil {
		w.text = op.String() + ": " + w.text
		return w
	}
	if wrongs := v.watch.Wrongs(v.name); len(wrongs) > 0 {
		return &wrong{"data", op.String() + ": " + strings.Join(wrongs, ", ")}
	}
	templates := v.watch.Templates(v.name)
	switch n := len(templates) - before; {
	case n > 0 && op.Sample.Quiet:
		return &wrong{"restart", fmt.Sprintf("%s must not restart the pod, and changes its template: %s", op, difference(templates[before-1], templates[before]))}
	case n > 1:
		return &wrong{"restarts", fmt.Sprintf("%s changes the template %d times", op, n)}
	}
	return v.remember()
}

// difference of two texts of JSON.
func difference(a, b string) string {
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal([]byte(a), &before), json.Unmarshal([]byte(b), &after)); err != nil {
		return err.Error()
	}
	return campaign.Diff(campaign.Objects{"template": before}, campaign.Objects{"template": after})
}

// remember the objects that belong to the spec, or compare them with those that
// it had before.
func (v *visit) remember() *wrong {
	now := muted(campaign.Clean(v.watch.Composed(v.name)))
	key := campaign.Text(v.state.Spec())
	before, known := v.memo[key]
	v.memo[key] = now
	if !known {
		return nil
	}
	self := v.server(v.name)
	// What follows the live object does not come back: see R4, R6 and R24.
	if d := campaign.Diff(before, now); d != "" {
		a, errA := self.General(before)
		b, errB := self.General(now)
		if errA != nil || errB != nil {
			return &wrong{"reverse", fmt.Sprint(errA, errB)}
		}
		campaign.Excuse(v.rules(), b, a)
		campaign.Excuse(v.rules(), a, b)
		if rest := campaign.Diff(a, b); rest != "" {
			return &wrong{"reverse", "the objects are not what they were: " + rest}
		}
		if len(v.rules()) == 0 && !strings.Contains(d, "-jwt-secret") && !strings.Contains(d, "-admin-bootstrap") && !strings.Contains(d, "-connection") {
			return &wrong{"reverse", "the objects are not what they were: " + d}
		}
	}
	return nil
}

// rules by which the server may differ from a new one now.
func (v *visit) rules() []string {
	rules := v.state.Unlike()
	xr := v.watch.XR(v.name)
	if world.Condition(xr, "DatabaseReady").Reason == "DatabaseChangeRefused" {
		rules = append(rules, "R22")
	}
	for _, a := range v.state.Active {
		switch a.Path {
		case "image":
			v.past["R24"] = true
		case "identity.ldap", "identity.kerberos":
			v.past["carried"] = true
		}
	}
	rules = slices.AppendSeq(rules, maps.Keys(v.past))
	if v.kind == campaign.Percona {
		if c := world.Condition(xr, "DatabaseUpToDate"); c.Status == metav1.ConditionFalse {
			rules = append(rules, "R6")
		}
	}
	return rules
}

func (v *visit) server(name string) campaign.Server {
	return campaign.Server{Name: name, Namespace: v.Namespace, UID: string(v.watch.XR(name).GetUID())}
}

// mistake that the API server or the function has to refuse, and nothing
// changes.
func (v *visit) mistake(op campaign.Op) *wrong {
	v.total.add(func(c *tally) { c.mistakes++ })
	before := v.watch.Versions(v.name)
	made, err := apply(v.Context(), v.Scenario, v.kind, v.name, v.specOf(v.state.After(op)))
	if err != nil {
		field := op.Sample.Names[strings.LastIndex(op.Sample.Names, ".")+1:]
		if !strings.Contains(err.Error(), field) {
			return &wrong{"explain", fmt.Sprintf("%s is refused without the name of the field: %v", op, err)}
		}
		return nil
	}
	missed := ""
	err = v.watch.Until(v.Context(), v.name, v.timeout(), v.calm(), func() error {
		xr := v.watch.XR(v.name)
		synced, config := world.Condition(xr, "Synced"), world.Condition(xr, "ConfigReady")
		if missed = ""; synced.ObservedGeneration < made.generation {
			return fmt.Errorf("generation %d is not seen: %+v", made.generation, synced)
		}
		if err := v.through(v.name, made); err != nil {
			return err
		}
		switch {
		case config.Reason == "InvalidSpec" && strings.Contains(config.Message, op.Sample.Names):
			return nil
		case synced.Status == metav1.ConditionFalse && config.Reason != "InvalidSpec" && strings.HasPrefix(synced.Message, "Unsynced"):
			missed = synced.Message // The API server has the last word.
			return nil
		}
		return fmt.Errorf("ConfigReady is %s: %s, want InvalidSpec and %s", config.Reason, config.Message, op.Sample.Names)
	})
	if err == nil && missed != "" {
		err = fmt.Errorf("ConfigReady is %s, Synced is False: %s: %s", world.Condition(v.watch.XR(v.name), "ConfigReady").Reason, missed, v.warning())
	}
	if err != nil {
		return &wrong{"explain", fmt.Sprintf("%s is not explained: %v", op, err)}
	}
	if d := cmp.Diff(before, v.watch.Versions(v.name)); d != "" {
		return &wrong{"mistake", fmt.Sprintf("%s changes objects: %s", op, d)}
	}
	if made, err = apply(v.Context(), v.Scenario, v.kind, v.name, v.specOf(v.state)); err != nil {
		return &wrong{"mistake", fmt.Sprintf("%s cannot be taken back: %v", op, err)}
	}
	if w := v.settle(v.name, made, true); w != nil {
		w.text = op.String() + ", taken back: " + w.text
		return w
	}
	if d := cmp.Diff(before, v.watch.Versions(v.name)); d != "" {
		return &wrong{"mistake", fmt.Sprintf("%s, taken back, changes objects: %s", op, d)}
	}
	return nil
}

// warning is the last that Crossplane gave about the server.
func (v *visit) warning() string {
	var events corev1.EventList
	if err := v.List(v.Context(), &events, client.InNamespace(v.Namespace)); err != nil {
		return err.Error()
	}
	var last corev1.Event
	for _, e := range events.Items {
		if e.InvolvedObject.Name == v.name && e.Type == corev1.EventTypeWarning && !e.LastTimestamp.Before(&last.LastTimestamp) {
			last = e
		}
	}
	return last.Message
}

// settle waits until all is done. A pod that is stuck is not waited for.
func (v *visit) settle(name string, made edit, stuck bool) *wrong {
	generation := made.generation
	began, answered, fatal := time.Now(), false, ""
	err := v.watch.Until(v.Context(), name, v.timeout(), v.calm(), func() error {
		xr := v.watch.XR(name)
		if xr == nil {
			return fmt.Errorf("there is no DittoServer %s", name)
		}
		if c := world.Condition(xr, "Synced"); c.ObservedGeneration >= generation && strings.Contains(c.Message, "fatal result") && world.Condition(xr, "ConfigReady").Reason == "InvalidSpec" && !stuck {
			fatal = c.Message
			return nil
		}
		fatal = ""
		if c := world.Condition(xr, "Synced"); c.Status != metav1.ConditionTrue || c.ObservedGeneration < generation {
			return fmt.Errorf("generation %d is not synced: %+v", generation, c)
		}
		// A server that keeps its database says InvalidSpec too, and is Synced.
		if kept := world.Condition(xr, "DatabaseReady").Reason == "DatabaseChangeRefused"; !v.heard(xr) || (!kept && world.Condition(xr, "ConfigReady").Reason == "InvalidSpec") {
			return fmt.Errorf("the status is not made from the latest edit: want a port of %d, got %s; ConfigReady is %s", canary+v.edits, campaign.Text(xr.Object["status"]), world.Condition(xr, "ConfigReady").Reason)
		}
		if err := v.through(name, made); err != nil {
			return err
		}
		if !answered {
			answered = true
			v.answered(time.Since(began))
		}
		if c := world.Condition(xr, "Responsive"); c.Status == metav1.ConditionFalse {
			return fmt.Errorf("it is not responsive: %s", c.Message)
		}
		if stuck || v.pausedDatabase() {
			return nil
		}
		for _, kind := range []string{"Available", "Ready"} {
			if c := world.Condition(xr, kind); c.Status != metav1.ConditionTrue {
				// A server that keeps its template says so, and works.
				if kind == "Ready" && len(v.rules()) > 0 {
					continue
				}
				return fmt.Errorf("%s is %s %s: %s", kind, c.Status, c.Reason, c.Message)
			}
		}
		if c := world.Condition(xr, "Progressing"); c.Status == metav1.ConditionTrue {
			return fmt.Errorf("Progressing is %s: %s", c.Reason, c.Message)
		}
		return nil
	})
	if err == nil && fatal != "" {
		err = errors.New("it is refused: " + fatal)
	}
	if err != nil {
		return &wrong{"settle", err.Error()}
	}
	return nil
}

// through tells that Crossplane is through with a reconcile that has read an
// edit. Synced and the status may be of one that had not. What that reconcile
// wrote may still be on its way here.
func (v *visit) through(name string, made edit) error {
	if v.done == made.token {
		return nil
	}
	done, err := v.Answered(name, made.token)
	if err == nil && !done {
		err = fmt.Errorf("generation %d is not reconciled", made.generation)
	}
	if err == nil {
		v.done = made.token
		v.watch.Touch(name)
	}
	return err
}

func (v *visit) pausedDatabase() bool {
	return slices.Contains(v.state.Unlike(), "R1")
}

// compare the server with a new one of the same spec.
func (v *visit) compare() *wrong {
	rules := v.rules()
	if slices.Contains(rules, "R1") {
		return nil // A new server would wait for its database.
	}
	v.made++
	name := fmt.Sprintf("fresh%d", v.made)
	defer v.leave(name)
	made, err := apply(v.Context(), v.Scenario, v.kind, name, v.specOf(v.state))
	if err != nil {
		return &wrong{"new", err.Error()}
	}
	if w := v.settle(name, made, slices.Contains(rules, "R22")); w != nil {
		w.text = "a new server: " + w.text
		return w
	}
	v.total.add(func(c *tally) { c.news++ })
	fresh, err := v.server(name).General(campaign.Clean(v.watch.Composed(name)))
	if err != nil {
		return &wrong{"new", err.Error()}
	}
	walked, err := v.server(v.name).General(campaign.Clean(v.watch.Composed(v.name)))
	if err != nil {
		return &wrong{"new", err.Error()}
	}
	campaign.Excuse(rules, walked, fresh)
	if d := campaign.Diff(fresh, walked); d != "" {
		return &wrong{"new", fmt.Sprintf("the server differs from a new one with the spec %s: %s", campaign.Text(v.state.Spec()), d)}
	}
	return nil
}

// leave a server: it is deleted, with what it leaves.
func (v *visit) leave(name string) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(world.DittoServer)
	u.SetNamespace(v.Namespace)
	u.SetName(name)
	if err := v.Delete(v.Context(), u); client.IgnoreNotFound(err) != nil {
		v.Errorf("cannot delete %s: %v", name, err)
	}
	_ = v.watch.Until(v.Context(), name, v.timeout(), v.calm(), func() error {
		if v.watch.XR(name) != nil {
			return fmt.Errorf("DittoServer %s is there", name)
		}
		return nil
	})
	_ = v.DeleteAllOf(v.Context(), &corev1.PersistentVolumeClaim{}, client.InNamespace(v.Namespace), client.MatchingLabels{"instance": name})
	cluster := &unstructured.Unstructured{}
	cluster.SetGroupVersionKind(world.PGCluster)
	_ = v.DeleteAllOf(v.Context(), cluster, client.InNamespace(v.Namespace), client.MatchingLabels{"dittofs.io/server": name})
}
