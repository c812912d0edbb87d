// What components of a page of a risk cluster would ask for. The compiler reads it;
// nothing runs it.
const { graphql } = require('relay-runtime');

graphql`
  query clusterQuery($organization: String!, $key: String!, $count: Int!) {
    organization(slug: $organization) {
      riskCluster(key: $key) {
        id
        label
        ...cluster_paths @arguments(count: $count)
      }
    }
  }
`;

// A list that goes on where it ended.
graphql`
  fragment cluster_paths on RiskCluster
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" })
  @refetchable(queryName: "clusterPathsQuery") {
    pathCount
    authorityPaths(first: $count, after: $cursor) @connection(key: "cluster_authorityPaths") {
      edges {
        node {
          id
          workload { name }
          ...cluster_exposures
        }
      }
    }
  }
`;

// A row that is read again by its id, with other arguments.
graphql`
  fragment cluster_exposures on AuthorityPath
  @argumentDefinitions(includeResolved: { type: "Boolean", defaultValue: false })
  @refetchable(queryName: "clusterExposuresQuery") {
    exposures(first: 50, includeResolved: $includeResolved) {
      nodes { id type status }
      totalCount
    }
  }
`;
