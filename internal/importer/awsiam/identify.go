package awsiam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// identify finds out which account the lists are of. Its identities decide, or
// where there are none the workloads. Two accounts never merge: lists of two that
// could each be meant are refused whole, and something of another account beside
// the identities of one is rejected.
func (a *Account) identify() error {
	owners := map[string]record.Position{}
	note := func(text string, at record.Position) {
		parts, ok := parseARN(text)
		if !ok || !IsAccount(parts.account) {
			return
		}
		if _, known := owners[parts.account]; !known {
			owners[parts.account] = at
		}
		if a.partition == "" {
			a.partition = parts.partition
		}
	}
	for _, p := range a.principals {
		note(p.arn, p.at)
	}
	for _, g := range a.groups {
		note(g.arn, g.at)
	}
	for _, p := range a.policies {
		if p.sourceType == typeManaged {
			note(p.id, p.at)
		}
	}
	for _, p := range a.profiles {
		note(p.arn, p.at)
	}
	if len(owners) == 0 {
		for _, f := range a.functions {
			note(f.arn, f.at)
		}
		for _, i := range a.instances {
			if _, known := owners[i.owner]; IsAccount(i.owner) && !known {
				owners[i.owner] = i.at
			}
		}
		for _, r := range a.resources {
			note(r.arn, r.at)
		}
	}
	ids := make([]string, 0, len(owners))
	for id := range owners {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) > 1 {
		at := owners[ids[1]]
		return problem.New(problem.Invalid, codePrefix+"_ACCOUNTS_MIXED",
			"The files are of several accounts (%s). Import those of each account on their own.", strings.Join(ids[:min(len(ids), 5)], ", ")).At(at.File, at.Line)
	}
	if len(ids) == 1 {
		a.id = ids[0]
	}
	if a.partition == "" {
		a.partition = "aws"
	}
	a.settle()
	return nil
}

// settle rejects what is of another account and gives the others their ids.
func (a *Account) settle() {
	for _, p := range a.principals {
		a.isOurs("", p.arn, p.at)
	}
	a.functions = slices.DeleteFunc(a.functions, func(f *function) bool { return !a.isOurs(record.Workload, f.arn, f.at) })
	a.instances = slices.DeleteFunc(a.instances, func(i *instance) bool {
		if !IsAccount(i.owner) || i.owner == a.id {
			return false
		}
		ref := i.ref()
		a.reject(i.at, codeForeign, fmt.Sprintf("%s runs in the account %s; this import is of %s.", i.id, i.owner, a.id), &ref)
		return true
	})
	for _, r := range a.resources {
		if r.bucket {
			r.arn = "arn:" + a.partition + ":s3:::" + r.name
		}
	}
	a.resources = slices.DeleteFunc(a.resources, func(r *resource) bool { return !a.isOurs(record.Resource, r.arn, r.at) })
}

// isOurs rejects what an ARN puts into another account. An ARN with a number that
// no account can have is believed to be of this one, and warned about.
func (a *Account) isOurs(kind record.EntityKind, text string, at record.Position) bool {
	parts, _ := parseARN(text)
	switch {
	case parts.account == "" || parts.account == a.id:
	case !IsAccount(parts.account):
		a.warn(at, "ACCOUNT_UNREADABLE", "%s names %s, which is no number of an account; it is taken to be of this one.", text, quoted(parts.account))
	case kind != "":
		a.reject(at, codeForeign, fmt.Sprintf("%s is of the account %s; this import is of %s.", text, parts.account, a.id), &record.Ref{Kind: kind, SourceID: text})
		return false
	}
	return true
}
