// The command line as a process against a running server, verb by verb as users of `vault` and `bao` type them.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { newFolder, type ServerProcess, startDev, startShamir } from '../process.ts'
import { type Cli, cliOf, must, type RunOptions } from './run-cli.ts'

let server: ServerProcess
let home: string
let cli: Cli
let ok: (args: readonly string[] | string, options?: RunOptions) => Promise<string>

before(async () => {
  server = await startDev()
  home = newFolder()
  cli = cliOf(home, { COFFER_ADDR: server.url, COFFER_TOKEN: 'root' })
  ok = must(cli)
})
after(async () => {
  await server.remove()
  rmSync(home, { recursive: true, force: true })
})

const file = (name: string, text: string): string => {
  const at = path.join(home, name)
  mkdirSync(path.dirname(at), { recursive: true })
  writeFileSync(at, text)
  return at
}
/** Rows of a table by their first column. */
const rows = (table: string): Map<string, string> =>
  new Map(
    table
      .split('\n')
      .map((line) => /^(\S+)\s+(.*)$/.exec(line))
      .flatMap((match) => (match ? [[match[1] as string, (match[2] as string).trim()] as const] : [])),
  )

describe('finding the server and the token', () => {
  test('version and help need neither', async () => {
    const bare = cliOf(home, {})
    assert.match((await bare('version')).out, /^Coffer v\d+\.\d+\.\d+/)
    assert.match((await bare('-version')).out, /^\S+ v\d+\.\d+\.\d+/)
    assert.match((await bare('-h')).out + (await bare('-h')).err, /kv/)
    assert.match((await bare('kv put -h')).out, /Usage: coffer kv put/)
  })

  test('the address and the token come from COFFER_, BAO_ or VAULT_ variables, in this order, or from flags', async () => {
    for (const prefix of ['COFFER', 'BAO', 'VAULT']) {
      const answer = await cliOf(home, { [`${prefix}_ADDR`]: server.url, [`${prefix}_TOKEN`]: 'root' })(
        'token lookup -format=json',
      )
      assert.equal(answer.json().data.id, 'root', prefix)
    }
    const mixed = cliOf(home, {
      VAULT_ADDR: 'http://127.0.0.1:1',
      BAO_ADDR: server.url,
      VAULT_TOKEN: 'x',
      COFFER_TOKEN: 'root',
    })
    assert.equal((await mixed('token lookup -format=json')).json().data.id, 'root')
    const flag = cliOf(home, { VAULT_ADDR: 'http://127.0.0.1:1', VAULT_TOKEN: 'root' })
    assert.equal((await flag(`status -address=${server.url}`)).code, 0)
    assert.equal((await cliOf(home, { VAULT_FORMAT: 'json', VAULT_ADDR: server.url })('status')).json().sealed, false)
  })

  test('a server that does not answer is an error that says so', async () => {
    const { code, err } = await cliOf(home, {
      VAULT_ADDR: 'http://127.0.0.1:1',
      VAULT_TOKEN: 'x',
      VAULT_MAX_RETRIES: '0',
    })('kv get secret/x')
    assert.equal(code, 2)
    assert.match(err, /127\.0\.0\.1:1/)
  })

  test('status', async () => {
    const table = rows(await ok('status'))
    assert.equal(table.get('Sealed'), 'false')
    assert.equal(table.get('Initialized'), 'true')
    assert.equal((await cli('status -format=json')).json().initialized, true)
  })

  test('usage mistakes are exit code 1 and say what may have been meant', async () => {
    const wrong = await cli('kv gett secret/x')
    assert.ok(wrong.code === 1 || wrong.code === 127, String(wrong.code))
    assert.match(wrong.err, /get/)
    for (const args of [
      'kv get',
      'kv put secret/x',
      'kv get a b c',
      'kv get -nosuchflag secret/x',
      'policy write a',
      'status -format=nonsense',
    ])
      assert.equal((await cli(args)).code, 1, args)
  })
})

