package track

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/model"
)

// folderRetry is how often a folder that cannot be watched is looked for.
const folderRetry = time.Second

// files watches all track files. It belongs to one goroutine.
type files struct {
	tracker *Tracker
	list    []model.TrackFile
	entries []*entry
	watch   *folderWatch
	// watches maps folders to their watches; those that could not be watched
	// are not in it.
	watches map[string]int
}

// runFiles watches files until ctx ends.
func (t *Tracker) runFiles(ctx context.Context, list []model.TrackFile, entries []*entry) {
	f := &files{tracker: t, list: list, entries: entries, watches: make(map[string]int)}
	f.init()
	events, stop := f.open(ctx)
	defer stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return
		case list, ok := <-events:
			if !ok {
				// From now on files are looked at each second.
				events, f.watch = nil, nil
				clear(f.watches)
			}
			f.handle(list)
		case <-retry.C:
			waiting = false
			f.look()
		}
		if !waiting && len(f.watches) < len(f.folders()) {
			waiting = true
			retry.Reset(t.folderRetry)
		}
	}
}

// init writes the files that are to be written at the start, once in the life
// of each.
func (f *files) init() {
	for i, d := range f.list {
		if !f.tracker.board.first(f.entries[i]) {
			continue
		}
		if err := initFile(d); err != nil {
			f.tracker.opts.Log.Warn("track file not written", "name", d.Name, "error", err)
		}
	}
}

// open starts to collect events. Without inotify there are none. Stop ends it
// and waits.
func (f *files) open(ctx context.Context) (events chan []folderEvent, stop func()) {
	watch, err := newFolderWatch()
	if err != nil {
		f.tracker.opts.Log.Warn("track files are read each second", "error", err)
		return nil, func() {}
	}
	f.watch = watch
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	events = make(chan []folderEvent)
	reader.Go(func() {
		defer close(events)
		buf := make([]byte, 16<<10)
		for {
			list, err := watch.read(buf)
			if err != nil {
				return
			}
			select {
			case events <- list:
			case <-ctx.Done():
				return
			}
		}
	})
	return events, func() {
		cancel()
		watch.close()
		reader.Wait()
	}
}

// folders returns the folders of all files.
func (f *files) folders() map[string]bool {
	all := make(map[string]bool)
	for _, d := range f.list {
		all[filepath.Dir(d.Path)] = true
	}
	return all
}

// look watches the folders that are not watched yet and reads their files. A
// folder is watched before its files are read, so that no change is missed.
func (f *files) look() {
	fresh := make(map[string]bool)
	for folder := range f.folders() {
		if _, ok := f.watches[folder]; ok {
			continue
		}
		fresh[folder] = true
		if f.watch == nil {
			continue
		}
		if watch, err := f.watch.add(folder); err == nil {
			f.watches[folder] = watch
		}
	}
	f.read(func(folder, _ string) bool { return fresh[folder] })
}

// handle reads the files that events name, and all after a loss of events.
func (f *files) handle(list []folderEvent) {
	for _, e := range list {
		if e.ended {
			f.forget(e.watch)
		}
	}
	f.read(func(folder, name string) bool {
		watch, watched := f.watches[folder]
		for _, e := range list {
			if e.watch < 0 || !watched || e.watch == watch && (e.name == name || e.name == "") {
				return true
			}
		}
		return false
	})
}

// forget notes that a folder is not watched, or not under its name.
func (f *files) forget(watch int) {
	for folder, w := range f.watches {
		if w == watch {
			delete(f.watches, folder)
			f.watch.remove(watch)
		}
	}
}

// read reads the files that which picks by folder and name.
func (f *files) read(which func(folder, name string) bool) {
	for i, d := range f.list {
		folder, name := filepath.Split(d.Path)
		if !which(filepath.Clean(folder), name) {
			continue
		}
		value, err := readNumber(d.Path)
		f.tracker.board.update(f.entries[i], func(s *Status) {
			s.State, s.Value, s.Reason = Up, value, fmt.Sprintf("number %d", value)
			if err != nil {
				s.State, s.Reason = Down, err.Error()+": counts 0"
			}
		})
	}
}
