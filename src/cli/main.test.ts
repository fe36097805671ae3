// Dispatch, help, flags, formats and what the user is told.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { clientCommands, command, str } from './main.ts'
import { envelope, type Recorder, refusal, runAt, startRecorder } from './testing.ts'
import { apiLevel, cofferVersion } from './version.ts'

let server: Recorder
before(async () => {
  server = await startRecorder()
})
after(() => server.close())

test('the version lines have vX.Y.Z as their second word: one’s own for people, the level of the API for programs', async () => {
  const own = await runAt(undefined, ['version'])
  assert.deepEqual([own.code, own.out], [0, `Coffer v${cofferVersion} (API ${apiLevel})\n`])
  for (const flag of ['-version', '--version', '-v']) {
    const { code, out } = await runAt(undefined, [flag])
    assert.deepEqual([code, out], [0, `Coffer v${apiLevel} (API level of Coffer ${cofferVersion})\n`])
  }
})

test('help exists at every level and for every command', async () => {
  assert.match((await runAt(undefined, ['-h'])).out, /Common commands:/)
  assert.match((await runAt(undefined, ['operator', '-h'])).out, /generate-root/)
  assert.match((await runAt(undefined, ['help', 'kv', 'get'])).out, /Usage: coffer kv get/)
  for (const { words } of clientCommands) {
    const { code, out } = await runAt(undefined, [...words, '-help'])
    assert.equal(code, 0)
    assert.ok(out.startsWith(`Usage: coffer ${words.join(' ')} `), words.join(' '))
  }
})

test('help of a command that is a group too names what is below it', async () => {
  assert.match((await runAt(undefined, ['operator', 'seal', '-h'])).out, /Subcommands:\n {4}slots/)
})

test('unknown commands: exit code 127, help and a suggestion', async () => {
  const top = await runAt(undefined, ['statsu'])
  assert.equal(top.code, 127)
  assert.match(top.err, /Did you mean "coffer status"\?/)
  const none = await runAt(undefined, [])
  assert.equal(none.code, 127)
  assert.match(none.err, /Usage: coffer/)
  const group = await runAt(undefined, ['operator', 'gen-root'])
  assert.equal(group.code, 1)
  assert.match(group.err, /Unknown command: coffer operator gen-root/)
  assert.equal((await runAt(undefined, ['kv'])).code, 1)
})

test('commands of other rooms are dispatched, completed and take the place of ours', async () => {
  const seen: unknown[] = []
  const extra = [
    command({
      words: ['server'],
      synopsis: 'Start a server',
      online: false,
      flags: { config: str('File.'), 'log-level': str('Level.', { initial: 'info' }) },
      async run({ flags, args }) {
        seen.push(flags.config, flags['log-level'], args)
        return 7
      },
    }),
    command({
      words: ['status'],
      synopsis: 'Other',
      async run() {
        return 9
      },
    }),
  ]
  assert.equal((await runAt(undefined, ['server', '-config=a.hcl', '-log-level', 'debug'], { extra })).code, 7)
  assert.deepEqual(seen, ['a.hcl', 'debug', []])
  assert.equal((await runAt(undefined, ['status'], { extra })).code, 9)
  assert.match((await runAt(undefined, ['-h'], { extra })).out, /server +Start a server/)
  assert.ok(
    (await runAt(undefined, ['completion', 'bash'], { extra })).out.includes(
      "'server') words=''; flags='-format= -log-level= -config=",
    ),
  )
  assert.equal((await runAt(undefined, ['server', '-address=x'], { extra })).code, 1)
})

test('flags: both dashes, value behind or with =, in front of the command, -format behind arguments', async () => {
  server.answer({ 'GET a': envelope({ x: 'y' }) })
  for (const argv of [
    ['read', '-format=json', 'a'],
    ['read', '--format', 'json', 'a'],
    ['-format=json', 'read', 'a'],
    ['read', 'a', '-format=json'],
  ]) {
    const { code, out } = await runAt(server.address, argv)
    assert.equal(code, 0, argv.join(' '))
    assert.equal(JSON.parse(out).data.x, 'y')
  }
  const address = await runAt(undefined, ['-address', server.address, 'read', 'a'])
  assert.equal(address.code, 0)
})

test('wrong flags and arguments: exit code 1, nothing is sent', async () => {
  server.answer({})
  const cases: Array<[string[], RegExp]> = [
    [['read', '-nope', 'a'], /flag provided but not defined: -nope/],
    [['read', '-field'], /flag needs an argument: -field/],
    [['kv', 'get', '-version=x', 'a'], /invalid value "x" for flag -version: must be a whole number/],
    [['token', 'create', '-ttl=soon'], /must be a duration/],
    [['token', 'create', '-orphan=maybe'], /must be true or false/],
    [['read'], /Not enough arguments \(expected at least 1, got 0\)/],
    [['list', 'a', 'b'], /Too many arguments \(expected 1, got 2\)/],
    [['list', '-format=xml', 'a'], /must be one of table, json/],
    [['list', '-format=raw', 'a'], /does not support the -format=raw option/],
    [['read', '-header=X-Vault-Token=a', 'a'], /-header may not set X-Vault-Token/],
    [['read', '-address=ftp://x', 'a'], /must begin with http/],
    [['read', '-client-cert=x', 'a'], /go together/],
  ]
  for (const [argv, message] of cases) {
    const { code, err } = await runAt(server.address, argv)
    assert.equal(code, 1, argv.join(' '))
    assert.match(err, message)
  }
  assert.deepEqual(server.lines(), [])
  const environment = await runAt(server.address, ['read', 'a'], { env: { BAO_FORMAT: 'xml' } })
  assert.equal(environment.code, 1)
  assert.match(environment.err, /BAO_FORMAT/)
})

