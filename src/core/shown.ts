// What of a reply may be shown: policy may hide entries of a list, the mount says which headers its engine may set.
import type { Reply } from '../sdk/reply.ts'
import type { Progress } from './progress.ts'

/** Takes out of a list what policy says is not to be shown. */
export function visibleKeys(p: Progress, reply: Reply): Reply {
  const filter = p.verdict?.keysFilter
  const data = reply.data as { keys?: readonly string[]; key_info?: Record<string, unknown> } | null | undefined
  if (!filter || !reply.list || !data?.keys || !p.session) return reply
  const { acl } = p.session
  const may = (key: string) =>
    acl.decide({
      path: p.namespace.record.path + filter(p.path, key),
      capability: key.endsWith('/') ? 'list' : 'read',
      sudo: false,
      parameters: undefined,
      wraps: false,
      wrapTtlSeconds: 0,
      now: p.now,
    }).allowed
  const keys = data.keys.filter(may)
  const info = data.key_info && Object.fromEntries(Object.entries(data.key_info).filter(([key]) => keys.includes(key)))
  return { ...reply, data: info ? { ...data, key_info: info, keys } : { ...data, keys } }
}

/** An engine sets only those headers that its mount allows. */
export function allowedHeaders(p: Progress, reply: Reply): Reply {
  if (p.mount?.engine.scope === 'core') return reply
  const allowed = new Set((p.mount?.record.config.allowed_response_headers ?? []).map((name) => name.toLowerCase()))
  const headers = Object.entries(reply.headers ?? {}).filter(([name]) => allowed.has(name.toLowerCase()))
  return { ...reply, headers: Object.fromEntries(headers) }
}
