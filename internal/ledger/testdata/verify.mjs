// Checks the golden vectors and the export beside this file with nothing but the
// standard library of Node.js, after docs/formats/ledger.md:
//
//     node verify.mjs vectors.json export.ndjson
//
// It shares no code with the program that wrote them.
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'

let checks = 0
function hold(what, right) {
  checks++
  if (!right) throw new Error(`wrong: ${what}`)
}

const sha256 = (...parts) => {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}
const same = (a, b) => Buffer.compare(a, b) === 0
const fromHex = (text) => {
  hold(`the hash ${text}`, /^[0-9a-f]{64}$/.test(text))
  return Buffer.from(text, 'hex')
}
const fromBase64 = (text) => {
  const bytes = Buffer.from(text, 'base64')
  hold('base64', bytes.toString('base64') === text)
  return bytes
}

// RFC 8785, of numbers integers only. JSON.stringify escapes as the RFC wants,
// and sort compares UTF-16 code units, as it wants too.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const members = Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`)
    return `{${members.join(',')}}`
  }
  if (typeof value === 'number' && (!Number.isSafeInteger(value) || Object.is(value, -0))) throw new Error(`the number ${value}`)
  if (typeof value === 'string' && !value.isWellFormed()) throw new Error('half of a surrogate pair')
  return JSON.stringify(value)
}

const zero = Buffer.alloc(32)
const link = (previous, body) => sha256('exposuregraph/ledger-entry/1\0', previous, body)

// The tree of RFC 6962. A leaf holds the hash of an entry.
const leaf = (hash) => sha256(Buffer.from([0]), hash)
const node = (left, right) => sha256(Buffer.from([1]), left, right)
function root(hashes) {
  if (hashes.length === 0) return sha256()
  if (hashes.length === 1) return leaf(hashes[0])
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return node(root(hashes.slice(0, k)), root(hashes.slice(k)))
}

// RFC 9162, 2.1.3.2.
function included(hash, seq, size, proof, want) {
  let fn = seq - 1
  let sn = size - 1
  let r = leaf(hash)
  for (const p of proof) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      r = node(p, r)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      r = node(r, p)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && same(r, want)
}

// RFC 9162, 2.1.4.2.
function consistent(first, second, proof, firstRoot, secondRoot) {
  if (first === second) return proof.length === 0 && same(firstRoot, secondRoot)
  if (proof.length === 0) return false
  const path = Number.isInteger(Math.log2(first)) ? [firstRoot, ...proof] : [...proof]
  let fn = first - 1
  let sn = second - 1
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  let fr = path[0]
  let sr = path[0]
  for (const c of path.slice(1)) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = node(c, fr)
      sr = node(c, sr)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      sr = node(sr, c)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && same(fr, firstRoot) && same(sr, secondRoot)
}

// An Ed25519 key from its 32 bytes: they stand behind a fixed head.
const publicKey = (raw) =>
  createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]), format: 'der', type: 'spki' })

// A signed note: text, an empty line, lines of signatures.
function checkpoint(note, key) {
  const split = note.lastIndexOf('\n\n')
  hold('a note', split > 0 && note.endsWith('\n'))
  const text = note.slice(0, split + 1)
  const raw = fromHex(key.public)
  const id = sha256(`${key.name}\n`, Buffer.from([1]), raw).subarray(0, 4)
  hold('the verifier key', key.verifier === `${key.name}+${id.toString('hex')}+${Buffer.concat([Buffer.from([1]), raw]).toString('base64')}`)
  const signed = note.slice(split + 2, -1).split('\n').some((line) => {
    const prefix = `— ${key.name} `
    if (!line.startsWith(prefix)) return false
    const signature = fromBase64(line.slice(prefix.length))
    return same(signature.subarray(0, 4), id) && verify(null, Buffer.from(text), publicKey(raw), signature.subarray(4))
  })
  hold('the signature of a checkpoint', signed)
  const [origin, size, base64, head, at, ...rest] = text.split('\n')
  hold('the lines of a checkpoint', rest.length === 1 && rest[0] === '' && head.startsWith('head ') && at.startsWith('at '))
  hold('a size', /^[1-9][0-9]*$/.test(size))
  return { origin, size: Number(size), root: fromBase64(base64), head: fromHex(head.slice(5)), at: at.slice(3) }
}

