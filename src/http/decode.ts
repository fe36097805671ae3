// From a request of node:http to what core understands: verb, path, token, namespace, wrapping, body. Nothing of HTTP goes below this.
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { ClientRequest, ListenerFacts, PeerCertificate, Verb } from '../core/exchange.ts'
import { parseDurationSeconds } from '../lib/duration.ts'
import type { JsonObject } from '../lib/json.ts'
import { ApiError, invalid } from '../sdk/errors.ts'
import { mediaType } from './body.ts'
import type { Target } from './target.ts'

/** What is known of a connection; made once, at its first request. */
export interface Connection {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly peerCertificate: PeerCertificate | undefined
  readonly listener: ListenerFacts
}

/** The request without its body, which is set before core sees it. */
export interface Draft extends Omit<ClientRequest, 'body' | 'rawBody' | 'rawStream'> {
  body: JsonObject | undefined
  rawBody: Uint8Array | undefined
  rawStream: AsyncIterable<Uint8Array> | undefined
}

const verbs: Readonly<Record<string, Verb | undefined>> = Object.assign(Object.create(null), {
  GET: 'read',
  HEAD: 'read',
  LIST: 'list',
  SCAN: 'scan',
  POST: 'write',
  PUT: 'write',
  PATCH: 'patch',
  DELETE: 'delete',
})
const truths = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const lies = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])
const noQuery: Readonly<Record<string, string>> = Object.freeze(Object.create(null))

/** Throws `ApiError` 405, as Vault says it (no text), for a method nobody serves. */
export function verbOf(method: string): Verb {
  const verb = verbs[method]
  if (verb === undefined) throw new ApiError(405, [])
  return verb
}

/** Whether a verb comes with a body that is read; the bodies of all others are drained and ignored. */
export const takesBody = (verb: Verb): boolean => verb === 'write' || verb === 'patch'

function flag(query: Record<string, string>, key: string): boolean {
  const value = query[key]
  if (value === undefined) return false
  delete query[key]
  if (value === '' || lies.has(value)) return false
  if (truths.has(value)) return true
  throw invalid(`query parameter "${key}" must be true or false`)
}

/** Tells list, scan and help from the query, and takes the three out of it. */
function verbWithQuery(verb: Verb, query: Record<string, string> | undefined): Verb {
  if (!query) return verb
  const help = query['help']
  delete query['help']
  if (help) return 'help'
  if (verb !== 'read') {
    delete query['list']
    delete query['scan']
    return verb
  }
  const list = flag(query, 'list')
  const scan = flag(query, 'scan')
  if (list && scan) throw invalid('query parameters "list" and "scan" exclude each other')
  return list ? 'list' : scan ? 'scan' : verb
}

/** Gives the token: `X-Vault-Token`, else `Authorization: Bearer`. */
function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const own = headers['x-vault-token'] as string | undefined
  if (own) return own
  const { authorization } = headers
  return authorization?.startsWith('Bearer ') ? authorization.slice(7).trim() || undefined : undefined
}

function wrapTtlOf(header: string): number {
  const seconds = parseDurationSeconds(header.trim())
  if (seconds === undefined) throw invalid('error parsing X-Vault-Wrap-TTL header: not a duration')
  if (seconds < 0) throw invalid('error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative')
  return seconds
}

const trimSlashes = (text: string): string => text.replace(/^\/+|\/+$/g, '')
// A namespace is a path; what could not stand in one cannot stand here.
const namespaceText = /^[\x21-\x7e]*$/

function namespaceOf(header: string): string {
  const namespace = trimSlashes(header.trim())
  if (!namespaceText.test(namespace) || /(?:^|\/)\.{0,2}(?:\/|$)/.test(namespace || 'root'))
    throw invalid('malformed X-Vault-Namespace header')
  return namespace
}

/** Throws `ApiError` 415 unless a PATCH says that it is a merge patch. */
function checkPatchType(contentType: string): void {
  const type = mediaType(contentType)
  if (type !== 'application/merge-patch+json')
    throw new ApiError(
      415,
      `PATCH requires Content-Type of application/merge-patch+json, provided "${type.slice(0, 100)}"`,
    )
}

/** Puts the request together, body apart. Throws `ApiError` for what a client did wrong. */
export function draftOf(
  req: IncomingMessage,
  method: string,
  target: Target,
  connection: Connection,
  remoteAddress: string,
): Draft {
  const { headers } = req
  const verb = verbWithQuery(verbOf(method), target.query)
  const contentType = headers['content-type'] ?? ''
  if (verb === 'patch') checkPatchType(contentType)
  const namespace = headers['x-vault-namespace'] as string | undefined
  const wrapTtl = headers['x-vault-wrap-ttl'] as string | undefined
  const wrapFormat = headers['x-vault-wrap-format'] as string | undefined
  return {
    id: randomUUID(),
    verb,
    method,
    path: target.path,
    namespace: namespace === undefined ? '' : namespaceOf(namespace),
    token: tokenOf(headers),
    query: target.query ?? noQuery,
    body: undefined,
    rawBody: undefined,
    rawStream: undefined,
    contentType,
    headers,
    wrapTtlSeconds: wrapTtl === undefined ? 0 : wrapTtlOf(wrapTtl),
    wrapFormat: wrapFormat ?? '',
    remoteAddress,
    remotePort: connection.remotePort,
    peerCertificate: connection.peerCertificate,
    listener: connection.listener,
  }
}
