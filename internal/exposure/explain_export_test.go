package exposure

import "github.com/exposuregraph/exposuregraph/db"

// ExplainQueries are the statements that explain, with what they take in of a
// judgement.
func ExplainQueries() []db.Query {
	all := []db.Query{factsOfWorkloads, factsOfIdentities, factsOfPrivileges}
	for _, query := range explainQueries.All() {
		switch query.Name {
		case factsOfWorkloads.Name, factsOfIdentities.Name, factsOfPrivileges.Name:
		default:
			all = append(all, query)
		}
	}
	return all
}
