import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

/** Answer is what the server thought of the token. */
export type Answer = 'accepted' | 'refused';

const ENDPOINT = '/graphql';

/** connect makes a fetcher that speaks for one token, over POST and WebSocket. */
export function connect(token: string, onAnswer: (answer: Answer) => void) {
  const authorization = token && `Bearer ${token}`;

  const post: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    // The header editor goes first: it is how to try another identity once.
    if (authorization && !headers.has('authorization')) headers.set('authorization', authorization);
    const response = await fetch(input, { ...init, headers, cache: 'no-store' });
    onAnswer(response.status === 401 ? 'refused' : 'accepted');
    return readable(response);
  };

  const socketURL = new URL(ENDPOINT, location.href);
  socketURL.protocol = socketURL.protocol === 'https:' ? 'wss:' : 'ws:';
  // Lazy (the default): the socket opens with the first subscription and
  // closes with the last.
  const socket = createClient({
    url: socketURL.href,
    connectionParams: authorization ? { authorization } : {},
    on: {
      connected: () => onAnswer('accepted'),
      closed: (event) => {
        const code = event instanceof CloseEvent ? event.code : 0;
        // graphql-transport-ws: 4401 unauthorized, 4403 forbidden.
        if (code === 4401 || code === 4403) onAnswer('refused');
      },
    },
  });

  const fetcher: Fetcher = createGraphiQLFetcher({
    url: ENDPOINT,
    fetch: post,
    wsClient: socket,
    // No @defer or @stream on this server: the plain POST asks for
    // application/graphql-response+json and reads one answer.
    enableIncrementalDelivery: false,
  });
  return { fetcher, close: () => void socket.dispose() };
}

/**
 * readable turns an answer that is not JSON (a proxy's error page, a limit
 * answered in plain text) into a GraphQL error, because GraphiQL would only
 * show that it could not parse it.
 */
async function readable(response: Response): Promise<Response> {
  const type = response.headers.get('content-type') ?? '';
  if (/[/+]json\b/.test(type)) return response;
  const text = (await response.text()).trim().slice(0, 500);
  const status = `${response.status} ${response.statusText}`.trim();
  return Response.json({ errors: [{ message: `The server answered ${status}${text && `: ${text}`}` }] });
}
