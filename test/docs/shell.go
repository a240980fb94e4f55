package docs

import (
	"fmt"
	"io"
	"path"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// A Command is one that a script runs.
type Command struct {
	// Folder that it runs in, from the root of the repository.
	Folder string
	// Words are the program and its arguments. What another command would print,
	// and a variable that the script does not set, is the word "substituted".
	Words []string
	// Input is the text of its here-document.
	Input string
	// Piped tells that its input is another command's output.
	Piped bool
}

func (c Command) String() string { return strings.Join(c.Words, " ") }

const substituted = "substituted"

// Commands of a script, as Bash reads it. Folders are followed: a script starts
// in the root of the repository.
func Commands(script string) ([]Command, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, err
	}

	s := &shell{folder: ".", variables: map[string]string{}, piped: map[*syntax.Stmt]bool{}}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				s.piped[n.Y] = true
			}
		case *syntax.Stmt:
			if call, ok := n.Cmd.(*syntax.CallExpr); ok && s.err == nil {
				s.call(n, call)
			}
		}

		return s.err == nil
	})

	return s.commands, s.err
}

// A shell knows what the commands so far have set.
type shell struct {
	folder string
	// cloned is the folder that is a copy of the repository.
	cloned    string
	variables map[string]string
	piped     map[*syntax.Stmt]bool
	commands  []Command
	err       error
}

func (s *shell) call(stmt *syntax.Stmt, call *syntax.CallExpr) {
	config := &expand.Config{
		Env: expand.FuncEnviron(func(name string) string {
			if value, ok := s.variables[name]; ok {
				return value
			}

			return substituted
		}),
		CmdSubst: func(w io.Writer, _ *syntax.CmdSubst) error {
			_, err := io.WriteString(w, substituted)

			return err
		},
	}

	if len(call.Args) == 0 {
		for _, a := range call.Assigns {
			value, err := expand.Literal(config, a.Value)
			if err != nil {
				s.err = err

				return
			}
			s.variables[a.Name.Value] = value
		}

		return
	}

	words, err := expand.Fields(config, call.Args...)
	if err != nil {
		s.err = fmt.Errorf("cannot expand: %w", err)

		return
	}
	switch {
	case len(words) > 2 && words[0] == "git" && words[1] == "clone":
		s.cloned = path.Base(words[2])
	case len(words) == 2 && words[0] == "cd" && words[1] != s.cloned:
		s.folder = path.Join(s.folder, words[1])
	}
	input, err := inputOf(stmt, config)
	if err != nil {
		s.err = err

		return
	}
	s.commands = append(s.commands, Command{Folder: s.folder, Words: words, Input: input, Piped: s.piped[stmt]})
}

// inputOf a statement is the text of its here-document.
func inputOf(stmt *syntax.Stmt, config *expand.Config) (string, error) {
	for _, r := range stmt.Redirs {
		if r.Hdoc != nil {
			return expand.Document(config, r.Hdoc)
		}
	}

	return "", nil
}
