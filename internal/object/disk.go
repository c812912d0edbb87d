package object

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What the store makes is its own, and nobody else's.
const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// disk is what is asked of a file system, below one folder. A test puts another in
// its place, which fails or dies between two steps.
type disk interface {
	create(name string) (file, error) // which must not be there
	open(name string) (file, error)
	rename(from, to string) error // which takes the place of what is there
	remove(name string) error     // which may not be there
	folder(name string) error     // is there afterwards
	sync(folder string) error     // makes durable which names it has
	stat(name string) (fs.FileInfo, error)
	list(folder string) ([]fs.DirEntry, error) // by name; none where there is no folder
}

// file is an open file of a disk.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
}

// rooted is the disk of an operating system. A name that leads out of its folder, by
// a link too, is refused by os.Root.
type rooted struct{ root *os.Root }

// openDisk makes the folder unless it is there. One that is there keeps its
// permissions: all that is made in it is closed to others.
func openDisk(folder string) (disk, error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	return rooted{root}, nil
}

// makeFolder makes a folder and those above it, each durable.
func makeFolder(folder string) error {
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(folder)
	if err := makeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(folder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(os.Open(above))
}

func syncFolder(opened *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

func (d rooted) create(name string) (file, error) {
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
}

func (d rooted) open(name string) (file, error) { return d.root.Open(name) }

func (d rooted) rename(from, to string) error { return d.root.Rename(from, to) }

func (d rooted) remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d rooted) folder(name string) error { return d.root.MkdirAll(name, folderMode) }

func (d rooted) sync(folder string) error { return syncFolder(d.root.Open(folder)) }

func (d rooted) stat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

func (d rooted) list(folder string) ([]fs.DirEntry, error) {
	found, err := fs.ReadDir(d.root.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return found, err
}
