import { createClient } from 'graphql-ws';

const CHANGES = `subscription Changes($organization: String!, $after: String) {
  exposureChanges(organization: $organization, after: $after) {
    seq cursor heartbeat type title occurredAt
  }
}`;

/**
 * follow gives each change of an organization once, in order, and heartbeats, for as long
 * as it is read. `token` gives a token that lasts: it is asked before each connection.
 * Whoever keeps the `cursor` of the last frame begins behind it the next time.
 */
export async function* follow({ url, webSocketImpl, organization, after, token, on }) {
  // Sent as it is at that moment, whenever a connection has to be made again.
  const variables = { organization, after };
  const client = createClient({
    url,
    webSocketImpl, // not needed in browsers, nor in Node.js from 22 on
    connectionParams: async () => ({ Authorization: `Bearer ${await token()}` }),
    // 4403 closes a connection whose token has expired. It comes back by itself after
    // that, and by this also after a server that did not answer.
    shouldRetry: () => true,
    retryAttempts: 20,
    retryWait: (retries) => new Promise((done) => setTimeout(done, Math.min(2 ** retries * 100, 30_000))),
    on,
  });
  let last = 0;
  try {
    for await (const { data, errors } of client.iterate({ query: CHANGES, variables })) {
      if (errors) throw new Error(errors[0].message);
      const frame = data.exposureChanges;
      variables.after = frame.cursor;
      if (!frame.heartbeat) {
        if (frame.seq <= last) continue; // what was on its way when the connection broke
        last = frame.seq;
      }
      yield frame;
    }
  } finally {
    await client.dispose();
  }
}
