package track

import (
	"reflect"

	"github.com/evenkeel/evenkeel/model"
)

// replace gives the board the entries of new definitions. Entries of things
// that did not change at all stay. Changed ones are new entries, so that the
// worker of the old ones cannot write to them, and take the status over if the
// thing is still the same.
func (b *board) replace(old, now Definitions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := make(map[key]*entry, len(b.entries))
	for _, e := range b.entries {
		before[e.status.key()] = e
	}
	b.entries = nil
	for _, s := range now.Scripts {
		was := named(old.Scripts, s.Name, scriptName)
		b.entries = append(b.entries, scriptEntry(before[key{Script, s.Name}], was, s))
	}
	for _, f := range now.Files {
		was := named(old.Files, f.Name, fileName)
		b.entries = append(b.entries, listEntry(before, key{File, f.Name},
			reflect.DeepEqual(old.Files, now.Files), was != nil && was.Path == f.Path))
	}
	for _, p := range now.Processes {
		was := named(old.Processes, p.Name, processName)
		b.entries = append(b.entries, listEntry(before, key{Process, p.Name},
			reflect.DeepEqual(old.Processes, now.Processes), was != nil))
	}
	kept := make(map[*entry]bool, len(b.entries))
	for _, e := range b.entries {
		kept[e] = true
		if e.status.differs(*e.told) {
			b.note(e)
		}
	}
	for _, e := range before {
		e.gone = !kept[e]
	}
	// Run is to look at the definitions too.
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func scriptName(d model.TrackScript) string   { return d.Name }
func fileName(d model.TrackFile) string       { return d.Name }
func processName(d model.TrackProcess) string { return d.Name }

// names returns the names of all definitions.
func names[T any](list []T, nameOf func(T) string) []string {
	all := make([]string, len(list))
	for i, d := range list {
		all[i] = nameOf(d)
	}
	return all
}

// named returns the definition of that name.
func named[T any](list []T, name string, nameOf func(T) string) *T {
	for i := range list {
		if nameOf(list[i]) == name {
			return &list[i]
		}
	}
	return nil
}

// scriptEntry returns the entry of a script that had the entry e and the
// definition was, or neither.
func scriptEntry(e *entry, was *model.TrackScript, s model.TrackScript) *entry {
	fresh := &entry{
		status:  Status{Kind: Script, Name: s.Name, Reason: "no result yet"},
		told:    new(Status),
		verdict: newVerdict(s.Rise, s.InitFail),
	}
	if s.InitFail {
		fresh.status.State = Down
		fresh.status.Reason = "assumed to fail until the first result (init_fail)"
	}
	if e == nil || was == nil {
		return fresh
	}
	if reflect.DeepEqual(*was, s) {
		return e
	}
	a, b := was.Script, s.Script
	a.Timeout, b.Timeout = 0, 0
	if !a.Equal(b) {
		fresh.told = e.told
		return fresh
	}
	return &entry{status: e.status, told: e.told, verdict: e.verdict.again(s.Rise, s.Fall)}
}

// listEntry returns the entry of a file or process: the old one if the worker
// of its kind goes on, else a new one with the old status if it is the same
// thing.
func listEntry(before map[key]*entry, k key, goesOn, same bool) *entry {
	e := before[k]
	switch {
	case e != nil && goesOn:
		return e
	case e != nil && same:
		return &entry{status: e.status, told: e.told, begun: e.begun}
	}
	fresh := &entry{status: Status{Kind: k.kind, Name: k.name, Reason: "no result yet"}, told: new(Status)}
	if e != nil {
		fresh.told = e.told
	}
	return fresh
}

// find returns the entry of a tracked thing that is defined.
func (b *board) find(k key) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.status.key() == k {
			return e
		}
	}
	return nil
}
