package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"github.com/exposuregraph/exposuregraph/graph/loader"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/page"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// prefetch reads what the selected fields of a page will load, lists nested in
// lists included: one statement for each kind of row, however many rows and
// however busy the machine. It is called by the resolver of the page; begin says
// what stands on it.
func prefetch(ctx context.Context, organization id.ID, begin func(*prefetcher) error) error {
	p := &prefetcher{
		// What is wrong with the arguments of a nested field is said by its own
		// resolver, not twice.
		ctx:   graphql.WithResponseContext(ctx, graphql.DefaultErrorPresenter, graphql.DefaultRecover),
		scope: loader.From(ctx), operation: graphql.GetOperationContext(ctx), organization: organization,
		entities: map[id.ID]bool{}, ties: map[loader.EdgeKey]bool{}, seen: map[id.ID]bool{}, linked: map[id.ID]bool{}, known: map[id.ID]*authority.Path{},
	}
	if err := begin(p); err != nil {
		return err
	}
	return p.finish()
}

type prefetcher struct {
	ctx          context.Context // of the resolver: it lives as long as the prefetch
	scope        *loader.Scope
	operation    *graphql.OperationContext
	organization id.ID
	entities     map[id.ID]bool
	ties         map[loader.EdgeKey]bool   // whose other ends are wanted, too
	seen         map[id.ID]bool            // workloads of which the last sync is asked
	linked       map[id.ID]bool            // paths of which predecessor or successor is asked
	clock        bool                      // whether the organization's time is asked
	known        map[id.ID]*authority.Path // paths that were read already
}

// selected is a field of a selection set and the field around it, which knows
// how to decode its arguments.
type selected struct {
	graphql.CollectedField
	around *graphql.FieldContext
}

// own are the selected fields of the object that is being resolved.
func (p *prefetcher) own(object string) []selected {
	return p.fields(graphql.GetFieldContext(p.ctx), object)
}

// nodes are the selected fields of the nodes of the connection that is being
// resolved.
func (p *prefetcher) nodes(node string) []selected {
	return p.nodesOf(graphql.GetFieldContext(p.ctx), node)
}

func (p *prefetcher) fields(around *graphql.FieldContext, object string) []selected {
	if around == nil {
		return nil
	}
	var fields []selected
	for _, field := range graphql.CollectFields(p.operation, around.Field.Selections, []string{object, "Node", "Entity"}) {
		fields = append(fields, selected{field, around})
	}
	return fields
}

// open is the field in its place; nil if its arguments do not decode.
func (p *prefetcher) open(field selected) *graphql.FieldContext {
	opened, err := field.around.Child(p.ctx, field.CollectedField)
	if err != nil {
		return nil
	}
	return opened
}

// children are the selected fields of the object that a field gives.
func (p *prefetcher) children(field selected, object string) []selected {
	return p.fields(p.open(field), object)
}

func (p *prefetcher) nodesOf(connection *graphql.FieldContext, node string) []selected {
	return p.nodesIn(connection, node, node)
}

// nodesIn are the selected fields of the nodes of a connection that is named for
// something else.
func (p *prefetcher) nodesIn(connection *graphql.FieldContext, name, node string) (fields []selected) {
	for _, field := range p.fields(connection, name+"Connection") {
		switch field.Name {
		case "nodes":
			fields = append(fields, p.children(field, node)...)
		case "edges":
			for _, edge := range p.children(field, name+"Edge") {
				if edge.Name == "node" {
					fields = append(fields, p.children(edge, node)...)
				}
			}
		}
	}
	return fields
}

// counts says whether a connection's totalCount is asked.
func (p *prefetcher) counts(connection *graphql.FieldContext, node string) bool {
	return slices.ContainsFunc(p.fields(connection, node+"Connection"), func(f selected) bool { return f.Name == "totalCount" })
}

// argument is an argument of an opened field; the zero value where it was left out.
func argument[T any](field *graphql.FieldContext, name string) (zero T) {
	value, ok := field.Args[name].(T)
	if !ok {
		return zero
	}
	return value
}

// request is the page that a nested list asks for. It is not ok where it does not
// decode, and for one with a cursor, which belongs to one parent and is read by its
// loader.
func (p *prefetcher) request(field selected) (opened *graphql.FieldContext, asked page.Request, ok bool) {
	opened = p.open(field)
	if opened == nil {
		return nil, asked, false
	}
	asked = pageRequest(argument[*int32](opened, "first"), argument[*string](opened, "after"), argument[*int32](opened, "last"), argument[*string](opened, "before"))
	return opened, asked, asked.After == nil && asked.Before == nil
}

// eachField reads what each of the selected fields wants of rows, if there are any.
func eachField[T any](rows []T, fields []selected, read func([]T, selected) error) error {
	if len(rows) == 0 {
		return nil
	}
	for _, field := range fields {
		if err := read(rows, field); err != nil {
			return err
		}
	}
	return nil
}

// unlessRefused leaves what is wrong with a nested list to its own resolver.
func unlessRefused(err error) error {
	if err != nil && problem.KindOf(err) == problem.Invalid {
		return nil
	}
	return err
}

// finish reads what was found to be wanted.
func (p *prefetcher) finish() error {
	if len(p.ties) > 0 {
		ends, err := p.scope.EdgesFrom.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.ties)))
		if err != nil {
			return err
		}
		for _, edges := range ends {
			each(edges, func(edge *authority.Edge) { p.entities[edge.ToID] = true })
		}
	}
	if _, err := p.scope.Entities.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.entities))); err != nil {
		return err
	}
	if _, err := p.scope.LastSeen.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.seen))); err != nil {
		return err
	}
	if p.clock {
		if _, err := p.scope.Clocks.Load(p.ctx, p.organization, struct{}{}); err != nil {
			return err
		}
	}
	return p.links()
}

// links reads the successions of the paths, and the paths on their other side.
func (p *prefetcher) links() error {
	neighbours, err := p.scope.Neighbours.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(p.linked)))
	if err != nil {
		return err
	}
	others := map[id.ID]bool{}
	for _, n := range neighbours {
		for _, other := range []*id.ID{n.Predecessor, n.Successor} {
			if other != nil {
				others[*other] = true
			}
		}
	}
	_, err = p.scope.Paths.Prefetch(p.ctx, p.organization, slices.Collect(maps.Keys(others)))
	return err
}

// namedBy are the things that rows name, each once.
func namedBy[T any](rows []*T, of func(*T) *id.ID) (ids []id.ID) {
	seen := map[id.ID]bool{}
	for _, row := range rows {
		if named := of(row); named != nil && !seen[*named] {
			seen[*named] = true
			ids = append(ids, *named)
		}
	}
	return ids
}

// rowsThere are the rows that there are.
func rowsThere[K comparable, T any](found map[K]*T) (rows []*T) {
	for _, row := range found {
		if row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}
