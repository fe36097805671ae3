// Recovery mode of a real server, driven by the command line: a store whose mounts cannot be loaded is mended; what is refused; what the log holds.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Cli, cliOf, must } from './clients/run-cli.ts'
import {
  freePort,
  newFolder,
  type ServerProcess,
  startDurable,
  startProcess,
  startShamir,
  writeConfig,
} from './process.ts'

const none = { 'x-vault-token': '' }
const as = (token: string) => ({ 'x-vault-token': token })

/** Starts a store that is there in recovery mode. */
async function startRecovery(folder: string, shamir: boolean, args: readonly string[] = []): Promise<ServerProcess> {
  const port = await freePort()
  const file = writeConfig(folder, port, { shamir })
  return await startProcess({ args: [`-config=${file}`, '-recovery', ...args], port, folder })
}

/** The ceremony by command line; gives the token. */
async function recoveryToken(cli: Cli, keys: readonly string[]): Promise<string> {
  const run = must(cli)
  const kind = ['operator', 'generate-root', '-recovery-token']
  const begun = (await cli([...kind, '-format=json', '-init'])).json()
  let last = { encoded_token: '', encoded_root_token: '', complete: false }
  for (const key of keys) last = (await cli([...kind, '-format=json', `-nonce=${begun.nonce}`, key])).json()
  assert.deepEqual([last.complete, last.encoded_root_token], [true, ''])
  return await run([...kind, `-decode=${last.encoded_token}`, `-otp=${begun.otp}`])
}

