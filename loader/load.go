package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/bpf/fold"
	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/sched"
)

// IncompatibleError says that the pinned maps are not those of this version.
type IncompatibleError struct {
	Dir string
	// Differences has one line for each.
	Differences []string
}

// Error returns one line with the differences and what to do.
func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("adopt %s: the datapath that runs was made by another version: %s; end it with `evenkeel stop`, which drops its flows",
		e.Dir, strings.Join(e.Differences, ", "))
}

// shardSpec returns what one of the maps that hold the flows looks like.
func shardSpec(spec *ebpf.CollectionSpec, shard int) *ebpf.MapSpec {
	owner, _ := lbmaps.ShardOwner(shard)
	return spec.Maps[owner].InnerMap
}

// sized returns the collection with maps of the wanted sizes.
func sized(limits lbmaps.Limits) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadEk()
	if err != nil {
		return nil, fmt.Errorf("read the XDP object: %w", err)
	}
	perService := []string{bpf.EkMapEkServices, bpf.EkMapEkCursors, bpf.EkMapEkServiceStat, bpf.EkMapEkLimits, bpf.EkMapEkOverload}
	for _, name := range perService {
		spec.Maps[name].MaxEntries = limits.Services
	}
	for _, name := range []string{bpf.EkMapEkOrders, bpf.EkMapEkTables} {
		spec.Maps[name].MaxEntries = 2 * limits.Services
	}
	for _, name := range []string{bpf.EkMapEkServers, bpf.EkMapEkTunnels, bpf.EkMapEkServerConns, bpf.EkMapEkServerStats} {
		spec.Maps[name].MaxEntries = limits.Servers
	}
	for _, name := range []string{bpf.EkMapEkReplies, bpf.EkMapEkReplies6} {
		spec.Maps[name].MaxEntries = limits.Replies
	}
	for i := range lbmaps.Shards {
		shardSpec(spec, i).MaxEntries = limits.Flows / lbmaps.FlowShards
	}
	for _, name := range []string{bpf.EkMapEkHalfOpen, bpf.EkMapEkHalfOpen6} {
		spec.Maps[name].MaxEntries = limits.Flows
	}
	return spec, errors.Join(setRingSize(spec, limits.Flows), setCopies(spec, copySets(limits.Flows)))
}

// setRingSize tells the program how long the ring of half-open flows of one
// shard is: as many as the shard holds.
func setRingSize(spec *ebpf.CollectionSpec, flows uint32) error {
	if err := spec.Variables[bpf.EkVarRingSize].Set(flows / lbmaps.FlowShards); err != nil {
		return fmt.Errorf("set the size of the rings: %w", err)
	}
	return nil
}

// createMaps makes all maps with the settings in them and pins them, whole or
// not at all.
func createMaps(p pins, spec *ebpf.CollectionSpec, settings lbmaps.Settings) error {
	// What a start that was killed has left.
	if err := removePins(p.newMaps()); err != nil {
		return err
	}
	if err := os.Mkdir(p.newMaps(), dirMode); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	err := pinNewMaps(p.newMaps(), spec, settings)
	if err == nil {
		err = os.Rename(p.newMaps(), p.maps())
	}
	if err != nil {
		return errors.Join(err, removePins(p.newMaps()))
	}
	return nil
}

func pinNewMaps(dir string, spec *ebpf.CollectionSpec, settings lbmaps.Settings) error {
	for name, ms := range spec.Maps {
		if !lbmaps.IsPinned(name) {
			continue
		}
		if err := pinNewMap(dir, name, ms); err != nil {
			return err
		}
	}
	for i := range lbmaps.Shards {
		ms := shardSpec(spec, i).Copy()
		ms.Name = lbmaps.ShardName(i)
		if err := pinNewMap(dir, ms.Name, ms); err != nil {
			return err
		}
	}
	maps, err := lbmaps.Open(dir, false)
	if err != nil {
		return err
	}
	defer maps.Close()
	if err := maps.JoinShards(); err != nil {
		return err
	}
	return maps.PutSettings(settings)
}

func pinNewMap(dir, name string, ms *ebpf.MapSpec) error {
	m, err := ebpf.NewMap(ms)
	if err != nil {
		return fmt.Errorf("create map %s of %d entries: %w", name, ms.MaxEntries, err)
	}
	defer m.Close()
	return pinAs(m, filepath.Join(dir, name))
}

// openMaps opens the pinned maps if they are those of this version, and returns
// them with the collection of their sizes. The error is an *IncompatibleError
// if they are not.
func openMaps(p pins) (*lbmaps.Maps, *ebpf.CollectionSpec, error) {
	maps, err := lbmaps.Open(p.maps(), false)
	if err != nil {
		return nil, nil, &IncompatibleError{Dir: string(p), Differences: []string{err.Error()}}
	}
	spec, err := sized(maps.Limits())
	if err == nil {
		err = keepCopies(spec, maps)
	}
	if err != nil {
		return nil, nil, errors.Join(err, maps.Close())
	}
	if differences := compareMaps(spec, maps); differences != nil {
		return nil, nil, errors.Join(&IncompatibleError{Dir: string(p), Differences: differences}, maps.Close())
	}
	return maps, spec, nil
}