describe('kv', () => {
  test('version 2: put, get, fields, versions', async () => {
    await ok(['kv', 'put', 'secret/app', 'user=ada', 'password=p w', 'empty='])
    assert.equal(await ok('kv get -field=password secret/app'), 'p w')
    assert.equal((await cli('kv get -field=password secret/app')).out, 'p w')
    const shown = await ok('kv get -mount=secret app')
    assert.match(shown, /= Secret Path =\nsecret\/data\/app/)
    assert.match(shown, /user\s+ada/)
    const json = (await cli('kv get -format=json secret/app')).json()
    assert.deepEqual(json.data.data, { user: 'ada', password: 'p w', empty: '' })
    assert.equal(json.data.metadata.version, 1)
    assert.equal(parse(await ok('kv get -format=yaml secret/app')).data.data.user, 'ada')
    const second = (await cli('kv put -format=json -cas=1 secret/app user=ben')).json()
    assert.equal(second.data.version, 2)
    assert.equal((await cli('kv put -cas=1 secret/app user=cyd')).code, 2)
    assert.equal(await ok('kv get -version=1 -field=user secret/app'), 'ada')
  })

  test('data from a file, from standard input and as JSON', async () => {
    const data = file('data.json', '{"n": 12345678901234567890, "deep": {"a": [1, 2]}, "text": "é"}')
    await ok(['kv', 'put', 'secret/json', `@${data}`])
    const read = (await cli('kv get -format=json secret/json')).out
    assert.match(read, /12345678901234567890/)
    assert.deepEqual(JSON.parse(read).data.data.deep, { a: [1, 2] })
    await ok('kv put secret/stdin -', { input: '{"from":"stdin"}' })
    assert.equal(await ok('kv get -field=from secret/stdin'), 'stdin')
    await ok('kv put secret/stdin value=-', { input: 'typed\n' })
    assert.match(await ok('kv get -field=value secret/stdin'), /^typed/)
    const text = file('value.txt', 'line one\nline two\n')
    await ok(['kv', 'put', 'secret/file', `value=@${text}`, 'literal=\\@not-a-file'])
    assert.equal((await cli('kv get -field=value secret/file')).out, 'line one\nline two\n')
    assert.equal(await ok('kv get -field=literal secret/file'), '@not-a-file')
    const missing = await cli(['kv', 'put', 'secret/file', '@/no/such/file'])
    assert.equal(missing.code, 1)
  })

  test('patch, delete, undelete, destroy, rollback', async () => {
    await ok('kv put secret/life a=1 b=2')
    await ok('kv patch secret/life b=3 c=4')
    await ok('kv patch -method=rw secret/life d=5')
    await ok('kv patch -remove-data=a secret/life')
    assert.deepEqual((await cli('kv get -format=json secret/life')).json().data.data, { b: '3', c: '4', d: '5' })
    await ok('kv delete secret/life')
    assert.match(await ok('kv get secret/life'), /deletion_time\s+2/)
    assert.equal((await cli('kv get -field=d secret/life')).code, 2)
    await ok('kv undelete -versions=4 secret/life')
    assert.equal(await ok('kv get -field=d secret/life'), '5')
    await ok('kv rollback -version=1 secret/life')
    assert.deepEqual((await cli('kv get -format=json secret/life')).json().data.data, { a: '1', b: '2' })
    await ok('kv delete -versions=2,3 secret/life')
    await ok('kv destroy -versions=2 secret/life')
    const { versions } = (await cli('kv metadata get -format=json secret/life')).json().data
    assert.deepEqual([versions['2'].destroyed, versions['3'].destroyed], [true, false])
    assert.notEqual(versions['3'].deletion_time, '')
    assert.equal((await cli('kv rollback -version=2 secret/life')).code, 2)
  })

  test('metadata, list and scan', async () => {
    await ok([
      'kv',
      'metadata',
      'put',
      '-max-versions=3',
      '-delete-version-after=1h',
      '-custom-metadata=team=red',
      'secret/teams/red',
    ])
    await ok('kv metadata patch -custom-metadata=owner=ada secret/teams/red')
    const { data } = (await cli('kv metadata get -format=json secret/teams/red')).json()
    assert.deepEqual(data.custom_metadata, { team: 'red', owner: 'ada' })
    assert.equal(data.max_versions, 3)
    await ok('kv put secret/teams/blue a=1')
    await ok('kv put secret/teams/deep/er a=1')
    assert.deepEqual((await cli('kv list -format=json secret/teams')).json(), ['blue', 'deep/', 'red'])
    assert.match(await ok('kv list secret/teams'), /^Keys\n----\nblue\ndeep\/\nred$/)
    assert.deepEqual((await cli('kv scan -format=json secret/teams')).json(), ['blue', 'deep/er', 'red'])
    await ok('kv metadata delete secret/teams/red')
    assert.equal((await cli('kv metadata get secret/teams/red')).code, 2)
    const none = await cli('kv list -format=json secret/nothing')
    assert.equal(none.code, 2)
    assert.equal(none.out.trim(), '{}')
  })

  test('what is not there is exit code 2', async () => {
    const { code, err, out } = await cli('kv get secret/none')
    assert.equal(code, 2)
    assert.match(err + out, /No value found at secret\/data\/none/)
    assert.equal((await cli('kv get -field=none secret/app')).code, 1)
  })

  test('version 1, and making it version 2', async () => {
    await ok('secrets enable -path=plain -version=1 kv')
    await ok('kv put plain/x a=1')
    assert.equal(await ok('kv get -field=a plain/x'), '1')
    assert.deepEqual((await cli('kv list -format=json plain/')).json(), ['x'])
    assert.equal((await cli('kv patch plain/x a=2')).code, 2)
    await ok('kv delete plain/x')
    assert.equal((await cli('kv get plain/x')).code, 2)
    await ok('kv put plain/y a=1')
    await ok('kv enable-versioning plain')
    assert.equal(await ok('kv get -field=a plain/y'), '1')
    await ok('kv put plain/y a=2')
    assert.equal((await cli('kv get -format=json plain/y')).json().data.metadata.version, 2)
  })
})

