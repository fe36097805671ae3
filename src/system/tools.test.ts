import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import { ApiError, engine, type Reply } from '../sdk/index.ts'
import { mountForTest } from '../sdk/testing.ts'
import { memoryStorage } from '../storage/memory.ts'
import { toolsOperations } from './tools.ts'

const sys = engine({ type: 'system', kind: 'secret', summary: 'Tools.', operations: toolsOperations })
const mounted = () => mountForTest(sys, memoryStorage())
const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const dataOf = (reply: Reply | undefined) => reply?.data as Record<string, string>
const hello = Buffer.from('hello').toString('base64')

test('random bytes: as many as asked for, in either writing, never the same', async () => {
  const mount = await mounted()
  const random = async (path: string, body: JsonObject = {}) =>
    String(dataOf(await mount.write(path, body))['random_bytes'])
  assert.match(await random('tools/random', { bytes: 16, format: 'hex' }), /^[0-9a-f]{32}$/)
  assert.equal(Buffer.from(await random('tools/random'), 'base64').length, 32)
  assert.equal(Buffer.from(await random('tools/random/8'), 'base64').length, 8)
  assert.equal(Buffer.from(await random('tools/random/all', { bytes: '5' }), 'base64').length, 5)
  assert.match(await random('tools/random/platform/8', { format: 'hex' }), /^[0-9a-f]{16}$/)
  assert.equal(Buffer.from(await random('tools/random/131072'), 'base64').length, 131_072)
  assert.notEqual(await random('tools/random'), await random('tools/random'))
  await random('tools/random/seal')
  assert.equal(mount.warnings.length, 1)
})

test('random bytes: what cannot be given is refused', async () => {
  const mount = await mounted()
  const bad: [string, JsonObject][] = [
    ['tools/random', { bytes: 0 }],
    ['tools/random', { bytes: -4 }],
    ['tools/random', { bytes: 131_073 }],
    ['tools/random', { bytes: 'x' }],
    ['tools/random', { bytes: 8, format: 'octal' }],
    ['tools/random', { source: 'moon' }],
    ['tools/random/nosource', {}],
    ['tools/random/nosource/8', {}],
    ['tools/random/all/x', {}],
    ['tools/random/0', {}],
  ]
  for (const [path, body] of bad) await assert.rejects(mount.write(path, body), status(400), path)
  await assert.rejects(mount.read('tools/random'), status(405))
})

// Vectors: FIPS 180-4 and FIPS 202 hashes of "hello", recorded from another implementation.
const sums: Record<string, string> = {
  'sha2-224': 'ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193',
  'sha2-256': '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
  'sha2-384': '59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f',
  'sha3-224': 'b87f88c72702fff1748e58b87e9141a42c0dbedc29a78cb0d4a5cd81',
  'sha3-256': '3338be694f50c5f338814986cdf0686453a888b84f424d792af4b9202398f392',
  'sha3-384': '720aea11019ef06440fbf05d87aa24680a2153df3907b23631e7177ce620fa1330ff07c0fddee54699a4c3ee0ee9d887',
}

test('hashes are the ones of the standards', async () => {
  const mount = await mounted()
  const sum = async (path: string, body: JsonObject) => String(dataOf(await mount.write(path, body))['sum'])
  for (const [algorithm, wanted] of Object.entries(sums)) {
    assert.equal(await sum(`tools/hash/${algorithm}`, { input: hello }), wanted)
    assert.equal(await sum('tools/hash', { input: hello, algorithm }), wanted)
  }
  assert.equal(
    await sum('tools/hash/sha2-512', { input: hello, format: 'base64' }),
    'm3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==',
  )
  assert.match(await sum('tools/hash/sha3-512', { input: hello }), /^75d527c368f2efe8/)
  assert.match(await sum('tools/hash', { input: '' }), /^e3b0c44298fc1c14/)
  assert.match(await sum('tools/hash', {}), /^e3b0c44298fc1c14/)
  assert.equal(await sum('tools/hash/sha2-256', { input: hello, algorithm: 'sha3-512' }), sums['sha2-256'])
  for (const body of [
    { input: 'not base64!' },
    { input: 'aGVsbG8' },
    { input: hello, format: 'x' },
    { input: hello, algorithm: 'md5' },
  ])
    await assert.rejects(mount.write('tools/hash', body), status(400))
  for (const name of ['md5', 'constructor', '__proto__'])
    await assert.rejects(mount.write(`tools/hash/${name}`, { input: hello }), status(400))
})
