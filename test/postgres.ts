// Real PostgreSQL clusters for tests: on free loopback ports, in folders that go with the test, as an unprivileged user
// where the tests run as root. Without PostgreSQL tests are skipped, in CI they fail.
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createConnection } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { freePort } from './process.ts'

const parent = '/usr/lib/postgresql'

/** The folder of PostgreSQL's programs, the newest there is; undefined when there are none. */
function findPrograms(): string | undefined {
  const versions = existsSync(parent) ? readdirSync(parent).sort((a, b) => Number(b) - Number(a)) : []
  const places = [
    ...versions.map((version) => path.join(parent, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ]
  return places.find((place) => existsSync(path.join(place, 'initdb')) && existsSync(path.join(place, 'postgres')))
}
const programs = findPrograms()

/** Says why tests with PostgreSQL are skipped; false when they are not. Throws in CI, where nothing may be missing. */
export function postgresMissing(): string | false {
  if (programs !== undefined) return false
  if (process.env['CI']) throw new Error('PostgreSQL is missing: install the package postgresql')
  return 'PostgreSQL is not installed'
}

const pgbouncer = ['/usr/sbin', ...(process.env['PATH'] ?? '').split(':')]
  .map((place) => path.join(place, 'pgbouncer'))
  .find((file) => existsSync(file))

/** The same for pgbouncer. */
export function pgbouncerMissing(): string | false {
  if (pgbouncer !== undefined) return false
  if (process.env['CI']) throw new Error('pgbouncer is missing: install the package pgbouncer')
  return 'pgbouncer is not installed'
}

const idOf = (what: '-u' | '-g', name: string): number | undefined => {
  const found = spawnSync('id', [what, name], { encoding: 'utf8' })
  return found.status === 0 ? Number(found.stdout) : undefined
}
/** Who the servers run as: initdb refuses root. */
export const unprivileged: { readonly uid?: number; readonly gid?: number } = (() => {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = [idOf('-u', name), idOf('-g', name)]
    if (uid !== undefined && gid !== undefined) return { uid, gid }
  }
  return {}
})()

/** Makes a folder that the servers own. */
export function serverFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-pg-'))
  if (unprivileged.uid !== undefined) chownSync(folder, unprivileged.uid, unprivileged.gid as number)
  return folder
}

function program(name: string, args: readonly string[]): string {
  const options = {
    ...unprivileged,
    encoding: 'utf8' as const,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
  }
  const done = spawnSync(path.join(programs as string, name), args, options)
  if (done.status !== 0) throw new Error(`${name} failed: ${done.stdout}${done.stderr}`)
  return done.stdout
}

/** A running cluster. */
export interface Cluster {
  readonly port: number
  readonly folder: string
  /** A URL of the superuser, who needs no password. */
  readonly url: string
  /** Makes a database of its own; gives its URL. */
  database(): Promise<string>
  /** Runs SQL as the superuser; gives the output, columns separated by `|`. */
  sql(text: string, database?: string): string
  /** Starts it (again). */
  start(): void
  stop(mode?: 'fast' | 'immediate'): void
  /** Ends all its processes at once, as a lost machine would. */
  kill(): void
  promote(): void
  /** Makes a standby of this cluster; `synchronous` makes its commits wait for it. */
  standby(synchronous: boolean): Promise<Cluster>
  /** Reads its configuration files again. */
  reload(): void
  /** Stops it and removes its folder. */
  remove(): void
}

/** Settings that make a test cluster fast; what durability tests need is on by default. */
export interface ClusterOptions {
  /** True: fsync is on, as it is where durability counts. */
  readonly durable?: boolean
  /** More lines of postgresql.conf. */
  readonly settings?: readonly string[]
  /** Lines of pg_hba.conf instead of "trust". */
  readonly access?: readonly string[]
}

/** Makes and starts a cluster. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const folder = serverFolder()
  const data = path.join(folder, 'data')
  program('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'])
  const cluster = clusterIn(folder, await freePort())
  configure(cluster, options)
  cluster.start()
  return cluster
}

function configure({ folder, port }: Cluster, { durable = false, settings = [], access }: ClusterOptions): void {
  const file = path.join(folder, 'data', 'postgresql.conf')
  const lines = [
    `port = ${port}`,
    "listen_addresses = '127.0.0.1'",
    `unix_socket_directories = '${folder}'`,
    `fsync = ${durable ? 'on' : 'off'}`,
    'shared_buffers = 32MB',
    'max_connections = 100',
    'max_wal_senders = 4',
    'wal_level = replica',
    "log_min_messages = 'warning'",
    'wal_retrieve_retry_interval = 100ms',
    ...settings,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  if (access) writeFileSync(path.join(folder, 'data', 'pg_hba.conf'), `${access.join('\n')}\n`)
}

/** Processes started by another one; on systems without /proc none, and PostgreSQL's end by themselves. */
function childrenOf(parentPid: number): number[] {
  if (!existsSync('/proc/self/stat')) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parentPid
      } catch {
        return false
      }
    })
    .map(Number)
}