describe('read, write, list, delete', () => {
  test('any path', async () => {
    await ok('secrets enable -path=raw kv')
    await ok('write raw/a/b value=1 other=x')
    assert.equal(await ok('read -field=value raw/a/b'), '1')
    assert.deepEqual((await cli('read -format=json raw/a/b')).json().data, { value: '1', other: 'x' })
    assert.match(await ok('list raw/a'), /^Keys\n----\nb$/)
    await ok('write -f raw/empty').catch(() => undefined)
    await ok('delete raw/a/b')
    assert.equal((await cli('read raw/a/b')).code, 2)
    assert.equal((await cli('list raw/none')).code, 2)
    const denied = await cli('read raw/a/b', { env: { COFFER_TOKEN: 'wrong' } })
    assert.equal(denied.code, 2)
    assert.match(denied.err, /403/)
    assert.match(denied.err, /permission denied/)
  })

  test('wrapping and unwrap', async () => {
    await ok('kv put secret/wrapped a=1')
    const wrapped = (await cli('kv get -wrap-ttl=60s -format=json secret/wrapped')).json()
    assert.equal(wrapped.wrap_info.ttl, 60)
    const token = wrapped.wrap_info.token as string
    assert.equal((await cli(['unwrap', '-format=json', token])).json().data.data.a, '1')
    const again = await cli(['unwrap', token])
    assert.equal(again.code, 2)
    const field = await ok('token create -policy=default -wrap-ttl=90 -field=wrapping_token')
    const inner = await ok('unwrap -field=token', { env: { COFFER_TOKEN: field } })
    assert.match(inner, /^hvs\./)
  })

  test('path-help', async () => {
    assert.match(await ok('path-help sys/mounts'), /mount/i)
    assert.match(await ok('path-help secret/data/x'), /version/i)
  })
})

describe('policies', () => {
  test('write, read, list, fmt, delete', async () => {
    const at = file('app.hcl', 'path "secret/data/app*" {\ncapabilities=["read","list"]\n}\n')
    await ok(['policy', 'fmt', at])
    assert.match(readFileSync(at, 'utf8'), /\n {2}capabilities = \["read", "list"\]/)
    await ok(['policy', 'write', 'app', at])
    assert.match(await ok('policy read app'), /capabilities = \["read", "list"\]/)
    await ok('policy write typed -', { input: 'path "x" { capabilities = ["deny"] }' })
    assert.deepEqual((await cli('policy list -format=json')).json().sort(), ['app', 'default', 'root', 'typed'])
    await ok('policy delete typed')
    assert.equal((await cli('policy read typed')).code, 2)
    const wrong = await cli('policy write wrong -', { input: 'path "x" {\n capabilities = ["reed"]\n}' })
    assert.equal(wrong.code, 2)
    assert.match(wrong.err, /line 2/)
  })
})

