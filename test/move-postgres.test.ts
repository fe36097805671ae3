// Moving and snapshots over PostgreSQL: a store goes from a file into a database and back, two servers over one database follow a restore, also when
// the one that restores is killed.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Cluster, postgresMissing, startCluster } from './postgres.ts'
import { coffer, freePort, newFolder, type ServerProcess, startDurable, startProcess, writeConfig } from './process.ts'

const snapshotPath = 'sys/storage/raft/snapshot'

describe('over PostgreSQL', { skip: postgresMissing() }, () => {
  let cluster: Cluster
  let file: ServerProcess
  before(async () => {
    cluster = await startCluster()
    file = await startDurable()
    await file.call('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } })
    for (let i = 0; i < 300; i++) await file.call('POST', `kv/data/many/${i}`, { data: { value: 'first'.repeat(500) } })
    await file.end()
  })
  after(async () => {
    await file.remove()
    cluster.remove()
  })

  const migrate = (source: string, destination: string) => {
    const config = path.join(file.folder, 'migrate.hcl')
    writeFileSync(config, `storage_source ${source}\nstorage_destination ${destination}\n`)
    const { status, stderr } = spawnSync(coffer, ['operator', 'migrate', `-config=${config}`], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
  const sqlite = (folder: string) => `"sqlite" { path = "${folder}/coffer.db" }`
  const postgres = () => `"postgresql" { connection_url = "${cluster.url}" }`

  const start = async (port?: number): Promise<ServerProcess> => {
    const folder = newFolder()
    const at = port ?? (await freePort())
    const config = writeConfig(folder, at)
    writeFileSync(config, readFileSync(config, 'utf8').replace(/^storage .*$/m, `storage ${postgres()}`))
    return await startProcess({ args: [`-config=${config}`], port: at, folder, rootToken: file.rootToken })
  }
  const value = async (server: ServerProcess, i: number): Promise<string> =>
    String((await server.call('GET', `kv/data/many/${i}`)).body?.data?.data?.value ?? '').slice(0, 6)
  const restore = (server: ServerProcess, bytes: Uint8Array) =>
    fetch(`${server.url}/v1/${snapshotPath}`, {
      method: 'POST',
      headers: { 'x-vault-token': file.rootToken },
      body: bytes as Uint8Array<ArrayBuffer>,
    })
  const serves = async (server: ServerProcess): Promise<void> => {
    for (const limit = Date.now() + 60_000; (await server.call('GET', 'sys/health')).status !== 200; await pause(50))
      assert.ok(Date.now() < limit, server.output())
  }

  test('a store moves from a file into a database, and back', { timeout: 300_000 }, async () => {
    migrate(sqlite(file.folder), postgres())
    const server = await start()
    try {
      await serves(server)
      assert.equal(await value(server, 299), 'firstf')
      assert.equal((await server.call('GET', 'sys/seal-status')).body.storage_type, 'postgresql')
      await server.call('POST', 'kv/data/many/0', { data: { value: 'from postgresql' } })
    } finally {
      await server.end()
    }
    const folder = newFolder()
    migrate(postgres(), sqlite(folder))
    const back = await startDurable({ folder, rootToken: file.rootToken })
    try {
      assert.equal(await value(back, 0), 'from p')
      assert.equal(await value(back, 299), 'firstf')
    } finally {
      await back.remove()
    }
  })

  test('two servers follow a restore; when the one that restores is killed the other one finishes', {
    timeout: 300_000,
  }, async () => {
    const one = await start()
    const two = await start()
    try {
      await serves(one)
      await serves(two)
      const saved = await fetch(`${two.url}/v1/${snapshotPath}`, { headers: { 'x-vault-token': file.rootToken } })
      const bytes = Buffer.from(await saved.arrayBuffer())
      const change = async () => {
        for (let i = 1; i < 300; i += 7) await one.call('POST', `kv/data/many/${i}`, { data: { value: 'changed' } })
      }
      await change()
      assert.equal((await restore(one, bytes)).status, 204)
      await serves(two)
      for (let i = 1; i < 300; i += 7) for (const server of [one, two]) assert.equal(await value(server, i), 'firstf')

      await change()
      const answer = restore(one, bytes).catch(() => undefined)
      // Killed right when it has declared that it is applying: the record says so.
      const applying = `SELECT count(*) FROM coffer.entry WHERE key = 'seal/restore/state' AND convert_from(value, 'UTF8') LIKE '%applying%'`
      for (const limit = Date.now() + 20_000; cluster.sql(applying).trim() !== '1' && Date.now() < limit; );
      await one.end('SIGKILL')
      await answer
      await serves(two)
      const seen = new Set<string>()
      for (let i = 1; i < 300; i += 7) seen.add(await value(two, i))
      assert.equal(seen.size, 1, [...seen].join())
      const left = cluster.sql(`SELECT count(*) FROM coffer.entry WHERE key LIKE 'seal/restore/%'`).trim()
      assert.equal(left, '0')
    } finally {
      await one.remove()
      await two.remove()
    }
  })
})
