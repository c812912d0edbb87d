package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// stdinName is the argument that stands for standard input.
const stdinName = "-"

// open opens a file of the command line.
func (p Process) open(name string) (io.ReadCloser, error) {
	if name == stdinName {
		return io.NopCloser(p.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	return file, nil
}

func unreadable(name string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return problem.New(problem.Invalid, "FILE_UNREADABLE", "the file cannot be read: %s", err).At(name, 0).Because(err)
}

// expand gives the files that the arguments name: files as they are, and of a
// folder those inside that end as files of the format do, sorted, without hidden
// folders. Everything is looked at before anything is sent.
func expand(args, endings []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		if arg == stdinName {
			if slices.Contains(files, stdinName) {
				return nil, usagef("standard input (-) is given twice")
			}
			files = append(files, arg)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, unreadable(arg, err)
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		inside, err := filesIn(arg, endings)
		if err != nil {
			return nil, err
		}
		files = append(files, inside...)
	}
	return files, nil
}

func filesIn(folder string, endings []string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return unreadable(path, err)
		case entry.IsDir():
			if path != folder && strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
		case slices.Contains(endings, strings.ToLower(filepath.Ext(path))):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = problem.New(problem.Invalid, "FOLDER_EMPTY", "the folder holds no file that ends in %s", strings.Join(endings, ", ")).At(folder, 0)
	}
	return files, err
}