describe('tokens', () => {
  test('create, lookup, capabilities, renew, revoke', async () => {
    const made = (await cli('token create -policy=app -ttl=1h -metadata=team=red -display-name=ci -format=json')).json()
    const { client_token: token, accessor } = made.auth
    const env = { COFFER_TOKEN: token }
    const self = (await cli('token lookup -format=json', { env })).json().data
    assert.deepEqual(self.policies, ['app', 'default'])
    assert.deepEqual(self.meta, { team: 'red' })
    assert.equal(await ok(['token', 'lookup', '-field=display_name', '-accessor', accessor]), 'token-ci')
    assert.equal(await ok('token capabilities secret/data/app', { env }), 'list, read')
    assert.equal(await ok(['token', 'capabilities', token, 'secret/data/other']), 'deny')
    assert.ok((await cli(['token', 'renew', '-increment=2h', '-format=json', token])).json().auth.lease_duration > 3600)
    await ok('token renew', { env })
    assert.match(await ok('print token', { env }), new RegExp(token.replaceAll('.', '\\.')))
    const child = await ok('token create -field=token -policy=app -ttl=10m -type=batch')
    assert.match(child, /^hvb\./)
    await ok(['token', 'revoke', token])
    assert.equal((await cli('token lookup', { env })).code, 2)
    const other = await ok('token create -field=token -policy=app')
    await ok('token revoke -self', { env: { COFFER_TOKEN: other } })
    assert.equal((await cli(['token', 'lookup', other])).code, 2)
  })

  test('login stores the token for its owner alone; later commands use it', async () => {
    await ok('auth enable userpass')
    await ok('write auth/userpass/users/ann password=right policies=app')
    const bare = cliOf(home, { COFFER_ADDR: server.url })
    const wrong = await bare('login -method=userpass username=ann password=wrong')
    assert.equal(wrong.code, 2)
    assert.doesNotMatch(wrong.err + wrong.out, /wrong/)
    const login = await bare('login -method=userpass username=ann password=right')
    assert.equal(login.code, 0, login.err)
    const stored = [`${home}/.coffer-token`, `${home}/.vault-token`].find((each) => existsSync(each)) as string
    assert.ok(stored, 'a token file')
    assert.equal(statSync(stored).mode & 0o777, 0o600)
    assert.equal((await bare('token lookup -format=json')).json().data.meta.username, 'ann')
    const typed = await bare('login -method=userpass -token-only username=ann password=-', { input: 'right' })
    assert.match(typed.out, /^hvs\./, typed.err)
    const quiet = await bare('login -no-store -field=policies -method=userpass username=ann password=right')
    assert.equal(quiet.code, 0)
    const byToken = await bare('login -no-print -', { input: 'root\n' })
    assert.equal(byToken.code, 0, byToken.err)
    assert.equal(byToken.out, '')
    assert.equal((await bare('token lookup -field=id')).out, 'root')
    rmSync(stored)
    assert.equal((await bare('kv get secret/app')).code, 2)
    await ok('auth enable approle')
    await ok('write auth/approle/role/web role_id=web-1 policies=app')
    const secretId = await ok('write -f -field=secret_id auth/approle/role/web/secret-id')
    const machine = await bare(['login', '-no-store', '-method=approle', 'role_id=web-1', `secret_id=${secretId}`])
    assert.match(machine.out, /token_meta_role_name\s+web/, machine.err)
    const piped = await bare('login -token-only -method=approle role_id=web-1 secret_id=-', { input: secretId })
    assert.match(piped.out, /^hvs\./, piped.err)
    assert.equal((await bare('login -method=approle role_id=web-1 secret_id=wrong')).code, 2)
  })
})

