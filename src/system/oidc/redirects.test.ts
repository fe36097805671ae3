import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRedirectUri, redirectAllowed } from './redirects.ts'

test('an address is one of those registered, letter by letter', () => {
  const allowed = ['https://app.example.com/cb', 'com.example.app:/cb', 'https://app.example.com/cb?x=1']
  for (const uri of allowed) assert.ok(redirectAllowed(uri, allowed), uri)
  for (const uri of [
    'https://app.example.com/cb/',
    'https://app.example.com/cb?',
    'https://app.example.com/CB',
    'https://APP.example.com/cb',
    'https://app.example.com:443/cb',
    'http://app.example.com/cb',
    'https://app.example.com/cb#f',
    'https://app.example.com/x/../cb',
    'https://app.example.com/%63b',
    'https://app.example.com.evil.com/cb',
    'https://app.example.com@evil.com/cb',
    'https://evil.com/https://app.example.com/cb',
    ' https://app.example.com/cb',
    'https://app.example.com\\@evil.com/cb',
  ])
    assert.ok(!redirectAllowed(uri, allowed), uri)
})

test('the port of a loopback address is free, and nothing else of it', () => {
  const allowed = ['http://127.0.0.1/cb', 'http://localhost:3000/cb', 'http://[::1]/cb']
  for (const uri of ['http://127.0.0.1:8250/cb', 'http://localhost/cb', 'http://localhost:1/cb', 'http://[::1]:9/cb'])
    assert.ok(redirectAllowed(uri, allowed), uri)
  for (const uri of [
    'http://127.0.0.1:8250/other',
    'https://127.0.0.1:8250/cb',
    'http://127.0.0.2/cb',
    'http://localhost.evil.com/cb',
    'http://localhost:80@evil.com/cb',
    'http://localhost@evil.com/cb',
    'http://127.0.0.1:80:90/cb',
    'http://127.0.0.1:evil.com/cb',
    'http://127.0.0.1\\@evil.com/cb',
    'http://127.0.0.1:8250/cb?x',
    'http://127.1/cb',
    'http://user@127.0.0.1/cb',
  ])
    assert.ok(!redirectAllowed(uri, allowed), uri)
  // A registered address elsewhere gets no such freedom.
  assert.ok(!redirectAllowed('https://app.example.com:8443/cb', ['https://app.example.com/cb']))
})

test('no client is registered with what no code should go to', () => {
  for (const uri of [
    '/cb',
    'app.example.com/cb',
    'https://app.example.com/cb#f',
    'https://app.example.com/a b',
    'https://a\\b/cb',
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'data:text/html,x',
    `https://app.example.com/${'x'.repeat(3000)}`,
    '',
  ])
    assert.throws(() => checkRedirectUri(uri), uri)
  for (const uri of ['https://app.example.com/cb', 'http://127.0.0.1/cb', 'com.example.app:/cb', 'myapp://cb'])
    checkRedirectUri(uri)
})
