package main

import (
	"fmt"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// An xrd is a CompositeResourceDefinition, with the fields that are used here.
// Both API versions have them in common (crossplane/apis/v2 v2.3.1,
// apiextensions/{v1,v2}/xrd_types.go); those types would bring a status and
// zero values into the file.
type xrd struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       xrdSpec  `json:"spec"`
}

type metadata struct {
	Name string `json:"name"`
}

type xrdSpec struct {
	Scope                 string                               `json:"scope"`
	Group                 string                               `json:"group"`
	Names                 extv1.CustomResourceDefinitionNames  `json:"names"`
	ClaimNames            *extv1.CustomResourceDefinitionNames `json:"claimNames,omitempty"`
	ConnectionSecretKeys  []string                             `json:"connectionSecretKeys,omitempty"`
	DefaultCompositionRef *metadata                            `json:"defaultCompositionRef,omitempty"`
	Versions              []xrdVersion                         `json:"versions"`
}

type xrdVersion struct {
	Name                     string                                 `json:"name"`
	Served                   bool                                   `json:"served"`
	Referenceable            bool                                   `json:"referenceable"`
	AdditionalPrinterColumns []extv1.CustomResourceColumnDefinition `json:"additionalPrinterColumns"`
	Schema                   xrdSchema                              `json:"schema"`
}

type xrdSchema struct {
	OpenAPIV3Schema *extv1.JSONSchemaProps `json:"openAPIV3Schema"` //nolint:tagliatelle // The name in Crossplane's API.
}

// namespaced returns the definition that serves DittoServers as namespaced
// composite resources, the way of Crossplane v2.
func namespaced(c extv1.CustomResourceDefinition) (xrd, error) {
	return define(c, xrd{
		APIVersion: "apiextensions.crossplane.io/v2",
		Spec: xrdSpec{
			Scope:                 "Namespaced",
			Names:                 c.Spec.Names,
			DefaultCompositionRef: &metadata{Name: "dittoserver"},
		},
	}, nameRules(""))
}

// claim returns the definition that serves DittoServers as claims, the way of
// Crossplane v1, with a cluster-scoped XDittoServer behind each.
func claim(c extv1.CustomResourceDefinition) (xrd, error) {
	return define(c, xrd{
		APIVersion: "apiextensions.crossplane.io/v1",
		Spec: xrdSpec{
			Scope: "LegacyCluster",
			// No short names: the API server gives each to one kind only, and
			// they belong to what people type, the claim.
			Names: extv1.CustomResourceDefinitionNames{
				Kind:     "X" + c.Spec.Names.Kind,
				ListKind: "X" + c.Spec.Names.ListKind,
				Plural:   "x" + c.Spec.Names.Plural,
				Singular: "x" + c.Spec.Names.Singular,
			},
			ClaimNames:            &c.Spec.Names,
			ConnectionSecretKeys:  []string{"api-url", "nfs-endpoint", "smb-endpoint", "username", "password"},
			DefaultCompositionRef: &metadata{Name: "xdittoserver"},
		},
	}, nameRules(c.Spec.Names.Kind))
}

// define completes def with what both definitions share: the schema of c's one
// version under the rules for names.
func define(c extv1.CustomResourceDefinition, def xrd, rules extv1.ValidationRules) (xrd, error) {
	if len(c.Spec.Versions) != 1 {
		return xrd{}, fmt.Errorf("want one version of %s, found %d", c.Spec.Names.Kind, len(c.Spec.Versions))
	}
	v := c.Spec.Versions[0]

	// Crossplane adds apiVersion, kind and metadata (crossplane-runtime v2.3.1
	// pkg/xcrd/schemas.go BaseProps).
	schema := v.Schema.OpenAPIV3Schema.DeepCopy()
	for _, field := range []string{"apiVersion", "kind", "metadata"} {
		delete(schema.Properties, field)
	}
	schema.XValidations = append(schema.XValidations, rules...)
	if err := bound(schema); err != nil {
		return xrd{}, err
	}

	def.Kind = "CompositeResourceDefinition"
	def.Metadata.Name = def.Spec.Names.Plural + "." + c.Spec.Group
	def.Spec.Group = c.Spec.Group
	def.Spec.Versions = []xrdVersion{{
		Name:                     v.Name,
		Served:                   true,
		Referenceable:            true,
		AdditionalPrinterColumns: v.AdditionalPrinterColumns,
		Schema:                   xrdSchema{OpenAPIV3Schema: schema},
	}}
	return def, nil
}

// nameRules returns the rules for a DittoServer's name, which every derived
// name and label must fit (design: PerconaPGCluster and instance set names
// have at most 46 characters together). With a kind, they hold for that kind
// only: Crossplane puts the same root rules on claim and composite resource
// (pkg/xcrd/crd.go genCrdVersion), and a composite resource behind a claim has
// the claim's name with a suffix.
func nameRules(kind string) extv1.ValidationRules {
	unless := ""
	if kind != "" {
		unless = fmt.Sprintf("self.kind != '%s' || ", kind)
	}
	return extv1.ValidationRules{
		{
			Rule:      unless + "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
			Message:   "must start with a lower case letter, end with a letter or digit, and hold only lower case letters, digits and '-' (no dots): Services are named after it",
			FieldPath: ".metadata.name",
		},
		{
			Rule:      unless + "size(self.metadata.name) <= 28",
			Message:   "must have at most 28 characters, so that the names derived from it fit",
			FieldPath: ".metadata.name",
		},
		{
			Rule:      unless + "!self.metadata.name.endsWith('-postgres')",
			Message:   "must not end in '-postgres': <name>-postgres is the name of a server's PostgreSQL cluster; choose another name",
			FieldPath: ".metadata.name",
		},
	}
}
