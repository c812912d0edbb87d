// What the specification of GraphQL over HTTP asks of a server, as the package
// graphql-http checks it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditServer } from 'graphql-http';

import { bearer, graphql } from '../server.mjs';

/** audit gives the number of audits and what was wrong with those that are not ok. */
async function audit(headers) {
  const results = await auditServer({
    url: graphql,
    fetchFn: (url, init) => fetch(url, { ...init, headers: { ...init?.headers, ...bearer('viewer'), ...headers } }),
  });
  const rest = results.filter((result) => result.status !== 'ok');
  return { count: results.length, rest: rest.map(({ id, status, name, reason }) => `${id} ${status}: ${name}: ${reason}`) };
}

test('every audit is ok', async () => {
  const { count, rest } = await audit({ 'GraphQL-Require-Preflight': '1' });
  assert.deepEqual(rest, []);
  assert.equal(count, 61);
});

// Any page can have a browser send a GET without asking first. The specification lets a
// server do without GET altogether.
test('without the header a GET needs, three audits of what a server may do are not', async () => {
  const { count, rest } = await audit({});
  assert.equal(count, 61);
  assert.deepEqual(rest.map((line) => line.slice(0, 11)).sort(), ['5A70 notice', '6A70 notice', 'D6D5 notice']);
});
