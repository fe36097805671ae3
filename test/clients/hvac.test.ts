// hvac (PyPI) against a real server; the exchange itself is in hvac_exchange.py. COFFER_TEST_PYTHON names a Python that has hvac (CI makes one).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { startDev } from '../process.ts'

const python = process.env['COFFER_TEST_PYTHON'] ?? 'python3'
const hasHvac = spawnSync(python, ['-c', 'import hvac']).status === 0
const reason = `${python} has no hvac; make one with: python3 -m venv DIR && DIR/bin/pip install hvac, and set COFFER_TEST_PYTHON=DIR/bin/python`

test('hvac logs in, writes, reads, wraps and administers', {
  skip: !hasHvac && !process.env['CI'] ? reason : false,
}, async () => {
  assert.ok(hasHvac, reason)
  const server = await startDev()
  try {
    const run = spawnSync(python, [path.join(import.meta.dirname, 'hvac_exchange.py'), server.url, 'root'], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(run.status, 0, run.stderr)
  } finally {
    await server.remove()
  }
})
