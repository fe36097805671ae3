// `npm run bench`: load on a durable server with a file audit device, pinned to one core, beside a bare `node:http` server in the same run.
// `npm run bench -- kv1 wrap` narrows the choice. With PEER_URL and PEER_TOKEN the same load goes to a peer, in turn.
// BENCH_SECONDS (5), BENCH_ROUNDS (3), BENCH_SECRETS (100000) change the size. Exits 1 when a target that can be judged here is missed.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { freePort, startDurable } from '../test/process.ts'
import { applyLoad, type Figures, hasTaskset, hasWrk } from './load.ts'
import { type Call, enable, fill, secret, type Workload } from './workload.ts'
import { approleLogin } from './workloads/approle-login.ts'
import { kv1Read } from './workloads/kv1-read.ts'
import { kv1Write } from './workloads/kv1-write.ts'
import { kv2Read } from './workloads/kv2-read.ts'
import { kv2Write } from './workloads/kv2-write.ts'
import { tokenLookupSelf } from './workloads/token-lookup-self.ts'
import { wrap } from './workloads/wrap.ts'

const seconds = Number(process.env['BENCH_SECONDS'] ?? 5)
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3)
const secrets = Number(process.env['BENCH_SECRETS'] ?? 100_000)
const wanted = process.argv.slice(2)
const all: Workload[] = [kv1Read, kv2Read, kv1Write, kv2Write, tokenLookupSelf, wrap, approleLogin]
const workloads = wanted.length === 0 ? all : all.filter(({ name }) => wanted.some((part) => name.includes(part)))
const pin = hasTaskset && os.cpus().length > 1 ? ['taskset', '-c', '0'] : []

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })
/** A small client of its own: preparing 100,000 secrets must not take longer than the measurements. */
const client =
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
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (piece: string) => {
            text += piece
          })
          response.once('end', () =>
            resolve({ status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) }),
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

/** Makes a token with the policy of the benchmark. */
async function benchToken(call: Call): Promise<string> {
  await call('POST', 'sys/policies/acl/bench', { policy })
  const { status, body } = await call('POST', 'auth/token/create', { policies: ['bench'], ttl: '24h' })
  if (status !== 200) throw new Error(`no token for the benchmark: ${status}`)
  return (body as { auth: { client_token: string } }).auth.client_token
}

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number
const middle = (list: readonly Figures[]): Figures => ({
  perSecond: median(list.map((f) => f.perSecond)),
  p50: median(list.map((f) => f.p50)),
  p99: median(list.map((f) => f.p99)),
  errors: list.reduce((sum, f) => sum + f.errors, 0),
})
const rate = (value: number): string => Math.round(value).toLocaleString('en-US').padStart(9)
const show = (name: string, f: Figures, more = ''): void =>
  console.log(
    `${name.padEnd(26)}${rate(f.perSecond)}/s   p50 ${f.p50.toFixed(2).padStart(7)} ms   p99 ${f.p99.toFixed(2).padStart(7)} ms${f.errors ? `   ${f.errors} ERRORS` : ''}${more}`,
  )

const residentMb = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
const missed: string[] = []
const judge = (fact: string, good: boolean): void => {
  console.log(`${good ? '  reached' : '  MISSED '}  ${fact}`)
  if (!good) missed.push(fact)
}

