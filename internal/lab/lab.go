package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Lab is a set of nodes and links under one prefix. Its methods may be called
// from several goroutines.
type Lab struct {
	prefix string

	mu      sync.Mutex // guards the fields below
	closed  bool
	nodes   []*Node
	closers []func() error // run by Close, newest first
	ports   int            // numbers switch ports, for their MACs
}

var (
	prefixForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	nodeForm   = regexp.MustCompile(`^[a-z0-9]+$`)
)

// New returns an empty lab. The namespaces will be called prefix-node. A
// prefix holds lower-case letters, digits and dashes, and should be used by
// one lab at a time.
func New(prefix string) (*Lab, error) {
	if !prefixForm.MatchString(prefix) {
		return nil, fmt.Errorf("make lab: prefix %q is not of lower-case letters, digits and dashes", prefix)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("make lab: network namespaces need root")
	}
	return &Lab{prefix: prefix}, nil
}

// Prefix returns the prefix given to New.
func (l *Lab) Prefix() string { return l.prefix }

// Node returns the node of that name, or nil.
func (l *Lab) Node(name string) *Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// Nodes returns the nodes in the order of their creation, switches included.
func (l *Lab) Nodes() []*Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.nodes)
}

// onClose registers f to be run by Close. The last registered runs first.
func (l *Lab) onClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}

// Close stops what was started in the lab, kills every process that still
// lives in one of its namespaces, and removes links and namespaces. It goes on
// after an error and returns all of them. A second Close does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	closers, nodes := l.closers, l.nodes
	l.closers, l.nodes = nil, nil
	l.mu.Unlock()

	var errs []error
	for _, f := range slices.Backward(closers) {
		errs = append(errs, f())
	}
	for _, n := range slices.Backward(nodes) {
		errs = append(errs, n.remove())
	}
	return errors.Join(errs...)
}

// Clean removes what labs with this prefix left behind when their program was
// killed: it kills the processes that live in the namespaces, removes links
// and namespaces, and unmounts what Lab.MountBPFFS mounted. Nothing left is no
// error. It must not be called for a lab in use.
func Clean(prefix string) error {
	names, err := namespaces(prefix)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, removeNamespace(name))
	}
	errs = append(errs, unmountBySource(bpffsSource(prefix)))
	return errors.Join(errs...)
}

// namespaces lists the namespaces of the prefix: those whose name is the
// prefix, a dash and a node name. A node name has no dash, so another lab whose
// prefix starts with this one is left alone.
func namespaces(prefix string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(netnsDir, prefix+"-*"))
	if err != nil {
		return nil, fmt.Errorf("list namespaces of %s: %w", prefix, err)
	}
	var names []string
	for _, f := range files {
		name := filepath.Base(f)
		if nodeForm.MatchString(strings.TrimPrefix(name, prefix+"-")) {
			names = append(names, name)
		}
	}
	return names, nil
}
