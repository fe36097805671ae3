// What the tests of abuse start from: a server with secrets that a caller of low rank must never get at, and short words to ask it.
import assert from 'node:assert/strict'
import type { Answer, ServerProcess } from '../process.ts'

export interface World {
  readonly server: ServerProcess
  /** Asks as a token; "" is none. */
  as(token: string, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Asks as root and demands success. */
  root(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  policy(name: string, text: string, headers?: Record<string, string>): Promise<void>
  /** Makes a token with these policies; `more` are further fields of `auth/token/create`. */
  token(policies: readonly string[], more?: Record<string, unknown>): Promise<string>
}

/** Wraps a running server. */
export function world(server: ServerProcess): World {
  const as: World['as'] = (token, method, path, body, headers = {}) =>
    server.call(method, path, body, { ...headers, 'x-vault-token': token })
  const root: World['root'] = async (method, path, body, headers = {}) => {
    const answer = await as(server.rootToken, method, path, body, headers)
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer
  }
  return {
    server,
    as,
    root,
    async policy(name, text, headers) {
      await root('PUT', `sys/policies/acl/${name}`, { policy: text }, headers)
    },
    async token(policies, more = {}) {
      const { body } = await root('POST', 'auth/token/create', { policies, ...more })
      return body.auth.client_token
    },
  }
}

/** An answer without what is different in each request. */
export const stable = (answer: Answer): string =>
  JSON.stringify({ status: answer.status, body: { ...answer.body, request_id: undefined } })
