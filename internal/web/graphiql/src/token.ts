// The access token of this browser tab.
//
// It arrives in the URL fragment (which no browser sends to a server, so it
// reaches no access log) or is typed into the bar. It is kept in
// sessionStorage: it survives a reload and ends with the tab, unlike
// localStorage, where GraphiQL keeps its tabs.

const KEY = 'exposuregraph:token';

/** clean accepts what people paste: with spaces, a line end or "Bearer ". */
export function clean(raw: string): string {
  return raw.trim().replace(/^bearer\s+/i, '');
}

/**
 * takeFromAddress moves the token of `#token=…` out of the address bar, so that
 * it is not left in the history, in a bookmark or on a shared screen. It
 * returns undefined if the fragment has none.
 */
export function takeFromAddress(): string | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const raw = fragment.get('token');
  if (raw === null) return undefined;
  fragment.delete('token');
  const rest = fragment.toString();
  history.replaceState(history.state, '', location.pathname + location.search + (rest && `#${rest}`));
  return clean(raw);
}

// A browser may refuse storage (blocked site data); the token then lives as
// long as the page.

export function load(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

export function save(token: string): void {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // See above.
  }
}
