package docs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/condition"
)

var (
	fieldSpan     = regexp.MustCompile(`^([a-z][A-Za-z0-9]*(?:\.[a-z0-9][A-Za-z0-9-]*)+)(\[\])?(: .*)?$`)
	fileSpan      = regexp.MustCompile(`\.(yaml|conf|md|go|sh|json)$`)
	conditionSpan = regexp.MustCompile(`^([A-Z][A-Za-z]+)=(True|False|Unknown)(?: ([A-Z][A-Za-z]+))?$`)
)

// Field checks that what prose calls by the path of a field is one: of a
// DittoServer, with or without spec, of the function's Input, or of a
// PerconaPGCluster; with spec, of any kind. What is not such a path is not looked
// at.
func (c *Checker) Field(text string) error {
	m := fieldSpan.FindStringSubmatch(text)
	if m == nil || fileSpan.MatchString(text) {
		return nil
	}
	path := strings.Split(m[1], ".")
	cluster, err := c.kinds.named("perconapgclusters.pgv2.percona.com")
	if err != nil {
		return err
	}
	input := kind{kind: "Input", typ: reflect.TypeFor[v1beta1.Input]()}
	spec := kind{kind: dittoServer, typ: reflect.TypeFor[v1alpha1.DittoServerSpec]()}

	among := []kind{cluster, spec, input}
	if path[0] == "spec" || path[0] == "status" {
		among = c.kinds.all
	} else if !spec.begins(path[0]) && !input.begins(path[0]) {
		return nil // A key of an annotation, a package.
	}
	for _, k := range among {
		if k.has(path) == nil {
			return nil
		}
	}

	return fmt.Errorf("there is no field %s", m[1])
}

// begins tells that a field of that name is the first of a path.
func (k kind) begins(field string) bool { return k.has([]string{field}) == nil }

// Condition checks that what prose gives as a condition is one, and its reason.
func (c *Checker) Condition(text string) error {
	m := conditionSpan.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	server, err := c.kinds.named("dittoservers.dittofs.io")
	if err != nil {
		return err
	}
	if !slices.Contains(server.conditions, m[1]) {
		return fmt.Errorf("there is no condition %s", m[1])
	}
	if m[3] == "" {
		return nil
	}
	if !slices.Contains(condition.Reasons(), m[3]) {
		return fmt.Errorf("there is no reason %s", m[3])
	}

	return nil
}
