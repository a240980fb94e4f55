package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/condition"
)

const (
	conditionsPath   = "docs/conditions.md"
	conditionsSource = "internal/condition/condition.go"
)

// documentRows are the rows of a document's tables, without their headings, by
// section.
func documentRows(t *testing.T, name string) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}

	rows := map[string][][]string{}
	section, inTable := "", false
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.Trim(line, "|-") == "":
			// What follows the line that rules the heading off.
			inTable = true
		case inTable:
			rows[section] = append(rows[section], cellsOf(line))
		}
	}

	return rows
}

// reportedReasons are the reasons of each type of condition, as the comments
// beside the constants say: "Reasons of X." over a group, "Of X too." or "Of X
// and Y too." behind a reason that has more types.
func reportedReasons(t *testing.T, src any) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(conditionsSource), src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}

	types, reasons := []string{}, map[string][]string{}
	of := regexp.MustCompile(`^(?:Reasons of|Of) (\w+)(?: and (\w+))?(?: too)?\.\n?$`)
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			c, ok := spec.(*ast.ValueSpec)
			if !ok || len(c.Names) != 1 || len(c.Values) != 1 {
				t.Fatalf("%s: a constant has one name and one value", conditionsSource)
			}
			lit, ok := c.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s: %s is no text", conditionsSource, c.Names[0])
			}
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(c.Names[0].Name, "Type") {
				types = append(types, value)

				continue
			}
			m := of.FindStringSubmatch(group.Doc.Text())
			if m == nil {
				t.Fatalf("%s: %s is a reason of nothing", conditionsSource, c.Names[0])
			}
			reasons[m[1]] = append(reasons[m[1]], value)
			if m := of.FindStringSubmatch(c.Comment.Text()); m != nil {
				for _, typ := range slices.DeleteFunc(m[1:], func(typ string) bool { return typ == "" }) {
					reasons[typ] = append(reasons[typ], value)
				}
			}
		}
	}
	for _, typ := range types {
		slices.Sort(reasons[typ])
	}

	return reasons
}

// TestDocsConditionsAreAll holds the document to the constants: every reason of
// every type has a row that says what it means and what to do, and there is no
// other row.
func TestDocsConditionsAreAll(t *testing.T) {
	got := map[string][]string{}
	for typ, rows := range documentRows(t, conditionsPath) {
		for _, cells := range rows {
			if len(cells) != 4 || slices.Contains(cells, "") {
				t.Errorf("%s: %s: a row has a reason, a status, a meaning and a remedy: %q", conditionsPath, typ, cells)

				continue
			}
			if !slices.Contains([]string{"True", "False"}, cells[1]) {
				t.Errorf("%s: %s: a status is True or False: %q", conditionsPath, typ, cells)
			}
			got[typ] = append(got[typ], strings.Trim(cells[0], "`"))
		}
		slices.Sort(got[typ])
	}
	if diff := cmp.Diff(reportedReasons(t, nil), got); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", conditionsPath, diff)
	}
}

// TestDocsConditionsAreRead holds what the document is held to.
func TestDocsConditionsAreRead(t *testing.T) {
	const source = `package condition

// Types of conditions.
const (
	TypeA = "A"
	TypeB = "B"
	TypeC = "C"
)

// Reasons of A.
const (
	ReasonTwo = "Two"
	ReasonOne = "One" // Of B too.
	ReasonAll = "All" // Of B and C too.
)

// Reasons of B.
const ReasonThree = "Three"
`
	want := map[string][]string{"A": {"All", "One", "Two"}, "B": {"All", "One", "Three"}, "C": {"All"}}
	if diff := cmp.Diff(want, reportedReasons(t, source)); diff != "" {
		t.Errorf("reportedReasons(...): -want, +got:\n%s", diff)
	}
}

// TestReasonsAreAll holds what code knows of reasons to the constants.
func TestReasonsAreAll(t *testing.T) {
	want := map[string]bool{}
	for _, reasons := range reportedReasons(t, nil) {
		for _, r := range reasons {
			want[r] = true
		}
	}
	got := condition.Reasons()
	if len(got) != len(want) {
		t.Errorf("condition.Reasons() has %d reasons, and there are %d", len(got), len(want))
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), got); diff != "" {
		t.Errorf("condition.Reasons(): -want, +got:\n%s", diff)
	}
}