// compareMaps says how the pinned maps differ from what the program needs, in
// all but their sizes.
func compareMaps(spec *ebpf.CollectionSpec, maps *lbmaps.Maps) []string {
	var differences []string
	settings, err := maps.Settings()
	switch {
	case err != nil:
		differences = append(differences, err.Error())
	case settings.LayoutVersion != lbmaps.LayoutVersion:
		differences = append(differences, fmt.Sprintf("layout %d, this version has %d", settings.LayoutVersion, lbmaps.LayoutVersion))
	}
	for name, m := range maps.ByName() {
		if err := spec.Maps[name].Compatible(m); err != nil {
			differences = append(differences, fmt.Sprintf("map %s: %v", name, err))
		}
	}
	for i := range lbmaps.Shards {
		if err := shardSpec(spec, i).Compatible(maps.Shard(i)); err != nil {
			differences = append(differences, fmt.Sprintf("map %s: %v", lbmaps.ShardName(i), err))
		}
	}
	slices.Sort(differences)
	return differences
}

// loaded is what one load leaves.
type loaded struct {
	progs *programs
	// testNow is the programs' clock, with Options.testClock.
	testNow *ebpf.Variable
	// sweepArgs are the programs' own map of keys to sweep.
	sweepArgs *ebpf.Map
}

func (l *loaded) close() error {
	if l.progs == nil {
		return nil
	}
	return errors.Join(l.progs.close(), l.sweepArgs.Close())
}

// programs are the loaded programs.
type programs struct {
	xdp, publish, edit      *ebpf.Program
	imports                 *ebpf.Program
	sweep, sweepTemplates   *ebpf.Program
	sweep6, sweepTemplates6 *ebpf.Program
}

// named lists the programs by the names that they have in the object.
func (g *programs) named() map[string]**ebpf.Program {
	return map[string]**ebpf.Program{
		bpf.EkProgEkXdp:        &g.xdp,
		bpf.EkProgEkSweep:      &g.sweep,
		bpf.EkProgEkSweep6:     &g.sweep6,
		bpf.EkProgEkSweepTmpl:  &g.sweepTemplates,
		bpf.EkProgEkSweepTmpl6: &g.sweepTemplates6,
		bpf.EkProgEkPublish:    &g.publish,
		bpf.EkProgEkEdit:       &g.edit,
		bpf.EkProgEkImport:     &g.imports,
	}
}

func (g *programs) close() error {
	var errs []error
	for _, place := range g.named() {
		errs = append(errs, (*place).Close())
	}
	return errors.Join(errs...)
}

// ProgramError says that the kernel refused the programs.
type ProgramError struct {
	Cause error
	// Log is what the verifier said, one line each; empty when it was not
	// the verifier.
	Log []string
}

// Error returns one line with the end of the verifier's log.
func (e *ProgramError) Error() string { return fmt.Sprintf("load the XDP program: %v", e.Cause) }

// Unwrap returns the kernel's error.
func (e *ProgramError) Unwrap() error { return e.Cause }

// follow makes the programs follow a generation of IPVS.
func follow(spec *ebpf.CollectionSpec, p sched.Profile) error {
	for name, value := range map[string]bool{
		bpf.EkVarOldOverhead: p.OldOverhead, bpf.EkVarOldThresholds: p.OldThresholds,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// loadPrograms loads the programs of this version onto the maps. The error is
// a *ProgramError.
func loadPrograms(spec *ebpf.CollectionSpec, maps *lbmaps.Maps, testClock bool) (*loaded, error) {
	if testClock {
		if err := spec.Variables[bpf.EkVarTestClock].Set(true); err != nil {
			return nil, fmt.Errorf("set test clock: %w", err)
		}
	}
	fold.Collection(spec)
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps.ByName()})
	if err != nil {
		refusal := &ProgramError{Cause: err}
		if verifier, ok := errors.AsType[*ebpf.VerifierError](err); ok {
			refusal.Log = verifier.Log
		}
		return nil, refusal
	}
	defer c.Close()
	l := &loaded{progs: &programs{}, sweepArgs: c.DetachMap(bpf.EkMapEkSweepKeys)}
	for name, place := range l.progs.named() {
		*place = c.DetachProgram(name)
	}
	if testClock {
		l.testNow = c.Variables[bpf.EkVarTestNow]
	}
	return l, nil
}

// pinPrograms puts the programs in place of those of an earlier start.
func pinPrograms(p pins, g *programs) error {
	for name, place := range g.named() {
		if err := os.Remove(p.newProg(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
		if err := pinAs(*place, p.newProg(name)); err != nil {
			return err
		}
		if err := os.Rename(p.newProg(name), p.prog(name)); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
	}
	return nil
}