console.log(
  `${os.cpus()[0]?.model}, ${os.cpus().length} cores; load by ${hasWrk ? 'wrk' : 'autocannon'}, 32 connections, ${rounds} rounds of ${seconds} s; server ${pin.length ? 'pinned to one core' : 'not pinned'}`,
)
const barePort = await freePort()
const bare = spawn(
  [...pin, process.execPath][0] as string,
  [
    ...pin.slice(1),
    ...(pin.length ? [process.execPath] : []),
    path.join(import.meta.dirname, 'bare.ts'),
    String(barePort),
  ],
  { stdio: 'ignore' },
)
const started = performance.now()
const extra = (folder: string) => `audit "file" "bench" {\n  options { file_path = "${folder}/audit.log" }\n}\n`
const { newFolder } = await import('../test/process.ts')
const folder = newFolder()
const server = await startDurable({ folder, extra: extra(folder), command: pin })
const firstStartMs = performance.now() - started
try {
  const call = client(server.url, server.rootToken)
  const peerUrl = process.env['PEER_URL']
  const peerCall = client(peerUrl ?? '', process.env['PEER_TOKEN'] ?? '')
  const token = await benchToken(call)
  const peerToken = peerUrl ? await benchToken(peerCall) : ''
  for (const workload of workloads) {
    await workload.prepare(call)
    if (peerUrl) await workload.prepare(peerCall)
    const own: Figures[] = []
    const floor: Figures[] = []
    const peer: Figures[] = []
    await applyLoad(server.url, token, workload.load, 2)
    for (let round = 0; round < rounds; round++) {
      floor.push(
        await applyLoad(
          `http://127.0.0.1:${barePort}`,
          token,
          { method: workload.load.method, prefix: 'x', ...(workload.load.body ? { body: workload.load.body } : {}) },
          Math.min(seconds, 3),
        ),
      )
      own.push(await applyLoad(server.url, token, workload.load, seconds))
      if (peerUrl) peer.push(await applyLoad(peerUrl, peerToken, workload.load, seconds))
    }
    const [mine, base] = [middle(own), middle(floor)]
    show(
      workload.name,
      mine,
      `   1/${(base.perSecond / mine.perSecond).toFixed(1)} of bare (${Math.round(base.perSecond)}/s)`,
    )
    if (mine.errors) missed.push(`${workload.name}: errors`)
    if (workload.ofBare)
      judge(
        `${workload.name}: at least 1/${Math.round(1 / workload.ofBare)} of a bare node:http server`,
        mine.perSecond >= base.perSecond * workload.ofBare,
      )
    if (peerUrl) {
      const theirs = middle(peer)
      show('  peer', theirs, `   ${(mine.perSecond / theirs.perSecond).toFixed(1)} times the peer`)
      if (workload.timesPeer)
        judge(
          `${workload.name}: at least ${workload.timesPeer} times the peer`,
          mine.perSecond >= theirs.perSecond * workload.timesPeer,
        )
    }
  }
  if (wanted.length === 0 && secrets > 0) {
    await enable(call, 'benchmany', '2')
    await fill(call, 'benchmany/data/', secrets, { data: secret })
    const few: Figures[] = []
    const many: Figures[] = []
    for (let round = 0; round < rounds; round++) {
      few.push(await applyLoad(server.url, token, { method: 'GET', prefix: 'benchmany/data/', count: 100 }, seconds))
      many.push(
        await applyLoad(server.url, token, { method: 'GET', prefix: 'benchmany/data/', count: secrets }, seconds),
      )
    }
    show('kv2 read of 100', middle(few))
    show(
      `kv2 read of ${secrets}`,
      middle(many),
      `   ${(middle(many).perSecond / middle(few).perSecond).toFixed(2)} of the former`,
    )
    judge(`${secrets} secrets no slower than 100 (within 20 %)`, middle(many).perSecond >= middle(few).perSecond * 0.8)
    const resident = residentMb(server.child)
    judge(`resident memory ${resident.toFixed(0)} MB, under 200`, resident < 200)
    await server.end()
    const again = performance.now()
    const second = await startDurable({
      folder,
      port: Number(new URL(server.url).port),
      rootToken: server.rootToken,
      extra: extra(folder),
      command: pin,
    })
    const startMs = performance.now() - again
    await second.end()
    judge(
      `start to first answer ${startMs.toFixed(0)} ms, under 1000 (with ${secrets} secrets; new: ${firstStartMs.toFixed(0)} ms)`,
      startMs < 1000,
    )
  }
} finally {
  bare.kill('SIGKILL')
  await server.remove()
}
if (missed.length > 0) console.log(`\nmissed:\n${missed.map((fact) => `  ${fact}`).join('\n')}`)
process.exit(missed.length > 0 ? 1 : 0)
