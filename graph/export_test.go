package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
)

// WitnessMutation runs a root field as the handler does.
func WitnessMutation(ctx context.Context, recorder Recorder, run func(context.Context) graphql.Marshaler) {
	witness{recorder, func(context.Context) string { return "" }}.mutation(ctx, run)
}

// WitnessField runs a resolver as the handler does.
func WitnessField(ctx context.Context, next graphql.Resolver) (any, error) {
	return witness{}.field(ctx, next)
}

// DiscreetRules are the rules by which documents are validated.
var DiscreetRules = discreetRules