describe('mounts', () => {
  test('secrets enable, list, tune, move, disable', async () => {
    await ok('secrets enable -path=teams/red -description=red kv-v2')
    const listed = (await cli('secrets list -format=json')).json()
    assert.equal(listed['teams/red/'].options.version, '2')
    assert.match(await ok('secrets list'), /teams\/red\/\s+kv\s+kv_\S+\s+red/)
    await ok('secrets tune -default-lease-ttl=2h -max-lease-ttl=4h -listing-visibility=unauth teams/red')
    const detailed = (await cli('secrets list -detailed -format=json')).json()['teams/red/']
    assert.deepEqual([detailed.config.default_lease_ttl, detailed.config.max_lease_ttl], [7200, 14400])
    await ok('kv put teams/red/x a=1')
    await ok('secrets move teams/red teams/blue')
    assert.equal(await ok('kv get -field=a teams/blue/x'), '1')
    assert.equal((await cli('secrets enable -path=teams/blue kv')).code, 2)
    await ok('secrets disable teams/blue')
    assert.equal((await cli('kv get teams/blue/x')).code, 2)
    await ok('secrets disable teams/blue')
  })

  test('auth enable, list, tune, disable', async () => {
    await ok('auth enable -path=people -description=us userpass')
    assert.equal((await cli('auth list -format=json')).json()['people/'].type, 'userpass')
    await ok('auth tune -default-lease-ttl=1h people')
    await ok('auth move auth/people auth/folks')
    await ok('auth disable folks')
    assert.equal((await cli('auth list -format=json')).json()['folks/'], undefined)
  })

  test('audit enable, list, verify, disable', async () => {
    const log = path.join(home, 'audit.log')
    const none = await cli('audit list')
    assert.equal(none.code, 2)
    await ok(['audit', 'enable', '-description=trail', 'file', `file_path=${log}`])
    assert.equal((await cli('audit list -format=json')).json()['file/'].options.file_path, log)
    for (let i = 0; i < 3; i++) await ok(['kv', 'put', 'secret/audited', `value=never-in-the-log-${i}`])
    assert.equal(statSync(log).mode & 0o777, 0o600)
    assert.doesNotMatch(readFileSync(log, 'utf8'), /never-in-the-log/)
    assert.match(await ok(['audit', 'verify', log]), /^Success!/)
    await ok('audit disable file')
    const altered = file('altered.log', readFileSync(log, 'utf8').replace('secret/data/audited', 'secret/data/altered'))
    const verdict = await cli(['audit', 'verify', altered])
    assert.equal(verdict.code, 2, verdict.out)
    assert.match(verdict.err + verdict.out, /line \d+/)
  })

  test('namespaces', async () => {
    await ok('namespace create -custom-metadata=team=red red')
    assert.deepEqual((await cli('namespace list -format=json')).json(), ['red/'])
    assert.equal((await cli('namespace lookup -format=json red')).json().data?.path ?? 'red/', 'red/')
    await ok('secrets enable -ns=red -path=kv kv')
    await ok('kv put -namespace=red kv/x a=1')
    assert.equal(await ok('kv get -field=a kv/x', { env: { VAULT_NAMESPACE: 'red' } }), '1')
    assert.equal((await cli('kv get kv/x')).code, 2)
    await ok('namespace create -ns=red inner')
    assert.equal((await cli('namespace delete red')).code, 2)
    await ok('namespace delete -ns=red inner')
    // A namespace goes with everything in it, which takes a moment; its parent waits for that.
    for (let tries = 0; (await cli('namespace delete red')).code !== 0; tries++) assert.ok(tries < 20)
  })
})

describe('operator', () => {
  test('key-status and rotate', async () => {
    assert.match(await ok('operator key-status'), /Key Term\s+1/)
    await ok('operator rotate')
    assert.match(await ok('operator key-status'), /Key Term\s+2/)
    await ok('operator members')
  })

  test('seal slots', async () => {
    assert.match(await ok('operator seal slots list'), /static/)
  })

  test('validate-config', async () => {
    const good = file('good.hcl', 'storage "inmem" {}\nlistener "tcp" { address = "127.0.0.1:0" tls_disable = true }\n')
    assert.equal((await cli(['operator', 'validate-config', good])).code, 0)
    const bad = file('bad.hcl', 'storage "raft" { path = "x" }\nlistener "tcp" {')
    const { code, err } = await cli(['operator', 'validate-config', bad])
    assert.equal(code, 1)
    assert.match(err, /bad\.hcl/)
  })
})

describe('showing instead of doing', () => {
  test('-output-curl-string prints no token and sends nothing', async () => {
    const secret = await ok('token create -field=token -policy=app')
    for (const args of [
      'kv put -output-curl-string secret/curl a=1',
      'read -output-curl-string sys/mounts',
      'policy list -output-curl-string',
      'delete -output-curl-string secret/data/app',
    ]) {
      const { code, out, err } = await cli(args, { env: { COFFER_TOKEN: secret } })
      assert.equal(code, 0, err)
      assert.match(out, /^curl /m)
      assert.ok(out.includes(server.url), out)
      assert.ok(!(out + err).includes(secret), 'the token stands in the command')
    }
    assert.equal((await cli('kv get secret/curl')).code, 2)
  })

  test('-output-policy prints the policy that the command needs', async () => {
    const { out, code } = await cli('kv get -output-policy secret/app')
    assert.equal(code, 0)
    assert.match(out, /path "secret\/data\/app"/)
    assert.match(out, /read/)
  })

  test('completion scripts', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) assert.match(await ok(`completion ${shell}`), /coffer/)
  })

  test('an error never repeats a token', async () => {
    const secret = await ok('token create -field=token -policy=app')
    await ok(['token', 'revoke', secret])
    for (const args of [
      ['token', 'lookup'],
      ['kv', 'get', 'secret/app'],
      ['token', 'renew'],
    ]) {
      const { out, err, code } = await cli(args, { env: { COFFER_TOKEN: secret } })
      assert.equal(code, 2)
      assert.ok(!(out + err).includes(secret), args.join(' '))
    }
  })
})

