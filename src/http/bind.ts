// Binding: a TCP address or the file of a unix socket, with owner and mode. Never takes a socket from somebody who is alive.
import { chmod, chown, lstat, readFile, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { ListenerConfig } from './limits.ts'

/** Where a listener can be reached. */
export interface BoundAddress {
  readonly type: 'tcp' | 'unix'
  /** `host:port` as bound, or the path of the socket. */
  readonly address: string
  /** undefined for a unix socket. */
  readonly port: number | undefined
  readonly tls: boolean
  /** `https://127.0.0.1:8200`, `unix:///run/coffer.sock`. */
  readonly url: string
}

/** Splits `host:port`; throws an Error for what is neither that nor `[v6]:port` nor `:port`. */
function hostAndPort(address: string): { host: string | undefined; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (!match || port > 65_535) throw new Error(`listener address "${address}" is not host:port`)
  return { host: match[1] ?? (match[2] || undefined), port }
}

// Where the system shares a port among sockets each process has one of its own, and the system spreads connections over them. Elsewhere,
// and for the files of unix sockets, processes of a cluster are given the same socket by node:cluster.
const ownSockets = process.platform === 'linux'

function listen(
  server: Server,
  where: { path: string } | { host: string | undefined; port: number; reusePort?: true },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Binds a server as its configuration says; rejects with an Error that names the address, and the server is closed then. `shared`: several
 * processes accept there, and one before them has seen that nobody else does.
 */
export async function bind(
  server: Server,
  config: ListenerConfig,
  tls: boolean,
  shared = false,
): Promise<BoundAddress> {
  const address = config.address || '127.0.0.1:8200'
  try {
    if (config.type === 'unix') {
      await bindSocketFile(server, address, config, shared)
      return { type: 'unix', address, port: undefined, tls, url: `unix://${address}` }
    }
    await listen(server, { ...hostAndPort(address), ...(shared && ownSockets ? { reusePort: true } : {}) })
  } catch (error) {
    server.close()
    const { code } = error as NodeJS.ErrnoException
    throw code ? new Error(`cannot listen on ${address}: ${code}`) : error
  }
  const { address: host, port, family } = server.address() as AddressInfo
  const text = family === 'IPv6' ? `[${host}]:${port}` : `${host}:${port}`
  return { type: 'tcp', address: text, port, tls, url: `http${tls ? 's' : ''}://${text}` }
}

async function bindSocketFile(server: Server, path: string, config: ListenerConfig, shared: boolean): Promise<void> {
  if (!shared) await removeStale(path)
  // Nobody but us may connect before owner and mode are as the configuration wants them.
  const mask = config.socketMode ? process.umask(0o177) : undefined
  const listening = listen(server, { path })
  if (mask !== undefined) process.umask(mask)
  await listening
  if (config.socketUser || config.socketGroup) {
    const uid = config.socketUser ? await idOf('/etc/passwd', config.socketUser, 'socket_user') : -1
    const gid = config.socketGroup ? await idOf('/etc/group', config.socketGroup, 'socket_group') : -1
    await chown(path, uid, gid)
  }
  if (config.socketMode) {
    if (!/^0?[0-7]{3,4}$/.test(config.socketMode)) throw new Error('socket_mode must be octal, as "0660"')
    await chmod(path, Number.parseInt(config.socketMode, 8))
  }
}

/** Finds the number of a user or group by name; numbers stand for themselves. */
async function idOf(file: string, name: string, key: string): Promise<number> {
  if (/^\d{1,10}$/.test(name)) return Number(name)
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const [entry, , id] = line.split(':')
    if (entry === name && id !== undefined) return Number(id)
  }
  throw new Error(`${key}: there is no "${name}"`)
}

/** Removes a socket file that a process left behind; never one that somebody listens on, never anything but a socket. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new Error(`listener address "${path}" exists and is no socket`)
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (alive) throw new Error(`listener address "${path}" is in use`)
  await unlink(path)
}
