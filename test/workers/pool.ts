// A server of several workers for tests: each request over a connection of its own, so that it may land on any of them, and who served it.
import { createReadStream } from 'node:fs'
import { request } from 'node:http'
import { readPublicKeys } from '../../src/audit/signer.ts'
import { type KnownAnchor, verifyLog } from '../../src/audit/verify.ts'
import type { Answer, ServerProcess } from '../process.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
/** Logs who served: lines "request … worker=1". */
export const tellsWorkers = 'log_requests_level = "info"\n'

/** Waits for something; throws with what the server has printed when it does not come. */
export async function until(
  server: ServerProcess,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  for (const limit = Date.now() + 30_000; !(await holds()); await pause(20))
    if (Date.now() > limit) throw new Error(`not within 30 s: ${what}\n${server.output()}`)
}

/** Process ids by number of the worker, the newest of each. */
export function pidsOf(server: ServerProcess): Map<number, number> {
  const found = server.output().matchAll(/worker serves number=(\d+) pid=(\d+)/g)
  return new Map([...found].map(([, number, pid]) => [Number(number), Number(pid)]))
}

/** Whether a process is there. */
export const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Waits until all workers have said that they serve. */
export const allServe = (server: ServerProcess, count = 2): Promise<void> =>
  until(server, 'all workers serve', () => server.output().includes(`  ${count} workers\n`))

/** Ends a server in order and removes its folder: workers of a supervisor that is killed would still write there for a moment. */
export async function removePool(server: ServerProcess): Promise<void> {
  await server.end('SIGTERM')
  await until(server, 'all have ended', () => ![...pidsOf(server).values()].some(alive))
  await server.remove()
}

/** How many requests each worker has served so far, by its number. */
export function servedBy(server: ServerProcess): Map<number, number> {
  const counts = new Map<number, number>()
  for (const [, number] of server.output().matchAll(/\[INFO\] request worker=(\d+)/g))
    counts.set(Number(number), (counts.get(Number(number)) ?? 0) + 1)
  return counts
}

export type Ask = (
  method: string,
  path: string,
  body?: unknown,
  token?: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>

/** Asks over a new connection each time. */
export const asker =
  (server: ServerProcess, rootToken = server.rootToken): Ask =>
  (method, path, body, token = rootToken, more = {}) =>
    new Promise((resolve, reject) => {
      const { port } = new URL(server.url)
      const headers = { ...more, ...(token ? { 'x-vault-token': token } : {}) }
      const options = { host: '127.0.0.1', port, method, path: `/v1/${path}`, headers, agent: false, timeout: 20_000 }
      const asked = request(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
        })
        response.on('end', () => {
          const parsed = text === '' ? null : JSON.parse(text)
          resolve({ status: response.statusCode ?? 0, body: parsed, headers: new Headers() })
        })
        response.on('error', reject)
      })
      asked.on('timeout', () => asked.destroy(new Error(`no answer to ${method} ${path}`)))
      asked.on('error', reject)
      asked.end(body === undefined ? undefined : JSON.stringify(body))
    })

/** Asks so often, at the same time or one after the other. */
export const many = (count: number, ask: (index: number) => Promise<Answer>): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => ask(index)))
export async function inRow(count: number, ask: (index: number) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let index = 0; index < count; index++) answers.push(await ask(index))
  return answers
}

export const countOf = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length

/** Enough requests, each on a connection of its own, that none of two workers is left out (but once in 2^30). */
export const enough = 30

/** Verifies audit files, the oldest first, with the server's key and anchors, as `coffer audit verify` does. */
export async function verifyAudit(ask: Ask, files: readonly string[]) {
  const { body } = await ask('GET', 'sys/x/audit/verification')
  const devices = body.data.devices as { accessor: string; anchors: Omit<KnownAnchor, 'device'>[] }[]
  const anchors = devices.flatMap(({ accessor, anchors: known }) => known.map((one) => ({ ...one, device: accessor })))
  const opened = files.map((name) => ({ name, chunks: createReadStream(name) }))
  return { report: await verifyLog(opened, { publicKey: readPublicKeys(body.data.public_key), anchors }), anchors }
}
