import { DropdownMenu, ToolbarButton, ToolbarMenu, useGraphiQL, useGraphiQLActions } from '@graphiql/react';

/** Preset is one example, as /graphiql/presets.json lists it. */
export interface Preset {
  title?: string;
  query: string;
  variables: string;
}

// GraphiQL's own names in localStorage.
const STORED = {
  tabs: 'graphiql:tabState',
  query: 'graphiql:query',
  variables: 'graphiql:variables',
  headers: 'graphiql:headers',
};

/** fetchPresets never fails: without examples GraphiQL is still GraphiQL. */
export async function fetchPresets(): Promise<Preset[]> {
  try {
    const response = await fetch('/graphiql/presets.json');
    return response.ok ? await response.json() : [];
  } catch {
    return [];
  }
}

/**
 * prepare makes the first preset the one that is open when there are no saved
 * tabs. `defaultTabs` alone does not: GraphiQL fills its editors from what it
 * has stored, so the variables of the first tab would stay empty until the tab
 * is opened again.
 */
export function prepare(presets: Preset[]): void {
  const [first] = presets;
  if (!first) return;
  try {
    if (localStorage.getItem(STORED.tabs)) return;
    localStorage.setItem(STORED.query, first.query);
    localStorage.setItem(STORED.variables, first.variables);
    localStorage.removeItem(STORED.headers);
  } catch {
    // Storage is refused or full; the examples are in the menu.
  }
}

/** reset closes all tabs and opens the examples. */
function reset(): void {
  if (!confirm('Close all tabs and open the examples?')) return;
  for (const key of Object.values(STORED)) localStorage.removeItem(key);
  // GraphiQL reads its tabs once, when it starts.
  location.reload();
}

function operationName(query: string): string {
  return /\b(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1] ?? 'Untitled';
}

/** ExamplesMenu opens one example in a new tab, or brings all of them back. */
export function ExamplesMenu({ presets }: { presets: Preset[] }) {
  const { addTab, updateActiveTabValues } = useGraphiQLActions();
  const { queryEditor, variableEditor } = useGraphiQL((state) => ({
    queryEditor: state.queryEditor,
    variableEditor: state.variableEditor,
  }));
  if (presets.length === 0) return null;

  function open({ query, variables }: Preset): void {
    addTab();
    queryEditor?.setValue(query);
    variableEditor?.setValue(variables);
    updateActiveTabValues({ query, variables, operationName: operationName(query) });
  }

  return (
    <ToolbarMenu
      button={
        <ToolbarButton label="Examples">
          <ExamplesIcon />
        </ToolbarButton>
      }
    >
      {presets.map((preset, i) => (
        <ToolbarMenu.Item key={i} onSelect={() => open(preset)}>
          {preset.title || operationName(preset.query)}
        </ToolbarMenu.Item>
      ))}
      <DropdownMenu.Item className="examples-reset" onSelect={reset}>
        Reset examples
      </DropdownMenu.Item>
    </ToolbarMenu>
  );
}

function ExamplesIcon() {
  return (
    <svg className="graphiql-toolbar-icon" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path d="M4 3.5h8.5L16 7v9.5H4z" strokeLinejoin="round" />
      <path d="M7 8h3M7 11h6M7 14h6" strokeLinecap="round" />
    </svg>
  );
}
