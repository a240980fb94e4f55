package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// types are the structs of one Go package, by name.
type types map[string]structType

type structType struct {
	doc    string
	fields []structField
}

// A structField is one as JSON has it.
type structField struct {
	name string
	// typ is the type's name in its package, without pointers, lists and maps.
	typ string
	// pkg is the path of that package, empty for the same one.
	pkg string
}

// readTypes of the Go package in a folder. Fields of embedded structs are the
// struct's own, as they are in JSON.
func readTypes(folder string) (types, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}

	out, embedded := types{}, map[string]map[int]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		imports := importsOf(file)
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			for _, spec := range decl.Specs {
				named, isNamed := spec.(*ast.TypeSpec)
				if !isNamed {
					continue
				}
				if s, isStruct := named.Type.(*ast.StructType); isStruct {
					out[named.Name.Name], embedded[named.Name.Name] = readStruct(decl.Doc.Text(), s, imports)
				}
			}
			return false
		})
	}

	for name, inline := range embedded {
		s := out[name]
		var fields []structField
		for i, f := range s.fields {
			if other, ok := inline[i]; ok {
				fields = append(fields, out[other].fields...)
				continue
			}
			fields = append(fields, f)
		}
		s.fields = fields
		out[name] = s
	}
	return out, nil
}

// readStruct returns a struct, and which of its fields are embedded.
func readStruct(doc string, s *ast.StructType, imports map[string]string) (structType, map[int]string) {
	out, embedded := structType{doc: doc}, map[int]string{}
	for _, f := range s.Fields.List {
		typ, pkg := baseType(f.Type)
		tag := ""
		if f.Tag != nil {
			if text, err := strconv.Unquote(f.Tag.Value); err == nil {
				tag = reflect.StructTag(text).Get("json")
			}
		}
		name, options, _ := strings.Cut(tag, ",")
		if strings.Contains(options, "inline") {
			embedded[len(out.fields)] = typ
		}
		out.fields = append(out.fields, structField{name: name, typ: typ, pkg: imports[pkg]})
	}
	return out, embedded
}

// baseType is the name of a type, and that of its package in the file, without
// pointers, lists and maps.
func baseType(e ast.Expr) (name, pkg string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return baseType(e.X)
	case *ast.ArrayType:
		return baseType(e.Elt)
	case *ast.MapType:
		return baseType(e.Value)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return e.Sel.Name, x.Name
		}
	case *ast.Ident:
		return e.Name, ""
	}
	return "", ""
}

func importsOf(file *ast.File) map[string]string {
	out := map[string]string{}
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := filepath.Base(path)
		if i.Name != nil {
			name = i.Name.Name
		}
		out[name] = path
	}
	return out
}
