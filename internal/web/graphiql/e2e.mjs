// Proves on a running server that GraphiQL works and stays at home:
//
//	npm run e2e -- http://127.0.0.1:8080/graphiql TOKEN [SCREENSHOT.png]
//
// It opens the page in Chromium, fails on a request to any other host, on a
// violation of the content security policy and on an error in the page, runs
// the first example and prints its answer (JSON) on stdout, and runs two more: the
// first that has variables, and the one about the outside, whose assets it waits to
// see.
//
// Chromium is found in $CHROMIUM or on the PATH.

import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [address, token, screenshot] = process.argv.slice(2);
if (!address || !token) {
  console.error('usage: npm run e2e -- URL TOKEN [SCREENSHOT.png]');
  process.exit(2);
}
const site = new URL(address);
site.hash = '';

const problems = [];
const hosts = new Map();
const timeout = 30_000;

/** visit counts a request by host; data: and blob: leave no process. */
function visit(url) {
  const { protocol, host } = new URL(url);
  if (protocol === 'data:' || protocol === 'blob:') return;
  hosts.set(host, (hosts.get(host) ?? 0) + 1);
  if (host !== site.host) problems.push(`a request to another host: ${url}`);
}

function check(condition, message) {
  if (!condition) throw new Error(message);
}

const browser = await chromium.launch({
  executablePath: findChromium(),
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // What is not asked of this server resolves to nothing, so that a request
    // that went unseen would still fail.
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${site.hostname}`,
  ],
});
try {
  console.log(JSON.stringify(await run(), null, 2));
} catch (error) {
  problems.push(error.message);
} finally {
  await browser.close();
}

const seen = [...hosts].map(([host, count]) => `${count} to ${host}`).join(', ');
console.error(`requests: ${seen || 'none'}`);
for (const problem of problems) console.error(`FAIL ${problem}`);
if (problems.length === 0) console.error('ok');
process.exitCode = problems.length === 0 ? 0 : 1;

async function run() {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  // Requests of workers are the context's too.
  context.on('request', (request) => visit(request.url()));
  context.on('weberror', (error) => problems.push(`an error in the page: ${error.error().message}`));
  let hasToken = false;
  context.on('console', (message) => {
    if (message.type() !== 'error') return;
    const text = message.text();
    // Chromium reports the 401 that the page without a token is there to get.
    if (!hasToken && /status of 401/.test(text)) return;
    problems.push(`on the console: ${text}`);
  });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });

  // Without a token the page says so.
  const page = await context.newPage();
  page.setDefaultTimeout(timeout);
  page.on('websocket', (socket) => visit(socket.url()));
  await page.goto(site.href);
  check((await page.title()) === 'exposuregraph — GraphiQL', 'the title is not ours');
  await page.getByText('No access token yet').waitFor();
  await page.close();

  // With the token of the fragment the schema loads.
  hasToken = true;
  const fresh = await context.newPage();
  fresh.setDefaultTimeout(timeout);
  fresh.on('websocket', (socket) => visit(socket.url()));
  const answerTo = (isOurs) =>
    fresh.waitForResponse((response) => {
      const request = response.request();
      if (new URL(request.url()).pathname !== '/graphql' || request.method() !== 'POST') return false;
      return isOurs(request.postDataJSON().operationName);
    });
  const introspection = answerTo((name) => name === 'IntrospectionQuery');
  await fresh.goto(`${site.href}#token=${encodeURIComponent(token)}`);
  check((await (await introspection).json()).data?.__schema, 'the schema did not load');
  check(!fresh.url().includes('token'), 'the token stayed in the address bar');
  check(!(await fresh.evaluate(() => JSON.stringify(localStorage))).includes(token), 'the token is in localStorage');

  // The examples are the tabs; the first is open and runs.
  const presets = await (await context.request.get(new URL('/graphiql/presets.json', site).href)).json();
  check(presets.length > 0, 'the server has no presets');
  const [, kind, name] = /\b(query|mutation|subscription)\s+(\w+)/.exec(presets[0].query) ?? [];
  check(kind === 'query', 'the first preset is not a named query');
  await fresh.locator('.graphiql-execute-button').waitFor();
  const tabs = fresh.locator('.graphiql-tab');
  check((await tabs.count()) === presets.length, `${await tabs.count()} tabs for ${presets.length} presets`);
  const open = (await fresh.locator('.graphiql-tab-active').innerText()).trim();
  check(open === name, `the open tab is ${open}, not ${name}`);

  const answer = answerTo((operation) => operation === name);
  await fresh.locator('.graphiql-execute-button').click();
  const response = await answer;
  const sent = response.request();
  check((await sent.allHeaders()).authorization === `Bearer ${token}`, 'the query was sent without the token');
  const variables = presets[0].variables ? JSON.parse(presets[0].variables) : {};
  check(
    JSON.stringify(sent.postDataJSON().variables ?? {}) === JSON.stringify(variables),
    'the query was sent without the variables of the preset',
  );
  const json = await response.json();
  await fresh.locator('.result-window .view-line', { hasText: '"data"' }).first().waitFor();
  check(json.data && !json.errors, `the first preset failed: ${JSON.stringify(json.errors)}`);
  if (screenshot) await fresh.screenshot({ path: screenshot });

  /** press opens the tab of a preset, runs it and returns its name and its data. */
  async function press(index) {
    const [, other] = /\bquery\s+(\w+)/.exec(presets[index].query) ?? [];
    check(other, `preset ${index} is not a named query`);
    await tabs.nth(index).locator('button').first().click();
    await fresh.locator('.graphiql-tab-active', { hasText: other }).waitFor();
    const coming = answerTo((operation) => operation === other);
    await fresh.locator('.graphiql-execute-button').click();
    const asked = await coming;
    const variables = presets[index].variables ? JSON.parse(presets[index].variables) : {};
    check(
      JSON.stringify(asked.request().postDataJSON().variables ?? {}) === JSON.stringify(variables),
      `${other} was sent without the variables of its preset`,
    );
    const found = await asked.json();
    check(found.data && !found.errors, `${other} failed: ${JSON.stringify(found.errors)}`);
    return { name: other, data: found.data };
  }

  // A tab of another kind is opened: its variables come with it.
  const index = presets.findIndex((preset, at) => at > 0 && preset.variables);
  check(index > 0, 'no preset but the first has variables');
  await press(index);

  // The outside has assets, and a way that leads in.
  const outside = presets.findIndex((preset) => /\bquery\s+Outside\b/.test(preset.query));
  check(outside > 0, 'no preset is about the outside');
  const { name: pressed, data } = await press(outside);
  const { assets, riskCluster, exposureChanges } = data.organization;
  check(assets.nodes.length > 0, 'the outside has no assets');
  check(riskCluster.authorityPaths.nodes.length > 0, 'no way leads in from outside');
  check(exposureChanges.nodes.length > 0, 'nothing ever changed outside');
  // A long line is wrapped, which takes its spaces.
  await fresh.waitForFunction((verdict) => {
    const shown = [...document.querySelectorAll('.result-window .view-line')].map((line) => line.textContent).join('');
    return shown.replace(/\s/g, '').includes(verdict.replace(/\s/g, ''));
  }, riskCluster.verdict);
  console.error(`${pressed}: ${assets.totalCount} services, ${exposureChanges.totalCount} changes. ${riskCluster.verdict}`);
  return json;
}

function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      const file = path.join(directory, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // The next one.
      }
    }
  }
  console.error('no chromium on the PATH: set CHROMIUM');
  process.exit(2);
}
