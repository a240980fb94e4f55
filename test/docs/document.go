// Package docs reads what the repository's documents tell a person to type,
// apply and set, and holds it to the programs' own parsers, the definitions'
// own schemas and the Go types: a command that does not parse, a field that
// does not exist and a manifest that would be refused are found here rather than
// by the person.
package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// A Document is one Markdown file of the repository.
type Document struct {
	// Path from the root of the repository, with slashes.
	Path   string
	Blocks []Block
	Spans  []Span
}

// A Block is fenced code.
type Block struct {
	Line     int
	Language string
	Text     string
}

// A Span is code in a line of prose.
type Span struct {
	Line int
	Text string
}

// Read every Markdown file below a folder, the repository's root, but for what
// is built (_output) and Git's own.
func Read(root string) ([]Document, error) {
	var out []Document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "_output" || name == ".git") {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		source, err := os.ReadFile(path) //nolint:gosec // A document of this repository.
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out = append(out, Parse(filepath.ToSlash(name), source))

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the documents: %w", err)
	}

	return out, nil
}

// Parse a document.
func Parse(path string, source []byte) Document {
	doc := Document{Path: path}
	line := func(offset int) int { return 1 + bytes.Count(source[:offset], []byte("\n")) }

	tree := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	// The walk itself returns no error, since the function does not.
	_ = ast.Walk(tree, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.FencedCodeBlock:
			block := Block{Language: string(n.Language(source)), Text: string(n.Lines().Value(source))}
			if n.Lines().Len() > 0 {
				block.Line = line(n.Lines().At(0).Start)
			}
			doc.Blocks = append(doc.Blocks, block)
		case *ast.CodeSpan:
			span := Span{}
			for child := n.FirstChild(); child != nil; child = child.NextSibling() {
				if t, ok := child.(*ast.Text); ok {
					span.Text += string(t.Value(source))
					span.Line = line(t.Segment.Start)
				}
			}
			span.Text = strings.ReplaceAll(span.Text, "\n", " ")
			doc.Spans = append(doc.Spans, span)
		}

		return ast.WalkContinue, nil
	})

	return doc
}
