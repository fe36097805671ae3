// operator: init, unseal, rekey, generate-root and the rest, with prompts and with "-".
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { envelope, type Recorder, refusal, runAt, startRecorder } from '../testing.ts'
import { decodeToken } from './generate-root.ts'

let server: Recorder
const folder = mkdtempSync(join(tmpdir(), 'coffer-operator-'))
before(async () => {
  server = await startRecorder()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const noToken = { COFFER_TOKEN: '' }
const sealed = { type: 'shamir', initialized: true, sealed: true, t: 2, n: 3, progress: 1, nonce: 'n' }
const leader = { 'GET sys/leader': { body: { ha_enabled: false } } }

test('init: defaults, output for people and for programs', async () => {
  server.answer({
    'GET sys/seal-status': { body: { ...sealed, initialized: false, recovery_seal: false } },
    'PUT sys/init': {
      body: { keys: ['aa', 'bb', 'cc'], keys_base64: ['qg==', 'uw==', 'zA=='], root_token: 'hvs.root' },
    },
  })
  const { code, out } = await runAt(server.address, ['operator', 'init'], { env: noToken })
  assert.equal(code, 0)
  assert.match(out, /^Unseal Key 1: qg==\nUnseal Key 2: uw==\nUnseal Key 3: zA==\n\nInitial Root Token: hvs\.root\n\n/)
  assert.match(out, /5 key shares and a key threshold of\s+3/)
  assert.deepEqual(JSON.parse(server.requests[1]?.body ?? ''), {
    secret_shares: 5,
    secret_threshold: 3,
    pgp_keys: null,
    recovery_shares: 0,
    recovery_threshold: 0,
    recovery_pgp_keys: null,
    root_token_pgp_key: '',
  })
  const json = await runAt(server.address, ['operator', 'init', '-n', '3', '-key-threshold=2', '-format=json'], {
    env: noToken,
  })
  assert.deepEqual(JSON.parse(json.out), {
    unseal_keys_b64: ['qg==', 'uw==', 'zA=='],
    unseal_keys_hex: ['aa', 'bb', 'cc'],
    unseal_shares: 3,
    unseal_threshold: 2,
    recovery_keys_b64: [],
    recovery_keys_hex: [],
    recovery_keys_shares: 0,
    recovery_keys_threshold: 0,
    root_token: 'hvs.root',
  })
})

test('init: a server that unseals itself gets recovery shares', async () => {
  server.answer({
    'GET sys/seal-status': { body: { ...sealed, initialized: false, recovery_seal: true } },
    'PUT sys/init': {
      body: {
        keys: [],
        keys_base64: [],
        recovery_keys: ['aa'],
        recovery_keys_base64: ['qg=='],
        root_token: 'hvs.root',
      },
    },
  })
  const { out } = await runAt(server.address, ['operator', 'init', '-recovery-shares=1', '-recovery-threshold=1'])
  assert.match(out, /^Recovery Key 1: qg==\n\nInitial Root Token: hvs\.root\n\nSuccess! The server is initialized\n/)
  const body = JSON.parse(server.requests[1]?.body ?? '')
  assert.deepEqual([body.secret_shares, body.recovery_shares, body.recovery_threshold], [0, 1, 1])
})

test('init: PGP keys from armoured, binary and base64 files', async () => {
  const binary = Buffer.from([0x99, 1, 2, 3, 4, 5, 6, 7])
  const files = { a: join(folder, 'a.asc'), b: join(folder, 'b.bin'), c: join(folder, 'c.b64') }
  writeFileSync(
    files.a,
    `-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\n${binary.toString('base64')}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n`,
  )
  writeFileSync(files.b, binary)
  writeFileSync(files.c, `${binary.toString('base64')}\n`)
  server.answer({ 'GET sys/seal-status': { body: sealed }, 'PUT sys/init': { body: { keys: [], root_token: 'x' } } })
  await runAt(server.address, [
    'operator',
    'init',
    `-pgp-keys=${files.a}, @${files.b},${files.c}`,
    `-root-token-pgp-key=${files.a}`,
  ])
  const body = JSON.parse(server.requests[1]?.body ?? '')
  assert.deepEqual(body.pgp_keys, Array(3).fill(binary.toString('base64')))
  assert.equal(body.root_token_pgp_key, binary.toString('base64'))
  assert.equal((await runAt(server.address, ['operator', 'init', '-pgp-keys=/no/file'])).code, 1)
  assert.equal((await runAt(server.address, ['operator', 'init', '-pgp-keys=keybase:ada'])).code, 1)
})

test('init -status: 0 yes, 2 no, 1 error', async () => {
  server.answer({ 'GET sys/init': { body: { initialized: true } } })
  assert.deepEqual(await runAt(server.address, ['operator', 'init', '-status']).then(({ code, out }) => [code, out]), [
    0,
    'Vault is initialized\n',
  ])
  server.answer({ 'GET sys/init': { body: { initialized: false } } })
  assert.deepEqual(
    await runAt(server.address, ['operator', 'init', '-status', '-format=json']).then(({ code, out }) => [code, out]),
    [2, '{\n  "initialized": false\n}\n'],
  )
  server.answer({ 'GET sys/init': refusal(400, 'no') })
  assert.equal((await runAt(server.address, ['operator', 'init', '-status'])).code, 1)
})

test('unseal: argument, "-", hidden prompt, reset', async () => {
  server.answer({ 'PUT sys/unseal': { body: sealed }, ...leader })
  const shown = await runAt(server.address, ['operator', 'unseal', 'share'], { env: noToken })
  assert.equal(shown.code, 0)
  assert.match(shown.out, /Unseal Progress +1\/2\n/)
  await runAt(server.address, ['operator', 'unseal', '-'], { stdin: 'share\n' })
  const asked = await runAt(server.address, ['operator', 'unseal'], { hidden: ['share'] })
  assert.deepEqual(asked.prompts, ['Unseal Key (will be hidden): '])
  await runAt(server.address, ['operator', 'unseal', '-reset'])
  const line = 'PUT sys/unseal {"key":"share","reset":false,"migrate":false}'
  assert.deepEqual(
    server.lines().filter((text) => text.startsWith('PUT')),
    [line, line, line, 'PUT sys/unseal {"reset":true}'],
  )
  assert.equal((await runAt(server.address, ['operator', 'unseal', '-non-interactive'])).code, 1)
})

test('seal, rotate, key-status, step-down, members', async () => {
  const status = { term: 2, install_time: '2026-01-02T03:04:05Z', encryptions: 7 }
  server.answer({
    'PUT sys/seal': {},
    'PUT sys/rotate': {},
    'PUT sys/step-down': {},
    'GET sys/key-status': envelope(status),
    'GET sys/ha-status': envelope({
      nodes: [
        {
          hostname: 'h',
          api_address: 'a',
          cluster_address: 'c',
          active_node: true,
          version: '1',
          last_echo: null,
          node_name: 'n',
          state: 'active',
        },
      ],
    }),
  })
  assert.equal((await runAt(server.address, ['operator', 'seal'])).out, 'Success! Vault is sealed.\n')
  assert.equal(
    (await runAt(server.address, ['operator', 'rotate'])).out,
    'Success! Rotated key\n\nKey Term            2\nInstall Time        2026-01-02 03:04:05 +0000 UTC\nEncryption Count    7\n',
  )
  assert.deepEqual(JSON.parse((await runAt(server.address, ['operator', 'key-status', '-format=json'])).out), status)
  assert.deepEqual(JSON.parse((await runAt(server.address, ['operator', 'rotate', '-format=json'])).out), status)
  assert.match((await runAt(server.address, ['operator', 'step-down'])).out, /^Success! Stepped down: http/)
  assert.match((await runAt(server.address, ['operator', 'members'])).out, /\nh +a +c +true +1 +n\/a +n +active\n$/)
})

const started = {
  nonce: 'n1',
  started: true,
  t: 2,
  n: 3,
  progress: 0,
  required: 2,
  pgp_fingerprints: null,
  backup: false,
  verification_required: false,
}

test('rekey: begin, give shares, print the new ones', async () => {
  server.answer({
    'PUT sys/rekey/init': { body: started },
    'GET sys/rekey/init': { body: started },
    'DELETE sys/rekey/init': {},
  })
  const begun = await runAt(server.address, ['operator', 'rekey', '-init', '-key-shares=3', '-key-threshold=2'], {
    env: noToken,
  })
  assert.match(begun.out, /Nonce +n1\nStarted +true\nProgress +0\/2\nNew Shares +3\nNew Threshold +2\n/)
  assert.match(begun.err, /WARNING/)
  assert.equal(
    server.lines()[0],
    'PUT sys/rekey/init {"secret_shares":3,"secret_threshold":2,"pgp_keys":null,"backup":false,"require_verification":false}',
  )
  assert.equal((await runAt(server.address, ['operator', 'rekey', '-cancel'])).code, 0)
  assert.equal(
    JSON.parse((await runAt(server.address, ['operator', 'rekey', '-status', '-format=json'])).out).nonce,
    'n1',
  )
  server.answer({
    'GET sys/rekey/init': { body: started },
    'PUT sys/rekey/update': [
      { body: { ...started, progress: 1 } },
      { body: { nonce: 'n1', complete: true, keys: ['aa'], keys_base64: ['qg=='] } },
    ],
  })
  const first = await runAt(server.address, ['operator', 'rekey'], { hidden: ['s1'] })
  assert.match(first.err, /Operation nonce: n1/)
  assert.match(first.out, /Progress +0\/2/)
  const last = await runAt(server.address, ['operator', 'rekey', '-nonce=n1', '-'], { stdin: 's2\n' })
  assert.match(last.out, /^Key 1: qg==\n\nOperation nonce: n1\n\nThe unseal key now has 3 shares/)
  assert.deepEqual(
    server.lines().filter((line) => line.startsWith('PUT')),
    ['PUT sys/rekey/update {"key":"s1","nonce":"n1"}', 'PUT sys/rekey/update {"key":"s2","nonce":"n1"}'],
  )
  assert.equal((await runAt(server.address, ['operator', 'rekey', 's1'])).code, 1)
  server.answer({ 'GET sys/rekey/init': { body: { ...started, started: false } } })
  assert.match((await runAt(server.address, ['operator', 'rekey', '-nonce=x', 's1'])).err, /no rekey is in progress/)
})

test('rekey: verification and recovery targets, rotate-keys paths, backups', async () => {
  server.answer({
    'GET sys/rekey/verify': { body: { nonce: 'v1', started: true, t: 2, n: 3, progress: 0 } },
    'PUT sys/rekey/verify': { body: { nonce: 'v1', complete: true } },
  })
  assert.match(
    (await runAt(server.address, ['operator', 'rekey', '-status', '-verify'])).out,
    /Verification Nonce +v1\nVerification Progress +0\/2\n/,
  )
  assert.match(
    (await runAt(server.address, ['operator', 'rekey', '-verify', '-nonce=v1', 's1'])).out,
    /the new keys are in force/,
  )
  const cases: Array<[string[], string]> = [
    [['rekey', '-target=recovery', '-cancel'], 'DELETE sys/rekey-recovery-key/init'],
    [['rekey', '-target=recovery', '-backup-delete'], 'DELETE sys/rekey/recovery-key-backup'],
    [['rekey', '-backup-retrieve'], 'GET sys/rekey/backup'],
    [['rotate-keys', '-cancel', '-verify'], 'DELETE sys/rotate/root/verify'],
    [['rotate-keys', '-target=recovery', '-status'], 'GET sys/rotate/recovery/init'],
    [['rotate-keys', '-backup-delete'], 'DELETE sys/rotate/root/backup'],
  ]
  for (const [argv, line] of cases) {
    server.answer({
      [line]: line.startsWith('GET')
        ? envelope(line.includes('backup') ? { nonce: 'n', keys: { f: ['k'] } } : started)
        : {},
    })
    assert.equal((await runAt(server.address, ['operator', ...argv])).code, 0, line)
    assert.deepEqual(server.lines(), [line])
  }
  const waiting = { ...started, verification_required: true }
  server.answer({
    'GET sys/rekey/init': { body: waiting },
    'PUT sys/rekey/update': { body: { nonce: 'n1', complete: true, keys: ['aa'], keys_base64: ['qg=='] } },
    'GET sys/rekey/verify': { body: { nonce: 'v1', started: true, t: 2, n: 3, progress: 0 } },
  })
  const verify = await runAt(server.address, ['operator', 'rekey', '-nonce=n1', 's1'])
  assert.match(verify.err, /Keep the old shares/)
  assert.match(verify.out, /Verification Nonce +v1/)
  assert.equal((await runAt(server.address, ['operator', 'rekey', '-init', '-cancel'])).code, 1)
})

const attempt = {
  nonce: 'n1',
  started: true,
  progress: 0,
  required: 2,
  complete: false,
  otp: '',
  otp_length: 28,
  pgp_fingerprint: '',
}

test('generate-root: begin, give shares, decode', async () => {
  server.answer({
    'PUT sys/generate-root/attempt': { body: { ...attempt, otp: 'OTP' } },
    'GET sys/generate-root/attempt': { body: attempt },
    'DELETE sys/generate-root/attempt': {},
    'PUT sys/generate-root/update': {
      body: { ...attempt, progress: 2, complete: true, encoded_token: 'ENC', encoded_root_token: 'ENC' },
    },
  })
  const begun = await runAt(server.address, ['operator', 'generate-root', '-init'], { env: noToken })
  assert.match(begun.out, /^Nonce +n1\nStarted +true\nProgress +0\/2\nComplete +false\nOTP +OTP\nOTP Length +28\n$/)
  assert.equal(server.lines()[0], 'PUT sys/generate-root/attempt {"otp":"","pgp_key":""}')
  const done = await runAt(server.address, ['operator', 'generate-root'], { hidden: ['share'] })
  assert.match(done.out, /Encoded Token +ENC\n/)
  assert.equal(server.lines().at(-1), 'PUT sys/generate-root/update {"key":"share","nonce":"n1"}')
  assert.equal(
    JSON.parse((await runAt(server.address, ['operator', 'generate-root', '-status', '-format=json'])).out).required,
    2,
  )
  assert.equal((await runAt(server.address, ['operator', 'generate-root', '-cancel'])).code, 0)
  const otp = await runAt(server.address, ['operator', 'generate-root', '-generate-otp'])
  assert.match(otp.out, /^[0-9A-Za-z]{28}$/)
  assert.equal(
    (await runAt(server.address, ['operator', 'generate-root', '-init', '-otp=x', '-pgp-key=/no/file'])).code,
    1,
  )
})

test('generate-root -decode needs no server', async () => {
  const token = 'hvs.ABCDEFGHIJKLMNOPQRSTUVWX'
  const otp = '0123456789abcdefghijklmnopqr'
  const encoded = Buffer.from([...Buffer.from(token)].map((byte, i) => byte ^ otp.charCodeAt(i)))
    .toString('base64')
    .replaceAll('=', '')
  assert.equal(decodeToken(encoded, otp), token)
  assert.equal(
    (await runAt('http://127.0.0.1:1', ['operator', 'generate-root', `-decode=${encoded}`, `-otp=${otp}`])).out,
    token,
  )
  assert.equal(
    (
      await runAt('http://127.0.0.1:1', ['operator', 'generate-root', '-decode=-', `-otp=${otp}`], {
        stdin: `${encoded}\n`,
      })
    ).out,
    token,
  )
  const wrong = await runAt(undefined, ['operator', 'generate-root', `-decode=${encoded}`, '-otp=short'])
  assert.equal(wrong.code, 1)
  assert.ok(!wrong.err.includes(encoded))
})

test('generate-root asks the paths with a token where those without are turned off', async () => {
  server.answer({
    'GET sys/generate-root/attempt': refusal(404),
    'GET sys/generate-root-token/attempt': envelope(attempt),
  })
  assert.match((await runAt(server.address, ['operator', 'generate-root', '-status'])).out, /Nonce +n1/)
  assert.deepEqual(server.lines(), ['GET sys/generate-root/attempt', 'GET sys/generate-root-token/attempt'])
  server.answer({ 'GET sys/generate-root/attempt': refusal(404) })
  assert.equal((await runAt(server.address, ['operator', 'generate-root', '-status'], { env: noToken })).code, 2)
  assert.equal(server.requests.length, 1)
  assert.match(
    (await runAt(server.address, ['operator', 'generate-root', '-status'])).err,
    /v1\/sys\/generate-root\/attempt/,
  )
})

test('seal slots: list, add, remove, check', async () => {
  const people = {
    id: 'i1',
    name: 'people',
    kind: 'shamir',
    created: '2026-01-02T03:04:05Z',
    n: 3,
    t: 2,
    opens: true,
    reason: '',
  }
  const machine = {
    id: 'i2',
    name: 'machine',
    kind: 'static',
    created: '2026-01-02T03:04:05Z',
    key_id: 'k',
    opens: false,
    reason: 'no key "k"',
  }
  server.answer({
    'GET sys/x/seal/slots': envelope({ slots: [people, machine] }),
    'GET sys/x/seal/slots/people': envelope(people),
    'GET sys/x/seal/slots/machine': envelope(machine),
    'PUT sys/x/seal/slots': envelope({ ...people, keys: ['aa'], keys_base64: ['qg=='] }),
    'DELETE sys/x/seal/slots/machine': {},
  })
  const shown = await runAt(server.address, ['operator', 'seal', 'slots', 'list'])
  assert.match(
    shown.out,
    /\npeople +shamir +2 of 3 +n\/a +true +2026-01-02T03:04:05Z +i1\nmachine +static +n\/a +k +false \(no key "k"\) /,
  )
  const added = await runAt(server.address, ['operator', 'seal', 'slots', 'add', '-n=3', '-t=2', 'people'])
  assert.match(added.out, /^Unseal Key 1: qg==\n/)
  await runAt(server.address, ['operator', 'seal', 'slots', 'add', '-kind=static', '-key-id=k', 'machine'])
  assert.deepEqual(server.lines().slice(1), [
    'PUT sys/x/seal/slots {"kind":"shamir","name":"people","secret_shares":3,"secret_threshold":2,"pgp_keys":[]}',
    'PUT sys/x/seal/slots {"kind":"static","name":"machine","key_id":"k"}',
  ])
  assert.equal((await runAt(server.address, ['operator', 'seal', 'slots', 'add', 'people'])).code, 1)
  assert.equal((await runAt(server.address, ['operator', 'seal', 'slots', 'remove', 'machine'])).code, 0)
  assert.equal((await runAt(server.address, ['operator', 'seal', 'slots', 'check', 'people'])).code, 0)
  const shut = await runAt(server.address, ['operator', 'seal', 'slots', 'check', 'machine'])
  assert.equal(shut.code, 2)
  assert.match(shut.err, /does not open: no key "k"/)
  assert.equal(
    JSON.parse((await runAt(server.address, ['operator', 'seal', 'slots', 'list', '-format=json'])).out).length,
    2,
  )
})
