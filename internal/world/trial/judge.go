package trial

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// A Look is one reconcile that is judged.
type Look struct {
	// Before and After the reconcile.
	Before, After *Trial
	Outcome       *world.Outcome
	// Faulty tells that the reconcile had a stale view, or that the process
	// died on the way.
	Faulty bool
	// Stale objects of that view.
	Stale map[world.Key]*world.Object
}

// A ViolationError tells which rule is violated.
type ViolationError struct {
	Rule string
	Err  error
}

// Error says which rule was broken, and how.
func (v *ViolationError) Error() string { return v.Rule + ": " + v.Err.Error() }

// A Judge looks at reconciles. It remembers what each configuration hash stood
// for, over all worlds, and may be used by several goroutines.
type Judge struct {
	mu     sync.Mutex
	inputs map[string]string // By hash.
	hashes map[string]string // By inputs.
}

// NewJudge returns a judge who has seen nothing yet.
func NewJudge() *Judge { return &Judge{inputs: map[string]string{}, hashes: map[string]string{}} }

// Names of the rules about single reconciles, and about where they lead.
const (
	RuleKeeps      = "what is observed stays desired (R1)"
	RuleServed     = "only kinds that are served are composed or asked for (R8)"
	RuleDiscreet   = "secrets stay secret (R19)"
	RuleTells      = "every condition is told on every call (R9, R16)"
	RuleExplicit   = "readiness is explicit, and not ready while anything is held back (R15)"
	RuleDeletes    = "nothing is deleted (R1, R7)"
	RuleMadeOnce   = "a generated Secret's value never changes (R4)"
	RuleAdmin      = "the administrator's password is the one in the data (R4)"
	RuleHash       = "the hash changes exactly when an input changes (R3)"
	RuleRestarts   = "pods restart only for a reason (R3, R24)"
	RuleComplete   = "a new template refers to nothing that is missing (R3)"
	RuleGate       = "a server is made only once its database is usable (R1)"
	RuleEdits      = "people's edits to the cluster survive (R6)"
	RuleDatabase   = "a running server keeps its database (R22)"
	RuleHandsOff   = "objects of others are left alone (R23)"
	RuleAccepted   = "the API server accepts what is composed"
	RuleCalm       = "a converged server is left in peace (R17, R18)"
	RulePure       = "equal requests get equal answers, and are not written to (R18)"
	RuleSurvival   = "deletion takes what it was told to take, and no more (R7)"
	RuleArrives    = "fair reconciling reaches the desired state"
	RuleStabilizes = "fair reconciling comes to rest"
)

// Rules by name.
func Rules() []string {
	return []string{
		RuleKeeps, RuleServed, RuleDiscreet, RuleTells, RuleExplicit, RuleDeletes, RuleMadeOnce, RuleAdmin, RuleHash,
		RuleRestarts, RuleComplete, RuleGate, RuleEdits, RuleDatabase, RuleHandsOff, RuleAccepted, RuleCalm, RulePure,
		RuleSurvival, RuleArrives, RuleStabilizes,
	}
}

// Reconcile judges one reconcile, and keeps what it has to remember in After.
func (j *Judge) Reconcile(l Look) error {
	rules := []struct {
		name  string
		check func(Look) error
	}{
		{RuleDeletes, deletes},
		{RuleKeeps, keeps},
		{RuleServed, served},
		{RuleDiscreet, discreet},
		{RuleTells, tells},
		{RuleExplicit, explicit},
		{RuleMadeOnce, madeOnce},
		{RuleAdmin, admin},
		{RuleHash, j.hash},
		{RuleRestarts, restarts},
		{RuleComplete, complete},
		{RuleGate, gate},
		{RuleEdits, editsSurvive},
		{RuleDatabase, database},
		{RuleHandsOff, handsOff},
		{RuleAccepted, accepted},
	}
	for _, r := range rules {
		if err := r.check(l); err != nil {
			return &ViolationError{Rule: r.name, Err: err}
		}
	}

	if l.Outcome.Err == nil && !l.Outcome.Crashed && l.Outcome.XR != nil {
		l.After.Past.Spec = written(l.Outcome.XR)
	}

	return nil
}

