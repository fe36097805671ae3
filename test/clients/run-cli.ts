// Runs `bin/coffer` as a person would: a process with arguments, a home folder of its own, input and exit code.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { coffer } from '../process.ts'

export interface Finished {
  readonly code: number
  readonly out: string
  readonly err: string
  /** Standard output as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  json(): any
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Record<string, string>
}

export type Cli = (args: readonly string[] | string, options?: RunOptions) => Promise<Finished>

/** Gives a runner whose processes see only this environment, and `home` as their home folder. */
export function cliOf(home: string, env: Record<string, string>): Cli {
  return (args, { input = '', env: more = {} } = {}) =>
    new Promise((resolve, reject) => {
      const list = typeof args === 'string' ? args.split(' ') : args
      const child = spawn(coffer, list, {
        cwd: home,
        env: { PATH: process.env['PATH'] ?? '', HOME: home, ...env, ...more },
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      let [out, err] = ['', '']
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk
      })
      child.stderr.on('data', (chunk: Buffer) => {
        err += chunk
      })
      child.on('error', reject)
      child.stdin.on('error', () => undefined)
      child.stdin.end(input)
      child.on('close', (code) =>
        resolve({
          code: code ?? -1,
          out,
          err,
          json() {
            try {
              return JSON.parse(out)
            } catch {
              assert.fail(`coffer ${list.join(' ')}: no JSON:\n${out}\n${err}`)
            }
          },
        }),
      )
    })
}

/** A runner that demands success and gives standard output without the line end. */
export const must =
  (cli: Cli) =>
  async (args: readonly string[] | string, options?: RunOptions): Promise<string> => {
    const { code, out, err } = await cli(args, options)
    assert.equal(code, 0, `coffer ${String(args)}: exit code ${code}\n${out}\n${err}`)
    return out.trimEnd()
  }
