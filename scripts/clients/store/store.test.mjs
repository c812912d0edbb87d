// Relay, Apollo and others keep the objects of all answers by their ids. That is right
// only if no two objects have one id and say different things.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { Kind, TypeInfo, buildSchema, getNamedType, parse, print, visit, visitWithTypeInfo } from 'graphql';

import { ask } from '../server.mjs';

const root = new URL('../../../', import.meta.url);
const schema = buildSchema(await readFile(new URL('schema.graphqls', root), 'utf8'));

const field = (name) => ({ kind: Kind.FIELD, name: { kind: Kind.NAME, value: name } });

/** identified has a document ask for `id` and `__typename` wherever there is an id. */
function identified(document) {
  const types = new TypeInfo(schema);
  return visit(
    document,
    visitWithTypeInfo(types, {
      SelectionSet: {
        leave(node) {
          if (!getNamedType(types.getParentType())?.getFields?.().id) return undefined;
          const has = (name) => node.selections.some((one) => one.kind === Kind.FIELD && !one.alias && one.name.value === name);
          return { ...node, selections: [...node.selections, ...['id', '__typename'].filter((name) => !has(name)).map(field)] };
        },
      },
    }),
  );
}

/** Store keeps what objects say of themselves, by id, and where two say different things. */
class Store {
  objects = new Map();
  conflicts = [];

  constructor(document) {
    this.fragments = new Map(document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION).map((one) => [one.name.value, one]));
  }

  /** keep takes an object, or a list of them, that a selection has been answered with. */
  keep(value, { selections }) {
    if (Array.isArray(value)) value.forEach((one) => this.keep(one, { selections }));
    if (value === null || Array.isArray(value)) return;
    for (const one of selections) {
      if (one.kind === Kind.INLINE_FRAGMENT) this.keep(value, one.selectionSet);
      else if (one.kind === Kind.FRAGMENT_SPREAD) this.keep(value, this.fragments.get(one.name.value).selectionSet);
      else this.keepField(value, one);
    }
  }

  keepField(object, node) {
    const value = object[(node.alias ?? node.name).value];
    if (value === undefined) return; // of a fragment for another type
    if (node.selectionSet) this.keep(value, node.selectionSet);
    else if (object.id) this.say(object, node.name.value + (node.arguments ?? []).map(print).join(), JSON.stringify(value));
  }

  say({ id, __typename }, name, value) {
    const said = this.objects.get(id) ?? new Map();
    this.objects.set(id, said);
    if (said.has(name) && said.get(name) !== value) this.conflicts.push(`${__typename} ${id}: ${name} is ${said.get(name)} and ${value}`);
    said.set(name, value);
  }
}

/** queries are the documents of docs/operations that read what is now: of an instant, the same objects say other things. */
async function queries() {
  const folder = new URL('docs/operations/', root);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.graphql')).sort();
  const all = await Promise.all(names.map(async (name) => ({ name, document: parse(await readFile(new URL(name, folder), 'utf8')) })));
  return all.filter(({ document }) => document.definitions[0].operation === 'query' && !print(document).includes('asOf:'));
}

test('no two objects of an answer share an id', async (t) => {
  for (const { name, document } of await queries()) {
    await t.test(name, async () => {
      const asked = identified(document);
      const store = new Store(asked);
      const data = await ask('admin', print(asked), {});
      store.keep(data, asked.definitions[0].selectionSet);
      assert.deepEqual(store.conflicts, []);
      assert.ok(store.objects.size > 0, 'the answer has no objects');
    });
  }
});