let databases = 0

function clusterIn(folder: string, port: number): Cluster {
  const data = path.join(folder, 'data')
  const control = (...args: string[]): string => program('pg_ctl', ['-D', data, '-s', '-w', ...args])
  const sql = (text: string, database = 'postgres'): string =>
    program('psql', [
      '-h',
      folder,
      '-p',
      String(port),
      '-U',
      'postgres',
      '-d',
      database,
      '-XAtq',
      '-v',
      'ON_ERROR_STOP=1',
      '-c',
      text,
    ]).trim()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const postmaster = (): number => Number(readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
  const running = (): boolean => existsSync(path.join(data, 'postmaster.pid'))
  const cluster: Cluster = {
    port,
    folder,
    url,
    async database() {
      const name = `test${++databases}`
      sql(`CREATE DATABASE ${name}`)
      return `postgres://postgres@127.0.0.1:${port}/${name}`
    },
    sql,
    start: () => void control('-l', path.join(folder, 'log'), 'start'),
    stop: (mode = 'fast') => void control('-m', mode, 'stop'),
    kill() {
      const main = postmaster()
      for (const pid of [main, ...childrenOf(main)]) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It ended by itself in this moment.
        }
      }
    },
    promote: () => void control('promote'),
    async standby(synchronous) {
      const other = clusterIn(serverFolder(), await freePort())
      const at = path.join(other.folder, 'data')
      program('pg_basebackup', [
        '-h',
        folder,
        '-p',
        String(port),
        '-U',
        'postgres',
        '-D',
        at,
        '-c',
        'fast',
        '-X',
        'stream',
      ])
      const from = `host=127.0.0.1 port=${port} user=postgres application_name=standby`
      const conf = readFileSync(path.join(at, 'postgresql.conf'), 'utf8')
      writeFileSync(
        path.join(at, 'postgresql.conf'),
        `${conf}port = ${other.port}\nunix_socket_directories = '${other.folder}'\nprimary_conninfo = '${from}'\n`,
      )
      writeFileSync(path.join(at, 'standby.signal'), '')
      if (unprivileged.uid !== undefined)
        for (const name of ['standby.signal', 'postgresql.conf'])
          chownSync(path.join(at, name), unprivileged.uid, unprivileged.gid as number)
      other.start()
      if (synchronous) {
        sql(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`)
        cluster.reload()
        for (const limit = Date.now() + 20_000; sql('SELECT sync_state FROM pg_stat_replication') !== 'sync'; ) {
          if (Date.now() > limit) throw new Error('the standby does not get synchronous')
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
      return other
    },
    reload: () => void control('reload'),
    remove() {
      if (running())
        spawnSync(path.join(programs as string, 'pg_ctl'), ['-D', data, '-s', '-m', 'immediate', 'stop'], {
          ...unprivileged,
          cwd: '/',
        })
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return cluster
}

/** A running pgbouncer in transaction mode. */
export interface Pooler {
  readonly port: number
  stop(): Promise<void>
}

/** Starts pgbouncer before a cluster, in transaction mode, with `serverConnections` to it. */
export async function startPgbouncer(cluster: Cluster, serverConnections = 4): Promise<Pooler> {
  const folder = serverFolder()
  const port = await freePort()
  const users = path.join(folder, 'users')
  writeFileSync(users, '"postgres" ""\n')
  const config = path.join(folder, 'pgbouncer.ini')
  writeFileSync(
    config,
    `[databases]
* = host=127.0.0.1 port=${cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${serverConnections}
max_client_conn = 200
logfile = ${folder}/log
`.replace('* =', '* = user=postgres'),
  )
  for (const each of [users, config]) chmodSync(each, 0o644)
  const child = spawn(pgbouncer as string, ['-q', config], { ...unprivileged, stdio: 'ignore', cwd: '/' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  for (const limit = Date.now() + 10_000; ; ) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (open) break
    if (Date.now() > limit) throw new Error('pgbouncer does not start')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    port,
    async stop() {
      child.kill('SIGINT')
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
