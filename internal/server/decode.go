package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/redact"
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

	path, value := locate(structpb.NewStructValue(s), field.NewPath("spec"), func(v *structpb.Value) error {
		return decode(v.GetStructValue(), &v1alpha1.DittoServerSpec{})
	})

	return field.Invalid(path, shown(path, value), unreadable(err))
}

// unreadable says what a value has to be. Decoders that are not JSON's own,
// such as that of a quantity, say so themselves.
func unreadable(err error) string {
	const correct = "cannot be read, correct its type or format: "
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return correct + err.Error()
	}

	switch t := wrong.Type; t.Kind() {
	case reflect.Bool:
		return correct + "it must be true or false"
	case reflect.Int32, reflect.Int64:
		return correct + fmt.Sprintf("it must be a whole number, at most %d", uint64(1)<<(t.Bits()-1)-1)
	case reflect.String:
		return correct + "it must be text, in quotes if it looks like something else"
	case reflect.Slice:
		return correct + "it must be a list"
	case reflect.Struct, reflect.Map:
		return correct + "it must be an object with fields"
	default:
		return correct + "it must be something else than " + wrong.Value
	}
}

// locate the smallest value in v that read refuses: each field, or item of a
// list, is tried alone.
func locate(v *structpb.Value, path *field.Path, read func(*structpb.Value) error) (*field.Path, *structpb.Value) {
	fields, items := v.GetStructValue().GetFields(), v.GetListValue().GetValues()
	for _, name := range sortedKeys(fields) {
		alone := func(v *structpb.Value) error {
			return read(structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{name: v}}))
		}
		if readable(v, read) && alone(fields[name]) != nil {
			return locate(fields[name], path.Child(name), alone)
		}
	}
	for i, item := range items {
		alone := func(v *structpb.Value) error {
			return read(structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}}))
		}
		if readable(v, read) && alone(item) != nil {
			return locate(item, path.Index(i), alone)
		}
	}

	return path, v
}

// readable tells that an object, or a list, may stand where v does: then
// something in it is wrong.
func readable(v *structpb.Value, read func(*structpb.Value) error) bool {
	if v.GetStructValue() != nil {
		return read(structpb.NewStructValue(&structpb.Struct{})) == nil
	}

	return read(structpb.NewListValue(&structpb.ListValue{})) == nil
}

// shown is what an error shows of the value at a path: nothing where people keep
// secrets, and no object or list, which may have one in it (R19).
func shown(path *field.Path, v *structpb.Value) any {
	at := path.String()
	for _, private := range []string{"spec.config", "spec.percona.overrides", "spec.percona.parameters", "spec.pod.extraEnv"} {
		if strings.HasPrefix(at, private) {
			return field.OmitValueType{}
		}
	}

	return redact.Bad(at[strings.LastIndex(at, ".")+1:], v.AsInterface())
}
