// `npm test`: all tests, unit tests beside their files first, then those that start servers. Arguments narrow the choice: `npm test -- src/storage`.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('-'))
const flags = process.argv.slice(2).filter((arg) => arg.startsWith('-'))
const all = [...globSync('src/**/*.test.ts', { cwd: root }), ...globSync('test/**/*.test.ts', { cwd: root })].sort()
const files = wanted.length === 0 ? all : all.filter((file) => wanted.some((part) => file.includes(part)))
if (files.length === 0) {
  console.error('no test matches')
  process.exit(1)
}
const reporter = process.env['CI'] || !process.stdout.isTTY ? 'spec' : 'dot'
const run = (list: string[], concurrency: number): number =>
  list.length === 0
    ? 0
    : (spawnSync(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          '--test',
          `--test-concurrency=${concurrency}`,
          `--test-reporter=${reporter}`,
          '--test-timeout=600000',
          ...flags,
          ...list,
        ],
        { cwd: root, stdio: 'inherit' },
      ).status ?? 1)
const unit = run(
  files.filter((file) => file.startsWith('src/')),
  2,
)
const whole = run(
  files.filter((file) => file.startsWith('test/')),
  1,
)
process.exit(unit || whole)
