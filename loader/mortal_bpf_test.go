//go:build bpf

package loader

import (
	"errors"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/model"
)

// errKilled is the panic that stands for the end of the process.
var errKilled = errors.New("killed")

// mortal lets so many writes through and then kills.
type mortal struct {
	tables
	left int
	// err is what a write fails with instead, if it is set.
	err error
	// before is called before each write, if it is set.
	before func()
}

func (m *mortal) spend() error {
	if m.before != nil {
		m.before()
	}
	if m.left == 0 {
		if m.err != nil {
			return m.err
		}
		panic(errKilled)
	}
	m.left--
	return nil
}

// spent runs a write if life is left.
func spent(m *mortal, write func() error) error {
	if err := m.spend(); err != nil {
		return err
	}
	return write()
}

func (m *mortal) PutService(s lbmaps.Service) error {
	return spent(m, func() error { return m.tables.PutService(s) })
}

func (m *mortal) DeleteService(k model.ServiceKey) error {
	return spent(m, func() error { return m.tables.DeleteService(k) })
}

func (m *mortal) PutKnown(end uint32, known byte) error {
	return spent(m, func() error { return m.tables.PutKnown(end, known) })
}

func (m *mortal) ResetService(id uint32) error {
	return spent(m, func() error { return m.tables.ResetService(id) })
}

func (m *mortal) PutCursor(id uint32, c lbmaps.Cursor) error {
	return spent(m, func() error { return m.tables.PutCursor(id, c) })
}

func (m *mortal) PutOrder(id, generation uint32, o lbmaps.Order) error {
	return spent(m, func() error { return m.tables.PutOrder(id, generation, o) })
}

func (m *mortal) PutPositions(p []uint32) error {
	return spent(m, func() error { return m.tables.PutPositions(p) })
}

func (m *mortal) Edited(slot, oldUpper, oldLower uint32) error {
	return spent(m, func() error { return m.tables.Edited(slot, oldUpper, oldLower) })
}

func (m *mortal) Publish(id uint32) (generation uint32, err error) {
	err = spent(m, func() error { generation, err = m.tables.Publish(id); return err })
	return generation, err
}

func (m *mortal) PutServer(slot uint32, s lbmaps.Server) error {
	return spent(m, func() error { return m.tables.PutServer(slot, s) })
}

func (m *mortal) ResetServer(slot uint32) error {
	return spent(m, func() error { return m.tables.ResetServer(slot) })
}
