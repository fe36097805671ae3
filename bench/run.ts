// `npm run bench`: load on a durable server with a file audit device, pinned to one core, beside a bare `node:http` server in the same run.
// `npm run bench -- kv1 wrap` narrows the choice. With PEER_URL and PEER_TOKEN the same load goes to a peer, in turn.
// BENCH_SECONDS (5), BENCH_ROUNDS (3), BENCH_SECRETS (100000) change the size. Exits 1 when a target that can be judged here is missed.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { freePort, newFolder, startDurable } from '../test/process.ts'
import { applyLoad, type Figures, hasWrk } from './load.ts'
import { benchToken, client, endRun, judge, middle, pinTo, rounds, seconds, show, showMachine } from './report.ts'
import { enable, fill, secret, type Workload } from './workload.ts'
import { approleLogin } from './workloads/approle-login.ts'
import { kv1Read } from './workloads/kv1-read.ts'
import { kv1Write } from './workloads/kv1-write.ts'
import { kv2Read } from './workloads/kv2-read.ts'
import { kv2Write } from './workloads/kv2-write.ts'
import { tokenLookupSelf } from './workloads/token-lookup-self.ts'
import { wrap } from './workloads/wrap.ts'

const secrets = Number(process.env['BENCH_SECRETS'] ?? 100_000)
const wanted = process.argv.slice(2)
const all: Workload[] = [kv1Read, kv2Read, kv1Write, kv2Write, tokenLookupSelf, wrap, approleLogin]
const workloads = wanted.length === 0 ? all : all.filter(({ name }) => wanted.some((part) => name.includes(part)))
const pin = pinTo(0)

const residentMb = (child: ChildProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
showMachine(
  `load by ${hasWrk ? 'wrk' : 'autocannon'}, 32 connections, ${rounds} rounds of ${seconds} s; server ${pin.length ? 'pinned to one core' : 'not pinned'}`,
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
    if (mine.errors) judge(`${workload.name}: without errors`, false)
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
endRun()
