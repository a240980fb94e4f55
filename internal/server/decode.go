package server

import (
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// decode a Struct into a typed value, as the API server's JSON would.
func decode(s *structpb.Struct, into any) error {
	b, err := json.Marshal(s.AsMap())
	if err != nil {
		return err
	}

	return kjson.UnmarshalCaseSensitivePreserveInts(b, into)
}

// decodeSpec reads the spec. The error names the smallest field that cannot be
// read: the decoders of quantities and durations do not say where they are.
func decodeSpec(s *structpb.Struct, into *v1alpha1.DittoServerSpec) error {
	err := decode(s, into)
	if err == nil {
		return nil
	}

	path, value := locate(s, field.NewPath("spec"), func(s *structpb.Struct) error {
		return decode(s, &v1alpha1.DittoServerSpec{})
	})

	return field.Invalid(path, value, "cannot be read, correct its type or format: "+err.Error())
}

// locate the smallest field of s that read refuses. It tries each field alone,
// and goes down into the one that fails.
func locate(s *structpb.Struct, path *field.Path, read func(*structpb.Struct) error) (*field.Path, any) {
	for _, name := range sortedKeys(s.GetFields()) {
		v := s.GetFields()[name]
		alone := func(v *structpb.Value) error {
			return read(&structpb.Struct{Fields: map[string]*structpb.Value{name: v}})
		}
		if alone(v) == nil {
			continue
		}
		if v.GetStructValue() == nil || alone(structpb.NewStructValue(&structpb.Struct{})) != nil {
			return path.Child(name), v.AsInterface()
		}

		return locate(v.GetStructValue(), path.Child(name), func(s *structpb.Struct) error {
			return alone(structpb.NewStructValue(s))
		})
	}

	return path, s.AsMap()
}
