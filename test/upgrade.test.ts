// Upgrades: a store that an older version wrote is read, written and kept in its format until the newest is finalized; who is too old says so.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { formatKey, newestFormat, putFormat } from '../src/barrier/format.ts'
import { nodesPrefix } from '../src/barrier/records.ts'
import { encodeRecord } from '../src/storage/collection.ts'
import { memoryStorage } from '../src/storage/memory.ts'
import { sqliteStorage } from '../src/storage/sqlite.ts'
import { startInside } from './inside.ts'
import { coffer, freePort, newFolder, type ServerProcess, spawnServer, startDurable, writeConfig } from './process.ts'

const fixture = path.join(import.meta.dirname, 'fixtures/format-1')
const keys = JSON.parse(readFileSync(path.join(fixture, 'keys.json'), 'utf8')) as Record<string, string>

/** Starts this version over a copy of the store that the first version wrote. */
async function startOver(folder = newFolder()): Promise<ServerProcess> {
  const file = path.join(folder, 'coffer.db')
  copyFileSync(path.join(fixture, 'coffer.db'), file)
  chmodSync(file, 0o600)
  return await startDurable({ folder, key: keys['sealKey'] ?? '', rootToken: keys['rootToken'] ?? '' })
}

async function readAll(server: ServerProcess): Promise<void> {
  const data = async (at: string, headers?: Record<string, string>) => {
    const answer = await server.call('GET', at, undefined, headers)
    assert.equal(answer.status, 200, `${at}: ${JSON.stringify(answer.body)}`)
    return answer.body.data
  }
  assert.deepEqual(await data('one/app/db'), { password: 'first', port: 5432 })
  const web = await data('two/data/app/web')
  assert.deepEqual(web.data, { version: 'c', text: 'grüße' })
  assert.equal(web.metadata.version, 3)
  assert.deepEqual(web.metadata.custom_metadata, { owner: 'team' })
  assert.deepEqual((await data('two/data/app/web?version=1')).data, { version: 'a', text: 'grüße' })
  assert.equal((await server.call('GET', 'two/data/gone')).status, 404)
  assert.equal((await server.call('POST', 'two/undelete/gone', { versions: [1] })).status, 204)
  assert.deepEqual((await data('two/data/gone')).data, { x: 1 })
  assert.equal((await server.call('DELETE', 'two/data/gone')).status, 204)
  assert.match((await data('sys/policies/acl/reader')).policy, /two\/data/)
  assert.deepEqual((await data('kv/data/inner', { 'x-vault-namespace': 'team' })).data, { who: 'team' })
  assert.equal((await data('auth/userpass/users/alice')).token_policies[0], 'reader')
  const login = await server.call(
    'POST',
    'auth/userpass/login/alice',
    { password: keys['alice'] },
    { 'x-vault-token': '' },
  )
  assert.equal(login.status, 200, JSON.stringify(login.body))
  const token = login.body.auth.client_token as string
  assert.equal((await server.call('GET', 'one/app/db', undefined, { 'x-vault-token': token })).status, 200)
  assert.equal(
    (await server.call('POST', 'two/data/alice', { data: { a: 1 } }, { 'x-vault-token': token })).status,
    200,
  )
}

const formatOf = async (server: ServerProcess) => (await server.call('GET', 'sys/x/upgrade')).body.data
const restarted = (server: ServerProcess) =>
  startDurable({ ...server, key: keys['sealKey'] ?? '', port: Number(new URL(server.url).port) })

/** What versions look at that know no record of the format. */
function markOf(server: ServerProcess): number {
  const db = new DatabaseSync(path.join(server.folder, 'coffer.db'), { readOnly: true })
  const { user_version: mark } = db.prepare('PRAGMA user_version').get() as { user_version: number }
  db.close()
  return mark
}

