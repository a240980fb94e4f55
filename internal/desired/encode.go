package desired

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossplane/function-sdk-go/errors"
)

// encode an apply configuration as it goes into the response, in one step: by
// way of an unstructured object it would take a third of all the time that the
// function takes. It does what encoding/json does with apply configurations,
// which are pointers, texts, numbers, lists and maps of them; what encodes
// itself, like a quantity, is asked to. A test holds it to encoding/json.
func encode(v reflect.Value) (*structpb.Value, error) {
	switch v.Kind() { //nolint:exhaustive // Apply configurations have no others.
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return structpb.NewNullValue(), nil
		}

		return encode(v.Elem())
	case reflect.String:
		return structpb.NewStringValue(v.String()), nil
	case reflect.Bool:
		return structpb.NewBoolValue(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return structpb.NewNumberValue(float64(v.Int())), nil
	case reflect.Slice:
		return encodeSlice(v)
	case reflect.Map:
		return encodeMap(v)
	case reflect.Struct:
		if m, ok := marshaler(v); ok {
			return encodeMarshaler(m)
		}
		s := &structpb.Struct{Fields: map[string]*structpb.Value{}}

		return structpb.NewStructValue(s), encodeFields(v, s)
	}

	return nil, errors.Errorf("cannot encode a %s", v.Type())
}

func encodeSlice(v reflect.Value) (*structpb.Value, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return structpb.NewStringValue(base64.StdEncoding.EncodeToString(v.Bytes())), nil
	}
	list := &structpb.ListValue{Values: make([]*structpb.Value, v.Len())}
	for i := range v.Len() {
		item, err := encode(v.Index(i))
		if err != nil {
			return nil, err
		}
		list.Values[i] = item
	}

	return structpb.NewListValue(list), nil
}

func encodeMap(v reflect.Value) (*structpb.Value, error) {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, v.Len())}
	if texts, ok := reflect.TypeAssert[map[string]string](v); ok {
		// Nearly always it is one of these, and no value is copied to be looked at.
		for key, text := range texts {
			s.Fields[key] = structpb.NewStringValue(text)
		}

		return structpb.NewStructValue(s), nil
	}
	for it := v.MapRange(); it.Next(); {
		value, err := encode(it.Value())
		if err != nil {
			return nil, err
		}
		s.Fields[it.Key().String()] = value
	}

	return structpb.NewStructValue(s), nil
}

// encodeFields of a struct, those of embedded ones among them.
func encodeFields(v reflect.Value, into *structpb.Struct) error {
	t := v.Type()
	for i := range t.NumField() {
		value := v.Field(i)
		if unset(value) {
			continue
		}
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			if err := encodeFields(reflect.Indirect(value), into); err != nil {
				return err
			}

			continue
		}
		if options == "omitempty" && empty(value) {
			continue
		}
		encoded, err := encode(value)
		if err != nil {
			return errors.Wrap(err, name)
		}
		into.Fields[name] = encoded
	}

	return nil
}

// unset tells that a field is a pointer, list or map that nobody has set, as
// most of an apply configuration are: it is not sent, whatever its tag says.
func unset(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // No others can be nil.
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	}

	return false
}

// empty in the sense of omitempty.
func empty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Map || k == reflect.Slice {
		return v.Len() == 0
	}

	return v.Kind() != reflect.Struct && v.IsZero()
}

// marshaler is the value if it encodes itself; a pointer has all the methods of
// what it points to.
func marshaler(v reflect.Value) (json.Marshaler, bool) {
	if v.CanAddr() {
		v = v.Addr()
	}
	m, ok := reflect.TypeAssert[json.Marshaler](v)

	return m, ok
}

func encodeMarshaler(m json.Marshaler) (*structpb.Value, error) {
	b, err := m.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}

	return structpb.NewValue(v)
}
