package drive

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cilium/ebpf"
)

// Memory reads cache lines one after the other, in no order that a processor could
// foresee. What a read costs is the yardstick of everything that has a table: it says how
// slow the machine's memory is.
type Memory struct {
	objects struct {
		Memory *ebpf.Program `ebpf:"memory"`
		Lines  *ebpf.Map     `ebpf:"lines"`
	}
}

// NewMemory takes so many lines of 64 bytes, at least one.
func NewMemory(lines uint32) (*Memory, error) {
	spec, err := LoadDrive()
	if err != nil {
		return nil, fmt.Errorf("load memory: %w", err)
	}
	spec.Maps[DriveMapLines].MaxEntries = max(lines, 1)
	m := &Memory{}
	if err := spec.LoadAndAssign(&m.objects, nil); err != nil {
		return nil, fmt.Errorf("load memory: %w", err)
	}
	if err := m.link(circle(max(lines, 1))); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Close gives the lines back.
func (m *Memory) Close() error {
	return errors.Join(m.objects.Memory.Close(), m.objects.Lines.Close())
}

// circle returns which line comes after each, so that all are on one way around. It is the
// same in every run (Sattolo's algorithm).
func circle(lines uint32) []uint32 {
	next := make([]uint32, lines)
	for i := range next {
		next[i] = uint32(i)
	}
	random := rand.New(rand.NewPCG(1, uint64(lines)))
	for i := len(next) - 1; i > 0; i-- {
		j := random.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	return next
}

// link writes the lines.
func (m *Memory) link(next []uint32) error {
	const most = 4096 // of one call
	keys, values := make([]uint32, 0, most), make([]DriveLine, 0, most)
	for part := range slices.Chunk(next, most) {
		first := uint32(0)
		if len(keys) > 0 {
			first = keys[len(keys)-1] + 1
		}
		keys, values = keys[:0], values[:0]
		for i, line := range part {
			keys, values = append(keys, first+uint32(i)), append(values, DriveLine{Next: line})
		}
		if _, err := m.objects.Lines.BatchUpdate(keys, values, nil); err != nil {
			return fmt.Errorf("write lines: %w", err)
		}
	}
	return nil
}

// The numbers of drive.c and of a measurement: reads of a run of the program, and pieces
// whose middle one counts, so that what interrupts some of them does not.
const (
	reads  = 256
	pieces = 16
)

// Read reads so many lines, or some more, and returns what one read took in nanoseconds. It
// runs on the CPU of the calling thread.
func (m *Memory) Read(lines int) (each float64, err error) {
	runs := max(lines/(pieces*reads), 1)
	took := make([]float64, pieces)
	for i := range took {
		verdict, one, err := m.objects.Memory.Benchmark(make([]byte, 64), runs, nil)
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		if verdict == 0 { // XDP_ABORTED
			return 0, errors.New("read memory: a line is not there")
		}
		took[i] = float64(one.Nanoseconds()) / reads
	}
	slices.Sort(took)
	return took[pieces/2], nil
}