describe('a store that does not open', () => {
  let server: ServerProcess
  let folder: string
  let keys: string[]
  let root: string
  let token: string
  let mount: string
  let broken: string
  let cli: Cli
  before(async () => {
    const first = await startShamir({ extra: 'raw_storage_endpoint = true' })
    folder = first.folder
    const init = (await first.call('PUT', 'sys/init', { secret_shares: 3, secret_threshold: 2 })).body
    keys = init.keys
    root = init.root_token
    for (const key of keys.slice(0, 2)) await first.call('PUT', 'sys/unseal', { key })
    await first.call('POST', 'sys/mounts/kv', { type: 'kv' }, as(root))
    await first.call('POST', 'kv/a', { v: 'a-secret-value' }, as(root))
    for (const name of (await first.call('LIST', 'sys/raw/ns/root/mount', undefined, as(root))).body.data.keys) {
      const { value } = (await first.call('GET', `sys/raw/ns/root/mount/${name}`, undefined, as(root))).body.data
      if (!value.includes('"kv/"')) continue
      mount = `ns/root/mount/${name}`
      broken = value
    }
    // Nobody knows this engine: the mounts of the whole store cannot be loaded any more.
    const bad = broken.replace('"kv"', '"lost"')
    assert.notEqual(bad, broken)
    assert.equal((await first.call('PUT', `sys/raw/${mount}`, { value: bad }, as(root))).status, 204)
    await first.end('SIGKILL')
    server = await startRecovery(folder, true)
    cli = cliOf(newFolder(), { VAULT_ADDR: server.url })
  })
  after(() => server.remove())

  test('is unsealed in vain by a usual server', async () => {
    await server.end()
    const usual = await startShamir({ folder })
    await usual.call('PUT', 'sys/unseal', { key: keys[0] })
    assert.equal((await usual.call('PUT', 'sys/unseal', { key: keys[1] })).status, 500)
    assert.equal((await usual.call('GET', 'sys/raw/x', undefined, as(root))).status, 503)
    await usual.end()
    server = await startRecovery(folder, true)
    cli = cliOf(newFolder(), { VAULT_ADDR: server.url })
  })

  test('recovery mode says what it is and serves nothing else', async () => {
    assert.match(server.output(), /recovery mode: begin with "coffer operator generate-root -recovery-token -init"/)
    const health = await server.call('GET', 'sys/health')
    assert.deepEqual([health.status, health.body.sealed, health.body.recovery_mode], [503, true, true])
    const status = (await server.call('GET', 'sys/seal-status')).body
    assert.deepEqual([status.sealed, status.initialized, status.t, status.recovery_mode], [true, true, 2, true])
    const shown = await cli('status')
    assert.deepEqual([shown.code, /Recovery Mode +true/.test(shown.out)], [2, true], shown.out)
    for (const [method, at] of [
      ['GET', 'kv/a'],
      ['PUT', 'sys/unseal'],
      ['PUT', 'sys/seal'],
      ['PUT', 'sys/init'],
      ['GET', 'sys/mounts'],
      ['PUT', 'sys/generate-root/attempt'],
      ['PUT', 'sys/rekey/init'],
      ['GET', 'auth/token/lookup-self'],
      ['GET', 'sys/raw?help=1'],
    ] as const) {
      const answer = await server.call(method, at, method === 'PUT' ? { key: keys[0] } : undefined, as(root))
      if (answer.status === 405) assert.equal(at, 'sys/init')
      else assert.deepEqual([answer.status, /recovery mode/.test(answer.body.errors[0])], [503, true], at)
    }
    assert.equal(
      (await server.call('GET', 'sys/raw/x', undefined, { ...as('x'), 'x-vault-namespace': 'a' })).status,
      400,
    )
    const hinted = await cli('kv get secret/a')
    assert.match(hinted.err, /without -recovery/)
  })

  test('raw is for the recovery token alone', async () => {
    for (const header of [none, as(root), as('hvr.x')])
      for (const [method, at] of [
        ['GET', `sys/raw/${mount}`],
        ['LIST', 'sys/raw'],
        ['PUT', 'sys/raw/x'],
        ['DELETE', `sys/raw/${mount}`],
      ] as const) {
        const answer = await server.call(method, at, method === 'PUT' ? { value: 'x' } : undefined, header)
        assert.equal(answer.status, 403, `${method} ${at}`)
      }
  })

  test('shares make the token', async () => {
    const run = must(cli)
    const kind = 'operator generate-root -recovery-token'
    assert.match(await run(`${kind} -status`), /Started +false/)
    assert.equal((await run(`${kind} -generate-otp`)).length, 28)
    await run(`${kind} -init -otp=${'q'.repeat(28)}`)
    assert.match(await run(`${kind} -status`), /Started +true[\s\S]*Progress +0\/2/)
    await run(`${kind} -cancel`)
    assert.match(await run(`${kind} -status`), /Started +false/)
    token = await recoveryToken(cli, keys.slice(1))
    assert.match(token, /^hvr\.[0-9A-Za-z]{24}$/)
    const again = await server.call('PUT', 'sys/generate-recovery-token/attempt', {})
    assert.deepEqual([again.status, /restart the server/.test(again.body.errors[0])], [400, true])
    // Open, and yet no traffic should come here.
    assert.equal((await server.call('GET', 'sys/seal-status')).body.sealed, false)
    assert.equal((await server.call('GET', 'sys/health')).status, 503)
    const encoded = Buffer.from('hvr.abc').map((byte, i) => byte ^ 'otpotpo'.charCodeAt(i))
    const decoded = await server.call('PUT', 'sys/decode-token', {
      encoded_token: Buffer.from(encoded).toString('base64'),
      otp: 'otpotpo',
    })
    assert.equal(decoded.body.data.token, 'hvr.abc')
  })

  test('the store is mended with it', async () => {
    const with_ = { env: { VAULT_TOKEN: token } }
    const run = must(cli)
    assert.match(await run('list sys/raw/', with_), /core\//)
    assert.match(await run(`read -field=value sys/raw/${mount}`, with_), /"lost"/)
    await run(['write', `sys/raw/${mount}`, `value=${broken}`], with_)
    await run('write sys/raw/leftover value=a-secret-value', with_)
    await run('delete sys/raw/leftover', with_)
    assert.equal((await cli('read sys/raw/leftover', with_)).code, 2)
    const wrapped = await server.call('GET', `sys/raw/${mount}`, undefined, { ...as(token), 'x-vault-wrap-ttl': '60' })
    assert.equal(wrapped.status, 400)
    assert.equal((await server.call('GET', 'sys/raw/seal/keyring', undefined, as(token))).status, 400)
    assert.equal((await server.call('GET', `sys/raw/${mount}`, undefined, as(root))).status, 403)
  })

  test('every access is in the log, no value is', () => {
    const lines = server.output()
    for (const operation of ['read', 'write', 'delete', 'list'])
      assert.match(lines, new RegExp(`WARN[^\\n]*recovery mode: request[^\\n]*${operation}`, 'i'))
    assert.ok(lines.includes('sys/raw/leftover'))
    for (const secret of ['a-secret-value', '"lost"', token, ...keys]) assert.ok(!lines.includes(secret), secret)
  })

  test('the token ends with the process, and the usual server serves again', async () => {
    assert.equal(await server.end(), 0)
    const other = await startRecovery(folder, true)
    assert.equal((await other.call('GET', `sys/raw/${mount}`, undefined, as(token))).status, 403)
    await other.end('SIGKILL')
    server = await startShamir({ folder })
    for (const key of keys.slice(0, 2)) await server.call('PUT', 'sys/unseal', { key })
    assert.equal((await server.call('GET', 'kv/a', undefined, as(root))).body.data.v, 'a-secret-value')
    // Off unless the configuration says so.
    assert.equal((await server.call('GET', `sys/raw/${mount}`, undefined, as(root))).status, 404)
    const usual = cliOf(newFolder(), { VAULT_ADDR: server.url })
    for (const env of [{}, { VAULT_TOKEN: root }]) {
      const asked = await usual('operator generate-root -recovery-token -init', { env })
      assert.deepEqual([asked.code, /coffer server -recovery/.test(asked.err)], [2, true], asked.err)
    }
    assert.match((await usual('operator generate-root -dr-token -init')).err, /replication/)
  })
})

test('recovery keys, where the store unseals itself', async () => {
  const first = await startDurable({ initialize: false })
  const init = (await first.call('PUT', 'sys/init', { recovery_shares: 2, recovery_threshold: 2 })).body
  await first.end()
  const server = await startRecovery(first.folder, false, ['-log-level=off', '-log-format=json'])
  const cli = cliOf(newFolder(), { VAULT_ADDR: server.url })
  try {
    assert.equal((await server.call('GET', 'sys/seal-status')).body.sealed, true)
    const token = await recoveryToken(cli, init.recovery_keys_base64)
    assert.equal((await server.call('LIST', 'sys/raw/core', undefined, as(token))).status, 200)
    // The log is the record of it and cannot be switched off.
    assert.match(server.output(), /"path":"sys\/raw\/core"/)
  } finally {
    await server.remove()
  }
})

test('there must be a store to recover', async () => {
  const folder = newFolder()
  const cli = cliOf(folder, {})
  const file = writeConfig(folder, await freePort(), { shamir: true })
  const missing = await cli(['server', `-config=${file}`, '-recovery'])
  assert.deepEqual([missing.code, /nothing to recover/.test(missing.err)], [1, true], missing.err)
  assert.equal(existsSync(path.join(folder, 'coffer.db')), false)
  assert.match((await cli('server -dev -recovery')).err, /no recovery mode/)
})