// DSSE: what is signed is the payload with its type, each after its length.
function envelope(e, key) {
  const payload = fromBase64(e.payload)
  const text = Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(e.payloadType)} ${e.payloadType} ${payload.length} `), payload])
  return e.signatures.some((s) =>
    s.keyid === key.id && verify(null, text, publicKey(fromHex(key.public)), fromBase64(s.sig)))
}

function entry(body, previous, hash, what) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  const read = JSON.parse(text)
  hold(`the form of ${what}`, canonical(read) === text)
  hold(`the format of ${what}`, read.format === 'exposuregraph/ledger-entry/1')
  hold(`the hash of ${what}`, same(link(previous, body), hash))
  return read
}

function verifyVectors(v) {
  hold('the id of the key', sha256(fromHex(v.key.public)).toString('hex') === v.key.id)
  for (const { json, form } of v.canonical) {
    let own = ''
    try {
      own = canonical(JSON.parse(json))
    } catch {
      // It has none.
    }
    hold(`the form of ${json}`, own === form)
  }
  let envelopes = 0
  for (const e of v.entries) {
    const body = fromBase64(e.body)
    const what = `entry ${e.entry.seq}`
    const read = entry(body, fromHex(e.previous), fromHex(e.hash), what)
    hold(`${what} as it is shown`, canonical(e.entry) === canonical(read))
    if (read.envelope) {
      envelopes++
      hold(`the envelope of ${what}`, envelope(read.envelope, v.key))
    }
  }
  hold('an envelope', envelopes > 0)

  const hashes = Array.from({ length: 700 }, (_, i) => sha256(String(i + 1)))
  const rootOf = (size) => root(hashes.slice(0, size))
  for (const r of v.tree.roots) hold(`the root of ${r.size}`, same(rootOf(r.size), fromHex(r.root)))
  for (const t of v.tree.tiles) hold(`the tile ${t.index}`, same(root(hashes.slice(t.index * 256, (t.index + 1) * 256)), fromHex(t.root)))
  for (const p of v.tree.inclusion) {
    const proof = p.proof.map(fromHex)
    hold(`entry ${p.seq} in ${p.size}`, included(hashes[p.seq - 1], p.seq, p.size, proof, rootOf(p.size)))
    hold(`entry ${p.seq} elsewhere`, !included(hashes[p.seq], p.seq, p.size, proof, rootOf(p.size)))
  }
  for (const p of v.tree.consistency) {
    const proof = p.proof.map(fromHex)
    hold(`${p.first} in ${p.second}`, consistent(p.first, p.second, proof, rootOf(p.first), rootOf(p.second)))
    hold(`${p.first} elsewhere`, !consistent(p.first, p.second, proof, rootOf(p.first), rootOf(p.second + 1)))
  }
  for (const c of v.checkpoints) {
    const read = checkpoint(c.note, v.key)
    hold('what a checkpoint says', read.size === c.size && read.at === c.at && same(read.root, fromHex(c.root)) && same(read.head, fromHex(c.head)))
  }
}

function verifyExport(text, key) {
  hold('the last newline', text.endsWith('\n'))
  const lines = text.slice(0, -1).split('\n').map((line) => {
    const read = JSON.parse(line)
    hold('the form of a line', canonical(read) === line)
    return read
  })
  const [header, end] = [lines.shift(), lines.pop()]
  hold('the first line', header.format === 'exposuregraph/ledger-export/1')
  const hashes = []
  let last = null
  for (const line of lines) {
    if (line.checkpoint) {
      const c = checkpoint(line.checkpoint, key)
      hold('the origin of a checkpoint', c.origin === `exposuregraph/${header.organization}`)
      hold('the place of a checkpoint', c.size === hashes.length)
      hold('the root of a checkpoint', same(c.root, root(hashes)))
      hold('the head of a checkpoint', same(c.head, hashes[hashes.length - 1]) && c.at === last.occurredAt)
      continue
    }
    const previous = hashes.length ? hashes[hashes.length - 1] : zero
    hold(`the chain at ${line.seq}`, same(fromHex(line.previous), previous))
    last = entry(fromBase64(line.body), previous, fromHex(line.hash), `entry ${line.seq}`)
    hold(`the seq ${line.seq}`, line.seq === hashes.length + 1 && last.seq === line.seq)
    hold(`the organization of ${line.seq}`, last.organization === header.organization)
    hashes.push(fromHex(line.hash))
  }
  hold('the last line', end.end === true && end.size === hashes.length)
  hold('the head', same(fromHex(end.head), hashes[hashes.length - 1]))
  hold('the root', same(fromHex(end.root), root(hashes)))
}

try {
  const [vectors, exported] = process.argv.slice(2)
  const v = JSON.parse(readFileSync(vectors, 'utf8'))
  verifyVectors(v)
  verifyExport(readFileSync(exported, 'utf8'), v.key)
  console.log(`${checks} checks hold`)
} catch (error) {
  console.error(error.message.startsWith('wrong: ') ? error.message : `wrong: ${error.message}`)
  process.exit(1)
}
