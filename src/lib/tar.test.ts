import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { readTar, TarError, tarEnd, tarEntry } from './tar.ts'

const files = [
  { name: 'meta.json', content: Buffer.from('{"a":1}') },
  { name: 'empty', content: Buffer.alloc(0) },
  { name: 'state/00000000', content: Buffer.alloc(1024, 5) },
  { name: 'state/00000001', content: Buffer.alloc(1025, 6) },
]
const archive = Buffer.concat([...files.map(({ name, content }) => tarEntry(name, content, 1_700_000_000)), tarEnd])

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
const read = (bytes: Uint8Array, size = 700, bytesMax = 2000) => Array.fromAsync(readTar(cut(bytes, size), bytesMax))

test('what was packed is read, however it is cut', async () => {
  for (const size of [1, 511, 512, 513, 100_000]) assert.deepEqual(await read(archive, size), files)
})

test('tar itself reads it', () => {
  const { stdout, status, error } = spawnSync('tar', ['-tvf', '-'], { input: archive, encoding: 'utf8' })
  if (error) return assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT')
  assert.equal(status, 0)
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/).at(-1)),
    files.map(({ name }) => name),
  )
})

test('what is cut short, altered, followed by more or too large is refused', async () => {
  for (const end of [0, 100, 512, 700, 3000, archive.length - 1024])
    await assert.rejects(read(archive.subarray(0, end)), TarError)
  for (const at of [0, 124, 156, 150]) {
    const altered = Buffer.from(archive)
    altered[at] = (altered[at] as number) ^ 1
    await assert.rejects(read(altered), TarError)
  }
  await assert.rejects(read(Buffer.concat([archive, tarEntry('more', Buffer.from('x'), 0)])), TarError)
  await assert.rejects(read(archive, 700, 1024), TarError)
})