describe('a server with shares', () => {
  let shamir: ServerProcess
  let run: Cli
  let fine: typeof ok
  let shares: string[]
  let root: string
  before(async () => {
    shamir = await startShamir()
    run = cliOf(home, { VAULT_ADDR: shamir.url })
    fine = must(run)
  })
  after(() => shamir.remove())
  const env = () => ({ VAULT_TOKEN: root })

  test('status of a server that is not initialised is exit code 2', async () => {
    const { code, out } = await run('status')
    assert.equal(code, 2)
    assert.equal(rows(out).get('Initialized'), 'false')
    assert.equal((await run('operator init -status')).code, 2)
  })

  test('operator init, unseal, seal', async () => {
    const init = (await run('operator init -key-shares=3 -key-threshold=2 -format=json')).json()
    shares = init.unseal_keys_b64
    root = init.root_token
    assert.equal(shares.length, 3)
    assert.equal((await run('operator init -status')).code, 0)
    assert.equal((await run('operator init')).code, 2)
    assert.equal((await run('status')).code, 2)
    assert.equal((await run('kv get secret/x', { env: env() })).code, 2)
    const first = await run(['operator', 'unseal', shares[0] as string])
    assert.equal(first.code, 0, first.err)
    assert.match(first.out, /Unseal Progress\s+1\/2/)
    await fine('operator unseal -reset')
    await fine(['operator', 'unseal', shares[2] as string])
    assert.match(await fine(['operator', 'unseal', shares[1] as string]), /Sealed\s+false/)
    assert.equal((await run('status')).code, 0)
    await fine('operator seal', { env: env() })
    assert.equal((await run('status')).code, 2)
    for (const key of shares.slice(0, 2)) await fine(['operator', 'unseal', key])
    assert.equal((await run(['operator', 'unseal', 'no-share'])).code === 0, false)
  })

  test('operator generate-root', async () => {
    const begun = (await run('operator generate-root -init -format=json')).json()
    assert.equal(begun.otp.length, 28)
    assert.equal((await run('operator generate-root -status -format=json')).json().started, true)
    await fine(['operator', 'generate-root', `-nonce=${begun.nonce}`, shares[0] as string])
    const done = (
      await run(['operator', 'generate-root', `-nonce=${begun.nonce}`, '-format=json', shares[1] as string])
    ).json()
    assert.equal(done.complete, true)
    const token = await fine(['operator', 'generate-root', `-decode=${done.encoded_token}`, `-otp=${begun.otp}`])
    assert.match(token, /^hvs\./)
    assert.equal(
      (await run('token lookup -format=json', { env: { VAULT_TOKEN: token } })).json().data.policies[0],
      'root',
    )
    await fine('operator generate-root -init')
    await fine('operator generate-root -cancel')
    assert.equal((await run('operator generate-root -status -format=json')).json().started, false)
  })

  test('operator rekey', async () => {
    const begun = (await run('operator rekey -init -key-shares=2 -key-threshold=2 -format=json')).json()
    await fine(['operator', 'rekey', `-nonce=${begun.nonce}`, shares[0] as string])
    const done = (await run(['operator', 'rekey', `-nonce=${begun.nonce}`, '-format=json', shares[1] as string])).json()
    assert.equal(done.complete, true)
    const fresh: string[] = done.unseal_keys_b64 ?? done.keys_base64
    assert.equal(fresh.length, 2)
    await fine('operator seal', { env: env() })
    await fine(['operator', 'unseal', fresh[0] as string])
    assert.match(await fine(['operator', 'unseal', fresh[1] as string]), /Sealed\s+false/)
    shares = fresh
  })

  test('operator rotate-keys asks for a token', async () => {
    assert.notEqual(
      (await run('operator rotate-keys -init -key-shares=1 -key-threshold=1', { env: { VAULT_TOKEN: 'none' } })).code,
      0,
    )
    const begun = (
      await run('operator rotate-keys -init -key-shares=1 -key-threshold=1 -format=json', { env: env() })
    ).json()
    const nonce = (begun.data ?? begun).nonce
    await fine(['operator', 'rotate-keys', `-nonce=${nonce}`, shares[0] as string], { env: env() })
    await fine(['operator', 'rotate-keys', `-nonce=${nonce}`, shares[1] as string], { env: env() })
  })
})
