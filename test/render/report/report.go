// Package report tells a person what rendering an example's stages gave.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/render/engine"
	"github.com/dittofs/function-dittoserver/test/render/example"
)

const (
	// Lines are broken at this many characters, as far as words allow.
	width = 110

	// The widths of the columns before a condition's message, and of the blanks
	// before and between them.
	typeWidth, statusWidth, reasonWidth, blanks = 16, 6, 24, 7
)

// A Report is written to a terminal or a file.
type Report struct {
	w        io.Writer
	color    bool
	renderer string
}

// New report to w, with or without colours, of what a renderer, which
// it names, made of the examples.
func New(w io.Writer, color bool, renderer string) *Report {
	return &Report{w: w, color: color, renderer: renderer}
}

// The escape codes of the colours that are used (ECMA-48, SGR).
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

func (r *Report) paint(code, s string) string {
	if !r.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (r *Report) linef(format string, args ...any) {
	_, _ = fmt.Fprintln(r.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// Example reports what a person asks for, and all stages of what comes of it.
func (r *Report) Example(e *example.Example, steps []example.Step) error {
	r.linef("%s", r.paint(bold, "Example "+e.Name+", rendered by "+r.renderer))
	asked, err := example.Marshal(e.CompositeResource)
	if err != nil {
		return err
	}
	for line := range strings.Lines(strings.TrimPrefix(asked, "---")) {
		r.linef("    %s", strings.TrimRight(line, "\n"))
	}
	var before *example.Step
	for i := range steps {
		r.step(i+1, before, &steps[i])
		before = &steps[i]
	}
	return nil
}

func (r *Report) step(number int, before, now *example.Step) {
	title := fmt.Sprintf("── Stage %d: %s ", number, now.Stage.Title())
	r.linef("\n%s", r.paint(bold, title+strings.Repeat("─", max(0, width-len([]rune(title))))))

	if before == nil {
		before = &example.Step{}
	}
	r.cluster(*before, *now)
	r.objects(before.Output.Composed, now.Output)
	r.conditions(before.Output.CompositeResource, now.Output.CompositeResource)
	r.status(now.Output.CompositeResource)
	r.events(now.Output.Events)
}

// cluster reports what happened in the cluster since the stage before: to what
// Crossplane composed, and beside it.
func (r *Report) cluster(before, now example.Step) {
	var lines []string
	for _, o := range now.Input.Observed {
		if i := find(before.Output.Composed, o); i >= 0 {
			old := withStatusOf(before.Output.Composed[i], before.Input.Observed)
			lines = append(lines, r.changed(o, Diff(old, o))...)
		}
	}
	for _, o := range now.Input.Required {
		i := find(before.Input.Required, o)
		if i < 0 {
			lines = append(lines, r.created(o)...)
			continue
		}
		lines = append(lines, r.changed(o, Diff(before.Input.Required[i], o))...)
	}
	if len(lines) == 0 {
		return
	}
	title := "Meanwhile in the cluster:"
	if before.Stage.Name == "" {
		title = "In the cluster already:"
	}
	r.linef("\n%s", title)
	r.lines(lines)
}

// withStatusOf an object among those that existed before: what was applied
// left its status alone.
func withStatusOf(o unstructured.Unstructured, before []unstructured.Unstructured) unstructured.Unstructured {
	o = *o.DeepCopy()
	if i := find(before, o); i >= 0 && before[i].Object["status"] != nil {
		o.Object["status"] = before[i].DeepCopy().Object["status"]
	}
	return o
}

// objects reports what Crossplane would create, change and delete.
func (r *Report) objects(before []unstructured.Unstructured, out engine.Output) {
	var created, changed []string
	deleted := make([]string, 0, len(out.Deleted))
	creates, changes := 0, 0
	for _, o := range out.Composed {
		i := find(before, o)
		if i < 0 {
			creates++
			created = append(created, r.created(o)...)
			continue
		}
		if lines := r.changed(o, Diff(before[i], o)); len(lines) > 0 {
			changes++
			changed = append(changed, lines...)
		}
	}
	for _, o := range out.Deleted {
		deleted = append(deleted, r.paint(red, "- "+o.GetKind()+" "+o.GetName()))
	}

	r.linef("\nCrossplane would create %s, change %s and delete %s%s",
		count(creates), count(changes), count(len(deleted)), end(len(created)+len(changed)+len(deleted)))
	r.lines(created)
	r.lines(changed)
	r.lines(deleted)
}

func (r *Report) created(o unstructured.Unstructured) []string {
	description := describe(o)
	lines := make([]string, 0, 1+len(description))
	lines = append(lines, r.paint(green, "+ "+o.GetKind()+" "+o.GetName()))
	for _, l := range description {
		lines = append(lines, "    "+l)
	}
	return lines
}

func (r *Report) changed(o unstructured.Unstructured, changes []Change) []string {
	if len(changes) == 0 {
		return nil
	}
	lines := []string{r.paint(yellow, "~ "+o.GetKind()+" "+o.GetName())}
	for _, c := range changes {
		lines = append(lines, r.change(c)...)
	}
	return lines
}

// change of a field, on one line if it fits.
func (r *Report) change(c Change) []string {
	if c.Old == "" {
		return []string{"    " + c.Path + ": " + r.paint(green, c.New)}
	}
	if c.New == "" {
		return []string{"    " + c.Path + ": " + r.paint(red, c.Old) + " removed"}
	}
	if len(c.Path)+len(c.Old)+len(c.New) < width {
		return []string{"    " + c.Path + ": " + r.paint(red, c.Old) + " → " + r.paint(green, c.New)}
	}
	return []string{"    " + c.Path + ":", "      " + r.paint(red, c.Old), "    → " + r.paint(green, c.New)}
}

// conditions that a person sees; those that are new or changed are marked.
func (r *Report) conditions(before, now unstructured.Unstructured) {
	old := list(before.Object, "status", "conditions")
	r.linef("\nConditions:")
	r.linef("    %-*s %-*s %-*s %s", typeWidth, "TYPE", statusWidth, "STATUS", reasonWidth, "REASON", "MESSAGE")
	for _, c := range sorted(list(now.Object, "status", "conditions")) {
		mark := "  "
		if !slices.ContainsFunc(old, func(o map[string]any) bool { return sameCondition(o, c) }) {
			mark = r.paint(yellow, "~ ")
		}
		color := green
		if at(c, "status") != "True" {
			color = yellow
		}
		message := wrap(at(c, "message"), width-typeWidth-statusWidth-reasonWidth-blanks)
		r.linef("  %s%-*s %s %-*s %s", mark, typeWidth, at(c, "type"),
			r.paint(color, fmt.Sprintf("%-*s", statusWidth, at(c, "status"))), reasonWidth, at(c, "reason"), message[0])
		for _, more := range message[1:] {
			r.linef("    %*s %s", typeWidth+statusWidth+reasonWidth+2, "", more) // And two blanks between the columns.
		}
	}
}

// sorted conditions: Crossplane's own first, then the function's by type. The
// one that tells of Crossplane's watches is left out: it is always the same
// here.
func sorted(conditions []map[string]any) []map[string]any {
	own := []string{"Ready", "Synced"}
	out := slices.DeleteFunc(slices.Clone(conditions), func(c map[string]any) bool { return at(c, "type") == "Responsive" })
	slices.SortFunc(out, func(a, b map[string]any) int {
		ta, tb := at(a, "type"), at(b, "type")
		return cmp.Or(-cmp.Compare(slices.Index(own, ta), slices.Index(own, tb)), cmp.Compare(ta, tb))
	})
	return out
}

func sameCondition(a, b map[string]any) bool {
	return at(a, "type") == at(b, "type") && at(a, "status") == at(b, "status") &&
		at(a, "reason") == at(b, "reason") && at(a, "message") == at(b, "message")
}

// status of the composite resource, but for its conditions.
func (r *Report) status(xr unstructured.Unstructured) {
	status, _, _ := unstructured.NestedMap(xr.Object, "status")
	delete(status, "conditions")
	delete(status, "claimConditionTypes") // Crossplane's own bookkeeping.
	if len(status) == 0 {
		return
	}
	r.linef("\nStatus:")
	tab := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', 0)
	for _, c := range Diff(unstructured.Unstructured{}, unstructured.Unstructured{Object: status}) {
		_, _ = fmt.Fprintf(tab, "    %s\t%s\n", c.Path, c.New)
	}
	_ = tab.Flush()
}

// events that Crossplane would emit. One of them comes for each object that is
// not ready, at every reconcile: those are put together.
func (r *Report) events(events []engine.Event) {
	var shown []engine.Event
	var waiting []string
	for _, e := range events {
		if name, ok := unready(e); ok {
			waiting = append(waiting, name)
			continue
		}
		if e.Reason != "SelectComposition" { // Says at every reconcile which Composition is taken.
			shown = append(shown, e)
		}
	}
	if len(waiting) > 0 {
		shown = append(shown, engine.Event{
			Type: "Normal", Reason: "ComposeResources",
			Message: "Composed resources are not yet ready: " + strings.Join(waiting, ", "),
		})
	}
	if len(shown) == 0 {
		return
	}

	r.linef("\nEvents:")
	for _, e := range shown {
		color := faint
		if e.Type != "Normal" {
			color = yellow
		}
		lines := wrap(e.Reason+": "+e.Message, width)
		r.linef("    %s %s", r.paint(color, fmt.Sprintf("%-7s", e.Type)), lines[0])
		for _, l := range lines[1:] {
			r.linef("            %s", l)
		}
	}
}

// unready tells which composed resource an event says is not ready
// (crossplane v2.4.0 internal/controller/apiextensions/composite/reconciler.go).
func unready(e engine.Event) (name string, ok bool) {
	name, ok = strings.CutPrefix(e.Message, "Composed resource \"")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "\" is not yet ready")
}

func (r *Report) lines(lines []string) {
	for _, l := range lines {
		r.linef("  %s", l)
	}
}

// find the object of the same kind and name; -1 if there is none.
func find(in []unstructured.Unstructured, o unstructured.Unstructured) int {
	return slices.IndexFunc(in, func(i unstructured.Unstructured) bool {
		return i.GroupVersionKind() == o.GroupVersionKind() && i.GetName() == o.GetName()
	})
}

func count(n int) string {
	switch n {
	case 0:
		return "nothing"
	case 1:
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

func end(lines int) string {
	if lines == 0 {
		return "."
	}
	return ":"
}

// wrap a text into lines of at most so many characters, between words. There
// is at least one line.
func wrap(s string, at int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(s) {
		last := lines[len(lines)-1]
		if last != "" && len(last)+1+len(word) > at {
			lines = append(lines, word)
			continue
		}
		lines[len(lines)-1] = strings.TrimSpace(last + " " + word)
	}
	return lines
}
