// What relay-compiler made of cluster.js, run by Relay itself.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { ask, bearer, graphql } from '../server.mjs';

const require = createRequire(import.meta.url);
const { Environment, Network, RecordSource, Store, createOperationDescriptor, fetchQuery, getSingularSelector } = require('relay-runtime');
const artifact = (name) => require(`./__generated__/${name}.graphql`);
const clusterQuery = artifact('clusterQuery');
const clusterPathsQuery = artifact('clusterPathsQuery');
const clusterExposuresQuery = artifact('clusterExposuresQuery');

const network = Network.create(async ({ text }, variables) => {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', ...bearer('viewer') },
    body: JSON.stringify({ query: text, variables }),
  });
  return response.json();
});

const PAGE = 3;
const first = { organization: 'demo', key: 'orphaned-sensitive', count: PAGE };

/** open reads a cluster and its first page into a store of its own. */
async function open() {
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  const { organization } = await fetchQuery(environment, clusterQuery, first).toPromise();
  const read = (name, reference) => environment.lookup(getSingularSelector(artifact(name), reference)).data;
  return { environment, read, cluster: organization.riskCluster };
}

test('a connection goes on where it ended, and holds every row once', async () => {
  const { environment, read, cluster } = await open();
  environment.retain(createOperationDescriptor(clusterQuery, first)); // as a page on the screen does
  let { pathCount, authorityPaths } = read('cluster_paths', cluster);
  assert.equal(authorityPaths.edges.length, PAGE);
  assert.ok(pathCount > 2 * PAGE, `the cluster has ${pathCount} paths, too few to turn pages`);
  for (let pages = 1; authorityPaths.pageInfo.hasNextPage; pages++) {
    assert.ok(pages * PAGE < pathCount, 'there is a page behind the last one');
    const variables = { id: cluster.id, count: PAGE, cursor: authorityPaths.pageInfo.endCursor };
    await fetchQuery(environment, clusterPathsQuery, variables).toPromise();
    ({ authorityPaths } = read('cluster_paths', cluster)); // the handler of @connection has appended to it
  }
  const ids = authorityPaths.edges.map(({ node }) => node.id);
  assert.equal(ids.length, pathCount);
  assert.equal(new Set(ids).size, pathCount);
  const whole = await ask(
    'viewer',
    'query Whole($key: String!) { organization(slug: "demo") { riskCluster(key: $key) { authorityPaths(first: 100) { nodes { id } } } } }',
    { key: first.key },
  );
  assert.deepEqual(ids, whole.organization.riskCluster.authorityPaths.nodes.map(({ id }) => id));
});

test('a fragment is read again by its id, with other arguments', async () => {
  const { environment, read, cluster } = await open();
  let more = 0;
  for (const { node } of read('cluster_paths', cluster).authorityPaths.edges) {
    const standing = read('cluster_exposures', node).exposures;
    const again = await fetchQuery(environment, clusterExposuresQuery, { id: node.id, includeResolved: true }).toPromise();
    const all = read('cluster_exposures', again.node).exposures;
    assert.equal(all.nodes.length, all.totalCount);
    const ids = all.nodes.map(({ id }) => id);
    for (const { id } of standing.nodes) assert.ok(ids.includes(id), `${id} is gone`);
    more += all.totalCount - standing.totalCount;
  }
  assert.ok(more > 0, 'no path has an exposure that resolved: the argument was not heard');
});
