// Bytes of any length to and from a server: snapshots. Memory holds a piece of them at a time; it never tries again by itself.
import { type Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable } from 'node:stream'
import type { Settings } from './settings.ts'

/** What is sent, if anything, and where. `path` is below /v1/ and not encoded. */
export interface Transfer {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly upload?: { readonly source: Readable; readonly bytes: number }
}

const errorBytesMax = 64 * 1024
/** A server that says nothing for so long is gone. A restore answers when it is done. */
const silenceMs = 60 * 60 * 1000

/** Makes the exchange; rejects with the system's error. */
export function transferred(
  url: URL,
  by: { settings: Settings; agent: Agent; headers: ReadonlyArray<readonly [string, string]> },
  { method, upload }: Transfer,
): Promise<{ status: number; body: Readable }> {
  return new Promise((resolve, reject) => {
    const { settings, agent } = by
    const headers = Object.fromEntries(by.headers)
    if (upload) headers['Content-Length'] = String(upload.bytes)
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const options = {
      agent,
      method,
      headers,
      timeout: silenceMs,
      ...(settings.socketPath !== undefined && { socketPath: settings.socketPath }),
    }
    const outgoing = send(url, options, (incoming) => resolve({ status: incoming.statusCode ?? 0, body: incoming }))
    outgoing.on('timeout', () => outgoing.destroy(new Error('the server does not answer')))
    // A server that refuses answers before it has read all: the answer counts, not the upload that broke off.
    outgoing.on('error', (error) => setTimeout(() => reject(error), 100))
    if (upload) pipeline(upload.source, outgoing, () => undefined)
    else outgoing.end()
  })
}

/** Reads the beginning of a body that says what went wrong. */
export async function textStart(body: Readable): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      pieces.push(piece)
      bytes += piece.length
      if (bytes > errorBytesMax) break
    }
  } catch {
    // What has come says enough.
  }
  return Buffer.concat(pieces).toString('utf8')
}
