package object

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"sync"
	"time"
)

// incoming is the folder of a spool. No organization has this name.
const incoming = "incoming"

// Spool holds what is not kept yet. Several processes may share one.
type Spool struct {
	disk disk
	held sync.Map // names of drafts of this process
}

// OpenSpool opens the spool of a folder, which is made unless it is there.
func OpenSpool(folder string) (*Spool, error) {
	d, err := openDisk(folder)
	if err != nil {
		return nil, fault(err)
	}
	return newSpool(d)
}

func newSpool(d disk) (*Spool, error) {
	if err := d.folder(incoming); err != nil {
		return nil, fault(err)
	}
	return &Spool{disk: d}, nil
}

// begin makes an empty draft under a name that nobody has.
func (s *Spool) begin() (*Draft, error) {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fault(err)
	}
	name := path.Join(incoming, hex.EncodeToString(random[:]))
	s.held.Store(name, true)
	opened, err := s.disk.create(name)
	if err != nil {
		s.held.Delete(name)
		return nil, fault(err)
	}
	return &Draft{spool: s, name: name, file: opened}, nil
}

// Leftover is a draft that this process does not hold: another process does, or one
// that was killed did.
type Leftover struct {
	Name     string
	Size     int64
	Modified time.Time // when its last byte came
}

// Left gives the drafts that this process does not hold.
func (s *Spool) Left(ctx context.Context) ([]Leftover, error) {
	found, err := s.disk.list(incoming)
	if err != nil {
		return nil, fault(err)
	}
	var left []Leftover
	for _, entry := range found {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		name := path.Join(incoming, entry.Name())
		info, err := entry.Info()
		_, ours := s.held.Load(name)
		switch {
		case ours || errors.Is(err, fs.ErrNotExist): // put or discarded meanwhile
		case err != nil:
			return nil, fault(err)
		case info.Mode().IsRegular():
			left = append(left, Leftover{Name: name, Size: info.Size(), Modified: info.ModTime()})
		}
	}
	return left, nil
}

// Sweep removes the drafts that this process does not hold and that had their last
// byte before a time, and says how many. The time must be long enough ago that no
// other process still waits to put such a draft.
func (s *Spool) Sweep(ctx context.Context, before time.Time) (int, error) {
	left, err := s.Left(ctx)
	if err != nil {
		return 0, err
	}
	swept := 0
	for _, draft := range left {
		if ctx.Err() != nil {
			return swept, context.Cause(ctx)
		}
		if !draft.Modified.Before(before) {
			continue
		}
		if err := s.disk.remove(draft.Name); err != nil {
			return swept, fault(err)
		}
		swept++
	}
	return swept, nil
}
