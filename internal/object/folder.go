package object

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"github.com/google/uuid"
)

// Folder keeps objects as files of a folder, and its spool beside them, so that to put
// a draft is to give it another name.
type Folder struct {
	disk  disk
	spool *Spool
}

// OpenFolder opens the store of a folder, which is made unless it is there.
func OpenFolder(name string) (*Folder, error) {
	d, err := openDisk(name)
	if err != nil {
		return nil, fault(err)
	}
	return newFolder(d)
}

func newFolder(d disk) (*Folder, error) {
	spool, err := newSpool(d)
	if err != nil {
		return nil, err
	}
	return &Folder{disk: d, spool: spool}, nil
}

// Spool is the store's own.
func (f *Folder) Spool() *Spool { return f.spool }

// Put makes the content durable, then gives it its name, then makes the name durable.
// So there is no moment at which the name stands for less than the whole content.
func (f *Folder) Put(ctx context.Context, organization uuid.UUID, draft *Draft) (Address, error) {
	if ctx.Err() != nil {
		return Address{}, context.Cause(ctx)
	}
	address := Address{Organization: organization, Digest: draft.digest}
	if err := draft.goTo(f.spool, address); err != nil {
		return Address{}, err
	}
	return address, fault(f.place(draft, address.String()))
}

func (f *Folder) place(draft *Draft, key string) error {
	last := path.Dir(key)
	if !draft.moved {
		if err := draft.file.Sync(); err != nil {
			return err
		}
		if err := f.disk.folder(last); err != nil {
			return err
		}
		if err := f.disk.rename(draft.name, key); err != nil {
			return err
		}
		draft.moved = true
	}
	// Every folder of the way, whoever made it: another process may have been killed
	// between making and syncing it.
	for folder := last; ; folder = path.Dir(folder) {
		if err := f.disk.sync(folder); err != nil || folder == "." {
			return err
		}
	}
}

// Open verifies the file and gives the same open file to read, so that nothing that
// takes its place in between is read instead.
func (f *Folder) Open(ctx context.Context, address Address) (*Content, error) {
	info, err := f.Head(ctx, address)
	if err != nil {
		return nil, err
	}
	opened, err := f.disk.open(address.String())
	if err != nil {
		return nil, f.absent(address, err)
	}
	if info.Size, err = verify(ctx, address, opened); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &Content{SectionReader: io.NewSectionReader(opened, 0, info.Size), Info: info, close: opened.Close}, nil
}

// verify reads all of a file and says how long it is.
func verify(ctx context.Context, address Address, opened file) (int64, error) {
	sum, buffer, size := sha256.New(), make([]byte, piece), int64(0)
	for {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := opened.ReadAt(buffer, size)
		sum.Write(buffer[:n])
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			if Digest(sum.Sum(nil)) != address.Digest {
				return 0, damaged(address, "its content has another SHA-256")
			}
			return size, nil
		case err != nil:
			return 0, fault(err)
		}
	}
}

// Head asks the file system.
func (f *Folder) Head(ctx context.Context, address Address) (Info, error) {
	if ctx.Err() != nil {
		return Info{}, context.Cause(ctx)
	}
	found, err := f.disk.stat(address.String())
	switch {
	case err != nil:
		return Info{}, f.absent(address, err)
	case !found.Mode().IsRegular():
		return Info{}, damaged(address, "it is no file")
	}
	return Info{Address: address, Size: found.Size(), Modified: found.ModTime()}, nil
}

func (f *Folder) absent(address Address, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return missing(address).Because(err)
	}
	return fault(err)
}

// Delete removes the file and makes that durable. Its folders stay: another may be
// putting into them.
func (f *Folder) Delete(ctx context.Context, address Address) error {
	if _, err := f.Head(ctx, address); IsMissing(err) {
		return nil
	} else if err != nil {
		return err
	}
	if err := f.disk.remove(address.String()); err != nil {
		return fault(err)
	}
	return fault(f.disk.sync(path.Dir(address.String())))
}

// List reads one folder at a time. What is not named as the store names its objects
// is none of them.
func (f *Folder) List(ctx context.Context, organization uuid.UUID) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) { f.list(ctx, organization.String(), yield) }
}

// ListAll reads one folder at a time.
func (f *Folder) ListAll(ctx context.Context) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) { f.list(ctx, ".", yield) }
}

// list goes down a folder and says whether to go on.
func (f *Folder) list(ctx context.Context, folder string, yield func(Info, error) bool) bool {
	found, err := f.disk.list(folder)
	if err != nil {
		yield(Info{}, fault(err))
		return false
	}
	for _, entry := range found {
		if ctx.Err() != nil {
			yield(Info{}, context.Cause(ctx))
			return false
		}
		name := path.Join(folder, entry.Name())
		if entry.IsDir() {
			if leadsToObjects(name) && !f.list(ctx, name, yield) {
				return false
			}
			continue
		}
		address, ours := parseAddress(name)
		if !ours {
			continue
		}
		switch info, err := f.Head(ctx, address); {
		case IsMissing(err) || IsDamaged(err): // deleted meanwhile, or no file
		case !yield(info, err) || err != nil:
			return false
		}
	}
	return true
}

// leadsToObjects says whether objects may be below a folder: it is that of an
// organization, or one in it.
func leadsToObjects(folder string) bool {
	organization, rest, _ := strings.Cut(folder, "/")
	_, err := uuid.Parse(organization)
	return err == nil && !strings.Contains(rest, "/")
}
