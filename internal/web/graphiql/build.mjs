// Builds ../dist from the lock file: `npm ci && npm run build`.
//
// The same lock file gives the same bytes on every machine, so CI can rebuild
// and compare. That is why assets are compressed by fflate, which is
// JavaScript: the output of Node's zlib depends on its version and on the CPU.

import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { gzipSync } from 'fflate';

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, '../dist');
const assets = '/graphiql/assets/';

// The family names of the web fonts inside GraphiQL's style sheet. System fonts
// do as well here, and a third of a megabyte and two font licences stay out.
const webFonts = /@font-face\s*\{\s*font-family:\s*["']?(?:Roboto|Fira Code)\b[^}]*\}/g;

const styles = {
  name: 'styles',
  setup(api) {
    // GraphiQL's style sheet already has all of Monaco's.
    api.onLoad({ filter: /[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'css' }));
    api.onLoad({ filter: /[\\/]graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path: file }) => {
      const css = await readFile(file, 'utf8');
      const contents = css.replace(webFonts, '');
      if (contents === css || contents.includes('font/woff2')) {
        throw new Error('the web fonts of graphiql/style.css changed: look at webFonts in build.mjs');
      }
      return { contents, loader: 'css' };
    });
  },
};

// Packages that ship no licence text, with the package of the same authors and
// licence whose text stands for theirs.
const siblings = {
  '@graphiql/plugin-doc-explorer': 'graphiql',
  '@graphiql/plugin-history': 'graphiql',
  'react-compiler-runtime': 'react',
  'react-remove-scroll-bar': 'react-remove-scroll',
};

const common = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  metafile: true,
  minify: true,
  outdir: 'out',
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  publicPath: assets,
  target: 'es2022',
  jsx: 'automatic',
  // GraphiQL imports Prettier's plugins by their old names too. Those are UMD,
  // of which esbuild makes a module without named exports, and "Prettify" would
  // not find its parsers.
  alias: {
    'prettier/parser-babel': 'prettier/plugins/babel',
    'prettier/parser-graphql': 'prettier/plugins/graphql',
  },
  // The licences are in THIRD_PARTY_LICENSES.txt, whole.
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
  plugins: [styles],
};

/** named finds the output of an entry point, e.g. "main.js". */
function named(result, name) {
  const [stem, ext] = name.split('.');
  const found = result.outputFiles
    .map((file) => path.basename(file.path))
    .filter((base) => base.startsWith(`${stem}-`) && base.endsWith(`.${ext}`));
  if (found.length !== 1) throw new Error(`${found.length} outputs are named ${name}`);
  return found[0];
}

// Workers first: the addresses with their hashes go into the main bundle.
const workers = await build({
  ...common,
  format: 'iife',
  entryPoints: {
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
  },
});
const addresses = Object.fromEntries(
  ['editor', 'json', 'graphql'].map((label) => {
    const file = workers.outputFiles.find((output) => path.basename(output.path).startsWith(`${label}.worker-`));
    return [label, assets + path.basename(file.path)];
  }),
);

const app = await build({
  ...common,
  format: 'esm',
  splitting: true,
  entryPoints: { main: 'src/main.tsx' },
  define: { ...common.define, WORKERS: JSON.stringify(addresses) },
});

await rm(dist, { recursive: true, force: true });
await mkdir(path.join(dist, 'assets'), { recursive: true });
let plain = 0;
let packed = 0;
for (const file of [...workers.outputFiles, ...app.outputFiles]) {
  // Monaco's style sheets, emptied above, leave files that nothing loads.
  if (file.contents.length === 0) continue;
  // No time stamp in the gzip header, so that the bytes repeat.
  const gzip = gzipSync(file.contents, { level: 9, mtime: 0 });
  await writeFile(path.join(dist, 'assets', `${path.basename(file.path)}.gz`), gzip);
  plain += file.contents.length;
  packed += gzip.length;
}

const html = await readFile(path.join(root, 'src/index.html'), 'utf8');
await writeFile(
  path.join(dist, 'index.html'),
  html.replace('{{style}}', assets + named(app, 'main.css')).replace('{{script}}', assets + named(app, 'main.js')),
);
await writeFile(path.join(dist, 'THIRD_PARTY_LICENSES.txt'), await licences([workers.metafile, app.metafile]));

console.log(`${plain} bytes, ${packed} as gzip`);

/** licences collects the licence texts of every package with code in a bundle. */
async function licences(metafiles) {
  const directories = new Set();
  for (const metafile of metafiles) {
    for (const output of Object.values(metafile.outputs)) {
      for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
        const inPackage = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input);
        if (inPackage && bytesInOutput > 0) directories.add(inPackage[0]);
      }
    }
  }

  const sections = new Map();
  for (const directory of directories) {
    const where = path.join(root, directory);
    const { name, version, license } = JSON.parse(await readFile(path.join(where, 'package.json'), 'utf8'));
    const files = (await readdir(where)).filter((file) => /^(licen[cs]e|notice|copying|thirdpartynotices)/i.test(file)).sort();
    const texts = await Promise.all(files.map((file) => readFile(path.join(where, file), 'utf8')));
    if (!license) throw new Error(`${name} names no licence`);
    if (texts.length === 0) {
      const sibling = siblings[name];
      if (!sibling) throw new Error(`${name} ships no licence text: add a package of the same authors to siblings in build.mjs`);
      texts.push(await readFile(path.join(root, 'node_modules', sibling, 'LICENSE'), 'utf8'));
    }
    sections.set(`${name} ${version}`, `${name} ${version} (${license})\n\n${texts.map((text) => text.trim()).join('\n\n')}`);
  }

  const head =
    'GraphiQL, as exposuregraph ships it, contains the following packages.\n' +
    'The icon font inside GraphiQL’s style sheet is Codicons, Copyright (c) Microsoft\n' +
    'Corporation, under CC-BY-4.0: https://creativecommons.org/licenses/by/4.0/';
  const sorted = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
  return [head, ...sorted].join(`\n\n${'='.repeat(80)}\n\n`).replaceAll('\r\n', '\n') + '\n';
}
