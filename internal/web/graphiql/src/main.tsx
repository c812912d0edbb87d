import { useCallback, useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import './style.css';
import { Bar, type Standing } from './bar';
import { ExamplesMenu, fetchPresets, prepare, type Preset } from './examples';
import { connect, type Answer } from './fetcher';
import * as tokens from './token';

// build.mjs puts the addresses of the bundled workers here.
declare const WORKERS: Record<'editor' | 'json' | 'graphql', string>;

// Workers have addresses of their own on the same origin: the content security
// policy needs no blob: then.
Object.assign(globalThis, {
  MonacoEnvironment: {
    getWorker: (_id: string, label: string) =>
      new Worker(label === 'json' || label === 'graphql' ? WORKERS[label] : WORKERS.editor, { name: label }),
  },
});

function App({ presets }: { presets: Preset[] }) {
  const [token, setToken] = useState(tokens.load);
  const [answer, setAnswer] = useState<Answer>();

  const adopt = useCallback((next: string) => {
    tokens.save(next);
    setAnswer(undefined);
    setToken(next);
  }, []);

  // Opening a second #token=… link in the same tab changes only the fragment,
  // and that does not load the page again.
  useEffect(() => {
    const onHashChange = () => {
      const next = tokens.takeFromAddress();
      if (next !== undefined) adopt(next);
    };
    window.addEventListener('hashchange', onHashChange);
    return () => window.removeEventListener('hashchange', onHashChange);
  }, [adopt]);

  const connection = useMemo(() => connect(token, setAnswer), [token]);
  useEffect(() => connection.close, [connection]);

  const standing: Standing = token === '' ? 'missing' : answer === 'refused' ? 'refused' : 'given';
  return (
    <>
      <Bar token={token} standing={standing} onToken={adopt} />
      <main>
        <GraphiQL
          fetcher={connection.fetcher}
          defaultTabs={presets.length > 0 ? presets.map(({ query, variables }) => ({ query, variables })) : undefined}
          defaultEditorToolsVisibility="variables"
        >
          <GraphiQL.Logo>{null}</GraphiQL.Logo>
          <GraphiQL.Toolbar>
            {({ prettify, copy, merge }) => (
              <>
                {prettify}
                {merge}
                {copy}
                <ExamplesMenu presets={presets} />
              </>
            )}
          </GraphiQL.Toolbar>
        </GraphiQL>
      </main>
    </>
  );
}

// Before anything else, so that the token is in the address bar as briefly as
// possible.
const given = tokens.takeFromAddress();
if (given !== undefined) tokens.save(given);

const presets = await fetchPresets();
prepare(presets);
createRoot(document.getElementById('root')!).render(<App presets={presets} />);
