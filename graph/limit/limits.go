package limit

import (
	"cmp"
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The codes of refusals, in extensions.code of the error.
const (
	CodeTokens     = "LIMIT_TOKENS"
	CodeDepth      = "LIMIT_DEPTH"
	CodeAliases    = "LIMIT_ALIASES"
	CodeDirectives = "LIMIT_DIRECTIVES"
	CodeFragments  = "LIMIT_FRAGMENTS"
	CodeRootFields = "LIMIT_ROOT_FIELDS"
	CodeRepeats    = "LIMIT_REPEATS"
	CodeOperations = "LIMIT_OPERATIONS"
	CodeName       = "LIMIT_NAME"
	CodeCost       = "LIMIT_COST"
	CodeBudget     = "LIMIT_BUDGET"

	// CodeBadInput refuses text that no column can hold, such as a NUL.
	CodeBadInput = "BAD_USER_INPUT"
)

// A refusal is a fault of the document, so HTTP answers it with a 4xx status; the
// registry of gqlgen is an unguarded map, which leaves init as the time to write.
func init() {
	for _, code := range []string{
		CodeTokens, CodeDepth, CodeAliases, CodeDirectives, CodeFragments,
		CodeRootFields, CodeRepeats, CodeOperations, CodeName, CodeCost, CodeBudget, CodeBadInput,
	} {
		errcode.RegisterErrorType(code, errcode.KindProtocol)
	}
}

// Limits are the largest measures an accepted document has. A zero field takes
// its default.
type Limits struct {
	Tokens             int // of the document, comments included; 1,000
	Depth              int // fields in one another, through fragments; 15
	Introspection      int // the same below __schema and __type; 20, where GraphiQL needs 15
	Aliases            int // written in the document; 50
	Directives         int // written in the document; 50
	DirectivesPerPlace int // on one field, fragment or operation; 5
	Fragments          int // spreads and inline fragments written; 100
	RootFields         int // of one operation, through fragments; 20
	Repeats            int // fields that repeat a name of their selection set; 60
	Operations         int // written in the document, of which one runs; 20
	Name               int // bytes of one name, because errors repeat names; 128
	Errors             int // answered for one refused document; 20

	// Cost of the operation that runs; 150,000. Twelve clusters with a page of a
	// hundred paths each and ten exposures on every path, with the fields that a
	// person reads, cost 123,818, in eight statements.
	Cost int64

	// Budget is what the operations of one caller may cost at once; twenty of the most
	// that one may cost. BudgetPerSecond comes back of it each second; two of them.
	Budget          int64
	BudgetPerSecond int64

	// Time is how long a query or a mutation may take; 30 seconds. What it reads is
	// cancelled then, in the database too. A mutation that is committed stays so.
	Time time.Duration

	PageSize int64 // items of a connection without first and last; 20
	ListSize int64 // items of a list that takes no size; 5

	// Weights are the costs of single fields, as "Type.field"; others cost 1. Without
	// any, those that read much for one object, or change much: an evidence pack and
	// a batch cost 25,000, the rows of a number of the posture, which are counted
	// anew, 5,000, a root or a proof of a ledger and what is other than at an earlier
	// instant 1,000, what a cluster came to over time 300.
	Weights map[string]int64
}

// CodeTime is of an operation that took longer than it may.
const CodeTime = "LIMIT_TIME"

// Bound gives an operation its time.
func (l Limits) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.orDefault().Time)
}