// optional keys leave desired state when the spec says so.
func optional(l Look, k server.Key) bool {
	off := func(path ...string) bool {
		is, found := l.Outcome.XR.Value(append([]string{"spec"}, path...)...).(bool)

		return found && !is
	}
	on := func(path ...string) bool {
		is, _ := l.Outcome.XR.Value(append([]string{"spec"}, path...)...).(bool)

		return is
	}
	switch k {
	case server.KeyMetricsService:
		return !on("metrics", "enabled")
	case server.KeyServiceMonitor:
		return !on("metrics", "enabled") || !on("metrics", "serviceMonitor", "enabled")
	case server.KeyNFSService:
		return off("adapters", "nfs", "enabled")
	case server.KeySMBService:
		return off("adapters", "smb", "enabled")
	case server.KeyNetworkPolicy:
		return off("networkPolicy", "enabled")
	}

	return false
}

func fatal(rsp *fnv1.RunFunctionResponse) bool {
	return slices.ContainsFunc(rsp.GetResults(), func(r *fnv1.Result) bool { return r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL })
}

// keeps judges every call of the requirements loop, also those that Crossplane
// throws away.
func keeps(l Look) error {
	for i, c := range l.Outcome.Calls {
		if fatal(c.Response) {
			continue
		}
		for name := range c.Request.GetObserved().GetResources() {
			if c.Response.GetDesired().GetResources()[name] == nil && !optional(l, server.Key(name)) {
				return errors.Errorf("call %d drops %s", i+1, name)
			}
		}
	}

	return nil
}

func served(l Look) error {
	for i, c := range l.Outcome.Calls {
		for name, r := range c.Response.GetDesired().GetResources() {
			f := r.GetResource().GetFields()
			gvk := schema.FromAPIVersionAndKind(f["apiVersion"].GetStringValue(), f["kind"].GetStringValue())
			if !l.Before.Server.Served(gvk) {
				return errors.Errorf("call %d composes %s of kind %s", i+1, name, gvk.Kind)
			}
		}
		for name, s := range c.Response.GetRequirements().GetResources() {
			gvk := schema.FromAPIVersionAndKind(s.GetApiVersion(), s.GetKind())
			if !l.Before.Server.Served(gvk) {
				return errors.Errorf("call %d asks for %s of kind %s", i+1, name, gvk.Kind)
			}
		}
	}

	return nil
}

// discreet looks for the values of all Secrets in everything but Secrets.
func discreet(l Look) error {
	c := l.Outcome.Final()
	if c == nil {
		return nil
	}

	var told []byte
	add := func(m proto.Message) {
		b, err := proto.MarshalOptions{}.MarshalAppend(told, m)
		if err == nil {
			told = b
		}
	}
	for _, r := range c.Response.GetDesired().GetResources() {
		if r.GetResource().GetFields()["kind"].GetStringValue() != "Secret" {
			add(r)
		}
	}
	for _, m := range c.Response.GetConditions() {
		add(m)
	}
	for _, m := range c.Response.GetResults() {
		add(m)
	}
	// Connection details are a Secret by another name.
	add(c.Response.GetDesired().GetComposite().GetResource())

	for _, t := range []*Trial{l.Before, l.After} {
		for _, k := range t.Server.Keys() {
			if k.GroupVersionKind != world.GVKSecret {
				continue
			}
			data, _ := t.Server.Find(k).Value("data").(map[string]any)
			for _, key := range []string{"password", "verifier", "uri", "jdbc-uri", "tls.key", "root.key", server.JWTSecretKey} {
				v, _ := data[key].(string)
				plain, _ := base64.StdEncoding.DecodeString(v)
				if len(plain) >= 8 && (bytes.Contains(told, plain) || bytes.Contains(told, []byte(v))) {
					return errors.Errorf("the response tells %s of %s", key, k)
				}
			}
		}
	}

	return nil
}

