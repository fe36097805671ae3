// Several nodes over one store, each with a folder, port and audit file of its own, and the faults they suffer: killed, paused, restarted.

import { mkdirSync, rmSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../crash/random.ts'
import { freePort, newFolder, type ServerProcess, startDurable } from '../process.ts'
import type { Outcome } from './history.ts'

export interface Reply {
  readonly outcome: Outcome
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly body: any
  readonly start: number
  readonly end: number
}

export interface Ask {
  readonly token: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export interface Nodes {
  readonly count: number
  readonly rootToken: string
  /** Address of a node. */
  url(node: number): string
  /** Asks a node; never rejects. */
  ask(node: number, ask: Ask): Promise<Reply>
  /** Does a fault to a node and waits until it serves again; gives its name. */
  fault(node: number, random: Random): Promise<string>
  /** Audit files of all nodes. */
  auditFiles(): string[]
  remove(): Promise<void>
}

const answerMs = 10_000

/** Starts nodes over the store that a stanza names (SQLite in a shared folder without one). */
export async function startNodes(count: number, storage?: string): Promise<Nodes> {
  const folder = newFolder()
  const stanza = storage ?? `storage "sqlite" { path = "${folder}/coffer.db" }`
  const folders = Array.from({ length: count }, (_, n) => path.join(folder, `node-${n}`))
  const ports: number[] = []
  const servers: ServerProcess[] = []
  const auditFile = (node: number): string => path.join(folders[node] as string, 'audit.log')
  const start = async (node: number, rootToken?: string): Promise<ServerProcess> => {
    const extra = `audit "file" "file" {\n  options { file_path = "${auditFile(node)}" }\n}\n`
    const at = { folder: folders[node] as string, port: ports[node] as number, storage: stanza, extra }
    return await startDurable(rootToken ? { ...at, rootToken } : at)
  }
  for (const node of folders.keys()) {
    mkdirSync(folders[node] as string)
    ports.push(await freePort())
    servers.push(await start(node, servers[0]?.rootToken))
  }
  const rootToken = servers[0]?.rootToken ?? ''
  // A keep-alive connection that a killed node leaves behind is an unknown outcome, as it is for any client.
  const agent = new http.Agent({ keepAlive: true })
  const url = (node: number): string => `http://127.0.0.1:${ports[node]}`

  const ask: Nodes['ask'] = (node, { token, method, path: at, body, headers }) =>
    new Promise((resolve) => {
      const start = performance.now()
      const done = (outcome: Outcome, status: number, text: string): void => {
        let parsed: unknown
        try {
          parsed = text === '' ? undefined : JSON.parse(text)
        } catch {}
        resolve({ outcome, status, body: parsed, start, end: performance.now() })
      }
      const payload = body === undefined ? undefined : JSON.stringify(body)
      const request = http.request(`${url(node)}/v1/${at}`, {
        method,
        agent,
        headers: {
          ...(token ? { 'x-vault-token': token } : {}),
          ...(payload ? { 'content-length': Buffer.byteLength(payload) } : {}),
          ...headers,
        },
      })
      request.setTimeout(answerMs, () => request.destroy(new Error('no answer')))
      request.on('error', (error: NodeJS.ErrnoException) =>
        done(error.code === 'ECONNREFUSED' ? 'none' : 'unknown', 0, ''),
      )
      request.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
        })
        response.on('error', () => done('unknown', 0, ''))
        response.on('aborted', () => done('unknown', 0, ''))
        response.on('end', () => {
          const status = response.statusCode ?? 0
          // 503 says that nothing was done (sealed, too much contention, no connection); 500 may be a commit whose answer was lost.
          const outcome = status < 300 ? 'ok' : status === 503 ? 'none' : status >= 500 ? 'unknown' : 'no'
          done(outcome, status, text)
        })
      })
      request.end(payload)
    })

  const restart = async (node: number): Promise<void> => {
    servers[node] = await start(node, rootToken)
  }
  return {
    count,
    rootToken,
    url,
    ask,
    async fault(node, random) {
      const server = servers[node] as ServerProcess
      const kind = random.pick(['kill -9', 'pause', 'restart'] as const)
      if (kind === 'pause') {
        server.child.kill('SIGSTOP')
        await pause(1000 + random.below(4000))
        server.child.kill('SIGCONT')
        return kind
      }
      await server.end(kind === 'restart' ? 'SIGTERM' : 'SIGKILL')
      await pause(random.below(1000))
      await restart(node)
      return kind
    },
    auditFiles: () => [...folders.keys()].map(auditFile),
    async remove() {
      agent.destroy()
      for (const server of servers) await server.end('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
