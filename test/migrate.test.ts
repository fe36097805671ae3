// `operator migrate` as a program: between files, killed in the middle and started again, with many keys and large values, and what a server makes of it.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { sqliteStorage } from '../src/storage/sqlite.ts'
import { coffer, freePort, newFolder, type ServerProcess, spawnServer, startDurable, writeConfig } from './process.ts'

const configOf = (folder: string, source: string, destination: string): string => {
  const file = path.join(folder, 'migrate.hcl')
  writeFileSync(
    file,
    `storage_source "sqlite" { path = "${source}" }\nstorage_destination "file" { path = "${destination}" }\ncluster_addr = "https://127.0.0.1:8201"\n`,
  )
  return file
}
const migrate = (...args: string[]) => spawnSync(coffer, ['operator', 'migrate', ...args], { encoding: 'utf8' })

describe('a migration from file to file', () => {
  let server: ServerProcess
  let source: string
  const target = newFolder()
  const destination = path.join(target, 'coffer.db')
  let config: string

  before(async () => {
    server = await startDurable()
    await server.call('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } })
    await server.call('POST', 'kv/data/app', { data: { value: 'moved' } })
    await server.end()
    source = path.join(server.folder, 'coffer.db')
    config = configOf(server.folder, source, target)
    const storage = await sqliteStorage({ path: source })
    for (let page = 0; page < 50; page++)
      await storage.update(async (tx) => {
        for (let i = 0; i < 1000; i++) tx.put(`zz/${page}/${String(i).padStart(4, '0')}`, new Uint8Array(100).fill(i))
      })
    for (let i = 0; i < 4; i++)
      await storage.update(async (tx) => tx.put(`zz/large/${i}`, new Uint8Array(randomBytes(20 * 1024 * 1024))))
    await storage.close()
  })
  after(async () => {
    await server.remove()
    rmSync(target, { recursive: true, force: true })
  })

  test('killed in the middle it goes on; until it is done no server starts on the destination', {
    timeout: 300_000,
  }, async () => {
    let kills = 0
    const done = async (): Promise<number> => {
      if (!existsSync(destination)) return 0
      const storage = await sqliteStorage({ path: destination })
      const keys = await storage.view((tx) => tx.scan(''))
      await storage.close()
      return keys.length
    }
    let before = 0
    for (const wanted of [2000, 20_000, 50_000]) {
      const child = spawn(coffer, ['operator', 'migrate', `-config=${config}`], { stdio: ['ignore', 'ignore', 'pipe'] })
      const ended = new Promise((resolve) => child.once('exit', resolve))
      // Killed when about so much is there, told by the size of the file and its log.
      for (const limit = Date.now() + 60_000; child.exitCode === null && Date.now() < limit; await pause(20))
        if ((await lengthOf(destination)) > wanted * 130) break
      child.kill('SIGKILL')
      await ended
      kills++
      const now = await done()
      assert.ok(now >= before, `${now} after ${before}`)
      before = now
    }
    assert.equal(kills, 3)
    assert.ok(before > 1000 && before < 50_100, `${before} keys after the last kill`)

    const port = await freePort()
    const refused = spawnServer([`-config=${writeConfig(target, port)}`])
    let text = ''
    refused.stderr?.on('data', (chunk) => {
      text += chunk
    })
    assert.notEqual(await new Promise((resolve) => refused.once('exit', resolve)), 0)
    assert.match(text, /migration into this store is not finished/)

    const finished = migrate(`-config=${config}`)
    assert.equal(finished.status, 0, finished.stderr)
    assert.match(finished.stdout, /^Success! All of the keys have been migrated: \d+ keys, SHA-256 [0-9a-f]{64}\.$/m)
    assert.match(finished.stderr, /checking .* \(100 %\)/)
    assert.ok(!finished.stderr.includes('\r'), 'plain lines where no terminal is')

    const again = await startDurable({ folder: target, rootToken: server.rootToken })
    try {
      assert.equal((await again.call('GET', 'kv/data/app')).body.data.data.value, 'moved')
    } finally {
      await again.end()
    }
    // Done is done: what is there now is somebody's store.
    const twice = migrate(`-config=${config}`)
    assert.equal(twice.status, 2)
    assert.match(twice.stderr, /not empty/)
    const reset = migrate(`-config=${config}`, '-reset')
    assert.equal(reset.status, 0, reset.stderr)
    assert.ok((await done()) > 50_000, 'a finished migration is not taken back')
  })

  test('-reset takes an unfinished one back', async () => {
    const folder = newFolder()
    try {
      const file = configOf(folder, source, path.join(folder, 'to'))
      const child = spawn(coffer, ['operator', 'migrate', `-config=${file}`], { stdio: 'ignore' })
      const ended = new Promise((resolve) => child.once('exit', resolve))
      const made = path.join(folder, 'to', 'coffer.db')
      while (child.exitCode === null && (await lengthOf(made)) < 1_000_000) await pause(10)
      child.kill('SIGKILL')
      await ended
      assert.equal(migrate(`-config=${file}`, '-reset').status, 0)
      const storage = await sqliteStorage({ path: made })
      assert.deepEqual(await storage.view((tx) => tx.scan('')), [])
      await storage.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('mistakes are told, with the exit code that says whose they are', () => {
    const file = path.join(server.folder, 'wrong.hcl')
    const cases: [string, number, RegExp][] = [
      ['storage_source "sqlite" { path = "/none" }', 1, /exactly one storage_source and one storage_destination/],
      ['storage_source "inmem" {}\nstorage_destination "sqlite" { path = "/x" }', 1, /in memory/],
      ['listener "tcp" {}', 1, /does not belong here/],
      ['storage_source "consul" {}', 1, /not part of Coffer/],
      [
        `storage_source "sqlite" { path = "${target}/none.db" }\nstorage_destination "sqlite" { path = "${target}/x.db" }`,
        2,
        /does not exist/,
      ],
    ]
    for (const [text, code, message] of cases) {
      writeFileSync(file, text)
      const { status, stderr } = migrate(`-config=${file}`)
      assert.equal(status, code, stderr)
      assert.match(stderr, message)
    }
    assert.equal(migrate().status, 1)
    assert.equal(migrate(`-config=${config}`, '-max-parallel=0').status, 1)
    assert.ok(!existsSync(path.join(target, 'x.db')))
  })
})

async function lengthOf(file: string): Promise<number> {
  const { stat } = await import('node:fs/promises')
  const size = async (name: string): Promise<number> => (await stat(name).catch(() => undefined))?.size ?? 0
  return (await size(file)) + (await size(`${file}-wal`))
}