// conditionTypes of design/api.md that are told on every call.
func conditionTypes() []string {
	return []string{"Available", "ConfigReady", "DatabaseReady", "DatabaseUpToDate", "Progressing", "StorageUpToDate"}
}

func tells(l Look) error {
	if c := l.Outcome.Final(); c != nil {
		told := map[string]bool{}
		for _, cond := range c.Response.GetConditions() {
			told[cond.GetType()] = true
		}
		for _, t := range conditionTypes() {
			if had, _, _ := world.Condition(l.Outcome.XR, t); !told[t] && (had != "" || !fatal(c.Response)) {
				return errors.Errorf("%s is missing", t)
			}
		}
	}
	if l.Outcome.Err != nil && l.Outcome.Fatal == "" {
		return nil // Crossplane sets them to Unknown by itself.
	}
	for _, t := range conditionTypes() {
		if _, reason, _ := world.Condition(l.After.Observe(), t); reason == "FatalError" && !l.Faulty {
			if _, was, _ := world.Condition(l.Before.Observe(), t); was != reason {
				return errors.Errorf("%s became Unknown", t)
			}
		}
	}

	return nil
}

func explicit(l Look) error {
	c := l.Outcome.Final()
	if c == nil || fatal(c.Response) {
		return nil
	}

	desired := c.Response.GetDesired()
	for name, r := range desired.GetResources() {
		if r.GetReady() == fnv1.Ready_READY_UNSPECIFIED {
			return errors.Errorf("it says nothing about %s", name)
		}
	}
	if desired.GetComposite().GetReady() != fnv1.Ready_READY_FALSE && desired.GetResources()[string(server.KeyStatefulSet)] == nil {
		return errors.New("it does not say that the XR is not ready, though there is no server")
	}

	return nil
}

func deletes(l Look) error {
	for _, w := range l.Outcome.Writes {
		if w.Verb == "delete" && !optional(l, server.Key(w.Name)) {
			return errors.Errorf("it deleted %s", w.Key)
		}
	}

	return nil
}

// generated keys of Secrets.
func generated(k server.Key) string {
	switch k {
	case server.KeyJWTSecret:
		return server.JWTSecretKey
	case server.KeyAdminCredentials:
		return server.AdminPasswordKey
	}

	return ""
}

func madeOnce(l Look) error {
	for _, w := range l.Outcome.Writes {
		key := generated(server.Key(w.Name))
		if key == "" || w.Before == nil || w.After == nil {
			continue
		}
		if was, is := w.Before.Text("data", key), w.After.Text("data", key); was != "" && was != is {
			return errors.Errorf("%s of %s changed", key, w.Key)
		}
	}

	return nil
}

// admin: once a server, a volume or a database may have the password in its
// data, a Secret that is made anew must hold the same.
func admin(l Look) error {
	for _, w := range l.Outcome.Writes {
		if w.Name != string(server.KeyAdminCredentials) || w.After == nil {
			continue
		}
		is := w.After.Text("data", server.AdminPasswordKey)
		if w.Before == nil && l.Before.Past.Admin != "" && l.Before.Past.Admin != is && l.Before.hasData() {
			return errors.Errorf("%s was made with another password, though a server, a volume or a database has the old one", w.Key)
		}
		l.After.Past.Admin = is
		l.After.Past.Booted = l.After.Past.Booted && l.Before.hasData()
	}
	if l.After.Find(server.KeyStatefulSet) != nil {
		l.After.Past.Booted = true
	}

	return nil
}

// hasData tells whether anything is live that may hold the first password. A
// cluster of this XR's that no server has run on holds nothing.
func (t *Trial) hasData() bool {
	c := t.Find(server.KeyCluster)

	return t.Find(server.KeyStatefulSet) != nil || len(t.Claims()) > 0 ||
		(c != nil && (t.Past.Booted || c.Controller() != t.Observe().UID()))
}

