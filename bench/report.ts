// What all benchmarks share: the client that prepares, the token they ask with, medians, lines of the report, and what was missed.
import http from 'node:http'
import os from 'node:os'
import { type Figures, hasTaskset } from './load.ts'
import type { Call } from './workload.ts'

export const seconds = Number(process.env['BENCH_SECONDS'] ?? 5)
export const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3)

/** Puts a command on one core, where there is more than one. */
export const pinTo = (core: number): string[] =>
  hasTaskset && os.cpus().length > 1 ? ['taskset', '-c', String(core)] : []

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })

/** Makes a small client: preparing 100,000 secrets must not take longer than the measurements. */
export const client =
  (url: string, token: string): Call =>
  (method, at, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const request = http.request(
        `${url}/v1/${at}`,
        {
          method,
          agent,
          headers: { 'X-Vault-Token': token, ...(text ? { 'Content-Length': Buffer.byteLength(text) } : {}) },
        },
        (response) => {
          let answer = ''
          response.setEncoding('utf8')
          response.on('data', (piece: string) => {
            answer += piece
          })
          response.once('end', () =>
            resolve({ status: response.statusCode ?? 0, body: answer === '' ? undefined : JSON.parse(answer) }),
          )
        },
      )
      request.once('error', reject)
      request.end(text)
    })

// A policy as applications have it, not the root token: it costs every server its decision.
const policy = `path "bench1/*" { capabilities = ["create","read","update","delete","list"] }
path "bench2/*" { capabilities = ["create","read","update","delete","list"] }
path "benchmany/*" { capabilities = ["read"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }`

/** Makes a token with the policy of the benchmark; `more` are further fields of `auth/token/create`. */
export async function benchToken(call: Call, more: Record<string, unknown> = {}): Promise<string> {
  await call('POST', 'sys/policies/acl/bench', { policy })
  const { status, body } = await call('POST', 'auth/token/create', { policies: ['bench'], ttl: '24h', ...more })
  if (status !== 200) throw new Error(`no token for the benchmark: ${status}`)
  return (body as { auth: { client_token: string } }).auth.client_token
}

export const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number

/** The medians of several rounds. */
export const middle = (list: readonly Figures[]): Figures => ({
  perSecond: median(list.map((f) => f.perSecond)),
  p50: median(list.map((f) => f.p50)),
  p99: median(list.map((f) => f.p99)),
  errors: list.reduce((sum, f) => sum + f.errors, 0),
})

const rate = (value: number): string => Math.round(value).toLocaleString('en-US').padStart(9)

/** Prints a line of figures. */
export const show = (name: string, f: Figures, more = ''): void =>
  console.log(
    `${name.padEnd(26)}${rate(f.perSecond)}/s   p50 ${f.p50.toFixed(2).padStart(7)} ms   p99 ${f.p99.toFixed(2).padStart(7)} ms${f.errors ? `   ${f.errors} ERRORS` : ''}${more}`,
  )

/** Prints where and how was measured. */
export const showMachine = (load: string): void =>
  console.log(`${os.cpus()[0]?.model}, ${os.cpus().length} cores; ${load}`)

const missed: string[] = []

/** Prints whether a target was reached, and remembers those that were not. */
export function judge(fact: string, good: boolean): void {
  console.log(`${good ? '  reached' : '  MISSED '}  ${fact}`)
  if (!good) missed.push(fact)
}

/** Ends the run: exit code 1 when a target was missed. */
export function endRun(): never {
  if (missed.length > 0) console.log(`\nmissed:\n${missed.map((fact) => `  ${fact}`).join('\n')}`)
  process.exit(missed.length > 0 ? 1 : 0)
}
