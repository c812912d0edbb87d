// Command genqlient asks a server by the code that genqlient generates from the schema
// and the documents of docs/operations.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/Khan/genqlient/graphql"
)

//go:generate go tool genqlient

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Getenv("EXPOSUREGRAPH_SERVER"), os.Getenv("EXPOSUREGRAPH_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, "genqlient:", err)
		os.Exit(1)
	}
}

// run prints the clusters of the overview that have paths, and holds the first against
// the list behind it.
func run(ctx context.Context, server, token string) error {
	client := graphql.NewClient(server+"/graphql", authorized(token))
	overview, err := Overview(ctx, client)
	if err != nil {
		return err
	}
	if overview.Organization == nil || len(overview.Organization.RiskClusters.Nodes) == 0 {
		return fmt.Errorf("the overview has no risk clusters")
	}
	for _, cluster := range overview.Organization.RiskClusters.Nodes {
		if cluster.PathCount > 0 {
			fmt.Printf("%-36s %3d paths, %d workloads\n", cluster.Label, cluster.PathCount, cluster.WorkloadCount)
		}
	}
	first := overview.Organization.RiskClusters.Nodes[0]
	answer, err := RiskClusterPaths(ctx, client, first.Key)
	if err != nil {
		return err
	}
	paths := answer.Organization.RiskCluster.AuthorityPaths
	if paths.TotalCount != first.PathCount {
		return fmt.Errorf("%s has %d paths in the overview, and %d in its list", first.Key, first.PathCount, paths.TotalCount)
	}
	return nil
}

// authorized sends its token with each request.
type authorized string

func (token authorized) Do(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultClient.Do(request)
}