// orDefault fills the zero fields.
func (l Limits) orDefault() Limits {
	l.Tokens = cmp.Or(l.Tokens, 1000)
	l.Time = cmp.Or(l.Time, 30*time.Second)
	l.Depth = cmp.Or(l.Depth, 15)
	l.Introspection = cmp.Or(l.Introspection, 20)
	l.Aliases = cmp.Or(l.Aliases, 50)
	l.Directives = cmp.Or(l.Directives, 50)
	l.DirectivesPerPlace = cmp.Or(l.DirectivesPerPlace, 5)
	l.Fragments = cmp.Or(l.Fragments, 100)
	l.RootFields = cmp.Or(l.RootFields, 20)
	l.Repeats = cmp.Or(l.Repeats, 60)
	l.Operations = cmp.Or(l.Operations, 20)
	l.Name = cmp.Or(l.Name, 128)
	l.Errors = cmp.Or(l.Errors, 20)
	l.Cost = cmp.Or(l.Cost, 150_000)
	l.Budget = cmp.Or(l.Budget, 20*l.Cost)
	l.BudgetPerSecond = cmp.Or(l.BudgetPerSecond, 2*l.Cost)
	l.PageSize = cmp.Or(l.PageSize, 20)
	l.ListSize = cmp.Or(l.ListSize, 5)
	if l.Weights == nil {
		l.Weights = map[string]int64{
			"Organization.evidencePack": 25_000, "Mutation.sealEvidencePack": 25_000, "Mutation.judgeExposures": 25_000, "Mutation.undoBatch": 25_000,
			"Posture.explain": 5_000, "Organization.batch": 1_000, "Organization.postureDiff": 1_000, "RiskCluster.history": 300, "Ledger.root": 1_000, "Ledger.inclusionProof": 1_000, "Ledger.consistencyProof": 1_000,
		}
	}
	return l
}

// Check refuses a shape that passes a limit.
func (l Limits) Check(s Shape) *gqlerror.Error {
	l = l.orDefault()
	// Inline fragments add braces but no fields, and validation repeats its work
	// for each pair of braces.
	nesting := max(2*l.Depth, l.Introspection)
	for _, row := range []struct {
		code            string
		measured, limit int
		message         string
	}{
		{CodeName, s.Name, l.Name, "a name in the document has %d bytes and the limit is %d: use a shorter name"},
		{CodeOperations, s.Operations, l.Operations, "the document holds %d operations and the limit is %d: send the one that runs"},
		{CodeDepth, s.Depth, l.Depth, "the document nests fields %d levels deep and the limit is %d: ask for the inner part in a request of its own"},
		{CodeDepth, s.Introspection, l.Introspection, "the document nests introspection fields %d levels deep and the limit is %d: ask for fewer levels of ofType"},
		{CodeDepth, s.Nesting, nesting, "the document nests braces %d levels deep and the limit is %d: write fewer inline fragments in one another"},
		{CodeAliases, s.Aliases, l.Aliases, "the document has %d aliases and the limit is %d: split it, or ask for several objects with one list field"},
		{CodeDirectives, s.Directives, l.Directives, "the document has %d directives and the limit is %d: split it"},
		{CodeDirectives, s.DirectivesPerPlace, l.DirectivesPerPlace, "the document has %d directives in one place and the limit is %d: leave some out"},
		{CodeFragments, s.Fragments, l.Fragments, "the document has %d fragment spreads and inline fragments and the limit is %d: merge some, or split the document"},
		{CodeRootFields, s.RootFields, l.RootFields, "an operation has %d root fields and the limit is %d: split it into several requests"},
		{CodeRepeats, s.Repeats, l.Repeats, "the document repeats fields of a selection set %d times and the limit is %d: write each field once"},
	} {
		if row.measured > row.limit {
			return refuse(row.code, int64(row.measured), int64(row.limit), row.message)
		}
	}
	if s.Cycle != "" {
		// Validation would say so too, with every name of the cycle in each error.
		err := gqlerror.Errorf("Cannot spread fragment %q within itself.", s.Cycle)
		errcode.Set(err, errcode.ValidationFailed)
		return err
	}
	return l.checkCost(s.Fields)
}

// checkCost refuses a cost above the limit.
func (l Limits) checkCost(cost int64) *gqlerror.Error {
	if cost <= l.Cost {
		return nil
	}
	return refuse(CodeCost, cost, l.Cost,
		"the operation costs %d and the limit is %d: ask for smaller pages (first, last), fewer fields, or fewer levels")
}

// refuse is the error of a passed limit; format takes the measure and the limit.
func refuse(code string, measured, limit int64, format string) *gqlerror.Error {
	err := gqlerror.Errorf(format, measured, limit)
	err.Extensions = map[string]any{"code": code, "measured": measured, "limit": limit}
	return err
}
