package toolchain

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A step is mentioned once it has taken longer than this: whoever has
	// everything built sees nothing.
	quietFor = 2 * time.Second

	// How often progress is shown on a terminal, where a line is rewritten,
	// and elsewhere, where lines pile up.
	onTerminal = 500 * time.Millisecond
	elsewhere  = 15 * time.Second

	// How much of the go tool's output an error repeats.
	errorLines = 20
)

// Progress tells a person what is being built, and for how long.
type Progress struct {
	w        io.Writer
	terminal bool
	quietFor time.Duration
}

// NewProgress writes to w. On a terminal one line is rewritten.
func NewProgress(w io.Writer, terminal bool) *Progress {
	return &Progress{w: w, terminal: terminal, quietFor: quietFor}
}

// Say something on a line of its own.
func (p *Progress) Say(line string) {
	_, _ = fmt.Fprintln(p.w, line)
}

// A Step of the work.
type Step struct {
	*Progress

	title string
	start time.Time
}

// Start a step.
func (p *Progress) Start(title string) *Step {
	return &Step{Progress: p, title: title, start: time.Now()}
}

// Run a go command, counting the lines that it prints on standard error: one
// for each module that it downloads, or package that it compiles. At most is
// their number if nothing is cached yet; 0 if it is not known.
func (s *Step) Run(cmd *exec.Cmd, what string, atMost int) error {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}

	var count atomic.Int64
	var showing sync.WaitGroup
	done := make(chan struct{})
	showing.Go(func() {
		s.show(done, func() string {
			if atMost > 0 {
				return fmt.Sprintf("%d of at most %d %s", count.Load(), atMost, what)
			}
			return fmt.Sprintf("%d %s", count.Load(), what)
		})
	})

	var last []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		count.Add(1)
		last = append(last, lines.Text())
		if len(last) > errorLines {
			last = last[1:]
		}
	}
	err = cmd.Wait()
	close(done)
	showing.Wait()
	if err != nil {
		return errors.Join(err, errors.New(strings.Join(last, "\n")))
	}
	return nil
}

// show the step's progress until done is closed.
func (s *Step) show(done <-chan struct{}, progress func() string) {
	first := time.NewTimer(s.quietFor)
	defer first.Stop()
	select {
	case <-done:
		return
	case <-first.C:
	}

	every := elsewhere
	if s.terminal {
		every = onTerminal
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.print(progress())
		select {
		case <-tick.C:
		case <-done:
			s.print(progress() + ", done")
			if s.terminal {
				_, _ = fmt.Fprintln(s.w)
			}
			return
		}
	}
}

func (s *Step) print(progress string) {
	line := fmt.Sprintf("%s: %s, %s", s.title, progress, time.Since(s.start).Round(time.Second))
	if s.terminal {
		_, _ = fmt.Fprintf(s.w, "\r\x1b[K%s", line) // Back to the line's start, and clear it.
		return
	}
	_, _ = fmt.Fprintln(s.w, line)
}
