// A stream that outlives its token: the server closes it, the client comes back with
// another one, and nothing is lost or twice.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

import { account, ask, graphql, server } from '../server.mjs';
import { follow } from './follow.mjs';

const ORGANIZATION = 'demo';

/** grant makes a token, which lasts ten seconds. */
async function grant() {
  const response = await fetch(`${server}/oauth/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${account.id}:${account.secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'vuln:view' }),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  assert.equal(answer.expires_in, 10);
  return answer.access_token;
}

/** analyst gives a function that makes one more change: it acknowledges an exposure, or takes that back. */
async function analyst() {
  const { organization } = await ask(
    'analyst',
    'query Open($slug: String!) { organization(slug: $slug) { exposures(first: 1, filter: { status: [ACTIVE] }) { nodes { id version } } } }',
    { slug: ORGANIZATION },
  );
  const [{ id, version: first }] = organization.exposures.nodes;
  let version = first;
  let turn = Promise.resolve();
  let made = 0;
  const judge = async () => {
    const name = made % 2 === 0 ? 'acknowledgeExposure' : 'unacknowledgeExposure';
    const answer = await ask(
      'analyst',
      `mutation Judge($input: JudgeExposureInput!) { judged: ${name}(input: $input) { exposure { version } userErrors { code message } } }`,
      { input: { exposure: id, expectedVersion: version, justification: 'to be followed', idempotencyKey: `${id}:${version}` } },
    );
    assert.deepEqual(answer.judged.userErrors, []);
    version = answer.judged.exposure.version;
    made++;
  };
  return {
    judge: () => (turn = turn.then(judge)), // one after the other: each names the version before it
    made: () => made,
  };
}

/** list reads the feed behind a cursor as pages. */
async function list(after) {
  const seqs = [];
  for (let more = true; more; ) {
    const { organization } = await ask(
      'viewer',
      `query Feed($slug: String!, $after: String) { organization(slug: $slug) {
        exposureChanges(first: 100, after: $after, orderBy: { field: SEQ, direction: ASC }) { nodes { seq } pageInfo { hasNextPage endCursor } }
      } }`,
      { slug: ORGANIZATION, after },
    );
    const { nodes, pageInfo } = organization.exposureChanges;
    seqs.push(...nodes.map(({ seq }) => seq));
    more = pageInfo.hasNextPage;
    after = pageInfo.endCursor;
  }
  return seqs;
}

test('a stream goes on over a change of tokens, twice', { timeout: 120_000 }, async () => {
  const { judge, made } = await analyst();
  const { organization } = await ask('viewer', 'query Head($slug: String!) { organization(slug: $slug) { exposureChangeFeed { cursor } } }', { slug: ORGANIZATION });
  const start = organization.exposureChangeFeed.cursor;

  let tokens = 0;
  const wire = []; // for each connection, the numbers of the changes that came by it
  const closed = [];
  let third;
  const thirdConnection = new Promise((resolve) => (third = resolve));
  const stream = follow({
    url: graphql.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    organization: ORGANIZATION,
    after: start,
    token: async () => {
      tokens++;
      for (let i = 0; i < 2; i++) await judge(); // while nobody listens
      return grant();
    },
    on: {
      connected: () => wire.push([]) === 3 && third(),
      message: ({ type, payload }) => {
        const frame = type === 'next' && payload.data?.exposureChanges;
        if (frame && !frame.heartbeat) wire.at(-1).push(frame.seq);
      },
      closed: ({ code, reason }) => closed.push(`${code} ${reason}`),
    },
  });

  const writing = new AbortController();
  const writer = (async () => {
    while (!writing.signal.aborted) {
      await judge();
      await pause(20);
    }
  })();
  const seqs = [];
  let judged = 0; // of these; a schedule may have said something, too
  let late; // the last change that was read before the second connection ended
  try {
    for await (const { heartbeat, seq, type } of stream) {
      if (!heartbeat) {
        seqs.push(seq);
        if (type === 'EXPOSURE_DISPOSITION_CHANGED') judged++;
        if (late === undefined && wire.length === 2 && seq === wire[1][0]) {
          late = seq;
          await thirdConnection; // more comes by the second one, and waits
        }
      }
      if (wire.length >= 3 && wire[2].length > 0 && !writing.signal.aborted) {
        writing.abort();
        await writer;
      }
      if (writing.signal.aborted && judged >= made()) break;
    }
  } finally {
    writing.abort();
    await writer;
  }

  assert.equal(judged, made());
  assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i), 'the stream has a gap, or a change twice');
  assert.deepEqual((await list(start)).slice(0, seqs.length), seqs, 'the list says something else than the stream');
  assert.ok(tokens >= wire.length, 'a connection was made with the token of another');
  assert.equal(wire[1][0], wire[0].at(-1) + 1, 'the second connection did not begin where the first one ended');
  assert.equal(wire[2][0], late + 1, 'the third connection did not begin where reading had come to');
  assert.ok(wire[1].includes(late + 1), 'nothing came twice: reading was not late');
  assert.ok(closed.filter((end) => end === '4403 Forbidden: TOKEN_EXPIRED').length >= 2, `connections ended by ${closed}`);
});

test('what coming back does not help with is thrown', { timeout: 60_000 }, async () => {
  const stream = follow({ url: graphql.replace(/^http/, 'ws'), webSocketImpl: WebSocket, organization: ORGANIZATION, after: 'nowhere', token: grant });
  await assert.rejects(stream.next(), ([error]) => error.extensions.code === 'CURSOR_INVALID');
});

test('docs/clients.md shows what is tested here', async () => {
  const shown = await readFile(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
  const tested = await readFile(new URL('follow.mjs', import.meta.url), 'utf8');
  assert.ok(shown.includes(`\n\`\`\`js\n${tested}\`\`\`\n`), 'put scripts/clients/follow/follow.mjs into docs/clients.md as it is');
});
