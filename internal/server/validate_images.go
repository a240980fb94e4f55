package server

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// validateImages of the spec against the registries that the platform allows.
func (s *Server) validateImages(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	defaulted := sets.New(s.DatabaseDefaults...)
	images := spec.Child("percona", "images")

	for _, img := range []struct {
		path    *field.Path
		value   string
		trusted bool
	}{
		{spec.Child("image"), s.Spec.Image, s.Spec.Image == ""},
		{images.Child("postgres"), s.Spec.Percona.Images.Postgres, defaulted.Has("image") || s.platformImage(s.Spec.Percona.Images.Postgres)},
		{images.Child("pgBackRest"), s.Spec.Percona.Images.PGBackRest, defaulted.Has("backups.pgbackrest.image") || s.platformImage(s.Spec.Percona.Images.PGBackRest)},
		{images.Child("pgBouncer"), s.Spec.Percona.Images.PGBouncer, defaulted.Has("proxy.pgBouncer.image") || s.platformImage(s.Spec.Percona.Images.PGBouncer)},
	} {
		if img.trusted {
			continue
		}
		errs = append(errs, s.validateRegistry(img.path, img.value)...)
	}
	if pg := s.Spec.Percona; *pg.Enabled {
		major, told := percona.PostgresMajor(pg.Images.Postgres)
		switch {
		case pg.Images.Postgres == "":
			errs = append(errs, field.Required(images.Child("postgres"), "no image is known for this postgresVersion"))
		case told && pg.PostgresVersion != nil && major != *pg.PostgresVersion:
			errs = append(errs, field.Invalid(images.Child("postgres"), pg.Images.Postgres, fmt.Sprintf(
				"is PostgreSQL %d, and postgresVersion asks for %d: a cluster of the two would not start, make them agree (here, or in the Composition's input for this function)", major, *pg.PostgresVersion)))
		}
	}

	return errs
}

// validateRegistry of an image that a person has chosen.
func (s *Server) validateRegistry(p *field.Path, image string) field.ErrorList {
	var errs field.ErrorList
	allowed := s.Input.Policy.ImageRegistries
	if strings.ContainsAny(image, " \t\r\n") {
		errs = append(errs, field.Invalid(p, image, "must not contain white space"))
	}
	if len(allowed) > 0 && !slices.ContainsFunc(allowed, func(prefix string) bool {
		return strings.HasPrefix(image, strings.TrimSuffix(prefix, "/")+"/")
	}) {
		errs = append(errs, field.NotSupported(p, image, slices.Sorted(slices.Values(allowed))))
	}

	return errs
}

// platformImage tells whether the platform team chose the image itself.
func (s *Server) platformImage(image string) bool {
	p := s.Input.Percona.Images
	if image == p.PGBackRest || image == p.PGBouncer {
		return true
	}
	for _, i := range p.Postgres {
		if i == image {
			return true
		}
	}

	return false
}
