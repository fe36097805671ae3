// Puts load on a server: `wrk` where it is installed, else autocannon. Gives requests per second and latencies in milliseconds.
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
export const hasWrk = has('wrk')
export const hasTaskset = has('taskset')

/** One kind of request. `paths` are taken in random order; `{n}` in the body becomes a running number. */
export interface Load {
  readonly method: 'GET' | 'POST'
  /** Paths after `/v1/`: a fixed one, or `prefix` + 0 … count-1. */
  readonly prefix: string
  readonly count?: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Figures {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly errors: number
}

const script = (load: Load, headers: Readonly<Record<string, string>>): string => `
local count = ${load.count ?? 0}
local n = 0
local headers = {${Object.entries(headers)
  .map(([k, v]) => `[${JSON.stringify(k)}]=${JSON.stringify(v)}`)
  .join(',')}}
local body = ${load.body === undefined ? 'nil' : JSON.stringify(load.body)}
local errors = 0
init = function(args) math.randomseed(os.time()) end
request = function()
  n = n + 1
  local path = ${JSON.stringify(`/v1/${load.prefix}`)}
  if count > 0 then path = path .. math.random(0, count - 1) end
  local text = body
  if text then text = string.gsub(text, "{n}", tostring(n)) end
  return wrk.format(${JSON.stringify(load.method)}, path, headers, text)
end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("FIGURES %.1f %.3f %.3f %d\\n", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, bad))
end
`

async function withWrk(
  url: string,
  load: Load,
  headers: Record<string, string>,
  seconds: number,
  connections: number,
): Promise<Figures> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-bench-'))
  const file = path.join(folder, 'load.lua')
  writeFileSync(file, script(load, headers), { mode: 0o600 })
  const pinned = hasTaskset && os.cpus().length > 1 ? ['taskset', '-c', '1'] : []
  const [program, ...args] = [...pinned, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', file, url]
  try {
    const { stdout } = await run(program as string, args)
    const found = /FIGURES (\S+) (\S+) (\S+) (\d+)/.exec(stdout)
    if (!found) throw new Error(`wrk said: ${stdout}`)
    return { perSecond: Number(found[1]), p50: Number(found[2]), p99: Number(found[3]), errors: Number(found[4]) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function withAutocannon(
  url: string,
  load: Load,
  headers: Record<string, string>,
  seconds: number,
  connections: number,
): Promise<Figures> {
  const { default: autocannon } = await import('autocannon')
  let n = 0
  const result = await autocannon({
    url,
    connections,
    duration: seconds,
    requests: [
      {
        method: load.method,
        headers,
        setupRequest: (request) => ({
          ...request,
          path: `/v1/${load.prefix}${load.count ? Math.floor(Math.random() * load.count) : ''}`,
          ...(load.body === undefined ? {} : { body: load.body.replaceAll('{n}', String(n++)) }),
        }),
      },
    ],
  })
  return {
    perSecond: result.requests.average,
    p50: result.latency.p50,
    p99: result.latency.p99,
    errors: result.non2xx + result.errors,
  }
}

/** Runs a load for some seconds over so many connections. */
export const applyLoad = (
  url: string,
  token: string,
  load: Load,
  seconds: number,
  connections = 32,
): Promise<Figures> => {
  const headers: Record<string, string> = { 'X-Vault-Token': token, ...load.headers }
  if (load.body !== undefined) headers['Content-Type'] = 'application/json'
  return (hasWrk ? withWrk : withAutocannon)(url, load, headers, seconds, connections)
}
