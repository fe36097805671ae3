// Plays the recorded exchanges of a folder (argument 1) against a fresh server: the families this version serves whole must pass.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { startDev } from './process.ts'

const [folder, ...only] = process.argv.slice(2)
if (!folder) {
  console.error('usage: conformance.ts FOLDER [SCENARIO…]')
  process.exit(2)
}
/** Families that must pass, step by step, and what in them belongs to later versions. */
const families = [
  /^kv/,
  /^token-(?!fields-)/,
  /^policy-/,
  /^mounts-/,
  /^auth-mounts$/,
  /^internal-ui$/,
  /^sys-tools$/,
  /^wrapping$/,
  /^cubbyhole$/,
  /^namespaces(-isolation)?$/,
  /^approle-/,
  /^identity-(?!mfa)/,
  /^audit$/,
  /^request-level$/,
  /^userpass-basics$/,
  /^userpass-token-params$/,
]
const scenarios = path.join(folder, 'scenarios')
const names = readdirSync(scenarios)
  .map((name) => path.basename(name, '.json'))
  .filter((name) => (only.length > 0 ? only.includes(name) : families.some((family) => family.test(name))))
const server = await startDev()
const { status } = spawnSync(
  process.execPath,
  [
    path.join(folder, 'conformance.mjs'),
    'check',
    '--verbose',
    '--url',
    server.url,
    '--token',
    'root',
    '--only',
    names.join(','),
    scenarios,
  ],
  { stdio: 'inherit' },
)
await server.remove()
process.exit(status ?? 1)
