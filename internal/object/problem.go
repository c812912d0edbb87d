package object

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	codeMissing = "OBJECT_MISSING"
	codeDamaged = "OBJECT_DAMAGED"
)

// IsMissing says whether an error is that there is no such object.
func IsMissing(err error) bool { return hasCode(err, codeMissing) }

// IsDamaged says whether an error is that an object is not what was put.
func IsDamaged(err error) bool { return hasCode(err, codeDamaged) }

func hasCode(err error, code string) bool {
	var typed *problem.Error
	return errors.As(err, &typed) && typed.Code == code
}

func missing(a Address) *problem.Error {
	return problem.New(problem.NotFound, codeMissing, "the store has no object %s", a)
}

// damaged is of kind unavailable: what was asked for is right, and a restored copy of
// the object answers it.
func damaged(a Address, how string) *problem.Error {
	return problem.New(problem.Unavailable, codeDamaged,
		"the object %s is damaged: %s; restore it from a copy, or collect the same file again", a, how)
}

func tooLarge(limit int64) *problem.Error {
	return problem.New(problem.Limit, "OBJECT_TOO_LARGE", "it is larger than %d bytes, the most that is kept", limit)
}

func full(cause error) *problem.Error {
	return problem.New(problem.Unavailable, "OBJECT_STORE_FULL", "the object store is full; give it room and try again").Because(cause)
}

// fault tells what a file system refuses. The cause has the path, the message does
// not: it is for who made the request.
func fault(err error) error {
	var typed *problem.Error
	switch {
	case err == nil || errors.As(err, &typed):
		return err
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return full(err)
	case errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Unavailable, "OBJECT_STORE_READ_ONLY",
			"the object store cannot be written or read; see to the owner and the permissions of its folder").Because(err)
	}
	return problem.New(problem.Unavailable, "OBJECT_STORE_FAILED", "the object store failed; its log says why").Because(err)
}
