package object

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
)

var errKilled = errors.New("the process is dead")

// frail is a disk that writes down what is asked of it and fails at one step: with an
// error once, or, killed, at that step and every later one.
type frail struct {
	disk
	lock   sync.Mutex
	steps  []string
	failAt int // the step, counted from 1; 0 for none
	err    error
	half   bool // the write that fails has written half before
}

// step says what fate the next step has.
func (f *frail) step(words ...string) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.steps = append(f.steps, strings.Join(words, " "))
	at := len(f.steps)
	if f.failAt > 0 && (at == f.failAt || at > f.failAt && errors.Is(f.err, errKilled)) {
		return f.err
	}
	return nil
}

// named leaves out what is random in the name of a draft.
func named(name string) string {
	if path.Dir(name) == incoming {
		return "draft"
	}
	return name
}

func (f *frail) create(name string) (file, error) {
	if err := f.step("create", named(name)); err != nil {
		return nil, err
	}
	opened, err := f.disk.create(name)
	return frailFile{opened, f}, err
}

func (f *frail) open(name string) (file, error) {
	if err := f.step("open", name); err != nil {
		return nil, err
	}
	opened, err := f.disk.open(name)
	return frailFile{opened, f}, err
}

func (f *frail) rename(from, to string) error {
	if err := f.step("rename", named(from), to); err != nil {
		return err
	}
	return f.disk.rename(from, to)
}

func (f *frail) remove(name string) error {
	if err := f.step("remove", named(name)); err != nil {
		return err
	}
	return f.disk.remove(name)
}

func (f *frail) folder(name string) error {
	if err := f.step("folder", name); err != nil {
		return err
	}
	return f.disk.folder(name)
}

func (f *frail) sync(folder string) error {
	if err := f.step("sync", folder); err != nil {
		return err
	}
	return f.disk.sync(folder)
}

func (f *frail) stat(name string) (fs.FileInfo, error) {
	if err := f.step("stat", name); err != nil {
		return nil, err
	}
	return f.disk.stat(name)
}

func (f *frail) list(folder string) ([]fs.DirEntry, error) {
	if err := f.step("list", folder); err != nil {
		return nil, err
	}
	return f.disk.list(folder)
}

// frailFile is a file of a frail disk.
type frailFile struct {
	file
	disk *frail
}

func (f frailFile) Write(part []byte) (int, error) {
	err := f.disk.step("write")
	if err == nil {
		return f.file.Write(part)
	}
	n := 0
	if f.disk.half {
		n, _ = f.file.Write(part[:len(part)/2])
	}
	return n, err
}

func (f frailFile) Sync() error {
	if err := f.disk.step("sync the draft"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f frailFile) ReadAt(into []byte, offset int64) (int, error) {
	if err := f.disk.step("read"); err != nil {
		return 0, err
	}
	return f.file.ReadAt(into, offset)
}

// Close closes even when the process is dead: the system does it.
func (f frailFile) Close() error { return errors.Join(f.disk.step("close"), f.file.Close()) }