test('flags behind arguments are named in a warning', async () => {
  server.answer({ 'PUT a': {} })
  const { err } = await runAt(server.address, ['write', 'a', 'k=v', '-force=true'])
  assert.match(err, /Flags go before arguments\. Taken as arguments: -force\n/)
})

test('environment: COFFER_ before BAO_ before VAULT_, empty counts as unset, flags win', async () => {
  server.answer({ 'GET a': envelope({}) })
  const env = {
    COFFER_ADDR: '',
    BAO_ADDR: server.address,
    VAULT_ADDR: 'http://127.0.0.1:1',
    COFFER_TOKEN: 'mine',
    VAULT_TOKEN: 'theirs',
    VAULT_NAMESPACE: 'team/',
    BAO_WRAP_TTL: '90s',
    VAULT_MFA: 'm:1',
  }
  await runAt(undefined, ['read', 'a'], { env })
  const [{ headers }] = server.requests as [(typeof server.requests)[0]]
  assert.equal(headers.get('x-vault-token'), 'mine')
  assert.equal(headers.get('x-vault-namespace'), 'team/')
  assert.equal(headers.get('x-vault-wrap-ttl'), '90s')
  assert.equal(headers.get('x-vault-mfa'), 'm:1')
  await runAt(undefined, ['read', '-ns=/other', '-wrap-ttl=1h', '-header=X-Trace=7', 'a'], { env })
  const last = server.requests.at(-1)?.headers
  assert.equal(last?.get('x-vault-namespace'), 'other/')
  assert.equal(last?.get('x-vault-wrap-ttl'), '1h0m0s')
  assert.equal(last?.get('x-trace'), '7')
})

test('errors say what to do next, and never show the token', async () => {
  server.answer({
    'GET denied': refusal(403, 'permission denied'),
    'GET sealed': refusal(503, 'Vault is sealed'),
    'GET fresh': refusal(400, 'server is not yet initialized'),
    'GET nowhere/x': refusal(404, 'no handler for route "nowhere/x". route entry not found.'),
  })
  const denied = await runAt(server.address, ['read', 'denied'])
  assert.equal(denied.code, 2)
  assert.match(
    denied.err,
    /Error reading denied: Error making API request\.\n\nURL: GET http:.*\/v1\/denied\nCode: 403\. Errors:\n\n\* permission denied\n/,
  )
  assert.match(denied.err, /coffer token lookup/)
  assert.ok(!denied.err.includes('hvs.test'))
  assert.match((await runAt(server.address, ['read', 'denied'], { env: { COFFER_TOKEN: '' } })).err, /coffer login/)
  const sealed = await runAt(server.address, ['read', 'sealed'])
  assert.match(sealed.err, /coffer operator unseal/)
  assert.deepEqual(sealed.sleeps, [])
  assert.match((await runAt(server.address, ['read', 'fresh'])).err, /coffer operator init/)
  assert.equal((await runAt(server.address, ['read', 'nowhere/x'])).err, 'No value found at nowhere/x\n')
})

test('-output-curl-string and -output-policy send nothing and show no token', async () => {
  server.answer({})
  const secret = await runAt(server.address, ['write', '-output-curl-string', '-ns=team', 'secret/a b', "k=it's"])
  assert.equal(secret.code, 0)
  assert.equal(
    secret.out,
    `curl -X PUT -H 'X-Vault-Request: true' -H "X-Vault-Token: $(coffer print token)" -H 'X-Vault-Namespace: team/' ` +
      `-H 'Content-Type: application/json' -d '{"k":"it'"'"'s"}' '${server.address}/v1/secret/a%20b'\n`,
  )
  assert.match((await runAt(server.address, ['list', '-output-curl-string', 'a'])).out, /^curl -X LIST /)
  assert.match(
    (await runAt('unix:///run/c.sock', ['read', '-output-curl-string', 'a'])).out,
    /--unix-socket \/run\/c\.sock .*'http:\/\/localhost\/v1\/a'/,
  )
  const policy = await runAt(server.address, ['write', '-output-policy', 'sys/audit/file', 'type=file'])
  assert.equal(policy.out, 'path "sys/audit/file" {\n  capabilities = ["create", "update", "sudo"]\n}\n')
  assert.match((await runAt(server.address, ['scan', '-output-policy', 'a'])).out, /\["scan"\]/)
  assert.equal((await runAt(server.address, ['print', 'token', '-output-policy'])).code, 1)
  assert.deepEqual(server.lines(), [])
})

test('on a terminal control characters of an answer are made visible', async () => {
  server.answer({ 'GET a': envelope({ x: 'red\u001b[31m\nline' }) })
  const shown = await runAt(server.address, ['read', '-field=x', 'a'], { tty: true })
  assert.equal(shown.out, 'red\\x1b[31m\nline\n')
  const piped = await runAt(server.address, ['read', '-field=x', 'a'])
  assert.equal(piped.out, 'red\u001b[31m\nline')
})

test('a token with a line end is refused before it reaches a header', async () => {
  server.answer({})
  const { code, err } = await runAt(server.address, ['read', 'a'], { env: { COFFER_TOKEN: 'hvs.canary\nX: y' } })
  assert.equal(code, 1)
  assert.ok(!err.includes('canary'))
  assert.deepEqual(server.lines(), [])
})
