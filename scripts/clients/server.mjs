// The server that the clients run against, as scripts/clients.sh has started it.
const { EXPOSUREGRAPH_SERVER, CLIENTS_TOKENS, CLIENTS_SECRET } = process.env;
if (!EXPOSUREGRAPH_SERVER || !CLIENTS_TOKENS || !CLIENTS_SECRET) {
  throw new Error('run `make clients`, which starts a server for this');
}

export const server = EXPOSUREGRAPH_SERVER;
export const graphql = `${server}/graphql`;

/** bearer is the header of somebody the server has made a token for: admin, analyst or viewer. */
export function bearer(name) {
  const token = new RegExp(`^token\\.${name}=(.+)$`, 'm').exec(CLIENTS_TOKENS)?.[1];
  if (!token) throw new Error(`the server made no token for ${name}`);
  return { Authorization: `Bearer ${token}` };
}

/** ask answers with the data of an operation. */
export async function ask(name, query, variables) {
  const response = await fetch(graphql, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...bearer(name) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** account is the service account whose tokens last ten seconds. */
export const account = { id: 'follower', secret: CLIENTS_SECRET };
