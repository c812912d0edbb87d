package importer

import (
	"context"
	"iter"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/awsiam"
	"github.com/exposuregraph/exposuregraph/internal/importer/owners"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// runAWSIAM imports the lists of one account, and after them the owners of its
// workloads. All files are read before the sync begins, because they say which
// account they are of, and so which system.
func runAWSIAM(ctx context.Context, s *Service, request Request) (*authority.SyncReport, error) {
	options := awsiam.Options{Now: s.now()}
	if request.Policy != nil {
		policy, err := awsiam.LoadPolicy(request.Policy.Content, request.Policy.Name)
		if err != nil {
			return nil, err
		}
		options.Policy = policy
	}
	var mapping *owners.File
	if request.Owners != nil {
		read, err := owners.Read(request.Owners.Name, request.Owners.Content)
		if err != nil {
			return nil, err
		}
		mapping = read
	}
	account, err := awsiam.Read(accountFiles(request.Files), options)
	if err != nil {
		return nil, err
	}
	sync := request.SyncRequest
	if sync.System, err = accountSystem(sync.System, account.ID()); err != nil {
		return nil, err
	}
	sync.Partial = sync.Partial || account.Cut()
	return s.syncer.Sync(ctx, sync, func(out record.Emitter) error {
		seen := &workloads{Emitter: out}
		if err := account.Emit(seen); err != nil {
			return err
		}
		if mapping == nil {
			return nil
		}
		return mapping.Emit(seen.sourceIDs, out)
	})
}

// accountSystem is the name of the account as a system: its number, unless the
// import gives it a name. A number that is another account's is no name for it.
func accountSystem(named, id string) (string, error) {
	switch {
	case named == "" && id == "":
		return "", problem.New(problem.Invalid, "AWS_ACCOUNT_UNKNOWN",
			"nothing in the files names their account; say which system they are of").On("system")
	case named == "":
		return id, nil
	case id != "" && named != id && awsiam.IsAccount(named):
		return "", problem.New(problem.Invalid, "AWS_ACCOUNT_DIFFERS",
			"the import is of the account %s, but the files are of %s", named, id).On("system")
	}
	return named, nil
}

func accountFiles(files iter.Seq2[File, error]) iter.Seq2[awsiam.File, error] {
	return func(yield func(awsiam.File, error) bool) {
		for file, err := range files {
			if !yield(awsiam.File(file), err) {
				return
			}
		}
	}
}
