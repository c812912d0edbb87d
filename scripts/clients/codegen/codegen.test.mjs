// The client that graphql-codegen generated and tsc compiled, asking.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { paths } from './build/clusters.js';
import { ask, bearer, graphql } from '../server.mjs';

test('the generated client answers in its types', async () => {
  const token = bearer('viewer').Authorization.slice('Bearer '.length);
  const { organization } = await ask('viewer', '{ organization(slug: "demo") { riskCluster(key: "orphaned-sensitive") { pathCount } } }');
  const lines = await paths(graphql, token, 'orphaned-sensitive');
  assert.equal(lines.length, Math.min(organization.riskCluster.pathCount, 20));
  for (const line of lines) assert.match(line, /^\S.* -> \S.* \((CONFIDENTIAL|RESTRICTED)\)$/);
});
