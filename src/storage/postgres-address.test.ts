// Connection URLs: what libpq and OpenBao's users write, and messages that hold nothing of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from './postgres-address.ts'
import { StorageUnusable } from './storage.ts'

test('URLs with several hosts, escapes and parameters', () => {
  const address = parseAddress(
    'postgresql://app:p%40ss%2Fw@one.example,[::1]:5433,three:6000/my%20db?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3&application_name=x',
  )
  assert.deepEqual(address.hosts, [
    { host: 'one.example', port: 5432 },
    { host: '::1', port: 5433 },
    { host: 'three', port: 6000 },
  ])
  const { user, password, database, sslMode, sslRootCert, connectTimeoutSeconds, readWrite } = address
  assert.deepEqual(
    [user, password, database, sslMode, sslRootCert, connectTimeoutSeconds, readWrite],
    ['app', 'p@ss/w', 'my db', 'verify-full', '/ca.pem', 3, true],
  )
})

test('what is left out has its default, and parameters may name hosts too', () => {
  const plain = parseAddress('postgres://app@db')
  assert.deepEqual(
    [plain.database, plain.password, plain.sslMode, plain.hosts, plain.applicationName],
    ['app', undefined, 'prefer', [{ host: 'db', port: 5432 }], 'coffer'],
  )
  assert.equal(parseAddress('postgres://app@db?sslrootcert=/ca.pem').sslMode, 'verify-full')
  assert.equal(parseAddress('postgres://app@db?target_session_attrs=any').readWrite, false)
  assert.deepEqual(parseAddress('postgres:///coffer?host=/run/postgresql&user=app').hosts, [
    { host: '/run/postgresql', port: 5432 },
  ])
  assert.deepEqual(parseAddress('postgres://app@/coffer?host=a,b&port=1,2').hosts, [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ])
})

test('key=value settings', () => {
  const address = parseAddress(
    `host=db,db2 port=5433 user = app password='it\\'s a secret' dbname=coffer sslmode=require`,
  )
  assert.deepEqual(address.hosts, [
    { host: 'db', port: 5433 },
    { host: 'db2', port: 5433 },
  ])
  assert.deepEqual([address.password, address.database, address.sslMode], ["it's a secret", 'coffer', 'require'])
})

test('what is wrong is named, and nothing of the URL is told', () => {
  for (const [url, message] of [
    ['mysql://app:canary@db', /must be postgres:\/\//],
    ['canary', /must be postgres:\/\//],
    ['', /must be postgres:\/\//],
    ['postgres://app:canary%zz@db', /"%" must be written as "%25"/],
    ['postgres://app:canary@db:70000/x', /a port must be from 1 to 65535/],
    ['postgres://app:canary@db:1:2/x', /a host must be HOST or HOST:PORT/],
    ['postgres://app:canary@a,b,c/x?port=1,2', /as many ports as hosts/],
    ['postgres://app:canary@db/x?sslmode=maybe', /sslmode must be one of disable/],
    ['postgres://app:canary@db/x?target_session_attrs=standby', /target_session_attrs must be/],
    ['postgres://app:canary@db/x?connect_timeout=soon', /connect_timeout must be a number/],
    ['postgres://app:canary@db/x?sslmod=require', /the parameter "sslmod" is not known/],
    ['postgres://app:canary@db/x?sslmode', /NAME=VALUE/],
    ['postgres://app:canary@db/x?channel_binding=require', /use sslmode=verify-full/],
  ] as const)
    assert.throws(
      () => parseAddress(url),
      (error: unknown) => {
        assert.ok(error instanceof StorageUnusable, String(error))
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /canary/)
        return true
      },
    )
})