// hash: over all worlds, one hash stands for one set of inputs and the other
// way round.
func (j *Judge) hash(l Look) error {
	for _, w := range l.Outcome.Writes {
		is := annotation(w.After, server.AnnotationConfigHash)
		if w.Name != string(server.KeyStatefulSet) || w.After == nil || is == annotation(w.Before, server.AnnotationConfigHash) {
			continue
		}
		if old, tmp := l.Stale[w.Key]; tmp && annotation(old, server.AnnotationConfigHash) == is {
			continue // TEMPORARY
		}
		if len(is) != 2*sha256.Size {
			return errors.Errorf("%q is not a SHA-256", is)
		}
		inputs, ok := desiredInputs(l)
		if !ok {
			continue // RuleComplete knows more.
		}
		if err := j.learn(is, inputs); err != nil {
			return err
		}
	}

	return nil
}

// desiredInputs are the inputs that the new template was made for: from the
// objects that come with it, else from what is there.
func desiredInputs(l Look) (string, bool) {
	t := l.After.Clone()
	for _, r := range l.Outcome.Final().Response.GetDesired().GetResources() {
		f := r.GetResource().GetFields()
		if kind := f["kind"].GetStringValue(); kind != "Secret" && kind != "ConfigMap" {
			continue
		}
		content := r.GetResource().AsMap()
		k := world.KeyOf(content)
		k.Namespace = t.Config.Namespace
		if o := t.Server.Find(k); o != nil {
			_ = t.Server.Edit(k, "judge", func(c map[string]any) { c["data"] = content["data"] })

			continue
		}
		_, _ = t.Server.Update(content, "judge")
	}

	return t.Inputs()
}

func (j *Judge) learn(hash, inputs string) error {
	j.mu.Lock()
	defer j.mu.Unlock()

	if was, ok := j.inputs[hash]; ok && was != inputs {
		return errors.Errorf("the hash is the same for other inputs: %s", difference(was, inputs))
	}
	if was, ok := j.hashes[inputs]; ok && was != hash {
		return errors.New("the hash is another one for the same inputs")
	}
	j.inputs[hash], j.hashes[inputs] = inputs, hash

	return nil
}

// difference names the inputs that differ, not their values.
func difference(a, b string) string {
	var names []string
	in := strings.Split(b, "\n")
	for line := range strings.SplitSeq(a, "\n") {
		if !slices.Contains(in, line) {
			name, _, _ := strings.Cut(line, "=")
			names = append(names, name)
		}
	}

	return strings.Join(names, ", ")
}

// known inputs of a hash.
func (j *Judge) known(hash string) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	inputs, ok := j.inputs[hash]

	return inputs, ok
}

// compare the inputs that the running pods were made for with today's.
func (j *Judge) compare(t *Trial) string {
	was, ok := j.known(t.Hash())
	if !ok {
		return "unknown"
	}

	var b strings.Builder
	for line := range strings.SplitSeq(was, "\n") {
		name, value, _ := strings.Cut(line, "=")
		parts := strings.SplitN(name, "/", 3)
		now, _ := t.Server.Resolve(t.Config.Namespace, world.Reference{Kind: parts[0], Name: parts[1], Key: parts[2]})
		switch {
		case now == value:
			b.WriteString(name + " same ")
		case parts[2] == server.JWTSecretKey:
			b.WriteString(name + " other ")
		default:
			fmt.Fprintf(&b, "%s was %x ", name, sha256.Sum256([]byte(value)))
		}
	}

	return b.String()
}

// statefulSetWrites are the writes that changed the StatefulSet.
func statefulSetWrites(l Look) []world.Write {
	return slices.DeleteFunc(slices.Clone(l.Outcome.Writes), func(w world.Write) bool {
		return w.Name != string(server.KeyStatefulSet) || w.Verb != "apply" || !w.Changed()
	})
}

