import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { devCertificates } from './dev-tls.ts'

test('a new authority vouches for the names of this machine, and the key is private', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-tls-'))
  try {
    const files = await devCertificates(path.join(folder, 'certs'), '127.0.0.2:8200')
    const ca = new X509Certificate(readFileSync(files.ca))
    const leaf = new X509Certificate(readFileSync(files.cert))
    assert.equal(ca.ca, true)
    assert.equal(leaf.ca, false)
    assert.ok(leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
    assert.equal(leaf.checkHost('localhost'), 'localhost')
    for (const address of ['127.0.0.1', '127.0.0.2', '::1']) assert.ok(leaf.checkIP(address), address)
    assert.ok(leaf.checkPrivateKey(createPrivateKey(readFileSync(files.key))))
    assert.equal(statSync(files.key).mode & 0o777, 0o600)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
