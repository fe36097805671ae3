// How many processes a server has: what may be asked for, and what that comes to on this machine.
import { availableParallelism } from 'node:os'
import type { StorageSettings } from './server-config.ts'

/** More processes than this are a mistake. */
export const workersMax = 256

export type Workers = number | 'auto'

/** Reads a number of workers or `auto`; undefined for anything else. */
export function parseWorkers(text: string): Workers | undefined {
  if (text.toLowerCase() === 'auto') return 'auto'
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= workersMax ? number : undefined
}

/** What is wrong with several workers over a storage; undefined when nothing is. */
export const workersProblem = (workers: Workers, storage: StorageSettings | undefined): string | undefined =>
  workers !== 1 && storage?.type === 'inmem'
    ? `workers = ${workers === 'auto' ? '"auto"' : workers}: storage "inmem" lies in the memory of one process; use storage "sqlite" { path = "…" }, or workers = 1`
    : undefined

/** The number of processes on this machine. */
export const workerCount = (workers: Workers): number => (workers === 'auto' ? availableParallelism() : workers)
