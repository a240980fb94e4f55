package server

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// validatePercona checks what is asked of the database cluster. What a cluster
// of the operator cannot be, pkg/percona knows; here is what the platform has to
// allow, and what holds for the pods of a cluster as for the server's.
func (s *Server) validatePercona(p *field.Path) field.ErrorList {
	pg := s.Spec.Percona
	if !*pg.Enabled {
		return s.validateOverrides(p.Child("overrides"))
	}

	return slices.Concat(
		s.validateOverrides(p.Child("overrides")),
		percona.Validate(s.Defaulted()),
		validateResources(p.Child("resources"), pg.Resources),
		validateResources(p.Child("pgBouncer", "resources"), pg.PGBouncer.Resources),
		validateTolerations(p.Child("scheduling", "tolerations"), pg.Scheduling.Tolerations),
	)
}

// validateOverrides checks whether there may be any, and the images in them.
func (s *Server) validateOverrides(p *field.Path) field.ErrorList {
	patch, err := percona.Patch(s.Spec.Percona)
	if err != nil {
		return field.ErrorList{err}
	}
	if len(patch) == 0 {
		return nil
	}
	if !s.Input.Policy.AllowPerconaOverrides {
		return field.ErrorList{field.Forbidden(p, "the platform does not allow a DittoServer to change its PerconaPGCluster at will: remove it, or set policy.allowPerconaOverrides in the Composition's input for this function")}
	}

	return s.validateOverriddenImages(p, patch)
}

// validateOverriddenImages holds every image in overrides to the platform's
// registries.
func (s *Server) validateOverriddenImages(p *field.Path, value any) field.ErrorList {
	var errs field.ErrorList
	switch value := value.(type) {
	case map[string]any:
		for _, name := range sortedKeys(value) {
			if image, ok := value[name].(string); ok && name == "image" {
				errs = append(errs, s.validateRegistry(p.Child(name), image)...)
			}
			errs = append(errs, s.validateOverriddenImages(p.Child(name), value[name])...)
		}
	case []any:
		for i, item := range value {
			errs = append(errs, s.validateOverriddenImages(p.Index(i), item)...)
		}
	}

	return errs
}
