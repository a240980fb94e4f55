package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestShares holds the shares to the stories that there are: one that is named
// wrongly would happen among all the others.
func TestShares(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	// beside tells of each story whether it happens beside others.
	beside := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			beside[strings.TrimPrefix(f.Name.Name, "Test")] = isBeside(f)
		}
	}
	alone := map[string]bool{}
	for _, s := range shares() {
		for _, name := range s.stories {
			is, ok := beside[name]
			switch {
			case !ok:
				t.Errorf("world %s: there is no Test%s", s.name, name)
			case is:
				t.Errorf("world %s: Test%s happens beside others, and would be made so", s.name, name)
			case alone[name]:
				t.Errorf("world %s: Test%s has another world", s.name, name)
			}
			alone[name] = true
		}
	}
	for name, is := range beside {
		if !is && !alone[name] {
			t.Errorf("Test%s is not made to happen beside others: give it a world in shares, or begin it with together", name)
		}
	}
}

// isBeside tells whether a story begins with what makes it happen beside others.
func isBeside(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			found = found || fun.Name == "together" || fun.Name == "beside"
		case *ast.SelectorExpr:
			x, _ := fun.X.(*ast.Ident)
			found = found || fun.Sel.Name == "Parallel" && x != nil && x.Name == "t"
		}
		return true
	})
	return found
}
