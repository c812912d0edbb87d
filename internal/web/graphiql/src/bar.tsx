import { useEffect, useState } from 'react';
import { clean } from './token';

export type Standing = 'missing' | 'refused' | 'given';

const HINT: Record<Standing, string> = {
  missing: 'No access token yet. Paste one of “exposuregraph token create” or “serve --demo”.',
  refused: 'The server refused this token (401). It may have expired: paste a new one.',
  given: '',
};

/** Bar names the page and holds the access token. */
export function Bar({ token, standing, onToken }: { token: string; standing: Standing; onToken(token: string): void }) {
  const [draft, setDraft] = useState(token);
  // The token can also come from the address bar.
  useEffect(() => setDraft(token), [token]);

  // Not on every key: each new token introspects the schema again.
  function commit(): void {
    const next = clean(draft);
    setDraft(next);
    if (next !== token) onToken(next);
  }

  return (
    <header className={`bar bar-${standing}`}>
      <h1>
        exposuregraph <span>— GraphiQL</span>
      </h1>
      <p role="status" id="token-hint">
        {HINT[standing]}
      </p>
      <label htmlFor="token">Access token</label>
      {/* No <form>: nothing is submitted that a browser would offer to save. */}
      <input
        id="token"
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="paste a token"
        aria-describedby="token-hint"
        aria-invalid={standing === 'refused'}
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
      <button type="button" disabled={!token} onClick={() => onToken('')}>
        Forget
      </button>
    </header>
  );
}
