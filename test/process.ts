// Starts a real server for tests: `bin/coffer server` in a process of its own, on a free port, over a folder that goes with the test.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'

export const coffer = path.resolve(import.meta.dirname, '../bin/coffer')

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly body: any
  readonly headers: Headers
}

export interface ServerProcess {
  readonly url: string
  readonly folder: string
  readonly rootToken: string
  readonly child: ChildProcess
  /** Everything the process has printed. */
  output(): string
  /** Calls the API; the token is the root token unless given ("" for none). */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Ends the process; the folder stays. Resolves with its exit code or signal. */
  end(signal?: NodeJS.Signals): Promise<number | string | null>
  /** Ends the process and removes its folder. */
  remove(): Promise<void>
}

/** A port that was free a moment ago. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

export const newFolder = (): string => mkdtempSync(path.join(os.tmpdir(), 'coffer-test-'))

/**
 * A server's configuration that unseals itself, unless `shamir`; `extra` is more HCL, `listener` more of the listener, `storage` the stanza
 * in place of SQLite in the folder.
 */
export function writeConfig(
  folder: string,
  port: number,
  options: {
    readonly extra?: string
    readonly listener?: string
    readonly shamir?: boolean
    readonly key?: string
    readonly storage?: string
  } = {},
): string {
  const file = path.join(folder, 'coffer.hcl')
  const seal = `seal "static" {
  current_key_id = "test"
  current_key = "${options.key ?? Buffer.alloc(32, 7).toString('base64')}"
}`
  writeFileSync(
    file,
    `${options.storage ?? `storage "sqlite" { path = "${folder}/coffer.db" }`}
listener "tcp" {
  address = "127.0.0.1:${port}"
  tls_disable = true
  ${options.listener ?? ''}
}
${options.shamir ? '' : seal}
${options.extra ?? ''}
`,
    { mode: 0o600 },
  )
  return file
}