func restarts(l Look) error {
	for _, w := range statefulSetWrites(l) {
		adopted := l.Before.Past.Adopted[w.Key] != nil && annotation(w.Before, server.AnnotationConfigHash) == ""
		if w.Before == nil || adopted || l.Before.Past.Spec != written(l.Outcome.XR) {
			continue
		}
		same := fmt.Sprint(w.Before.Value("spec", "template")) == fmt.Sprint(w.After.Value("spec", "template"))
		if !same && annotation(w.Before, server.AnnotationConfigHash) == annotation(w.After, server.AnnotationConfigHash) {
			return errors.New("the template changed, the hash and the spec did not")
		}
	}

	return nil
}

func complete(l Look) error {
	if l.Outcome.Err != nil || l.Faulty {
		return nil //nolint:nilerr // What was cut short is incomplete.
	}
	for _, w := range statefulSetWrites(l) {
		if w.Before != nil && fmt.Sprint(w.Before.Value("spec", "template")) == fmt.Sprint(w.After.Value("spec", "template")) {
			continue
		}
		for _, r := range world.References(w.After.Content()) {
			if _, ok := l.After.Server.Resolve(l.After.Config.Namespace, r); !ok && !r.Optional {
				return errors.Errorf("the new template refers to %s of %s %s", r.Key, r.Kind, r.Name)
			}
		}
	}

	return nil
}

func gate(l Look) error {
	for _, w := range statefulSetWrites(l) {
		if w.Before != nil || l.Faulty || !strings.HasPrefix(annotation(w.After, server.AnnotationDatabase), "percona:") {
			continue
		}
		c := l.Before.Find(server.KeyCluster)
		ever, _ := l.Before.Observe().Value("status", "database", "everReady").(bool)
		ready := c.Text("status", "state") == "ready" || (ever && c.Number("status", "postgres", "ready") >= 1)
		if !ready || c.Deleting() {
			return errors.Errorf("the database cluster's state is %q", c.Text("status", "state"))
		}
		if l.Before.Rotating() {
			return errors.New("the database's password is being rotated")
		}
	}

	return nil
}

// editsSurvive: what people changed on the cluster is as they left it. Edits
// of what the XR enforces are forgotten.
func editsSurvive(l Look) error {
	if l.Before.Always() && l.Before.Enabled() {
		maps.DeleteFunc(l.After.Past.Edits, func(name string, _ bool) bool {
			i := slices.IndexFunc(edits(), func(e edit) bool { return e.name == name })

			return !edits()[i].always
		})
	}

	if _, tmp := l.Stale[l.After.Of(server.KeyCluster)]; tmp && l.Before.Always() {
		return nil // TEMPORARY
	}
	c := l.After.Find(server.KeyCluster)
	for _, e := range edits() {
		if !l.After.Past.Edits[e.name] || c == nil {
			continue
		}
		if spec, _ := c.Value("spec").(map[string]any); !e.holds(spec) {
			return errors.Errorf("the edit %q is gone", e.name)
		}
	}

	return nil
}

// database: it stays the same, also if the StatefulSet is made anew while the
// server's volumes are there.
func database(l Look) error {
	was, is := l.Before.Past.Ran, l.After.Running()
	if is != "" {
		l.After.Past.Ran = is
	}
	if was == "" || is == "" || is == was || (l.Before.Find(server.KeyStatefulSet) == nil && len(l.Before.Claims()) == 0) {
		return nil
	}
	if l.Before.Observe().Text("spec", "database", "allowChangeTo") != "" {
		return nil
	}

	return errors.Errorf("it was %s and is %s", was, is)
}

func handsOff(l Look) error {
	for k := range l.Before.Past.Foreign {
		if l.After.Server.Find(k) != l.Before.Server.Find(k) {
			return errors.Errorf("%s was changed", k)
		}
	}

	return nil
}

// accepted: with a true view, nothing that is sent is refused, and nothing but
// a fatal result ends a reconcile.
func accepted(l Look) error {
	if l.Faulty {
		return nil
	}
	for _, w := range l.Outcome.Writes {
		if w.Err != nil {
			return errors.Wrapf(w.Err, "%s of %s", w.Verb, w.Key)
		}
	}
	if l.Outcome.Err != nil && l.Outcome.Fatal == "" {
		return l.Outcome.Err
	}

	return nil
}
