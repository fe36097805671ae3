// `bin/runtime bench/workers.ts`: what a second of processor time gives with one process and with two workers, KV version 2, reads and
// writes, each with its own store and audit file, in turn. Counts the time of all processes of a server, its supervisor too (Linux).
// BENCH_SECONDS (5) and BENCH_ROUNDS (3) change the size. Exits 1 when two give less than 90 % of one.
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { newFolder, type ServerProcess, startDurable } from '../test/process.ts'
import { allServe, pidsOf } from '../test/workers/pool.ts'
import { applyLoad } from './load.ts'
import { client, endRun, judge, median, rounds, seconds } from './report.ts'
import { kv2Read } from './workloads/kv2-read.ts'
import { kv2Write } from './workloads/kv2-write.ts'

const target = 0.9
const ticksPerSecond = 100

/** Processor time of a process and its threads, in seconds. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
const cpuOf = (server: ServerProcess): number =>
  [server.child.pid as number, ...pidsOf(server).values()].reduce((sum, pid) => sum + cpuSeconds(pid), 0)

interface Figures {
  readonly perSecond: number
  readonly perCpuSecond: number
  readonly p99: number
  readonly errors: number
}
const middle = (list: readonly Figures[]): Figures => ({
  perSecond: median(list.map((one) => one.perSecond)),
  perCpuSecond: median(list.map((one) => one.perCpuSecond)),
  p99: median(list.map((one) => one.p99)),
  errors: list.reduce((sum, one) => sum + one.errors, 0),
})

async function start(workers: number): Promise<ServerProcess> {
  const folder = newFolder()
  const extra = `workers = ${workers}\naudit "file" "bench" {\n  options { file_path = "${folder}/audit.log" }\n}\n`
  const server = await startDurable({ folder, extra })
  if (workers > 1) await allServe(server, workers)
  return server
}

const show = (name: string, { perSecond, perCpuSecond, p99, errors }: Figures): void =>
  console.log(
    `${name.padEnd(24)}${Math.round(perSecond).toLocaleString('en-US').padStart(9)}/s ${Math.round(perCpuSecond).toLocaleString('en-US').padStart(9)} per CPU second   p99 ${p99.toFixed(1).padStart(6)} ms${errors ? `   ${errors} ERRORS` : ''}`,
  )

console.log(
  `${os.cpus()[0]?.model}, ${os.cpus().length} cores, load average ${os.loadavg()[0]?.toFixed(1)}; ${rounds} rounds of ${seconds} s in turn, 32 connections`,
)
const servers = [await start(1), await start(2)] as const
try {
  for (const { name, prepare, load } of [kv2Read, kv2Write]) {
    const figures: [Figures[], Figures[]] = [[], []]
    for (const server of servers) {
      await prepare(client(server.url, server.rootToken))
      await applyLoad(server.url, server.rootToken, load, 2)
    }
    for (let round = 0; round < rounds; round++)
      for (const [index, server] of servers.entries()) {
        const before = cpuOf(server)
        const found = await applyLoad(server.url, server.rootToken, load, seconds)
        const perCpuSecond = (found.perSecond * seconds) / (cpuOf(server) - before)
        figures[index as 0 | 1].push({ ...found, perCpuSecond })
      }
    const [one, two] = figures.map(middle) as [Figures, Figures]
    show(`${name}, 1 process`, one)
    show(`${name}, 2 workers`, two)
    const share = two.perCpuSecond / one.perCpuSecond
    judge(
      `two workers give ${(share * 100).toFixed(0)} % of one process per CPU second (at least ${target * 100} %); ${(two.perSecond / one.perSecond).toFixed(2)} times the requests (cores to spare: 1.8)`,
      share >= target && one.errors + two.errors === 0,
    )
  }
} finally {
  for (const server of servers) await server.remove()
}
endRun()