test('a store of format 1 is served as it is until the newest format is finalized', async () => {
  let server = await startOver()
  try {
    await readAll(server)
    const before = await formatOf(server)
    assert.equal(before.storage_format, 1)
    assert.equal(before.newest_format, newestFormat)
    assert.equal(before.finalized, false)
    assert.deepEqual(before.older_nodes, [])
    await server.end()
    server = await restarted(server)
    assert.equal((await formatOf(server)).storage_format, 1)
    assert.equal(markOf(server), 1, 'version 0.1.0 takes the file back')

    const unprivileged = await server.call('POST', 'auth/token/create', { policies: ['default'] })
    const token = unprivileged.body.auth.client_token as string
    assert.equal((await server.call('POST', 'sys/x/upgrade/finalize', {}, { 'x-vault-token': token })).status, 403)
    const { status, stdout, stderr } = spawnSync(coffer, ['operator', 'upgrade', 'finalize'], {
      encoding: 'utf8',
      env: { ...process.env, COFFER_ADDR: server.url, COFFER_TOKEN: server.rootToken },
    })
    assert.equal(status, 0, stderr)
    assert.match(stdout, /finalized/)
    assert.equal((await formatOf(server)).finalized, true)
    assert.equal(markOf(server), newestFormat, 'version 0.1.0 refuses the file')
    await readAll(server)
    await server.end()
    server = await restarted(server)
    assert.equal((await formatOf(server)).storage_format, newestFormat)
    await readAll(server)
    // Again is no error.
    assert.equal((await server.call('POST', 'sys/x/upgrade/finalize')).status, 204)
  } finally {
    await server.remove()
  }
})

test('a store that a newer version finalized is refused with a clear word, also by a server that is running', async () => {
  const server = await startDurable()
  const file = path.join(server.folder, 'coffer.db')
  try {
    assert.equal((await formatOf(server)).finalized, true, 'a new store begins with the newest format')
    const storage = await sqliteStorage({ path: file })
    await storage.update(async (tx) => putFormat(tx, newestFormat + 1))
    await storage.close()
    // What makes a running server look is any change of mounts or settings.
    await server.call('POST', 'sys/mounts/more', { type: 'kv' })
    const late = await server.call('GET', 'sys/mounts')
    assert.equal(late.status, 503, JSON.stringify(late.body))
    assert.match(late.body.errors.join(), /too old/)
    await server.end()
    const port = await freePort()
    const refused = spawnServer([`-config=${writeConfig(server.folder, port)}`])
    let text = ''
    refused.stderr?.on('data', (chunk) => {
      text += chunk
    })
    assert.notEqual(await new Promise((resolve) => refused.once('exit', resolve)), 0)
    assert.match(text, new RegExp(`storage format ${newestFormat + 1}.* start the newer version`))
  } finally {
    await server.remove()
  }
})

test('a node that tells of an older format is seen', async () => {
  const storage = memoryStorage()
  const inside = await startInside(storage)
  const older = {
    name: 'old',
    hostname: 'old',
    apiAddress: '',
    clusterAddress: '',
    version: '1.21.5',
    cofferVersion: '0.1.0',
    pid: 1,
  }
  await storage.update(async (tx) => {
    tx.put(`${nodesPrefix}old`, encodeRecord({ ...older, format: 1, startedAt: Date.now(), beatAt: Date.now() }))
  })
  const refused = await inside.call('write', 'sys/x/upgrade/finalize')
  assert.equal(refused.status, 409)
  assert.match(refused.raw, /old \(0\.1\.0\)/)
  await storage.update(async (tx) => tx.delete(`${nodesPrefix}old`))
  assert.equal((await inside.call('write', 'sys/x/upgrade/finalize')).status, 204)
  await inside.assembly.close()
})

test('finalizing waits for nodes of older versions, and belongs to the root namespace', async () => {
  const storage = memoryStorage()
  let older = ['node-b (0.1.0)']
  const inside = await startInside(storage, { olderNodes: async () => older })
  await storage.update(async (tx) => tx.delete(formatKey))
  const made = await inside.call('write', 'sys/namespaces/team')
  assert.equal(made.status, 200)
  assert.equal((await inside.call('read', 'sys/x/upgrade')).body['data'].storage_format, 1)
  const refused = await inside.call('write', 'sys/x/upgrade/finalize')
  assert.equal(refused.status, 409)
  assert.match(refused.raw, /node-b/)
  assert.equal((await inside.call('write', 'sys/x/upgrade/finalize', {}, { namespace: 'team' })).status, 400)
  older = []
  assert.equal((await inside.call('write', 'sys/x/upgrade/finalize')).status, 204)
  assert.equal((await inside.call('read', 'sys/x/upgrade')).body['data'].storage_format, newestFormat)
  await inside.assembly.close()
})