const request = async (
  url: string,
  token: string,
  method: string,
  at: string,
  body?: unknown,
  headers: Record<string, string> = {},
) => {
  const init: RequestInit = {
    method: method === 'LIST' ? 'GET' : method,
    headers: { ...(token ? { 'x-vault-token': token } : {}), ...headers },
  }
  if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body)
  const query = method === 'LIST' ? (at.includes('?') ? '&list=true' : '?list=true') : ''
  const response = await fetch(`${url}/v1/${at}${query}`, init)
  const text = await response.text()
  let parsed: unknown = text
  try {
    parsed = text === '' ? null : JSON.parse(text)
  } catch {}
  return { status: response.status, body: parsed, headers: response.headers } as Answer
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Starts `coffer server` and waits for nothing. */
export function spawnServer(
  args: readonly string[],
  command: readonly string[] = [],
  env: Record<string, string> = {},
): ChildProcess {
  const [program, ...before] = [...command, coffer]
  return spawn(program as string, [...before, 'server', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
}

/** Starts `coffer server` with arguments and waits until it answers `sys/health`. */
export async function startProcess(options: {
  readonly args: readonly string[]
  readonly port: number
  readonly folder: string
  readonly rootToken?: string
  readonly command?: readonly string[]
  readonly env?: Record<string, string>
}): Promise<ServerProcess> {
  const child = spawnServer(options.args, options.command, options.env)
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk
  })
  const ended = new Promise<number | string | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  const url = `http://127.0.0.1:${options.port}`
  const limit = Date.now() + 60_000
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${text}`)
    if (Date.now() > limit) {
      child.kill('SIGKILL')
      throw new Error(`the server does not answer:\n${text}`)
    }
    const health = await fetch(`${url}/v1/sys/health`).catch(() => undefined)
    if (health) break
    await pause(20)
  }
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return await ended
  }
  return {
    url,
    folder: options.folder,
    rootToken: options.rootToken ?? '',
    child,
    output: () => text,
    call: (method, at, body, headers) =>
      request(url, headers?.['x-vault-token'] ?? options.rootToken ?? '', method, at, body, headers),
    end,
    async remove() {
      await end('SIGKILL')
      rmSync(options.folder, { recursive: true, force: true })
    },
  }
}

/** A development server in memory with the root token `root`. */
export async function startDev(args: readonly string[] = []): Promise<ServerProcess> {
  const port = await freePort()
  const folder = newFolder()
  const server = await startProcess({
    args: ['-dev', '-dev-root-token-id=root', `-dev-listen-address=127.0.0.1:${port}`, '-dev-no-store-token', ...args],
    port,
    folder,
    rootToken: 'root',
  })
  // It listens before its root token and its secret/ are made; they are when it has said so.
  for (const limit = Date.now() + 60_000; !server.output().includes('Stop it with'); await pause(5))
    if (Date.now() > limit) throw new Error(`the development server does not get ready:\n${server.output()}`)
  return server
}

export interface DurableOptions {
  /** More configuration. */
  readonly extra?: string
  /** Another storage stanza than SQLite in the folder. */
  readonly storage?: string
  /** Folder, port and token of an earlier server, to start it again. */
  readonly folder?: string
  readonly port?: number
  readonly rootToken?: string
  /** What to start the server under (`taskset -c 0`). */
  readonly command?: readonly string[]
  /** More arguments of `coffer server`. */
  readonly args?: readonly string[]
  readonly env?: Record<string, string>
  /** Another static key (base64). */
  readonly key?: string
  /** False: the store is left as it is. */
  readonly initialize?: boolean
  /** False: nobody waits until an earlier store is unsealed. */
  readonly wait?: boolean
}

/** A server over SQLite, initialised and unsealed by its static key; give `folder`, `port` and token of an earlier one to start it again. */
export async function startDurable(options: DurableOptions = {}): Promise<ServerProcess> {
  const port = options.port ?? (await freePort())
  const folder = options.folder ?? newFolder()
  const { extra = '' } = options
  const { key, storage } = options
  const file = writeConfig(folder, port, { extra, ...(key ? { key } : {}), ...(storage ? { storage } : {}) })
  const start = (rootToken: string) =>
    startProcess({
      args: [`-config=${file}`, ...(options.args ?? [])],
      port,
      folder,
      rootToken,
      ...(options.env ? { env: options.env } : {}),
      ...(options.command ? { command: options.command } : {}),
    })
  if (options.rootToken) {
    const server = await start(options.rootToken)
    if (options.wait === false) return server
    for (const limit = Date.now() + 60_000; (await server.call('GET', 'sys/health')).status !== 200; await pause(10))
      if (Date.now() > limit) throw new Error(`the server does not unseal itself:\n${server.output()}`)
    return server
  }
  const server = await start('')
  if (options.initialize === false) return server
  const init = await server.call('PUT', 'sys/init', { recovery_shares: 1, recovery_threshold: 1 })
  if (init.status !== 200) throw new Error(`init: ${init.status} ${JSON.stringify(init.body)}`)
  const { root_token: rootToken } = init.body as { root_token: string }
  return {
    ...server,
    rootToken,
    call: (method, at, body, headers) =>
      request(server.url, headers?.['x-vault-token'] ?? rootToken, method, at, body, headers),
  }
}

/** A server over SQLite with Shamir's seal: not initialised, or sealed when the folder is an earlier one's. */
export async function startShamir(
  options: { extra?: string; listener?: string; folder?: string; port?: number; args?: readonly string[] } = {},
): Promise<ServerProcess> {
  const port = options.port ?? (await freePort())
  const folder = options.folder ?? newFolder()
  const { extra = '', listener = '' } = options
  const file = writeConfig(folder, port, { extra, listener, shamir: true })
  return await startProcess({ args: [`-config=${file}`, ...(options.args ?? [])], port, folder })
}
