import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { PasswordPoolClosed, PasswordQueueFull, passwordHashProblem, passwordPool, unmatchedHash } from './password.ts'

// Cost 5, password "hashed-pw": a recorded hash of another implementation.
const bcryptHash = '$2b$05$abcdefghijklmnopqrstuub7l00Da1kKCeoHlLg2X/GRPck/G5Kw2'
// From the reference implementation's tests (phc-winner-argon2, test.c): version 0x13, password "password", salt "somesalt".
const argon2Hash = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'

test('a hash verifies its own password and no other, and never comes out the same twice', async (t) => {
  const pool = passwordPool({ threads: 1 })
  t.after(() => pool.close())
  const [one, two] = await Promise.all([pool.hash('correct horse'), pool.hash('correct horse')])
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  assert.notEqual(one, two)
  assert.equal(passwordHashProblem(one), undefined)
  assert.equal(await pool.verify('correct horse', one), true)
  assert.equal(await pool.verify('correct horse ', one), false)
  assert.equal(await pool.verify('pässword ✓', await pool.hash('pässword ✓')), true)
})

test('hashes of other implementations verify', async (t) => {
  const pool = passwordPool({ threads: 1 })
  t.after(() => pool.close())
  assert.equal(await pool.verify('password', argon2Hash), true)
  assert.equal(await pool.verify('Password', argon2Hash), false)
  for (const kind of ['2a', '2b', '2y'])
    assert.equal(await pool.verify('hashed-pw', bcryptHash.replace('2b', kind)), true, kind)
  assert.equal(await pool.verify('hashed-pv', bcryptHash), false)
  assert.equal(await pool.verify(bcryptHash, bcryptHash), false)
  assert.equal(await pool.verify('x', 'no hash'), false)
  assert.equal(await pool.verify('', unmatchedHash()), false)
})

test('a hash that costs too much or too little is refused with a reason that does not hold it', () => {
  const bad = [
    'not-a-hash',
    bcryptHash.replace('$05$', '$04$'),
    bcryptHash.replace('$05$', '$13$'),
    bcryptHash.slice(0, -1),
    bcryptHash.replace('2b', '2x'),
    argon2Hash.replace('argon2id', 'argon2i'),
    argon2Hash.replace('v=19', 'v=16'),
    argon2Hash.replace('m=256', 'm=4194304'),
    argon2Hash.replace('m=256', 'm=7'),
    argon2Hash.replace('t=2', 't=999'),
    argon2Hash.replace('t=2', 't=0'),
    argon2Hash.replace('p=1', 'p=0'),
    argon2Hash.replace('p=1', 'p=99'),
    argon2Hash.replace('c29tZXNhbHQ', 'c2E'),
    argon2Hash.replace('nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4', 'nf65'),
  ]
  for (const hash of bad) {
    const problem = passwordHashProblem(hash)
    assert.ok(problem, hash)
    assert.ok(!problem.includes(hash))
  }
  for (const good of [bcryptHash, argon2Hash, unmatchedHash()]) assert.equal(passwordHashProblem(good), undefined)
})

test('a full queue refuses at once, and the event loop goes on while the thread works', async (t) => {
  const pool = passwordPool({ threads: 1, queueMax: 1 })
  t.after(() => pool.close())
  const first = pool.hash('a')
  const second = pool.hash('b')
  await assert.rejects(pool.hash('c'), PasswordQueueFull)
  let turns = 0
  const count = setInterval(() => turns++, 1)
  await Promise.all([first, second])
  clearInterval(count)
  assert.ok(turns > 0)
  assert.match(await pool.hash('d'), /^\$argon2id/)
})

test('closing rejects what waits and what comes', async () => {
  const pool = passwordPool({ threads: 1 })
  const jobs = [pool.hash('a'), pool.hash('b')].map((job) => assert.rejects(job, PasswordPoolClosed))
  await pool.close()
  await Promise.all(jobs)
  await assert.rejects(pool.hash('c'), PasswordPoolClosed)
})

test('the thread works at a lower priority than the rest of the process', {
  skip: process.platform === 'linux' ? false : 'threads have priorities of their own on Linux only',
}, async (t) => {
  const pool = passwordPool({ threads: 1 })
  t.after(() => pool.close())
  await pool.hash('a')
  const nicenesses = readdirSync('/proc/self/task').map((id) => getPriority(Number(id)))
  assert.ok(Math.max(...nicenesses) >= 10)
  assert.ok(getPriority(process.pid) < 10)
})
